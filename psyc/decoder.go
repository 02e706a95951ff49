package psyc

import (
	"fmt"
	"io"
	"iter"
	"slices"
)

// A Decoder reads packets from a stream. Set its fields before the first read. It is for one goroutine.
//
// Any division of the stream into reads gives the same packets and the same errors. A broken packet is final: the
// stream has lost its frame, and nothing tries to find it again. After an error of the reader, such as an exceeded
// deadline, the next call goes on where it stopped.
type Decoder struct {
	// Syntax of the peer. With Auto the first line decides: "|" means PSYC10, "." means PSYC09; a stream without
	// such a greeting is read as its first packet ends. The field then says which it was.
	//
	// A 0.9 stream whose first line is "." CR LF has CR LF at the end of every line, and a bare LF is data;
	// in any other CR is data, so that what one peer filtered as text cannot be a delimiter to the next.
	Syntax Syntax

	// RoutingOnly leaves the content of 1.0 packets, its last line end included, as one opaque Body; see
	// [Packet.ParseContent]. Variables named _INTERNAL... are then still in it. Packets in 0.9 are always read
	// whole.
	RoutingOnly bool

	// LooseLength accepts, as libpsyc does, a content length that is wrong in a packet without a method.
	// It is for looking at packets: two programs that disagree about such a length disagree about where the
	// packet ends.
	LooseLength bool

	Limits Limits

	r      io.Reader
	buf    []byte
	start  int   // of what has not been consumed
	end    int   // of what has been read
	offset int64 // of buf[0] in the stream
	last   int   // bytes of the last read
	begun  bool  // parse has seen a part of the packet at start
	first  bool  // the first line has been looked at
	broken error // final
	rerr   error // came from r with the last bytes

	parse  parser09
	packet Packet
	held   []byte // values of a packet with a streamed body
	body   body
}

// NewDecoder returns a decoder that reads from r, ahead of what it returns; see [Decoder.Buffered].
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: r} }

// Packets yields packet after packet, keep-alives as empty ones. An error ends it, io.EOF between packets does so
// silently; a stream that ends inside a packet yields [io.ErrUnexpectedEOF]. Ranging again goes on.
func (d *Decoder) Packets() iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		for {
			p, err := d.Next()
			if err == io.EOF || !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// Next returns the next packet, which is good until the call after it, or io.EOF at the end.
func (d *Decoder) Next() (*Packet, error) {
	if err := d.next(); err != nil {
		return nil, err
	}
	return &d.packet, nil
}

// next reads a packet into d.packet.
func (d *Decoder) next() error {
	if d.broken != nil {
		return d.broken
	}
	if err := d.body.skip(); err != nil {
		return err
	}
	if !d.first {
		if err := d.begin(); err != nil {
			return err
		}
	}
	for {
		if !d.begun {
			d.parse.begin(&d.packet, d.Syntax)
			d.begun = true
		}
		n, err := d.parsePacket()
		if err == nil {
			d.begun = false
			d.start += n
			if d.parse.phase == phaseStream {
				d.hold()
				d.body = body{d: d, left: d.packet.Size, tail: d.parse.streamTail(d.Syntax)}
			}
			return nil
		}
		if err != ErrIncomplete {
			d.broken = err
			return err
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

// hold copies the values of the packet out of the buffer, which its body is going to pass through.
func (d *Decoder) hold() {
	n := 0
	for _, vars := range [...]Vars{d.packet.Routing, d.packet.Entity} {
		for i := range vars {
			n += len(vars[i].Value)
		}
	}
	d.held = slices.Grow(d.held[:0], n)
	for _, vars := range [...]Vars{d.packet.Routing, d.packet.Entity} {
		for i := range vars {
			start := len(d.held)
			d.held = append(d.held, vars[i].Value...)
			vars[i].Value = d.held[start:len(d.held):len(d.held)]
		}
	}
}

// begin learns what the first line tells: the syntax and the line ends.
func (d *Decoder) begin() error {
	d.parse.limits = d.Limits.resolved()
	d.parse.names = new(names)
	d.parse.routingOnly, d.parse.looseLength = d.RoutingOnly, d.LooseLength
	for {
		in := d.buf[d.start:d.end]
		syn := d.Syntax
		if syn == Auto {
			syn = detect(in)
		}
		greeting := len(in) < 3 && string(in) == ".\r\n"[:len(in)]
		if syn == PSYC10 || syn == PSYC09 && !greeting {
			d.Syntax = syn
			d.parse.crlf = syn == PSYC09 && len(in) >= 3 && string(in[:3]) == ".\r\n"
			d.first = true
			return nil
		}
		if len(in) >= d.parse.limits.Packet {
			d.broken = limitError(errPacketTooLarge, d.parse.limits.Packet, "packet too large")
			return d.broken
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

// parsePacket tries to read the packet at d.start.
func (d *Decoder) parsePacket() (n int, err error) {
	in := d.buf[d.start:d.end]
	limit := d.parse.limits.Packet
	cut := len(in) > limit
	if cut {
		in = in[:limit]
	}
	if d.Syntax == PSYC09 {
		n, err = d.parse.parse09(&d.packet, in)
	} else {
		n, err = d.parse.parse10(&d.packet, in)
	}
	if err == nil {
		return n, nil
	}
	if err == ErrIncomplete {
		if !cut && len(in) < limit {
			return 0, err
		}
		err = limitError(errPacketTooLarge, limit, "packet too large")
	}
	if e, ok := err.(*Error); ok {
		e.Offset += d.offset + int64(d.start)
	}
	return 0, err
}

const (
	restBuffer  = 256 // while nothing comes
	firstBuffer = 4 << 10
	usualBuffer = 16 << 10 // when there is more to read than the first one takes at a time
	keepBuffer  = 64 << 10 // a larger one is given back when it is empty
	emptyReads  = 100
)

// fill reads more. It may move what is there.
func (d *Decoder) fill() error {
	if d.end == len(d.buf) || d.start == d.end {
		d.makeRoom()
	}
	for range emptyReads {
		n, err := 0, d.rerr
		if d.rerr = nil; err == nil {
			n, err = d.r.Read(d.buf[d.end:])
		}
		switch {
		case n > 0:
			d.end += n
			d.last, d.rerr = n, err
			return nil
		case err == nil:
		case err != io.EOF:
			return fmt.Errorf("psyc: reading a packet: %w", err)
		case d.start < d.end:
			return io.ErrUnexpectedEOF
		default:
			return io.EOF
		}
	}
	return io.ErrNoProgress
}

// makeRoom makes the buffer end behind what has been read.
func (d *Decoder) makeRoom() {
	rest := d.buf[d.start:d.end]
	d.offset += int64(d.start)
	switch {
	case len(rest) == 0 && len(d.buf) == restBuffer && d.end < restBuffer:
		// Perhaps that was a keep-alive.
	case len(rest) == 0 && len(d.buf) > keepBuffer, len(d.buf) < firstBuffer:
		d.buf = make([]byte, firstBuffer)
		copy(d.buf, rest)
		if d.parse.names == nil && d.first {
			d.parse.names = new(names)
		}
	case d.end == len(d.buf) && len(d.buf) < usualBuffer && d.last > len(d.buf)/2:
		d.enlarge(usualBuffer)
	case len(rest) > len(d.buf)/2:
		d.enlarge(2 * len(d.buf))
	default:
		copy(d.buf, rest)
	}
	d.start, d.end = 0, len(rest)
	d.begun = false // the values that the parser has seen are elsewhere now
}

// enlarge moves what has been read to the start of a buffer of that size.
func (d *Decoder) enlarge(size int) {
	buf := make([]byte, size)
	copy(buf, d.buf[d.start:d.end])
	d.buf = buf
}

// rest gives up the memory that is of use only while packets come, but for a buffer that takes the first bytes of the next one. There
// must be nothing that has not been returned, and what has been is good no more.
func (d *Decoder) rest() {
	d.offset += int64(d.start)
	d.buf, d.start, d.end = make([]byte, restBuffer), 0, 0
	d.packet, d.held, d.parse.names = Packet{}, nil, nil
	d.begun = false
}

// Buffered returns what was read beyond the last packet, and beyond what was read of its streamed body. It is good
// until the next read.
func (d *Decoder) Buffered() []byte { return d.buf[d.start:d.end] }

// Body returns the streamed body of the packet just read, which has Size bytes; it is empty if Body holds it all.
// It ends with io.EOF once the delimiter behind it has been seen. What is not read is skipped by the next packet.
func (d *Decoder) Body() io.Reader { return &d.body }

// A body reads what a packet was too large to hold.
type body struct {
	d    *Decoder
	left int64
	tail string // what must follow
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.finish()
	}
	if len(p) == 0 {
		return 0, nil
	}
	in, err := b.next()
	if err != nil {
		return 0, err
	}
	n := copy(p, in)
	b.take(n)
	return n, nil
}

// skip reads what is left.
func (b *body) skip() error {
	for b.left > 0 {
		in, err := b.next()
		if err != nil {
			return err
		}
		b.take(len(in))
	}
	if err := b.finish(); err != io.EOF {
		return err
	}
	return nil
}

// next returns some bytes of the body; there are some left.
func (b *body) next() ([]byte, error) {
	in, err := b.input()
	return in[:min(int64(len(in)), b.left)], err
}

// take marks n bytes as read.
func (b *body) take(n int) {
	b.d.start += n
	b.left -= int64(n)
}

// finish reads the tail and returns io.EOF.
func (b *body) finish() error {
	for b.tail != "" {
		in, err := b.input()
		if err != nil {
			return err
		}
		if in[0] != b.tail[0] {
			b.d.broken = syntaxError(errDelimiter, b.d.offset+int64(b.d.start), "delimiter expected behind the body")
			return b.d.broken
		}
		b.d.start++
		b.tail = b.tail[1:]
	}
	return io.EOF
}

// input returns what there is of the stream, at least a byte.
func (b *body) input() ([]byte, error) {
	d := b.d
	if d.broken != nil {
		return nil, d.broken
	}
	if d.start == d.end {
		if err := d.fill(); err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
	}
	return d.buf[d.start:d.end], nil
}

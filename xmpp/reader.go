package xmpp

import (
	"errors"
	"fmt"
	"io"

	"github.com/switchyard-im/switchyard/internal/xmlscan"
)

// Namespaces of the stream element and of dialback.
const (
	NSStreams  = "http://etherx.jabber.org/streams"
	NSDialback = "jabber:server:dialback"
)

// A reader cuts the stream header and then first-level elements off a connection, checked, and never reads an
// element's bytes twice. What an element borrows is good until the next call. An error of the connection, such as a
// time-out, loses nothing: the call may be repeated.
type reader struct {
	src        io.Reader
	lim        Limits // complete
	scan       xmlscan.Scanner
	buf        []byte
	start, end int   // what has been read and not given up lies in buf[start:end]
	used       int   // bytes of it that the last element borrows
	offset     int64 // of buf[start] in the stream
	last       int   // bytes of the last read
	stream     bool  // a header has been read, its end is expected
	closed     bool  // the end has been read
	prefixes   []xmlscan.Declaration
	jids       jidCache
	st         Stanza
}

// A streamHeader is the opening tag of a stream.
type streamHeader struct {
	To, From, ID, Version, Lang string
	Space                       string // default namespace
	Attrs                       []Attr // all the others, declarations included
}

// Sizes of the read buffer: while nothing comes for a while, while little does, and when there is more to read than that.
const (
	restBuffer  = 256
	smallBuffer = 4 << 10
	usualBuffer = 16 << 10
)

func newReader(r io.Reader, lim Limits) *reader {
	rd := &reader{}
	rd.limit(lim)
	rd.restart(r)
	return rd
}

// newFragmentReader returns a reader for elements without a stream around them.
func newFragmentReader(r io.Reader, lim Limits, space string) *reader {
	rd := newReader(r, lim)
	rd.prefixes = serverPrefixes
	rd.scan.Enclose(space, serverPrefixes)
	return rd
}

// header reads the optional XML declaration and the opening stream tag.
func (r *reader) header() (streamHeader, error) {
	r.giveUp()
	var n int
	for {
		var err error
		if n, err = r.scan.Header(r.buf[r.start:r.end]); err != nil {
			return streamHeader{}, refused(err, r.offset)
		}
		if n > 0 {
			break
		}
		if err := r.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return streamHeader{}, err
		}
	}
	if n > r.lim.Stanza {
		return streamHeader{}, tooLong(r.lim.Stanza, r.offset)
	}
	e := Element{ix: r.scan.Index()}
	switch name := e.Name(); {
	case name.Space != NSStreams:
		return streamHeader{}, &StreamError{
			Condition: InvalidNamespace, Local: true,
			Err: fmt.Errorf("stream header in namespace %q", name.Space),
		}
	case name.Local != "stream":
		return streamHeader{}, &StreamError{
			Condition: BadFormat, Local: true,
			Err: fmt.Errorf("stream header %q", name.Local),
		}
	}
	var h streamHeader
	for a := range e.Attrs() {
		switch a.Name {
		case "to":
			h.To = a.Value
		case "from":
			h.From = a.Value
		case "id":
			h.ID = a.Value
		case "version":
			h.Version = a.Value
		case "xml:lang":
			h.Lang = a.Value
		case "xmlns":
			h.Space = a.Value
			h.Attrs = append(h.Attrs, a)
		default:
			h.Attrs = append(h.Attrs, a)
		}
	}
	r.prefixes = nil
	for _, a := range h.Attrs {
		if prefix, ok := declares(a.Name); ok && prefix != "" && prefix != "xml" {
			r.prefixes = append(r.prefixes, xmlscan.Declaration{Prefix: prefix, Space: a.Value})
		}
	}
	r.scan.Open()
	r.stream = true
	r.used = n
	return h, nil
}

// next returns the next first-level element; io.EOF is </stream:stream>, io.ErrUnexpectedEOF a connection that ended
// without it. White space between elements is skipped and reported to the keep-alive clock by the caller's conn.
func (r *reader) next() (Element, error) {
	r.giveUp()
	if r.closed {
		return Element{}, io.EOF
	}
	for {
		if r.start < r.end && xmlscan.IsSpace(r.buf[r.start]) {
			r.start++
			r.offset++
			continue
		}
		found, n, err := r.scan.Next(r.buf[r.start:r.end])
		switch {
		case err != nil:
			return Element{}, refused(err, r.offset)
		case found == xmlscan.Partial:
			if err := r.fill(); err != nil {
				if err == io.EOF && (r.stream || r.start < r.end) {
					err = io.ErrUnexpectedEOF
				}
				return Element{}, err
			}
			continue
		case n > r.lim.Stanza:
			return Element{}, tooLong(r.lim.Stanza, r.offset)
		}
		r.used = n
		if found == xmlscan.Close {
			r.closed = true
			return Element{}, io.EOF
		}
		return Element{ix: r.scan.Index()}, nil
	}
}

// stanza makes a Stanza of the element that next returned, or says why it is none. Together with a *[StanzaError] it
// returns the stanza, which has no address where that is malformed. The next call overwrites the stanza.
func (r *reader) stanza(e Element) (*Stanza, error) {
	err := r.st.read(e, r.prefixes, &r.jids)
	if _, ok := err.(*StanzaError); ok || err == nil {
		return &r.st, err
	}
	return nil, err
}

// restart forgets the stream but keeps what is buffered: for a new header after TLS or SASL.
func (r *reader) restart(from io.Reader) {
	r.giveUp()
	r.src = from
	r.offset = 0
	r.stream, r.closed = false, false
	r.prefixes = nil
	r.scan.Enclose("", nil)
}

// limit replaces the limits: larger ones after authentication.
func (r *reader) limit(lim Limits) {
	r.lim = lim.orDefault()
	r.scan.Limits = r.lim.scanner()
}

// buffered returns what was read beyond the last element.
func (r *reader) buffered() []byte { return r.buf[r.start+r.used : r.end] }

// giveUp drops the last element.
func (r *reader) giveUp() {
	r.start += r.used
	r.offset += int64(r.used)
	r.used = 0
}

// rest gives up, if there is nothing to read, the memory that is of use only while stanzas come, but for a buffer that takes the first bytes of
// the next one.
func (r *reader) rest() {
	r.giveUp()
	if r.start < r.end {
		return
	}
	r.scan.Trim()
	r.st, r.jids = Stanza{}, jidCache{}
	r.buf, r.start, r.end = make([]byte, restBuffer), 0, 0
}

var errNoProgress = errors.New("xmpp: connection returns no bytes and no error")

// fill reads more bytes behind those that are there.
func (r *reader) fill() error {
	held := r.end - r.start
	if held >= r.lim.Stanza {
		return tooLong(r.lim.Stanza, r.offset)
	}
	size := len(r.buf)
	switch {
	case held == 0 && size == restBuffer && r.last < restBuffer:
		// Perhaps that was a blank to keep the connection alive.
	case held == 0 && size == usualBuffer:
		// Until the next rest: a little does not mean that no more is to come.
	case held == 0 && r.last < smallBuffer:
		size = smallBuffer
	case held == 0, r.end == len(r.buf) && size == smallBuffer && r.last > size/2:
		size = usualBuffer
	case r.end == len(r.buf) && size == restBuffer:
		size = smallBuffer
	case r.end == len(r.buf) && held > size/2:
		size = min(2*size, r.lim.Stanza+smallBuffer)
	}
	if size != len(r.buf) {
		if size < len(r.buf) {
			r.scan.Trim()
		}
		buf := make([]byte, size)
		copy(buf, r.buf[r.start:r.end])
		r.buf, r.start, r.end = buf, 0, held
	} else if held == 0 || r.end == len(r.buf) {
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, held
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		r.last = n
		r.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errNoProgress
}

package psyc

import (
	"fmt"
	"io"
)

// An Encoder writes packets to a stream, each with one Write. Set the fields of its Renderer before the first.
// It is for one goroutine.
type Encoder struct {
	Renderer

	w   io.Writer
	buf []byte
}

// NewEncoder returns an encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w} }

// Encode writes p. On [ErrNotRepresentable] nothing has been written.
func (e *Encoder) Encode(p *Packet) error {
	buf, err := e.Append(e.buf[:0], p)
	if err != nil {
		return err
	}
	return e.write(buf)
}

// EncodeBody writes p with a body of exactly size bytes from r, which is not held in memory; p's own body is not
// looked at. PSYC 1.0 only. After an error of r, also that it ends early, the stream is broken.
func (e *Encoder) EncodeBody(p *Packet, size int64, r io.Reader) error {
	if e.Syntax == PSYC09 || e.Opaque || p.Method == "" || size < 0 {
		return refuse("body of unknown bytes needs PSYC 1.0 and a method")
	}
	q := *p
	q.Body, q.Size = nil, 0
	if size == 0 {
		return e.Encode(&q)
	}
	if size > maxLength {
		return refuse("body of %d bytes", size)
	}
	buf, err := e.append10(e.buf[:0], &q, size)
	if err != nil {
		return err
	}
	if err := e.write(buf); err != nil {
		return err
	}
	if n, err := io.Copy(e.w, io.LimitReader(r, size)); err != nil {
		return fmt.Errorf("psyc: writing a body: %w", err)
	} else if n < size {
		return fmt.Errorf("psyc: writing a body: %w", io.ErrUnexpectedEOF)
	}
	return e.write(append(e.buf[:0], "\n|\n"...))
}

// write writes buf and keeps its memory, unless it is large.
func (e *Encoder) write(buf []byte) error {
	if cap(buf) <= keepBuffer {
		e.buf = buf
	} else {
		e.buf = nil
	}
	if _, err := e.w.Write(buf); err != nil {
		return fmt.Errorf("psyc: writing a packet: %w", err)
	}
	return nil
}

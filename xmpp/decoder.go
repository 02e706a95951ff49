package xmpp

import (
	"io"
	"iter"
)

// A Decoder reads stanzas outside a stream: files, pipes, tests. The fields are to be set before the first stanza is read.
type Decoder struct {
	Space  string // default namespace of the input; jabber:client
	Limits Limits

	src io.Reader
	r   *reader
}

// NewDecoder returns a decoder that reads from r. It reads ahead.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{src: r} }

// Stanzas yields stanza after stanza, up to the end of the input. They are read as inside a server's stream: with
// the prefixes stream and db bound, and without an XML declaration. A *[StanzaError] comes with the stanza that it
// concerns, and concerns that stanza alone; any other error comes without one and ends the sequence:
// io.ErrUnexpectedEOF if the input ends inside a stanza, otherwise a *[StreamError] or what the reader returned.
func (d *Decoder) Stanzas() iter.Seq2[*Stanza, error] {
	return func(yield func(*Stanza, error) bool) {
		if d.r == nil {
			space := d.Space
			if space == "" {
				space = NSClient
			}
			d.r = newFragmentReader(d.src, d.Limits, space)
		}
		for {
			e, err := d.r.next()
			if err == io.EOF {
				return
			}
			var s *Stanza
			if err == nil {
				s, err = d.r.stanza(e)
			}
			if !yield(s, err) || s == nil {
				return
			}
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A query is one line of input with -jsonl.
type query struct {
	ID     json.RawMessage `json:"id"`
	XML    *string         `json:"xml"`
	XMLB64 []byte          `json:"xml_b64"`
	Packet []byte          `json:"packet"`
}

// An answer is the line of output for it.
type answer struct {
	ID         json.RawMessage `json:"id"`
	Packet     []byte          `json:"packet,omitempty"`
	XML        string          `json:"xml,omitempty"`
	Packets    *[]packetJSON   `json:"packets,omitempty"`
	Error      string          `json:"error,omitempty"`
	Condition  string          `json:"condition,omitempty"` // that the refusal has on the wire
	Offset     *int64          `json:"offset,omitempty"`    // in the packets, of what is wrong
	Incomplete bool            `json:"incomplete,omitempty"`
}

// fail says why there is nothing else in the answer.
func (a *answer) fail(err error) {
	a.Error = err.Error()
	a.Condition = string(condition(err))
}

// eachLine answers every line of the input.
func eachLine(t *terminal, reply func(q *query, a *answer)) error {
	var line []byte
	in := bufio.NewReaderSize(t.in, 64<<10)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(text)) > 0 {
			var q query
			a := answer{ID: json.RawMessage("null")}
			if bad := json.Unmarshal(text, &q); bad != nil {
				a.Error = fmt.Sprintf("line %d: %v", n, bad)
			} else {
				if len(q.ID) > 0 {
					a.ID = q.ID
				}
				reply(&q, &a)
			}
			encoded, err := json.Marshal(&a)
			if err != nil {
				return err
			}
			line = append(appendASCII(line[:0], encoded), '\n')
			if _, err := t.out.Write(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// condition returns the stanza or stream error condition of an error.
func condition(err error) xmpp.Condition {
	var converting *transcode.Error
	var stanza *xmpp.StanzaError
	var stream *xmpp.StreamError
	switch {
	case errors.As(err, &converting):
		return converting.Condition
	case errors.As(err, &stanza):
		return stanza.Condition
	case errors.As(err, &stream):
		return stream.Condition
	case errors.Is(err, io.ErrUnexpectedEOF):
		return xmpp.NotWellFormed
	}
	return ""
}

// appendASCII appends JSON with everything beyond ASCII escaped: some readers of lines take U+0085 and U+2028 for line ends.
func appendASCII(dst, json []byte) []byte {
	for len(json) > 0 {
		r, n := utf8.DecodeRune(json)
		switch {
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		json = json[n:]
	}
	return dst
}

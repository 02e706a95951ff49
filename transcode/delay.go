package transcode

import (
	"strconv"
	"time"

	"github.com/switchyard-im/switchyard/xmpp"
)

// The time at which a text was said, in seconds since 1970, if that is not now (XEP-0203).
const (
	varTimePlace = "_time_place" // in a place
	varTimeLog   = "_time_log"   // elsewhere

	nsDelay = "urn:xmpp:delay"
)

// sayDelay reads the delay of a message with a text.
func (w *writer) sayDelay(s *xmpp.Stanza, e xmpp.Element, f form) []byte {
	stamp, _ := e.Attr("stamp")
	t, err := time.Parse(time.RFC3339, stamp)
	if err != nil || t.Unix() <= 0 || !w.hasText {
		return nil
	}
	name := varTimeLog
	if s.Type == "groupchat" {
		name = varTimePlace
	}
	w.setBytes(name, w.keepBytes(strconv.AppendInt(nil, t.Unix(), 10)))
	n := len(w.said)
	w.said = usualDelay(w.said, w.words("", s))
	said := w.said[n:len(w.said):len(w.said)]
	w.hollowOut(s, e, markDelay, said)
	return said
}

// usualDelay appends the element that the time of a text is, nothing if it was said now.
func usualDelay(dst []byte, w *words) []byte {
	said := w.get(varTimePlace)
	if len(said) == 0 {
		said = w.get(varTimeLog)
	}
	n, err := said.Int()
	if err != nil || n <= 0 || n > lastSecond {
		return dst
	}
	dst = attribute(append(dst, "<delay xmlns='"+nsDelay+"'"...), "from", w.from.Bare().String())
	dst = append(dst, " stamp='"...)
	return append(time.Unix(n, 0).UTC().AppendFormat(dst, time.RFC3339), "'/>"...)
}

// lastSecond is the end of the year 9999, the last that a stamp has room for.
const lastSecond = 253402300799

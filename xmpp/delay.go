package xmpp

import "time"

const nsDelay = "urn:xmpp:delay"

// A Delay says that a stanza was held up (XEP-0203).
type Delay struct {
	From   string // who held it up, as it is spelt
	Stamp  time.Time
	Reason string
}

// Delay returns the first delay element. A stamp that cannot be read is the zero time.
func (s *Stanza) Delay() (d Delay, ok bool) {
	e, ok := s.Child(nsDelay, "delay")
	if !ok {
		return Delay{}, false
	}
	stamp, _ := e.Attr("stamp")
	d.Stamp, _ = time.Parse(time.RFC3339Nano, stamp)
	d.From, _ = e.Attr("from")
	d.Reason = e.Text()
	return d, true
}

// Append appends the delay element, its stamp in UTC and whole milliseconds (XEP-0082).
func (d Delay) Append(dst []byte) []byte {
	dst = append(dst, "<delay xmlns='"+nsDelay+"'"...)
	if d.From != "" {
		dst = appendAttr(dst, "from", d.From)
	}
	dst = appendAttr(dst, "stamp", d.Stamp.UTC().Format("2006-01-02T15:04:05.000Z"))
	if d.Reason == "" {
		return append(dst, "/>"...)
	}
	return append(AppendText(append(dst, '>'), d.Reason), "</delay>"...)
}

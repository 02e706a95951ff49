package transcode

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/switchyard-im/switchyard/xmpp"
)

// Marks stand in a skeleton where a text was taken out to travel natively. XML cannot contain these bytes, so a skeleton
// without marks is literal.
const (
	markBody    = 0x01 // in <body/> of the stanza's namespace
	markSubject = 0x02 // in <subject/>
	markStatus  = 0x03 // in <status/>
	markNick    = 0x04 // in <nick/> of XEP-0172
	markPhrase  = 0x05 // in place of the element that the method stands for
	markDelay   = 0x06 // in place of <delay/> of XEP-0203
	marks       = 6
)

const (
	nsNick   = "http://jabber.org/protocol/nick"
	nickOpen = "<nick xmlns='" + nsNick + "'>"
)

// A hollow is a text that was taken out of the children.
type hollow struct {
	mark       byte
	start, end int
}

// longestDisplay is how many bytes of a text are shown beside XML that holds the same text again.
const longestDisplay = 4096

// take returns the text of e for a native variable. If writing the text again gives the same bytes it is hollowed out of
// the skeleton, else the text is for display alone and nil if it is too long for that.
func (w *writer) take(raw []byte, e xmpp.Element, mark byte, f form) []byte {
	_, inner, end, _ := e.Span()
	fits := fitsValue
	if mark == markBody {
		fits = fitsBody
	}
	n, was := len(w.buf), w.style
	if f.echo != nil && !f.lines() {
		// What has just been written there need not be read.
		at := &f.echo.filled[mark]
		if at.exact && at.start == inner && at.end == end && w.style.join(at.seen, at.e) {
			w.hollows = append(w.hollows, hollow{mark, inner, end})
			return f.echo.texts[mark]
		}
	}
	buf, ok := w.style.unescape(w.buf, raw[inner:end])
	if ok && !f.plain && (!f.lines() || fits(buf[n:])) {
		if w.buf = buf; len(buf) > n {
			w.hollows = append(w.hollows, hollow{mark, inner, end})
		}
		return buf[n:len(buf):len(buf)]
	}
	if w.style = was; !ok {
		buf = append(w.buf, e.Text()...)
	}
	text := buf[n:]
	if f.lines() {
		text = degrade(text, f.plain)
	}
	w.buf = append(buf[:n], text...)
	if len(text) > longestDisplay && !f.plain {
		return nil
	}
	return w.buf[n:len(w.buf):len(w.buf)]
}

// skeleton writes what of the children the native texts leave, unless usual is that already, and the escaping of the
// texts. usual is the skeleton that the receiver makes by itself of the native variables.
func (w *writer) skeleton(raw, usual []byte, f form) {
	if f.plain {
		return
	}
	if e := w.style.escaping(); len(w.hollows) > 0 && e != usualEscaping {
		w.set(varEscape, e.String())
	}
	switch {
	case w.isUsual(raw, usual):
	case f.echo != nil:
		w.echo(f)
	default:
		n, from := len(w.skel), 0
		for _, h := range w.hollows {
			before, mark, end := raw[from:h.start], h.mark, h.end
			if mark == markBody && bytes.HasSuffix(before, []byte(bodyOpen)) && bytes.HasPrefix(raw[end:], []byte(bodyClose)) {
				before, mark, end = before[:len(before)-len(bodyOpen)], shortBody, end+len(bodyClose)
			}
			w.skel = append(appendShort(w.skel, before), mark)
			from = end
		}
		w.skel = appendShort(w.skel, raw[from:])
		w.xml(w.skel[n:], f)
	}
}

// isUsual reports whether the skeleton of raw is the usual one.
func (w *writer) isUsual(raw, usual []byte) bool {
	n := len(raw)
	for _, h := range w.hollows {
		n -= h.end - h.start - 1
	}
	if n != len(usual) {
		return false
	}
	from := 0
	for _, h := range w.hollows {
		n := h.start - from
		if !bytes.Equal(raw[from:h.start], usual[:n]) || usual[n] != h.mark {
			return false
		}
		usual, from = usual[n+1:], h.end
	}
	return bytes.Equal(raw[from:], usual)
}

// A filling is the native texts of a packet, and the elements that its variables say; nil where it has none.
type filling [marks + 1][]byte

// A fill tells where the texts went.
type fill [marks + 1]filled

// A filled is where a text went, and what take would find there.
type filled struct {
	start, end int
	e, seen    escaping
	exact      bool
}

// match reports whether the texts are those that were taken out.
func (at *fill) match(hollows []hollow) bool {
	n := 0
	for i := range at {
		if at[i].end > 0 {
			n++
		}
	}
	for _, h := range hollows {
		if at[h.mark].start != h.start || at[h.mark].end != h.end {
			return false
		}
	}
	return n == len(hollows)
}

// fill appends the skeleton with its hollows filled and its abbreviations written out.
func (t *filling) fill(dst, skeleton []byte, at *fill, e escaping) ([]byte, error) {
	for {
		i := beforeMark(skeleton)
		dst = append(dst, skeleton[:i]...)
		if i == len(skeleton) {
			return dst, nil
		}
		m, behind := skeleton[i], ""
		skeleton = skeleton[i+1:]
		switch {
		case m == shortBody:
			dst, m, behind = append(dst, bodyOpen...), markBody, bodyClose
		case m > marks:
			if dst = append(dst, longForms[m]...); len(dst) > longestSkeleton {
				return nil, contradiction("%s is longer than %d bytes", varXML, longestSkeleton)
			}
			continue
		}
		switch {
		case at[m].end > 0:
			return nil, contradiction("%s: mark %d occurs twice", varXML, m)
		case len(t[m]) == 0:
			return nil, contradiction("%s: mark %d without its text", varXML, m)
		}
		at[m].start = len(dst)
		if m >= markPhrase {
			dst = append(dst, t[m]...)
		} else {
			dst, at[m].seen, at[m].exact = escape(dst, t[m], e)
			at[m].e = e
		}
		at[m].end = len(dst)
		dst = append(dst, behind...)
	}
}

// beforeMark returns how many bytes at the start of a skeleton are neither marks nor abbreviations. It looks at eight at a
// time: nearly all are above the control characters.
func beforeMark(skeleton []byte) int {
	for i := 0; ; i++ {
		for ; len(skeleton)-i >= 8; i += 8 {
			x := binary.LittleEndian.Uint64(skeleton[i:])
			if low := (x - ' '*ones) &^ x & high; low != 0 { // a bit for each byte below the blank, the lowest is exact
				i += bits.TrailingZeros64(low) / 8
				break
			}
		}
		if i == len(skeleton) || class[skeleton[i]]&verbatim == 0 {
			return i
		}
	}
}

// check makes sure that each text went into the element that its mark belongs to, and makes up all of its content.
func (at *fill) check(s *xmpp.Stanza) error {
	left := *at
	for e := range s.Children() {
		start, inner, innerEnd, end := e.Span()
		if t := termOf(e, stanzaSpace(s)); t != nil && 0 < t.mark && t.mark < markPhrase &&
			left[t.mark].start == inner && left[t.mark].end == innerEnd {
			left[t.mark].end = 0
		}
		for m := markPhrase; m <= marks; m++ {
			if left[m].start == start && left[m].end == end {
				left[m].end = 0
			}
		}
	}
	for m := range left {
		if left[m].end > 0 {
			return contradiction("%s: mark %d in the wrong place", varXML, m)
		}
	}
	return nil
}

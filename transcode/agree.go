package transcode

import (
	"bytes"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// agree checks that a packet which says things both natively and in XML says the same in both: else people would see one
// thing on PSYC and another on XMPP. It may say more in one of them.
func (c *Converter) agree(s *xmpp.Stanza, p *psyc.Packet, r *reader) error {
	if psyc.Inherits(p.Method, "_jabber") {
		return nil
	}
	if err := r.filled.check(s); err != nil {
		return err
	}
	if s.Type == "error" {
		return agreeFailure(s, p, r)
	}
	ph := r.means.phrase
	if ph != nil && r.filled[markPhrase].end == 0 {
		if err := c.agreePhrase(s, p, ph); err != nil {
			return err
		}
	}
	switch s.Kind {
	case xmpp.Message:
		if !alike(r.texts[markBody], s.Text("body")) {
			return contradiction("body of %s is not that of its XML", p.Method)
		}
		return agreeText(s, "subject", r.texts[markSubject])
	case xmpp.Presence:
		if ph != nil && !r.v.has[fieldAvailability] {
			return agreeText(s, "status", r.texts[markStatus])
		}
		show, ok := shown(s.Text("show"))
		said := availabilityOf(p.Method, r.v.value[fieldAvailability])
		if s.Type == "" && (!ok || show.show != said.show) {
			return contradiction("%s of %s is not that of its XML", varAvailability, p.Method)
		}
		return agreeText(s, "status", r.texts[markStatus])
	}
	for i := range requests {
		q := &requests[i]
		if !psyc.Inherits(p.Method, q.method) {
			continue
		}
		for e := range s.Children() {
			if !e.Is(q.space, q.local) {
				return contradiction("%s asks for something else in its XML", p.Method)
			}
		}
	}
	return nil
}

// agreePhrase checks an element that travels as XML beside the variables that say what is in it.
func (c *Converter) agreePhrase(s *xmpp.Stanza, p *psyc.Packet, ph *phrase) error {
	c.probe.survey(s)
	q, err := c.probe.write(s, &c.book, form{})
	if err != nil || phraseOf(q.Method) != ph || impliedCode(p.Method) != impliedCode(q.Method) {
		return contradiction("%s is not what its XML says", p.Method)
	}
	if ph.usual == nil {
		return nil
	}
	said := words{p.Method, p.Entity, s.From, nil, &c.book}
	if !bytes.Equal(ph.usual(nil, &said), ph.usual(nil, c.probe.words(q.Method, s))) {
		return contradiction("variables of %s are not what its XML says", p.Method)
	}
	return nil
}

// agreeText checks a text that need not be there.
func agreeText(s *xmpp.Stanza, local string, native []byte) error {
	if e, ok := s.Child("", local); ok && len(native) > 0 && !alike(native, e.Text()) {
		return contradiction("%s is not that of the XML", local)
	}
	return nil
}

// alike compares a text with what is shown of it beside XML, which may have lost what lines cannot hold.
func alike(native []byte, text string) bool {
	return string(native) == text || bytes.Equal(degrade(native, false), degrade([]byte(text), false))
}

// agreeFailure checks the condition of an error.
func agreeFailure(s *xmpp.Stanza, p *psyc.Packet, r *reader) error {
	e, ok := s.Child("", "error")
	want := failureMethod(p.Method)
	if ok && want != nil {
		if _, ok = e.Child(nsStanzas, string(want.condition)); ok {
			return nil
		}
	}
	return contradiction("condition of %s is not that of its XML", p.Method)
}

package transcode

import (
	"encoding/base64"
	"fmt"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A field is an entity variable that a stanza is read from.
type field uint8

const (
	fieldNick field = iota
	fieldNickLocal
	fieldTimePlace
	fieldTimeLog
	fieldTopic
	fieldAction
	fieldAvailability
	fieldDescription
	fieldFragment
	fieldText
	fieldLanguage
	fieldSourceResource
	fieldTargetResource
	fieldAttributes
	fieldEscape
	fieldNamespace
	fieldPrefix
	fieldXML
	fieldEncoding
	fields
)

// fieldOf returns the field that a variable fills, or fields.
func fieldOf(name string) field {
	switch name {
	case varNick:
		return fieldNick
	case varNickLocal:
		return fieldNickLocal
	case varTimePlace:
		return fieldTimePlace
	case varTimeLog:
		return fieldTimeLog
	case varTopic:
		return fieldTopic
	case varAction:
		return fieldAction
	case varAvailability:
		return fieldAvailability
	case varDescription:
		return fieldDescription
	case varFragment:
		return fieldFragment
	case varText:
		return fieldText
	case varLanguage:
		return fieldLanguage
	case varSourceResource:
		return fieldSourceResource
	case varTargetResource:
		return fieldTargetResource
	case varAttributes:
		return fieldAttributes
	case varEscape:
		return fieldEscape
	case varNamespace:
		return fieldNamespace
	case varPrefix:
		return fieldPrefix
	case varXML:
		return fieldXML
	case varEncoding:
		return fieldEncoding
	}
	return fields
}

// A view is the headers of a packet by meaning.
type view struct {
	value [fields]psyc.Value
	has   [fields]bool

	source, target, context psyc.Value
	tag, answered           psyc.Value // its own, and that of the question
}

// read takes the variables of p. Of several with one name the last counts, except for those of the profile, which no honest
// sender repeats.
func (v *view) read(p *psyc.Packet) error {
	*v = view{}
	v.route(p)
	for i := range p.Entity {
		x := &p.Entity[i]
		if x.Op != psyc.Set && x.Op != psyc.Assign && x.Op != 0 {
			return &Error{xmpp.BadRequest, methodState, fmt.Errorf("packet changes state: %c%s", x.Op, x.Name)}
		}
		id := fieldOf(x.Name)
		if id == fields {
			continue
		}
		if v.has[id] && private(x.Name) {
			return contradiction("%s occurs twice", x.Name)
		}
		v.value[id], v.has[id] = x.Value, true
	}
	return nil
}

// route takes the routing variables of p.
func (v *view) route(p *psyc.Packet) {
	reply := psyc.Value(nil)
	for i := range p.Routing {
		x := &p.Routing[i]
		if x.Op != psyc.Set && x.Op != psyc.Assign && x.Op != 0 {
			continue
		}
		switch x.Name {
		case varSource:
			v.source = x.Value
		case varTarget:
			v.target = x.Value
		case varContext:
			v.context = x.Value
		case varTag:
			v.tag = x.Value
		case varTagRelay:
			v.answered = x.Value
		case varTagReply:
			reply = x.Value
		}
	}
	if len(v.answered) == 0 {
		v.answered = reply
	}
}

// xml returns the children that _jabber_XML holds.
func (v *view) xml() ([]byte, error) {
	xml := v.value[fieldXML]
	if !v.has[fieldEncoding] {
		return xml, nil
	}
	if string(v.value[fieldEncoding]) != "base64" || !v.has[fieldXML] {
		return nil, contradiction("%s is %q", varEncoding, cut(v.value[fieldEncoding]))
	}
	out, err := base64.StdEncoding.Strict().AppendDecode(nil, xml)
	if err != nil {
		return nil, contradiction("%s: %v", varXML, err)
	}
	return out, nil
}

// escaping returns how the hollowed texts are escaped.
func (v *view) escaping() (escaping, error) {
	if !v.has[fieldEscape] {
		return usualEscaping, nil
	}
	e, ok := parseEscaping(v.value[fieldEscape])
	if !ok {
		return 0, contradiction("%s is %q", varEscape, cut(v.value[fieldEscape]))
	}
	return e, nil
}

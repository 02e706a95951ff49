package rig

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Namespaces that the kit speaks.
const (
	nsClient = "jabber:client"
	nsXML    = "http://www.w3.org/XML/1998/namespace"
)

// Element is an XML element by its meaning: names with their namespaces, no prefixes and declarations, attributes in
// order of their names, adjacent character data in one piece.
type Element struct {
	Name  xml.Name
	Attr  []xml.Attr
	Nodes []Node
}

// Node is an element or, if Element is nil, character data.
type Node struct {
	Element *Element
	Text    string
}

// Parse reads one element as it stands in a client's stream: "jabber:client" is the default namespace.
func Parse(text string) (*Element, error) { return parse(text, nsClient) }

func parse(text, defaultNamespace string) (*Element, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.DefaultSpace = defaultNamespace
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("parsing %q: %w", text, err)
	}
	start, ok := token.(xml.StartElement)
	if !ok {
		return nil, fmt.Errorf("parsing %q: no element", text)
	}
	e, err := readElement(d, start)
	if err != nil {
		return nil, fmt.Errorf("parsing %q: %w", text, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("parsing %q: more than one element", text)
	}
	return e, nil
}

// readElement reads from behind a start tag to the end tag.
func readElement(d *xml.Decoder, start xml.StartElement) (*Element, error) {
	e := &Element{Name: start.Name}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			e.setAttribute(a.Name, a.Value)
		}
	}
	for {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			child, err := readElement(d, token)
			if err != nil {
				return nil, err
			}
			e.Nodes = append(e.Nodes, Node{Element: child})
		case xml.CharData:
			if last := len(e.Nodes) - 1; last >= 0 && e.Nodes[last].Element == nil {
				e.Nodes[last].Text += string(token)
			} else if len(token) > 0 {
				e.Nodes = append(e.Nodes, Node{Text: string(token)})
			}
		case xml.EndElement:
			return e, nil
		default:
			return nil, fmt.Errorf("%T is not allowed in a stream", token)
		}
	}
}

func compareNames(a, b xml.Name) int {
	if c := strings.Compare(a.Space, b.Space); c != 0 {
		return c
	}
	return strings.Compare(a.Local, b.Local)
}

// findAttribute returns where the attribute is or belongs.
func (e *Element) findAttribute(name xml.Name) (int, bool) {
	return slices.BinarySearchFunc(e.Attr, name, func(a xml.Attr, name xml.Name) int { return compareNames(a.Name, name) })
}

func (e *Element) setAttribute(name xml.Name, value string) {
	i, found := e.findAttribute(name)
	if found {
		e.Attr[i].Value = value
		return
	}
	e.Attr = slices.Insert(e.Attr, i, xml.Attr{Name: name, Value: value})
}

// attribute returns the value of an attribute and whether it is there.
func (e *Element) attribute(name xml.Name) (string, bool) {
	i, found := e.findAttribute(name)
	if !found {
		return "", false
	}
	return e.Attr[i].Value, true
}

// Attribute returns the value of an attribute without namespace, empty if it is absent.
func (e *Element) Attribute(local string) string {
	value, _ := e.attribute(xml.Name{Local: local})
	return value
}

// Child returns the first child element of that name, nil if there is none. It may be called on nil, so that paths can be followed.
func (e *Element) Child(space, local string) *Element {
	if e == nil {
		return nil
	}
	for _, n := range e.Nodes {
		if n.Element != nil && n.Element.Name == (xml.Name{Space: space, Local: local}) {
			return n.Element
		}
	}
	return nil
}

// Text returns the character data directly inside the element, empty for nil.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	var b strings.Builder
	for _, n := range e.Nodes {
		if n.Element == nil {
			b.WriteString(n.Text)
		}
	}
	return b.String()
}

// Diff says where two elements first differ, and is empty if they mean the same.
func Diff(want, got *Element) string {
	if want.Name != got.Name {
		return fmt.Sprintf("element %s, want %s", showName(got.Name), showName(want.Name))
	}
	if d := diffAttributes(want, got); d != "" {
		return showName(want.Name) + ": " + d
	}
	for i := range max(len(want.Nodes), len(got.Nodes)) {
		if d := diffNode(want.Nodes, got.Nodes, i); d != "" {
			return showName(want.Name) + ": " + d
		}
	}
	return ""
}

func diffAttributes(want, got *Element) string {
	for _, a := range want.Attr {
		value, found := got.attribute(a.Name)
		if !found {
			return fmt.Sprintf("attribute %s is missing, want %q", showName(a.Name), a.Value)
		}
		if value != a.Value {
			return fmt.Sprintf("attribute %s is %q, want %q", showName(a.Name), value, a.Value)
		}
	}
	for _, a := range got.Attr {
		if _, found := want.attribute(a.Name); !found {
			return fmt.Sprintf("attribute %s=%q was added", showName(a.Name), a.Value)
		}
	}
	return ""
}

func diffNode(want, got []Node, i int) string {
	if i >= len(got) {
		return showNode(want[i]) + " is missing"
	}
	if i >= len(want) {
		return showNode(got[i]) + " was added"
	}
	w, g := want[i], got[i]
	if w.Element != nil && g.Element != nil {
		return Diff(w.Element, g.Element)
	}
	if w.Element != nil || g.Element != nil || w.Text != g.Text {
		return showNode(g) + ", want " + showNode(w)
	}
	return ""
}

func showNode(n Node) string {
	if n.Element != nil {
		return "element " + showName(n.Element.Name)
	}
	return fmt.Sprintf("text %q", n.Text)
}

func showName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return "{" + n.Space + "}" + n.Local
}

// escape makes character data or an attribute value of a string.
func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

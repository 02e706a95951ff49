package transcode

import (
	"bytes"
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Service discovery (XEP-0030).
const (
	methodFeatures = "_notice_list_feature" // and what kind of entity it is
	methodItems    = "_notice_list_item"

	varIdentity    = "_identity"
	varName        = "_name"
	varFeatures    = "_list_feature"
	varItems       = "_list_item"
	varItemNames   = "_list_item_description"
	varItemNodes   = "_list_item_node"
	nsDiscoInfo    = "http://jabber.org/protocol/disco#info"
	nsDiscoItems   = "http://jabber.org/protocol/disco#items"
	maxDiscoLength = 4096 // of a list that is written natively
)

// entities are the kinds of entity that methods name, by the category of the identity.
var entities = [...]struct{ category, method string }{
	{"account", methodFeatures + "_person"},
	{"client", methodFeatures + "_person"},
	{"conference", methodFeatures + "_place"},
	{"headline", methodFeatures + "_newsfeed"},
	{"server", methodFeatures + "_server"},
}

// An identity is what an entity is, and psyced's word for that.
type identity struct{ word, category, typ string }

// identities are those that psyced has a word for. All others are category and type with a slash between.
var identities = [...]identity{
	{"administrator", "account", "admin"},
	{"newbie", "account", "anonymous"},
	{"person", "account", "registered"},
	{"place", "conference", "irc"},
	{"news", "headline", "rss"},
	{"chatserver", "server", "im"},
}

// features are psyced's words for features. All others are called what XMPP calls them.
var features = [...]struct{ feature, namespace string }{
	{"vCard", nsVCard},
	{"list_feature", nsDiscoInfo},
	{"list_item", nsDiscoItems},
	{"version", nsVersion},
	{"lasttime", nsLast},
	{"time", nsTime},
}

// sayFeatures reads what an entity with one identity is and can do.
func sayFeatures(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	identity, ok := e.Child(nsDiscoInfo, "identity")
	if !ok || s.Type != "result" {
		return ""
	}
	category, _ := identity.AttrBytes("category")
	w.sayIdentity(identity, category, f)
	w.sayAttr(varName, identity, "name", f)
	w.sayAttr(varFragment, e, "node", f)
	n, ok, known := len(w.buf), true, 0
	for c := range e.Children() {
		switch {
		case c.Is(nsDiscoInfo, "feature"):
			feature, _ := c.AttrBytes("var")
			ok = ok && w.sayElement(n, featureOf(feature))
			known++
		case known == 0 && c == identity:
		case !f.plain:
			return "" // there is more to it, or it is in another order: it travels whole
		}
	}
	if ok && len(w.buf) > n {
		w.setBytes(varFeatures, w.buf[n:len(w.buf):len(w.buf)])
	}
	for i := range entities {
		if entities[i].category == string(category) {
			return entities[i].method
		}
	}
	return methodFeatures
}

// sayIdentity says what PSYC calls an identity.
func (w *writer) sayIdentity(identity xmpp.Element, category []byte, f form) {
	typ, _ := identity.AttrBytes("type")
	for i := range identities {
		if known := &identities[i]; known.category == string(category) && known.typ == string(typ) {
			w.set(varIdentity, known.word)
			return
		}
	}
	n := len(w.buf)
	w.buf = append(append(append(w.buf, category...), '/'), typ...)
	w.sayBytes(varIdentity, w.buf[n:len(w.buf):len(w.buf)], f)
}

// featureOf returns what PSYC calls a feature.
func featureOf(namespace []byte) []byte {
	for i := range features {
		if known := &features[i]; known.namespace == string(namespace) {
			return []byte(known.feature)
		}
	}
	return namespace
}

func usualFeatures(dst []byte, w *words) []byte {
	dst = attribute(append(dst, "<query xmlns='"+nsDiscoInfo+"'"...), "node", w.get(varFragment))
	dst = append(dst, "><identity"...)
	category, typ, _ := bytes.Cut(w.get(varIdentity), []byte("/"))
	if known := identityOf(category); known != nil && len(typ) == 0 {
		dst = attribute(attribute(dst, "category", known.category), "type", known.typ)
	} else {
		dst = attribute(attribute(dst, "category", category), "type", typ)
	}
	dst = append(attribute(dst, "name", w.get(varName)), "/>"...)
	for e, err := range w.get(varFeatures).List() {
		if err != nil {
			break
		}
		dst = append(dst, "<feature"...)
		if known := namespaceOf(e.Value); known != "" {
			dst = attribute(dst, "var", known)
		} else {
			dst = attribute(dst, "var", e.Value)
		}
		dst = append(dst, "/>"...)
	}
	return append(dst, "</query>"...)
}

// identityOf returns the identity that psyced has a word for, nil if it has none.
func identityOf(word []byte) *identity {
	for i := range identities {
		if identities[i].word == string(word) {
			return &identities[i]
		}
	}
	return nil
}

// namespaceOf returns the feature that psyced has a word for, "" if it has none.
func namespaceOf(word []byte) string {
	for i := range features {
		if features[i].feature == string(word) {
			return features[i].namespace
		}
	}
	return ""
}

// sayItems reads the items of an entity. Three lists run beside each other; what an item has not is "-" there.
func sayItems(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	if s.Type != "result" {
		return ""
	}
	node, _ := e.Attr("node")
	w.say(varFragment, node, f)
	var items, names, nodes []string
	var named, noded bool
	for c := range e.Children() {
		jid, _ := c.Attr("jid")
		j, err := uniform.RelayJID(jid)
		if err != nil {
			return ""
		}
		u := j.Uniform().String()
		if j.Resource() != "" {
			u = "xmpp:" + jid
		}
		name, hasName := c.Attr("name")
		node, hasNode := c.Attr("node")
		items, names, nodes = append(items, u), append(names, orNone(name)), append(nodes, orNone(node))
		named, noded = named || hasName, noded || hasNode
	}
	w.sayList(varItems, items)
	if named {
		w.sayList(varItemNames, names)
	}
	if noded {
		w.sayList(varItemNodes, nodes)
	}
	return methodItems
}

// noItem stands for an element of a list that another list has and this has not: an empty element is none in PSYC 0.9.
const noItem = "-"

func orNone(s string) string {
	if s == "" {
		return noItem
	}
	return s
}

func usualItems(dst []byte, w *words) []byte {
	dst = attribute(append(dst, "<query xmlns='"+nsDiscoItems+"'"...), "node", w.get(varFragment))
	items, names, nodes := w.listed(varItems), w.listed(varItemNames), w.listed(varItemNodes)
	if len(items) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(dst, '>')
	for i, item := range items {
		jid, ok := strings.CutPrefix(item, "xmpp:")
		if !ok {
			j, err := w.book.jid([]byte(item), nil)
			if err != nil {
				continue
			}
			jid = j.String()
		}
		dst = attribute(append(dst, "<item"...), "jid", jid)
		if i < len(nodes) && nodes[i] != noItem {
			dst = attribute(dst, "node", nodes[i])
		}
		if i < len(names) && names[i] != noItem {
			dst = attribute(dst, "name", names[i])
		}
		dst = append(dst, "/>"...)
	}
	return append(dst, "</query>"...)
}

// sayList sets a variable to a list, unless the list is long or an element is none in every syntax. What PSYC says then is
// less than what XMPP said.
func (w *writer) sayList(name string, list []string) {
	n := len(w.buf)
	for _, s := range list {
		if !w.sayElement(n, []byte(s)) {
			return
		}
	}
	if len(w.buf) > n {
		w.setBytes(name, w.buf[n:len(w.buf):len(w.buf)])
	}
}

// sayElement appends an element to the list that begins at n, if it may stand in one.
func (w *writer) sayElement(n int, value []byte) bool {
	if !plain(value, maxValue) || len(w.buf)-n > maxDiscoLength {
		return false
	}
	w.buf = psyc.AppendList(w.buf, "", psyc.Element{Value: value})
	return true
}

// listed returns the elements of a list; one that is broken ends there.
func (w *words) listed(name string) []string {
	var out []string
	for e, err := range w.get(name).List() {
		if err != nil {
			break
		}
		out = append(out, string(e.Value))
	}
	return out
}

package transcode

import (
	"iter"
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

// identities are psyced's words for identities. All others are category and type with a slash between.
var identities = [...]struct{ identity, category, typ string }{
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
	category, _ := identity.Attr("category")
	typ, _ := identity.Attr("type")
	w.say(varIdentity, identityOf(category, typ), f)
	name, _ := identity.Attr("name")
	w.say(varName, name, f)
	node, _ := e.Attr("node")
	w.say(varFragment, node, f)
	n, ok := len(w.buf), true
	for c := range e.Children() {
		if c.Is(nsDiscoInfo, "feature") {
			feature, _ := c.Attr("var")
			for i := range features {
				if features[i].namespace == feature {
					feature = features[i].feature
				}
			}
			ok = ok && w.sayElement(n, feature)
		}
	}
	if ok && len(w.buf) > n {
		w.setBytes(varFeatures, w.buf[n:len(w.buf):len(w.buf)])
	}
	for _, entity := range entities {
		if entity.category == category {
			return entity.method
		}
	}
	return methodFeatures
}

// identityOf returns what PSYC calls an identity.
func identityOf(category, typ string) string {
	for i := range identities {
		if identities[i].category == category && identities[i].typ == typ {
			return identities[i].identity
		}
	}
	return category + "/" + typ
}

func usualFeatures(dst []byte, w *words) []byte {
	dst = attribute(append(dst, "<query xmlns='"+nsDiscoInfo+"'"...), "node", w.get(varFragment))
	category, typ, _ := strings.Cut(string(w.get(varIdentity)), "/")
	for _, i := range identities {
		if i.identity == category && typ == "" {
			category, typ = i.category, i.typ
		}
	}
	dst = append(dst, "><identity"...)
	dst = attribute(attribute(dst, "category", category), "type", typ)
	dst = append(attribute(dst, "name", w.get(varName)), "/>"...)
	for e, err := range w.list(varFeatures) {
		if err != nil {
			break
		}
		feature := e.Value
		for i := range features {
			if features[i].feature == string(feature) {
				feature = psyc.Value(features[i].namespace)
			}
		}
		dst = append(attribute(append(dst, "<feature"...), "var", feature), "/>"...)
	}
	return append(dst, "</query>"...)
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
		if !w.sayElement(n, s) {
			return
		}
	}
	if len(w.buf) > n {
		w.setBytes(name, w.buf[n:len(w.buf):len(w.buf)])
	}
}

// sayElement appends an element to the list that begins at n, if it may stand in one.
func (w *writer) sayElement(n int, s string) bool {
	if !plain(s, maxValue) || len(w.buf)-n > maxDiscoLength {
		return false
	}
	w.buf = psyc.AppendList(w.buf, "", psyc.Element{Value: psyc.Value(s)})
	return true
}

// list yields the elements of a list; no value is none.
func (w *words) list(name string) iter.Seq2[psyc.Element, error] {
	v := w.get(name)
	if len(v) == 0 {
		return func(func(psyc.Element, error) bool) {}
	}
	return v.List()
}

// listed returns the elements of a list; one that is broken ends there.
func (w *words) listed(name string) []string {
	var out []string
	for e, err := range w.list(name) {
		if err != nil {
			break
		}
		out = append(out, string(e.Value))
	}
	return out
}

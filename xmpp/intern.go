package xmpp

// intern returns b as a string, without allocation for what occurs in every second stanza.
func intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := interned[string(b)]; ok {
		return s
	}
	return string(b)
}

var interned = func() map[string]string {
	words := []string{
		"message", "presence", "iq", // elements
		"body", "subject", "thread", "show", "status", "priority", "error", "text", "query", "ping", "item", "feature",
		"identity", "active", "composing", "paused", "delay", "x", "c",
		"from", "to", "id", "type", "xml:lang", "xmlns", // attributes
		"chat", "groupchat", "headline", "normal", "get", "set", "result", "unavailable", "probe", // types
		"subscribe", "subscribed", "unsubscribe", "unsubscribed",
		"en",
		NSClient, NSServer, NSAccept, NSStreams, NSDialback, NSStanzaErrors, NSStreamErrors,
		nsCaps, nsDelay, nsDiscoInfo, nsDiscoItems, nsMUCUser, nsNick, nsPing, nsStanzaID,
		"http://jabber.org/protocol/chatstates", "http://jabber.org/protocol/muc", "http://jabber.org/protocol/pubsub#event",
		"urn:xmpp:sm:3",
	}
	m := make(map[string]string, len(words))
	for _, w := range words {
		m[w] = w
	}
	return m
}()

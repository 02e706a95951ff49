// Package xmpp reads and writes XMPP stanzas and speaks XMPP streams between servers and to components.
//
// # Stanzas
//
// A [Stanza] is a message, presence or iq (RFC 6120 section 8). Its attributes are fields; its children stay the bytes that
// they came in, checked, and are looked at through an index:
//
//	for s, err := range xmpp.NewDecoder(r).Stanzas() {
//		...
//		fmt.Println(s.From, s.Text("body"))
//	}
//
// An [Element] is a view of one child and costs nothing. [Stanza.Child] finds by namespace and name, never by prefix;
// [Stanza.SetText], [Stanza.SetRaw] and [Stanza.SetTree] change children, the last by way of a [etree.Element]. For a
// few extensions that servers need there are typed views, such as [Stanza.Delay], [Stanza.DiscoInfo], [Stanza.MUCUser]
// and [Stanza.Error]. A view of something that is not there, or not as it should be, is empty: an extension that makes no
// sense to us never breaks the stanza, let alone the stream.
//
// # What is kept
//
// Writing a stanza again loses nothing: [Stanza.Append] writes children byte for byte, with their prefixes, CDATA sections and
// white space, and the stanza's element with the same attributes, of which unknown ones are in Attrs. Addresses are
// canonical in From and To, and written in the spelling that they came in. An address that PRECIS refuses but other servers
// let pass is carried as it is; one that is no address at all, or an iq whose type does not exist, is a [*StanzaError] that
// comes together with the stanza.
//
// Children can only be understood in their namespaces. What the stanza element declares is in Attrs. When a stanza leaves its
// stream, each prefix that was declared on the stream and occurs in the stanza is added there, and the default namespace if it
// is not that of the stanza. The content namespace of
// the stream (jabber:client, jabber:server, jabber:component:accept) means "here", and changes with the stream:
// [Stanza.AppendFor] rewrites it where the stanza or one of its children declares it explicitly. This is the one change to
// the bytes of children that is ever made.
//
// What is written is well-formed, whatever the fields hold. Characters that XML forbids (control characters but tab and line
// ends, U+FFFE, U+FFFF, bytes that are not UTF-8) become U+FFFD in values and text; escaping cannot make them legal, and
// a server that sees one closes the stream for everybody on it. Names are never altered: an attribute with a bad one is
// left out.
//
// # XML
//
// XMPP uses a part of XML (RFC 6120 section 11), and the reader accepts this part and nothing else: UTF-8 without a byte order
// mark, no document type, comments, processing instructions, or entities but the predefined five; names by the fourth edition
// of XML 1.0, which is what the parsers of other servers know; prefixes declared, no attribute twice. A fault is a
// [*StreamError] with the condition that the peer deserves and a [*SyntaxError] that says where it is. [Limits] bound
// what a peer can make us hold, and an element is cut off at its very last byte, since what follows may be another protocol.
//
// # Streams
//
// A [Stream] is a stream between two servers over any [net.Conn] (RFC 6120 section 4). [Initiate] makes the side that
// sends stanzas, [Accept] the side that gets them: a stream carries them one way, and two servers that talk have two.
// [Stream.Negotiate] gets it ready, [Stream.Send] and [Stream.Stanzas] use it, [Stream.Close] ends it in order.
//
//	s := xmpp.Initiate(conn, &xmpp.Config{
//		Local:    "montague.example",
//		Remote:   "capulet.example",
//		Features: []xmpp.Feature{xmpp.StartTLS(certs), xmpp.External(nil), xmpp.Dialback(dialback)},
//	})
//	defer s.Close()
//	if err := s.Negotiate(ctx); err != nil {
//		return err
//	}
//	return s.Send(ctx, stanza)
//
// What is negotiated is a list of [Feature] values, tried in order: [StartTLS], SASL EXTERNAL by [External] (XEP-0178) and
// dialback by [Dialback] (XEP-0220), and what follows below. Others plug in, up to one that takes the connection over for another protocol
// ([Stream.Hijack]). TLS is required unless [Config] says otherwise. Finding the peer, dialling it, and choosing between
// streams is left to the caller, and so is asking an authoritative server, which needs all three: see [DialbackConfig].
//
// [Component] makes the stream one between a server and an external component (XEP-0114), in either role; stanzas
// flow both ways on it. With [Bidi] (XEP-0288) they do so between servers, too, which then need one stream instead of two; what
// the initiating side takes from the accepting one is limited to what TLS proved.
//
// With [Management] (XEP-0198) each side acknowledges what it has handled, and a session goes on in another stream when its connection
// breaks ([Stream.Resume]), without losing or doubling a stanza. Where the peer cannot do that, such as Prosody's mod_smacks, which
// acknowledges between servers but resumes the sessions of clients only, [Stream.Unacknowledged] gives back what has to be sent again;
// without stream management [Stream.Unsent] gives back only what certainly did not arrive.
//
// Nobody is believed by name. What a peer has proved is a set of pairs of domains ([Stream.Proofs]); a stanza from any other
// domain, or to one that is not hosted, ends its stream and no other. An answer to dialback counts only if it was asked for
// on this stream. Of a certificate chain only the leaf proves a domain ([VerifyDomain]).
//
// A peer can make a stream hold no more than [Limits] say, less before it is authenticated, and wait no longer than
// [Timeouts] say, wherever it stops. Errors tell whose fault it was: a [*StreamError] with Local set is what we told the
// peer, without it what the peer told us.
package xmpp

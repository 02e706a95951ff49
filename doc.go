// Package switchyard is the map of an SDK for federating chat servers; it declares nothing.
//
// A server built on it speaks XMPP and PSYC to other servers, finds out which of the two a peer has, goes over to PSYC
// where the peer can, and loses nothing on the way between them.
//
//	uniform     addresses: uniforms, JIDs, and the one key of a person
//	psyc        PSYC packets in both syntaxes, and circuits
//	xmpp        stanzas, and streams between servers
//	transcode   stanza to packet and back, without loss
//	switch      (package psycswitch) DNS hints, the protocol switch, links, the router
//
// Imports go one way, in that order; psyc and xmpp do not know each other, and each package can be used without those
// behind it. Programs that use them are in the module examples: a demonstration, a gateway for XMPP servers that need not
// change, and psycat, which converts and shows packets.
//
// A stanza on its way: a [psycswitch.Router] accepts a connection and looks at its first byte; an [xmpp.Stream] cuts
// the stanza from it and knows that its domain was proved; the router finds a link to the domain that the stanza goes to; a
// [transcode.Converter] makes a packet of it; a [psyc.Circuit] sends the packet. The way in is the same, backwards.
//
// [psycswitch.Router]: https://pkg.go.dev/github.com/switchyard-im/switchyard/switch#Router
// [xmpp.Stream]: https://pkg.go.dev/github.com/switchyard-im/switchyard/xmpp#Stream
// [transcode.Converter]: https://pkg.go.dev/github.com/switchyard-im/switchyard/transcode#Converter
// [psyc.Circuit]: https://pkg.go.dev/github.com/switchyard-im/switchyard/psyc#Circuit
package switchyard

// Package psycswitch finds out what a domain speaks, switches XMPP streams to PSYC, and routes stanzas over both.
//
// Its import path ends in "switch", which is a keyword; import it by its name:
//
//	import psycswitch "github.com/switchyard-im/switchyard/switch"
//
// # Layers
//
// A [Resolver] knows the ways to a domain, best first: PSYC where DNS offers it, else XMPP. [Dial] walks them and
// returns a [Link], which carries stanzas between proved domains over an [xmpp.Stream] or a [psyc.Circuit]; [Accept] is
// the other side and tells the protocols apart by their first byte. A [Router] keeps links for any number of domains,
// queues while a link comes up, keeps the order, and bounces what cannot be delivered.
//
// # The switch
//
// Two servers that both know it turn an XMPP stream into a PSYC circuit on the same connection. Every
// <stream:features/> offers it, with the syntaxes that the server reads:
//
//	<psyc xmlns='urn:x-switchyard:psyc:0'><syntax>1.0</syntax></psyc>
//
// As soon as the receiving side has proved the initiator's pair of domains, by dialback or SASL EXTERNAL, and no
// db:result or db:verify is outstanding on the stream, the initiator asks, and sends nothing more until the answer:
//
//	<switching xmlns='urn:x-switchyard:psyc:0' h='0'><syntax>1.0</syntax></switching>
//
// The receiving side answers with the syntax that it chose, and reads PSYC from the byte after </switching>:
//
//	<switched xmlns='urn:x-switchyard:psyc:0' h='0'><syntax>1.0</syntax></switched>
//
// or with <not-switched xmlns='urn:x-switchyard:psyc:0'/>, after which the stream goes on as XMPP. h is the number of
// stanzas that the sender of the element has received on the stream. There is no </stream:stream>. The initiator sends
// its PSYC greeting after the last byte of <switched/>. An initiator that has no answer within 10 seconds drops the
// connection, because the peer may have switched. The element is not called "switch" because psyced takes any element
// of that name for its own.
//
// What was proved before the switch holds after it. The receiving side knows the initiator's domains by dialback or
// certificate. The initiator knows the domain that it asked for by the certificate that the server showed in TLS, or else
// by having dialled it, which is worth as much as dialback is: both trust the name servers. Another pair of domains is asked for with
// _request_authorization (_uniform_source, _uniform_target); a pair that cannot be proved on this connection gets one of its own.
//
// # Delivery
//
// A router accepts from a link only what comes from a domain that the link's peer has proved and goes to a domain
// hosted here. Order is kept for each pair of domains. A stanza that was given to a link and not yet written when the
// link broke is sent by the next one. What has been written but not processed when a link breaks can be lost, as with
// any XMPP server that has no stream management.
//
// # Log keys
//
// With [Config].Logger set, these keys are used; values of secrets and stanza payloads are never logged.
//
//	addr       address of the other end of a connection
//	local      domain that lives here
//	remote     domain that lives elsewhere
//	protocol   XMPP or PSYC
//	dialled    whether we opened the connection
//	tls        version and cipher suite, or "none"
//	hint       what the resolver said (Hint.String)
//	stanzas    number of stanzas concerned
//	from, to   addresses of a stanza
//	listener   address that connections are accepted on
//	error      what went wrong
//
// # Limits
//
//	Config.DialTimeout       look-up, connection, proof        30 s
//	QueueLimits.Stanzas      waiting for one pair of domains   10,000
//	QueueLimits.Bytes        waiting in all                    64 MiB
//	Router.Grace             orderly end                       10 s
//	back-off                 between attempts at a domain      1 s, doubled up to 1 min
//	xmpp.Limits, psyc.Limits what a peer can make us hold      see there
package psycswitch

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
// There is no type for listeners: [Router.Serve] takes any number of them, on one port or several, and each of them serves XMPP, PSYC
// and direct TLS with either inside. A program that has other protocols on the port as well hands the rest to [Accept].
//
// # Which protocol
//
// Hints of DNS come first: a PSYC record means that no XMPP server is dialled for stanzas unless all PSYC servers have failed
// (a dialback key is verified at an XMPP server whatever the hints are). On direct TLS both sides name what they speak by ALPN,
// "psyc" and "xmpp-server", in that order of preference, so that two that speak PSYC begin with it, at an XMPP port as well.
// On any other XMPP stream there is the switch. What failed is remembered, by pair of domains: the switch, or PSYC that ALPN had agreed
// on, for an hour, PSYC hints that led nowhere for ten minutes; all of that is forgotten when the way that is left fails.
// A PSYC server that refuses us and whose greeting offers XMPP (_available_protocols XMPP-S2S/1:5269) is tried in XMPP at the same address, after
// what DNS says.
//
// Round trips until the first stanza leaves, from a TCP connection that is not there yet, as the tests of this package count them.
// Look-ups in DNS come on top, and half a round trip for the stanza itself:
//
//	PSYC hint, without TLS                             2   TCP, greeting and request for the pair in one
//	PSYC hint, TLS                                     3   with TLS 1.3
//	XMPP hint, direct TLS, PSYC by ALPN                3
//	XMPP hint, direct TLS, EXTERNAL, XMPP alone        5
//	XMPP hint, STARTTLS, EXTERNAL, XMPP alone          7
//	XMPP hint, STARTTLS, EXTERNAL, then the switch     8
//	XMPP hint, STARTTLS, dialback, XMPP alone         12   six of them are the peer's, which verifies the key
//	XMPP hint, STARTTLS, dialback, then the switch    13
//	XMPP hint, without TLS, dialback, XMPP alone       6
//	XMPP hint, without TLS, dialback, then the switch  7
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
// The receiving side answers with the syntax that it chose, sends its PSYC greeting right behind that, and reads PSYC from the byte
// after </switching>:
//
//	<switched xmlns='urn:x-switchyard:psyc:0' h='0'><syntax>1.0</syntax></switched>
//
// or with <not-switched xmlns='urn:x-switchyard:psyc:0'/>, after which the stream goes on as XMPP. h is the number of
// stanzas that the sender of the element has received on the stream. There is no </stream:stream>. The initiator sends
// its PSYC greeting after the last byte of <switched/>. An initiator that has no answer within 10 seconds drops the
// connection, because the peer may have switched. The element is not called "switch" because psyced takes any element
// of that name for its own.
//
// What was proved before the switch holds after it. The receiving side knows the initiator's domains by dialback or certificate. The
// initiator knows the domain that it asked for by the certificate that the server showed in TLS, or else by having dialled it, which is
// worth as much as the name servers are, and so as much as dialback; [Config].RequireCertificate does not take that. Proofs end with the
// certificate, or after 24 hours, and links that rest on them are closed in order. Another pair of domains is asked for with
// _request_authorization (_uniform_source, _uniform_target); a pair that cannot be proved on this connection, see below, gets one of its
// own.
//
// On circuits between two that know psyc.ModuleState a packet does not repeat the addresses of the one before, which saves about a sixth of the
// bytes of conversations; Config.PSYC.RepeatAddresses switches that off.
//
// # Domains that come and go
//
// [Hosts] is asked whenever it matters: for every TLS handshake by the server name, for every proof, for every stanza; it may have several
// certificates for a domain ([CertificateLister]). Domains come, and certificates change, without a call and without a link that ends. A domain
// that others find here by SRV or CNAME is asked for by its own name, so that it needs no more than its certificate. When a domain leaves,
// [Router.Withdraw] stops what is sent from it and to it at once.
//
// A certificate in TLS names a few domains; a circuit on TLS carries any number. Two that understand the module psyc.ModuleHosts prove the
// others by certificates inside: with a signature over a value exported from TLS, as package psyc specifies, in both directions and after a
// switch, too. One more domain costs the round trip for the pair, as ever, one for the proof, and about 0.2 ms of processor time in all
// with ECDSA on P-256. A router asks for
//
//	one of its own domains     as soon as something is sent from it to a domain at the other end
//	a domain of the peer       if DNS gives for it the address of the other end, before it dials; DNS is believed as to whom to ask, no more
//	a proof that ends          in the last five minutes, so that certificates that have been renewed are good from then on
//
// What is not proved does not go by that circuit: it gets a connection of its own, or bounces, and the circuit goes on. A peer that cannot
// do this, psyced among them, sees certificates in TLS and dialback as before, and so does everybody on XMPP.
//
// There is no such feature for XMPP streams, because nobody would use it. Two Switchyards leave XMPP by the switch as soon as their first
// pair is proved, and prove the rest on the circuit; without TLS there would be nothing to sign. Streams remain where one side does not
// know the switch, and so would not know the feature, or where its Config.Protocols is [XMPP]: then further domains take dialback, as
// between all servers.
//
// # Simultaneous dials
//
// Two Switchyards that dial each other at the same moment have two circuits, of which one is enough, as each carries both directions. However they
// have come about, the circuit stays that the server with the smaller name has dialled; a circuit without TLS does not stay rather than one with it.
// The names are those by which the dialling sides greet (_uniform_source), that is the domains that they have dialled from, compared byte by byte.
// Both servers know them, and so each can tell by itself; that the servers are the same ones is seen by the instances in the greetings.
//
// Who has dialled a circuit that is not to stay waits until nothing has come or gone by it for a second, and all that did has been handled;
// then it asks on the others for every pair of domains that goes or comes by it, 16 in a round trip. If all are granted, and so all domains
// proved, it closes the circuit in order: what is in it is handled and acknowledged before anything goes by another one, so that nothing is
// lost, doubled or overtaken. If one is refused, the circuit stays as well, until something more is allowed on the others. Peers that are
// no Switchyards, and XMPP streams, are left alone.
//
// # psyced
//
// A PSYC server that does not announce the profile of Switchyard gets native packets alone, and what stateless conversion cannot do is
// remembered for its domain, over all links to it: requests go out under tags of our own and bounce after a minute; echoes are returned for
// what arrives and consumed where they confirm; people are written as the peer spelt them last; friendships, which PSYC has for both
// directions at once, never leave a request pending; presence goes to each contact by name, and is delivered once to whom it concerns
// however often it is cast; a place is a room of XEP-0045 under the address *place@domain. Messages have no tag there: an error is about
// the oldest message of that sender that the peer has not echoed. The memory lives as long as the router. When the router stops, our people
// leave their places (status 110 and 332): which client it was that entered is known here alone.
//
// A room node@domain of ours is the place psyc://domain/@node, if the domain says by service discovery that it has rooms; it is asked when
// somebody wants to enter. psyced's people enter, talk, invite, kick and set the topic as in any place, and the room sees each of them as
// person@domain/psyc. For the peer the room is a context: what it says to several of them is cast once. Where the room does not tell everybody
// who the occupants are (status 100), they are xmpp:node@domain/nick, an address that takes private messages; what one of psyced's people says
// there goes to each of them by name, as the speaker alone may be told that it is from him. A history is not to be had but by entering.
//
// Presence goes by name because nothing confirms that psyced has a person of ours as a context: it drops casts of contexts that it does not
// know without a word, and never has those of friends whom it knows under the scheme xmpp.
//
// psyced has a switch of its own, <switch xmlns='http://switch.psyced.org'><scheme>psyc</scheme></switch>, which leads to PSYC 0.9. We ask
// for it once we are believed by certificate or dialback, and offer it to whom we believe by certificate; where [Config.Psyced] names the
// domain, both happen at once, as psyced itself does it, and PSYC's own proofs decide. Such a domain is spoken to in 0.9; any other is
// tried in 1.0 first, in which psyced has _request_authorization, and in 0.9 where it refuses that. In TLS psyced believes in cipher names
// of TLS 1.2 alone. In 0.9 each local domain has a circuit of its own, whose first packet is a question: psyced ends the circuit of a
// source that it does not believe, and then XMPP is taken for an hour. psyced has not been seen to use TLS on a connection of its own:
// where [Config.Insecure] does not have [Plaintext], its circuits are let in with [Addresses], but its streams are not, whatever they want
// to become. In 1.0 psyced's driver breaks down over several packets in one read, so that they go one at a time, 10 ms apart, and it
// swallows keep-alives: name the domain in [Config.Psyced] if you can.
//
// Sessions with a real psyced are replayed against links, in both roles. What links do otherwise than the peer that was recorded is listed in package
// internal/replay, with the reasons.
//
// # Delivery
//
// A router accepts from a link only what comes from a domain that the link's peer has proved and goes to a domain
// hosted here. Nobody can prove a hosted domain to its own router.
//
// Order is kept for each pair of domains, over messages, presence and iq, errors included. What comes by a new link waits until that is
// handled which came by the link before. A stanza that was given to a link and not written when the link broke goes first by the next one.
// What becomes of one that was written depends on what the other side is:
//
//   - Another Switchyard, by PSYC: exactly once. Stanzas in flight are kept until the peer has acknowledged them; when the link breaks the peer
//     says by the next one how far it got, and the rest goes again (see "Sessions" in package psyc). A peer that stops says so before it goes.
//     Only if it cannot tell, because it has been started anew, or because the link broke while one of the two was stopping, is the rest in doubt.
//   - Another Switchyard, by XMPP, or any server that resumes sessions between servers (XEP-0198): exactly once. The next stream takes up the
//     session of the one that broke and learns how much arrived. There is nothing to take up before the server has answered
//     <enable/>, which takes a round trip: what was sent by then, if the stream breaks, is in doubt.
//   - An XMPP server that acknowledges but does not resume, as Prosody 0.12 does: at least once. What it has not acknowledged is in doubt.
//   - An XMPP server that does not acknowledge, such as ejabberd: at least once, by barriers. Behind 64 stanzas, or 200 ms after one, it is sent
//     a ping (XEP-0199) from our domain of the stream, see [Barriers]; servers work a stream in order, so that the answer acknowledges everything
//     before. It comes by the stream that the server has to us, or has to open for that, and the Handler does not see it. What was sent behind
//     the last barrier that was answered is in doubt, also when the server was the first to close the stream.
//   - An XMPP server that answers no pings, and a PSYC server without the module: at most once. What was in flight when the link broke does not
//     go again. Over XMPP that is taken to be what was sent in the last minute, up to 10,000 stanzas. So it is with a router that
//     has no listeners, by which answers could come, or whose barriers are switched off.
//
// What is in doubt is logged and told to [Trace].Unacknowledged. Messages and presence go again at their place in the order, marked by a delay
// element (XEP-0203) that says so, results and errors of requests go again as they are, and requests (iq get and set) bounce with
// remote-server-timeout. What is in doubt for the third time is what the peer breaks the links over; it bounces, as does what is in doubt
// when its domain is given up, with the text "It may have arrived." [Router].NoSessions switches all of this off: then everything goes at
// most once.
//
// A ping behind every 64 stanzas is less than 2% of them. A message on its own costs a ping and its answer; answers call for no barrier, so that two
// servers which both send them come to an end.
//
// A [Store] keeps what Send has taken until it is delivered or bounced. What is in it when Serve begins goes again, marked in the same way.
// A message that is delivered more than a minute after Send has taken it gets a delay element, too.
//
// A domain that cannot be reached is tried once, and what waits for it bounces; if its last link has worked, it is tried for 30 seconds more.
// Then it is left alone for a second, later for up to a minute (or, by chance, up to a quarter less), and what is sent to it meanwhile bounces
// at once. [Router].Persist has all of it wait instead. What waits, there or for a link that takes nothing, is given up when it is too old
// ([Lifetimes]): requests after a minute, presence after five, messages after an hour. Newer presence of somebody to the same bare address
// takes the place of older.
// Bounces name a condition of RFC 6120 section 8.3.3:
//
//	remote-server-not-found   DNS has no way to the domain, or who answers there does not host it
//	remote-server-timeout     nobody answers, or the two sides come to no terms, such as TLS that one of them demands
//	resource-constraint       the queue is full
//	policy-violation          larger than the peer takes, or not for its protocol
//
// They come from the target, with the id of the stanza, and repeat its children in front of the error unless these are what was
// wrong. Errors, results, headlines, and presence that is addressed to nobody in particular never bounce.
//
// # Fan-out
//
// XMPP sends a stanza per contact. Between two Switchyards the copies go as one packet, a cast: presence, events (headlines), and what is
// said in rooms, as package transcode specifies under "Fan-out". It is in use on a circuit in the 1.0 syntax whose sides have agreed on the
// profile and have both named _switchyard_audience among the _understand_modules of their greetings. All that either side knows of
// audiences belongs to one direction of one circuit, begins with nothing and ends with it; of two circuits, one dialled by each side,
// neither knows of the other.
//
// Copies are gathered where a link is given them: consecutive stanzas from one bare address that differ in to alone. Presence waits for
// another copy for 20 ms, and as long as they come for up to 200 ms; headlines and groupchat do not wait for the clock, but go together if
// they wait for the link together, or as [Casts].MessageDelay says. Whatever else comes from the same bare address ends the waiting. Order
// is kept for each pair of bare addresses.
//
// A change of presence costs the same for ten recipients as for a thousand, once the audience is known: about 180 bytes beside its texts,
// the acknowledgement included. Each member costs about 35 bytes once in a circuit, and so does one who is added or taken out.
//
// Each copy is a stanza in every other respect: it is stored, acknowledged, sent again and bounced by itself. All copies of a cast are
// acknowledged with its packet. The receiver keeps back what follows a cast whose audience it does not know until it has asked, which takes
// one round trip; nothing of that counts as received. If the circuit breaks meanwhile, the rest goes by the next one, and there is nothing
// twice. Copies that waited for others when a link broke go by the next one.
//
// A side that takes less than the profile has it says so in its greeting, in entity variables, and the other keeps to the lower of that and its own:
//
//	_amount_audience_entries     members of one audience           5,000
//	_amount_audience_audiences   audiences                         16,384
//	_amount_audience_members     members of all audiences          200,000
//	_amount_audience_bytes       bytes of a cast                   262,144
//	_amount_audience_copies      bytes of the copies of a cast     16,777,216
//
// [Casts] has the knobs. Members that do not live here, or whom the peer may not send to, get nothing: they are checked when they are told
// and again whenever they are used.
//
// # Log
//
// With [Config].Logger set, these messages are logged, warnings first; payloads and secrets never are. Streams and circuits log
// with the same logger, see [xmpp.Config] and [psyc.Circuit].
//
//	domain not reached    local, remote, stanzas (that bounce), error
//	session lost          the link, stanzas (in doubt), error (of a circuit)
//	stanzas unacknowledged the link, or local and remote, stanzas (how many), from, to, kind, id (of the first)
//	store failed          error
//	packet refused        the link, from, error
//	audience in doubt     the link, from (the context): the peer is asked
//	fan-out out of step   the link, which is closed, error
//	stanza not sent       the link, from, to, error: it does not fit the peer
//	answer not sent       from, to, error: nobody will hear of what was refused
//	connection refused    addr, error: a limit of Intake
//	accept failed         listener, error: for a moment
//	link up               the link
//	link switched         the link
//	link down             the link, error (nil if in order)
//	link refused          addr, error; at debug level if the peer went by itself
//	nothing proved        the link, which is closed
//	link closed           the link, idle: by us, without traffic or too old
//	link superfluous      the link, which is closed: another one stays after a simultaneous dial
//	barrier unanswered    the link, whose peer is sent no more of them for an hour
//	pair not authorized   the link, error: another one is dialled, or stays
//	proof not renewed     the link, host, error: the domain ends on this link unless it is proved anew
//	domain has moved      the link, from, to: something came for a domain that does not live here any more, or from one that does by now
//	refusal not sent      the link, error
//
// The link stands for these keys:
//
//	protocol   XMPP or PSYC
//	local      domain that lives here, of the first pair
//	remote     domain that lives elsewhere
//	addr       address of the other end
//	dialled    whether we opened the connection
//	tls        version and cipher suite, or "none"
//
// # Limits
//
//	Config.DialTimeout        look-up, connection, proof, either way    30 s, half of what is left for one address
//	QueueLimits.Stanzas       waiting for one pair of domains           10,000
//	QueueLimits.Bytes         waiting in all                            64 MiB, for one foreign domain what is left for others
//	Lifetimes                 age of what waits                         1 min for iq, 5 min for presence, 1 h for messages
//	IntakeLimits.Handshakes   accepted connections without a proof      1,000
//	IntakeLimits.PerAddress   accepted connections from one address     250
//	IntakeLimits.Connections  accepted connections in all               10,000
//	Router.Idle               a link without traffic                    15 min
//	Router.Grace              orderly end                               10 s
//	Config.CloseTimeout       orderly end of one link                   5 s for XMPP, 1 s for PSYC
//	xmpp.Limits, psyc.Limits  what a peer can make us hold              512 KiB a stanza, 8 KiB before a proof; see there
//	answer to <switching/>                                              10 s; a peer that fails is not asked for 1 h
//	a link without traffic for a while                                  memory shrinks, to about 16 kB an end without TLS
//	age of a link that we dialled                                       23 h, as proofs hold 24 h
//	age of a stream that others dialled                                 24 h
//	Send to a link that takes nothing                                   10 s
//	pairs that one link is asked for at a time                          16
//	another pair that dials the same server: waited for                 5 s
//	links asked to carry one more pair, each way of finding them        3, 10 s each; likewise after a simultaneous dial
//	links in a row that break before they take anything                 4
//	Casts.Delay               presence waits for another copy           20 ms, ten times as long while they come
//	Casts.MessageDelay        so do headlines and groupchat             0
//	Casts.Audiences           remembered for one link, each way         5,000 members of one audience, 16,384 audiences, 200,000 members, 32 MiB;
//	                                                                    8 audiences of one sender
//	Casts.Copies              bytes of the copies of one cast           16 MiB
//	Casts.Rate                bytes of copies that a link makes us write  32 MiB a second, after twice as much at first
//	Casts.Hold                kept back while an audience is in doubt   1,024 packets, 1 MiB, 10 s; then the cast is refused, at twice that the link ends
//	in flight on a circuit    PSYC.Sessions, see [psyc.Sessions]          16 MiB
//	in flight on a stream whose peer acknowledges                       1 MiB and a stanza
//	in flight on another stream, then taken to have arrived             10,000 stanzas, 1 min
//	Barriers.Stanzas          in front of a barrier                     64
//	Barriers.Delay            from a stanza to a barrier                200 ms
//	barriers of a stream without an answer                              16, 30 s; then there are none for 1 h
//	sessions of streams that broke, each way                            1,000, 5 min
//	a stanza goes again because it is in doubt                          twice
//	what was in flight when it broke is in doubt after                  1 min with a new link
package psycswitch

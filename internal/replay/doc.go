// Package replay plays the part of psyced in a recorded session, so that tests meet the very bytes that a real psyced has
// sent, in the pieces in which they came.
//
// A [Recording] is a text: lines of what each side sent, between lines that say when and on which connection. A [Peer] plays one
// [Conversation] of it on a connection: it writes psyced's pieces one after the other, each when everything before it in
// the recording has happened, and compares what comes from the side under test with what the recorded peer sent. Packets
// match if method, named variables and, for messages, body agree; tags may differ, and are then exchanged in what psyced
// answers. What each implementation says in words of its own, greetings and keep-alives, has to be there but
// is not compared.
//
// Everything that is sent to the peer must also pass the [Rules], one for each thing that an implementation should or should not do when it
// speaks with psyced. [Advices] says for each piece of advice of the page about psyced's wire protocol which rules and which tests there
// are.
//
// # Recordings
//
// The recordings of a real psyced are not part of the repository; tests read them where they lie, and skip where they do not. [Uses] has
// each of their conversations, with the tests that play it or the reason why none does. The repository's own sessions, in testdata, have
// the same structure and other words. They do not show how psyced does dialback to its end, nor whether it uses TLS on connections that it
// opens.
//
// # Deviations
//
// The peer that was recorded was a program that tried things out. Links between psyced and XMPP do otherwise in these ways, and in no others; the
// reasons stand with each in [Deviations], and a test sees to it that links make use of all of them.
//
//	question        the first packet asks for an answer
//	greeting        a greeting always comes, without a target
//	echo            what psyced says to a person is echoed
//	tags            only questions have one
//	nick            people are called as in their addresses
//	enter           _request_enter and _request_leave, for _request_context_enter and _request_context_leave
//	consent         _notice_friendship_established, for _status_friendship_established
//	refusals        what is for an address that is nobody's here is refused
//	own words       variables that no other server knows are not sent
//	spelling        xmpp:u@h to whoever said that, else psyc://h/~u
//	availability    away is 3
//	other sources   nobody speaks as somebody elsewhere, or to a host that is not psyced's
//	words           what XMPP has no word for is not said
//	encryption      no _request_circuit_encrypt
//	state           no assignments
//	compact         no methods without an underscore
//	shutdown        no _request_circuit_shutdown in the middle
//
// Where psyced does not get as far as a conversation, [FirstPacket] lets our question stand for whatever the recorded peer sent first.
package replay

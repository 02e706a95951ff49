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
// Everything that is sent to the peer must also pass the [Rules], one for each thing that an implementation should or
// should not do when it speaks with psyced.
package replay

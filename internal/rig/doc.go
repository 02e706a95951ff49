// Package rig starts real XMPP servers on loopback and drives clients against them, for tests that want a peer nobody here wrote.
//
// [Prosody] and [Ejabberd] start the unmodified servers of a Debian system: free ports picked by the kit, a data directory below
// the test's, a generated configuration, and a DNS resolver that the caller names, so that the caller decides where the server's
// S2S goes. [Slixmpp] and [Native] log clients in, the former through python3-slixmpp, the latter through a small client in Go.
// [Exchange] is the conversation that two servers must be able to hold whatever lies between them: chats, subscriptions,
// presence, queries, rooms, and after each stanza the proof that what arrived is what was sent.
//
// [Once] keeps what was started for all tests of a package and all rounds of -count. The kit's own TestExchange shows how the
// parts go together.
//
// # What it needs
//
// Debian packages prosody, lua-unbound, lua-sec, ejabberd and python3-slixmpp, and Linux. Where a program is missing the test is
// skipped with the reason; with SWITCHYARD_REAL_PEERS=required in the environment it fails instead, which is how continuous
// integration makes sure that the tests ran.
//
// No root, no fixed port, no Erlang distribution, nothing outside the temporary directory: several rigs may run at the same
// time. The servers die with the process that started them.
//
// # How a server is pointed at a resolver
//
// Prosody asks through libunbound, configured by "unbound.forward". ejabberd asks for SRV through Erlang's inet_res, configured
// by the file in ERL_INETRC, but for A and AAAA through libc, hence through the system's resolver: an SRV target that ejabberd is
// given must be numeric ("10 5 5269 127.0.0.1.").
package rig

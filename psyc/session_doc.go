// # Sessions
//
// A connection that breaks does not say what arrived. The module [ModuleSession] counts packets, so that what did not arrive can be
// sent again by another circuit, and nothing that did. [Config.Sessions] switches it on.
//
// It is in use on a circuit in the 1.0 syntax whose sides have agreed on the profile and have both named _switchyard_session among the
// _understand_modules of their greetings. What one side sends on one circuit is a session; the two directions have nothing to do with
// each other. In what follows the sender is the side whose packets the session counts, the receiver the other one. All packets
// named here are circuit packets: without _source, _target and _context. Numbers are decimal, without sign or leading zeros, from 0 to 2^63-1.
//
// # Sessions: counting
//
// Before the first packet that counts, and not later, the sender names the session:
//
//	:_session   32 hexadecimal digits in lower case: 128 random bits, new for every session
//	:_lease     a number: see below
//	_notice_session_open
//
// From there on both sides count the packets of that direction, from 1. All packets count but those of the circuit
// itself: empty ones, those without _source, _target and _context, and greeting and shutdown, which may have a root entity as source. Packets
// that the receiver refuses count like all others. No packet carries its number. A packet that counts sets the whole of its routing header
// with the operator ":" and no empty value, as the state of a circuit ends with it; where "Routing state" is in use, that is what it is once the
// state has been applied.
//
// A packet has been received when the receiver has done with it what it answers for: it has been handed to the program that it is for, or
// refused. (Here: when the body of the loop over [Circuit.Packets] is through with it, unless [Circuit.Withhold] says otherwise.) Until
// then it may come again, afterwards it must not.
//
// # Sessions: acknowledgement
//
// The receiver says how many packets it has received
//
//	:_amount_received   a number
//	_status_session
//
// at the latest 64 packets, 64 KiB, or 200 milliseconds after it last had nothing to say, and at once when the sender asks:
//
//	_request_session_acknowledgement
//
// A sender keeps what is not acknowledged, bounds how much that is, and then asks and waits. If it hears nothing for a
// minute, although something is not acknowledged, it ends the circuit. An acknowledgement of more than was sent, or of less than before,
// is an error (_error_invalid_session) that ends the circuit.
//
// A side that closes a circuit in order first waits, for a moment, until all it has sent is acknowledged. Then it receives nothing more, and says
// so before its _request_circuit_shutdown, whether the other side has opened its session yet or not. The other side does the same before it
// closes in turn, and sends nothing else that counts:
//
//	:_amount_received   a number, the last
//	_status_session_closed
//
// What has a higher number was not received. It can be sent again, without a question. A side that cannot say the last number, because it is
// still at work on a packet, says nothing of the kind, and is asked later.
//
// # Sessions: resumption
//
// After the end of a circuit the sender asks on another one to the same receiver, as soon as it has proved there what it had proved before:
//
//	:_tag                 any
//	:_session             the name of the session that has lost its circuit
//	:_lease               a number, not lower than that of the session
//	:_amount_acknowledged the last that the sender has heard
//	:_instance            that of the receiver, as the sender knows it from the greeting of the circuit that has ended
//	:_time_ended          how long ago that was, in seconds
//	_request_session_resume
//
// The receiver ends the circuit of the session, if it has not noticed yet that it is broken, waits until the last packet of it is received, and
// receives no other one of that session any more, even if it has come. Then it answers:
//
//	:_tag_relay           the same
//	:_session             the same
//	:_amount_received     a number, which does not change any more
//	_status_session_resumed
//
// The sender forgets the packets up to that number and sends the others again, before anything that is to come after them. They are
// ordinary packets of whatever circuit carries them, and count in its session. The question may be repeated on any circuit, when the answer
// is lost with this one.
//
// Other answers carry the tag, too:
//
//	_failure_unknown_session      the receiver cannot tell; what was not acknowledged is in doubt
//	_failure_unavailable_session  not now: ask again
//	_error_invalid_lease          the session has an owner with a higher lease
//	_error_invalid_session        the question makes no sense
//
// A receiver that has never heard of a session knows that nothing was received of it, and answers so, if nothing was acknowledged,
// _instance is its own, _time_ended is less than 5 minutes, and it has forgotten no session before its 10 minutes were over. Otherwise it
// might have forgotten, and cannot tell. After that answer the session cannot be opened any more: what stands unread on its circuit has
// come too late.
//
// A sender takes an answer below what was acknowledged, or above what was sent, for _failure_unknown_session. So does a receiver take a question
// that claims more acknowledged than it has received: its memory is older than its word.
//
// # Sessions: owners
//
// A session belongs to the process that opened it, by the _instance of its greeting, and to the names that it had proved on the circuit (of
// more than 64, the first 64 in the order of their bytes). The receiver tells only who has proved all of these on the circuit of the
// question. Everybody else hears that the session is unknown, as does whoever asks for one that never was, and the session goes on.
//
// The lease orders processes that send for the same names one after the other, such as two gateways of which the second takes over from
// the first. Another process resumes a session only with a higher lease, and owns it then. A lower one than the session's is refused;
// likewise a session is not opened, and the circuit ends with _error_invalid_lease, if the receiver knows a session of the same process, or
// of one that has proved one of the same names, with a higher lease. Where there is only one process its lease is 0.
//
// # Sessions: limits
//
//	unacknowledged on a circuit          Sessions.Window       16 MiB, and one packet
//	nothing acknowledged                 Sessions.Timeout      1 min, then ErrUnacknowledged
//	sessions remembered after their end  Sessions.Suspended    4096, 64 of one peer
//	for                                  Sessions.Resume       10 min
//	the last packet of a broken circuit                        10 s, then "not now"
//	questions being answered                                   16 on a circuit
package psyc

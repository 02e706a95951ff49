// # Routing state
//
// Most packets go from where to where the packet before them went. With the module [ModuleState] they do not repeat it. It is in use on a circuit
// in the 1.0 syntax whose sides have agreed on the profile and have both named _switchyard_state among the _understand_modules of their
// greetings: either side may assign as soon as it has read the other's greeting. [Config.RepeatAddresses] switches it off.
//
// There is one state for each direction. It holds _source and _target, and is empty when the circuit begins; nothing of it outlives the circuit.
// The operator "=" in a routing header assigns one of the two, with a value of 1 to 1024 bytes, to this packet and all that follow:
//
//	=_source	psyc://a.example/~ada
//	=_target	psyc://b.example/~bea
//
//	_message_private
//	Shall we?
//	|
//
//	_message_private
//	Now?
//	|
//
// The operator ":" is for one packet: it gives another value or, without one, none. So a packet that has no source, or no target, says so while
// one is assigned, empty packets and those of the circuit included, which would else be for somebody:
//
//	:_source
//	:_target
//	|
//
// _context is never assigned, and other operators have no meaning in a routing header. What breaks these rules ends the circuit, as what
// follows cannot be understood: _failure_unsupported_modifier. The same is the answer to any operator but ":" of a peer of the profile where the
// module is not in use. (Other peers assign what they like, as PSYC has it, see [State].)
//
// All else is about packets as they are when the state has been applied: proofs of the source, limits, what counts in a session. A sender
// that gets packets back, or sends those again that were not acknowledged, has them in full.
//
// It saves about a sixth of the bytes of conversations.
package psyc

// Package psyc reads and writes PSYC packets, in the 1.0 and the 0.9 syntax, and speaks PSYC over a connection.
//
// The shortest program prints what arrives:
//
//	for p, err := range psyc.NewDecoder(r).Packets() {
//		if err != nil {
//			return err
//		}
//		fmt.Println(p.Method, "from", p.Routing.Get("_source"))
//	}
//
// # Packets
//
// A [Packet] has a routing header, which says from where to where; an entity header, which says things to the
// recipient; a method, which says what the packet is; and a body. Names of variables and methods are keywords such as
// _message_public, most general word first: who does not know a keyword treats it as the longest part that he knows.
// [Inherits] and [Matches] compare keywords, [LookupMethod] and [TypeOf] tell what is known of methods and of the
// types that names of variables declare.
//
// A Packet does not depend on the syntax. [Packet.Parse] and [Packet.Append] convert it from and to bytes; a [Decoder]
// reads packets from a stream, a [Parser] from growing byte slices; an [Encoder] writes them, and a [Renderer] holds
// the choices there are in writing. Parsers borrow: values and bodies are slices of the input, and [Packet.Clone] keeps
// them. In the steady state neither direction allocates.
//
// # The two syntaxes
//
// [PSYC10] ends packets with a line "|", and gives lengths to what needs them: values and bodies may hold any byte,
// and a body of any size can be streamed ([Decoder.Body], [Encoder.EncodeBody]). The reference is libpsyc, whose
// reading and writing is followed byte for byte, except where it is unsafe or cannot read what it wrote: lengths
// that overflow or disagree with the content are refused, closing braces are verified, and a body gets a length
// whenever one of its lines is a bar.
//
// [PSYC09] is what psyced speaks by default: lines, ended by a line ".", without lengths or escapes. What follows from
// that is the same on both sides:
//
//   - Lists are variables with several lines. In a Packet they are values in the form of 1.0, see [Value.List], as is
//     every variable of the _list family; the renderer makes lines of variables of that family.
//   - Of the variables in front of the first empty line those that are routing variables become the routing header;
//     all others, and everything behind it, the entity header.
//   - A body keeps all its empty lines, in front and at the end; a body of one empty line is the empty body. (psyced
//     drops empty lines in front.)
//   - A stream whose first line ends with CR LF has that end on every line and LF inside lines, any other has LF, and
//     CR inside lines. A parser that took both could be told, by a text that others let pass, that a packet ends
//     where it does not.
//   - _length in the routing header announces a body of any bytes. It is understood and never written.
//   - What cannot be written is [ErrNotRepresentable]: see [Renderer] for the list. Texts of users need another form
//     then; they must not be cut or changed here.
//
// In both syntaxes routing values with control characters are never written, and variables named _INTERNAL..., in
// which programs keep what they know about a peer, are dropped when reading and left out when writing.
//
// # Values
//
// A [Value] is bytes. Its methods read it as the type that the name of its variable declares:
//
//	_amount              [Value.Int]
//	_color               [Value.Color], [AppendColor]
//	_date                [Value.Date], [AppendDate]: seconds since [Epoch]
//	_degree              [Value.Degree]
//	_dict                [Value.Dict], [AppendDict]
//	_flag                [Value.Flag]
//	_language            [Value.Language]
//	_list                [Value.List], [AppendList]; [Value.EarlyList] for what psyced writes
//	_nick                [Value.Nick]
//	_page                [Value.Page]
//	_struct              [Value.Struct]
//	_time                [Value.Duration]
//	_uniform, _entity    [Value.Uniform]
//
// [Value.Update] and [AppendUpdate] are for the value of a variable with the operator [Update], [Value.PacketID] for one
// that names a packet. All are strict; what they refuse is an [*Error] below _error_invalid_value or
// _error_invalid_syntax.
//
// # State
//
// Variables with the operators [Assign], [Augment] and [Diminish] change what holds for the packets that follow: on a
// circuit the header that need not be repeated, in a context what all members know. A [State] holds that, brings
// packets up to date with it, and answers queries and resyncs. A [Circuit] has one and applies it, and between peers of the
// profile it assigns by itself, see "Routing state"; the state of a context belongs to the program.
//
// # Texts
//
// The body of most methods is a template: [_nick] stands for the value of that variable. [Packet.Text] fills it in,
// once: a value that looks like a template is not looked into. Bodies of _message methods are what a user wrote, and
// are never templates; therefore the text of a user must not be the body of any other method.
//
// # Limits
//
// What comes from a peer is bounded. Where there is a field for it, zero means the default.
//
//	a packet without its streamed body    Limits.Packet    512 KiB
//	a body held in memory                 Limits.Body      64 KiB, longer ones are streamed
//	variables of a packet                 Limits.Vars      256
//	elements of a 0.9 list                Limits.List      5000
//	a name or method                                       1024 bytes
//	digits of a length                                     64, and the length below 2^62
//	variables of a state                  State.Vars       64
//	names and values of a state           State.Bytes      64 KiB
//	addresses assigned with ModuleState                    2, 1 KiB each
//	values filled into a template                          64 KiB
//	packets waiting to be written         Config.Queue     256 KiB
//	requests waiting for a reply          Config.Requests  1024
//	hosts a peer may prove                Config.Hosts     4096
//	hosts claimed in vain in 10 s                          64
//	what is sent and not acknowledged                      see "Sessions"
//	challenges answered at a time                          64
//	challenges answered in a minute       Config.Attestations
//	                                                       1024, as many at once
//	certificates in a proof                                8, 12 KiB together
//
// [Packet.Parse] and [Parser] are given the bytes and bound no sizes; the times that a circuit waits are in [Config].
//
// # Errors
//
// A broken packet is an [*Error] that carries the method of the error packet to answer with and the offset of the
// offending byte. Errors match by inheritance: errors.Is(err, &psyc.Error{Method: "_error"}) holds for all of them.
// [ErrIncomplete] asks for more input, [ErrTooLarge] tells that one of the [Limits] was exceeded.
package psyc

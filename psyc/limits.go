package psyc

// Limits bounds what a peer can make a [Decoder] hold. Zero fields have the defaults given.
type Limits struct {
	Packet int // bytes of a packet, the delimiter included, a streamed body not; 512 KiB
	Body   int // bytes of a body with a length that is held in memory, longer ones are streamed; 64 KiB; negative: never streamed
	Vars   int // variables in both headers together; 256
	List   int // elements of one list in the 0.9 syntax, where each is a line; 5000
}

const (
	defaultPacket = 512 << 10
	defaultBody   = 64 << 10
	defaultVars   = 256
	defaultList   = 5000

	maxName   = 1024    // bytes of a name or method
	maxLength = 1 << 62 // of anything that is announced by a length
	maxDigits = 64      // digits of a length, leading zeros included
)

// resolved returns l with the defaults filled in.
func (l Limits) resolved() Limits {
	if l.Packet <= 0 {
		l.Packet = defaultPacket
	}
	if l.Body == 0 {
		l.Body = defaultBody
	}
	if l.Vars <= 0 {
		l.Vars = defaultVars
	}
	if l.List <= 0 {
		l.List = defaultList
	}
	return l
}

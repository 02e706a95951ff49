package psycswitch

import (
	"math"
	"strconv"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
)

// Casts bounds fan-out between Switchyards: one packet for the copies of a stanza to many, see "Fan-out" in package transcode. Zero
// fields have the defaults given.
type Casts struct {
	// Off sends a packet for each copy, and tells peers to do so, too.
	Off bool

	// Delay is how long presence waits for one more copy, and up to ten times as long while they come; 20 ms, negative: not at all.
	Delay time.Duration

	// MessageDelay is the same for headlines, which events of XEP-0060 and XEP-0163 are, and groupchat. 0 delays none: copies that wait for
	// the link anyway go together.
	MessageDelay time.Duration

	// Audiences is what is remembered for one link, in either direction. An audience of ten takes 1 KB where copies are made of its casts, and
	// about 2 KB at the sender.
	Audiences transcode.AudienceLimits

	// Copies is how many bytes the copies of one cast may have together, about; 16 MiB.
	Copies int

	// Rate is how many bytes of copies one link may have us make in a second, in the long run; 32 MiB, negative: any. What is more is refused, and
	// comes in a packet each.
	Rate int

	// Hold bounds what a link keeps back while a peer is asked who an audience is, here 1,024 packets, 1 MiB and 10 s by default.
	Hold transcode.HoldLimits
}

const (
	defaultCastCopies = 16 << 20
	defaultCastRate   = 32 << 20
	defaultHeld       = 1024
	defaultHeldBytes  = 1 << 20

	// largestCast is the length in bytes of the longest packet that is cast.
	largestCast = 256 << 10
)

func (c *Casts) copies() int { return positive(c.Copies, defaultCastCopies) }

// largest returns the length of the longest cast that is taken.
func (c *Config) largestCast() int {
	return min(largestCast, positive(c.PSYC.Limits.Packet, c.stanzaLimit()+packetOverhead))
}

func (c *Casts) hold() transcode.HoldLimits {
	h := c.Hold
	h.Packets, h.Bytes = positive(h.Packets, defaultHeld), positive(h.Bytes, defaultHeldBytes)
	return h
}

// Variables of a greeting that tell what casts the side takes that greets. Without one it takes what is usual.
const (
	varCastEntries   = "_amount_audience_entries"   // members of one audience; 5,000
	varCastAudiences = "_amount_audience_audiences" // audiences; 16,384
	varCastMembers   = "_amount_audience_members"   // members of all audiences; 200,000
	varCastBytes     = "_amount_audience_bytes"     // bytes of a cast; 256 KiB
	varCastCopies    = "_amount_audience_copies"    // bytes of the copies of a cast; 16 MiB
)

// A castLimit is one of those variables: where the limit is, and what is usual.
type castLimit struct {
	name  string
	value *int
	usual int
}

// castLimits are the limits of one side.
type castLimits struct {
	transcode.AudienceLimits
	bytes, copies int
}

func (l *castLimits) all() [5]castLimit {
	return [...]castLimit{
		{varCastEntries, &l.Entries, 5000},
		{varCastAudiences, &l.Audiences, 16_384},
		{varCastMembers, &l.Members, 200_000},
		{varCastBytes, &l.bytes, largestCast},
		{varCastCopies, &l.copies, defaultCastCopies},
	}
}

// castLimits returns ours.
func (c *Config) castLimits() castLimits {
	return castLimits{c.Casts.Audiences.WithDefaults(), c.largestCast(), c.Casts.copies()}
}

// announced returns what the greeting says about l.
func (l *castLimits) announced() (vars psyc.Vars) {
	for _, limit := range l.all() {
		if *limit.value != limit.usual {
			vars.Set(limit.name, strconv.Itoa(*limit.value))
		}
	}
	return vars
}

// lower makes l no more than what a greeting says.
func (l *castLimits) lower(greeting psyc.Vars) {
	for _, limit := range l.all() {
		said := limit.usual
		if v := greeting.Get(limit.name); v != nil {
			said, _ = strconv.Atoi(v.String()) // what is no number is none
		}
		*limit.value = max(min(*limit.value, said), 1)
	}
}

// An allowance is bytes that may be used up, and come back in time.
type allowance struct {
	rate int // bytes a second; negative: any number

	left float64
	at   time.Time
}

// take takes n bytes if they are there. At first there are enough for two seconds, and later there are no more; what is larger than that is let
// go when nothing has been taken for as long.
func (a *allowance) take(now time.Time, n int) bool {
	if a.rate < 0 {
		return true
	}
	most := 2 * float64(a.rate)
	if a.at.IsZero() {
		a.left = most
	} else {
		a.left = math.Min(most, a.left+float64(a.rate)*now.Sub(a.at).Seconds())
	}
	a.at = now
	if a.left < math.Min(float64(n), most) {
		return false
	}
	a.left -= float64(n)
	return true
}

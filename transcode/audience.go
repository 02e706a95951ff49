package transcode

import (
	"container/list"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
)

// Variables that speak of audiences. No packet that is restored from a stanza has one of them.
const (
	varAudience = "_audience"              // number and version
	varMembers  = "_list_audience"         // members, with an operator
	varWithout  = "_list_audience_without" // index ranges that a cast is not for
	varOnly     = "_list_audience_only"    // index ranges that alone a cast is for
	varRepeat   = "_list_audience_repeat"  // which refused cast a copy repeats, and how many copies follow
	varCasts    = "_amount_casts"          // number of a cast in the session
)

// Methods by which a receiver speaks of audiences to the sender.
const (
	methodAudienceUnknown   = "_failure_unknown_audience"
	methodAudienceExhausted = "_failure_exhausted_audience"
	methodAudienceRelay     = "_error_rejected_relay_audience"
	methodAudienceInvalid   = "_error_invalid_audience"
	methodAudienceRemoved   = "_notice_audience_removed"
	methodAudienceStatus    = "_status_audience"
)

// AudienceLimits bounds the audiences that are remembered for one peer and direction. Zero fields have the defaults given. The numbers are what
// two peers agree on, who need as much memory as their programs take; Bytes is for the memory of this one.
type AudienceLimits struct {
	Entries   int // members of one audience; 5,000
	Audiences int // of all contexts together; 16,384
	Members   int // of all audiences together; 12 for each of Audiences, at least 200,000

	// Bytes is how much memory they take, about, by the most that was measured: 400 for an audience and twice the length of its context, and for each
	// of its members 120 and the length of the address; 2 KiB for each of Audiences, at least 32 MiB. The numbers alone would not bound
	// that: addresses have up to 3,071 bytes.
	Bytes int
}

const (
	defaultEntries   = 5000
	defaultAudiences = 16_384
	defaultMembers   = 200_000
	defaultBytes     = 32 << 20

	membersEach = 12      // for each audience, if only the number of these is given
	bytesEach   = 2 << 10 // likewise

	audienceMemory = 400 // bytes of an audience, without its members and the spelling of its context
	memberMemory   = 120 // bytes of a member beside the spelling of its address; most of that is the index
)

// WithDefaults returns l with its zero fields filled in.
func (l AudienceLimits) WithDefaults() AudienceLimits {
	if l.Entries <= 0 {
		l.Entries = defaultEntries
	}
	if l.Audiences <= 0 {
		l.Audiences = defaultAudiences
	}
	if l.Members <= 0 {
		l.Members = max(defaultMembers, membersEach*l.Audiences)
	}
	if l.Bytes <= 0 {
		l.Bytes = max(defaultBytes, bytesEach*l.Audiences)
	}
	return l
}

// An audience is who gets the casts of a context under a number: the same, version by version, at both ends.
type audience struct {
	context string // uniform
	number  uint64
	version uint64
	members []uniform.JID // each once; what has been set is never changed in place

	recent *list.Element       // in an audienceList
	bytes  int                 // that its members take, as that counts them
	used   uint64              // the larger, the more recently
	index  map[uniform.JID]int // of members, made on demand

	source uniform.JID // of the context, at the sender
	spent  int         // bytes on narrowing since the last change, at the sender
}

// position returns where j stands, -1 if nowhere.
func (a *audience) position(j uniform.JID) int {
	if a.index == nil {
		a.index = make(map[uniform.JID]int, len(a.members))
		for i, m := range a.members {
			a.index[m] = i
		}
	}
	if i, ok := a.index[j]; ok {
		return i
	}
	return -1
}

// memory is how many bytes a takes without its members.
func (a *audience) memory() int { return audienceMemory + 2*len(a.context) }

// set gives a its members.
func (a *audience) set(members []uniform.JID) { a.members, a.index, a.spent = members, nil, 0 }

// An audienceList keeps audiences in the order of their last use, and counts their members and what they take.
type audienceList struct {
	order   list.List // of *audience, the most recent in front
	members int
	bytes   int
	uses    uint64
}

// use moves a to the front; it may be new.
func (l *audienceList) use(a *audience) {
	l.uses++
	a.used = l.uses
	if a.recent == nil {
		a.recent = l.order.PushFront(a)
		l.bytes += a.memory()
		return
	}
	l.order.MoveToFront(a.recent)
}

// resize notes that a, which is in the list, gets other members.
func (l *audienceList) resize(a *audience, members []uniform.JID) {
	l.members += len(members) - len(a.members)
	l.bytes -= a.bytes
	a.bytes = memberMemory * len(members)
	for _, j := range members {
		a.bytes += len(j.String())
	}
	l.bytes += a.bytes
	a.set(members)
}

func (l *audienceList) remove(a *audience) {
	l.order.Remove(a.recent)
	a.recent = nil
	l.members -= len(a.members)
	l.bytes -= a.memory() + a.bytes
}

// excess returns the audience to drop for the sake of the limits, nil if there is none. The most recent one stays.
func (l *audienceList) excess(limits AudienceLimits) *audience {
	if n := l.order.Len(); n > 1 && (n > limits.Audiences || l.members > limits.Members || l.bytes > limits.Bytes) {
		return l.order.Back().Value.(*audience)
	}
	return nil
}

// appendMember appends the list element that stands for j: its uniform, and behind a blank its resource.
func appendMember(dst []byte, j uniform.JID, book *addressBook, scratch *[]byte) []byte {
	*scratch = append((*scratch)[:0], book.uniform(j.Bare())...)
	if r := j.Resource(); r != "" {
		*scratch = append(append(*scratch, ' '), r...)
	}
	return psyc.AppendList(dst, "", psyc.Element{Value: *scratch})
}

// memberSize returns the length in bytes of what appendMember appends for a member spelt with n bytes.
func memberSize(n int) int {
	if n < 10 {
		return n + len("| ")
	}
	return n + len("| ") + decimals(n)
}

func decimals(n int) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

// readMembers returns the members that a list names, at most limit.
func readMembers(v psyc.Value, limit int, book *addressBook) ([]uniform.JID, error) {
	var members []uniform.JID
	if len(v) > 0 && v[0] != '|' {
		return nil, audienceError(methodAudienceInvalid, "%s is %q", varMembers, cut(v))
	}
	for e, err := range v.List() {
		if err != nil {
			return nil, audienceError(methodAudienceInvalid, "%s: %w", varMembers, err)
		}
		if e.Type != "" {
			return nil, audienceError(methodAudienceInvalid, "%s has an element of type %q", varMembers, cut([]byte(e.Type)))
		}
		if len(members) == limit {
			return nil, audienceError(methodAudienceExhausted, "more than %d members", limit)
		}
		u, resource := e.Value, []byte(nil)
		for i, c := range e.Value {
			if c == ' ' {
				u, resource = e.Value[:i], e.Value[i+1:]
				break
			}
		}
		j, err := book.jid(u, resource)
		if err != nil {
			return nil, audienceError(methodAudienceInvalid, "%s: %w", varMembers, err)
		}
		members = append(members, j)
	}
	return members, nil
}

// A span is a range of positions in an audience, from inclusive, to exclusive.
type span struct{ from, to int }

// appendSpans appends a list of index ranges: "| 3| 7-9" are the positions 3, 7, 8 and 9.
func appendSpans(dst []byte, spans []span) []byte {
	for _, s := range spans {
		dst = strconv.AppendInt(append(dst, "| "...), int64(s.from), 10)
		if s.to > s.from+1 {
			dst = strconv.AppendInt(append(dst, '-'), int64(s.to-1), 10)
		}
	}
	return dst
}

// spansSize returns the length in bytes of what appendSpans appends, give or take the lengths of long elements.
func spansSize(spans []span) (n int) {
	for _, s := range spans {
		n += len("| ") + decimals(s.from)
		if s.to > s.from+1 {
			n += 1 + decimals(s.to-1)
		}
	}
	return n
}

// readSpans reads index ranges into dst; they ascend, do not touch what is not there and do not overlap.
func readSpans(dst []span, v psyc.Value, members int) ([]span, error) {
	next := 0
	for e, err := range v.List() {
		if err != nil {
			return nil, audienceError(methodAudienceInvalid, "index ranges: %w", err)
		}
		first, last, ranged := strings.Cut(string(e.Value), "-")
		from, err := position(first)
		to := from
		if err == nil && ranged {
			to, err = position(last)
		}
		if err != nil || from < next || to < from || to >= members {
			return nil, audienceError(methodAudienceInvalid, "index range %q behind %d in an audience of %d", cut(e.Value), next, members)
		}
		dst = append(dst, span{from, to + 1})
		next = to + 1
	}
	return dst, nil
}

// position reads an index: decimal digits and nothing else.
func position(s string) (int, error) {
	n, err := number(s)
	if n > 1<<30 {
		return 0, errNumber
	}
	return int(n), err
}

var errNumber = errors.New("not a number")

// number reads up to 18 decimal digits.
func number(s string) (uint64, error) {
	if len(s) == 0 || len(s) > 18 {
		return 0, errNumber
	}
	var n uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errNumber
		}
		n = 10*n + uint64(s[i]-'0')
	}
	return n, nil
}

// complement returns the positions below n that are not in spans.
func complement(dst []span, spans []span, n int) []span {
	at := 0
	for _, s := range spans {
		if s.from > at {
			dst = append(dst, span{at, s.from})
		}
		at = s.to
	}
	if at < n {
		dst = append(dst, span{at, n})
	}
	return dst
}

// readAudience reads the value of _audience: number and version.
func readAudience(v psyc.Value) (n, version uint64, err error) {
	a, b, _ := strings.Cut(string(v[:min(len(v), 64)]), " ")
	if n, err = number(a); err == nil {
		version, err = number(b)
	}
	if err != nil {
		return 0, 0, audienceError(methodAudienceInvalid, "%s is %q", varAudience, cut(v))
	}
	return n, version, nil
}

// appendAudience appends the value of _audience.
func appendAudience(dst []byte, n, version uint64) []byte {
	dst = strconv.AppendUint(dst, n, 10)
	return strconv.AppendUint(append(dst, ' '), version, 10)
}

// audienceError is the refusal of a cast or of a change of an audience, by its method.
func audienceError(method, format string, args ...any) *Error {
	condition, _ := Condition(method)
	return &Error{condition, method, fmt.Errorf("audience: "+format, args...)}
}

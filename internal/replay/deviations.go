package replay

import (
	"slices"
	"strings"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
)

// A Deviation is something that our links do otherwise than the peer that was recorded, which was a program made to find out what psyced does.
// All functions may be nil.
type Deviation struct {
	Name string
	Why  string

	// Leaves reports whether a recorded unit is not sent. psyced's answer to it comes all the same.
	Leaves func(recorded Unit) bool

	// Adds reports whether a unit is sent that was not recorded, and what psyced answers to it.
	Adds func(sent Unit) (answer string, ok bool)

	// Otherwise reports whether a variable of a recorded packet may be absent or different in the one that is sent in its place; "" is
	// the method.
	Otherwise func(recorded, sent Unit, name string) bool

	// Stands reports whether sent is what the recorded unit was, whatever both are.
	Stands func(recorded, sent Unit) bool
}

// Deviations are those of links between psyced and XMPP.
var Deviations = []Deviation{
	{
		Name: "question",
		Why:  "psyced ends the circuit of a source that it does not believe, with all that was sent: so the first packet is a question that is no one's loss",
		Adds: func(sent Unit) (string, bool) {
			if !asksFirst(sent) {
				return "", false
			}
			r := sent.Packet.Routing
			return ":_target\t" + r.Get("_source").String() + "\n:_source\t" + r.Get("_target").String() + "\n:_tag_reply\t" + r.Get("_tag").String() +
				"\n\n:_nick\t" + r.Get("_target").String() + "\n_echo_ping\n[_nick] is there.\n.\n", true
		},
	},
	{
		Name: "greeting",
		Why:  "a greeting with a target is one for the root entity, and psyced's queue waits on; without a greeting it opens a circuit for the first answer. Ours comes always, and never with a target",
		Leaves: func(u Unit) bool {
			return methodOf(u) == "_notice_circuit_established" && u.Packet.Routing.Get("_target") != nil
		},
	},
	{
		Name: "echo",
		Why:  "people on psyced see their own words when the echo of a message comes, which the recorded peer never sent",
		Adds: func(sent Unit) (string, bool) {
			return "", psyc.Inherits(methodOf(sent), "_message_echo")
		},
	},
	{
		Name: "tags",
		Why:  "psyced puts the last tag of somebody on whatever it sends them next: so only questions have one",
		Otherwise: func(recorded, _ Unit, name string) bool {
			return name == "_tag" && psyc.InheritsAny(recorded.Packet.Method, "_message", "_notice", "_request_friendship", "_request_status_person")
		},
	},
	{
		Name:      "nick",
		Why:       "outside of places people are called as in their addresses; a client of XMPP tells its contacts another name once, not with each message",
		Otherwise: func(_, _ Unit, name string) bool { return name == "_nick" },
	},
	{
		Name: "enter",
		Why:  "_request_enter and _request_leave are what psyced sends to places elsewhere; _request_context_enter and _request_context_leave are the same to it",
		Otherwise: func(recorded, sent Unit, name string) bool {
			return name == "" && strings.Replace(methodOf(recorded), "_request_context_", "_request_", 1) == methodOf(sent)
		},
	},
	{
		Name: "consent",
		Why:  "psyced takes the news of a friendship and the remark that there is one already for the same; XMPP knows one consent",
		Otherwise: func(recorded, sent Unit, name string) bool {
			return name == "" && methodOf(recorded) == "_status_friendship_established" && methodOf(sent) == "_notice_friendship_established"
		},
	},
	{
		Name: "refusals",
		Why:  "what psyced answers to an address or a port, because a packet had no source or another one, is for nobody who lives here, and its sender is told",
		Adds: func(sent Unit) (string, bool) {
			return "", psyc.InheritsAny(methodOf(sent), "_failure_unsupported_relay", "_error_invalid_uniform")
		},
	},
	{
		Name:      "own words",
		Why:       "XMPP has nothing to carry a variable that no other PSYC server knows",
		Otherwise: func(_, _ Unit, name string) bool { return name == "_list_foo" },
	},
	{
		Name: "spelling",
		Why:  "psyced takes psyc://h/~u and xmpp:u@h for two people: whoever was addressed by the one answers by the one",
		Otherwise: func(recorded, sent Unit, name string) bool {
			return (name == "_source" || name == "_target") && sameKey(recorded.Packet.Routing.Get(name), sent.Packet.Routing.Get(name))
		},
	},
	{
		Name: "availability",
		Why:  "XMPP has one word for the degrees 3 and 4, away, which is said as 3",
		Otherwise: func(recorded, sent Unit, name string) bool {
			return name == "_degree_availability" && methodOf(recorded) == "_notice_presence_away" && sent.Packet.Entity.Get(name).String() == "3"
		},
	},
	{
		Name: "other sources",
		Why:  "the recorded peer spoke without a source, as somebody at another host, and to hosts that are not psyced's; a link does neither",
		Leaves: func(u Unit) bool {
			if methodOf(u) == "_request_authorization" {
				return !strings.HasPrefix(hostOf(u.Packet.Entity.Get("_uniform_target")), "psyced.")
			}
			if u.Packet == nil || u.Packet.Routing.Get("_target") == nil {
				return false
			}
			source, target := hostOf(u.Packet.Routing.Get("_source")), hostOf(u.Packet.Routing.Get("_target"))
			foreign := source == "" || strings.HasPrefix(source, "nohost.") || strings.HasPrefix(source, "other.") && strings.HasPrefix(u.Packet.Entity.Get("_nick").String(), "Dora")
			return foreign || !strings.HasPrefix(target, "psyced.")
		},
	},
	{
		Name: "words",
		Why:  "XMPP has no word for what the recorded peer asked or said here",
		Leaves: func(u Unit) bool {
			m := methodOf(u)
			switch m {
			case "_request_foobar_xyz", "_request_features", "_request_examine", "_request_history", "_request_status", "_request_members", "_message_public_action":
				return true
			case "_message_private", "_message_public":
				object := u.Packet.Routing.Get("_target").String()
				return m == "_message_public" && !strings.Contains(object, "/@") || strings.Contains(object, "/$") || u.Packet.Entity.Get("_action") != nil
			}
			return false
		},
	},
	{
		Name:   "encryption",
		Why:    "psyced lists _encrypt and never acknowledges it: TLS begins with the first byte or not at all",
		Leaves: func(u Unit) bool { return methodOf(u) == "_request_circuit_encrypt" },
	},
	{
		Name: "state",
		Why:  "an assignment in the entity header ends the circuit; nothing is ever left to state",
		Leaves: func(u Unit) bool {
			return u.Packet != nil && slices.ContainsFunc(u.Packet.Entity, func(v psyc.Var) bool { return v.Op != psyc.Set })
		},
	},
	{
		Name: "compact",
		Why:  "methods without an underscore are reserved, and end the circuit",
		Leaves: func(u Unit) bool {
			m := methodOf(u)
			return m != "" && m[0] != '_'
		},
	},
	{
		Name:   "shutdown",
		Why:    "a link ends when it has been idle, not in the middle of a conversation",
		Leaves: func(u Unit) bool { return methodOf(u) == "_request_circuit_shutdown" },
	},
}

// Left returns the deviation by which a recorded unit is not sent, nil if it is.
func Left(recorded Unit) *Deviation {
	for i, d := range Deviations {
		if d.Leaves != nil && d.Leaves(recorded) {
			return &Deviations[i]
		}
	}
	return nil
}

// FirstPacket lets the question with which a link begins stand for the first packet of the recorded peer, for sessions in which psyced
// takes that for a reason to end the circuit.
var FirstPacket = Deviation{
	Name: "first packet",
	Why:  "what psyced answers to the first packet of a source that it does not believe is the same whatever that was",
	Stands: func(recorded, sent Unit) bool {
		return recorded.Packet != nil && recorded.Packet.Routing.Get("_target") != nil && (asksFirst(sent) || methodOf(sent) == "_request_authorization")
	},
}

// asksFirst reports whether u is the question with which a link begins.
func asksFirst(u Unit) bool {
	return methodOf(u) == "_request_ping" && strings.HasSuffix(u.Packet.Routing.Get("_source").String(), "/~switchyard")
}

func methodOf(u Unit) string {
	if u.Packet == nil {
		return ""
	}
	return u.Packet.Method
}

func hostOf(v psyc.Value) string {
	u, err := uniform.Parse(v.String())
	if err != nil {
		return ""
	}
	return u.Host()
}

// sameKey reports whether two uniforms are the same person.
func sameKey(a, b psyc.Value) bool {
	u, err := uniform.Parse(a.String())
	if err != nil {
		return false
	}
	w, err := uniform.Parse(b.String())
	return err == nil && u.Key() == w.Key()
}

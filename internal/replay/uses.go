package replay

import "strings"

// A Use says which tests take part in recorded conversations, or why none does.
type Use struct {
	Recording     string
	Conversations string // as [Recording.Named] calls them, with blanks between
	Tests         string // likewise
	Why           string
}

// Tests that play recordings. The others compare bytes: psyc.TestTranscripts09 reads all that psyced has ever sent.
const (
	Circuits = "psyc.TestRecordedCircuits"  // a circuit says what the recorded peer said
	Talks    = "psycswitch.TestReplayTalks" // a router does, for people who say it in XMPP
	Dials    = "psycswitch.TestReplayDials" // Dial meets what the recorded peer met
)

// Uses has each conversation of the recordings once, but for telnet, which psyced's own people used.
var Uses = []Use{
	{"01-psyc09-greeting", "A0 B0 G0", Circuits + " " + Dials, ""},
	{"01-psyc09-greeting", "C0 D0 E0 F0 H0", Dials, "circuits write LF, begin with a dot, and greet without a target; a link finds psyced's answers to anything else"},
	{"02-psyc09-person", "main0", Circuits + " " + Talks, ""},
	{"02-psyc09-person", "main1 main2", Dials, "forged sources and compact methods are not sent; psyced's complaint is what counts"},
	{"03-psyc09-place", "main0 IN10", Circuits + " " + Talks, ""},
	{"04-psyc09-friendship-presence", "main0 IN10", Circuits + " " + Talks, ""},
	{"05-psyc10-spyc", "main0", Circuits + " " + Talks, ""},
	{"05-psyc10-spyc", "main2", Circuits, "a link leaves a place only if somebody is in"},
	{"05-psyc10-spyc", "main1 main3 A0 C0 D0 E0 G0", Dials, "mistakes on purpose"},
	{"05-psyc10-spyc", "B0", "", "a packet of 0.9 after the bar: psyced waits for its end, and neither side ever says anything"},
	{"06a-psyc-tls13-refused", "A0 B0 C0 D0 E0 F0 G0", Dials, "psyced does not let anybody speak in TLS 1.3"},
	{"06b-psyc-tls12", "C0", Circuits + " " + Talks, ""},
	{"06b-psyc-tls12", "A0 B0 D0 E0 F0 G0", Dials, "nobody is believed, or nobody speaks"},
	{"06c-psyc-inband-encrypt", "10 20 30", Dials, "a request that psyced never answers is not sent; the greeting stays"},
	{"07-xmpp-s2s-switch", "A0", Talks, "not of a circuit alone: it begins as a stream"},
	{"07-xmpp-s2s-switch", "G0 K0", Dials, "nobody gets to say anything"},
	{"07-xmpp-s2s-switch", "B0", "", "what is sent behind <switching/> is lost, so a link waits; rule switch"},
	{"07-xmpp-s2s-switch", "C0", "", "another scheme is never asked for; rule switch"},
	{"07-xmpp-s2s-switch", "D0", "", "a newline before the first dot: no circuit writes one, and rule first-line sees to it"},
	{"07-xmpp-s2s-switch", "E0", "", "1.0 after the switch, which psyced does not answer: psyced's switch leads to 0.9"},
	{"07-xmpp-s2s-switch", "F0 H0 I0", "", "streams without a version, without addresses, and no stream at all: ours have all of it"},
	{"07-xmpp-s2s-switch", "J0", "", "the recorded peer was offered EXTERNAL and switched without; a link that is offered a proof takes it, as in 08 A"},
	{"08-xmpp-s2s-starttls-external-switch", "A0 C0", Talks, "not of a circuit alone"},
	{"08-xmpp-s2s-starttls-external-switch", "B0", "", "EXTERNAL where it was not offered: ours does dialback then"},
	{"08-xmpp-s2s-starttls-external-switch", "IN10", "", "one-sided: the recorded peer never answered the stream"},
	{"09-xmpp-s2s-outgoing-switch", "IN0", Talks, "not of a circuit alone"},
	{"09-xmpp-s2s-outgoing-switch", "psyced0", "", "not a connection, but the news of one"},
	{"10-psyc09-outgoing-circuit", "IN10 IN40", Circuits + " " + Talks, ""},
	{"10-psyc09-outgoing-circuit", "psyced0", "", "not a connection, but the news of one"},
	{"11-xmpp-c2s-raw", "main0", "", "a client"},
	{"12-psyc09-edge-cases", "A0 B0 C0 D0 E0 F0 G0 H0 I0 J0 K0 L0 M0 N0 O0 P0 Q0 R0 S0 T0 U0 V0 W0 X0 Y0", "", "variants of one packet that were tried to see which psyced takes: a link writes none of them, and the rules say which"},
	{"12-psyc09-edge-cases", "UDP0", "", "datagrams, which psyced did not answer"},
	{"12-psyc09-edge-cases", "SHUT0", Talks, "without a greeting, which circuits always send"},
	{"13-psyc09-first-packet-rule", "A0", Talks, "without a greeting, which circuits always send"},
	{"13-psyc09-first-packet-rule", "B0", Circuits + " " + Talks, ""},
	{"13-psyc09-first-packet-rule", "C0", "", "questions before psyced's greeting, all in one piece: ours come after it"},
	{"13-psyc09-first-packet-rule", "D0", Talks, "without a greeting; the answer comes by the circuit that psyced opens"},
	{"13-psyc09-first-packet-rule", "IN10", Circuits + " " + Talks, ""},
	{"14-xmpp-c2s-slixmpp", "", "", "the log of a client"},
	{"15-dns-lookups", "PSYC5404-10", Talks, "psyced ends it"},
	{"15-dns-lookups", "main0 main1", Dials, "nobody is believed"},
	{"15-dns-lookups", "XMPP5270-10 PSYC4404-10", "", "one-sided: the recorded peer said nothing"},
}

// UsedBy returns the full names of the conversations that a test takes part in.
func UsedBy(test string) []string {
	var names []string
	for _, u := range Uses {
		for name := range strings.FieldsSeq(u.Conversations) {
			for by := range strings.FieldsSeq(u.Tests) {
				if by == test {
					names = append(names, u.Recording+"/"+name)
				}
			}
		}
	}
	return names
}

package replay

// An Advice is a thing to do when one speaks PSYC 0.9 with psyced, and what sees to it that we do. What is sent is checked by rules, in each session
// that is replayed; what is to be taken has tests.
type Advice struct {
	Section string // of spec/psyc09-wire.md
	Do      string
	Rules   []string
	Tests   []string // package.TestName
	Why     string   // nothing is done about it
}

// Advices are all of that page, in its order.
var Advices = []Advice{
	{"1", "send LF", []string{"bytes"}, []string{"psyc.TestRefused09"}, ""},
	{"1", "the first line of the peer decides between LF and CRLF for good, and on a circuit with LF CR is data", nil, []string{"psyc.TestCRLF09", "psyc.TestCarriageReturn09"}, ""},
	{"1", "lines of at most 2047 bytes", []string{"line-length"}, []string{"psyc.TestLongestLine09"}, ""},
	{"1", "no CR, NUL, BS, DEL and 0xFF", []string{"bytes"}, []string{"psyc.TestInjection09"}, ""},
	{"2.1", "a TAB behind each name, also in front of nothing", []string{"modifiers"}, []string{"psyc.TestParse09"}, ""},
	{"2.1", "drop _INTERNAL variables", []string{"internal"}, []string{"psyc.TestInternal", "psyc.TestParse09"}, ""},
	{"2.2", "understand =, + and - for the circuit, and send none of them", []string{"modifiers"}, []string{"psyc.TestCircuitState", "psyc.TestState"}, ""},
	{"2.3", "routing variables, an empty line, entity variables", []string{"headers"}, []string{"psyc.TestParse09"}, ""},
	{"2.3", "take any order, but nothing for routing that stands behind the empty line", nil, []string{"psyc.TestParse09", "psyc.TestRoutingBehind"}, ""},
	{"2.4", "no blank in a list", []string{"lists"}, nil, ""},
	{"2.4", "no more than 404 elements in a list", []string{"lists"}, nil, ""},
	{"2.4", "take modules as a list and as texts between semicolons", nil, []string{"psyc.TestModulesOfGreeting"}, ""},
	{"2.6", "take _length, and do not send it", []string{"methods"}, []string{"psyc.TestParse09", "psyc.TestRefused09"}, ""},
	{"2.7", "no line in a body that is a dot", nil, []string{"psyc.TestRefused09"}, ""},
	{"2.7", "do not rely on the order of variables", nil, []string{"psycswitch.TestReplayTalks"}, ""},
	{"3.1", "no empty line first", []string{"first-line"}, []string{"psyc.TestInitiateGreeting"}, ""},
	{"3.2", "TLS on a port of its own, from the first byte", nil, []string{"psycswitch.TestReplayDials", "psycswitch.TestMatrixPSYCHint"}, ""},
	{"3.2", "take _using_modules _encrypt without a method", nil, []string{"psyc.TestAdmission"}, ""},
	{"3.2", "do not begin encryption inside a circuit", []string{"modules"}, nil, ""},
	{"3.2", "do not list _compress among what is understood", []string{"modules"}, nil, ""},
	{"5", "answer keep-alives at a rate", []string{"pongs"}, []string{"psyc.TestPing"}, ""},
	{"9", "datagrams begin and end with a dot and come from port 4404", nil, nil, "we neither send datagrams nor listen for any: psyced did not answer those that were tried, and loses its own"},
}

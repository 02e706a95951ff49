package psyc

import "testing"

func TestVars(t *testing.T) {
	v := Vars{
		{Set, "_a", Value("1")},
		{0, "_b", Value("2")},
		{Assign, "_a", Value("3")},
		{Augment, "_a", Value("4")},
		{Query, "_c", Value("")},
		{Diminish, "_c", Value("x")},
		{Set, "_d", Value{}},
	}
	for name, want := range map[string]string{"_a": "3", "_b": "2", "_d": ""} {
		if got := v.Get(name); got == nil || got.String() != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"_c", "_e", "_A", ""} {
		if got := v.Get(name); got != nil {
			t.Errorf("%s is %q", name, got)
		}
	}
	v.Set("_a", "5")
	v.Set("_c", "6")
	v.Add(Augment, "_c", "7")
	want := Vars{
		{Set, "_a", Value("5")},
		{Set, "_b", Value("2")},
		{Augment, "_a", Value("4")},
		{Query, "_c", Value("")},
		{Diminish, "_c", Value("x")},
		{Set, "_d", nil},
		{Set, "_c", Value("6")},
		{Augment, "_c", Value("7")},
	}
	if !v.equal(want) {
		t.Errorf("got %+v, want %+v", v, want)
	}
}

func TestReply(t *testing.T) {
	for _, tt := range []struct{ in, want Vars }{
		{nil, nil},
		{Vars{{Set, "_tag", Value("7")}}, Vars{{Set, "_tag_relay", Value("7")}}},
		{Vars{{Set, "_tag", Value("7\t")}}, nil},
		{Vars{{Set, "_source", Value("psyc://a/")}}, Vars{{Set, "_target", Value("psyc://a/")}}},
		{
			Vars{{Set, "_context", Value("psyc://a/@x")}, {Set, "_source_relay", Value("psyc://b/~y")}},
			Vars{{Set, "_target", Value("psyc://a/@x")}},
		},
		{
			Vars{{Set, "_context", Value("psyc://a/@x")}, {Set, "_source", Value("psyc://a/~z")}, {Set, "_target", Value("psyc://b/~y")}},
			Vars{{Set, "_source", Value("psyc://b/~y")}, {Set, "_target", Value("psyc://a/~z")}},
		},
		{Vars{{Set, "_source", Value("")}, {Set, "_target", Value("")}, {Set, "_tag", Value("")}}, nil},
	} {
		p := &Packet{Routing: tt.in, Method: "_request_x"}
		q := p.Reply("_status_x")
		if !q.Routing.equal(tt.want) || q.Method != "_status_x" || len(q.Entity) > 0 {
			t.Errorf("%+v answered by %+v", p, q)
		}
	}
}

// Requests of older implementations have the tag among the entity variables.
func TestReplyToEntityTag(t *testing.T) {
	p := &Packet{Entity: Vars{{Set, "_tag", Value("7")}}, Method: "_request_x"}
	if got := p.Reply("_status_x").Routing.Get("_tag_relay").String(); got != "7" {
		t.Errorf("answered under %q", got)
	}
}

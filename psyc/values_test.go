package psyc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"
	"time"
)

// valueVector is a value, a template or a name and what libpsyc made of it.
type valueVector struct {
	Kind   string
	Name   string
	Input  goBytes
	Events []valueEvent
	Result string

	Vars        map[string]string
	Asked       []string
	Steps       []struct{ RC, Out goBytes }
	Open, Close string

	Short, Long       string
	Matches, Inherits int

	RoutingVar   *string `json:"routing_var"`
	VarType      *string `json:"var_type"`
	IsList       bool    `json:"is_list"`
	Method       *string
	Family       *string
	Flags        []string
	TemplateVars []string `json:"template_vars"`
}

type valueEvent struct {
	Code  string
	Type  *string
	Key   *goBytes
	Value valueBytes
	Name  string
	Index uint64
	Op    string
}

// valueBytes is the value of an event: a string, or an object where libpsyc reports a length without data.
type valueBytes struct{ s *goBytes }

func (v *valueBytes) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '"' {
		return nil
	}
	v.s = new(goBytes)
	return json.Unmarshal(b, v.s)
}

// readings are the vectors where the reading here is another than libpsyc's: "" for a refusal.
var readings = map[string]string{
	"list-len-no-value":         "",              // a length without data
	"list-len-blank-end":        "",              // likewise
	"list-len-overflow":         "",              // the length wraps
	"dict-key-len-wrong":        "",              // closing brace not checked
	"dict-value-len-nothing":    "",              // a length without data
	"dict-value-len-blank-end":  "",              // likewise
	"index-dict-len-noclose":    "",              // closing brace not checked
	"index-len-then-plain-key":  "{ada}{bea}",    // length flag never reset
	"update-lenkey-plain-value": "{ada} =:hello", // likewise
}

func TestValueVectors(t *testing.T) {
	for _, v := range readVectors[valueVector](t, "values.jsonl") {
		t.Run(v.Kind+"/"+v.Name, func(t *testing.T) {
			switch v.Kind {
			case "list", "dict", "index", "update":
				testReading(t, v)
			case "text":
				testText(t, v)
			case "match":
				if got := Inherits(v.Long, v.Short); got != (v.Inherits == 0) {
					t.Errorf("Inherits(%q, %q) = %v", v.Long, v.Short, got)
				}
				if got := Matches(v.Long, v.Short); got != (v.Matches == 0) {
					t.Errorf("Matches(%q, %q) = %v", v.Long, v.Short, got)
				}
			case "name":
				testName(t, v)
			case "uniform": // read by package uniform
			default:
				t.Fatalf("unknown kind %q", v.Kind)
			}
		})
	}
}

// testReading compares what is read with libpsyc's events, both written the same way.
func testReading(t *testing.T, v valueVector) {
	var got, want strings.Builder
	var err error
	value := Value(v.Input)
	item := func(e Element) { fmt.Fprintf(&got, "=%s:%s|", e.Type, e.Value) }
	step := func(x Index) {
		switch x.Kind {
		case InList:
			fmt.Fprintf(&got, "#%d", x.N)
		case InStruct:
			fmt.Fprintf(&got, ".%s", x.Name)
		case InDict:
			fmt.Fprintf(&got, "{%s}", x.Key)
		}
	}
	switch v.Kind {
	case "list":
		got.WriteString(value.ItemType())
		for e, e2 := range value.List() {
			if err = e2; err == nil {
				item(e)
			}
		}
	case "dict":
		got.WriteString(value.ItemType())
		for e, e2 := range value.Dict() {
			if err = e2; err == nil {
				fmt.Fprintf(&got, "{%s}", e.Key)
				item(e.Element)
			}
		}
	case "index":
		for x, e2 := range value.Index() {
			if err = e2; err == nil {
				step(x)
			}
		}
	case "update":
		var u UpdateExpr
		if u, err = value.Update(); err == nil {
			for _, x := range u.Index {
				step(x)
			}
			if u.Op != 0 {
				fmt.Fprintf(&got, " %c%s:%s", u.Op, u.Type, u.Value)
			}
		}
	}
	for _, e := range v.Events {
		typ, val, key := "", "", ""
		if e.Type != nil {
			typ = *e.Type
		}
		if e.Value.s != nil {
			val = string(*e.Value.s)
		}
		if e.Key != nil {
			key = string(*e.Key)
		}
		switch strings.TrimPrefix(e.Code, "INDEX_") {
		case "TYPE", "TYPE_END":
			if v.Kind == "update" {
				fmt.Fprintf(&want, " %s%s:", e.Op, typ)
			} else {
				want.WriteString(typ)
			}
		case "ELEM", "ELEM_LAST":
			fmt.Fprintf(&want, "=%s:%s|", typ, val)
		case "KEY", "DICT":
			fmt.Fprintf(&want, "{%s}", key)
		case "VALUE", "VALUE_LAST":
			if v.Kind == "update" {
				want.WriteString(val)
			} else {
				fmt.Fprintf(&want, "=%s:%s|", typ, val)
			}
		case "LIST", "LIST_LAST":
			fmt.Fprintf(&want, "#%d", e.Index)
		case "STRUCT", "STRUCT_LAST":
			fmt.Fprintf(&want, ".%s", e.Name)
		case "END":
			if v.Kind == "list" || v.Kind == "dict" {
				want.WriteString(typ)
			} else if v.Kind == "update" && e.Op != "" && !strings.Contains(want.String(), " ") {
				fmt.Fprintf(&want, " %s:", e.Op)
			}
		}
	}
	reading, differs := readings[v.Name]
	if v.Result != "ok" && reading == "" || differs && reading == "" {
		var e *Error
		if !errors.As(err, &e) || !Inherits(e.Method, "_error_invalid_syntax") {
			t.Errorf("%q: read as %q, %v, want a syntax error", v.Input, got.String(), err)
		}
		return
	}
	if !differs {
		reading = want.String()
	}
	if err != nil || got.String() != reading {
		t.Errorf("%q: read as %q, %v, want %q", v.Input, got.String(), err, reading)
	}
}

func testText(t *testing.T, v valueVector) {
	if v.Open == "" {
		v.Open, v.Close = "[", "]"
	}
	var asked []string
	got := string(ExpandBraces(nil, string(v.Input), v.Open, v.Close, func(name string) (Value, bool) {
		asked = append(asked, name)
		s, ok := v.Vars[name]
		return Value(s), ok
	}))
	want := ""
	for _, step := range v.Steps {
		want += string(step.Out)
	}
	if v.Steps[0].RC == "NO_SUBST" {
		want = string(v.Input)
	}
	switch v.Name {
	case "text-empty-name-adjacent":
		want = "[]Foo Bar" // libpsyc skips a byte too many behind []
		v.Asked = []string{"_foo"}
	case "text-tail-loss":
		want = "Foo Bar [_bar] end" // libpsyc loses what does not fit its buffer
	}
	if got != want {
		t.Errorf("%q: got %q, want %q", v.Input, got, want)
	}
	if len(v.Steps) == 1 && !slices.Equal(asked, v.Asked) {
		t.Errorf("%q: asked for %q, want %q", v.Input, asked, v.Asked)
	}
}

var flagNames = map[string]MethodFlags{
	"template": FlagTemplate, "reply": FlagReply, "visible": FlagVisible, "loggable": FlagLoggable,
	"manual": FlagManual,
}

func testName(t *testing.T, v valueVector) {
	str := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if got := RoutingVariable(v.Name); got != (v.RoutingVar != nil) {
		t.Errorf("RoutingVariable = %v", got)
	}
	if got := TypeOf(v.Name); got != str(v.VarType) {
		t.Errorf("TypeOf = %q, want %q", got, str(v.VarType))
	}
	m, ok := LookupMethod(v.Name)
	switch v.Name {
	case "_error", "_error_invalid": // libpsyc knows the flags, but the name is missing in its index
		if m.Name != "_error" || m.Flags != flagsAnswer {
			t.Errorf("LookupMethod = %+v, %v", m, ok)
		}
		return
	case "_echo_hallo", "_echo_aello": // libpsyc's search gives up too early
		if m.Name != "_echo" {
			t.Errorf("LookupMethod = %+v, %v", m, ok)
		}
		return
	}
	var flags MethodFlags
	for _, f := range v.Flags {
		flags |= flagNames[f]
	}
	if ok != (v.Method != nil) || m.Name != str(v.Method) || m.Family != str(v.Family) || m.Flags != flags {
		t.Errorf("LookupMethod = %+v, %v, want %q of %q, flags %v", m, ok, str(v.Method), str(v.Family), v.Flags)
	}
	var vars []string
	Expand(nil, m.Text, func(name string) (Value, bool) {
		vars = append(vars, name)
		return nil, false
	})
	slices.Sort(vars)
	slices.Sort(v.TemplateVars)
	if !slices.Equal(vars, v.TemplateVars) {
		t.Errorf("template speaks of %q, want %q", vars, v.TemplateVars)
	}
}

func TestTypedReadings(t *testing.T) {
	refused := func(t *testing.T, v Value, err error) {
		t.Helper()
		if !errors.Is(err, &Error{Method: errValue}) {
			t.Errorf("%q: error %v", v, err)
		}
	}
	for in, want := range map[string]int64{"0": 0, "42": 42, "-7": -7, "9223372036854775807": 1<<63 - 1} {
		if n, err := Value(in).Int(); n != want || err != nil {
			t.Errorf("Int %q = %d, %v", in, n, err)
		}
	}
	for _, in := range []string{"", "-", "+1", " 1", "1 ", "1x", "0x1", "1_0", "9223372036854775808"} {
		_, err := Value(in).Int()
		refused(t, Value(in), err)
	}
	for in, want := range map[string]int{"0": 0, "7": 7, "42": 4} {
		if n, err := Value(in).Degree(); n != want || err != nil {
			t.Errorf("Degree %q = %d, %v", in, n, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "7x"} {
		_, err := Value(in).Degree()
		refused(t, Value(in), err)
	}
	for in, want := range map[string]bool{"0": false, "1": true} {
		if f, err := Value(in).Flag(); f != want || err != nil {
			t.Errorf("Flag %q = %v, %v", in, f, err)
		}
	}
	for _, in := range []string{"", "2", "true", "11"} {
		_, err := Value(in).Flag()
		refused(t, Value(in), err)
	}
	date := time.Date(2020, 2, 29, 12, 0, 1, 0, time.UTC)
	v := Value(AppendDate(nil, date))
	if got, err := v.Date(); !got.Equal(date) || err != nil {
		t.Errorf("Date %q = %v, %v", v, got, err)
	}
	if got, err := Value("0").Date(); got.UTC().Format(time.DateOnly) != "2015-08-24" || err != nil {
		t.Errorf("epoch is %v, %v", got, err)
	}
	if got, err := Value("90").Duration(); got != 90*time.Second || err != nil {
		t.Errorf("Duration = %v, %v", got, err)
	}
	for _, in := range []string{"", "x", "9223372036854775807", "-9223372036854775808"} {
		_, err := Value(in).Duration()
		refused(t, Value(in), err)
		_, err = Value(in).Date()
		refused(t, Value(in), err)
	}
}

func TestReadings(t *testing.T) {
	for _, test := range []struct {
		what     string
		read     func(Value) (string, error)
		accepted map[string]string
		refused  []string
	}{
		{
			"_color", func(v Value) (string, error) {
				c, err := v.Color()
				return string(AppendColor(nil, c)), err
			},
			map[string]string{"#99ccff": "#99ccff", "#9CF": "#99ccff", "#012": "#001122", "#000000": "#000000"},
			[]string{"", "#", "99ccff", "#99ccf", "#99ccffff", "#99ccfg", "#+9ccff", "#-12", "red", " #99ccff"},
		},
		{
			"_language", Value.Language,
			map[string]string{"en": "en", "de-AT": "de-AT", "zh-Hans-CN": "zh-Hans-CN", "es-419": "es-419", "x-klingon": "x-klingon"},
			[]string{"", "-", "en-", "-en", "en_GB", "en GB", "12", "englisches", "e\nn", "é"},
		},
		{
			"_page", func(v Value) (string, error) {
				u, err := v.Page()
				if err != nil {
					return "", err
				}
				return u.String(), nil
			},
			map[string]string{"https://north.example/7?a=b#c": "https://north.example/7?a=b#c", "mailto:ada@north.example": "mailto:ada@north.example"},
			[]string{"", "north.example", "/path", "http://", "http://a b/", "http://a/\n", ":x", "%zz"},
		},
		{
			"_nick", Value.Nick,
			map[string]string{"Ada": "Ada", "Ada L.": "Ada L.", "grüße ☂": "grüße ☂"},
			[]string{"", " ", " Ada", "Ada ", "a\nb", "a\x00", "\xff", "a\u2028b", "a\u0085b"},
		},
		{
			"_uniform", func(v Value) (string, error) {
				u, err := v.Uniform()
				return u.String(), err
			},
			map[string]string{"psyc://north.example/~ada": "psyc://north.example/~ada", "xmpp:ada@north.example": "xmpp:ada@north.example"},
			[]string{"", "ada", "psyc://"},
		},
		{
			"_struct", func(v Value) (string, error) {
				var out strings.Builder
				for e, err := range v.Struct(Value("|=_nick|=_picture")) {
					if err != nil {
						return "", err
					}
					fmt.Fprintf(&out, "%s=%s ", e.Type, e.Value)
				}
				return out.String(), nil
			},
			map[string]string{"| ada|5 a|b|c": "_nick=ada _picture=a|b|c ", "||": "_nick= _picture= ", "|=_nick ada|=_picture_x p": "_nick=ada _picture=p "},
			[]string{"", "| ada", "| a| b| c", "|=_page ada| b"},
		},
	} {
		for in, want := range test.accepted {
			if got, err := test.read(Value(in)); err != nil || got != want {
				t.Errorf("%s %q: %q, %v, want %q", test.what, in, got, err, want)
			}
		}
		for _, in := range test.refused {
			if got, err := test.read(Value(in)); !errors.Is(err, &Error{Method: errValue + test.what}) {
				t.Errorf("%s %q: %q, %v", test.what, in, got, err)
			}
		}
	}
	for _, definition := range []string{"| x", "||", "|=_nick x", "x y"} {
		for _, err := range Value("| a| b").Struct(Value(definition)) {
			if err == nil {
				t.Errorf("defined by %q", definition)
			}
			break
		}
	}
	if got := string(AppendColor(nil, color.White)); got != "#ffffff" {
		t.Errorf("white is %q", got)
	}
}

func TestAppendUpdate(t *testing.T) {
	for _, v := range readVectors[valueVector](t, "values.jsonl") {
		if v.Kind != "update" {
			continue
		}
		u, err := Value(v.Input).Update()
		if err != nil {
			continue
		}
		again, err := Value(AppendUpdate(nil, u)).Update()
		if err != nil || again.Op != u.Op || again.Type != u.Type || !bytes.Equal(again.Value, u.Value) ||
			!slices.EqualFunc(again.Index, u.Index, func(a, b Index) bool {
				return a.Kind == b.Kind && a.N == b.N && a.Name == b.Name && bytes.Equal(a.Key, b.Key)
			}) {
			t.Errorf("%q read as %+v, written and read as %+v, %v", v.Input, u, again, err)
		}
	}
}

func TestPacketIDRefused(t *testing.T) {
	for _, in := range []string{"", "|", "||||", "||||||", "|a||||", "_x|||||", "| |||||", "|=_x||||", "|1 a||||"} {
		if id, err := Value(in).PacketID(); err == nil {
			t.Errorf("%q read as %+v", in, id)
		}
	}
	if _, err := (PacketID{Counter: "1|2"}).Append(nil); !errors.Is(err, ErrNotRepresentable) {
		t.Errorf("bar in a part: %v", err)
	}
}

func TestEarlyList(t *testing.T) {
	for in, want := range map[string][]string{
		"":                  nil,
		"|alice|Carl":       {"alice", "Carl"},
		"|a":                {"a"},
		"|a||":              {"a", "", ""},
		"|3 foo|x":          {"3 foo", "x"},
		"3 foo|5 a|b|c|0 ":  {"foo", "a|b|c", ""},
		"| with blank| too": {" with blank", " too"},
	} {
		var got []string
		for e, err := range Value(in).EarlyList() {
			if err != nil {
				t.Errorf("%q: %v", in, err)
			}
			got = append(got, e.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{"foo", "3 fo", "3foo", "3 foo3 bar", "3 foo|", "3 foo|bar", "99999999999999999999 x"} {
		var err error
		for _, err = range Value(in).EarlyList() {
		}
		if !errors.Is(err, &Error{Method: errList}) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct{ method, body, want string }{
		{"_notice_x", "[_nick] at [_source] knows [_list_a], [_list_b]; [_y]", "[_source] at psyc://n/ knows a, b, c, d; [_y]"},
		{"_message_public", "[_nick]", "[_nick]"},
		{"_jabber_message", "<x>[_nick]</x>", "<x>[_nick]</x>"},
		{"_messages", "[_nick]", "[_source]"},
		{"_notice_context_leave", "", "psyc://n/ leaves [_context]."},
		{"_notice_unheard_of", "", ""},
		{"_notice_x", "[_list_c]", "-no list"},
	} {
		p := Packet{Method: tt.method, Body: []byte(tt.body)}
		p.Routing.Set("_source", "psyc://n/")
		p.Entity.Set("_nick", "[_source]")
		p.Entity.Set("_list_a", "| a| b")
		p.Entity.Set("_list_b", "|c|d")
		p.Entity.Set("_list_c", "-no list")
		if got := p.Text(); got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.method, tt.body, got, tt.want)
		}
	}
}

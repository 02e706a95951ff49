package psyc

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func TestMux(t *testing.T) {
	var m Mux
	var got string
	handle := func(method string) {
		m.Handle(method, HandlerFunc(func(context.Context, *Circuit, *Packet) error {
			got = method
			return nil
		}))
	}
	for _, method := range []string{"_message", "_message_private", "_message_private_question_rhetorical", "_request"} {
		handle(method)
	}
	for _, test := range []struct{ method, want string }{
		{"_message", "_message"},
		{"_message_public", "_message"},
		{"_message_private", "_message_private"},
		{"_message_private_question", "_message_private"},
		{"_message_private_question_rhetorical_x", "_message_private_question_rhetorical"},
		{"_message_privately", "_message"},
		{"_request__x", "_request"},
		{"_requests", ""},
		{"_notice", ""},
		{"_", ""},
		{"", ""},
	} {
		got = ""
		err := m.ServePSYC(t.Context(), nil, &Packet{Method: test.method})
		if got != test.want || (test.want == "") != errors.Is(err, &Error{Method: "_error_unsupported_method"}) {
			t.Errorf("%s goes to %q, %v; want %q", test.method, got, err, test.want)
		}
	}
	handle("")
	got = "none"
	if err := m.ServePSYC(t.Context(), nil, &Packet{Method: "_notice"}); err != nil || got != "" {
		t.Errorf("default: %q, %v", got, err)
	}
	for _, bad := range []string{"_message", "message", "_a-b", "_a b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("registered %q", bad)
				}
			}()
			handle(bad)
		}()
	}
}

// What handlers return goes back to the source of the packet, with its tag, and never in answer to a complaint or a
// report.
func TestServe(t *testing.T) {
	for _, test := range []struct {
		name, packet string
		err          error
		want         string
	}{
		{"nothing", ":_source\t" + ada + "\n:_target\t" + bea + "\n\n_request_x\n.\n", nil, ""},
		{
			"an error", ":_source\t" + ada + "\n:_target\t" + bea + "\n:_tag\tt\n\n_request_x\n.\n",
			&Error{Method: "_error_x", Text: "No [_y].", Vars: Vars{{Name: "_y", Value: Value("z")}}, Err: errors.New("secret")},
			"_source=" + bea + " _target=" + ada + " _tag_reply=t _y=z _error_x",
		},
		{"no target", ":_source\t" + ada + "\n\n_message\n.\n", &Error{Method: "_error_x"}, "_target=" + ada + " _source=psyc://b.example/ _error_x"},
		{"a cast", ":_context\t" + ada + "\n\n_message\n.\n", &Error{Method: "_error_x"}, "_target=" + ada + " _source=psyc://b.example/ _error_x"},
		{"any other error", ":_source\t" + ada + "\n:_target\t" + bea + "\n\n_request_x\n.\n", errors.New("secret"), "_source=" + bea + " _target=" + ada + " _failure_unsuccessful_delivery"},
		{"complaint", ":_source\t" + ada + "\n:_target\t" + bea + "\n\n_failure_x\n.\n", &Error{Method: "_error_x"}, ""},
		{"complaint to the circuit", "\n_error_x\n.\n", &Error{Method: "_error_x"}, ""},
		{"echo", ":_source\t" + ada + "\n:_target\t" + bea + "\n\n_echo_x\n.\n", &Error{Method: "_error_x"}, ""},
	} {
		for _, form := range []struct {
			syn             Syntax
			delimiter, name string // of the tag in an answer
		}{{PSYC09, ".", "_tag_reply"}, {PSYC10, "|", "_tag_relay"}} {
			in := func(s string) string { return strings.ReplaceAll(s, "\n.\n", "\n"+form.delimiter+"\n") }
			want := strings.ReplaceAll(test.want, "_tag_reply", form.name)
			t.Run(test.name+" in "+form.syn.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn, w := newWire(t)
					c := Accept(conn, config("b.example"))
					c.AddProof("a.example", Proof{})
					var m Mux
					m.Handle("", HandlerFunc(func(context.Context, *Circuit, *Packet) error { return test.err }))
					served := make(chan error, 1)
					go func() { served <- c.Serve(context.Background(), &m) }()
					w.send(in(form.delimiter + "\n:_source\tpsyc://a.example/\n\n_notice_circuit_established\n.\n"))
					w.read()
					w.send(in(test.packet))
					if got := gist(t, w.read(), form.syn); got != want {
						t.Errorf("answer %q, want %q", got, want)
					}
					w.send(in("\n_request_circuit_shutdown\n.\n"))
					if err := <-served; err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestServeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := newWire(t)
		c := Accept(conn, nil)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- c.Serve(ctx, new(Mux)) }()
		synctest.Wait()
		cancel()
		if err := <-served; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		<-c.Done()
	})
}

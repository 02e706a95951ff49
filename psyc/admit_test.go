package psyc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/uniform"
)

// gist returns the variables and the method of a packet, without its lengths and its text; "" if there is none.
func gist(t *testing.T, wire string, syn Syntax) string {
	t.Helper()
	if wire == "" {
		return ""
	}
	var p Packet
	if n, err := p.Parse([]byte(wire), syn); err != nil || n != len(wire) {
		t.Fatalf("%q is no packet: %v", wire, err)
	}
	var parts []string
	for _, v := range append(p.Routing, p.Entity...) {
		parts = append(parts, v.Name+"="+v.Value.String())
	}
	return strings.Join(append(parts, p.Method), " ")
}

// What a peer that has proved a.example may send to b.example, and what it is told otherwise.
func TestAdmission(t *testing.T) {
	for _, test := range []struct {
		name   string
		line   string // syntax
		packet string
		method string // that the application sees
		answer string // its gist
	}{
		{"message", "|", ":_source\tpsyc://a.example/~ada\n:_target\tpsyc://b.example/~bea\n\n_message\nhi\n|\n", "_message", ""},
		{"host in other case", "|", ":_source\tPSYC://A.EXAMPLE/~ada\n:_target\tpsyc://B.example/~bea\n\n_message\nhi\n|\n", "_message", ""},
		{"xmpp addresses", ".", ":_source\txmpp:ada@a.example/home\n:_target\txmpp:bea@b.example\n\n_message\nhi\n.\n", "_message", ""},
		{"no target", "|", ":_source\tpsyc://a.example/~ada\n\n_request_version\n|\n", "_request_version", ""},
		{"cast", "|", ":_context\tpsyc://a.example/~ada\n\n_notice_presence\n|\n", "_notice_presence", ""},
		{"error between entities", "|", ":_source\tpsyc://a.example/\n:_target\tpsyc://b.example/~bea\n\n_error_unknown_name_user\n|\n", "_error_unknown_name_user", ""},

		{"source not proved", "|", ":_source\tpsyc://evil.example/~eve\n:_target\tpsyc://b.example/~bea\n\n_message\nhi\n|\n", "", "_host=evil.example _error_rejected_relay_incoming"},
		{"source not proved, tag", "|", ":_source\tpsyc://evil.example/~eve\n:_target\tpsyc://b.example/~bea\n:_tag\tt1\n\n_message\nhi\n|\n", "", "_tag_relay=t1 _host=evil.example _error_rejected_relay_incoming"},
		{"source not proved, tag, 0.9", ".", ":_source\tpsyc://evil.example/~eve\n:_target\tpsyc://b.example/~bea\n:_tag\tt1\n\n_message\nhi\n.\n", "", "_tag_reply=t1 _source=psyc://b.example/~bea _target=psyc://evil.example/~eve _host=evil.example _error_rejected_relay_incoming"},
		{"context not proved", "|", ":_context\tpsyc://evil.example/@x\n:_source_relay\tpsyc://a.example/~ada\n\n_message\nhi\n|\n", "", "_host=evil.example _error_rejected_relay_incoming"},
		{"source proved, context not", "|", ":_context\tpsyc://evil.example/@x\n:_source\tpsyc://a.example/~ada\n\n_message\nhi\n|\n", "", "_host=evil.example _error_rejected_relay_incoming"},
		{"context proved, source not", "|", ":_context\tpsyc://a.example/@x\n:_source\tpsyc://evil.example/~eve\n\n_message\nhi\n|\n", "", "_host=evil.example _error_rejected_relay_incoming"},
		{"host with the proved name as suffix", "|", ":_source\tpsyc://xa.example/~eve\n:_target\tpsyc://b.example/~bea\n\n_message\nhi\n|\n", "", "_host=xa.example _error_rejected_relay_incoming"},
		{"two sources", "|", ":_source\tpsyc://evil.example/~eve\n:_source\tpsyc://a.example/~ada\n:_target\tpsyc://b.example/\n\n_message\nhi\n|\n", "", "_variable_name=_source _error_illegal_protocol_variable"},
		{"two targets", "|", ":_source\tpsyc://a.example/~ada\n:_target\tpsyc://b.example/\n:_target\tpsyc://c.example/\n\n_message\nhi\n|\n", "", "_variable_name=_target _error_illegal_protocol_variable"},
		{"error is not answered", "|", ":_source\tpsyc://evil.example/~eve\n:_target\tpsyc://b.example/~bea\n\n_error_x\n|\n", "", ""},
		{"failure is not answered", "|", ":_source\tpsyc://evil.example/~eve\n:_target\tpsyc://b.example/~bea\n\n_failure_x\n|\n", "", ""},
		{"warning is not answered", "|", ":_source\tpsyc://evil.example/~eve\n:_target\tpsyc://b.example/~bea\n\n_warning_x\n|\n", "", ""},
		{"foreign target", "|", ":_source\tpsyc://a.example/~ada\n:_target\tpsyc://c.example/~cyd\n\n_message\nhi\n|\n", "", "_host=c.example _failure_unsupported_relay"},
		{"foreign target, 0.9", ".", ":_source\tpsyc://a.example/~ada\n:_target\tpsyc://c.example/~cyd\n\n_message\nhi\n.\n", "", "_host=c.example _failure_unsupported_relay"},
		{"target that is none", "|", ":_source\tpsyc://a.example/~ada\n:_target\tbea\n\n_message\nhi\n|\n", "", "_uniform=bea _failure_unsupported_notation_location"},
		{"source that is none", "|", ":_source\tada\n:_target\tpsyc://b.example/~bea\n\n_message\nhi\n|\n", "", "_uniform=ada _error_invalid_uniform"},
		{"no source", "|", ":_target\tpsyc://b.example/~bea\n\n_message\nhi\n|\n", "", "_uniform=psyc://b.example/~bea _error_necessary_source"},

		{"unknown request to the circuit", "|", "\n_request_features\n|\n", "", "_method_relay=_request_features _failure_unsupported_function_circuit"},
		{"unknown request to the circuit, tag", "|", ":_tag\tt\n\n_request_features\n|\n", "", "_tag_relay=t _method_relay=_request_features _failure_unsupported_function_circuit"},
		{"message to the circuit", ".", "\n_message_private\nhi\n.\n", "", "_method_relay=_message_private _failure_unsupported_function_circuit"},
		{"notice to the circuit", "|", "\n_notice_x\n|\n", "", ""},
		{"status to the circuit", "|", "\n_status_x\n|\n", "", ""},
		{"status nobody asked for", "|", ":_tag_relay\tt\n\n_status_authorization\n|\n", "", ""},
		{"complaint to the circuit", "|", "\n:_host\tc.example\n_failure_unsupported_relay\n|\n", "_failure_unsupported_relay", ""},
		{"module of variables", ".", ":_using_modules\t_encrypt\n\n.\n", "", ""},
		{"status with a source, 0.9", ".", ":_source\tpsyc://evil.example/\n\n_status_circuit\n.\n", "", ""},

		// Circuit methods between entities are ordinary.
		{"shutdown between entities", "|", ":_source\tpsyc://a.example/~ada\n:_target\tpsyc://b.example/~bea\n\n_request_circuit_shutdown\n|\n", "_request_circuit_shutdown", ""},
		{"shutdown from a person", "|", ":_source\tpsyc://a.example/~ada\n\n_request_circuit_shutdown\n|\n", "_request_circuit_shutdown", ""},
		{"shutdown of an unproved person", ".", ":_source\tpsyc://evil.example/~eve\n\n_request_circuit_shutdown\n.\n", "", "_host=evil.example _error_rejected_relay_incoming"},
		{"shutdown in a context", "|", ":_context\tpsyc://a.example/@x\n\n_request_circuit_shutdown\n|\n", "_request_circuit_shutdown", ""},
		{"authorization between entities", "|", ":_source\tpsyc://a.example/\n:_target\tpsyc://b.example/\n\n:_uniform_source\tpsyc://a.example/\n:_uniform_target\tpsyc://b.example/\n_request_authorization\n|\n", "_request_authorization", ""},
		{"greeting with a target", ".", ":_source\tpsyc://a.example/\n:_target\tpsyc://b.example/\n\n_notice_circuit_established\n.\n", "_notice_circuit_established", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, out := accepted(t, nil, test.line)
				w.send(test.packet)
				if got := gist(t, w.read(), c.Syntax()); got != test.answer {
					t.Errorf("answer %q, want %q", got, test.answer)
				}
				if c.Err() != nil {
					t.Errorf("circuit ended: %v", c.Err())
				}
				w.Close()
				r := <-out
				var seen []string
				for _, p := range r.packets {
					seen = append(seen, p.Method)
				}
				if strings.Join(seen, " ") != test.method {
					t.Errorf("application saw %q, want %q", seen, test.method)
				}
				if complains(test.method) && test.name != "error between entities" {
					if !errors.Is(r.err, &Error{Method: test.method}) {
						t.Errorf("ended with %v", r.err)
					}
				} else if r.err != nil {
					t.Errorf("ended with %v", r.err)
				}
			})
		})
	}
}

func TestShutdown(t *testing.T) {
	for _, packet := range []struct{ name, line, text string }{
		{"1.0", "|", "\n_request_circuit_shutdown\n|\n"},
		{"0.9", ".", "\n_request_circuit_shutdown\n.\n"},
		{"0.9 as psyced", ".", ":_source\tpsyc://a.example/\n\n_request_circuit_shutdown\n.\n"},
	} {
		t.Run(packet.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, out := accepted(t, nil, packet.line)
				w.send(packet.text)
				if r := <-out; r.err != nil || len(r.packets) != 0 {
					t.Errorf("loop ended with %v", r)
				}
				<-c.Done()
				if c.Err() != io.EOF || !w.closed() {
					t.Errorf("ended with %v", c.Err())
				}
				if err := c.Send(t.Context(), message(bea, ada, "late")); err != io.EOF {
					t.Errorf("send: %v", err)
				}
				if err := c.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		})
	}
}

func TestMalformed(t *testing.T) {
	for _, test := range []struct{ name, line, packet, method string }{
		{"1.0", "|", "this is garbage\n", "_error_invalid_syntax"},
		{"1.0 content length", "|", ":_source\tpsyc://a.example/~ada\n3\n_message\nhello\n|\n", "_error_invalid_syntax"},
		{"0.9 compact method", ".", "xyz\n", "_error_invalid_method_compact"},
		{"0.9 list without variable", ".", ":\tx\n", "_error_syntax_list_append"},
		{"0.9 augment", ".", "+_source\tpsyc://a.example/\n\n_message\n.\n", "_failure_unsupported_modifier"},
		{"too much state", "|", "=_source\t" + strings.Repeat("x", defaultStateBytes+1) + "\n|\n", "_error_header_too_large"},
		{"self in the middle", "|", "\n:_instance\t62000000000000000000000000000001\n_notice_circuit_established\n|\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, out := accepted(t, nil, test.line)
				io.WriteString(w, test.packet)
				r := <-out
				answer := w.read()
				if test.method == "" {
					if !errors.Is(r.err, ErrSelf) || answer != "" {
						t.Errorf("ended with %v, told %q", r.err, answer)
					}
				} else {
					if !errors.Is(r.err, &Error{Method: test.method}) {
						t.Errorf("ended with %v", r.err)
					}
					if !strings.Contains(answer, "\n"+test.method) {
						t.Errorf("told %q", answer)
					}
				}
				w.Close()
				<-c.Done()
				if c.Err() != r.err {
					t.Errorf("err %v, loop %v", c.Err(), r.err)
				}
			})
		})
	}
}

// A peer that complains and hangs up leaves its complaint as the reason.
func TestCroak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, out := accepted(t, nil, ".")
		w.send("\n:_host\tb.example\n_error_invalid_host_certificate\n[_host] has not shown who it is.\n.\n")
		w.Close()
		r := <-out
		if len(r.packets) != 1 || !errors.Is(r.err, &Error{Method: "_error_invalid_host"}) || !strings.Contains(r.err.Error(), "b.example has not shown") {
			t.Errorf("got %d packets and %v", len(r.packets), r.err)
		}
		if !errors.Is(c.Err(), &Error{Method: "_error_invalid_host_certificate"}) {
			t.Error(c.Err())
		}
	})
}

// A complaint that was not the peer's last word is not why it hung up.
func TestComplaintBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, out := accepted(t, nil, ".")
		w.send("\n_failure_unsupported_relay\n.\n.\n")
		w.Close()
		if r := <-out; r.err != nil || len(r.packets) != 1 || c.Err() != io.EOF {
			t.Errorf("ended with %v, %v", r.err, c.Err())
		}
	})
}

func TestAssignedState(t *testing.T) {
	for _, test := range []struct {
		name, line string
		send       []string
		want       []string // source>target nick of what arrives
	}{
		{"assign and inherit", "|", []string{
			"=_source\tpsyc://a.example/~ada\n=_target\tpsyc://b.example/~bea\n\n_message\n|\n",
			"\n_message\n|\n",
			":_source\tpsyc://a.example/~al\n\n_message\n|\n",
			"\n_message\n|\n",
			":_target\t\n\n_message\n|\n",
			"-_target\t\n\n_message\n|\n",
			"\n_message\n|\n",
		}, []string{
			"psyc://a.example/~ada>psyc://b.example/~bea ",
			"psyc://a.example/~ada>psyc://b.example/~bea ",
			"psyc://a.example/~al>psyc://b.example/~bea ",
			"psyc://a.example/~ada>psyc://b.example/~bea ",
			"psyc://a.example/~ada> ",
			"psyc://a.example/~ada> ",
			"psyc://a.example/~ada> ",
		}},
		{"circuit packets while assigned", "|", []string{
			"=_source\tpsyc://a.example/~ada\n\n_message\n|\n",
			":_source\t\n\n_notice_x\n|\n",     // for the circuit
			"\n_request_circuit_shutdown\n|\n", // inherits the source: for the root
		}, []string{"psyc://a.example/~ada> ", "psyc://a.example/~ada> "}},
		{"0.9 entity state", ".", []string{
			"=_source\tpsyc://a.example/~ada\n\n=_nick\tAda\n_message\n.\n",
			"\n_message\n.\n",
			"\n:_nick\tA.\n_message\n.\n",
			"\n-_nick\n_message\n.\n",
			"\n_message\n.\n",
		}, []string{
			"psyc://a.example/~ada> Ada",
			"psyc://a.example/~ada> Ada",
			"psyc://a.example/~ada> A.",
			"psyc://a.example/~ada> ",
			"psyc://a.example/~ada> ",
		}},
		{"1.0 entity state is the context's", "|", []string{
			":_source\tpsyc://a.example/~ada\n\n=_nick\tAda\n_message\n|\n",
			":_source\tpsyc://a.example/~ada\n\n_message\n|\n",
		}, []string{"psyc://a.example/~ada> Ada", "psyc://a.example/~ada> "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, w, out := accepted(t, nil, test.line)
				for _, s := range test.send {
					w.send(s)
				}
				w.want("")
				w.Close()
				r := <-out
				var got []string
				for _, p := range r.packets {
					got = append(got, p.Routing.Get("_source").String()+">"+p.Routing.Get("_target").String()+" "+p.Entity.Get("_nick").String())
				}
				if strings.Join(got, "\n") != strings.Join(test.want, "\n") || r.err != nil {
					t.Errorf("got\n%s\n%v, want\n%s", strings.Join(got, "\n"), r.err, strings.Join(test.want, "\n"))
				}
			})
		})
	}
}

func TestCircuitBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("b.example")
		cfg.Limits.Body = 100
		conn, w := newWire(t)
		c := Accept(conn, cfg)
		c.AddProof("a.example", Proof{})
		bodies := make(chan string, 3)
		go func() {
			defer close(bodies)
			for p, err := range c.Packets(context.Background()) {
				if err != nil {
					t.Error(err)
					return
				}
				b := p.Body
				if p.Size > 0 {
					b, _ = io.ReadAll(io.LimitReader(c.Body(), 200))
				}
				bodies <- string(b)
			}
		}()
		w.send("|\n")
		long := strings.Repeat("x", 1000)
		for _, source := range []string{ada, "psyc://evil.example/~eve", ada} {
			b, err := message(source, bea, long).Append(nil, PSYC10)
			if err != nil {
				t.Fatal(err)
			}
			w.send(string(b))
		}
		w.Close()
		for b := range bodies {
			if b != long[:200] {
				t.Errorf("body of %d bytes", len(b))
			}
		}
	})
}

// The short way to the host of a uniform gives what parsing gives.
func TestHostCache(t *testing.T) {
	var h hostCache
	for range 2 { // the second time from the cache
		for _, s := range []string{
			"psyc://a.example/", "psyc://a.example/~ada", "psyc://a.example/@room", "psyc://a.example/~x_1", "psyc://A.example:4405/~ada",
			"psyc://a.example/~%zz", "psyc://a.example/~\x00", "psyc://a.example/~", "psyc://a.example/~a#", "psyc://a.example/~a b", "psyc://a.example/~a/b",
			"psyc://a.example", "psyc://a.example:99999999/", "psyc:///~ada", "xmpp:ada@a.example", "xmpp:a.example/~ada", "http://a.example/~ada", "", "/", "://", ":///",
			"psyc://" + strings.Repeat("a", 300) + "/", "psyc://a.example/~" + strings.Repeat("a", 9000),
		} {
			u, err := uniform.Parse(s)
			host, herr := h.of(Value(s))
			if err == nil && u.Host() != "" && (herr != nil || host != u.Host()) || (err != nil || u.Host() == "") && herr == nil {
				t.Errorf("%q: host %q, %v; want %q, %v", s, host, herr, u.Host(), err)
			}
		}
	}
}

// The log names the peer and the reason, not what people say, and not a million times.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		cfg := config("b.example")
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		_, w, out := accepted(t, cfg, ".")
		time.Sleep(time.Second)
		refused := ":_source\tpsyc://evil.example/~eve\n:_target\t" + bea + "\n:_nick\tsecret\n\n_message\nsecret\n.\n"
		w.send(strings.Repeat(refused, 1000))
		time.Sleep(time.Second)
		w.send(refused)
		w.send("rubbish\n")
		<-out
		w.Close()
		synctest.Wait()
		got := log.String()
		for _, want := range []string{
			`level=INFO msg="circuit established" local=pipe remote=pipe syntax=0.9 peer=psyc://a.example/`,
			`level=WARN msg="packet refused" local=pipe remote=pipe method=_message error=_error_rejected_relay_incoming host=evil.example peer=psyc://a.example/ suppressed=0`,
			`peer=psyc://a.example/ suppressed=999`,
			`level=WARN msg="circuit closed" local=pipe remote=pipe peer=psyc://a.example/ err="psyc: circuit with pipe: psyc: _error_invalid_method_compact`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
		if strings.Contains(got, "secret") || strings.Count(got, "\n") != 4 {
			t.Errorf("log:\n%s", got)
		}
	})
}

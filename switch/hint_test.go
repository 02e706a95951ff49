package psycswitch

import "testing"

func TestHintString(t *testing.T) {
	tests := []struct {
		hint Hint
		want string
	}{
		{Hint{Protocol: PSYC, DirectTLS: true, Target: "h.example", Addr: "192.0.2.1:9404"}, "PSYC+TLS 192.0.2.1:9404 (h.example)"},
		{Hint{Protocol: XMPP, Target: "h.example", Addr: "h.example:5269"}, "XMPP h.example:5269"},
		{Hint{Protocol: XMPP, Target: "2001:db8::1", Addr: "[2001:db8::1]:5269"}, "XMPP [2001:db8::1]:5269"},
		{Hint{Protocol: 9, Addr: "h"}, "Protocol(9) h"},
	}
	for _, tt := range tests {
		if got := tt.hint.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

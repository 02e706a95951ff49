package xmpp

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// Stanzas that arrive while the stream is read for an answer are there for the loop over Stanzas; too many of
// them, or of their bytes, end the stream.
func TestHeldStanzas(t *testing.T) {
	const small = `<message id='1' from='b@hill.example' to='a@dale.example'><body>x</body></message>`
	const kib = 1 << 10
	large := `<message id='1' from='b@hill.example' to='a@dale.example'><body>x</body><x xmlns='urn:x'>` + strings.Repeat("x", kib)
	large += `</x></message>`
	attribute := `<message id='1' from='b@hill.example' to='a@dale.example' x='` + strings.Repeat("x", kib) + `'><body>x</body></message>`
	for _, tt := range []struct {
		stanza string
		n      int
		held   int // Config.Held
		ok     bool
	}{
		{small, heldStanzas, 0, true},
		{small, heldStanzas + 1, 0, false},
		{large, 1, kib, true}, // the first one, whatever its size
		{large, 2, kib, false},
		{large, 3, 3 * len(large), true},
		{large, 4, 3 * len(large), false},
		{attribute, 4, 3 * len(attribute), false},
		{strings.Replace(large, "</x>", strings.Repeat("x", 100*kib)+"</x>", 1), 5, 0, true},
		{strings.Replace(large, "</x>", strings.Repeat("x", 100*kib)+"</x>", 1), 6, 0, false},
	} {
		t.Run(fmt.Sprintf("%d of %d bytes, %d", tt.n, len(tt.stanza), tt.held), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				cfg := plainBidi(initiatePlain())
				cfg.Held = tt.held
				s := Initiate(theirs, cfg)
				go script{
					{want: "from='dale.example'"},
					{send: hill + bidiFeatures},
					{want: "</db:result>"},
					{send: authorized},
					{want: "</db:result>"},
					{send: strings.Repeat(tt.stanza, tt.n)},
					{send: `<db:result from='hill.example' to='moor.example' type='valid'/></stream:stream>`},
				}.play(t, ours)
				if err := s.Negotiate(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				err := s.Authorize(t.Context(), "moor.example", "hill.example")
				if !tt.ok {
					if !errors.Is(err, ResourceConstraint) {
						t.Errorf("Authorize: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got := 0
				for st, err := range s.Stanzas(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if st.ID == "1" && st.Text("body") == "x" {
						got++
					}
				}
				if got != tt.n {
					t.Errorf("%d of %d stanzas", got, tt.n)
				}
				if s.heldSize != 0 {
					t.Errorf("%d bytes are held", s.heldSize)
				}
			})
		})
	}
}

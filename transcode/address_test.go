package transcode

import (
	"fmt"
	"testing"

	"github.com/switchyard-im/switchyard/uniform"
)

// TestAddressBookIsBounded: whoever sends under many names does not fill our memory.
func TestAddressBookIsBounded(t *testing.T) {
	var b addressBook
	for i := range 3 * addresses {
		j := uniform.MustParseJID(fmt.Sprintf("ann%d@a.example/desk", i))
		u := b.uniform(j)
		if u != j.Uniform().String() {
			t.Fatalf("%s is %s", j, u)
		}
		back, err := b.jid([]byte(u), []byte("desk"))
		if err != nil || back != j {
			t.Fatalf("%s: %s, %v", u, back, err)
		}
		if len(b.uniforms) > addresses || len(b.jids) > addresses {
			t.Fatalf("%d and %d addresses", len(b.uniforms), len(b.jids))
		}
	}
}

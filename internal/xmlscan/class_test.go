package xmlscan

import "testing"

// A byte that ends a run lends from its neighbours where eight are looked at together: all pairs, in every place.
func TestSkipValue(t *testing.T) {
	for at := range 9 {
		for first := range 0x100 {
			for second := range 0x100 {
				b := []byte("plain bytes, longer than a word")
				b[at], b[at+1] = byte(first), byte(second)
				for _, b := range [][]byte{b, b[:at+2]} {
					if got, want := skipValue(b, 0), prefixOf(b, plainValue); got != want {
						t.Fatalf("%q: got %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

package transcode

import "testing"

// A byte that is not of the class lends from its neighbours where eight are looked at together: all pairs, in every place.
func TestConsistsOf(t *testing.T) {
	for _, of := range []uint8{printable, quotable} {
		for at := range 9 {
			for first := range 0x100 {
				for second := range 0x100 {
					b := []byte("plain bytes, longer than a word")
					b[at], b[at+1] = byte(first), byte(second)
					for _, b := range [][]byte{b, b[:at+2]} {
						if got, want := consistsOf(b, of), prefixOf(b, of) == len(b); got != want {
							t.Fatalf("%q, class %d: got %v, want %v", b, of, got, want)
						}
					}
				}
			}
		}
	}
}

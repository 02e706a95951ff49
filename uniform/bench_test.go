package uniform

import "testing"

func BenchmarkParseJID(b *testing.B) {
	for _, s := range []string{"juliet@capulet.example/balcony", "Juliet@Capulet.example/balcony", "жульетта@пример.example/балкон"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseJID(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{"psyc://capulet.example/~juliet", "xmpp:juliet@capulet.example/balcony"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMapping(b *testing.B) {
	j := MustParseJID("juliet@capulet.example/balcony")
	u := j.Uniform()
	b.Run("JID.Uniform", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			j.Uniform()
		}
	})
	b.Run("Uniform.JID", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := u.JID("balcony"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package psycswitch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		if _, ok := m.recall("a.example", "b.example"); ok {
			t.Error("an empty memory knows something")
		}
		m.learn("", "b.example", PSYC, time.Hour, "switched")
		m.learn("a.example", "b.example", XMPP, time.Minute, "_error_invalid_host")

		check := func(local, remote string, want Protocol) {
			t.Helper()
			if s, _ := m.recall(local, remote); s.protocol != want {
				t.Errorf("%s to %s: %v, want %v", local, remote, s.protocol, want)
			}
		}
		check("a.example", "b.example", XMPP)
		check("A.EXAMPLE.", "B.example", XMPP)
		check("c.example", "b.example", PSYC)
		check("a.example", "c.example", 0)
		if s, _ := m.recall("a.example", "b.example"); s.reason != "_error_invalid_host" || !s.since.Equal(time.Now()) {
			t.Errorf("%+v", s)
		}

		time.Sleep(time.Minute) // the pair's own ends, the domain's stays
		check("a.example", "b.example", PSYC)
		m.forget("a.example", "b.example")
		check("a.example", "b.example", 0)
		check("c.example", "b.example", 0)
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory{max: 20}
		for i := range 200 {
			m.learn("", fmt.Sprintf("d%d.example", i), PSYC, time.Duration(i+1)*time.Minute, "test")
			if n := m.entries.Len(); n > 20 {
				t.Fatalf("%d entries", n)
			}
			if _, ok := m.recall("", fmt.Sprintf("d%d.example", i)); !ok {
				t.Fatalf("entry %d is not there", i)
			}
		}
	})
}

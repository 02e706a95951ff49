package expiring

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Map[string, int]
		if _, ok := m.Get("a"); ok {
			t.Error("an empty map has an entry")
		}
		m.Put("a", 1, time.Now().Add(time.Second), 2)
		m.Put("b", 2, time.Now().Add(time.Minute), 2)
		if v, ok := m.Get("a"); !ok || v != 1 {
			t.Error(v, ok)
		}
		time.Sleep(time.Second)
		if _, ok := m.Get("a"); ok || m.Len() != 1 {
			t.Error("an entry outlived its end")
		}
		m.Delete("b")
		if _, ok := m.Get("b"); ok {
			t.Error("a deleted entry is there")
		}
	})
}

func TestMapMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Map[int, int]
		for i := range 10 {
			m.Put(i, i, time.Now().Add(time.Duration(100+i)*time.Second), 10)
		}
		m.Put(3, 33, time.Now().Add(time.Hour), 10) // replaced: nobody gives way
		if m.Len() != 10 {
			t.Errorf("%d entries", m.Len())
		}
		m.Put(10, 10, time.Now().Add(time.Hour), 10)
		if _, ok := m.Get(0); ok || m.Len() != 10 {
			t.Error("the entry that ends first did not give way")
		}
		time.Sleep(105 * time.Second) // 1, 2, 4 and 5 have ended
		m.Put(11, 11, time.Now().Add(time.Hour), 10)
		if m.Len() != 7 {
			t.Errorf("%d entries, want those that have not ended", m.Len())
		}
	})
}

func TestMapStaysBounded(t *testing.T) {
	var m Map[int, int]
	for i := range 10_000 {
		m.Put(i, i, time.Now().Add(time.Duration(i%50+1)*time.Hour), 100)
		if _, ok := m.Get(i); !ok || m.Len() > 100 {
			t.Fatalf("after %d: there %v, %d entries", i, ok, m.Len())
		}
	}
}

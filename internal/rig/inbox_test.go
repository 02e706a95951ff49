package rig_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/internal/rig"
)

func numbered(id string) string { return "<message xmlns='jabber:client' id='" + id + "'/>" }

func withID(id string) func(rig.Stanza) bool {
	return func(s rig.Stanza) bool { return s.Is("message") && s.Attribute("id") == id }
}

func anything(rig.Stanza) bool { return true }

// What came before it was expected, or was passed over, must stay, in order.
func TestInboxOrder(t *testing.T) {
	b := rig.NewInbox()
	for _, id := range []string{"1", "2", "3", "4"} {
		rig.Receive(b, numbered(id))
	}
	if _, err := b.Expect(t.Context(), withID("3")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2", "4"} {
		s, err := b.Expect(t.Context(), anything)
		if err != nil || s.Attribute("id") != want || s.XML != numbered(want) {
			t.Errorf("%s, %v; want %s", s.XML, err, want)
		}
	}
	if rest := b.Unexpected(); len(rest) != 0 {
		t.Errorf("left over: %v", rest)
	}
}

func TestInboxWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rig.NewInbox()
		go func() {
			rig.Receive(b, numbered("1"))
			synctest.Wait()
			rig.Receive(b, numbered("2"))
		}()
		if _, err := b.Expect(t.Context(), withID("2")); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := b.Expect(ctx, withID("3"))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), numbered("1")) {
			t.Errorf("%v, want a deadline and what came instead", err)
		}
	})
}

// A stanza that cannot be parsed must fail the test that waits, not vanish.
func TestInboxUnreadable(t *testing.T) {
	b := rig.NewInbox()
	rig.Receive(b, numbered("1"))
	rig.Receive(b, "<message")
	if _, err := b.Expect(t.Context(), withID("1")); err != nil {
		t.Error(err)
	}
	if s, err := b.Expect(t.Context(), anything); err == nil {
		t.Errorf("%s", s.XML)
	}
}

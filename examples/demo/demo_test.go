package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestDemo runs the demonstration and looks for its chapters in their order.
func TestDemo(t *testing.T) {
	var text bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := demo(ctx, &printer{w: &text}); err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	rest := text.String()
	for _, want := range []string{
		"_xmpp-server._tcp.south.example",
		"<psyc xmlns='urn:x-switchyard:psyc:0'>",
		"<db:result ",
		"<switching ",
		"<switched ",
		"_notice_circuit_established",
		"_message_private",
		"_notice_presence_away",
		"_jabber_iq_get",
		"_jabber_iq_result",
		"4 of 4 stanzas arrived unchanged",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the output lacks %q, or has it too early:\n%s", want, text.String())
		}
		rest = after
	}
}

func TestLines(t *testing.T) {
	got := lines(`<?xml version='1.0'?><stream:stream a='b'><stream:features><a/><b><c/></b></stream:features>`)
	want := []string{"<?xml version='1.0'?>", "<stream:stream a='b'>", "<stream:features>", "<a/>", "<b><c/></b></stream:features>"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

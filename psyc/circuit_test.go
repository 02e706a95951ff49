package psyc

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipe returns two circuits that are connected and have not greeted.
func pipe(initiate, accept *Config) (a, b *Circuit) {
	x, y := net.Pipe()
	return Initiate(x, initiate), Accept(y, accept)
}

// shake greets on both sides.
func shake(t *testing.T, a, b *Circuit) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- b.Handshake(context.Background()) }()
	if err := a.Handshake(context.Background()); err != nil {
		t.Fatalf("initiator: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatalf("acceptor: %v", err)
	}
}

func TestConversation(t *testing.T) {
	for _, syntax := range []Syntax{PSYC10, PSYC09} {
		t.Run(syntax.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ac, bc := config("a.example"), config("b.example")
				ac.Syntax = syntax
				ac.Modules, bc.Modules = []string{ModuleProfile}, []string{ModuleProfile, "_context"}
				ac.Announce = Vars{{Name: "_lease", Value: Value("7")}}
				ac.Protocols = []string{"PSYC/1.0 TCP IP/6", "XMPP-S2S/1:5269"}
				a, b := pipe(ac, bc)
				if err := b.AddProof("A.example", Proof{Kind: ProofDialback}); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				shake(t, a, b)
				if took := time.Since(start); took != 0 {
					t.Errorf("handshake waited %v", took)
				}
				if b.Syntax() != syntax || !a.Profile() || !b.Profile() {
					t.Errorf("syntax %v, profile %v %v", b.Syntax(), a.Profile(), b.Profile())
				}
				if g := a.Peer(); g.Root != "psyc://b.example/" || g.Implementation != "Switchyard" || len(g.Understands) != 3 {
					t.Errorf("greeting of b: %+v", g)
				}
				fromA, fromB := collect(b), collect(a)
				synctest.Wait()
				if lease := b.Peer().Vars.Get("_lease"); lease.String() != "7" {
					t.Errorf("lease %q", lease)
				}
				if g := b.Peer(); strings.Join(g.Protocols, ",") != "PSYC/1.0 TCP IP/6,XMPP-S2S/1:5269" {
					t.Errorf("protocols of a: %q", g.Protocols)
				}
				for _, text := range []string{"one", "two", "three"} {
					if err := a.Send(t.Context(), message(ada, bea, text)); err != nil {
						t.Fatal(err)
					}
				}
				if err := a.Close(); err != nil {
					t.Error(err)
				}
				r := <-fromA
				if r.err != nil || len(r.packets) != 3 || string(r.packets[2].Body) != "three" {
					t.Errorf("b got %d packets, %v", len(r.packets), r.err)
				}
				if r := <-fromB; r.err != nil || len(r.packets) != 0 {
					t.Errorf("a got %d packets, %v", len(r.packets), r.err)
				}
				<-b.Done()
				if !errors.Is(a.Err(), ErrClosed) || b.Err() != io.EOF {
					t.Errorf("ended with %v and %v", a.Err(), b.Err())
				}
			})
		})
	}
}

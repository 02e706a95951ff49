package psyc

import (
	"context"
	"net"
	"testing"
)

// One message over a circuit on a loopback connection, sent, checked and received.
func BenchmarkCircuit(b *testing.B) {
	for name, cfg := range map[string]func(string) *Config{"plain": config, "state": profiled} {
		b.Run(name, func(b *testing.B) { benchmarkCircuit(b, cfg) })
	}
}

func benchmarkCircuit(b *testing.B, config func(string) *Config) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Skip(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	from, to := Initiate(dialled, config("a.example")), Accept(conn, config("b.example"))
	to.AddProof("a.example", Proof{})
	got := make(chan int)
	go func() {
		n := 0
		for _, err := range to.Packets(context.Background()) {
			if err != nil {
				b.Error(err)
				break
			}
			n++
		}
		got <- n
	}()
	p := message(ada, bea, "A message of the usual length, as people send them.")
	if err := from.Handshake(b.Context()); err != nil {
		b.Fatal(err)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := from.Send(b.Context(), p); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.StopTimer()
	from.Close()
	if m := <-got; m != n {
		b.Errorf("%d packets of %d", m, n)
	}
}

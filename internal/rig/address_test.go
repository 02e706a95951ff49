package rig_test

import (
	"net"
	"runtime"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
)

// A reserved port must be refused as a closed one, usable again and again, and given to nobody else.
func TestFreeAddr(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ports are held on Linux only")
	}
	addr := rig.FreeAddr(t)
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("somebody listens on a reserved address")
	}
	for range 2 {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		l.Close()
	}
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	udp.Close()
	seen := map[string]bool{addr: true}
	for range 200 {
		a := rig.FreeAddr(t)
		if seen[a] {
			t.Fatalf("%s was given twice", a)
		}
		seen[a] = true
	}
}

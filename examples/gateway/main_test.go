package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// freeAddr returns an address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().String()
}

func TestRunGateway(t *testing.T) {
	taken := listen(t)
	config := func(world, local string) string {
		return "[world]\nplaintext = true\nlisten = ['" + world + "']\n[psyc]\nlisten = []\n[local]\nlisten = '" + local + "'\n" +
			"[[server]]\ns2s = '127.0.0.1:1'\ndomains = ['" + home + "']\n[dns]\nservers = ['127.0.0.1:2']\n"
	}
	for _, test := range []struct {
		name, config string
		status       int
		logged       []string
	}{
		{"orderly end", config(freeAddr(t), freeAddr(t)), 0, []string{"gateway started", home, "gateway stopped"}},
		{"no configuration", "world = 1", 1, []string{"gateway.toml:1:"}},
		{"world's address taken", config(taken.Addr().String(), freeAddr(t)), 1, []string{"gateway failed", "world"}},
		{"local address taken", config(freeAddr(t), taken.Addr().String()), 1, []string{"gateway failed", "local"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := writeFile(t, t.TempDir(), "gateway.toml", test.config)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			var log bytes.Buffer
			if status := runGateway(ctx, &log, file); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, word := range test.logged {
				if !strings.Contains(log.String(), word) {
					t.Errorf("%q is not in the log:\n%s", word, log.String())
				}
			}
		})
	}
}

// If one part fails the others end too, and Run says why.
func TestRunFails(t *testing.T) {
	f := newFront(t, 0, testLogger("gateway"), nil)
	f.gateway.localListener.Close()
	select {
	case err := <-f.done:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run does not end")
	}
	if conn, err := net.Dial("tcp", f.gateway.worldListeners[0].Addr().String()); err == nil {
		conn.Close()
		t.Error("the world's listener is open")
	}
}

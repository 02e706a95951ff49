package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	psycswitch "github.com/switchyard-im/switchyard/switch"
)

// A domain comes and goes while messages of another one flow by links that stay.
func TestReload(t *testing.T) {
	const second = "second.example"
	for name, protocols := range map[string]psycswitch.Protocol{"PSYC": 0, "XMPP": psycswitch.XMPP} {
		t.Run(name, func(t *testing.T) {
			var cfg *Config
			f := newFront(t, protocols, testLogger("gateway"), func(f *front, c *Config) {
				cfg = c
				f.home.Hosts = psycswitch.StaticHosts{home: nil, second: nil}
			})
			with := func(domains ...string) *Config {
				c := *cfg
				c.Servers = []Server{cfg.Servers[0]}
				c.Servers[0].Domains = domains
				return &c
			}
			// Everything that arrives is sorted: the flow, and what is about the second domain.
			other, flowing := make(chan string, 1000), make(chan struct{})
			var next int
			var sorting sync.WaitGroup
			sorting.Go(func() {
				for s := range f.home.got {
					if s.To.Domain() != home {
						other <- s.ID
						continue
					}
					if s.ID != strconv.Itoa(next) {
						t.Errorf("%s where %d was due", s.ID, next)
					}
					if next++; next == 10 {
						close(flowing)
					}
				}
			})
			stop := make(chan struct{})
			var sending sync.WaitGroup
			sent := 0
			sending.Go(func() {
				for ; ; sent++ {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
					if err := f.away.Send(t.Context(), chat("bob@"+away, "ada@"+home, strconv.Itoa(sent), "hello")); err != nil {
						t.Error(err)
						return
					}
				}
			})
			receive(t, flowing)
			since := make(map[time.Time]bool)
			for l := range f.gateway.world.Links() {
				since[l.Since] = true
			}

			if err := f.gateway.Reload(with(home, second)); err != nil {
				t.Fatal(err)
			}
			if err := f.away.Send(t.Context(), chat("bob@"+away, "ada@"+second, "come", "hello")); err != nil {
				t.Fatal(err)
			}
			if id := receive(t, other); id != "come" {
				t.Errorf("got %s", id)
			}
			if err := f.gateway.Reload(with(home)); err != nil {
				t.Fatal(err)
			}
			// What is under way is lost; then senders hear that there is nobody.
			for gone := false; !gone; {
				if err := f.away.Send(t.Context(), chat("bob@"+away, "ada@"+second, "gone", "hello")); err != nil {
					t.Fatal(err)
				}
				select {
				case s := <-f.away.got:
					if gone = s.ID == "gone" && s.Type == "error"; !gone {
						t.Errorf("got %s", s.Append(nil))
					}
				case id := <-other:
					t.Fatalf("%s came for a domain that is gone", id)
				case <-time.After(50 * time.Millisecond):
				}
			}

			close(stop)
			sending.Wait()
			stay := 0
			for l := range f.gateway.world.Links() {
				if since[l.Since] {
					stay++
				}
			}
			if stay == 0 || stay != len(since) {
				t.Errorf("%d of %d links have stayed", stay, len(since))
			}
			f.away.end()
			f.stop()
			if err := receive(t, f.done); err != nil {
				t.Error(err)
			}
			f.home.end()
			close(f.home.got)
			sorting.Wait()
			if next != sent {
				t.Errorf("%d of %d messages came", next, sent)
			}
		})
	}
}

// What cannot change without a restart changes nothing, and a file with errors neither.
func TestReloadRefused(t *testing.T) {
	var cfg *Config
	f := newFront(t, 0, testLogger("gateway"), func(_ *front, c *Config) { cfg = c })
	for name, change := range map[string]func(*Config){
		"listener":   func(c *Config) { c.World.Listen = []Address{mustAddress("127.0.0.1:1")} },
		"timeout":    func(c *Config) { c.Timeout.Idle++ },
		"redirector": func(c *Config) { c.Servers[0].Redirector = mustAddress("127.0.0.1:1") },
		"log":        func(c *Config) { c.Log.Format = "json" },
	} {
		c := *cfg
		c.Servers = []Server{cfg.Servers[0]}
		c.Servers[0].Domains = []string{"other.example"}
		change(&c)
		if err := f.gateway.Reload(&c); !errors.Is(err, ErrFixed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	hangup := make(chan os.Signal)
	stop := f.gateway.reloads(writeFile(t, t.TempDir(), "gateway.toml", "nonsense"), hangup)
	hangup <- os.Interrupt
	stop()
	if domains := strings.Join(f.gateway.now.Load().cfg.Domains(), " "); domains != home {
		t.Errorf("domains are %s", domains)
	}
}

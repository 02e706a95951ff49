package transcode

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// inUse returns how many bytes of the heap are in use.
func inUse() int {
	runtime.GC()
	runtime.GC() // pools give up what they have in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Audiences take about as much memory as is counted for them, and not more, at both ends, whether addresses are short or long.
func TestAudienceMemory(t *testing.T) {
	for _, test := range []struct{ contacts, audiences, name int }{{2, 3000, 7}, {10, 1500, 7}, {100, 150, 7}, {1000, 15, 7}, {10, 300, 1000}} {
		t.Run(fmt.Sprintf("%d contacts with names of %d bytes", test.contacts, test.name), func(t *testing.T) {
			jid := func(format string, args ...any) uniform.JID {
				s := fmt.Sprintf(format, args...)
				local, domain, _ := strings.Cut(s, "@")
				return uniform.MustParseJID(local + strings.Repeat("x", test.name-len(local)) + "@" + domain)
			}
			limits := AudienceLimits{Audiences: 1 << 20}
			out, in := &FanOut{Limits: limits}, &FanIn{Root: "psyc://south.example/", Limits: limits}
			var wire [][]byte
			// The second presence is for one contact less, so that members are looked for.
			send := func(user, contacts int) {
				from := jid("u%d@north.example", user)
				for c := range contacts {
					out.Add(time.Time{}, &xmpp.Stanza{Kind: xmpp.Presence, From: from, To: jid("v%d@south.example", user*test.contacts+c)}, nil)
				}
				out.FlushAll()
				for parcel, err := range out.Parcels() {
					if err != nil {
						t.Fatal(err)
					}
					b, err := parcel.Packet.Append(nil, psyc.PSYC10)
					if err != nil {
						t.Fatal(err)
					}
					wire = append(wire, b)
					out.Confirm(parcel.Cast)
				}
			}
			before := inUse()
			for user := range test.audiences {
				send(user, test.contacts)
				send(user, test.contacts-1)
			}
			sent := inUse() - before
			for _, b := range wire {
				sent -= cap(b)
			}
			before = inUse()
			for _, b := range wire {
				var p psyc.Packet
				if _, err := p.Parse(b, psyc.PSYC10); err != nil {
					t.Fatal(err)
				}
				for _, err := range in.Receive(time.Time{}, &p) {
					if err != nil {
						t.Fatal(err)
					}
				}
				in.Replies()
			}
			received := inUse() - before
			for end, l := range map[string]*audienceList{"sender": &out.list, "receiver": &in.list} {
				took := map[string]int{"sender": sent, "receiver": received}[end]
				n := l.order.Len()
				t.Logf("%s: %d audiences take %d bytes each, %d are counted", end, n, took/n, l.bytes/n)
				if took > l.bytes+l.bytes/5 || took < l.bytes/4 {
					t.Errorf("%s: %d audiences take %d bytes each, %d are counted", end, n, took/n, l.bytes/n)
				}
			}
			runtime.KeepAlive(wire)
			for _, a := range in.audiences {
				in.drop(a)
			}
			if l := &in.list; l.members != 0 || l.bytes != 0 {
				t.Errorf("nothing is left but %d members and %d bytes", l.members, l.bytes)
			}
		})
	}
}

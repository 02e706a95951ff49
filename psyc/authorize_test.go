package psyc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAuthorize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ac, bc := config("a.example"), config("b.example")
		ac.RequestTimeout = 20 * time.Second
		bc.Hosted = func(host string) bool { return host == "b.example" || host == "b2.example" }
		bc.Prove = func(ctx context.Context, host string) (Proof, error) {
			switch host {
			case "a.example", "blocked.example":
				return Proof{Kind: ProofAddress}, nil
			case "slow.example":
				<-ctx.Done()
				return Proof{}, ctx.Err()
			}
			return Proof{}, errors.New("another address")
		}
		bc.Authorize = func(ctx context.Context, source, target string) error {
			if source == "blocked.example" {
				return errors.New("blocked")
			}
			return nil
		}
		a, b := pipe(ac, bc)
		shake(t, a, b)
		fromA, fromB := collect(b), collect(a)
		for _, test := range []struct {
			local, remote string
			want          error
		}{
			{"a.example", "b.example", nil},
			{"A.example", "b2.example", nil},
			{"a.example", "c.example", &Error{Method: "_error_invalid_uniform_target"}},
			{"evil.example", "b.example", &Error{Method: "_error_invalid_uniform_source"}},
			{"blocked.example", "b.example", &Error{Method: "_error_invalid_uniform_source"}},
			{"slow.example", "b.example", context.DeadlineExceeded},
		} {
			err := a.Authorize(t.Context(), test.local, test.remote)
			if test.want == nil && err != nil || !errors.Is(err, test.want) {
				t.Errorf("%s to %s: %v, want %v", test.local, test.remote, err, test.want)
			}
		}
		if !b.Proven("a.example") || !b.Proven("blocked.example") || b.Proven("evil.example") || a.Proven("b.example") {
			t.Error("wrong proofs")
		}
		for host, proof := range b.Proofs() {
			if proof.Kind != ProofAddress || time.Until(proof.Until) > 24*time.Hour || time.Until(proof.Until) < 23*time.Hour {
				t.Errorf("%s: %+v", host, proof)
			}
		}
		for _, bad := range []string{"", "a b", "a/b", "a.example:4404"} {
			if err := a.Authorize(t.Context(), bad, "b.example"); err == nil {
				t.Errorf("authorized %q", bad)
			}
		}
		a.Close()
		<-fromA
		<-fromB
		// Granted before, so not asked, though nobody is there.
		if err := a.Authorize(t.Context(), "a.example", "b.example"); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestAuthorizeIn09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, out := accepted(t, nil, ".")
		if err := c.Authorize(t.Context(), "b.example", "a.example"); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		w.Close()
		<-out
	})
}

// What goes over the wire, as a psyced has it.
func TestAuthorizeWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("b.example")
		c, w, out := accepted(t, cfg, "|")
		w.send(":_tag\tauth1\n\n:_uniform_source\tpsyc://a.example/\n:_uniform_target\tpsyc://b.example/\n_request_authorization\n|\n")
		if got := gist(t, w.read(), PSYC10); got != "_tag_relay=auth1 _uniform_source=psyc://a.example/ _uniform_target=psyc://b.example/ _status_authorization" {
			t.Error(got)
		}
		w.send(":_tag\tauth2\n\n:_uniform_source\tpsyc://other.example/\n:_uniform_target\tpsyc://b.example/\n_request_authorization\n|\n")
		if got := gist(t, w.read(), PSYC10); got != "_tag_relay=auth2 _uniform_source=psyc://other.example/ _uniform_target=psyc://b.example/ _error_invalid_uniform_source" {
			t.Error(got)
		}
		w.send("\n_request_authorization\n|\n")
		if got := gist(t, w.read(), PSYC10); got != "_uniform_source= _uniform_target= _error_invalid_uniform_target" {
			t.Error(got)
		}

		asked := make(chan error, 1)
		go func() { asked <- c.Authorize(context.Background(), "b.example", "a.example") }()
		var p Packet
		if _, err := p.Parse([]byte(w.read()), PSYC10); err != nil {
			t.Fatal(err)
		}
		if p.Method != "_request_authorization" || len(p.Routing) != 1 || p.Entity.Get("_uniform_source").String() != "psyc://b.example/" {
			t.Errorf("asked by %+v", p)
		}
		tag := p.Routing.Get("_tag").String()
		w.send(":_tag_relay\tother\n\n_status_authorization\n|\n") // not ours
		w.send(":_source\tpsyc://a.example/\n:_tag_relay\t" + tag + "\n\n_status_authorization\n|\n")
		synctest.Wait()
		select {
		case err := <-asked:
			t.Errorf("an entity answered for the circuit: %v", err)
		default:
		}
		w.send(":_tag_relay\t" + tag + "\n\n_status_authorization\n|\n")
		if err := <-asked; err != nil {
			t.Error(err)
		}
		w.Close()
		if r := <-out; len(r.packets) != 1 { // the one with a source
			t.Errorf("application saw %d packets", len(r.packets))
		}
	})
}

func TestProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		cfg := config("b.example")
		cfg.Hosts, cfg.Ping, cfg.PeerTimeout = 2, -1, -1
		prove := errors.New("no")
		cfg.Prove = func(context.Context, string) (Proof, error) {
			asked.Add(1)
			return Proof{Kind: ProofDialled}, prove
		}
		c, w, out := accepted(t, cfg, ".")
		send := func(host string) string {
			w.send(":_source\tpsyc://" + host + "/~x\n:_target\t" + bea + "\n\n_message\n.\n")
			return gist(t, w.read(), PSYC09)
		}
		const refused = "_source=psyc://b.example/~bea _target=psyc://x.example/~x _host=x.example _error_rejected_relay_incoming"
		for range 3 {
			if got := send("x.example"); got != refused {
				t.Error(got)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times about a host that was refused", n)
		}
		time.Sleep(proveAgain)
		prove = nil
		if got := send("x.example"); got != "" || asked.Load() != 2 {
			t.Errorf("%s, asked %d times", got, asked.Load())
		}
		send("x.example")
		if asked.Load() != 2 || !c.Proven("x.example") {
			t.Error("proof is not kept")
		}
		// Two hosts are all that this circuit may know.
		if got := send("y.example"); got != "_source=psyc://b.example/~bea _target=psyc://y.example/~x _host=y.example _error_rejected_relay_incoming" {
			t.Error(got)
		}
		if err := c.AddProof("z.example", Proof{}); !errors.Is(err, ErrTooManyHosts) {
			t.Error(err)
		}
		if err := c.AddProof("no host", Proof{}); err == nil {
			t.Error("proof of no host")
		}
		c.DropProof("A.example")
		if c.Proven("a.example") {
			t.Error("proof is not dropped")
		}
		if err := c.AddProof("a.example", Proof{Until: time.Now().Add(time.Minute)}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if c.Proven("a.example") {
			t.Error("proof does not end")
		}
		for host := range c.Proofs() {
			if host != "x.example" {
				t.Errorf("proof of %s", host)
			}
		}
		prove = errors.New("moved")
		time.Sleep(24 * time.Hour)
		if got := send("x.example"); got != refused {
			t.Errorf("after a day: %s", got)
		}
		w.Close()
		<-out
	})
}

// The policy about a pair is asked for once, and again when the proof of the host was renewed.
func TestPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := make(map[string]int)
		cfg := config("b.example")
		cfg.Hosted = func(host string) bool { return true }
		cfg.Authorize = func(_ context.Context, source, target string) error {
			mu.Lock()
			defer mu.Unlock()
			asked[source+">"+target]++
			if target == "closed.example" {
				return errors.New("closed")
			}
			return nil
		}
		c, w, out := accepted(t, cfg, ".")
		send := func(target string) string {
			w.send(":_source\t" + ada + "\n:_target\tpsyc://" + target + "/\n\n_message\n.\n")
			return gist(t, w.read(), PSYC09)
		}
		for range 3 {
			if got := send("open.example"); got != "" {
				t.Error(got)
			}
			if got := send("closed.example"); got != "_source=psyc://closed.example/ _target=psyc://a.example/~ada _host=a.example _error_rejected_relay_incoming" {
				t.Error(got)
			}
		}
		c.DropProof("a.example")
		c.AddProof("a.example", Proof{})
		send("open.example")
		if got := fmt.Sprint(asked); got != "map[a.example>closed.example:1 a.example>open.example:2]" {
			t.Error(got)
		}
		w.Close()
		if r := <-out; len(r.packets) != 4 {
			t.Errorf("%d packets", len(r.packets))
		}
	})
}

// A flood of requests for authorization, each of which waits for name servers, neither stops the other packets nor
// takes more than its share of goroutines; all of them end with the circuit.
func TestAuthorizationFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waiting, most atomic.Int64
		cfg := config("b.example")
		cfg.Prove = func(ctx context.Context, host string) (Proof, error) {
			most.Store(max(most.Load(), waiting.Add(1)))
			defer waiting.Add(-1)
			<-ctx.Done()
			return Proof{}, ctx.Err()
		}
		_, w, out := accepted(t, cfg, "|")
		for i := range 100 {
			w.send(fmt.Sprintf("\n:_uniform_source\tpsyc://h%d.example/\n:_uniform_target\tpsyc://b.example/\n_request_authorization\n|\n", i))
		}
		w.send(":_source\t" + ada + "\n:_target\t" + bea + "\n\n_message\n|\n")
		w.Close()
		if r := <-out; len(r.packets) != 1 {
			t.Errorf("%d packets", len(r.packets))
		}
		if most.Load() != maxDeciding {
			t.Errorf("%d at a time", most.Load())
		}
	})
}

// Two requests and a packet that need the same proof ask for it once.
func TestProveOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		cfg := config("b.example")
		cfg.Prove = func(ctx context.Context, host string) (Proof, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			return Proof{Kind: ProofAddress}, nil
		}
		_, w, out := accepted(t, cfg, "|")
		request := "\n:_uniform_source\tpsyc://c.example/\n:_uniform_target\tpsyc://b.example/\n_request_authorization\n|\n"
		w.send(request + request + ":_source\tpsyc://c.example/\n:_target\t" + bea + "\n\n_message\n|\n")
		time.Sleep(2 * time.Second)
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		w.Close()
		if r := <-out; len(r.packets) != 1 {
			t.Errorf("%d packets", len(r.packets))
		}
	})
}

func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("b.example")
		cfg.Requests = 2
		c, w, out := accepted(t, cfg, ".")
		type result struct {
			reply *Packet
			err   error
		}
		ask := func(tag string) <-chan result {
			p := &Packet{Method: "_request_version"}
			p.Routing.Set("_source", bea)
			p.Routing.Set("_target", ada)
			if tag != "" {
				p.Routing.Set("_tag", tag)
			}
			done := make(chan result, 1)
			go func() {
				reply, err := c.Request(context.Background(), p)
				done <- result{reply, err}
			}()
			synctest.Wait()
			return done
		}
		one := ask("t1")
		two := ask("t2")
		if r := <-ask("t3"); !errors.Is(r.err, ErrTooManyRequests) {
			t.Error(r.err)
		}
		w.read()
		// Somebody else, and one who has proved nothing, cannot reply for ada; psyced replies with the tag under both
		// names.
		w.send(":_source\tpsyc://a.example/~al\n:_target\t" + bea + "\n:_tag_reply\tt1\n\n_status_version\nal\n.\n")
		w.send(":_source\tpsyc://evil.example/~ada\n:_target\t" + bea + "\n:_tag_reply\tt1\n\n_status_version\nevil\n.\n")
		w.send("\n:_tag_reply\tt1\n_status_version\ncircuit\n.\n")
		w.send(":_source\tPSYC://a.example/~Ada\n:_target\t" + bea + "\n:_tag\tt1\n:_tag_reply\tt1\n\n_status_version\nada\n.\n")
		if r := <-one; r.err != nil || string(r.reply.Body) != "ada" {
			t.Errorf("%v, %v", r.reply, r.err)
		}
		if r := <-ask("t2"); r.err == nil {
			t.Error("one tag for two requests")
		}
		start := time.Now()
		if r := <-two; !errors.Is(r.err, context.DeadlineExceeded) || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %v", r.err, time.Since(start))
		}
		three := ask("")
		w.Close()
		if r := <-three; r.err != io.EOF {
			t.Errorf("reply without a peer: %v", r.err)
		}
		if r := <-out; len(r.packets) != 1 || string(r.packets[0].Body) != "al" {
			t.Errorf("application saw %v", r.packets)
		}
	})
}

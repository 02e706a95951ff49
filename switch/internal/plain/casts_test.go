package plain

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
)

// TestCopies: in 1.0 a cast comes once for each member, and goes once to each client.
func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(t)
		k.syntax = psyc.PSYC10
		for _, who := range []string{"cleo", "dan"} {
			k.out("<presence from='" + who + "@peer.example/desk' to='*bar@psyced.example/" + who + "'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
			k.in(":_source\tpsyc://psyced.example/@bar\n:_target\tpsyc://peer.example/~" + who + "\n\n:_nick\t" + who +
				"\n:_list_members\tnet/tn/user#ada\n:_list_members_nicks\tada\n_echo_place_enter\n.\n")
		}
		const cast = ":_context\tpsyc://psyced.example/@bar\n:_source_relay\tpsyc://psyced.example/~ada\n\n:_nick\tada\n_message_public\nha\n.\n"
		for i, want := range []string{"<message:groupchat <message:groupchat", "", "<message:groupchat <message:groupchat", ""} {
			if got := tell(k.in(cast)); got != want {
				t.Errorf("copy %d: %q, want %q", i, got, want)
			}
		}
		if tell(k.out("<message from='cleo@peer.example/desk' to='*bar@psyced.example/ada' type='chat'><body>hi</body></message>")) != ">_message_private" {
			t.Error("ada is not known")
		}
		// There is a third copy, by a circuit of its own, which comes behind the next line. The line before was said twice.
		casts := func(line int, syntax psyc.Syntax, copies int) (delivered int) {
			k.syntax = syntax
			vars := ":_nick\tada\n:_nick_place\tbar\n"
			if syntax == psyc.PSYC09 {
				vars = ":_nick_place\tbar\n:_nick\tada\n"
			}
			said := strings.NewReplacer("ha", fmt.Sprint("line ", line), ":_nick\tada\n", vars).Replace(cast)
			for range copies {
				if tell(k.in(said)) != "" {
					delivered++
				}
			}
			return delivered
		}
		for line, want := range []int{2, 1, 1} {
			time.Sleep(time.Second)
			delivered := casts(line, psyc.PSYC10, 2)
			if got := casts(100+line, psyc.PSYC10, 2); got != 1 {
				t.Errorf("the line behind %d was delivered %d times", line, got)
			}
			delivered += casts(line, psyc.PSYC09, 1) // which has the variables in another order
			casts(100+line, psyc.PSYC09, 1)
			if delivered != want {
				t.Errorf("line %d was delivered %d times, want %d", line, delivered, want)
			}
		}
		k = inBar(t, psyc.PSYC09)
		for range 2 {
			if got := tell(k.in(cast)); got != "<message:groupchat <message:groupchat" {
				t.Errorf("in 0.9: %q", got)
			}
		}
	})
}

// TestPlaceIsRoom: a client that asks what a place is hears of a room.
func TestPlaceIsRoom(t *testing.T) {
	k := newTalk(t)
	e := k.out("<iq from='cleo@peer.example/desk' to='*bar@psyced.example' id='1' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
	tag := e.Packets[0].Routing.Get("_tag").String()
	e = k.in(":_source\tpsyc://psyced.example/@bar\n:_target\t" + here + "\n:_tag_reply\t" + tag +
		"\n\n:_identity\tplace\n:_name\tbar\n:_list_feature\tlist_feature\n:\tjabber-muc\n:\tpersistent\n_notice_list_feature_place\n.\n")
	if tell(e) != "<iq:result" {
		t.Fatalf("%q", tell(e))
	}
	info, _ := e.Stanzas[0].DiscoInfo()
	if len(info.Identities) != 1 || info.Identities[0].Type != "text" || !info.Has(nsMUC) || !info.Has("muc_persistent") {
		t.Errorf("%+v", info)
	}
}

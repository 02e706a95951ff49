package plain

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

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
		// There is a third member that nobody here knows; the row before was of two times two.
		for i, want := range []int{2, 2, 1, 1} {
			line, said := strings.Replace(cast, "ha", fmt.Sprint("line ", i), 1), 0
			for range 3 {
				if tell(k.in(line)) != "" {
					said++
				}
			}
			if said != want {
				t.Errorf("line %d was delivered %d times, want %d", i, said, want)
			}
		}
		k.in(cast)
		k.in(cast)
		if got := tell(k.in(strings.Replace(cast, "ha", "hm", 1))); got == "" {
			t.Error("another line is taken for a copy")
		}
		k.syntax = psyc.PSYC09
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

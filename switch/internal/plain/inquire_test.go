package plain

import (
	"fmt"
	"strings"
	"testing"
)

// TestInquiries: who was in a room before we were started is known again when something is heard of them, and so is everybody else
// in the room.
func TestInquiries(t *testing.T) {
	const (
		asksNick = "@bar>~ada _request_ping"
		asksRoom = "<iq from='ada' to='BAR/Ada' id='ID' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
		asksAll  = "<presence from='ada' to='BAR/Ada'><x xmlns='muc'><history maxstanzas='0'/></x></presence>"
		pong     = "<iq from='bar@rooms.peer.example/Ada' to='ada@psyced.example/psyc' id='ID' type='result'/>"
		people   = "list_members=~ada,xmpp:BAR/Cleo list_members_nicks=Ada,Cleo"
	)
	var (
		hears  = groupchat("Cleo", "ada", "1", "<body>hi</body>")
		heard  = `[@bar xmpp:BAR/Cleo]> _message_public nick=Cleo "hi"`
		named  = at("ada", "bar", "", "\n:_nick\tAda\n_echo_ping")
		who    = at("ada", "bar", "", "\n_request_status")
		cleo   = shows("Cleo", "ada", "", "")
		itself = shows("Ada", "ada", "", "", "110")
		topic  = groupchat("Cleo", "ada", "s", "<subject>tea</subject>")
		speech = strings.Replace(talks("ada", "bar", "hello"), "_nick\tada", "_nick\tAda", 1)
		spoken = strings.Replace(fmt.Sprintf(speaks, "ada", "hello"), ">ada<", ">Ada<", 1)
		again  = strings.Replace(asks("ada", "bar", "_request_enter"), "_nick\tada", "_nick\tAda", 1)
		told   = step{who, "@bar>~ada _status_place_members " + people}
		news   = step{shows("Dan", "ada", "", ""), "[@bar xmpp:BAR/Dan]> _notice_place_enter nick=Dan"}
	)
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"hears something", []step{
			{hears, heard + "\n" + asksNick},
			{hears, heard},
			{named, asksAll},
			{cleo, ""},
			{itself, ""},
			{topic, ""},
			told, news,
			{groupchat("Cleo", "ada", "s2", "<subject>milk</subject>"), "[@bar xmpp:BAR/Cleo]> _notice_place_topic nick=Cleo topic=milk"},
		}},
		{"speaks", []step{
			{speech, spoken},
			{groupchat("Ada", "ada", "2", "<body>hello</body>"), `[@bar ~ada]> _message_public nick=Ada "hello"` + "\n" + asksAll},
			{cleo, ""},
			{itself, ""},
			told, news,
		}},
		{"speaks from outside", []step{
			{speech, spoken}, {stanzaError("message", "not-acceptable"), "xmpp:BAR/ada>~ada _error_necessary_membership nick_target=ada"},
		}},
		{"asks who is inside", []step{
			{who, asksNick}, {who, ""}, {named, asksRoom}, {pong, asksAll}, {cleo, ""}, {itself, "@bar>~ada _status_place_members " + people}, told, news,
		}},
		{"asks under a name", []step{
			{strings.Replace(asks("ada", "bar", "_request_members"), "_nick\tada", "_nick\tAda", 1), asksRoom},
			{stanzaError("iq", "service-unavailable"), asksAll},
			{cleo, ""},
			{itself, "@bar>~ada _status_place_members t-ada " + people},
			told,
		}},
		{"asks from outside", []step{
			{who, asksNick}, {named, asksRoom}, {stanzaError("iq", "not-acceptable"), "@bar>~ada _error_necessary_membership"},
		}},
		{"enters again", []step{
			{hears, heard + "\n" + asksNick},
			{again, asksAll},
			{cleo, ""},
			{itself, "@bar>~ada _echo_place_enter t-ada nick=Ada " + people},
			{topic, "@bar>~ada _status_place_topic topic=tea"},
			told,
		}},
		{"goes by another nick", []step{
			{hears, heard + "\n" + asksNick},
			{named, asksAll},
			{cleo, ""},
			{who, ""},
			{stanzaError("presence", "conflict"), "@bar>~ada _status_place_members list_members=xmpp:BAR/Cleo list_members_nicks=Cleo"},
		}},
		{"sees somebody", []step{
			{shows("Cleo", "ada", "", ofCleo), asksNick},
			{shows("Dan", "ada", "unavailable", ""), "[@bar xmpp:BAR/Dan]> _notice_place_leave nick=Dan"},
			{named, asksAll},
			{cleo, ""},
			{itself, ""},
			told,
		}},
		{"is seen by another", []step{
			{strings.Replace(talks("bob", "bar", "hello"), "_nick\tbob", "_nick\tBob", 1), strings.Replace(fmt.Sprintf(speaks, "bob", "hello"), ">bob<", ">Bob<", 1)},
			{shows("Bob", "bob", "", ofBob, "110"), strings.NewReplacer("ada", "bob", "Ada", "Bob").Replace(asksAll)},
			{hears, heard + "\n" + asksNick},
			{shows("Ada", "bob", "", ofAda), ""},
			{shows("Bob", "bob", "", ofBob, "110"), ""},
			{groupchat("Ada", "ada", "3", "<body>hi</body>"), "[@bar ~ada]>~ada _message_public nick=Ada \"hi\"\n[@bar xmpp:BAR/Ada]>~bob _message_public nick=Ada \"hi\""},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newTalk(t)
			k.knows()
			k.steps(test.steps)
			for _, r := range k.rooms {
				if len(r.audience()) == 0 {
					t.Errorf("%v is kept for nobody", r.jid)
				}
			}
		})
	}
}

package plain

import (
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// A row is a request of somebody here that waits for its answer.
type row struct {
	request xmpp.Stanza // without children
	entity  uniform.JID // who has to answer, bare
	join    *occupant   // for a request to enter a place
	until   time.Time
}

// ask enters a request and returns its tag, "" if there are too many.
func (p *Peer) ask(s *xmpp.Stanza, entity uniform.JID, join *occupant) string {
	if len(p.asked) >= maxRows {
		return ""
	}
	if p.asked == nil {
		p.asked = make(map[string]*row)
	}
	tag := rand.Text()[:16]
	p.asked[tag] = &row{
		request: xmpp.Stanza{Kind: s.Kind, Type: s.Type, ID: s.ID, From: s.From, To: s.To},
		entity:  entity,
		join:    join,
		until:   time.Now().Add(rowLife),
	}
	if p.timer == nil && p.Late != nil {
		p.timer = time.AfterFunc(rowLife, p.expire)
	}
	return tag
}

// expire bounces the requests that were not answered in time.
func (p *Peer) expire() {
	var late []*xmpp.Stanza
	p.mu.Lock()
	next := time.Duration(-1)
	for tag, r := range p.asked {
		left := time.Until(r.until)
		if left > 0 {
			if next < 0 || left < next {
				next = left
			}
			continue
		}
		delete(p.asked, tag)
		p.forgetJoin(r.join)
		if reply := r.request.ErrorReply(xmpp.RemoteServerTimeout); reply != nil && r.request.Type != "unavailable" {
			late = append(late, reply)
		}
	}
	p.timer = nil
	if next >= 0 {
		p.timer = time.AfterFunc(next, p.expire)
	}
	deliver := p.Late
	p.mu.Unlock()
	for _, s := range late {
		deliver(s)
	}
}

// answered returns the row that m answers, and takes it out. What psyced says on its own account carries old tags, too.
func (p *Peer) answered(m mail) *row {
	for _, name := range []string{"_tag_relay", "_tag_reply"} {
		for _, header := range []psyc.Vars{m.Routing, m.Entity} {
			tag := header.Get(name).String()
			r := p.asked[tag]
			if r == nil || r.entity != m.from.Bare() || !answers(m.Method) {
				continue
			}
			delete(p.asked, tag)
			return r
		}
	}
	return nil
}

// answers reports whether a method is one that answers questions.
func answers(method string) bool {
	return psyc.InheritsAny(method, "_status", "_echo", "_info", "_error", "_failure", "_notice_list", "_notice_place", "_jabber_iq_result", "_jabber_iq_error") &&
		!psyc.Inherits(method, "_status_presence")
}

// settle answers the request of r with m.
func (p *Peer) settle(e *Effect, m mail, r *row) error {
	if complains(m.Method) {
		p.forgetJoin(r.join)
		if reply := r.request.ErrorReply(complaintError(m)); reply != nil {
			e.deliver(reply)
		}
		return nil
	}
	if r.request.Kind == xmpp.Presence {
		return p.fromPlace(e, m)
	}
	s, err := p.stanza(m, r.request.To, r.request.From)
	if err != nil {
		return err
	}
	if s.Kind != xmpp.IQ || s.Type != "result" {
		// An answer that has no element of its own: the question was understood, and this is not what XMPP asked for.
		if reply := r.request.ErrorReply(xmpp.ServiceUnavailable); reply != nil {
			e.deliver(reply)
		}
		return nil
	}
	s.ID = r.request.ID
	if psyc.Inherits(m.Method, "_notice_list_feature_place") {
		asRoom(s)
	}
	e.deliver(s)
	return nil
}

// roomFeatures are psyced's words for what a place is, and what a room is called that is so.
var roomFeatures = map[string]string{
	"jabber-muc":   nsMUC,
	"nonanonymous": "muc_nonanonymous",
	"persistent":   "muc_persistent",
	"private":      "muc_hidden",
}

// asRoom says of a place what clients look for before they enter a room.
func asRoom(s *xmpp.Stanza) {
	info, ok := s.DiscoInfo()
	if !ok {
		return
	}
	for i := range info.Identities {
		if info.Identities[i].Category == "conference" {
			info.Identities[i].Type = "text"
		}
	}
	for i, f := range info.Features {
		if called, ok := roomFeatures[f]; ok {
			info.Features[i] = called
		}
	}
	if !info.Has(nsMUC) {
		info.Features = append(info.Features, nsMUC)
	}
	_ = s.SetRaw(info.Append(nil))
}

func complains(method string) bool {
	return psyc.InheritsAny(method, "_error", "_failure")
}

// complaintError returns a complaint as the error of a stanza.
func complaintError(m mail) *xmpp.StanzaError {
	condition, ok := transcode.Condition(m.Method)
	if !ok {
		condition = xmpp.UndefinedCondition
	}
	if isPlace(m.from) && psyc.Inherits(m.Method, "_error_necessary_membership") {
		condition = xmpp.NotAcceptable // XEP-0045 section 7.4
	}
	e := &xmpp.StanzaError{Condition: condition, Text: strings.TrimSpace(m.Text())}
	if to, err := address(m.Entity.Get("_source_redirect").String()); err == nil && (condition == xmpp.Gone || condition == xmpp.Redirect) {
		e.Address = "xmpp:" + to.String()
	}
	return e
}

// outIQ asks the peer, or answers what it asked.
func (p *Peer) outIQ(e *Effect, s *xmpp.Stanza) error {
	if s.Type != "get" && s.Type != "set" {
		return p.reply(e, s)
	}
	entity := s.To.Bare()
	if pl := p.placeOf(entity); pl != nil {
		if done := p.outRoomIQ(e, s, pl); done {
			return nil
		}
		entity = pl.jid
	}
	q, err := p.convert(s)
	if err != nil {
		return err
	}
	switch {
	case isPlace(entity) && verbatim(q), q.Method == "_request_time":
		return xmpp.ServiceUnavailable // psyced would say nothing at all
	case verbatim(q) && len(q.Body) > 0:
		return xmpp.ServiceUnavailable // people would read XML, which is the body in 1.0
	}
	tag := p.ask(s, entity, nil)
	if tag == "" {
		return xmpp.ResourceConstraint
	}
	q.Routing.Set("_target", entity.Uniform().String())
	q.Routing.Set("_tag", tag)
	e.send(q)
	return nil
}

// A query is a question of the peer that waits for the answer of somebody here.
type query struct {
	method         string
	source, target string                      // as the peer spelt them
	tag            string                      // "" if it gave none
	then           func(*Effect, *xmpp.Stanza) // what to do with the answer to a question of our own
	patient        bool                        // also with one that comes when we have given it up
}

// question hands a question of the peer on.
func (p *Peer) question(e *Effect, m mail) error {
	asked := m.Clone()
	if psyc.Inherits(m.Method, "_request_examine") || m.Method == "_request_description" {
		asked.Method = "_request_description_vCard" // which is what XMPP has of a profile
	}
	asked.Routing = asked.Routing[:0:0]
	for _, v := range m.Routing {
		if !strings.HasPrefix(v.Name, "_tag") {
			asked.Routing = append(asked.Routing, v)
		}
	}
	asked.Routing.Set("_tag", "0") // without one it would be no question
	to := m
	to.Packet = asked
	whom := m.to
	if psyc.InheritsAny(m.Method, "_request_version", "_request_list_feature") {
		whom = p.client(pairOf(m.to, m.from))
	}
	s, err := p.stanza(to, m.from, whom)
	if err != nil {
		return err
	}
	if s.Kind != xmpp.IQ {
		// Whatever it is that they want, it is nothing that somebody has said.
		q := &psyc.Packet{Method: "_failure_unsupported_function", Body: []byte("[_source] does not provide [_method_relay].")}
		q.Routing.Set("_source", m.target)
		q.Routing.Set("_target", m.source)
		if tag := m.Tag(); tag != "" {
			q.Routing.Set("_tag_relay", tag)
		}
		q.Entity.Set("_method_relay", m.Method)
		e.send(q)
		return nil
	}
	s.ID = p.wait(m, m.Method)
	e.deliver(s)
	return nil
}

// reply answers a question of the peer.
func (p *Peer) reply(e *Effect, s *xmpp.Stanza) error {
	asked, ok := p.asking.Get(s.ID)
	if !ok {
		return nil // too late
	}
	if err := s.Error(); !asked.patient || err == nil || err.Condition != xmpp.RemoteServerTimeout {
		p.asking.Delete(s.ID)
	}
	if asked.then != nil {
		asked.then(e, s)
		return nil
	}
	q := &psyc.Packet{}
	q.Routing.Set("_source", asked.target)
	q.Routing.Set("_target", asked.source)
	if asked.tag != "" {
		q.Routing.Set("_tag_relay", asked.tag)
	}
	if nick := s.From.Local(); nick != "" {
		q.Entity.Set("_nick", nick)
	}
	if s.Type == "error" {
		condition := xmpp.UndefinedCondition
		if err := s.Error(); err != nil {
			condition = err.Condition
		}
		q.Method = transcode.Failure(condition)
		q.Entity.Set("_method_relay", asked.method)
		q.Body = []byte("[_source] does not do what [_method_relay] asks for.")
		e.send(q)
		return nil
	}
	if psyc.Inherits(asked.method, "_request_kick") {
		return nil // the room tells everybody
	}
	if answer(q, asked.method, s); psyc.Inherits(q.Method, "_status_description_person") {
		if profile, err := p.out.Packet(s); err == nil && psyc.Inherits(profile.Method, q.Method) {
			q.Entity = append(q.Entity, profile.Clone().Entity...)
		}
	}
	e.send(q)
	return nil
}

// answer writes the answer to a question of the peer in its own words.
func answer(q *psyc.Packet, method string, s *xmpp.Stanza) {
	set := func(name, value string) {
		if value != "" && !strings.ContainsAny(value, "\r\n") && len(value) <= 1000 {
			q.Entity.Set(name, value)
		}
	}
	child, _ := firstChild(s)
	switch {
	case psyc.Inherits(method, "_request_ping"):
		q.Method, q.Body = "_echo_ping", []byte("[_source] is there.")
	case psyc.Inherits(method, "_request_version"):
		q.Method, q.Body = "_status_version", []byte("[_source] uses [_version_description] [_version].")
		set("_version_description", text(child, "name"))
		set("_version", text(child, "version"))
	case psyc.Inherits(method, "_request_description_time"):
		q.Method, q.Body = "_status_description_time", []byte("[_source] has been idle for [_time_idle] seconds.")
		seconds, _ := child.Attr("seconds")
		if _, err := strconv.ParseUint(seconds, 10, 32); err == nil {
			set("_time_idle", seconds)
		}
	case psyc.Inherits(method, "_request_list_feature"):
		q.Method, q.Body = "_notice_list_feature_person", []byte("[_source] understands [_list_feature].")
		if isRoom(q) {
			q.Method = "_notice_list_feature_place"
			q.Entity.Set("_identity", "place")
			q.Entity.Set("_name", s.From.Local())
		}
		if info, ok := s.DiscoInfo(); ok {
			var features []string
			for _, f := range info.Features {
				if !strings.ContainsAny(f, " \t\r\n") && len(features) < 100 {
					features = append(features, f)
				}
			}
			setList(q, "_list_feature", features)
		}
	default:
		q.Method, q.Body = "_status_description_person", []byte("[_nick] says no more about that.")
	}
}

func firstChild(s *xmpp.Stanza) (xmpp.Element, bool) {
	for c := range s.Children() {
		return c, true
	}
	return xmpp.Element{}, false
}

// text returns the text of a child in the namespace of its parent.
func text(e xmpp.Element, local string) string {
	if e.IsZero() {
		return ""
	}
	for c := range e.Children() {
		if c.Name().Local == local {
			return c.Text()
		}
	}
	return ""
}

// setList sets a list of texts without blanks.
func setList(q *psyc.Packet, name string, texts []string) {
	var elements []psyc.Element
	for _, t := range texts {
		elements = append(elements, psyc.Element{Value: psyc.Value(t)})
	}
	if len(elements) > 0 {
		q.Entity.Set(name, string(psyc.AppendList(nil, "", elements...)))
	}
}

package rig

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Namespaces of what Native negotiates and asks.
const (
	nsBind      = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSASL      = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsStream    = "http://etherx.jabber.org/streams"
	nsDiscoInfo = "http://jabber.org/protocol/disco#info"
	nsVersion   = "jabber:iq:version"
	nsPing      = "urn:xmpp:ping"
	nsMUC       = "http://jabber.org/protocol/muc"
	nsMUCUser   = "http://jabber.org/protocol/muc#user"
	nsRoster    = "jabber:iq:roster"
)

// Native returns clients written in Go: plaintext, SASL PLAIN, resource binding, no more. Their users are logged out when the test ends.
func Native(t TB) Clients { return &nativeClients{t: t} }

type nativeClients struct{ t TB }

// nativeUser owns its connection: one goroutine reads it until it ends, Send writes under a lock.
type nativeUser struct {
	*inbox
	conn  net.Conn
	jid   string
	write sync.Mutex
	ended chan struct{} // closed when the reader has ended

	recorded *recorder
	decoder  *xml.Decoder
}

func (c *nativeClients) Login(ctx context.Context, a Account) (User, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", a.Addr)
	if err != nil {
		return nil, fmt.Errorf("login of %s: %w", a.JID, err)
	}
	u := &nativeUser{inbox: newInbox(), conn: conn, ended: make(chan struct{})}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	if err := u.negotiate(a); err != nil {
		conn.Close()
		return nil, fmt.Errorf("login of %s: %w", a.JID, err)
	}
	conn.SetDeadline(time.Time{})
	go u.read()
	c.t.Cleanup(func() {
		conn.Close()
		<-u.ended
	})
	return u, nil
}

// negotiate does what RFC 6120 asks before stanzas may flow.
func (u *nativeUser) negotiate(a Account) error {
	jid, resource, _ := strings.Cut(a.JID, "/")
	local, domain, ok := strings.Cut(jid, "@")
	if !ok {
		return errors.New("no user in the JID")
	}
	if err := u.open(domain); err != nil {
		return err
	}
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + local + "\x00" + a.Password))
	answer, err := u.exchange("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + secret + "</auth>")
	if err != nil {
		return err
	}
	if answer.Name != (xml.Name{Space: nsSASL, Local: "success"}) {
		return fmt.Errorf("refused: %s", answer.XML)
	}
	if err := u.open(domain); err != nil {
		return err
	}
	if resource != "" {
		resource = "<resource>" + escape(resource) + "</resource>"
	}
	answer, err = u.exchange("<iq type='set' id='bind'><bind xmlns='" + nsBind + "'>" + resource + "</bind></iq>")
	if err != nil {
		return err
	}
	if u.jid = answer.Child(nsBind, "bind").Child(nsBind, "jid").Text(); u.jid == "" {
		return fmt.Errorf("no resource: %s", answer.XML)
	}
	return nil
}

// open opens a stream, or opens it anew after authentication, and reads up to the features.
func (u *nativeUser) open(domain string) error {
	u.recorded = &recorder{r: u.conn}
	u.decoder = xml.NewDecoder(u.recorded)
	if _, err := io.WriteString(u.conn, streamHeader(domain)); err != nil {
		return err
	}
	for {
		token, err := u.decoder.Token()
		if err != nil {
			return err
		}
		if start, ok := token.(xml.StartElement); ok {
			if start.Name != (xml.Name{Space: nsStream, Local: "stream"}) {
				return fmt.Errorf("%s instead of a stream header", showName(start.Name))
			}
			break
		}
	}
	features, err := u.next()
	if err != nil {
		return err
	}
	if features.Name != (xml.Name{Space: nsStream, Local: "features"}) {
		return fmt.Errorf("%s instead of features", features.XML)
	}
	return nil
}

func streamHeader(domain string) string {
	return "<?xml version='1.0'?><stream:stream xmlns='" + nsClient + "' xmlns:stream='" + nsStream + "' version='1.0' to='" + escape(domain) + "'>"
}

// exchange sends and returns the next element.
func (u *nativeUser) exchange(text string) (Stanza, error) {
	if _, err := io.WriteString(u.conn, text); err != nil {
		return Stanza{}, err
	}
	return u.next()
}

// next reads the next child of the stream; io.EOF at the end of the stream.
func (u *nativeUser) next() (Stanza, error) {
	for {
		from := u.decoder.InputOffset()
		token, err := u.decoder.Token()
		if err != nil {
			return Stanza{}, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			e, err := readElement(u.decoder, token)
			if err != nil {
				return Stanza{}, err
			}
			return Stanza{Element: e, XML: u.recorded.take(from, u.decoder.InputOffset())}, nil
		case xml.EndElement:
			return Stanza{}, io.EOF
		}
	}
}

// read fills the inbox until the stream ends.
func (u *nativeUser) read() {
	defer close(u.ended)
	for {
		s, err := u.next()
		if err != nil {
			u.close(fmt.Errorf("%s: %w", u.jid, errors.Join(errClosed, err)))
			return
		}
		if reply := answer(s); reply != "" {
			u.Send(context.Background(), reply) // if that fails, so does the next read
		}
		u.put(s)
	}
}

// answer is the reply to the requests that every client must answer, empty for all others.
func answer(s Stanza) string {
	ping := s.Attribute("type") == "get" && s.Child(nsPing, "ping") != nil
	push := s.Attribute("type") == "set" && s.Child(nsRoster, "query") != nil
	if !s.Is("iq") || !ping && !push {
		return ""
	}
	to := ""
	if from := s.Attribute("from"); from != "" {
		to = " to='" + escape(from) + "'"
	}
	return "<iq type='result' id='" + escape(s.Attribute("id")) + "'" + to + "/>"
}

func (u *nativeUser) JID() string { return u.jid }

func (u *nativeUser) Send(ctx context.Context, stanza string) error {
	u.write.Lock()
	defer u.write.Unlock()
	defer context.AfterFunc(ctx, func() { u.conn.SetWriteDeadline(time.Now()) })()
	if _, err := io.WriteString(u.conn, stanza); err != nil {
		return fmt.Errorf("%s: sending: %w", u.jid, err)
	}
	return nil
}

// get sends an iq of type get and returns its result.
func (u *nativeUser) get(ctx context.Context, to, payload string) (Stanza, error) {
	id := randomName()
	if err := u.Send(ctx, "<iq type='get' id='"+id+"' to='"+escape(to)+"'>"+payload+"</iq>"); err != nil {
		return Stanza{}, err
	}
	s, err := u.Expect(ctx, func(s Stanza) bool { return s.Is("iq") && s.Attribute("id") == id && s.From(to) })
	if err == nil && s.Attribute("type") != "result" {
		err = fmt.Errorf("%s asked %s: %s", u.jid, to, s.XML)
	}
	return s, err
}

func (u *nativeUser) DiscoInfo(ctx context.Context, to string) (DiscoInfo, error) {
	s, err := u.get(ctx, to, "<query xmlns='"+nsDiscoInfo+"'/>")
	if err != nil {
		return DiscoInfo{}, err
	}
	query := s.Child(nsDiscoInfo, "query")
	if query == nil {
		return DiscoInfo{}, fmt.Errorf("%s asked %s: %s", u.jid, to, s.XML)
	}
	var info DiscoInfo
	for _, n := range query.Nodes {
		switch e := n.Element; {
		case e == nil:
		case e.Name.Local == "identity":
			info.Identities = append(info.Identities, Identity{e.Attribute("category"), e.Attribute("type"), e.Attribute("name")})
		case e.Name.Local == "feature":
			info.Features = append(info.Features, e.Attribute("var"))
		}
	}
	return info, nil
}

func (u *nativeUser) Version(ctx context.Context, to string) (Version, error) {
	s, err := u.get(ctx, to, "<query xmlns='"+nsVersion+"'/>")
	if err != nil {
		return Version{}, err
	}
	query := s.Child(nsVersion, "query")
	return Version{query.Child(nsVersion, "name").Text(), query.Child(nsVersion, "version").Text(), query.Child(nsVersion, "os").Text()}, nil
}

func (u *nativeUser) Ping(ctx context.Context, to string) error {
	_, err := u.get(ctx, to, "<ping xmlns='"+nsPing+"'/>")
	return err
}

func (u *nativeUser) Join(ctx context.Context, room, nick string) error {
	err := u.Send(ctx, "<presence to='"+escape(room+"/"+nick)+"'><x xmlns='"+nsMUC+"'><history maxstanzas='0'/></x></presence>")
	if err != nil {
		return err
	}
	s, err := u.Expect(ctx, func(s Stanza) bool {
		return s.Is("presence") && s.From(room) && (s.Attribute("type") == "error" || selfPresence(s))
	})
	if err != nil {
		return err
	}
	if s.Attribute("type") == "error" {
		return fmt.Errorf("%s joins %s: %s", u.jid, room, s.XML)
	}
	// The subject, possibly empty, is the last thing that a room sends to somebody who enters.
	_, err = u.Expect(ctx, func(s Stanza) bool { return s.Is("message") && s.From(room) && s.Child(nsClient, "subject") != nil })
	return err
}

// selfPresence says whether a room reports the recipient's own presence: status code 110.
func selfPresence(s Stanza) bool {
	x := s.Child(nsMUCUser, "x")
	return x != nil && slices.ContainsFunc(x.Nodes, func(n Node) bool {
		return n.Element != nil && n.Element.Name.Local == "status" && n.Element.Attribute("code") == "110"
	})
}

func (u *nativeUser) Close(ctx context.Context) error {
	err := u.Send(ctx, "</stream:stream>")
	select {
	case <-u.ended:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	return errors.Join(err, u.conn.Close())
}

// recorder keeps what is read through it until it is taken.
type recorder struct {
	r    io.Reader
	buf  bytes.Buffer
	base int64 // offset of the first byte in buf
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.buf.Write(p[:n])
	return n, err
}

// take returns the bytes between two offsets and forgets them and all before.
func (r *recorder) take(from, to int64) string {
	r.buf.Next(int(from - r.base))
	text := string(r.buf.Next(int(to - from)))
	r.base = to
	return text
}

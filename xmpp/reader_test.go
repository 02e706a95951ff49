package xmpp

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

const serverHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'" +
	" xmlns:db='jabber:server:dialback' to='a.example' from='b.example' id='1' version='1.0' xml:lang='en' x='y'>"

func TestReader(t *testing.T) {
	const rest = "\x16\x03\x01 no XML at all"
	in := serverHeader + " \n<db:verify id='2'/>\r\n<message to='c@a.example'><db:x/><stream:y/></message></stream:stream>" + rest
	for name, src := range map[string]io.Reader{
		"at once":      strings.NewReader(in),
		"byte by byte": iotest.OneByteReader(strings.NewReader(in)),
		"with the end": iotest.DataErrReader(strings.NewReader(in)),
	} {
		r := newReader(src, Limits{})
		h, err := r.header()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if h.To != "a.example" || h.From != "b.example" || h.ID != "1" || h.Version != "1.0" || h.Lang != "en" || h.Space != NSServer || len(h.Attrs) != 4 {
			t.Errorf("%s: header %+v", name, h)
		}
		e, err := r.next()
		if err != nil || !e.Is(NSDialback, "verify") {
			t.Errorf("%s: %s, %v", name, e.Raw(), err)
		}
		if start, _, _, end := e.Span(); start != 0 || end != len(e.Raw()) {
			t.Errorf("%s: span from %d to %d", name, start, end)
		}
		if s, err := r.stanza(e); s != nil || !errors.Is(err, UnsupportedStanzaType) {
			t.Errorf("%s: a stanza? %v", name, err)
		}
		if e, err = r.next(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s, err := r.stanza(e)
		want := "<message to='c@a.example' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'><db:x/><stream:y/></message>"
		if err != nil || string(s.Append(nil)) != want {
			t.Errorf("%s: %s, %v", name, s.Append(nil), err)
		}
		for range 2 {
			if _, err := r.next(); err != io.EOF {
				t.Errorf("%s: end: %v", name, err)
			}
		}
		if got := string(r.buffered()); !strings.HasPrefix(rest, got) || name == "at once" && got != rest {
			t.Errorf("%s: left over %q", name, got)
		}
	}
}

func TestReaderRestart(t *testing.T) {
	second := strings.ReplaceAll(serverHeader, "id='1'", "id='2'") + "<message/>"
	r := newReader(strings.NewReader(serverHeader+"<x xmlns='urn:x'/>"+second), Limits{})
	r.header()
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	if string(r.buffered()) != second {
		t.Errorf("buffered %q", r.buffered())
	}
	r.restart(strings.NewReader("<presence/></stream:stream>"))
	if h, err := r.header(); err != nil || h.ID != "2" {
		t.Fatalf("%+v, %v", h, err)
	}
	for _, want := range []string{"message", "presence"} {
		if e, err := r.next(); err != nil || !e.Is(NSServer, want) {
			t.Errorf("%s, %v", e.Raw(), err)
		}
	}
	if _, err := r.next(); err != io.EOF {
		t.Error(err)
	}
}

// A reader that fails now and then, as a connection with a deadline does, and gives one byte at a time otherwise.
type hesitant struct {
	io.Reader
	n int
}

func (h *hesitant) Read(b []byte) (int, error) {
	if h.n++; h.n%2 == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return h.Reader.Read(b[:1])
}

func TestReaderGoesOnAfterTimeout(t *testing.T) {
	r := newReader(&hesitant{Reader: strings.NewReader(serverHeader + "<message><body>h&amp;i</body></message> <presence/>")}, Limits{})
	for {
		if _, err := r.header(); err == nil {
			break
		} else if err != os.ErrDeadlineExceeded {
			t.Fatal(err)
		}
	}
	var got []string
	for {
		e, err := r.next()
		if err == io.ErrUnexpectedEOF {
			break
		}
		if err == nil {
			got = append(got, string(e.Raw()))
		} else if err != os.ErrDeadlineExceeded {
			t.Fatal(err)
		}
	}
	if want := "<message><body>h&amp;i</body></message>|<presence/>"; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}

func TestReaderErrors(t *testing.T) {
	const tls = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
	for _, tt := range []struct {
		in   string
		lim  Limits
		want error
	}{
		{"", Limits{}, io.ErrUnexpectedEOF},
		{"<stream:stream", Limits{}, io.ErrUnexpectedEOF},
		{serverHeader, Limits{}, io.ErrUnexpectedEOF},
		{serverHeader + "<message>", Limits{}, io.ErrUnexpectedEOF},
		{serverHeader + "</stream:stream", Limits{}, io.ErrUnexpectedEOF},
		{serverHeader + "</stream:stream>", Limits{}, io.EOF},
		{serverHeader + "</stream>", Limits{}, NotWellFormed},
		{serverHeader + "text", Limits{}, InvalidXML},
		{"<stream xmlns='jabber:server'>", Limits{}, InvalidNamespace},
		{"<s:streams xmlns:s='http://etherx.jabber.org/streams'>", Limits{}, BadFormat},
		{"<stream:stream xmlns:stream='http://etherx.jabber.org/Streams'>", Limits{}, InvalidNamespace},
		{"GET / HTTP/1.1\r\n", Limits{}, NotWellFormed},
		{"<?xml version='1.0' encoding='UTF-16'?>" + tls, Limits{}, UnsupportedEncoding},
		{tls + "<message/>" + strings.Repeat(" ", 10000), Limits{Stanza: 100}, io.ErrUnexpectedEOF},
		{tls + "<message>" + strings.Repeat("x", 80) + "</message>", Limits{Stanza: 99}, io.ErrUnexpectedEOF},
		{tls + "<message>" + strings.Repeat("x", 81) + "</message>", Limits{Stanza: 99}, PolicyViolation},
		{tls + "<message a='" + strings.Repeat("x", 10000), Limits{Stanza: 99}, PolicyViolation},
		{tls[:len(tls)-1] + " a='" + strings.Repeat("x", 10000), Limits{Stanza: 99}, PolicyViolation},
		{tls + "<a><b><c/></b></a>", Limits{Depth: 2}, PolicyViolation},
		{tls + "<a><b/><b/></a>", Limits{Elements: 2}, PolicyViolation},
		{tls + "<a b='' c='' d=''/>", Limits{Attrs: 2}, PolicyViolation},
		{tls + "<abcdefghijklmnopq/>", Limits{Name: 16}, PolicyViolation},
		{tls + "<a xmlns='urn:something-of-more-than-40-bytes-altogether'/>", Limits{Namespace: 40}, PolicyViolation},
	} {
		for _, src := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
			r := newReader(src, tt.lim)
			_, err := r.header()
			for err == nil {
				_, err = r.next()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%.100q: got %v, want %v", tt.in, err, tt.want)
			}
			var stream *StreamError
			if errors.As(err, &stream) && !stream.Local {
				t.Errorf("%.100q: not our own error", tt.in)
			}
		}
	}
	r := newReader(iotest.ErrReader(os.ErrPermission), Limits{})
	if _, err := r.header(); err != os.ErrPermission {
		t.Error(err)
	}
	r = newReader(silent{}, Limits{})
	if _, err := r.header(); err == nil {
		t.Error("no error from a connection that gives nothing")
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// The offset in an error counts from the start of the stream, past everything read before.
func TestReaderOffset(t *testing.T) {
	ok := strings.Repeat("  <message/>", 1000)
	r := newReader(strings.NewReader(serverHeader+ok+"<message>&</message>"), Limits{})
	_, err := r.header()
	for err == nil {
		_, err = r.next()
	}
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != int64(len(serverHeader+ok+"<message>")) {
		t.Errorf("got %v, want offset %d", err, len(serverHeader+ok+"<message>"))
	}
}

// Limits raised after authentication hold from the next element on.
func TestReaderLimit(t *testing.T) {
	big := "<message>" + strings.Repeat("<a/>", 5000) + "</message>"
	r := newReader(strings.NewReader(serverHeader+big), Limits{}.unauthenticated())
	r.header()
	r.limit(Limits{})
	if e, err := r.next(); err != nil || string(e.Raw()) != big {
		t.Error(err)
	}
	r = newReader(strings.NewReader(serverHeader+big), Limits{}.unauthenticated())
	r.header()
	if _, err := r.next(); !errors.Is(err, PolicyViolation) {
		t.Error(err)
	}
}

// An idle connection does not keep the memory that a large stanza took.
func TestReaderGivesMemoryBack(t *testing.T) {
	big := "<message>" + strings.Repeat("<a/>", 10000) + "</message>"
	pipe, w := io.Pipe()
	r := newReader(pipe, Limits{})
	go func() {
		io.WriteString(w, serverHeader+big)
		io.WriteString(w, "<message/>")
		w.Close()
	}()
	r.header()
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	if len(r.buf) < len(big) {
		t.Fatalf("%d bytes hold %d", len(r.buf), len(big))
	}
	if _, err := r.next(); err != nil || len(r.buf) > usualBuffer {
		t.Errorf("%v: %d bytes of buffer", err, len(r.buf))
	}
	if n := cap(r.scan.Index().Elements); n > 1000 {
		t.Errorf("room for %d elements", n)
	}
}

// In the steady state reading stanzas allocates the strings of new ids and nothing else.
func TestReaderAllocations(t *testing.T) {
	const stanza = "<message from='a@b.example/c' to='d@e.example' type='chat' xml:lang='en'><body>hi</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
	r := newReader(io.MultiReader(strings.NewReader(serverHeader), &endless{stanza: stanza}), Limits{})
	r.header()
	if n := testing.AllocsPerRun(1000, func() {
		e, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.stanza(e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An endless stream of one stanza, in reads of any length.
type endless struct {
	stanza string
	at     int
}

func (e *endless) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		c := copy(b[n:], e.stanza[e.at:])
		e.at = (e.at + c) % len(e.stanza)
		n += c
	}
	return n, nil
}

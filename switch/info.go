package psycswitch

import (
	"crypto/tls"
	"net"
	"time"
)

// LinkInfo describes a link at one moment.
type LinkInfo struct {
	Protocol   Protocol
	Dialled    bool     // we opened the connection
	Local      string   // the pair that it was opened for, as far as known
	Remote     string   //
	Addr       net.Addr // of the other end
	TLS        *tls.ConnectionState
	StanzasIn  int64
	StanzasOut int64
	CastsIn    int64 // packets that many of the stanzas came in, see [Casts]
	CastsOut   int64 // and went in
	Since      time.Time
}

// Info returns a snapshot.
func (l *Link) Info() LinkInfo {
	l.mu.Lock()
	stream, circuit, local, remote := l.stream, l.circuit, l.local, l.remote
	l.mu.Unlock()
	info := LinkInfo{
		Protocol:   XMPP,
		Dialled:    l.dialled,
		Local:      local,
		Remote:     remote,
		Addr:       l.conn.RemoteAddr(),
		StanzasIn:  l.taken.Load(),
		StanzasOut: l.given.Load(),
		Since:      l.since,
	}
	var conn net.Conn = l.conn
	switch {
	case circuit != nil:
		if f := l.fan(circuit, false); f != nil {
			info.CastsIn, info.CastsOut = f.received.Load(), f.casts.Load()
		}
		info.Protocol = PSYC
		conn = circuit.Conn()
	case stream != nil:
		if cs, ok := stream.ConnectionState(); ok {
			info.TLS = &cs
		}
	}
	if t, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		cs := t.ConnectionState()
		info.TLS = &cs
	}
	return info
}

// attrs describes the link in a log line.
func (l *Link) attrs() []any {
	info := l.Info()
	secure := "none"
	if info.TLS != nil {
		secure = tls.VersionName(info.TLS.Version) + " " + tls.CipherSuiteName(info.TLS.CipherSuite)
	}
	return []any{"protocol", info.Protocol.String(), "local", info.Local, "remote", info.Remote, "addr", info.Addr.String(), "dialled", info.Dialled, "tls", secure}
}

// Command echo is the smallest federating server that is still correct:
// it answers for one domain, over XMPP and PSYC, on one port.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"

	psycswitch "github.com/switchyard-im/switchyard/switch"
	"github.com/switchyard-im/switchyard/xmpp"
)

func main() {
	domain := flag.String("domain", "echo.example", "answer for this `name`")
	listen := flag.String("listen", ":5269", "`address` for XMPP and PSYC alike")
	certFile := flag.String("cert", "cert.pem", "certificate chain `file`")
	keyFile := flag.String("key", "key.pem", "private key `file`")
	flag.Parse()

	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := server(*domain, &cert).Serve(ctx, ln); err != nil {
		log.Fatal(err)
	}
}

// server returns the router of the domain.
func server(domain string, cert *tls.Certificate) *psycswitch.Router {
	return &psycswitch.Router{
		Config: psycswitch.Config{
			Hosts:  psycswitch.StaticHosts{domain: cert},
			Logger: slog.Default(),
		},
		Handler: psycswitch.HandlerFunc(echo),
	}
}

// echo sends chats back, welcomes everybody, answers pings, and leaves the rest to the router.
func echo(ctx context.Context, out psycswitch.Sender, s *xmpp.Stanza) error {
	switch s.Kind {
	case xmpp.Message:
		if s.Type == "error" || s.Text("body") == "" {
			return nil
		}
		s.From, s.To = s.To, s.From
		return out.Send(ctx, s)
	case xmpp.Presence:
		switch s.Type {
		case "subscribe":
			return out.Send(ctx, s.Reply("subscribed"))
		case "probe":
			return out.Send(ctx, s.Reply(""))
		}
		return nil
	default:
		if _, ok := s.Child("urn:xmpp:ping", "ping"); ok && s.Type == "get" {
			return out.Send(ctx, s.Reply("result"))
		}
		return xmpp.ServiceUnavailable
	}
}

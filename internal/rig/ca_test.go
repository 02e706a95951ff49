package rig_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
)

func TestCA(t *testing.T) {
	ca := rig.NewCA(t)
	server := ca.Issue(t, []string{"a.test", "conference.a.test"})
	client := ca.Issue(t, []string{"b.test"}, x509.ExtKeyUsageClientAuth)
	for _, test := range []struct {
		name   string
		client *rig.Certificate
		ok     bool
	}{
		{"a.test", client, true},
		{"conference.a.test", client, true},
		{"b.test", client, false},
		{"a.test", server, false}, // not for clients
	} {
		there, here := net.Pipe()
		failed := make(chan error, 1)
		go func() {
			defer there.Close()
			failed <- tls.Server(there, &tls.Config{
				Certificates: []tls.Certificate{server.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool,
			}).Handshake()
		}()
		err := tls.Client(here, &tls.Config{
			ServerName: test.name, RootCAs: ca.Pool, Certificates: []tls.Certificate{test.client.TLS},
		}).Handshake()
		here.Close()
		if other := <-failed; (err == nil && other == nil) != test.ok {
			t.Errorf("%s: %v, %v", test.name, err, other)
		}
	}

	if _, err := tls.LoadX509KeyPair(server.CertFile, server.KeyFile); err != nil {
		t.Error(err)
	}
	if _, err := tls.LoadX509KeyPair(server.BundleFile, server.BundleFile); err != nil {
		t.Error(err)
	}
	pool := x509.NewCertPool()
	if pem, err := os.ReadFile(ca.File); err != nil || !pool.AppendCertsFromPEM(pem) || !pool.Equal(ca.Pool) {
		t.Errorf("%s is not the CA: %v", ca.File, err)
	}
}

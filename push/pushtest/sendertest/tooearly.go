package sendertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
)

// ServeTooEarly serves nothing over TLS, with a certificate that is valid only in an hour, until
// the test ends. It returns the URL, and the pool that trusts the certificate.
func ServeTooEarly(t testing.TB) (url string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.AddDate(1, 0, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(certificate)
	return server.URL, roots
}

// ExpectTooEarly checks the outcome of a send to ServeTooEarly.
func ExpectTooEarly(t testing.TB, got registry.Outcome) {
	t.Helper()
	if got.Result != registry.ResultRetry || got.MaybeDelivered || got.Suspect || got.Code != "clock_behind" {
		t.Errorf("the outcome is %+v", got)
	}
	if err := codes.Join(push.Codes).Check(got.Code, got.Params); err != nil {
		t.Error(err)
	}
}

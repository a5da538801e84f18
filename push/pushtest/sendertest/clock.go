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
	"strings"
	"testing"
	"time"

	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
)

// WrongClocks are codes about this machine's clock, and when the certificate of a service whose
// clock is right became valid, from now on.
var WrongClocks = map[codes.Code]time.Duration{"clock_behind": time.Hour, "clock_ahead": -2 * certificateLife}

const certificateLife = 90 * 24 * time.Hour

// ServeOtherClock serves nothing over TLS until the test ends, with a certificate that is valid for
// 90 days from then on. It returns the URL, and the pool that trusts the certificate.
func ServeOtherClock(t testing.TB, valid time.Duration) (url string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(valid)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.Add(certificateLife), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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

// ExpectClock checks the outcome of a send to ServeOtherClock. Its sentence must say what to check.
func ExpectClock(t testing.TB, got registry.Outcome, want codes.Code) {
	t.Helper()
	if got.Result != registry.ResultRetry || got.MaybeDelivered || got.Suspect || got.Code != want {
		t.Errorf("the outcome is %+v, want %s", got, want)
	}
	table := codes.Join(push.Codes)
	if err := table.Check(got.Code, got.Params); err != nil {
		t.Error(err)
	}
	if said := table.Sentence(got.Code, got.Params); !strings.Contains(said, "Check this server's clock") {
		t.Errorf("it says: %s", said)
	}
}

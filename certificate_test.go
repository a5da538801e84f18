package idlepush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"idlepush/registry/testenv"
)

func TestCertificate(t *testing.T) {
	t.Parallel()
	t.Run("the fingerprint is the one that openssl shows", fingerprintOfOpenSSL)
	t.Run("only what has the form of a fingerprint is one", fingerprintForm)
	t.Run("texts of a hostile certificate are cleaned and bounded", hostileCertificate)
}

// signed returns a certificate that signs itself.
func signed(t *testing.T, template x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func fingerprintOfOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		testenv.Missing(t, "openssl is not installed")
	}
	from, until := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC)
	c := signed(t, x509.Certificate{Subject: pkix.Name{CommonName: "nas", Organization: []string{"Home"}}, DNSNames: []string{"nas.home.arpa"},
		IPAddresses: []net.IP{net.IPv4(192, 168, 1, 10)}, NotBefore: from, NotAfter: until})
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(openssl, "x509", "-noout", "-fingerprint", "-sha256", "-in", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(strings.TrimSpace(string(out)), "=")
	got := CertificateOf(c)
	if string(got.Fingerprint) != want || !got.Fingerprint.Valid() {
		t.Errorf("%s, openssl shows %q", got.Fingerprint, out)
	}
	if got.Subject != "CN=nas,O=Home" || got.Issuer != got.Subject || fmt.Sprint(got.Names) != "[nas.home.arpa 192.168.1.10]" || !got.From.Equal(from) || !got.Until.Equal(until) {
		t.Errorf("%+v", got)
	}
}

func fingerprintForm(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("0F:", 31) + "F0"
	for text, want := range map[string]bool{good: true, "": false, good[3:]: false, good + ":00": false, strings.ToLower(good): false,
		strings.ReplaceAll(good, ":", ""): false, strings.Replace(good, "0F", "0G", 1): false, good + "\n": false} {
		if Fingerprint(text).Valid() != want {
			t.Errorf("%q is one: %v", text, !want)
		}
	}
}

func hostileCertificate(t *testing.T) {
	t.Parallel()
	names := make([]string, 1000)
	for i := range names {
		names[i] = strings.Repeat("a", 60) + fmt.Sprint(i) + ".example.org"
	}
	c := signed(t, x509.Certificate{Subject: pkix.Name{CommonName: "bank\u202e\u200bgro\x1b[31m" + strings.Repeat("x", 10000)}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(1, 2, 3, 4)}})
	got := CertificateOf(c)
	if len(got.Names) != 20 || utf8.RuneCountInString(got.Subject) > 200 || strings.ContainsAny(got.Subject+got.Issuer, "\u202e\u200b\x1b") || !strings.HasPrefix(got.Subject, "CN=bank") {
		t.Errorf("%d names, subject %q", len(got.Names), got.Subject)
	}
}

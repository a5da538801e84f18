package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Endpoint is the address of a test server, a user and the authority of its certificate.
type Endpoint struct {
	Host    string         // a loopback address; "localhost" is in the certificate as well
	Port    int            // plain text with STARTTLS; a login is taken with and without it
	TLSPort int            // TLS from the first byte
	CAFile  string         // PEM file of the authority, fit for SSL_CERT_FILE
	Roots   *x509.CertPool // the same authority

	User, Password string // the first user
}

// authority is a certificate authority of one test and the server certificate that it signed.
type authority struct {
	file        string
	roots       *x509.CertPool
	chain, key  []byte // PEM
	certificate tls.Certificate
}

// newAuthority makes an authority, writes its certificate into folder, and signs a server
// certificate for localhost, 127.0.0.1 and ::1.
func newAuthority(t testing.TB, folder string) authority {
	t.Helper()
	root := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "imaptest authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    root.NotBefore,
		NotAfter:     root.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	rootKey, leafKey := newKey(t), newKey(t)
	rootPEM := sign(t, root, root, rootKey, rootKey)
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{
		file:  filepath.Join(folder, "authority.pem"),
		roots: x509.NewCertPool(),
		chain: sign(t, leaf, root, leafKey, rootKey),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
	a.roots.AppendCertsFromPEM(rootPEM)
	if a.certificate, err = tls.X509KeyPair(a.chain, a.key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, rootPEM, 0o644); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign returns the certificate of subject's key, signed by issuer's, as PEM.
func sign(t testing.TB, subject, issuer *x509.Certificate, subjectKey, issuerKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, subject, issuer, subjectKey.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

package idlepush

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
	"time"

	"idlepush/cleantext"
)

// Fingerprint is the SHA-256 of a whole certificate, by which people compare it: 32 pairs of
// hexadecimal digits in upper case, with colons in between, as openssl x509 -fingerprint prints
// them.
type Fingerprint string

var fingerprint = regexp.MustCompile(`^[0-9A-F]{2}(:[0-9A-F]{2}){31}$`)

// Valid reports whether f has the form of a fingerprint.
func (f Fingerprint) Valid() bool { return fingerprint.MatchString(string(f)) }

// fingerprintOf returns the fingerprint of a certificate.
func fingerprintOf(c *x509.Certificate) Fingerprint {
	sum := sha256.Sum256(c.Raw)
	return Fingerprint(strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":"))
}

// Certificate describes the certificate of a server to people. Whoever made it chose all of it but
// the fingerprint. The texts are fit to be shown.
type Certificate struct {
	Fingerprint Fingerprint
	Subject     string   // distinguished name (RFC 2253)
	Names       []string // host names and addresses that it is for; empty: it names none
	From, Until time.Time
	Issuer      string // distinguished name; that of the subject if it is self-signed
}

const (
	maxCertificateNames = 20
	maxCertificateText  = 200 // characters of each text
)

// CertificateOf describes a certificate. Of many names it has the first, and of long texts the
// beginning.
func CertificateOf(c *x509.Certificate) Certificate {
	line := func(text string) string { return cleantext.Line(text, maxCertificateText) }
	d := Certificate{Fingerprint: fingerprintOf(c), Subject: line(c.Subject.String()), From: c.NotBefore, Until: c.NotAfter, Issuer: line(c.Issuer.String())}
	for _, name := range c.DNSNames[:min(len(c.DNSNames), maxCertificateNames)] {
		d.Names = append(d.Names, line(name))
	}
	for _, address := range c.IPAddresses[:min(len(c.IPAddresses), maxCertificateNames-len(d.Names))] {
		d.Names = append(d.Names, address.String())
	}
	return d
}

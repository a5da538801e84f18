package watcher

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/watcher/wire"
)

// trust returns a function that accepts the certificate that the account pins, or nil if it pins
// none.
func (d Dialer) trust(a *idlepush.Account) func(*x509.Certificate, netguard.Target) bool {
	if a.Pin == "" {
		return nil
	}
	return func(c *x509.Certificate, at netguard.Target) bool {
		return d.mayPin(at) && idlepush.CertificateOf(c).Fingerprint == a.Pin
	}
}

// mayPin reports whether a person may pin a certificate of that server: only if it may be reached
// without encryption, too. So nobody needs to trust a certificate from the public internet.
func (d Dialer) mayPin(at netguard.Target) bool {
	at.Plain = true
	return d.Permit.Check(at) == nil
}

// certificateError is a certificate that does not verify, and that may be pinned.
type certificateError struct {
	shown  *x509.Certificate
	pinned idlepush.Fingerprint // another one; empty: none
	err    error
}

func (e *certificateError) Error() string { return e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }

// withCertificate returns err, which ended a connection, as a *certificateError if it is one.
func (d Dialer) withCertificate(a *idlepush.Account, err error) error {
	handshake, broken := errors.AsType[*wire.TLSError](err)
	unverified, found := errors.AsType[*tls.CertificateVerificationError](err)
	if !broken || !found || len(unverified.UnverifiedCertificates) == 0 || !d.mayPin(handshake.At) {
		return err
	}
	return &certificateError{unverified.UnverifiedCertificates[0], a.Pin, err}
}

// offer adds the certificate to the failure that it causes, so that a person can pin it. One that
// only our clock may have made invalid is not offered.
func (f *Failure) offer(e *certificateError) {
	shown := idlepush.CertificateOf(e.shown)
	switch {
	case e.pinned != "":
		*f = Failure{Reason: idlepush.Reason{Code: "certificate_changed"}.With("trusted", string(e.pinned)).With("shown", string(shown.Fingerprint)),
			Field: "certificate", final: true, personal: true, tellFrom: 1}
	case f.Code == "certificate_not_yet_valid":
		return
	case f.Code == "certificate_untrusted":
		f.Reason = f.With(codes.Case, atHome)
	}
	f.Certificate = &shown
}

// subjectAltName returns the name of a host as openssl wants it in a certificate.
func subjectAltName(host string) string {
	if net.ParseIP(host) != nil {
		return "IP:" + host
	}
	return "DNS:" + host
}

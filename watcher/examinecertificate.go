package watcher

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/watcher/wire"
)

// certificate tells what a handshake has shown.
func (x *examination) certificate(p wire.Traced) {
	shown := p.TLS.PeerCertificates[0]
	params := append(x.describe(shown), "version", tls.VersionName(p.TLS.Version))
	switch {
	case x.account.Pin != "" && idlepush.CertificateOf(shown).Fingerprint == x.account.Pin:
		x.found(idlepush.VerdictOK, "examined_tls", p.Took, append(params, codes.Case, pinned)...)
	case time.Until(shown.NotAfter) < endsSoon:
		x.found(idlepush.VerdictLook, "examined_tls", p.Took, append(params, codes.Case, endingSoon)...)
	default:
		x.found(idlepush.VerdictOK, "examined_tls", p.Took, params...)
	}
}

// shown tells which certificate was refused, and whether a person can trust it.
func (x *examination) shown(err error) {
	refused, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(refused.UnverifiedCertificates) == 0 {
		return
	}
	c := refused.UnverifiedCertificates[0]
	params := append(x.describe(c), "fingerprint", string(idlepush.CertificateOf(c).Fingerprint))
	if diagnose(x.account, err).Certificate != nil {
		params = append(params, codes.Case, atHome)
	}
	x.found(idlepush.VerdictLook, "examined_certificate", 0, params...)
}

// describe returns the parameters of a certificate.
func (x *examination) describe(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{c.Subject.CommonName}
	}
	issuer := c.Issuer.CommonName
	if len(c.Issuer.Organization) > 0 {
		issuer = c.Issuer.Organization[0] + " " + issuer
	}
	day := func(at time.Time) string { return at.UTC().Format(time.DateOnly) }
	return []string{"names", x.clean(strings.Join(names[:min(len(names), 5)], ", ")), "issuer", x.clean(issuer), "from", day(c.NotBefore), "until", day(c.NotAfter)}
}

package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"idlepush/netguard"
	"idlepush/watcher/imaptest"
)

func TestTrust(t *testing.T) {
	t.Parallel()
	t.Run("only a certificate that does not verify needs it, with TLS and STARTTLS alike", trustAsked)
	t.Run("with it, no session is resumed or left to be resumed", trustResumesNothing)
}

// securedBy serves a script with this kind of connection.
func securedBy(t *testing.T, security Security, config *tls.Config) (port int) {
	t.Helper()
	if security == StartTLS {
		return listening(t, &imaptest.Script{TLS: config}, nil)
	}
	return listening(t, new(imaptest.Script), config)
}

func trustAsked(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	otherName := trusted(certificate)
	otherName.ServerName = "other.test"
	for _, security := range []Security{TLS, StartTLS} {
		port := securedBy(t, security, &tls.Config{Certificates: []tls.Certificate{certificate}})
		for name, c := range map[string]struct {
			config        *tls.Config
			trusts, asked bool
		}{
			"it verifies":                    {trusted(certificate), false, false},
			"unknown authority":              {&tls.Config{ServerName: "mail.test"}, false, true},
			"unknown authority, but trusted": {&tls.Config{ServerName: "mail.test"}, true, true},
			"another name":                   {otherName, false, true},
			"another name, but trusted":      {otherName, true, true},
		} {
			t.Run(string(security)+" "+name, func(t *testing.T) {
				asked := 0
				e := Endpoint{Host: "127.0.0.1", Port: port, Security: security, TLS: c.config, Trust: func(shown *x509.Certificate, at netguard.Target) bool {
					asked++
					if !shown.Equal(certificate.Leaf) || at.Host != "127.0.0.1" || !at.Addr.Addr().IsLoopback() || int(at.Addr.Port()) != port {
						t.Errorf("asked about %v at %+v", shown.Subject, at)
					}
					return c.trusts
				}}
				conn, err := Dial(t.Context(), e, DefaultLimits, realTimeout(t))
				if err == nil {
					conn.Close()
				}
				if asked != 0 != c.asked || (err == nil) != (c.trusts || !c.asked) {
					t.Errorf("asked %d times, then %v", asked, err)
				}
				if err == nil {
					return
				}
				broken, _ := errors.AsType[*TLSError](err)
				unverified, ok := errors.AsType[*tls.CertificateVerificationError](err)
				if !ok || !unverified.UnverifiedCertificates[0].Equal(certificate.Leaf) || int(broken.At.Addr.Port()) != port || broken.At.Host != "127.0.0.1" {
					t.Errorf("%v at %+v", err, broken.At)
				}
			})
		}
	}
}

func trustResumesNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		certificate := testCertificate(t)
		resumed := make(chan bool, 1)
		port := listening(t, new(imaptest.Script), &tls.Config{Certificates: []tls.Certificate{certificate}, MaxVersion: version,
			VerifyConnection: func(state tls.ConnectionState) error { resumed <- state.DidResume; return nil }})
		config := trusted(certificate)
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		dial := func(trust func(*x509.Certificate, netguard.Target) bool) error {
			conn, err := Dial(t.Context(), Endpoint{Host: "127.0.0.1", Port: port, Security: TLS, TLS: config, Trust: trust}, DefaultLimits, realTimeout(t))
			if err == nil {
				conn.Close()
			}
			return err
		}
		trustAny := func(*x509.Certificate, netguard.Target) bool { return true }
		for i, c := range []struct {
			trust func(*x509.Certificate, netguard.Target) bool
			want  bool
		}{{trustAny, false}, {nil, false}, {nil, true}, {trustAny, false}} {
			if err := dial(c.trust); err != nil {
				t.Fatal(err)
			}
			if got := <-resumed; got != c.want {
				t.Errorf("%#x: connection %d resumed a session: %v", version, i+1, got)
			}
		}
	}
}

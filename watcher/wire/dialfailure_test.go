package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"idlepush/watcher/imaptest"
)

func TestDialFailure(t *testing.T) {
	t.Parallel()
	t.Run("of several failures, the one that tells most is returned", mostTellingFailure)
	t.Run("a refusal by the server itself ends Dial", serversOwnRefusal)
}

func mostTellingFailure(t *testing.T) {
	t.Parallel()
	certificate, unknown := testCertificate(t), testCertificate(t)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	wrong := mailServer(TLS, unknown)
	garbage := secured(config, func(conn net.Conn) { io.WriteString(conn, "220 smtp\r\n"); conn.Close() })
	plain := says("* OK not encrypted\r\n")
	for _, c := range []struct {
		less, more host
		want       string
	}{
		{refuse, wrong, "certificate signed by unknown authority"},
		{says(""), wrong, "certificate signed by unknown authority"},
		{takes(hangUp), wrong, "certificate signed by unknown authority"},
		{plain, wrong, "certificate signed by unknown authority"},
		{garbage, wrong, "certificate signed by unknown authority"},
		{plain, garbage, "is this an IMAP server?"},
		{refuse, garbage, "is this an IMAP server?"},
		{says(""), plain, "does not look like a TLS handshake"},
		{refuse, plain, "does not look like a TLS handshake"},
		{refuse, says(""), "waited too long for the TLS handshake"},
		{blackHole, says(""), "waited too long for the TLS handshake"},
		{refuse, takes(hangUp), "the TLS handshake failed: "},
		{blackHole, refuse, "connection refused"},
		{noRoute, blackHole, "waited too long for the connection"},
		{noRoute, noRoute, "network is unreachable"},
	} {
		for _, hosts := range []map[netip.Addr]host{{six: c.less, four: c.more}, {six: c.more, four: c.less}} {
			synctest.Test(t, func(t *testing.T) {
				e := Endpoint{Host: "mail.test", Port: 993, Security: TLS, TLS: trusted(certificate), Resolve: resolveTo(six, four)}
				if _, _, err := reached(t, &testNet{hosts: hosts}, e); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			})
		}
	}
}

func serversOwnRefusal(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	for name, c := range map[string]struct {
		security Security
		host     host
	}{
		"BYE":         {None, says("* BYE too many connections\r\n")},
		"BYE later":   {StartTLS, says("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n* BYE shutting down\r\n")},
		"no STARTTLS": {StartTLS, takes(new(imaptest.Script).Serve)},
		"STARTTLS refused": {StartTLS, takes((&imaptest.Script{Caps: "IMAP4rev1 STARTTLS", On: map[string]func(*imaptest.Talk, string){
			"STARTTLS": func(talk *imaptest.Talk, _ string) { talk.Say("%s NO not today\r\n", talk.Tag) }}}).Serve)},
		"injected into STARTTLS": {StartTLS, takes((&imaptest.Script{Caps: "IMAP4rev1 STARTTLS", On: map[string]func(*imaptest.Talk, string){
			"STARTTLS": func(talk *imaptest.Talk, _ string) { talk.Say("%s OK go\r\n* OK trust me\r\n", talk.Tag) }}}).Serve)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tn := &testNet{hosts: map[netip.Addr]host{six: c.host, four: mailServer(c.security, certificate)}}
				e := Endpoint{Host: "mail.test", Port: 143, Security: c.security, TLS: trusted(certificate), Resolve: resolveTo(six, four)}
				_, _, err := reached(t, tn, e)
				_, bye := errors.AsType[*ByeError](err)
				_, starttls := errors.AsType[*StartTLSError](err)
				if bye != strings.HasPrefix(name, "BYE") || starttls == bye {
					t.Errorf("%T %v", err, err)
				}
				if dialed := tn.forget(); !slices.Equal(dialed, []netip.Addr{six}) {
					t.Errorf("dialed %v", dialed)
				}
			})
		})
	}
}

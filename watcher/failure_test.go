package watcher

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/registry"
	"idlepush/watcher/wire"
)

func TestFailure(t *testing.T) {
	t.Parallel()
	t.Run("a failure says what to do, and stops the account only if a person must act", failureActions)
	t.Run("how there is no connection, and what an admin must allow", failureConnection)
	t.Run("a server of old TLS differs from one without TLS", oldTLSFailure)
	t.Run("a password that a server sends back is not shown", passwordRedacted)
	t.Run("reconnects are spread over time", backoffSpreads)
}

func no(code imap.ResponseCode, text string) error {
	return &loginError{err: &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}}
}

func failureActions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		code    codes.Code
		field   string
		final   bool
		minWait bool
	}{
		"wrong password":         {no("AUTHENTICATIONFAILED", ""), "login_refused", "password", true, false},
		"expired":                {no("EXPIRED", ""), "password_expired", "password", true, false},
		"no reason":              {no("", "Login failed"), "login_refused", "password", true, false},
		"unavailable":            {no("UNAVAILABLE", ""), "server_unavailable", "", false, false},
		"in use":                 {no("INUSE", ""), "server_unavailable", "", false, false},
		"limit":                  {no("LIMIT", ""), "too_many_connections", "", false, true},
		"too many, by text":      {no("", "Maximum number of connections from user+IP exceeded"), "too_many_connections", "", false, true},
		"too many, by both":      {no("UNAVAILABLE", "Too many simultaneous connections"), "too_many_connections", "", false, true},
		"too many, in BYE":       {&wire.ByeError{Text: "Too many connections"}, "too_many_connections", "", false, true},
		"login disabled":         {&loginError{err: errNoPassword}, "password_not_accepted", "security", true, false},
		"connection in login":    {&loginError{err: io.ErrUnexpectedEOF}, "connection_lost", "", false, false},
		"bye":                    {&wire.ByeError{Text: "shutting down"}, "server_closed", "", false, false},
		"silence":                {&wire.TimeoutError{Waiting: "the greeting"}, "server_silent", "port", false, false},
		"certificate, authority": {&wire.TLSError{Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, "certificate_untrusted", "host", false, true},
		"certificate, host":      {&wire.TLSError{Err: &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}}}}, "certificate_wrong_host", "host", false, true},
		"certificate, expired":   {&wire.TLSError{Err: &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}}, "certificate_expired", "host", false, true},
		"certificate, no names": {&wire.TLSError{Err: &tls.CertificateVerificationError{Err: x509.HostnameError{Host: "mail.example.org",
			Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "mail.example.org"}}}}}, "certificate_without_names", "host", false, true},
		"certificate, too early": {&wire.TLSError{Err: &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired,
			Cert: &x509.Certificate{NotBefore: time.Now().Add(time.Hour)}}}}, "certificate_not_yet_valid", "host", false, false},
		"TLS that is too old":  {&wire.TLSError{Err: &net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")}}, "tls_too_old", "host", false, true},
		"only OAuth":           {&loginError{err: errOnlyOAuth}, "oauth_required", "password", true, false},
		"no TLS there":         {&wire.TLSError{Err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}, "tls_failed", "security", false, true},
		"handshake cut off":    {&wire.TLSError{Err: io.EOF}, "tls_failed", "security", false, false},
		"handshake reset":      {&wire.TLSError{Err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}, "tls_failed", "security", false, false},
		"handshake refused":    {&wire.TLSError{Err: &net.OpError{Op: "remote error", Err: errors.New("alert")}}, "tls_failed", "security", false, true},
		"starttls":             {&wire.StartTLSError{Err: errors.New("not offered")}, "starttls_failed", "security", false, true},
		"flood":                {fmt.Errorf("look: %w", &wire.LimitError{Limit: "line", Max: 1}), "server_faulty", "port", false, false},
		"name":                 {fmt.Errorf("connect: %w", &net.OpError{Err: &net.DNSError{}}), "host_unknown", "host", false, false},
		"refused":              {fmt.Errorf("connect: %w", &net.OpError{Err: errors.New("refused")}), "connection_failed", "port", false, false},
		"forbidden":            {fmt.Errorf("connect: %w", &net.OpError{Err: &netguard.ForbiddenError{Err: errors.New("private")}}), "address_not_allowed", "host", false, true},
		"folder":               {&folderError{&imap.Error{Code: "NONEXISTENT"}}, "folder_unavailable", "folders", false, true},
		"folder, for now":      {&folderError{&imap.Error{Type: imap.StatusResponseTypeNo, Code: "SERVERBUG"}}, "server_unavailable", "", false, false},
		"folder, no end":       {fmt.Errorf("look: %w", &folderError{errNoEnd}), "folder_end_unknown", "folders", false, false},
		"limit, later":         {&imap.Error{Type: imap.StatusResponseTypeNo, Code: "LIMIT"}, "too_many_connections", "", false, true},
		"search":               {&imap.Error{Type: imap.StatusResponseTypeNo}, "server_refuses", "", false, false},
		"deadline":             {context.DeadlineExceeded, "server_silent", "port", false, false},
		"store":                {&storeError{registry.ErrCorrupt}, "store_failed", "", false, false},
		"anything else at all": {errors.New("?"), "connection_lost", "", false, false},
	} {
		f := diagnose(&idlepush.Account{}, c.err)
		if f.Code != c.code || f.Field != c.field || f.final != c.final || f.minWait > 0 != c.minWait || sentences.Check(f.Code, f.Params) != nil {
			t.Errorf("%s: %+v", name, f)
		}
		if !errors.Is(f, c.err) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
}

// failureConnection goes through the ways in which there is no connection.
func failureConnection(t *testing.T) {
	t.Parallel()
	a := idlepush.Account{Host: "nas.home", Port: 14993}
	dial := func(err error) error { return fmt.Errorf("connect: %w", &net.OpError{Op: "dial", Err: err}) }
	for name, c := range map[string]struct {
		err    error
		code   codes.Code
		words  string
		unsaid string
	}{
		"refused":                 {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection_failed", "the connection is refused", ""},
		"no network":              {dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), "connection_failed", "there is no way to the mail server", ""},
		"no such host here":       {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "connection_failed", "there is no way to the mail server", ""},
		"silence":                 {dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), "server_silent", "does not answer", ""},
		"anything else":           {dial(errors.New("?")), "connection_failed", "no connection", ""},
		"reset later":             {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connection_lost", "was lost", ""},
		"broken later":            {&net.OpError{Op: "write", Err: syscall.EPIPE}, "connection_lost", "was lost", ""},
		"private, not allowed":    {dial(&netguard.ForbiddenError{Err: netguard.ErrPrivate}), "address_not_allowed", "add nas.home:14993 to allow-mail", ""},
		"unencrypted":             {dial(&netguard.ForbiddenError{Err: netguard.ErrPlain}), "address_not_allowed", "add nas.home:14993 to allow-mail", ""},
		"forbidden for any other": {dial(&netguard.ForbiddenError{Err: errors.New("?")}), "address_not_allowed", "must not connect", "nas.home"},
	} {
		f := diagnose(&a, c.err)
		if f.Code != c.code || sentences.Check(f.Code, f.Params) != nil || !strings.Contains(f.Error(), c.words) || c.unsaid != "" && strings.Contains(f.Error(), c.unsaid) {
			t.Errorf("%s: %s", name, f.Error())
		}
	}
	for host, want := range map[string]string{"::1": "[::1]:14993", "192.168.1.5": "192.168.1.5:14993"} {
		f := diagnose(&idlepush.Account{Host: host, Port: 14993}, dial(&netguard.ForbiddenError{Err: netguard.ErrPrivate}))
		entry := f.Params["entry"]
		if _, err := netguard.ParseMail(entry); err != nil || entry != want {
			t.Errorf("for %s the entry is %q, %v", host, entry, err)
		}
	}
}

// oldTLSFailure holds oldTLS to the texts of this version of crypto/tls.
func oldTLSFailure(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]*tls.Config{
		"versions": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"ciphers":  {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
	} {
		there, here := net.Pipe()
		server.Certificates = []tls.Certificate{selfSigned(t)}
		var serving sync.WaitGroup
		serving.Go(func() {
			tls.Server(there, server).Handshake()
			there.Close()
		})
		err := tls.Client(here, &tls.Config{InsecureSkipVerify: true}).Handshake()
		here.Close()
		serving.Wait()
		if err == nil || !oldTLS(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func passwordRedacted(t *testing.T) {
	t.Parallel()
	for password, sent := range map[idlepush.Secret]string{
		"planted": "planted", `pl"an\ted`: `pl\"an\\ted`, "plant\u00e9d": base64.StdEncoding.EncodeToString([]byte("\x00anna\x00plant\u00e9d"))} {
		f := diagnose(&idlepush.Account{Username: "anna", Password: password}, no("", "no login for anna with "+sent+"\x1b[31m"))
		if strings.Contains(f.Text(), sent) || strings.Contains(f.Text(), "\x1b") || !strings.Contains(f.Text(), "no login for anna") {
			t.Errorf("the status would say %q", f.Text())
		}
	}
	// A BYE is cleaned and cut before anybody looks for a password in it.
	for _, password := range []idlepush.Secret{"planted  pass", "planted-password-that-is-long"} {
		bye := wire.ByeError{Text: wire.Clean(strings.Repeat("no ", 60) + "login " + string(password))}
		f := diagnose(&idlepush.Account{Username: "anna", Password: password}, &bye)
		if strings.Contains(f.Text(), "plan") || !strings.Contains(f.Text(), "no login") {
			t.Errorf("the status would say %q", f.Text())
		}
	}
}

func backoffSpreads(t *testing.T) {
	t.Parallel()
	for attempt := range 40 {
		for range 50 {
			wait := backoff(attempt, 0)
			if full := min(firstRetryWait<<min(attempt, 10), maxRetryWait); wait > full {
				t.Fatalf("attempt %d waits %v", attempt, wait)
			}
			if minWait := backoff(attempt, personWait); minWait > max(personWait, maxRetryWait) || minWait < personWait*3/4 {
				t.Fatalf("attempt %d waits %v, less than minWait allows", attempt, minWait)
			}
		}
	}
}

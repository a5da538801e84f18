package watcher

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/netguard"
	"idlepush/registry"
	"idlepush/watcher/wire"
)

// Failure says why an account cannot be watched, in a form fit for people.
type Failure struct {
	Code string // stable, for programs
	// Field is the one of the account that a person should look at: host, port, security, username,
	// password, folders; may be empty.
	Field  string
	Reason string // what happened and what to do, in our own words
	Server string // what the server said to it, cleaned and without the password; may be empty

	final    bool          // only a person can help
	personal bool          // it lies in this account, and says nothing of the host
	unclear  bool          // a login refused without saying why: final only when it goes on
	minWait  time.Duration // the next try is not before this
	cause    error
}

func (f *Failure) Error() string { return f.Reason }
func (f *Failure) Unwrap() error { return f.cause }

// Text is the reason with what the server said.
func (f *Failure) Text() string {
	if f.Server == "" {
		return f.Reason
	}
	return f.Reason + ` (the server says: "` + f.Server + `")`
}

// diagnose makes a Failure of what ended a session or a check.
func diagnose(a *registry.Account, err error) *Failure {
	f := classify(err)
	f.cause = err
	if said, ok := errors.AsType[*imap.Error](err); ok {
		f.Server = said.Text
	} else if bye, ok := errors.AsType[*wire.ByeError](err); ok {
		f.Server = bye.Text
	}
	if l, ok := errors.AsType[*loginError](err); ok && l.alert != "" {
		f.Server = l.alert
	}
	f.Server = wire.Clean(redact(f.Server, a))
	return f
}

// redact takes out a password that a server may have sent back, as it is, quoted, or as
// AUTHENTICATE PLAIN sends it.
func redact(text string, a *registry.Account) string {
	if a.Password == "" {
		return text
	}
	plain := string(a.Password)
	for _, form := range []string{plain, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(plain), wire.Clean(plain),
		base64.StdEncoding.EncodeToString([]byte("\x00" + a.Username + "\x00" + plain))} {
		if form == "" {
			continue
		}
		text = strings.ReplaceAll(text, form, a.Password.String())
		// A text that was cut may end within it.
		for n := len(form) - 1; n > 2; n-- {
			if rest, ok := strings.CutSuffix(text, form[:n]); ok {
				text = rest + a.Password.String()
				break
			}
		}
	}
	return text
}

// classify tells failures apart by what a person or the supervisor does about them.
func classify(err error) *Failure {
	if _, ok := errors.AsType[*storeError](err); ok {
		return &Failure{Code: "store_failed", Reason: "idlepush cannot write down what it finds: its admin must look at the disk and the log", personal: true}
	}
	if forbidden, ok := errors.AsType[*netguard.ForbiddenError](err); ok {
		return &Failure{Code: "address_not_allowed", Field: "host", Reason: "the mail server cannot be used: " + forbidden.Error(),
			minWait: personWait, personal: true}
	}
	if errors.Is(err, errOnlyOAuth) {
		return &Failure{Code: "oauth_required", Field: "password", final: true, personal: true, Reason: onlyOAuth}
	}
	if errors.Is(err, errNoPassword) {
		return &Failure{Code: "password_not_accepted", Field: "security", final: true, personal: true,
			Reason: "the server accepts no password on this connection: choose tls, or use a provider that offers app passwords"}
	}
	if _, ok := errors.AsType[*wire.StartTLSError](err); ok {
		return &Failure{Code: "starttls_failed", Field: "security", minWait: personWait,
			Reason: "the server cannot be made secure by STARTTLS: try tls with port 993"}
	}
	if broken, ok := errors.AsType[*wire.TLSError](err); ok {
		return tlsFailure(broken, time.Now())
	}
	if errors.Is(err, errNoEnd) {
		return &Failure{Code: "folder_end_unknown", Field: "folders", personal: true,
			Reason: "the mail server does not report the end of the folder, so idlepush cannot tell new mail from old: ask its admin, or leave this folder out"}
	}
	if said, ok := errors.AsType[*imap.Error](err); ok && said.Type != imap.StatusResponseTypeBye {
		return refusal(said, err)
	}
	return connectionFailure(err)
}

// tlsFailure explains a failed handshake by its certificate or TLS version, if they are the reason.
func tlsFailure(err error, now time.Time) *Failure {
	f := &Failure{Code: "tls_failed", Field: "security", minWait: personWait,
		Reason: "no secure connection: check that port and security belong together (993 is for tls, 143 for starttls)"}
	if cut(err) {
		f.minWait = 0
		return f
	}
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	name, otherName := errors.AsType[x509.HostnameError](err)
	invalid, certificate := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case otherName && len(name.Certificate.DNSNames)+len(name.Certificate.IPAddresses) == 0 && name.Host != "" && strings.EqualFold(name.Certificate.Subject.CommonName, name.Host):
		f.Code, f.Field, f.Reason = "certificate_without_names", "host",
			"the server's certificate names the host in the old way only, by its common name: its owner must make one with subjectAltName"
	case otherName:
		f.Code, f.Field, f.Reason = "certificate_wrong_host", "host", "the server's certificate is for another host name: check host"
	case certificate && invalid.Reason == x509.Expired && invalid.Cert != nil && now.Before(invalid.Cert.NotBefore):
		f.Code, f.Field, f.Reason = "certificate_not_yet_valid", "host", "the server's certificate is valid from "+invalid.Cert.NotBefore.UTC().Format(time.DateTime)+
			" on, and here it is "+now.UTC().Format(time.DateTime)+" (UTC): check the clock of the machine that idlepush runs on"
	case certificate && invalid.Reason == x509.Expired:
		f.Code, f.Field, f.Reason = "certificate_expired", "host", "the server's certificate has expired: its owner must renew it"
	case authority, certificate:
		f.Code, f.Field, f.Reason = "certificate_untrusted", "host",
			"the server's certificate is signed by nobody this machine trusts, or the server does not send the certificates between: its owner must send them all; if the certificate is your own, name your authority's in SSL_CERT_FILE where idlepush runs"
	case oldTLS(err):
		f.Code, f.Field, f.Reason = "tls_too_old", "host", "the server speaks only old TLS, which is not safe any more: its owner must update it"
	}
	return f
}

// oldTLS knows the errors of a handshake in which both sides have no version or cipher in common.
// crypto/tls has no types for them.
func oldTLS(err error) bool {
	return containsAny(err.Error(), "protocol version not supported", "unsupported protocol version", "handshake failure", "insufficient security level", "unsupported cipher")
}

// cut reports whether a handshake failed because the connection ended, as it does while a server
// restarts.
func cut(err error) bool {
	broken, ok := errors.AsType[*net.OpError](err)
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || ok && (broken.Op == "read" || broken.Op == "write")
}

func connectionFailure(err error) *Failure {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return &Failure{Code: "host_unknown", Field: "host", Reason: "the host name cannot be resolved: check its spelling and this server's DNS"}
	}
	if bye, ok := errors.AsType[*wire.ByeError](err); ok {
		if f := knownMeaning(imap.ResponseCode(bye.Code), bye.Text); f != nil {
			return f
		}
		return &Failure{Code: "server_closed", Reason: "the mail server ended the connection"}
	}
	if _, ok := errors.AsType[*wire.TimeoutError](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return &Failure{Code: "server_silent", Field: "port",
			Reason: "the mail server does not answer: check host, port and security (993 is for tls, 143 for starttls), and whether the server is up"}
	}
	_, protocol := errors.AsType[*wire.ProtocolError](err)
	_, limit := errors.AsType[*wire.LimitError](err)
	if protocol || limit {
		return &Failure{Code: "server_faulty", Field: "port", Reason: "what answers there does not behave as an IMAP server must: check host, port and security"}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return &Failure{Code: "connection_failed", Field: "port", Reason: "no connection: check host and port, and whether the server is up"}
	}
	return &Failure{Code: "connection_lost", Reason: "the connection to the mail server was lost: if it stays so, check host, port and security"}
}

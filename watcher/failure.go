package watcher

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/clocks"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/registry"
	"idlepush/watcher/oauth"
	"idlepush/watcher/wire"
)

// clockWait is the longest wait before the next try if this machine's clock may be wrong: it may be
// set any moment.
const clockWait = time.Minute

// storeWait is the longest wait before the next try if the store fails: somebody may make room on
// the disk any moment.
const storeWait = 5 * time.Minute

// Failure says why an account cannot be watched, in a form fit for people.
type Failure struct {
	idlepush.Reason
	// Field is the one of the account that a person should look at: host, port, security, username,
	// password, consent, certificate, folders; may be empty.
	Field       string
	Server      string                // what the server said, cleaned, without the password
	Certificate *idlepush.Certificate // what a person can pin; nil: that would not help

	final    bool          // only a person can help
	personal bool          // it lies in this account, and says nothing of the host
	tellFrom int           // tell people at the nth refusal; 0: after tellAfter
	minWait  time.Duration // the next try is not before this
	maxWait  time.Duration // nor after this; 0: it may wait longer
	cause    error
}

// Error returns the reason as a sentence.
func (f *Failure) Error() string { return sentences.Sentence(f.Code, f.Params) }
func (f *Failure) Unwrap() error { return f.cause }

// Told returns the reason with what the server said.
func (f *Failure) Told() idlepush.Reason {
	if f.Server == "" {
		return f.Reason
	}
	return f.With(codes.Said, f.Server)
}

// Text returns the same as a sentence.
func (f *Failure) Text() string { return sentences.Sentence(f.Code, f.Told().Params) }

// diagnose makes a Failure of what ended a session or a check.
func diagnose(a *idlepush.Account, err error) *Failure {
	f := classify(err)
	if f.Code == "address_not_allowed" && f.Params != nil {
		f.Reason = f.With("entry", net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
	}
	if a.OAuth != "" {
		f = f.byToken(a, err)
	} else if f.Code == "login_refused" && f.Params[codes.Case] == unexplained && providerOf(a.Host).microsoft {
		f.Reason = idlepush.Reason{Code: "oauth_required"}
	}
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

// diagnoseCheck is diagnose for a check, after which nothing is tried again by itself.
func diagnoseCheck(a *idlepush.Account, err error) *Failure {
	f := diagnose(a, err)
	if _, ok := sentences[f.Code].Cases[inCheck]; ok {
		f.Reason = f.With(codes.Case, inCheck)
	}
	return f
}

// redact takes out a password or access token that a server may have sent back, as it is, quoted,
// or as AUTHENTICATE sends it.
func redact(text string, a *idlepush.Account) string {
	if a.Password == "" {
		return text
	}
	plain := string(a.Password)
	forms := []string{plain, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(plain), wire.Clean(plain)}
	for _, message := range saslMessages(a) {
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(message)))
	}
	for _, form := range forms {
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

// saslMessages returns what AUTHENTICATE may send for an account.
func saslMessages(a *idlepush.Account) (list []string) {
	if a.OAuth == "" {
		return []string{"\x00" + a.Username + "\x00" + string(a.Password)} // PLAIN
	}
	for _, b := range bearers {
		list = append(list, b.message(a))
	}
	return list
}

// classify tells failures apart by what a person or the supervisor does about them.
func classify(err error) *Failure {
	if _, ok := errors.AsType[*storeError](err); ok {
		return &Failure{Reason: idlepush.Reason{Code: "store_failed"}, personal: true, maxWait: storeWait}
	}
	if errors.Is(err, registry.ErrStale) {
		return &Failure{Reason: idlepush.Reason{Code: "account_changed"}, personal: true}
	}
	if forbidden, ok := errors.AsType[*netguard.ForbiddenError](err); ok {
		return &Failure{Reason: notAllowed(forbidden), Field: "host", minWait: personWait, personal: true}
	}
	if noToken, ok := errors.AsType[*oauth.Error](err); ok {
		return noTokenFailure(noToken)
	}
	if errors.Is(err, errNoOAuth) {
		return &Failure{Reason: idlepush.Reason{Code: "oauth_not_accepted"}, Field: "host", final: true, personal: true}
	}
	if errors.Is(err, errOnlyOAuth) {
		return &Failure{Reason: idlepush.Reason{Code: "oauth_required"}, Field: "password", final: true, personal: true}
	}
	if errors.Is(err, errNoPassword) {
		return &Failure{Reason: idlepush.Reason{Code: "password_not_accepted"}, Field: "security", final: true, personal: true}
	}
	if _, ok := errors.AsType[*wire.StartTLSError](err); ok {
		return &Failure{Reason: idlepush.Reason{Code: "starttls_failed"}, Field: "security", minWait: personWait}
	}
	if broken, ok := errors.AsType[*wire.TLSError](err); ok {
		f := tlsFailure(broken, time.Now())
		if e, ok := errors.AsType[*certificateError](err); ok {
			f.offer(e)
		}
		return f
	}
	if errors.Is(err, errNoEnd) {
		return &Failure{Reason: idlepush.Reason{Code: "folder_end_unknown"}, Field: "folders", personal: true}
	}
	if said, ok := errors.AsType[*imap.Error](err); ok && said.Type != imap.StatusResponseTypeBye {
		return refusal(said, err)
	}
	return connectionFailure(err)
}

// notAllowed returns the reason for which an address must not be dialed.
func notAllowed(err error) idlepush.Reason {
	r := idlepush.Reason{Code: "address_not_allowed"}
	switch {
	case errors.Is(err, netguard.ErrPrivate):
		return r.With(codes.Case, privateNetwork)
	case errors.Is(err, netguard.ErrPlain):
		return r.With(codes.Case, unencrypted)
	}
	return r
}

// tlsFailure explains a failed handshake by its certificate or TLS version, if they are the reason.
func tlsFailure(err error, now time.Time) *Failure {
	f := &Failure{Reason: idlepush.Reason{Code: "tls_failed"}, Field: "security", minWait: personWait}
	if cut(err) {
		f.minWait = 0
		return f
	}
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	name, otherName := errors.AsType[x509.HostnameError](err)
	invalid, certificate := errors.AsType[x509.CertificateInvalidError](err)
	from, tooEarly := clocks.NotYetValid(err, now)
	switch {
	case otherName && len(name.Certificate.DNSNames)+len(name.Certificate.IPAddresses) == 0 && name.Host != "" && strings.EqualFold(name.Certificate.Subject.CommonName, name.Host):
		f.Field = "host"
		f.Reason = idlepush.Reason{Code: "certificate_without_names"}.With("host", name.Host).With("name", subjectAltName(name.Host))
	case otherName:
		f.Code, f.Field = "certificate_wrong_host", "host"
	case tooEarly:
		f.Code, f.Field = "certificate_not_yet_valid", "host"
		f.minWait, f.maxWait = 0, clockWait
		f.Reason = f.With("from", from.UTC().Format(time.DateTime)).With(codes.Now, now.UTC().Format(time.DateTime))
	case certificate && invalid.Reason == x509.Expired:
		f.Code, f.Field = "certificate_expired", "host"
	case authority, certificate:
		f.Code, f.Field = "certificate_untrusted", "host"
	case oldTLS(err):
		f.Code, f.Field = "tls_too_old", "host"
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
		return &Failure{Reason: idlepush.Reason{Code: "host_unknown"}, Field: "host"}
	}
	if bye, ok := errors.AsType[*wire.ByeError](err); ok {
		if f := knownMeaning(imap.ResponseCode(bye.Code), bye.Text); f != nil {
			return f
		}
		if _, isLogin := errors.AsType[*loginError](err); isLogin && refusesLogin(bye) {
			return loginFailure(&imap.Error{Code: imap.ResponseCode(bye.Code), Text: bye.Text})
		}
		return &Failure{Reason: idlepush.Reason{Code: "server_closed"}}
	}
	if _, ok := errors.AsType[*wire.TimeoutError](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return &Failure{Reason: idlepush.Reason{Code: "server_silent"}, Field: "port"}
	}
	_, protocol := errors.AsType[*wire.ProtocolError](err)
	_, limit := errors.AsType[*wire.LimitError](err)
	if protocol || limit {
		return &Failure{Reason: idlepush.Reason{Code: "server_faulty"}, Field: "port"}
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op != "read" && failed.Op != "write" {
		return &Failure{Reason: notConnected(err), Field: "port"}
	}
	return &Failure{Reason: idlepush.Reason{Code: "connection_lost"}}
}

// notConnected returns the reason for which there is no connection.
func notConnected(err error) idlepush.Reason {
	r := idlepush.Reason{Code: "connection_failed"}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return r.With(codes.Case, refusedPort)
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return r.With(codes.Case, unreachable)
	case errors.Is(err, syscall.ETIMEDOUT):
		return idlepush.Reason{Code: "server_silent"}
	}
	return r
}

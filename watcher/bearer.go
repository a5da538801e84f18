package watcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/watcher/wire"
)

// errNoOAuth: the server takes no access token.
var errNoOAuth = errors.New("the server offers no login by OAuth")

// bearer is a SASL mechanism that shows an access token.
type bearer struct {
	name    string
	message func(*idlepush.Account) string // its Password is the token
	closing string                         // the answer to a server that has said why it refuses
}

// bearers are in the order in which we prefer them: Microsoft and Google document XOAUTH2.
var bearers = []bearer{
	// https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
	{"XOAUTH2", func(a *idlepush.Account) string {
		return fmt.Sprintf("user=%s\x01auth=Bearer %s\x01\x01", a.Username, string(a.Password))
	}, ""},
	// RFC 7628 section 3.1; the user name is a saslname (RFC 5801 section 4)
	{"OAUTHBEARER", func(a *idlepush.Account) string {
		user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(a.Username)
		return fmt.Sprintf("n,a=%s,\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01", user, a.Host, a.Port, string(a.Password))
	}, "\x01"},
}

// logInByToken logs in with the access token that is the account's Password.
func logInByToken(conn *wire.Conn, a *idlepush.Account) error {
	for _, b := range bearers {
		if !conn.Has(imap.AuthCap(b.name)) {
			continue
		}
		why, err := conn.Authenticate(b.name, []byte(b.message(a)), []byte(b.closing), timeout)
		if _, refused := errors.AsType[*imap.Error](err); refused {
			return &bearerError{err, statusOf(why)}
		}
		return err
	}
	return errNoOAuth
}

// bearerError is the refusal of an access token.
type bearerError struct {
	err    error
	status string // of the reason that the server gave before; empty: it gave none
}

func (e *bearerError) Error() string { return e.err.Error() }
func (e *bearerError) Unwrap() error { return e.err }

// statusOf reads the reason for a refusal: {"status":"invalid_token","scope":"…"} (RFC 7628 section
// 3.2.2), or with a status of HTTP at Google.
func statusOf(why []byte) string {
	var said struct{ Status any }
	if json.Unmarshal(why, &said) != nil || said.Status == nil {
		return ""
	}
	return strings.ToLower(fmt.Sprint(said.Status))
}

// byToken returns what a failure means for an account with OAuth, which has no password.
func (f *Failure) byToken(a *idlepush.Account, err error) *Failure {
	said, status := f.Params[codes.Case], ""
	if refused, ok := errors.AsType[*bearerError](err); ok {
		status = refused.status
	}
	refused := f.Code == "login_refused" && said != notAuthorized || f.Code == "password_expired" || f.Code == "app_password_required"
	switch {
	case refused && strings.HasPrefix(status, "5"):
		return &Failure{Reason: idlepush.Reason{Code: "server_unavailable"}.With(codes.Case, loginUnavailable)}
	case refused && status == "insufficient_scope":
		f.Reason, f.Field, f.tellFrom = idlepush.Reason{Code: "login_refused"}.With(codes.Case, notForMail), "consent", 1
	case refused && said == unexplained && providerOf(a.Host).microsoft:
		f.Reason, f.Field, f.tellFrom = f.With(codes.Case, microsoft), "consent", 1
	case refused:
		f.Reason, f.Field, f.tellFrom = idlepush.Reason{Code: "login_refused"}.With(codes.Case, byToken), "consent", 1
	case f.Code == "web_login_required", f.Code == "imap_off" && said == "":
		f.Reason = f.With(codes.Case, byToken)
	}
	return f
}

// refusesToken reports whether the server refused the access token, but may accept another.
func (f *Failure) refusesToken() bool {
	said := f.Params[codes.Case]
	return f.Code == "login_refused" && (said == byToken || said == microsoft)
}

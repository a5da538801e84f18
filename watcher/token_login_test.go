package watcher

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/registrytest"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/oauth"
	"idlepush/watcher/wire"
)

func TestTokenLogin(t *testing.T) {
	t.Parallel()
	t.Run("an access token reaches a server by a mechanism that it takes", tokenShown)
	t.Run("it reaches no server that it is not for", tokenNotShown)
	t.Run("a refusal says what to do about the sign-in, never about a password", tokenRefused)
	t.Run("a token that a server sends back is not shown", tokenRedacted)
}

// clientOf returns a lookup that knows one client, whose tokens are for the server of
// scriptedAccount.
func clientOf(name string, client oauth.Client) func(string) (oauth.Client, bool) {
	client.Provider.Hosts = []string{scriptedAccount.Host}
	return func(provider string) (oauth.Client, bool) { return client, provider == name }
}

const accessToken = idlepush.Secret(registrytest.SecretMarker + "-access.token/of+ASCII~=")

func tokenShown(t *testing.T) {
	t.Parallel()
	const caps = "IMAP4rev1 IDLE LOGINDISABLED "
	for name, c := range map[string]struct {
		caps string
		user string     // default: anna
		sent string     // the mechanism, and "in one line" if it was
		code codes.Code // of the failure; empty: it logs in
	}{
		"offers XOAUTH2, as Microsoft": {caps: "AUTH=XOAUTH2 SASL-IR", sent: "XOAUTH2 in one line"},
		"has no initial response":      {caps: "AUTH=XOAUTH2", sent: "XOAUTH2"},
		"offers OAUTHBEARER":           {caps: "AUTH=OAUTHBEARER", sent: "OAUTHBEARER"},
		"offers it in one line":        {caps: "AUTH=OAUTHBEARER SASL-IR", sent: "OAUTHBEARER in one line"},
		"offers both":                  {caps: "AUTH=PLAIN AUTH=OAUTHBEARER AUTH=XOAUTH2", sent: "XOAUTH2"},
		"has a user with a comma":      {caps: "AUTH=OAUTHBEARER", user: "a,b=c@example.org", sent: "OAUTHBEARER"},
		"has a user beyond ASCII":      {caps: "AUTH=XOAUTH2", user: "jürgen@exämple.org", sent: "XOAUTH2"},
		"takes passwords only":         {caps: "AUTH=PLAIN", code: "oauth_not_accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent, user := "", "anna"
				if c.user != "" {
					user = c.user
				}
				script := &imaptest.Script{Caps: caps + c.caps, Opens: func(shown, token string) bool { return shown == user && token == string(accessToken) }}
				script.On = map[string]func(*imaptest.Talk, string){"AUTHENTICATE": func(talk *imaptest.Talk, args string) {
					mechanism, _, ir := strings.Cut(args, " ")
					if sent += mechanism; ir {
						sent += " in one line"
					}
					talk.Answer("AUTHENTICATE", args)
				}}
				h, dialer, w := harnessAt(t, script, "INBOX")
				dialer.Client = clientOf("microsoft", oauth.Client{})
				a := h.account
				a.OAuth, a.Username, a.Password = "microsoft", user, "not this"
				able, err := dialer.CheckToken(t.Context(), a, accessToken)
				w.serving.Wait()
				if code := codeOf(err); code != c.code || sent != c.sent || (len(able.Folders) == 1) != (code == "") {
					t.Errorf("sent %q, %q (%v), %+v", sent, code, err, able)
				}
			})
		})
	}
}

func tokenNotShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit  func(*idlepush.Account)
		token idlepush.Secret
		code  codes.Code
	}{
		"another server":         {func(a *idlepush.Account) { a.Host = "evil.example" }, accessToken, "token_for_others"},
		"a provider without one": {func(a *idlepush.Account) { a.OAuth = "google" }, accessToken, "client_missing"},
		"no token":               {func(*idlepush.Account) {}, "", "consent_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, dialer, w := harnessAt(t, &imaptest.Script{Caps: "IMAP4rev1 AUTH=XOAUTH2"}, "INBOX")
				dialer.Client = clientOf("microsoft", oauth.Client{})
				a := h.account
				a.OAuth = "microsoft"
				c.edit(&a)
				_, err := dialer.CheckToken(t.Context(), a, c.token)
				if n := len(w.servers["mail.example.org:993"].dials); codeOf(err) != c.code || n != 0 {
					t.Errorf("%v, after %d connections", err, n)
				}
				// What an account has as its Password here may be a refresh token.
				a.Password = "a refresh token"
				if _, err := dialer.Check(t.Context(), a); err == nil {
					t.Error("it is shown as a password")
				}
			})
		})
	}
}

func tokenRefused(t *testing.T) {
	t.Parallel()
	said := func(status, text string) error {
		refused := &imap.Error{Type: imap.StatusResponseTypeNo, Text: text}
		if code, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "] "); ok {
			refused.Code, refused.Text = imap.ResponseCode(code), rest
		}
		return &loginError{err: &bearerError{refused, status}}
	}
	for name, c := range map[string]struct {
		host    string
		err     error
		code    codes.Code
		kind    string // its case
		field   string
		final   bool
		another bool // token is tried at once
	}{
		"Google, of a token that has expired":  {"imap.gmail.com", said("400", "[AUTHENTICATIONFAILED] Invalid credentials (Failure)"), "login_refused", byToken, "consent", true, true},
		"Dovecot, of one that is unknown":      {"mail.example.org", said("invalid_token", "[AUTHENTICATIONFAILED] Authentication failed."), "login_refused", byToken, "consent", true, true},
		"a server without a reason":            {"mail.example.org", said("", "no"), "login_refused", byToken, "consent", true, true},
		"Microsoft, plainly":                   {"outlook.office365.com", said("", "AUTHENTICATE failed."), "login_refused", microsoft, "consent", true, true},
		"Microsoft, of a user who may not":     {"outlook.office365.com", said("", "[AUTHORIZATIONFAILED] no"), "login_refused", notAuthorized, "username", true, false},
		"Microsoft, not connected":             {"outlook.office365.com", &imap.Error{Type: imap.StatusResponseTypeBad, Text: "User is authenticated but not connected."}, "imap_off", microsoft, "username", false, false},
		"a token that is not for mail":         {"mail.example.org", said("insufficient_scope", "[AUTHENTICATIONFAILED] no"), "login_refused", notForMail, "consent", true, false},
		"a token that has expired, by RFC":     {"mail.example.org", said("", "[EXPIRED] no"), "login_refused", byToken, "consent", true, true},
		"a server's trouble":                   {"imap.gmail.com", said("503", "[AUTHENTICATIONFAILED] no"), "server_unavailable", loginUnavailable, "", false, false},
		"the same, by its code":                {"imap.gmail.com", said("", "[UNAVAILABLE] no"), "server_unavailable", loginUnavailable, "", false, false},
		"too many connections":                 {"imap.gmail.com", said("", "Too many simultaneous connections. (Failure)"), "too_many_connections", "", "", false, false},
		"IMAP that is off":                     {"imap.gmail.com", said("400", "[ALERT] Your account is not enabled for IMAP use."), "imap_off", byToken, "username", true, false},
		"a person who must log in":             {"imap.gmail.com", said("", "Please log in via your web browser"), "web_login_required", byToken, "password", true, false},
		"a BYE in the place of an answer":      {"mail.example.org", &loginError{err: &wire.ByeError{Text: "Authentication failed"}}, "login_refused", byToken, "consent", true, true},
		"an app password, of all":              {"imap.gmail.com", said("", "Application-specific password required"), "login_refused", byToken, "consent", true, true},
		"the provider, for good":               {"imap.gmail.com", &oauth.Error{Reason: idlepush.Reason{Code: "consent_ended"}.With("provider", "Google"), Remedy: oauth.Consent}, "consent_ended", "", "consent", true, false},
		"the provider, for its own trouble":    {"imap.gmail.com", &oauth.Error{Reason: idlepush.Reason{Code: "provider_silent"}.With("provider", "Google"), Remedy: oauth.Retry}, "provider_silent", "", "", false, false},
		"the provider, of the client":          {"imap.gmail.com", &oauth.Error{Reason: idlepush.Reason{Code: "client_refused"}.With("provider", "Google"), Remedy: oauth.Admin}, "client_refused", "", "", true, false},
		"a consent that is not there any more": {"imap.gmail.com", noConsent(), "consent_missing", "", "consent", true, false},
	} {
		a := idlepush.Account{Host: c.host, Username: "anna", OAuth: "x", Password: accessToken}
		f := diagnose(&a, c.err)
		if f.Code != c.code || f.Params[codes.Case] != c.kind || f.Field != c.field || f.final != c.final || f.refusesToken() != c.another || sentences.Check(f.Code, f.Params) != nil {
			t.Errorf("%s: %+v", name, f)
		}
		if text := f.Error(); strings.Contains(text, "password") && c.code != "consent_ended" {
			t.Errorf("%s: %s", name, text)
		}
		if reason := afterSuccess(f.Reason); !reason.Equal(f.Reason) {
			t.Errorf("%s, after it has worked: %+v", name, reason)
		}
	}
	a := idlepush.Account{Host: "outlook.office365.com", Username: "anna", Password: "p"}
	if f := diagnose(&a, no("", "LOGIN failed.")); f.Code != "oauth_required" {
		t.Errorf("Microsoft, of a password: %+v", f)
	}
	for why, want := range map[string]string{`{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`: "400", `{"status":401}`: "401", `{"status":"Invalid_Token"}`: "invalid_token",
		`{"status":null}`: "", `{}`: "", `[]`: "", "": "", `{"status":"400"`: "", "no": ""} {
		if got := statusOf([]byte(why)); got != want {
			t.Errorf("%s has the status %q", why, got)
		}
	}
}

func tokenRedacted(t *testing.T) {
	t.Parallel()
	a := idlepush.Account{Host: "mail.example.org", Port: 993, Username: "anna", OAuth: "x", Password: accessToken}
	for _, sent := range []string{string(accessToken),
		base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user=anna\x01auth=Bearer %s\x01\x01", string(accessToken))),
		base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "n,a=anna,\x01host=mail.example.org\x01port=993\x01auth=Bearer %s\x01\x01", string(accessToken)))} {
		err := no("", "what is "+sent+"? I do not take "+sent[:20])
		if f := diagnose(&a, err); strings.Contains(f.Text(), sent[:20]) || !strings.Contains(f.Text(), "I do not take") {
			t.Errorf("the status would say %q", f.Text())
		}
		if logged := redact(err.Error(), &a); strings.Contains(logged, sent[:20]) {
			t.Errorf("the log would say %q", logged)
		}
	}
}

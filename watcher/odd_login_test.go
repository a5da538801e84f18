package watcher

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/watcher/imaptest"
)

func TestOddLogin(t *testing.T) {
	t.Parallel()
	t.Run("a password reaches a server unchanged by a mechanism that it takes", passwordUnchanged)
	t.Run("a refusal means the same wherever it is sent", refusalAnywhere)
}

func passwordUnchanged(t *testing.T) {
	t.Parallel()
	const plain = "IMAP4rev1 IDLE AUTH=PLAIN"
	for name, c := range map[string]struct {
		caps           string
		user, password string // default: anna, planted-password
		odd            oddity
		sent           string     // which commands it took
		code           codes.Code // of the failure; empty: it logs in
	}{
		"takes nothing but LOGIN":                      {sent: "LOGIN"},
		"offers PLAIN beside LOGIN":                    {caps: plain, sent: "AUTHENTICATE"},
		"offers PLAIN and forbids LOGIN":               {caps: plain + " LOGINDISABLED", sent: "AUTHENTICATE"},
		"gets a password beyond ASCII by PLAIN":        {caps: plain, password: "päss €", sent: "AUTHENTICATE"},
		"gets it in one line with PLAIN":               {caps: plain + " SASL-IR", password: "päss €", sent: "AUTHENTICATE"},
		"offers PLAIN and does not understand it":      {caps: plain, odd: answers("AUTHENTICATE", "TAG BAD unknown command\r\n"), sent: "AUTHENTICATE LOGIN"},
		"offers PLAIN and does not support it":         {caps: plain, odd: answers("AUTHENTICATE", "TAG NO mechanism not supported\r\n"), sent: "AUTHENTICATE LOGIN"},
		"refuses the password at PLAIN":                {caps: plain, odd: answers("AUTHENTICATE", "TAG NO [AUTHENTICATIONFAILED] no\r\n"), sent: "AUTHENTICATE", code: "login_refused"},
		"refuses the password at PLAIN without a code": {caps: plain, odd: answers("AUTHENTICATE", "TAG NO Login failed.\r\n"), sent: "AUTHENTICATE", code: "login_refused"},
		"takes only OAuth":                             {caps: "IMAP4rev1 IDLE AUTH=XOAUTH2 LOGINDISABLED SASL-IR", code: "oauth_required"},
		"takes no password":                            {caps: "IMAP4rev1 IDLE LOGINDISABLED", code: "password_not_accepted"},
		"gets a password of 600 characters":            {password: strings.Repeat("x", 600), sent: "LOGIN"},
		"gets quotes, backslashes and spaces":          {user: `DOM\anna`, password: `  a\b"c {5} %  `, sent: "LOGIN"},
		"gets a user beyond ASCII":                     {user: "jürgen@exämple.org", sent: "LOGIN"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent []string
				script := &imaptest.Script{Caps: c.caps, User: cmp.Or(c.user, "anna"), Password: cmp.Or(c.password, "planted-password")}
				if c.odd != nil {
					c.odd(t, script)
				}
				script.At = func(_ *imaptest.Talk, moment string) {
					if command, ok := strings.CutPrefix(moment, "before "); ok && (command == "LOGIN" || command == "AUTHENTICATE") {
						sent = append(sent, command)
					}
				}
				h, dialer, w := harnessAt(t, script, "INBOX")
				h.account.Username, h.account.Password = script.User, idlepush.Secret(script.Password)
				_, err := dialer.Check(t.Context(), h.account)
				w.serving.Wait()
				if code := codeOf(err); code != c.code || strings.Join(sent, " ") != c.sent {
					t.Errorf("sent %q, %q (%v)", sent, code, err)
				}
			})
		})
	}
}

// codeOf is the code of a Failure; empty for nil.
func codeOf(err error) codes.Code {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Code
	}
	return ""
}

func refusalAnywhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		odd  oddity
		code codes.Code // of the failure to add the account, or else of its status
	}{
		"calls the login unsafe at EXAMINE": {answers("EXAMINE", "TAG NO EXAMINE Unsafe Login. Please contact help@example.com for help\r\n"), "unsafe_login"},
		"opens no mailbox at LIST":          {answers("LIST", "TAG BAD User is authenticated but not connected.\r\n"), "imap_off"},
		"has trouble of its own, at LOGIN":  {answers("LOGIN", "TAG NO System error\r\n"), "server_unavailable"},
		"has no place, in its greeting":     {answers("greeting", "* BYE Connection limit exceeded, try again later\r\n"), "too_many_connections"},
		"has no place, at LOGIN":            {answers("LOGIN", "TAG NO Too many connections from your IP address\r\n"), "too_many_connections"},
		"wants a person to log in, with an alert before": {answers("LOGIN", "* NO [WEBALERT https://accounts.example.com/signin/continue?x=1] Web login required.\r\n"+
			"TAG NO [ALERT] Please log in: https://support.example.com/mail/78754 (Failure)\r\n"), "web_login_required"},
		"wants a person to log in, and says so before it refuses": {answers("LOGIN", "* NO [WEBALERT https://accounts.example.com/signin] Web login required.\r\n"+
			"TAG NO Login failed\r\n"), "web_login_required"},
		"knows no such user":    {answers("LOGIN", "TAG NO no such user\r\n"), "login_refused"},
		"wants an app password": {answers("LOGIN", "TAG NO [AUTHENTICATIONFAILED] Authentication failed, app-specific password needed\r\n"), "app_password_required"},
		"understands no SEARCH": {answers("UID SEARCH", "TAG BAD Could not parse command\r\n"), "server_refuses"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{}
				c.odd(t, script)
				h, dialer, w := harnessAt(t, script, "INBOX")
				defer w.serving.Wait()
				_, err := dialer.Check(t.Context(), h.account)
				code := codeOf(err)
				if err != nil && strings.Contains(err.Error(), "retry") {
					t.Errorf("nothing is retried: %v", err)
				}
				if err == nil {
					_, stop := h.watch(t, dialer)
					defer stop()
					time.Sleep(time.Minute)
					synctest.Wait()
					a, err := h.store.Accounts.Get(h.account.ID)
					if err != nil {
						t.Fatal(err)
					}
					code = a.Status.Code
				}
				if code != c.code {
					t.Errorf("it is called %q, want %q (%v)", code, c.code, err)
				}
			})
		})
	}
}

package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"idlepush"
	"idlepush/registry"
)

// testPush is the context key of requests that send a test push, not a proving push.
type testPush struct{}

// ServeHTTP answers as the server, and marks requests for a test push.
func (h *testServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/test") {
		r = r.WithContext(context.WithValue(r.Context(), testPush{}, true))
	}
	h.server.ServeHTTP(w, r)
}

func (h *testServer) prove(ctx context.Context, d idlepush.Device) registry.Outcome {
	h.mu.Lock()
	if ctx.Value(testPush{}) != nil {
		h.tested++
	} else {
		h.proved++
	}
	outcome, during := h.outcome, h.during
	h.mu.Unlock()
	if during != nil {
		during(d)
	}
	return outcome
}

func (h *testServer) checkLogin(ctx context.Context, a idlepush.Account) (Check, error) {
	h.mu.Lock()
	h.tried++
	check := h.check
	h.mu.Unlock()
	if err := h.handshake(a); err != nil {
		return Check{}, err
	}
	return check(ctx, a)
}

// handshake returns a CheckError if the certificate of the mail server is not trusted.
func (h *testServer) handshake(a idlepush.Account) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.untrusted == nil {
		return nil
	}
	return h.untrusted(a)
}

func discovered(_ context.Context, email, host string) (Discovery, error) {
	if !strings.Contains(email, "@") {
		return Discovery{}, ErrAddress
	}
	return Discovery{Provider: &Provider{Name: "Example"}, Settings: []Settings{{cmp.Or(host, "imap.example.net"), 993, "tls", email, "table", []string{"password"}, "", false}}}, nil
}

func checkAddress(d idlepush.Device) error {
	switch {
	case d.Address == "malformed":
		return fault("token", "fcm_token_malformed")
	case d.Transport == "webpush" && strings.HasPrefix(string(d.Address), removedEndpoint):
		return fault("subscription.endpoint", "webpush_endpoint_removed")
	case d.Transport == "webpush" && !isEndpoint(string(d.Address)):
		return fault("subscription.endpoint", "webpush_endpoint_malformed")
	}
	return nil
}

func routed(d idlepush.Device) idlepush.Device {
	d.Lane, d.MustShow = string(d.Transport), d.Transport == "webpush"
	if d.Transport == "apns" {
		d.Lane += " " + cmp.Or(d.Params["environment"], "production")
	}
	return d
}

// accept checks a login as a mail server with one valid password.
func accept(_ context.Context, a idlepush.Account) (Check, error) {
	if a.Password != password {
		return Check{}, &CheckError{Field: "password", Reason: idlepush.Reason{Code: "login_refused"}}
	}
	return Check{Capabilities: []string{"IDLE", "IMAP4rev1"}, Folders: []Folder{{Name: "INBOX"}, {Name: "Family"}, {Name: "Schule & Sport", Use: "archive"}}, Idle: true}, nil
}

func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// oauthConfig has providers of the table, of which one tells its clients from others and a setting
// has the client of another, and the one that is in no table.
func (h *testServer) oauthConfig() OAuthConfig {
	return OAuthConfig{
		Providers: []OAuthProvider{{"google", "Google", nil, "", false}, {"microsoft", "Microsoft", regexp.MustCompile(`^\d+$`), "17", true}, {"yahoo", "Yahoo", nil, "", false}, {"other", "", nil, "", false}},
		Settings:  []idlepush.OAuthClient{{Provider: "yahoo", ID: "set", Secret: marker}},
		CheckIssuer: func(_ context.Context, issuer string) error {
			if !strings.HasPrefix(issuer, "https://login.example.net") {
				return &CheckError{Field: "issuer", Reason: idlepush.Reason{Code: "issuer_invalid"}}
			}
			return nil
		},
		SignIn: func(_ context.Context, a idlepush.Account, redirect, state string) (SignIn, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.signIn(a, redirect, state)
		},
		AskProvider: func(provider string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.asked = strings.TrimSpace(h.asked + " " + provider)
		},
		CheckToken: func(_ context.Context, a idlepush.Account, access idlepush.Secret) (Check, error) {
			if err := h.handshake(a); err != nil {
				return Check{}, err
			}
			if access != accessOf(a.Username) || a.Password != "" {
				return Check{}, &CheckError{Field: "consent", Reason: idlepush.Reason{Code: "login_refused"}}
			}
			return Check{Capabilities: []string{"IMAP4rev1"}, Folders: []Folder{{Name: "INBOX"}, {Name: "Family"}}}, nil
		},
	}
}

// accessOf is the access token for the mailbox of that user name.
func accessOf(username string) idlepush.Secret {
	return idlepush.Secret(marker + "access of " + username)
}

const refreshToken = marker + "refresh"

// signIn is a sign-in where the code of the answer names the mailbox that the person opens. With a
// user code, the person opens that of anna.
func signIn(_ idlepush.Account, redirect, state string) (SignIn, error) {
	finish := func(_ context.Context, answer url.Values) (Tokens, error) {
		code := answer.Get("code")
		if answer == nil {
			code = "anna"
		}
		if code == "" || code == "forged" {
			return Tokens{}, &CheckError{Field: "consent", Reason: idlepush.Reason{Code: "consent_code_refused"}.With("provider", "Yahoo")}
		}
		return Tokens{accessOf(code), refreshToken}, nil
	}
	if redirect == "" {
		return SignIn{URL: "https://login.example.net/device", UserCode: "ABCD-EFGH", Finish: finish}, nil
	}
	return SignIn{URL: "https://login.example.net/?" + url.Values{"state": {state}, "redirect_uri": {redirect}}.Encode(), Finish: finish}, nil
}

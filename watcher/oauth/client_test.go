package oauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

func TestCodeURL(t *testing.T) {
	t.Parallel()
	google, _ := oauth.Named("google")
	c := oauth.Client{Provider: google, ID: "id", Secret: "planted"}
	u, err := url.Parse(c.CodeURL(redirect, state, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", ann))
	if err != nil {
		t.Fatal(err)
	}
	if at := u.Scheme + "://" + u.Host + u.Path; at != google.AuthURL {
		t.Errorf("it is at %s", at)
	}
	want := url.Values{ // with the example of RFC 7636 appendix B
		"response_type": {"code"}, "client_id": {"id"}, "redirect_uri": {redirect}, "state": {state}, "scope": {"https://mail.google.com/"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
		"login_hint": {ann}, "access_type": {"offline"}, "prompt": {"consent"},
	}
	if got := u.Query(); got.Encode() != want.Encode() {
		t.Errorf("the query is\n%s, want\n%s", got.Encode(), want.Encode())
	}
	if got := c.CodeURL(redirect, state, "v", ""); strings.Contains(got, "login_hint") {
		t.Errorf("without an address it is %s", got)
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	t.Run("a consent gives tokens for the mailbox that the person chose", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		token := consented(t, s, c, team)
		if got := s.Mailbox(string(token.Access)); got != team || token.Refresh == "" {
			t.Errorf("the token opens %q", got)
		}
		if strings.Contains(token.Expires.String(), "m=") {
			t.Error("its end has the reading of the monotonic clock, which stands still while a machine sleeps")
		}
		if left := time.Until(token.Expires); left > time.Hour || left < 50*time.Minute {
			t.Errorf("it expires in %s", left)
		}
	})
	t.Run("so it does with a public client, and with a secret in the header", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		c.Provider.Basic = true
		consented(t, s, c, ann)
		s.Register("public", "", redirect)
		consented(t, s, s.Client("public"), ann)
	})
	t.Run("a person may decline", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		_, err := c.Code(s.Decline(t, c.CodeURL(redirect, state, oauth.NewVerifier(), ann), ann).Query())
		failed(t, err, "consent_declined", "", oauth.Consent)
	})
	t.Run("another provider's answer is refused", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		q := s.Consent(t, c.CodeURL(redirect, state, oauth.NewVerifier(), ann), ann).Query()
		q.Set("iss", "https://other.example.com")
		_, err := c.Code(q)
		failed(t, err, "consent_mixed_up", "", oauth.Consent)
	})
	t.Run("an answer without a code is refused", func(t *testing.T) {
		google, _ := oauth.Named("google")
		_, err := oauth.Client{Provider: google}.Code(url.Values{"state": {state}})
		failed(t, err, "provider_faulty", "person_waits", oauth.Retry)
	})
	t.Run("a code works once, and what it gave ends when it is used again", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		verifier := oauth.NewVerifier()
		code := s.Consent(t, c.CodeURL(redirect, state, verifier, ann), ann).Query().Get("code")
		token, err := c.Exchange(t.Context(), redirect, code, verifier)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Exchange(t.Context(), redirect, code, verifier)
		failed(t, err, "consent_code_refused", "", oauth.Consent)
		_, err = c.Refresh(t.Context(), token.Refresh)
		failed(t, err, "consent_ended", "", oauth.Consent)
	})
	t.Run("a code of another consent, a forged one and one for another redirect are refused", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		verifier := oauth.NewVerifier()
		code := s.Consent(t, c.CodeURL(redirect, state, verifier, ann), ann).Query().Get("code")
		for _, try := range [][3]string{{redirect, code, oauth.NewVerifier()}, {redirect, code + "x", verifier}, {redirect + "/", code, verifier}} {
			_, err := c.Exchange(t.Context(), try[0], try[1], try[2])
			failed(t, err, "consent_code_refused", "", oauth.Consent)
		}
	})
	t.Run("a client that is not known, or has another secret, is the admin's to correct", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		c.Secret = "planted other"
		_, err := c.Exchange(t.Context(), redirect, "code", oauth.NewVerifier())
		failed(t, err, "client_refused", "", oauth.Admin)
		c.Secret, c.Provider.Basic = "planted other", true
		_, err = c.Refresh(t.Context(), "planted")
		failed(t, err, "client_refused", "", oauth.Admin)
	})
	t.Run("without a refresh token it is no use", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		s.Set(func(o *oauthtest.Settings) { o.OnlineOnly = true })
		verifier := oauth.NewVerifier()
		code := s.Consent(t, c.CodeURL(redirect, state, verifier, ann), ann).Query().Get("code")
		_, err := c.Exchange(t.Context(), redirect, code, verifier)
		failed(t, err, "no_refresh_token", "", oauth.Admin)
		c.Provider.Params = map[string]string{"access_type": "offline"}
		consented(t, s, c, ann)
	})
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := oauthtest.InMemory(t)
		c := known(s)
		d, err := c.Device(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, holder := range []any{c, d, consented(t, s, c, ann)} {
			for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
				if text := fmt.Sprintf(form, holder); strings.Contains(text, marker) {
					t.Errorf("%T prints its secret by %s", holder, form)
				}
			}
		}
		// A server may send back what it got.
		for _, body := range []string{`{"error":"%s"}`, `{"error":"invalid_grant","error_description":"%s"}`, `{"error":"%s","error_codes":[50173]}`, `%s`} {
			for _, status := range []int{200, 400, 503} {
				refresh := s.Grant("idlepush", ann)
				s.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: status, Body: fmt.Sprintf(body, string(refresh)), Times: 1})
				if _, err := c.Refresh(t.Context(), refresh); err == nil || strings.Contains(fmt.Sprintf("%v %#v", err, err), marker) {
					t.Errorf("the error is %#v", err)
				}
			}
		}
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	t.Run("a rotated token takes the place of the old one, for weeks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.InMemory(t)
			c := known(s)
			token := consented(t, s, c, ann)
			for range 24 * 7 * 3 {
				time.Sleep(time.Until(token.Expires) - time.Minute)
				if s.Mailbox(string(token.Access)) != ann {
					t.Fatal("the access token has expired early")
				}
				next, err := c.Refresh(t.Context(), token.Refresh)
				if err != nil {
					t.Fatal(err)
				}
				if next.Refresh == "" || next.Refresh == token.Refresh {
					t.Fatal("the refresh token was not rotated")
				}
				token = next
			}
			if got := s.Counts(); got.Refreshes != 24*7*3 || got.Reused != 0 {
				t.Errorf("the provider counts %+v", got)
			}
		})
	})
	t.Run("a token that is used although another has taken its place ends the consent", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		old := s.Grant("idlepush", ann)
		token, err := c.Refresh(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Refresh(t.Context(), old)
		failed(t, err, "consent_ended", "", oauth.Consent)
		_, err = c.Refresh(t.Context(), token.Refresh)
		failed(t, err, "consent_ended", "", oauth.Consent)
		if s.Counts().Reused != 1 || s.Mailbox(string(token.Access)) != "" {
			t.Error("the provider did not end the consent")
		}
	})
	t.Run("a token that stays is not given again", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		s.Set(func(o *oauthtest.Settings) { o.Rotation = oauthtest.Keep })
		refresh := s.Grant("idlepush", ann)
		for range 3 {
			token, err := c.Refresh(t.Context(), refresh)
			if err != nil || token.Refresh != "" || s.Mailbox(string(token.Access)) != ann {
				t.Fatalf("got %v, %v", token, err)
			}
		}
		// Some providers send the same one again.
		s.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 200, Body: fmt.Sprintf(`{"access_token":"planted","refresh_token":"%s"}`, string(refresh))})
		if token, err := c.Refresh(t.Context(), refresh); err != nil || token.Refresh != "" {
			t.Errorf("got %v, %v", token, err)
		}
	})
	t.Run("old tokens stay valid with a provider that rolls", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		s.Set(func(o *oauthtest.Settings) { o.Rotation = oauthtest.Rolling })
		refresh := s.Grant("idlepush", ann)
		for range 3 {
			if token, err := c.Refresh(t.Context(), refresh); err != nil || token.Refresh == "" {
				t.Fatalf("got %v, %v", token, err)
			}
		}
	})
	t.Run("a consent that was withdrawn or not used for long wants the person", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.InMemory(t)
			c := known(s)
			withdrawn, unused := s.Grant("idlepush", ann), s.Grant("idlepush", team)
			s.Revoke(ann)
			_, err := c.Refresh(t.Context(), withdrawn)
			failed(t, err, "consent_ended", "", oauth.Consent)
			time.Sleep(91 * 24 * time.Hour)
			_, err = c.Refresh(t.Context(), unused)
			failed(t, err, "consent_ended", "", oauth.Consent)
		})
	})
	t.Run("the life of a token is measured by our clock, from before the question", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.InMemory(t)
			c := known(s)
			s.Set(func(o *oauthtest.Settings) { o.Skew = -36 * time.Hour })
			s.Fail(oauthtest.TokenPath, oauthtest.Fault{Late: 10 * time.Second})
			began := time.Now()
			token, err := c.Refresh(t.Context(), s.Grant("idlepush", ann))
			if err != nil || !token.Expires.Equal(began.Add(time.Hour)) {
				t.Errorf("it expires at %s, want an hour after %s; %v", token.Expires, began, err)
			}
		})
	})
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		fault   oauthtest.Fault
		code    string
		after   time.Duration
		timesIt bool
	}{
		{"a failure of the server", oauthtest.Fault{Status: 503, Body: "{}", Header: http.Header{"Retry-After": {"120"}}}, "provider_unavailable", 2 * time.Minute, false},
		{"a failure that looks like a refusal", oauthtest.Fault{Status: 500, Body: `{"error":"invalid_grant"}`}, "provider_unavailable", 0, false},
		{"too many requests", oauthtest.Fault{Status: 429, Body: `{"error":"invalid_grant"}`, Header: http.Header{"Retry-After": {"7"}}}, "provider_busy", 7 * time.Second, false},
		{"a page of a proxy", oauthtest.Fault{Status: 200, Body: oauthtest.ErrorPage}, "provider_faulty", 0, false},
		{"a page of a proxy that refuses", oauthtest.Fault{Status: 403, Body: oauthtest.ErrorPage}, "provider_faulty", 0, false},
		{"a redirect", oauthtest.Fault{Status: 307, Header: http.Header{"Location": {"/token"}}}, "provider_faulty", 0, false},
		{"an answer without a token", oauthtest.Fault{Status: 200, Body: `{"token_type":"Bearer"}`}, "provider_faulty", 0, false},
		{"a token of another type", oauthtest.Fault{Status: 200, Body: `{"access_token":"planted","token_type":"DPoP"}`}, "provider_faulty", 0, false},
		{"a refresh token with a line break", oauthtest.Fault{Status: 200, Body: `{"access_token":"planted","refresh_token":"a\nb"}`}, "provider_faulty", 0, false},
		{"a token with a line break", oauthtest.Fault{Status: 200, Body: `{"access_token":"a\r\nb"}`}, "provider_faulty", 0, false},
		{"an answer without end", oauthtest.Fault{Status: 200, Body: `{"access_token":"` + strings.Repeat("a", 100<<10) + `"}`}, "provider_faulty", 0, false},
		{"half an answer", oauthtest.Fault{Half: true}, "provider_faulty", 0, false},
		{"a connection that breaks", oauthtest.Fault{Drop: true}, "provider_unreachable", 0, false},
		{"silence", oauthtest.Fault{Hang: true}, "provider_silent", 0, true},
		{"an error nobody knows", oauthtest.Fault{Status: 400, Body: `{"error":"full_moon"}`}, "provider_refuses", 0, false},
	} {
		t.Run(c.name+" is tried again", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := oauthtest.InMemory(t)
				client := known(s)
				refresh := s.Grant("idlepush", ann)
				c.fault.Times = 1
				s.Fail(oauthtest.TokenPath, c.fault)
				began := time.Now()
				_, err := client.Refresh(t.Context(), refresh)
				e := failed(t, err, codeOf(c.code), "", oauth.Retry)
				if e.After != c.after {
					t.Errorf("it is tried again after %s, want %s", e.After, c.after)
				}
				if took := time.Since(began); c.timesIt != (took > 0) || took > 20*time.Second {
					t.Errorf("it took %s", took)
				}
				if strings.Contains(err.Error(), marker) {
					t.Errorf("the error has a secret: %v", err)
				}
			})
		})
	}
	t.Run("a context that ends is no failure of the provider", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.InMemory(t)
			c := known(s)
			s.Fail(oauthtest.TokenPath, oauthtest.Fault{Hang: true})
			ctx, cancel := contextWithin(t, time.Second)
			defer cancel()
			if _, err := c.Refresh(ctx, "planted"); err != ctx.Err() || err == nil {
				t.Errorf("the error is %v", err)
			}
		})
	})
	t.Run("a private address is not dialled", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		c.HTTP = nil
		_, err := c.Refresh(t.Context(), s.Grant("idlepush", ann))
		failed(t, err, "provider_forbidden", "", oauth.Admin)
	})
	t.Run("a certificate that nobody signed is not believed", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		c.HTTP = oauth.NewHTTP(everywhere, nil)
		_, err := c.Refresh(t.Context(), s.Grant("idlepush", ann))
		failed(t, err, "provider_untrusted", "", oauth.Retry)
	})
	t.Run("who waits for a sign-in is told to try again", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		s.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 503})
		_, err := c.Exchange(t.Context(), redirect, "code", oauth.NewVerifier())
		failed(t, err, "provider_unavailable", "person_waits", oauth.Retry)
	})
}

package oauthtest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	s := oauthtest.New(t)
	c := known(s)
	valid := func() *url.URL {
		u, err := url.Parse(c.CodeURL(redirect, state, oauth.NewVerifier(), ann))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, x := range []struct {
		name, param, value string
		want               string // the error that comes back; empty: none does
	}{
		{"an unknown client", "client_id", "other", ""},
		{"no redirect", "redirect_uri", "", ""},
		{"a redirect that only begins like the registered one", "redirect_uri", redirect + "/more", ""},
		{"a redirect with a query", "redirect_uri", redirect + "?a=b", ""},
		{"a redirect in capitals", "redirect_uri", strings.ToUpper(redirect), ""},
		{"another kind of answer", "response_type", "token", "unsupported_response_type"},
		{"no challenge", "code_challenge", "", "invalid_request"},
		{"a plain challenge", "code_challenge_method", "plain", "invalid_request"},
		{"a state that can be guessed", "state", "1", "invalid_request"},
		{"no scope for mail", "scope", "openid", "invalid_scope"},
	} {
		u := valid()
		q := u.Query()
		q.Set(x.param, x.value)
		u.RawQuery = q.Encode()
		got, _ := send(t, s, http.MethodGet, u.String(), nil)
		if x.want == "" {
			if got.StatusCode != http.StatusBadRequest || got.Header.Get("Location") != "" {
				t.Errorf("%s: %s", x.name, got.Status)
			}
			continue
		}
		back, err := got.Location()
		if err != nil || back.Query().Get("error") != x.want || back.Query().Get("iss") != s.Issuer || !strings.HasPrefix(back.String(), redirect+"?") {
			t.Errorf("%s: %s to %v", x.name, got.Status, back)
		}
	}
}

var secretField = regexp.MustCompile(`name="page" value="([^"]+)"`)

func TestPages(t *testing.T) {
	t.Parallel()
	t.Run("a person logs in and chooses a mailbox", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		u := c.CodeURL(redirect, state, oauth.NewVerifier(), team)
		_, text := send(t, s, http.MethodGet, u, nil)
		page := secretField.FindStringSubmatch(text)[1]
		login := url.Values{"page": {page}, "name": {"Ann"}, "password": {"wrong"}, "answer": {"login"}}
		if _, text = send(t, s, http.MethodPost, u, login); !strings.Contains(text, "The name or the password is wrong.") {
			t.Errorf("a wrong password: %s", text)
		}
		// Who has not logged in has nothing to allow.
		if got, _ := send(t, s, http.MethodPost, u, url.Values{"page": {page}, "mailbox": {ann}, "answer": {"allow"}}); got.StatusCode != http.StatusBadRequest {
			t.Errorf("allowed without a login: %s", got.Status)
		}
		login.Set("password", password)
		if _, text = send(t, s, http.MethodPost, u, login); !strings.Contains(text, `value="`+ann+`" required> `) || !strings.Contains(text, `value="`+team+`" required checked> `) {
			t.Errorf("the choice: %s", text)
		}
		if got, _ := send(t, s, http.MethodPost, u, url.Values{"page": {page}, "mailbox": {"bob@example.com"}, "answer": {"allow"}}); got.StatusCode != http.StatusBadRequest {
			t.Errorf("a mailbox of somebody else: %s", got.Status)
		}
		allow := url.Values{"page": {page}, "mailbox": {ann}, "answer": {"allow"}}
		got, _ := send(t, s, http.MethodPost, u, allow)
		back, err := got.Location()
		if err != nil || back.Query().Get("code") == "" || back.Query().Get("state") != state || back.Query().Get("iss") != s.Issuer {
			t.Errorf("allowed: %s to %v", got.Status, back)
		}
		if got, _ := send(t, s, http.MethodPost, u, allow); got.StatusCode != http.StatusBadRequest {
			t.Errorf("allowed twice: %s", got.Status)
		}
	})
	t.Run("a person enters a user code", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.InMemory(t)
			c := known(s)
			d, err := c.Device(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, text := send(t, s, http.MethodGet, d.Complete, nil)
			if !strings.Contains(text, `value="`+d.UserCode+`"`) {
				t.Errorf("the page does not have the code: %s", text)
			}
			page := secretField.FindStringSubmatch(text)[1]
			send(t, s, http.MethodPost, d.URL, url.Values{"page": {page}, "code": {" " + strings.ToLower(d.UserCode)}, "name": {"Ann"}, "password": {password}, "answer": {"login"}})
			if _, text := send(t, s, http.MethodPost, d.URL, url.Values{"page": {page}, "mailbox": {team}, "answer": {"allow"}}); !strings.Contains(text, "Done.") {
				t.Errorf("the page says %s", text)
			}
			if token, err := c.Poll(t.Context(), d); err != nil || s.Mailbox(string(token.Access)) != team {
				t.Error(err)
			}
		})
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := oauthtest.New(t)
	c := known(s)
	s.Register("confidential", "planted", redirect)
	verifier := oauth.NewVerifier()
	consent := func() string { return s.Consent(t, c.CodeURL(redirect, state, verifier, ann), ann).Query().Get("code") }
	valid := func() url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "client_id": {"idlepush"}, "code": {consent()}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	}
	for _, x := range []struct {
		name   string
		change func(url.Values)
		want   string
	}{
		{"as it must be", func(url.Values) {}, ""},
		{"no verifier", func(v url.Values) { v.Del("code_verifier") }, "invalid_grant"},
		{"a short verifier", func(v url.Values) { v.Set("code_verifier", "short") }, "invalid_grant"},
		{"another redirect", func(v url.Values) { v.Set("redirect_uri", redirect+"/") }, "invalid_grant"},
		{"another client's code", func(v url.Values) { v.Set("client_id", "confidential"); v.Set("client_secret", "planted") }, "invalid_grant"},
		{"a client without its secret", func(v url.Values) { v.Set("client_id", "confidential") }, "invalid_client"},
		{"a secret of a client that has none", func(v url.Values) { v.Set("client_secret", "planted") }, "invalid_client"},
		{"a parameter twice", func(v url.Values) { v.Add("code", "other") }, "invalid_request"},
		{"no such grant", func(v url.Values) { v.Set("grant_type", "password") }, "unsupported_grant_type"},
	} {
		form := valid()
		x.change(form)
		got, text := send(t, s, http.MethodPost, s.Issuer+oauthtest.TokenPath, form)
		if ok := got.StatusCode == http.StatusOK; ok != (x.want == "") || !ok && !strings.Contains(text, `"error":"`+x.want+`"`) {
			t.Errorf("%s: %s %s", x.name, got.Status, text)
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the answer may be kept", x.name)
		}
	}
	if got, _ := send(t, s, http.MethodPost, s.Issuer+oauthtest.TokenPath+"?"+valid().Encode(), nil); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a code in the query: %s", got.Status)
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := oauthtest.InMemory(t)
		c := known(s)
		verifier := oauth.NewVerifier()
		code := s.Consent(t, c.CodeURL(redirect, state, verifier, ann), ann).Query().Get("code")
		time.Sleep(2 * time.Minute)
		if _, err := c.Exchange(t.Context(), redirect, code, verifier); err == nil {
			t.Error("a code lives longer than a minute")
		}
		// It says an hour, but forgets its tokens sooner.
		s.Set(func(o *oauthtest.Settings) { o.AccessLife, o.Says = 20*time.Minute, time.Hour })
		refresh := s.Grant("idlepush", ann)
		token, err := c.Refresh(t.Context(), refresh)
		if err != nil || time.Until(token.Expires) != time.Hour {
			t.Fatalf("got %v, %v", token, err)
		}
		time.Sleep(19 * time.Minute)
		if s.Mailbox(string(token.Access)) != ann {
			t.Error("the access token has expired early")
		}
		// Its clock is set, or was wrong.
		s.Set(func(o *oauthtest.Settings) { o.Skew = 2 * time.Minute })
		if s.Mailbox(string(token.Access)) != "" {
			t.Error("the access token lives on by another clock")
		}
		got, _ := send(t, s, http.MethodGet, s.Issuer+oauthtest.MetadataPath, nil)
		if date, err := http.ParseTime(got.Header.Get("Date")); err != nil || time.Until(date).Round(time.Minute) != 2*time.Minute {
			t.Errorf("its clock shows %s", got.Header.Get("Date"))
		}
	})
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	s := oauthtest.New(t)
	c := known(s)
	mine, other := s.Grant("idlepush", ann), s.Grant("idlepush", team)
	token, err := c.Refresh(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	if s.EndAccess(ann); s.Mailbox(string(token.Access)) != "" {
		t.Error("an access token that was ended is valid")
	}
	if token, err = c.Refresh(t.Context(), token.Refresh); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Mailboxes(), " "); got != ann+" "+team {
		t.Errorf("there are consents for %s", got)
	}
	s.Revoke(ann)
	if got := strings.Join(s.Mailboxes(), " "); got != team || s.Mailbox(string(token.Access)) != "" {
		t.Errorf("there are consents for %s", got)
	}
	if _, err := c.Refresh(t.Context(), other); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := oauthtest.New(t)
	c := known(s)
	refresh := s.Grant("idlepush", ann)
	s.Fail(oauthtest.TokenPath, oauthtest.Fault{Drop: true, Times: 1})
	s.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 503})
	for range 3 {
		if _, err := c.Refresh(t.Context(), refresh); err == nil {
			t.Error("no fault has happened")
		}
	}
	if got := s.Counts(); got.Refreshes != 0 || got.Refused != 0 {
		t.Errorf("the provider counts %+v", got)
	}
	// What was asked for is done, and only the answer is lost.
	s.ClearFaults()
	s.Fail(oauthtest.TokenPath, oauthtest.Fault{Drop: true, Served: true, Times: 1})
	if _, err := c.Refresh(t.Context(), refresh); err == nil || s.Counts().Refreshes != 1 {
		t.Errorf("the provider counts %+v", s.Counts())
	}
	if _, err := c.Refresh(t.Context(), refresh); err == nil || s.Counts().Reused != 1 {
		t.Errorf("the provider counts %+v", s.Counts())
	}
}

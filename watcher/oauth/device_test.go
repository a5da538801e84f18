package oauth_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

// began begins a consent by device code in a bubble.
func began(t *testing.T) (*oauthtest.Server, oauth.Client, oauth.Device) {
	t.Helper()
	s := oauthtest.InMemory(t)
	c := known(s)
	d, err := c.Device(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, c, d
}

func TestDevice(t *testing.T) {
	t.Parallel()
	inBubble := func(name string, test func(*testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
	inBubble("a person enters a code elsewhere, and the mailbox opens", func(t *testing.T) {
		s, c, d := began(t)
		if d.URL != s.Issuer+oauthtest.EnterPath || d.Complete != d.URL+"?code="+d.UserCode || d.Interval != 5*time.Second || time.Until(d.Expires) != 15*time.Minute {
			t.Errorf("the code is %+v", d)
		}
		go func() {
			time.Sleep(7 * time.Minute)
			s.Enter(t, d.UserCode, team)
		}()
		token, err := c.Poll(t.Context(), d)
		if err != nil || s.Mailbox(string(token.Access)) != team || token.Refresh == "" {
			t.Fatalf("got %v, %v", token, err)
		}
		if got := s.Counts().Refused; got != 0 {
			t.Errorf("the provider has refused %d questions as too early", got)
		}
	})
	inBubble("a person may decline", func(t *testing.T) {
		s, c, d := began(t)
		s.Enter(t, d.UserCode, "")
		_, err := c.Poll(t.Context(), d)
		failed(t, err, "consent_declined", "", oauth.Consent)
	})
	inBubble("a code that nobody enters expires", func(t *testing.T) {
		_, c, d := began(t)
		from := time.Now()
		_, err := c.Poll(t.Context(), d)
		failed(t, err, "device_code_expired", "", oauth.Consent)
		if took := time.Since(from); took > 15*time.Minute || took < 14*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
	inBubble("a provider that does not let its code expire is not asked for longer", func(t *testing.T) {
		s, c, d := began(t)
		s.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 400, Body: `{"error":"authorization_pending"}`})
		_, err := c.Poll(t.Context(), d)
		failed(t, err, "device_code_expired", "", oauth.Consent)
		if time.Now().After(d.Expires) {
			t.Errorf("it ends at %s, the code at %s", time.Now(), d.Expires)
		}
	})
	inBubble("the provider may want to be asked less often", func(t *testing.T) {
		s, c, d := began(t)
		s.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 400, Body: `{"error":"slow_down"}`, Times: 2})
		s.Enter(t, d.UserCode, ann)
		from := time.Now()
		_, err := c.Poll(t.Context(), d)
		if took := time.Since(from); err != nil || took != (5+10+15)*time.Second {
			t.Errorf("it took %s, %v", took, err)
		}
	})
	inBubble("who asks too often is told so", func(t *testing.T) {
		s, c, d := began(t)
		d.Interval = time.Second // sooner than the provider said
		_, err := c.Poll(t.Context(), d)
		failed(t, err, "device_code_expired", "", oauth.Consent)
		if got := s.Counts().Refused; got == 0 {
			t.Error("the provider has refused no question as too early")
		}
	})
	inBubble("a provider that fails for a while is asked again", func(t *testing.T) {
		s, c, d := began(t)
		s.Fail(oauthtest.TokenPath, oauthtest.Fault{Drop: true, Times: 2})
		s.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 502, Body: oauthtest.ErrorPage, Times: 2})
		time.AfterFunc(4*time.Minute, func() { s.Enter(t, d.UserCode, ann) })
		if _, err := c.Poll(t.Context(), d); err != nil {
			t.Error(err)
		}
	})
	inBubble("a client that is not known is not asked for again", func(t *testing.T) {
		s, c, d := began(t)
		s.Forget("idlepush")
		_, err := c.Poll(t.Context(), d)
		failed(t, err, "client_refused", "", oauth.Admin)
		_, err = c.Device(t.Context())
		failed(t, err, "client_refused", "", oauth.Admin)
	})
	inBubble("waiting ends with the context", func(t *testing.T) {
		_, c, d := began(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Poll(ctx, d); err != context.DeadlineExceeded {
			t.Errorf("the error is %v", err)
		}
	})
	inBubble("answers that nobody could use are refused", func(t *testing.T) {
		s, c, _ := began(t)
		for _, body := range []string{
			`{"device_code":"planted","user_code":"A","verification_uri":"http://login.example.com/"}`,
			`{"device_code":"planted","user_code":"A","verification_uri":"https://ann@login.example.com/"}`,
			`{"device_code":"planted","user_code":"A","verification_uri":"javascript:alert(1)"}`,
			`{"device_code":"planted","user_code":"` + strings.Repeat("A", 65) + `","verification_uri":"https://login.example.com/"}`,
			`{"device_code":"planted","user_code":"A\u0007","verification_uri":"https://login.example.com/"}`,
			`{"user_code":"A","verification_uri":"https://login.example.com/"}`,
			`[]`,
		} {
			s.Fail(oauthtest.DevicePath, oauthtest.Fault{Status: 200, Body: body, Times: 1})
			_, err := c.Device(t.Context())
			failed(t, err, "provider_faulty", "person_waits", oauth.Retry)
		}
	})
	inBubble("numbers are bounded, and may be missing or texts", func(t *testing.T) {
		s, c, _ := began(t)
		const start = `{"device_code":"planted","user_code":"A","verification_url":"https://login.example.com/","verification_uri_complete":"http://login.example.com/"`
		for _, x := range []struct {
			more           string
			interval, life time.Duration
		}{
			{`}`, 5 * time.Second, 30 * time.Minute},
			{`,"interval":"7","expires_in":"600"}`, 7 * time.Second, 10 * time.Minute},
			{`,"interval":1e9,"expires_in":1e300}`, time.Minute, 30 * time.Minute},
			{`,"interval":-1,"expires_in":-1}`, 5 * time.Second, 0},
			{`,"interval":{},"expires_in":"soon"}`, 5 * time.Second, 30 * time.Minute},
		} {
			s.Fail(oauthtest.DevicePath, oauthtest.Fault{Status: 200, Body: start + x.more, Times: 1})
			d, err := c.Device(t.Context())
			if err != nil || d.Interval != x.interval || time.Until(d.Expires) != x.life || d.URL != "https://login.example.com/" || d.Complete != "" {
				t.Errorf("%s: got %+v, %v", x.more, d, err)
			}
		}
	})
	t.Run("not every provider has it", func(t *testing.T) {
		google, _ := oauth.Named("google")
		_, err := oauth.Client{Provider: google, ID: "id"}.Device(t.Context())
		failed(t, err, "no_device_code", "", oauth.Consent)
	})
}

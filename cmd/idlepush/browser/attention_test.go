package browser

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"idlepush"
	"idlepush/cmd/idlepush/api"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// addBySignIn adds the mailbox of anna by a code that she enters at the provider, and returns its
// id.
func (s signInSystem) addBySignIn(t *testing.T) string {
	t.Helper()
	ctx := testenv.Context(t)
	mailbox := object{"email": "anna@example.org", "host": "127.0.0.1", "port": s.Mail.TLSPort, "username": s.Mail.User}
	asked := object{"oauth": s.provider.Issuer, "flow": "device"}
	for name, value := range mailbox {
		asked[name] = value
	}
	var begun struct {
		ID, State string
		UserCode  string `json:"user_code"`
	}
	systemtest.Must(t, s.Client.Post(ctx, "/consents", asked, &begun))
	s.provider.Enter(t, begun.UserCode, s.Mail.User)
	testenv.Await(t, "the sign-in can be used", func() error {
		if err := s.Client.Get(ctx, "/consents/"+begun.ID, &begun); err != nil || begun.State != "ready" {
			return fmt.Errorf("it is %s: %w", begun.State, err)
		}
		return nil
	})
	mailbox["consent"] = begun.ID
	var made struct{ ID string }
	systemtest.Must(t, s.Client.Post(ctx, "/accounts", mailbox, &made))
	s.WaitWatched(t, 1)
	return made.ID
}

// invite adds a person, who is no admin.
func (s *system) invite(t *testing.T, name, password string) {
	t.Helper()
	var invite struct{ Code string }
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/invites", object{"for": "person"}, &invite))
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/invites/accept", object{"code": invite.Code, "name": name, "password": password}, nil))
}

// subscribe adds a browser of anna.
func (s signInSystem) subscribe(t *testing.T) {
	t.Helper()
	var vapid struct {
		PublicKey string `json:"public_key"`
	}
	systemtest.Must(t, s.Client.Get(testenv.Context(t), "/vapid", &vapid))
	sub, err := s.Web.Subscribe(s.WebOrigin, vapid.PublicKey)
	systemtest.Must(t, err)
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/devices", object{"name": "firefox", "transport": "webpush",
		"subscription": object{"endpoint": string(sub.Endpoint), "keys": api.Keys(sub.Keys)}}, nil))
}

// attention waits for a push of that kind, and returns what a click on it opens.
func (s signInSystem) attention(t *testing.T) (link string) {
	t.Helper()
	testenv.Await(t, "an attention is pushed", func() error {
		for _, m := range s.Web.Messages() {
			var push struct {
				Notification struct{ Navigate string }
				Idlepush     struct{ Kind idlepush.Kind }
			}
			systemtest.Must(t, json.Unmarshal(m.Body, &push))
			if push.Idlepush.Kind == idlepush.KindAttention {
				link = push.Notification.Navigate
				return nil
			}
		}
		return fmt.Errorf("of %d messages none is one", len(s.Web.Messages()))
	})
	return link
}

// TestLostConsent withdraws a consent, and follows the notification about that.
func TestLostConsent(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSignIn(t, true)
	s.subscribe(t)
	account := s.addBySignIn(t)
	s.invite(t, "ben", "planted-login-of-ben")
	address := "#/mailbox/" + account
	// open opens the link of the notification in a new browser, and logs in there.
	open := func(t *testing.T, link, name, password string) *browsertest.Page {
		t.Helper()
		p := chromium.OpenIsolated(t, link)
		p.SetViewport(t, 390, 844)
		enterLogin(t, p, "Log in", name, password)
		return p
	}
	t.Run("without need nothing begins", func(t *testing.T) {
		p := open(t, s.public+"/#/attention/"+account, "anna", systemtest.Password)
		p.WaitText(t, "Watching, checked")
		p.WaitText(t, "Opened by signing in with 127.0.0.1")
		p.Wait(t, "it is the view of the mailbox", `want => location.hash === want`, address)
		p.CloseTab(t)
	})

	s.provider.Revoke(s.Mail.User)
	for range 2 { // it tells at the second refusal
		s.Stop(t)
		s.Start(t)
		testenv.Await(t, "the consent is lost", func() error {
			var made struct{ Status struct{ Code string } }
			if err := s.Client.Get(testenv.Context(t), "/accounts/"+account, &made); err != nil || made.Status.Code != "consent_ended" {
				return fmt.Errorf("the code is %q: %w", made.Status.Code, err)
			}
			return nil
		})
	}
	s.Deliver(t, "planted-meanwhile")
	link := s.attention(t)
	if want := s.public + "/#/attention/" + account; link != want {
		t.Errorf("the notification leads to %s, want %s", link, want)
	}

	t.Run("it begins nothing for another person", func(t *testing.T) {
		p := open(t, link, "ben", "planted-login-of-ben")
		p.WaitText(t, "No mailbox is watched yet.")
		p.Wait(t, "it is the list of mailboxes", `() => location.hash === "#/mailboxes"`)
		p.CloseTab(t)
	})
	t.Run("it leads to the password, if that is to be changed first", func(t *testing.T) {
		systemtest.Must(t, s.Client.Post(testenv.Context(t), "/users", object{"name": "cara", "password": "planted-login-of-cara"}, nil))
		p := open(t, link, "cara", "planted-login-of-cara")
		p.WaitText(t, "An admin chose your password, and knows it. Choose one of your own.")
		p.WaitText(t, "Current password")
		p.CloseTab(t)
	})
	t.Run("elsewhere it leads to the code at once", func(t *testing.T) {
		p := open(t, strings.Replace(link, s.public, s.Origin, 1), "anna", systemtest.Password)
		p.WaitText(t, "Waiting until the code is entered.")
		p.CheckOverflow(t)
		p.Eval(t, nil, `() => history.back()`)
		p.WaitText(t, "Sign in again with 127.0.0.1")
		p.Wait(t, "the way back leads to the mailbox", `want => location.hash === want`, address)
		p.CloseTab(t)
	})
	t.Run("it leads to the consent at once, and the mailbox rings again", func(t *testing.T) {
		p := open(t, link, "anna", systemtest.Password)
		p.WaitText(t, "Password")
		p.Wait(t, "it is at the provider", `issuer => location.href.startsWith(issuer)`, s.provider.Issuer)
		p.Eval(t, nil, `() => history.back()`)
		p.WaitText(t, "Sign in again with 127.0.0.1")
		p.Wait(t, "the way back leads to the mailbox", `want => location.hash === want`, address)
		p.Navigate(t, "about:blank")
		before := len(s.APNs.Messages())
		p.Navigate(t, link)
		s.consent(t, p, s.Mail.User)
		p.WaitText(t, "Signed in.")
		s.WaitWatched(t, 1)
		testenv.Await(t, "the mail that came meanwhile rings", func() error {
			if got := len(s.APNs.Messages()); got == before {
				return fmt.Errorf("%d messages", got)
			}
			return nil
		})
	})
	s.CheckNoSecrets(t)
}

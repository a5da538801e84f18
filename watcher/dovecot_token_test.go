package watcher

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest/servers"
	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

// TestDovecotToken goes from a consent to a notification at a real Dovecot, which asks the provider
// whose each token is.
func TestDovecotToken(t *testing.T) {
	t.Parallel()
	for mechanism, settings := range map[string]string{"XOAUTH2": "", "OAUTHBEARER": "auth_mechanisms = oauthbearer"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			provider := oauthtest.New(t)
			provider.Register("idlepush", "")
			s := servers.Dovecot(t, provider.DovecotSettings(t), settings)
			d := dialerTo(s.Endpoint)
			d.Client = func(string) (oauth.Client, bool) {
				client := provider.Client("idlepush")
				client.Provider.Hosts = []string{s.Host}
				return client, true
			}
			a := accountAt(s.Endpoint, idlepush.SecurityTLS)
			a.OAuth, a.Password = provider.Issuer, provider.Grant("idlepush", s.User)
			a.Folders = []string{"INBOX"}
			dovecotRefusals(t, d, a, provider)

			h := newHarness(t, a)
			pool, _ := h.watch(t, d)
			h.waitState(t, idlepush.StateWatching)
			s.Deliver(t, s.User, "INBOX", mail("ben@example.org", "first", "by the first token"))
			h.waitMails(t, 1)
			if able, err := pool.Check(t.Context(), h.account); err != nil || !able.Idle {
				t.Errorf("the check of an account that is watched says %+v, %v", able, err)
			}
			before := provider.Counts()
			provider.EndAccess(s.User)
			s.Stop(t)
			s.Start(t)
			s.Deliver(t, s.User, "INBOX", mail("ben@example.org", "second", "by the second token"))
			h.waitMails(t, 2)
			h.waitState(t, idlepush.StateWatching)
			if got := provider.Counts(); got.Refreshes != before.Refreshes+1 || got.Unknown != before.Unknown+1 || got.Reused > 0 {
				t.Errorf("the provider counts %+v, before %+v", got, before)
			}
			provider.Revoke(s.User)
			s.DropConnections(t, s.User)
			testenv.Await(t, "the mailbox says that the consent has ended", func() error {
				now, err := h.store.Accounts.Get(h.account.ID)
				if err == nil && (now.Status.Code != "consent_ended" || now.Status.Retry.IsZero()) {
					err = fmt.Errorf("it is %+v", now.Status)
				}
				return err
			})
		})
	}
}

// dovecotRefusals holds a check by an access token to what Dovecot says of it.
func dovecotRefusals(t *testing.T, d Dialer, a idlepush.Account, provider *oauthtest.Server) {
	t.Helper()
	client, err := d.client(&a)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Refresh(t.Context(), provider.Grant("idlepush", a.Username))
	if err != nil {
		t.Fatal(err)
	}
	if able, err := d.CheckToken(t.Context(), a, got.Access); err != nil || !able.Idle || len(able.Folders) != 1 {
		t.Errorf("the check by a token says %+v, %v", able, err)
	}
	other := a
	other.Username = "bob"
	for name, c := range map[string]struct {
		account idlepush.Account
		token   idlepush.Secret
	}{"a token of nobody": {a, "planted-token"}, "that of another mailbox": {other, got.Access}} {
		began := time.Now()
		_, err := d.CheckToken(t.Context(), c.account, c.token)
		f, _ := errors.AsType[*Failure](err)
		if f == nil || f.Code != "login_refused" || f.Params[codes.Case] != byToken || f.Field != "consent" || time.Since(began) > timeout {
			t.Errorf("%s: %+v", name, err)
		}
		refused, ok := errors.AsType[*bearerError](err)
		if !ok || refused.status == "" {
			t.Errorf("%s: Dovecot's reason is not read: %+v", name, refused)
		}
	}
}

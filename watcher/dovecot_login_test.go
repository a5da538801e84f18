package watcher

import (
	"fmt"
	"slices"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest/servers"
)

func TestDovecotLogin(t *testing.T) {
	t.Parallel()
	t.Run("a wrong password stops the account, and is reported once", dovecotWrongPassword)
	t.Run("a check reports the server's abilities, or the field that is wrong", dovecotCheck)
}

func dovecotWrongPassword(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t, "auth_failure_delay = 0")
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Password = "wrong-planted-password"
	h := newHarness(t, account)
	pool, _ := h.watch(t, dialerTo(s.Endpoint))
	status := h.waitState(t, idlepush.StateAttention)
	if status.Code != "login_refused" || status.Params[codes.Said] == "" {
		t.Errorf("the status is %+v", status)
	}
	said := 0
	list, _, err := h.store.History.List(h.account.Owner, "", 10, status.Since)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if n.Kind == idlepush.KindAttention {
			said++
		}
	}
	if said != 1 {
		t.Errorf("%d notifications say so, want 1", said)
	}
	fixed := h.account
	fixed.Password = idlepush.Secret(s.Password)
	if _, err := h.store.Accounts.Update(fixed, status.Since); err != nil {
		t.Fatal(err)
	}
	h.waitState(t, idlepush.StateWatching)
	testenv.Await(t, "a connection is open", func() error {
		if n := pool.Live(h.account.ID).Connections; n != 1 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
}

func dovecotCheck(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t, "auth_failure_delay = 0", "namespace inbox {\n inbox = yes\n mailbox Sent {\n special_use = \\Sent\n }\n}")
	s.CreateFolder(t, s.User, "Work")
	s.CreateFolder(t, s.User, "Sent")
	good := accountAt(s.Endpoint, idlepush.SecurityTLS)
	able, err := dialerTo(s.Endpoint).Check(t.Context(), good)
	if err != nil || !able.Idle || !slices.Equal(able.Folders, []Folder{{"INBOX", ""}, {"Sent", "sent"}, {"Work", ""}}) || len(able.Capabilities) < 3 {
		t.Fatalf("the check of a good account says %+v, %v", able, err)
	}
	for name, c := range map[string]struct {
		edit  func(*idlepush.Account)
		field string
		code  codes.Code
	}{
		"password":        {func(a *idlepush.Account) { a.Password = "no" }, "password", "login_refused"},
		"host":            {func(a *idlepush.Account) { a.Host = "no.such.host.invalid" }, "host", "host_unknown"},
		"closed port":     {func(a *idlepush.Account) { a.Port = 1 }, "port", "connection_failed"},
		"tls on starttls": {func(a *idlepush.Account) { a.Port = s.Port }, "security", "tls_failed"},
		"folder":          {func(a *idlepush.Account) { a.Folders = []string{"Nowhere"} }, "folders", "folder_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			a := good
			c.edit(&a)
			_, err := dialerTo(s.Endpoint).Check(t.Context(), a)
			f, ok := err.(*Failure)
			if !ok || f.Field != c.field || f.Code != c.code || sentences.Check(f.Code, f.Params) != nil {
				t.Errorf("the check says %+v", err)
			}
		})
	}
}

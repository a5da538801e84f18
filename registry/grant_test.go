package registry

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestGrant(t *testing.T) {
	t.Parallel()
	t.Run("only Mail.Grant returns a refresh token, and only as it is now", grantReturned)
	t.Run("a token that was rotated replaces the one it was given for, and no other", grantRotated)
	t.Run("it stays as long as the login is the same", grantStays)
	t.Run("a row that was moved to another login of the account opens nothing", grantMoved)
	t.Run("a mailbox is joined by consent as it is by password", grantJoins)
	t.Run("no token is in the bytes of the file", grantInFile)
}

// consented is a mailbox with OAuth in a new store, with the refresh token "first".
func consented(t *testing.T) (s *Store, a idlepush.Account) {
	t.Helper()
	s = newStore(t)
	a, added, err := s.Accounts.Add(idlepush.Account{Owner: someone(t, s, "ann").ID, Email: "ann@example.org", Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS,
		Username: "ann", OAuth: "microsoft", Password: "first", Folders: []string{"INBOX"}, Enabled: true, Status: idlepush.Status{LoggedIn: dawn}}, "", dawn)
	if err != nil || !added {
		t.Fatalf("it is added: %v, %v", added, err)
	}
	return s, a
}

// checkGrant holds the account to its refresh token; empty: it has none.
func checkGrant(t *testing.T, s *Store, a idlepush.Account, want idlepush.Secret) {
	t.Helper()
	got, err := s.Mail.Grant(a)
	if got != want || (want == "") != errors.Is(err, ErrNotFound) {
		t.Errorf("the token is %q, want %q: %v", string(got), string(want), err)
	}
}

func grantReturned(t *testing.T) {
	t.Parallel()
	s, a := consented(t)
	checkGrant(t, s, a, "first")
	read, err := s.Accounts.Get(a.ID)
	a2 := read
	a2.Email, a2.Password = "another name", ""
	updated, errUpdate := s.Accounts.Update(a2, dawn)
	watched, errWatched := s.Mail.Accounts()
	if err := errors.Join(err, errUpdate, errWatched); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]idlepush.Account{"Add": a, "Get": read, "Update": updated, "Mail.Accounts": watched[0]} {
		if one.OAuth != "microsoft" || one.Password != "" {
			t.Errorf("%s returns a token: %v, of %q", name, one.Password != "", one.OAuth)
		}
	}
	a2 = updated
	a2.Password = "second"
	renewed, err := s.Accounts.Update(a2, dawn.Add(time.Minute))
	if err != nil || renewed.Password != "" || renewed.Edited.Equal(a.Edited) || renewed.Status.State != idlepush.StateNew || !renewed.Status.LoggedIn.IsZero() {
		t.Errorf("a new consent begins a new session: %+v, %v", renewed, err)
	}
	checkGrant(t, s, renewed, "second")
	if _, err := s.Mail.Grant(a); !errors.Is(err, ErrStale) {
		t.Errorf("a session of the account before reads it: %v", err)
	}
	elsewhere := renewed
	elsewhere.Host = "evil.example"
	if _, err := s.Mail.Grant(elsewhere); !errors.Is(err, ErrStale) {
		t.Errorf("a session at another server reads it: %v", err)
	}
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mail.Grant(renewed); !errors.Is(err, ErrStale) {
		t.Errorf("a session of an account that was removed reads it: %v", err)
	}
}

func grantRotated(t *testing.T) {
	t.Parallel()
	s, a := consented(t)
	edit := func(f func(*idlepush.Account)) {
		t.Helper()
		now, err := s.Accounts.Get(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		f(&now)
		if a, err = s.Accounts.UpdateChecked(now, "", dawn, dawn.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	rotate := func(old, refresh idlepush.Secret, want error) {
		t.Helper()
		if err := s.Mail.SetGrant(a.ID, old, refresh); !errors.Is(err, want) {
			t.Errorf("%s for %s: %v, want %v", string(refresh), string(old), err, want)
		}
	}
	rotate("first", "second", nil)
	rotate("first", "third", ErrStale)
	checkGrant(t, s, a, "second")
	// The old one may be worthless by now, so it must not stay for the sake of another edit.
	edit(func(a *idlepush.Account) { a.Folders = []string{"INBOX", "Work"} })
	rotate("second", "third", nil)
	checkGrant(t, s, a, "third")
	edit(func(a *idlepush.Account) { a.Password = "of a new consent" })
	rotate("third", "fourth", ErrStale)
	checkGrant(t, s, a, "of a new consent")
	edit(func(a *idlepush.Account) { a.OAuth, a.Password = "", "a password" })
	rotate("of a new consent", "fifth", ErrStale)
	if a.Password != "a password" {
		t.Error("the password is another")
	}
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	rotate("fifth", "sixth", ErrNotFound)
}

func grantStays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit  func(*idlepush.Account)
		stays bool
	}{
		"another name":      {func(a *idlepush.Account) { a.Email = "club@example.org" }, true},
		"another folder":    {func(a *idlepush.Account) { a.Folders = []string{"Work"} }, true},
		"disabled":          {func(a *idlepush.Account) { a.Enabled = false }, true},
		"another provider":  {func(a *idlepush.Account) { a.OAuth = "google" }, false},
		"another host":      {func(a *idlepush.Account) { a.Host = "imap.example.net" }, false},
		"another port":      {func(a *idlepush.Account) { a.Port = 143 }, false},
		"no encryption":     {func(a *idlepush.Account) { a.Security = idlepush.SecurityPlain }, false},
		"another user name": {func(a *idlepush.Account) { a.Username = "ben" }, false},
		"a password":        {func(a *idlepush.Account) { a.OAuth, a.Password = "", "password" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, a := consented(t)
			c.edit(&a)
			a, err := s.Accounts.Update(a, dawn.Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			want := idlepush.Secret("first")
			if !c.stays {
				want = ""
			}
			checkGrant(t, s, a, want)
			if kept := !a.Status.LoggedIn.IsZero(); kept != (c.stays || a.Port == 143 || a.Security == idlepush.SecurityPlain) {
				t.Errorf("it counts as one that has worked: %v", kept)
			}
		})
	}
}

func grantMoved(t *testing.T) {
	t.Parallel()
	s, a := consented(t)
	err := s.db.View(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, a.ID)
		grant, _, errGrant := grants.Get(tx, id(a.ID))
		if err := errors.Join(err, errGrant); err != nil {
			return err
		}
		for name, change := range map[string]func(*accountRow){
			"provider": func(r *accountRow) { r.OAuth = "google" }, "host": func(r *accountRow) { r.Host = "evil.example" }, "port": func(r *accountRow) { r.Port = 143 },
			"security": func(r *accountRow) { r.Security = idlepush.SecurityPlain }, "user name": func(r *accountRow) { r.Username = "ben" },
		} {
			moved := row
			change(&moved)
			if err := moved.grantPlace(tx, id(a.ID)).Open(grant.Refresh, new(string)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("at another %s: %v", name, err)
			}
		}
		if err := row.grantPlace(tx, "another account").Open(grant.Refresh, new(string)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("of another account: %v", err)
		}
		return row.grantPlace(tx, id(a.ID)).Open(grant.Refresh, new(string))
	})
	if err != nil {
		t.Errorf("as it was sealed: %v", err)
	}
}

func grantJoins(t *testing.T) {
	t.Parallel()
	s, a := consented(t)
	ben := someone(t, s, "ben")
	phone(t, s, idlepush.User{ID: a.Owner}, "phone")
	mine := a
	mine.Owner, mine.Password, mine.Host = ben.ID, "ben's", "IMAP.example.org"
	join := func() {
		t.Helper()
		joined, added, err := s.Accounts.Add(mine, "", dawn)
		if err != nil || added || joined.ID != a.ID || joined.Password != "" || len(joined.SharedWith) != 1 {
			t.Fatalf("%+v, %v, %v", joined, added, err)
		}
		a = joined
	}
	join()
	checkGrant(t, s, a, "first")
	told := allNotifications(t, s, idlepush.User{ID: a.Owner}, 50, dawn)
	if len(told) != 1 || told[0].Code != codeShareJoined || told[0].Params["case"] != byConsent {
		t.Errorf("its owner is told %+v", told)
	}
	if err := setState(s, a, idlepush.StateAttention, "consent_required", "", dawn); err != nil {
		t.Fatal(err)
	}
	join()
	checkGrant(t, s, a, "ben's")
	if a.Status.State != idlepush.StateNew {
		t.Errorf("it does not start again: %+v", a.Status)
	}
}

func grantInFile(t *testing.T) {
	t.Parallel()
	s, a := consented(t)
	a.Password = "PLANTED-consent"
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Mail.SetGrant(a.ID, "PLANTED-consent", "PLANTED-rotated"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("PLANTED")) || !bytes.Contains(data, []byte("microsoft")) {
		t.Error("the file holds it, or not even the account")
	}
}

package registry

import (
	"errors"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func TestAMailboxThatExistsIsSharedInsteadOfWatchedTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	a := mailbox(t, s, ann, "both@example.org")
	again := a
	again.Owner, again.Host, again.Password, again.Folders, again.Email = bob.ID, "IMAP.Example.ORG", "other", []string{"Other"}, "bob@example.org"
	for range 2 {
		got, added, err := s.AddAccount(again, dawn.Add(time.Hour))
		if err != nil || added || got.ID != a.ID || got.Owner != ann.ID || !slices.Equal(got.SharedWith, []string{bob.ID}) {
			t.Fatalf("added %v %+v, %v", added, got, err)
		}
		if got.Password != a.Password || !slices.Equal(got.Folders, a.Folders) || got.Email != a.Email || !got.Created.Equal(dawn) {
			t.Errorf("sharing changed the mailbox: %+v", got)
		}
	}
	if got, added, err := s.AddAccount(a, dawn); err != nil || added || len(got.SharedWith) != 1 {
		t.Errorf("its owner adds it again: added %v %+v, %v", added, got, err)
	}
	for what, edit := range map[string]func(*Account){
		"user name": func(a *Account) { a.Username = "Both@example.org" },
		"port":      func(a *Account) { a.Port = 143 },
		"host":      func(a *Account) { a.Host = "mail.example.org" },
	} {
		other := a
		edit(&other)
		if got, added, err := s.AddAccount(other, dawn); err != nil || !added || got.ID == a.ID {
			t.Errorf("another %s is not another mailbox: added %v, %v", what, added, err)
		}
	}
	if list, err := s.Accounts(); err != nil || len(list) != 4 || list[0].Status.State != New {
		t.Errorf("%d accounts, %v", len(list), err)
	}
}

func TestAnUpdateGivesAnAccountANewStartButNoNewOwner(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, other := mailbox(t, s, ann, "ann@example.org"), mailbox(t, s, ann, "other@example.org")
	if err := setState(s, a, Watching, "", "", dawn); err != nil {
		t.Fatal(err)
	}
	if err := setState(s, a, Attention, "login", "The password is refused.", dawn.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	later := dawn.Add(time.Hour)
	edited := a
	edited.Owner, edited.Password, edited.Created, edited.Enabled = "somebody", "newer", later, false
	got, err := s.UpdateAccount(edited, later)
	if err != nil || got.Owner != ann.ID || !got.Created.Equal(dawn) {
		t.Errorf("%+v, %v", got, err)
	}
	if want := (Status{State: New, Since: later, Proof: dawn}); got.Status != want {
		t.Errorf("status %+v, want %+v", got.Status, want)
	}
	stored, err := s.Account(a.ID)
	if err != nil || stored.Password != "newer" || stored.Enabled || stored.Status.State != New {
		t.Errorf("%+v, %v", stored, err)
	}
	edited.Username = other.Username
	if _, err := s.UpdateAccount(edited, later); !errors.Is(err, ErrTaken) {
		t.Errorf("another account's mailbox: %v", err)
	}
	edited.ID = newID()
	if _, err := s.UpdateAccount(edited, later); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown account: %v", err)
	}
}

func TestACursorLastsAsLongAsItsFolderIsWatchedInItsMailbox(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*Account)
		keep []string
	}{
		"password":        {func(a *Account) { a.Password = "newer" }, []string{"INBOX", "Family"}},
		"disabled":        {func(a *Account) { a.Enabled = false }, []string{"INBOX", "Family"}},
		"host's case":     {func(a *Account) { a.Host = "IMAP.example.org" }, []string{"INBOX", "Family"}},
		"folder left":     {func(a *Account) { a.Folders = []string{"Family"} }, []string{"Family"}},
		"folder added":    {func(a *Account) { a.Folders = []string{"Family", "INBOX", "Work"} }, []string{"INBOX", "Family"}},
		"another host":    {func(a *Account) { a.Host = "mail.example.org" }, nil},
		"another mailbox": {func(a *Account) { a.Username = "bob" }, nil},
	} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		a := mailbox(t, s, ann, "ann@example.org")
		a.Folders = []string{"INBOX", "Family"}
		if _, err := s.UpdateAccount(a, dawn); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"INBOX", "Family"} {
			if _, err := s.Record(Arrival{Account: a.ID, Folder: f, To: Cursor{UIDValidity: 7, Next: 9}, At: dawn}); err != nil {
				t.Fatal(err)
			}
		}
		c.edit(&a)
		if _, err := s.UpdateAccount(a, dawn); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"INBOX", "Family"} {
			at, err := s.Cursor(a.ID, f)
			if err != nil || (at.Next == 9) != slices.Contains(c.keep, f) {
				t.Errorf("%s: the cursor of %s is %+v, %v", name, f, at, err)
			}
		}
	}
}

// A session may still be recording while its account is edited or removed.
func TestARemovedAccountLeavesNoCursorBehind(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	for _, f := range []string{"INBOX", "no longer watched"} {
		if _, err := s.Record(Arrival{Account: a.ID, Folder: f, To: Cursor{UIDValidity: 7, Next: 9}, At: dawn}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RemoveAccount(a.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveAccount(a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	err := s.view(func(tx *bolt.Tx) error {
		for _, row := range rows(tx, cursors) {
			t.Errorf("cursor %q is left", row[0])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAttentionIsSaidOnceUntilItEnds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	a := mailbox(t, s, ann, "ann@example.org")
	a.SharedWith = []string{bob.ID}
	a, err := s.UpdateAccount(a, dawn)
	if err != nil {
		t.Fatal(err)
	}
	d := []Device{phone(t, s, ann, "ann's"), phone(t, s, bob, "bob's")}
	apart := register(t, s, Device{User: bob.ID, Transport: FCM, Token: "apart", Accounts: []string{newID()}})
	said := 0
	for i, step := range []struct {
		state  State
		code   string
		said   bool
		change bool
	}{
		{Watching, "", false, true},
		{Watching, "", false, false},
		{Retrying, "timeout", false, true},
		{Attention, "login", true, true},
		{Attention, "login", false, false},
		{Attention, "limit", false, true},
		{Watching, "", false, true},
		{Attention, "login", true, true},
	} {
		now := dawn.Add(time.Duration(i) * time.Minute)
		before := commits(t, s)
		if err := setState(s, a, step.state, step.code, "Enter the password again.", now); err != nil {
			t.Fatal(err)
		}
		got, err := s.Account(a.ID)
		if err != nil || got.Status.State != step.state || got.Status.Code != step.code || got.Status.Since.Equal(now) != step.change {
			t.Errorf("step %d: %+v, %v", i, got.Status, err)
		}
		if (step.state == Watching && step.change) != got.Status.Proof.Equal(now) {
			t.Errorf("step %d: proof %v", i, got.Status.Proof)
		}
		if n := commits(t, s) - before; n > 1 || n == 1 != step.change {
			t.Errorf("step %d took %d transactions", i, n)
		}
		if step.said {
			said++
		} else if step.state == Watching {
			said = 0 // what waits is taken back once it is mended
		}
		for _, d := range d {
			if n := len(queueKeys(t, s, d)); n != said {
				t.Errorf("step %d: %s was told %d times, want %d", i, d.Name, n, said)
			}
		}
	}
	n := head(t, s, d[1], dawn).Notification
	if n.Kind != AttentionKind || n.Account != a.ID || n.Code != "login" || n.Text != "ann@example.org: Enter the password again." ||
		!n.Expires.Equal(n.At.Add(7*24*time.Hour)) {
		t.Errorf("%+v", n)
	}
	if len(queueKeys(t, s, apart)) > 0 {
		t.Error("a device that is not to ring for the mailbox was told")
	}
	if err := setState(s, Account{ID: newID()}, Watching, "", "", dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown account: %v", err)
	}
}

// A session that has not noticed the edit yet must not undo the new start.
func TestASessionOfAnAccountAsItWasSaysNothingOfItAsItIs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")
	with := a
	with.Password = "another"
	edited, err := s.UpdateAccount(with, dawn.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := setState(s, a, Attention, "login", "Enter the password again.", dawn.Add(time.Hour)); !errors.Is(err, ErrStale) {
		t.Errorf("%v, want ErrStale", err)
	}
	if got, err := s.Account(a.ID); err != nil || got.Status != edited.Status || len(queueKeys(t, s, d)) > 0 {
		t.Errorf("status %+v, %v", got.Status, err)
	}
	if err := setState(s, edited, Watching, "", "", dawn.Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

func TestEveryChangeOfTheAccountsSaysLookAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	changed := func(what string) {
		t.Helper()
		select {
		case <-s.AccountsChanged():
		default:
			t.Errorf("%s says nothing", what)
		}
	}
	a := mailbox(t, s, ann, "ann@example.org")
	changed("add")
	if _, err := s.UpdateAccount(a, dawn); err != nil {
		t.Fatal(err)
	}
	changed("update")
	if err := s.RemoveAccount(a.ID); err != nil {
		t.Fatal(err)
	}
	changed("remove")
}

func TestSharingAMailboxLeavesItsSessionAlone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a := mailbox(t, s, ann, "ann@example.org")
	if err := setState(s, a, Watching, "", "", dawn.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	a.SharedWith = []string{ben.ID}
	shared, err := s.UpdateAccount(a, dawn.Add(time.Hour))
	if err != nil || shared.Status.State != Watching || !shared.Edited.Equal(a.Edited) {
		t.Fatalf("%+v, %v", shared, err)
	}
	if err := setState(s, shared, Attention, "login", "Enter the password again.", dawn.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	// The same password once more is a person's wish to try again.
	again, err := s.UpdateAccount(shared, dawn.Add(3*time.Hour))
	if err != nil || again.Status.State != New {
		t.Errorf("%+v, %v", again.Status, err)
	}
}

func TestAnAccountTurnedIntoAnotherMailboxRingsUnderIDsOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phone(t, s, ann, "phone")
	ids := make(map[string]bool)
	record := func() {
		t.Helper()
		n, err := s.Record(Arrival{Account: a.ID, Edited: a.Edited, Folder: "INBOX", To: Cursor{UIDValidity: 1, Next: 4},
			Mails: []Mail{{UID: 1}, {UID: 2}, {UID: 3}}, At: dawn})
		if err != nil || n != 3 {
			t.Fatalf("%d of 3 mails recorded, %v", n, err)
		}
		list, _, err := s.Notifications(ann.ID, "", 10, dawn)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			ids[n.ID] = true
		}
	}
	record()
	was := a
	a.Username = "berta@example.org"
	a, err := s.UpdateAccount(a, dawn.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	// The session of the former mailbox may still be at work.
	if _, err := s.Record(Arrival{Account: a.ID, Edited: was.Edited, Folder: "INBOX", To: Cursor{UIDValidity: 1, Next: 9}, At: dawn}); !errors.Is(err, ErrStale) {
		t.Errorf("%v, want ErrStale", err)
	}
	record()
	if len(ids) != 6 {
		t.Errorf("six mails have %d ids", len(ids))
	}
}

func TestAddingAMailboxAgainMendsOneThatWaitsForAPerson(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	again := a
	again.Password = "the new one"
	if got, added, err := s.AddAccount(again, dawn); err != nil || added || got.Password != a.Password {
		t.Errorf("one that works: added %v, %v, password taken: %v", added, err, got.Password != a.Password)
	}
	if err := setState(s, a, Attention, "login", "Enter the password again.", dawn); err != nil {
		t.Fatal(err)
	}
	got, added, err := s.AddAccount(again, dawn.Add(time.Hour))
	if err != nil || added || got.ID != a.ID || got.Status.State != New || got.Password != again.Password || got.Edited.Equal(a.Edited) {
		t.Errorf("one that waits: added %v, %v, %+v", added, err, got.Status)
	}
}

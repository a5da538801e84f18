package registry

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	t.Run("a mailbox that exists already is shared, not watched twice", addKnown)
	t.Run("a mailbox that does not work takes the login with which it is added again", addBroken)
	t.Run("an update restarts an account, but does not change its owner", updateRestarts)
	t.Run("a cursor lasts as long as its folder is watched in its mailbox", cursorLifetime)
	t.Run("a removed account leaves no cursor behind", removeCursorsToo)
	t.Run("attention is notified once until it ends", attentionOnce)
	t.Run("a session of an account before an edit cannot change its state", staleSession)
	t.Run("every change of an account wakes the watcher", changeSignals)
	t.Run("sharing a mailbox leaves its session alone", shareKeepsSession)
	t.Run("an account turned into another mailbox makes other stable ids", turnedIntoAnother)
	t.Run("adding a mailbox again mends one that waits for a person", addAgainMends)
	t.Run("a password is known to have worked as long as the login is the same", loginRemembered)
	t.Run("a login that is refused again keeps the time since when", refusedAgain)
	t.Run("a refused login that has been checked is tried again at once", checkedWhileRefused)
	t.Run("an edit of other things leaves a refused login that is still tried alone", editKeepsRefusal)
	t.Run("a damaged password must be entered again, and affects no other account", damagedPassword)
	t.Run("the password opens only with the pin that it was stored with", plantedPin)
	t.Run("a certificate that one person pins gives no part in another's mailbox", addPinned)
}

func addKnown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	a := mailbox(t, s, ann, "both@example.org")
	again := a
	again.Owner, again.Host, again.Password, again.Folders, again.Email = bob.ID, "IMAP.Example.ORG", "other", []string{"Other"}, "bob@example.org"
	for range 2 {
		got, added, err := s.Accounts.Add(again, "", dawn.Add(time.Hour))
		if err != nil || added || got.ID != a.ID || got.Owner != ann.ID || !slices.Equal(got.SharedWith, []string{bob.ID}) {
			t.Fatalf("added %v %+v, %v", added, got, err)
		}
		if got.Password != a.Password || !slices.Equal(got.Folders, a.Folders) || got.Email != a.Email || !got.Created.Equal(dawn) {
			t.Errorf("sharing changed the mailbox: %+v", got)
		}
	}
	if got, added, err := s.Accounts.Add(a, "", dawn); err != nil || added || len(got.SharedWith) != 1 {
		t.Errorf("its owner adds it again: added %v %+v, %v", added, got, err)
	}
	for what, edit := range map[string]func(*idlepush.Account){
		"user name": func(a *idlepush.Account) { a.Username = "Both@example.org" },
		"host":      func(a *idlepush.Account) { a.Host = "mail.example.org" },
	} {
		other := a
		edit(&other)
		if got, added, err := s.Accounts.Add(other, "", dawn); err != nil || !added || got.ID == a.ID {
			t.Errorf("another %s is not another mailbox: added %v, %v", what, added, err)
		}
	}
	way := a
	way.Port, way.Security = 143, idlepush.SecurityStartTLS
	if got, added, err := s.Accounts.Add(way, "", dawn); err != nil || added || got.ID != a.ID || way.Mailbox() != a.Mailbox() {
		t.Errorf("another port is another way to the same mailbox: added %v, %v", added, err)
	}
	if list, err := s.Accounts.List(); err != nil || len(list) != 3 || list[0].Status.State != idlepush.StateNew {
		t.Errorf("%d accounts, %v", len(list), err)
	}
}

func addBroken(t *testing.T) {
	t.Parallel()
	var s *Store
	a := idlepush.Account{Username: "ann@example.org", Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS, Password: "mailbox password", Folders: []string{"INBOX"}, Enabled: true}
	again := a
	again.Port, again.Security, again.Password = 143, idlepush.SecurityStartTLS, "newer"
	same := func(want idlepush.Account) {
		t.Helper()
		again.Owner = a.Owner
		if _, added, err := s.Accounts.Add(again, "", dawn); err != nil || added {
			t.Fatalf("added %v, %v", added, err)
		}
		got, err := s.Accounts.Get(a.ID)
		if err != nil || !isSameSession(got, want) {
			t.Errorf("it is watched at port %d by %s, %v", got.Port, got.Security, err)
		}
	}
	for state, want := range map[idlepush.State]idlepush.Account{idlepush.StateNew: a, idlepush.StateWatching: a, idlepush.StatePolling: a, idlepush.StateRetrying: again, idlepush.StateAttention: again} {
		s = newStore(t)
		a = mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
		if err := setState(s, a, state, "code", "A reason.", dawn); err != nil {
			t.Fatal(err)
		}
		same(want)
	}
}

func updateRestarts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, other := mailbox(t, s, ann, "ann@example.org"), mailbox(t, s, ann, "other@example.org")
	if err := setState(s, a, idlepush.StateWatching, "", "", dawn); err != nil {
		t.Fatal(err)
	}
	if err := setState(s, a, idlepush.StateAttention, "login", "The password is refused.", dawn.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	later := dawn.Add(time.Hour)
	edited := a
	edited.Owner, edited.Password, edited.Created, edited.Enabled = "somebody", "newer", later, false
	got, err := s.Accounts.Update(edited, later)
	if err != nil || got.Owner != ann.ID || !got.Created.Equal(dawn) {
		t.Errorf("%+v, %v", got, err)
	}
	if want := (idlepush.Status{State: idlepush.StateNew, Since: later, Proof: dawn}); !reflect.DeepEqual(got.Status, want) {
		t.Errorf("status %+v, want %+v", got.Status, want)
	}
	stored, err := s.Accounts.Get(a.ID)
	if err != nil || stored.Password != "newer" || stored.Enabled || stored.Status.State != idlepush.StateNew {
		t.Errorf("%+v, %v", stored, err)
	}
	edited.Username, edited.Revision = other.Username, stored.Revision
	if _, err := s.Accounts.Update(edited, later); !errors.Is(err, ErrTaken) {
		t.Errorf("another account's mailbox: %v", err)
	}
	edited.ID = newID()
	if _, err := s.Accounts.Update(edited, later); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown account: %v", err)
	}
}

func cursorLifetime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*idlepush.Account)
		keep []string
	}{
		"password":        {func(a *idlepush.Account) { a.Password = "newer" }, []string{"INBOX", "Family"}},
		"disabled":        {func(a *idlepush.Account) { a.Enabled = false }, []string{"INBOX", "Family"}},
		"host's case":     {func(a *idlepush.Account) { a.Host = "IMAP.example.org" }, []string{"INBOX", "Family"}},
		"folder left":     {func(a *idlepush.Account) { a.Folders = []string{"Family"} }, []string{"Family"}},
		"folder added":    {func(a *idlepush.Account) { a.Folders = []string{"Family", "INBOX", "Work"} }, []string{"INBOX", "Family"}},
		"another host":    {func(a *idlepush.Account) { a.Host = "mail.example.org" }, nil},
		"another mailbox": {func(a *idlepush.Account) { a.Username = "bob" }, nil},
	} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		a := mailbox(t, s, ann, "ann@example.org")
		a.Folders = []string{"INBOX", "Family"}
		a, err := s.Accounts.Update(a, dawn)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"INBOX", "Family"} {
			if _, err := s.Mail.Record(Arrival{Account: a.ID, Folder: f, To: Cursor{UIDValidity: 7, Next: 9}, At: dawn}); err != nil {
				t.Fatal(err)
			}
		}
		c.edit(&a)
		if _, err := s.Accounts.Update(a, dawn); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"INBOX", "Family"} {
			at, err := s.Mail.Cursor(a.ID, f)
			if err != nil || (at.Next == 9) != slices.Contains(c.keep, f) {
				t.Errorf("%s: the cursor of %s is %+v, %v", name, f, at, err)
			}
		}
	}
}

// A session may still be recording while its account is edited or removed.
func removeCursorsToo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	for _, f := range []string{"INBOX", "no longer watched"} {
		if _, err := s.Mail.Record(Arrival{Account: a.ID, Folder: f, To: Cursor{UIDValidity: 7, Next: 9}, At: dawn}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Accounts.Remove(a.ID, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	if n := sizes(t, s)["cursors"]; n > 0 {
		t.Errorf("%d cursors are left", n)
	}
}

func attentionOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	a := mailbox(t, s, ann, "ann@example.org")
	a.SharedWith = []string{bob.ID}
	a, err := s.Accounts.Update(a, dawn)
	if err != nil {
		t.Fatal(err)
	}
	d := []idlepush.Device{phone(t, s, ann, "ann's"), phone(t, s, bob, "bob's")}
	apart := register(t, s, idlepush.Device{User: bob.ID, Transport: FCM, Address: "apart", Accounts: []string{newID()}})
	said, last := 0, a.Status.State
	for i, step := range []struct {
		state  idlepush.State
		code   codes.Code
		said   bool
		change bool
	}{
		{idlepush.StateWatching, "", false, true},
		{idlepush.StateWatching, "", false, false},
		{idlepush.StateRetrying, "timeout", false, true},
		{idlepush.StateAttention, "login", true, true},
		{idlepush.StateAttention, "login", false, false},
		{idlepush.StateAttention, "limit", false, true},
		{idlepush.StateWatching, "", false, true},
		{idlepush.StateAttention, "login", true, true},
	} {
		now := dawn.Add(time.Duration(i) * time.Minute)
		before := commits(s)
		if err := setState(s, a, step.state, step.code, "Enter the password again.", now); err != nil {
			t.Fatal(err)
		}
		got, err := s.Accounts.Get(a.ID)
		// What is wrong may change while it does not work.
		if err != nil || got.Status.State != step.state || got.Status.Code != step.code || got.Status.Since.Equal(now) != (step.state != last) {
			t.Errorf("step %d: %+v, %v", i, got.Status, err)
		}
		last = step.state
		if (step.state == idlepush.StateWatching && step.change) != got.Status.Proof.Equal(now) {
			t.Errorf("step %d: proof %v", i, got.Status.Proof)
		}
		if n := commits(s) - before; n > 1 || n == 1 != step.change {
			t.Errorf("step %d took %d transactions", i, n)
		}
		if step.said {
			said++
		} else if step.state == idlepush.StateWatching {
			said = 0 // what waits is taken back once it is mended
		}
		for _, d := range d {
			if n := len(queueKeys(t, s, d)); n != said {
				t.Errorf("step %d: %s was told %d times, want %d", i, d.Name, n, said)
			}
		}
	}
	n := first(t, s, d[1], dawn).Notification
	if n.Kind != idlepush.KindAttention || n.Account != a.ID || n.Code != "login" || !n.Reason.Equal(because("login", "Enter the password again.").With(codes.Account, "ann@example.org")) ||
		!n.Expires.Equal(n.At.Add(7*24*time.Hour)) {
		t.Errorf("%+v", n)
	}
	if len(queueKeys(t, s, apart)) > 0 {
		t.Error("a device that is not to ring for the mailbox was told")
	}
	if err := setState(s, idlepush.Account{ID: newID()}, idlepush.StateWatching, "", "", dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown account: %v", err)
	}
}

// A session that has not noticed the edit yet must not undo the new start.
func staleSession(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")
	with := a
	with.Password = "another"
	edited, err := s.Accounts.Update(with, dawn.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := setState(s, a, idlepush.StateAttention, "login", "Enter the password again.", dawn.Add(time.Hour)); !errors.Is(err, ErrStale) {
		t.Errorf("%v, want ErrStale", err)
	}
	if got, err := s.Accounts.Get(a.ID); err != nil || !reflect.DeepEqual(got.Status, edited.Status) || len(queueKeys(t, s, d)) > 0 {
		t.Errorf("status %+v, %v", got.Status, err)
	}
	if err := setState(s, edited, idlepush.StateWatching, "", "", dawn.Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

func changeSignals(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	changed := func(what string) {
		t.Helper()
		select {
		case <-s.Mail.Changed():
		default:
			t.Errorf("%s says nothing", what)
		}
	}
	a := mailbox(t, s, ann, "ann@example.org")
	changed("add")
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	changed("update")
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	changed("remove")
}

func shareKeepsSession(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a := mailbox(t, s, ann, "ann@example.org")
	if err := setState(s, a, idlepush.StateWatching, "", "", dawn.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	a.SharedWith = []string{ben.ID}
	shared, err := s.Accounts.Update(a, dawn.Add(time.Hour))
	if err != nil || shared.Status.State != idlepush.StateWatching || !shared.Edited.Equal(a.Edited) {
		t.Fatalf("%+v, %v", shared, err)
	}
	if err := setState(s, shared, idlepush.StateAttention, "login", "Enter the password again.", dawn.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	// The same password once more is a person's wish to try again.
	again, err := s.Accounts.Update(shared, dawn.Add(3*time.Hour))
	if err != nil || again.Status.State != idlepush.StateNew {
		t.Errorf("%+v, %v", again.Status, err)
	}
}

func turnedIntoAnother(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phone(t, s, ann, "phone")
	ids := make(map[string]bool)
	record := func() {
		t.Helper()
		n, err := s.Mail.Record(Arrival{Account: a.ID, Edited: a.Edited, Folder: "INBOX", To: Cursor{UIDValidity: 1, Next: 4},
			Mails: []Message{{UID: 1}, {UID: 2}, {UID: 3}}, At: dawn})
		if err != nil || n != 3 {
			t.Fatalf("%d of 3 mails recorded, %v", n, err)
		}
		list, _, err := s.History.List(ann.ID, "", 10, dawn)
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
	a, err := s.Accounts.Update(a, dawn.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	// The session of the former mailbox may still be at work.
	if _, err := s.Mail.Record(Arrival{Account: a.ID, Edited: was.Edited, Folder: "INBOX", To: Cursor{UIDValidity: 1, Next: 9}, At: dawn}); !errors.Is(err, ErrStale) {
		t.Errorf("%v, want ErrStale", err)
	}
	record()
	if len(ids) != 6 {
		t.Errorf("six mails have %d ids", len(ids))
	}
}

func addAgainMends(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	again := a
	again.Password = "the new one"
	if got, added, err := s.Accounts.Add(again, "", dawn); err != nil || added || got.Password != a.Password {
		t.Errorf("one that works: added %v, %v, password taken: %v", added, err, got.Password != a.Password)
	}
	if err := setState(s, a, idlepush.StateAttention, "login", "Enter the password again.", dawn); err != nil {
		t.Fatal(err)
	}
	got, added, err := s.Accounts.Add(again, "", dawn.Add(time.Hour))
	if err != nil || added || got.ID != a.ID || got.Status.State != idlepush.StateNew || got.Password != again.Password || got.Edited.Equal(a.Edited) {
		t.Errorf("one that waits: added %v, %v, %+v", added, err, got.Status)
	}
}

func damagedPassword(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	for _, works := range []idlepush.Account{a, b} {
		if err := s.Mail.SetState(works, idlepush.Status{State: idlepush.StateWatching, Since: dawn, LoggedIn: dawn}); err != nil {
			t.Fatal(err)
		}
	}
	err := s.db.Update(func(tx *table.Tx) error {
		row, _, err := accounts.Get(tx, id(a.ID))
		row.Password[len(row.Password)-1] ^= 1
		return errors.Join(err, accounts.Put(tx, id(a.ID), row))
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() ([]idlepush.Account, error){"the watcher": s.Mail.Accounts, "the page": s.Accounts.List} {
		list, err := read()
		if err != nil || len(list) != 2 {
			t.Fatalf("%s reads %d accounts, %v", name, len(list), err)
		}
		for _, got := range list {
			if want := map[string]idlepush.Secret{a.ID: "", b.ID: b.Password}[got.ID]; got.Password != want {
				t.Errorf("%s reads another password of %s", name, got.Email)
			}
			if got.Status.LoggedIn.IsZero() != (got.ID == a.ID) {
				t.Errorf("%s reads that %s logged in at %v", name, got.Email, got.Status.LoggedIn)
			}
		}
	}
	got, err := s.Accounts.Get(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	got.Password = "given again"
	if got, err = s.Accounts.Update(got, dawn.Add(time.Hour)); err != nil || got.Edited.Equal(a.Edited) {
		t.Errorf("it does not begin anew: %v", err)
	}
	if got, err = s.Accounts.Get(a.ID); err != nil || got.Password != "given again" {
		t.Errorf("the password is not kept, %v", err)
	}
}

func loginRemembered(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	check := func(what string, want time.Time) {
		t.Helper()
		got, err := s.Accounts.Get(a.ID)
		if err != nil || !got.Status.LoggedIn.Equal(want) {
			t.Errorf("%s: it last logged in at %v, want %v, %v", what, got.Status.LoggedIn, want, err)
		}
	}
	check("new", time.Time{})
	later := dawn.Add(time.Hour)
	if err := setState(s, a, idlepush.StateRetrying, "closed", "host", dawn); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{later, dawn, {}} {
		st := idlepush.Status{State: idlepush.StateRetrying, Reason: because("closed", "host"), LoggedIn: at}
		if err := s.Mail.SetState(a, st); err != nil {
			t.Fatal(err)
		}
		check("logged in", later)
	}
	if err := setState(s, a, idlepush.StateAttention, "login", "Enter the password again.", later); err != nil {
		t.Fatal(err)
	}
	check("refused", later)
	loggedIn := later
	for i, edit := range []struct {
		what    string
		do      func(*idlepush.Account)
		checked time.Time // zero: it was not
		forgets bool
	}{
		{"folders", func(a *idlepush.Account) { a.Folders = []string{"Family"} }, time.Time{}, false},
		{"port", func(a *idlepush.Account) { a.Port = 143 }, time.Time{}, false},
		{"another password, checked", func(a *idlepush.Account) { a.Password = "checked" }, later.Add(2 * time.Minute), false},
		{"another password", func(a *idlepush.Account) { a.Password = "unchecked" }, time.Time{}, true},
		{"another mailbox, checked", func(a *idlepush.Account) { a.Username = "bob" }, later.Add(time.Hour), false},
		{"another password, checked after the clock was an hour ahead", func(a *idlepush.Account) { a.Password = "right" }, later.Add(3 * time.Minute), false},
		{"another mailbox", func(a *idlepush.Account) { a.Username = "carl" }, time.Time{}, true},
	} {
		got, err := s.Accounts.Get(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		edit.do(&got)
		if loggedIn = got.Status.LoggedIn; edit.forgets || !edit.checked.IsZero() {
			loggedIn = edit.checked
		}
		if _, err := s.Accounts.UpdateChecked(got, "", edit.checked, later.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(edit.what, err)
		}
		check(edit.what, loggedIn)
	}
}

func checkedWhileRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	for what, st := range map[string]idlepush.Status{
		"refused": {State: idlepush.StateRetrying, Failures: 1, Failing: dawn, Retry: dawn.Add(time.Hour)},
		"refused, and another failure since then": {State: idlepush.StateRetrying, Failures: 1, Failing: dawn},
		"refused, and reported":                   {State: idlepush.StateAttention, Failures: 4, Failing: dawn, Retry: dawn.Add(time.Hour)},
		"refused while the clock was ahead":       {State: idlepush.StateRetrying, Failures: 1, Failing: dawn, LoggedIn: dawn.AddDate(1, 0, 0)},
	} {
		if st.LoggedIn.IsZero() {
			st.LoggedIn = dawn
		}
		if err := s.Mail.SetState(a, st); err != nil {
			t.Fatal(err)
		}
		checked := dawn.Add(time.Minute)
		got, err := s.Accounts.UpdateChecked(a, "", checked, a.Edited.Add(time.Hour))
		want := idlepush.Status{State: idlepush.StateNew, Since: a.Edited.Add(time.Hour), LoggedIn: checked}
		if err != nil || !reflect.DeepEqual(got.Status, want) || got.Edited.Equal(a.Edited) {
			t.Errorf("%s: %+v, want %+v, %v", what, got.Status, want, err)
		}
		a = got
	}
}

func editKeepsRefusal(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a := mailbox(t, s, ann, "ann@example.org")
	st := idlepush.Status{State: idlepush.StateAttention, Since: dawn, Reason: because("login", "host"), Failures: 4, Failing: dawn, Retry: dawn.Add(time.Hour), LoggedIn: dawn}
	if err := s.Mail.SetState(a, st); err != nil {
		t.Fatal(err)
	}
	for i, edit := range []func(*idlepush.Account){
		func(a *idlepush.Account) { a.Link = "https://mail.example.org" },
		func(a *idlepush.Account) { a.Email = "anna@example.org" },
		func(a *idlepush.Account) { a.SharedWith = []string{ben.ID} },
		func(a *idlepush.Account) { a.SharedWith = nil },
	} {
		edit(&a)
		got, err := s.Accounts.Update(a, dawn.Add(time.Minute))
		if err != nil || !reflect.DeepEqual(got.Status, st) || !got.Edited.Equal(a.Edited) {
			t.Errorf("edit %d: %+v, want %+v, %v", i, got.Status, st, err)
		}
		a = got
	}
}

func refusedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	st := idlepush.Status{State: idlepush.StateRetrying, Reason: because("login", "host"), Failing: dawn}
	for range 3 {
		st.Failures++
		now := dawn.Add(time.Duration(st.Failures-1) * time.Hour)
		st.Since, st.Retry = now, now.Add(time.Hour)
		if err := s.Mail.SetState(a, st); err != nil {
			t.Fatal(err)
		}
		want := st
		want.Since = dawn
		got, err := s.Accounts.Get(a.ID)
		if err != nil || !reflect.DeepEqual(got.Status, want) {
			t.Errorf("refused %d times: %+v, want %+v, %v", st.Failures, got.Status, want, err)
		}
	}
}

func plantedPin(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	edited := a
	edited.Pin = pin
	pinned, err := s.Accounts.Update(edited, dawn.Add(time.Hour))
	if err != nil || pinned.Edited.Equal(a.Edited) {
		t.Errorf("a session with the old pin goes on: %v", err)
	}
	for _, planted := range []idlepush.Fingerprint{"", pin[3:] + ":00"} {
		err := s.db.Update(func(tx *table.Tx) error {
			row, _, err := accounts.Get(tx, id(a.ID))
			row.Pin = planted
			return errors.Join(err, accounts.Put(tx, id(a.ID), row))
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Accounts.Get(a.ID); err != nil || got.Pin != planted || got.Password != "" {
			t.Errorf("with the planted pin %q there is a password: %v, %v", planted, got.Password != "", err)
		}
	}
	if _, err := s.Accounts.Update(pinned, dawn.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Accounts.Get(a.ID); err != nil || got.Pin != pin || got.Password != a.Password {
		t.Errorf("entered again: %+v, %v", got, err)
	}
}

func addPinned(t *testing.T) {
	t.Parallel()
	for _, state := range []idlepush.State{idlepush.StateWatching, idlepush.StateAttention} {
		s := newStore(t)
		ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
		a := mailbox(t, s, ann, "both@example.org")
		if err := setState(s, a, state, "code", "A reason.", dawn); err != nil {
			t.Fatal(err)
		}
		again := a
		again.Owner, again.Pin, again.Password = bob.ID, pin, "another"
		if _, _, err := s.Accounts.Add(again, "", dawn); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: bob adds it by a certificate of his own: %v", state, err)
		}
		port := again
		port.Pin, port.Port = "", 20143
		if _, _, err := s.Accounts.Add(port, "", dawn); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: bob adds it by a server of his own on the same host: %v", state, err)
		}
		if got, err := s.Accounts.Get(a.ID); err != nil || got.Visible(bob.ID) || got.Pin != "" || got.Password != a.Password {
			t.Errorf("%s: then it is %+v, %v", state, got, err)
		}
		again.Owner = ann.ID
		got, _, err := s.Accounts.Add(again, "", dawn)
		if err != nil || (got.Pin == pin) != (state == idlepush.StateAttention) {
			t.Errorf("%s: its owner pins the certificate: %+v, %v", state, got, err)
		}
		got.Pin = pin
		if _, err := s.Accounts.Update(got, dawn.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		again.Owner = bob.ID
		if got, _, err := s.Accounts.Add(again, "", dawn); err != nil || !got.Visible(bob.ID) {
			t.Errorf("%s: bob adds it by the certificate that ann pins: %v", state, err)
		}
	}
}

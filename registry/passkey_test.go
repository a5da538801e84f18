package registry

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestPasskeys(t *testing.T) {
	t.Parallel()
	t.Run("one lets in and proves, and says when", passkeyUsed)
	t.Run("one whose count does not grow is refused", passkeyCounts)
	t.Run("two uses at once of the same signature are one", passkeyTwice)
	t.Run("they are kept with the person, and go with the person", passkeysKept)
	t.Run("a use that is rolled back changes nothing in memory", passkeyRolledBack)
	t.Run("without one the password lets in, whatever was switched off", passkeysGone)
}

// passkeyFor returns a passkey with that credential id.
func passkeyFor(credential string) Passkey {
	return Passkey{Name: "phone", Site: "example.org", Credential: []byte(credential), PublicKey: []byte("key"), AAGUID: []byte("model"), BackupEligible: true}
}

// using returns the use of a passkey.
func using(k Passkey, count uint32) Passkey {
	return Passkey{Credential: k.Credential, SignCount: count, BackedUp: true}
}

func passkeyUsed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
	k := must(s.Logins.AddPasskey(ann.ID, passkeyFor("a"), "", dawn))
	noon := dawn.Add(6 * time.Hour)
	u, secret, err := s.Logins.LoginByPasskey(ann.ID, using(k, 0), Visit{Name: "Firefox"}, noon)
	if err != nil || u.ID != ann.ID {
		t.Fatalf("%+v, %v", u, err)
	}
	_, session, err := s.Logins.Authenticate(secret, noon)
	if err != nil || session.By != k.ID || !session.Proved.Equal(noon) || session.Name != "Firefox" {
		t.Errorf("%+v, %v", session, err)
	}
	later := noon.Add(time.Hour)
	use := using(k, 0)
	if err := s.Logins.Prove(ann.ID, session.ID, Proof{Passkey: &use}, later); err != nil {
		t.Fatal(err)
	}
	if _, row, err := s.Logins.Authenticate(secret, later); err != nil || !row.Proved.Equal(later) {
		t.Errorf("%+v, %v", row, err)
	}
	if list, only, err := s.Logins.Passkeys(ann.ID); err != nil || only || len(list) != 1 || !list[0].Used.Equal(later) || !list[0].BackedUp {
		t.Errorf("%+v, %v, %v", list, only, err)
	}
	for user, want := range map[string]error{ben.ID: ErrDenied, newID(): ErrDenied} {
		if _, _, err := s.Logins.LoginByPasskey(user, using(k, 0), Visit{}, noon); !errors.Is(err, want) {
			t.Errorf("of another person: %v", err)
		}
	}
	if _, err := s.Logins.AddPasskey(ann.ID, passkeyFor("a"), "", dawn); !errors.Is(err, ErrTaken) {
		t.Errorf("the same again: %v", err)
	}
	if _, err := s.Logins.AddPasskey(ann.ID, passkeyFor("b"), newID(), dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("in a session that has ended: %v", err)
	}
}

func passkeyCounts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		stored, seen uint32
		want         bool
	}{
		{0, 0, true}, {0, 1, true}, {1, 2, true}, {1, 900, true}, {1, 1, false}, {2, 1, false}, {1, 0, false},
	} {
		u := userRow{Passkeys: []passkeyRow{passkeyRow(passkeyFor("a"))}}
		u.Passkeys[0].SignCount = row.stored
		use := using(passkeyFor("a"), row.seen)
		_, err := u.confirm(Proof{Passkey: &use}, nil, dawn)
		if (err == nil) != row.want || err == nil && u.Passkeys[0].SignCount != row.seen || err != nil && u.Passkeys[0].SignCount != row.stored {
			t.Errorf("%+v: %v, then %d", row, err, u.Passkeys[0].SignCount)
		}
	}
}

func passkeyRolledBack(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	someone(t, s, "bob")
	if _, err := s.Logins.AddPasskey(ann.ID, passkeyFor("a"), "", dawn); err != nil {
		t.Fatal(err)
	}
	before, _, err := s.Logins.Passkeys(ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	use := using(passkeyFor("a"), 9)
	if _, err := s.Users.UpdateOwn(ann.ID, Proof{Passkey: &use}, UserPatch{Name: "bob"}, dawn); !errors.Is(err, ErrTaken) {
		t.Fatal(err)
	}
	if after, _, err := s.Logins.Passkeys(ann.ID); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("%+v became %+v, %v", before, after, err)
	}
}

func passkeyTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	k := must(s.Logins.AddPasskey(ann.ID, passkeyFor("a"), "", dawn))
	results := make(chan error)
	for range 8 {
		go func() {
			_, _, err := s.Logins.LoginByPasskey(ann.ID, using(k, 1), Visit{}, dawn)
			results <- err
		}()
	}
	let := 0
	for range 8 {
		if err := <-results; err == nil {
			let++
		} else if !errors.Is(err, ErrDenied) {
			t.Error(err)
		}
	}
	if let != 1 {
		t.Errorf("it lets in %d times", let)
	}
}

func passkeysKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := must(Open(dir, unsynced))
	ann := resident(t, s, "ann")
	resident(t, s, "ben") // somebody must be an admin
	k := must(s.Logins.AddPasskey(ann.ID, passkeyFor("a"), "", dawn))
	if err := s.Logins.RenamePasskey(ann.ID, k.ID, "old phone"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	k.Name = "old phone"
	list, _, err := s.Logins.Passkeys(ann.ID)
	if err != nil || len(list) != 1 || !list[0].Created.Equal(k.Created) {
		t.Fatalf("%+v, %v", list, err)
	}
	if list[0].Created = k.Created; !slices.EqualFunc(list, []Passkey{k}, func(a, b Passkey) bool {
		return a.ID == b.ID && a.Name == b.Name && a.Site == b.Site && slices.Equal(a.Credential, b.Credential) && slices.Equal(a.PublicKey, b.PublicKey) &&
			slices.Equal(a.AAGUID, b.AAGUID) && a.BackupEligible == b.BackupEligible
	}) {
		t.Errorf("%+v, want %+v", list, k)
	}
	if err := s.Users.Remove(ann.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.LoginByPasskey(ann.ID, using(k, 1), Visit{}, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("of nobody: %v", err)
	}
	for _, err := range []error{s.Logins.RenamePasskey(ann.ID, k.ID, "x"), s.Logins.RemovePasskey(ann.ID, k.ID, "", "")} {
		if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
}

func passkeysGone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	_, session, err := s.Logins.Login("ann", "password", Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	_, row, err := s.Logins.Authenticate(session, dawn)
	if err != nil {
		t.Fatal(err)
	}
	only := func() error { return s.Logins.SetOnlyPasskeys(ann.ID, true, Proof{Password: "password"}, dawn) }
	if err := only(); !errors.Is(err, ErrLast) {
		t.Errorf("without a passkey: %v", err)
	}
	must(s.Logins.AddPasskey(ann.ID, passkeyFor("a"), row.ID, dawn))
	if err := s.Logins.SetOnlyPasskeys(ann.ID, true, Proof{Password: "wrong"}, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := only(); err != nil {
		t.Fatal(err)
	}
	logIn := func() error {
		_, _, err := s.Logins.Login("ann", "password", Visit{}, dawn)
		return err
	}
	if err := logIn(); !errors.Is(err, ErrDenied) {
		t.Errorf("the password: %v", err)
	}
	if err := only(); !errors.Is(err, ErrDenied) {
		t.Errorf("the password as a proof: %v", err)
	}
	if err := s.Logins.RemoveSession(ann.ID, row.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := logIn(); err != nil {
		t.Errorf("when the session that has made the only passkey is ended: %v", err)
	}
	// The same by a new password, which an admin or a link may give.
	k := must(s.Logins.AddPasskey(ann.ID, passkeyFor("b"), "", dawn))
	use := using(k, 0)
	if err := errors.Join(only(), logIn()); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	if _, err := s.Users.UpdateOwn(ann.ID, Proof{Passkey: &use}, UserPatch{Password: "password"}, dawn); err != nil {
		t.Fatal(err)
	}
	if err := logIn(); err != nil {
		t.Error(err)
	}
	if list, only, err := s.Logins.Passkeys(ann.ID); err != nil || only || len(list) != 1 {
		t.Errorf("%+v, %v, %v", list, only, err)
	}
}

package registry

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/argon2"
)

// admin sets the store up.
func admin(t testing.TB, s *Store, name, password string) (User, string) {
	t.Helper()
	token, err := s.SetupToken()
	if err != nil || token == "" {
		t.Fatalf("setup token %q, %v", token, err)
	}
	u, bearer, err := s.Setup(token, name, password, "https://push.example.org", nil, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return u, bearer
}

func TestSetupWorksOnceWithTheNewestOneTimeToken(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	path := filepath.Join(s.dir, "setup-token")
	older, err := s.SetupToken()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.SetupToken()
	if err != nil || token == older || len(token) < 26 {
		t.Fatalf("tokens %q, then %q, %v", older, token, err)
	}
	text, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || string(text) != token+"\n" || info.Mode() != 0o600 {
		t.Errorf("the file holds %q, mode %v, %v, %v", text, info.Mode(), err, statErr)
	}
	for _, wrong := range []string{"", older, token + "x", strings.ToLower(token)} {
		if _, _, err := s.Setup(wrong, "ann", "password", "", nil, dawn); !errors.Is(err, ErrDenied) {
			t.Errorf("token %q: %v", wrong, err)
		}
	}
	u, bearer, err := s.Setup(token, "ann", "password", "https://push.example.org", nil, dawn)
	if err != nil || !u.Admin || u.Name != "ann" || !u.Created.Equal(dawn) {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the token's file is still there: %v", err)
	}
	if got, row, err := s.Authenticate(bearer, dawn.AddDate(10, 0, 0)); err != nil || got != u || row.Scope != FullScope || row.Session {
		t.Errorf("the bearer token gives %+v %+v, %v", got, row, err)
	}
	if got, err := s.PublicURL(); err != nil || got != "https://push.example.org" {
		t.Errorf("public URL %q, %v", got, err)
	}
	if _, _, err := s.Setup(token, "eve", "password", "", nil, dawn); !errors.Is(err, ErrSetupDone) {
		t.Errorf("setup again: %v", err)
	}
	if err := os.WriteFile(path, []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := s.SetupToken(); err != nil || token != "" {
		t.Errorf("another setup token %q, %v", token, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the used token's file is still there: %v", err)
	}
	reopen(t, s)
	if got, err := s.User(u.ID); err != nil || got != u {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOnlyOneOfManySetupsWins(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	token, err := s.SetupToken()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = s.Setup(token, "ann", "password", "", nil, dawn) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrSetupDone) {
			t.Error(err)
		}
	}
	if won != 1 || sizes(t, s)["users"] != 1 || sizes(t, s)["tokens"] != 1 {
		t.Errorf("%d won: %v", won, sizes(t, s))
	}
}

func TestLoginLetsInWithNameAndPasswordAndNoOther(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, _ := admin(t, s, "Ann", "correct horse")
	for _, c := range []struct{ name, password string }{
		{"Ann", "wrong"}, {"Ann", ""}, {"Ann", "Correct horse"}, {"bob", "correct horse"}, {"", ""}, {"", "correct horse"},
	} {
		if u, session, err := s.Login(c.name, c.password, Visit{}, dawn); !errors.Is(err, ErrDenied) || session != "" || u != (User{}) {
			t.Errorf("%q with %q: %+v, %v", c.name, c.password, u, err)
		}
	}
	u, session, err := s.Login("ANN", "correct horse", Visit{}, dawn)
	if err != nil || u != ann {
		t.Fatalf("%+v, %v", u, err)
	}
	if got, row, err := s.Authenticate(session, dawn); err != nil || got != ann || !row.Session {
		t.Errorf("%+v %+v, %v", got, row, err)
	}
	for _, unknown := range []string{"", "idlepush_", session + "x", strings.ToLower(session)} {
		if _, _, err := s.Authenticate(unknown, dawn); !errors.Is(err, ErrDenied) {
			t.Errorf("token %q: %v", unknown, err)
		}
	}
}

// An unknown name must take as long as a known one: it goes through the same hash, in the same slots.
func TestAtMostOnePasswordPerProcessorIsHashedAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		// A child that is being started has a copy of the store's lock, and here the wait for it is over at once.
		syscall.ForkLock.RLock()
		s, err := Open(dir, unsynced)
		syscall.ForkLock.RUnlock()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		admin(t, s, "ann", "correct horse")
		if cap(s.hashes) != runtime.NumCPU() {
			t.Errorf("%d slots for %d processors", cap(s.hashes), runtime.NumCPU())
		}
		for range cap(s.hashes) {
			s.hashes <- struct{}{}
		}
		var wg sync.WaitGroup
		results := make(chan error, 3)
		for _, name := range []string{"ann", "ann", "unknown"} {
			wg.Go(func() {
				_, _, err := s.Login(name, "correct horse", Visit{}, dawn)
				results <- err
			})
		}
		synctest.Wait()
		if len(results) > 0 {
			t.Error("a password was hashed without a slot")
		}
		for range cap(s.hashes) {
			<-s.hashes
		}
		wg.Wait()
		close(results)
		denied := 0
		for err := range results {
			if errors.Is(err, ErrDenied) {
				denied++
			} else if err != nil {
				t.Error(err)
			}
		}
		if denied != 1 || len(s.hashes) != 0 {
			t.Errorf("%d denied, %d slots still taken", denied, len(s.hashes))
		}
	})
}

// As OWASP's password storage cheat sheet asks for.
func TestAPasswordCostsNineteenMebibytesAndTwoPasses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	u, err := s.AddUser("ann", "correct horse", false, dawn)
	if err != nil {
		t.Fatal(err)
	}
	var row userRow
	if err := s.view(func(tx *bolt.Tx) (err error) { row, err = person(tx, u.ID); return err }); err != nil {
		t.Fatal(err)
	}
	const passes, kibibytes = 2, 19 * 1024
	want := argon2.IDKey([]byte("correct horse"), row.Password.Salt, passes, kibibytes, 1, 32)
	if len(row.Password.Salt) != 16 || !bytes.Equal(row.Password.Hash, want) {
		t.Errorf("it was hashed in %d passes over %d KiB, with a salt of %d bytes", row.Password.Time, row.Password.Memory, len(row.Password.Salt))
	}
}

func TestANewPasswordNeedsTheCurrentAndEndsTheSessions(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bearer := admin(t, s, "ann", "first")
	_, session, err := s.Login("ann", "first", Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateOwn(ann.ID, "eve", "wrong", "second"); !errors.Is(err, ErrDenied) {
		t.Errorf("with a wrong password: %v", err)
	}
	if u, err := s.User(ann.ID); err != nil || u.Name != "ann" {
		t.Errorf("the refused update changed the name: %+v, %v", u, err)
	}
	u, err := s.UpdateOwn(ann.ID, "Anna", "", "")
	if err != nil || u.Name != "Anna" || !u.Admin {
		t.Errorf("another name alone: %+v, %v", u, err)
	}
	if _, _, err := s.Authenticate(session, dawn); err != nil {
		t.Errorf("another name ended the session: %v", err)
	}
	if _, err := s.UpdateOwn(ann.ID, "", "first", "second"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Authenticate(session, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the session: %v", err)
	}
	if _, _, err := s.Authenticate(bearer, dawn); err != nil {
		t.Errorf("the bearer token: %v", err)
	}
	if _, _, err := s.Login("Anna", "first", Visit{}, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the former password: %v", err)
	}
	if _, _, err := s.Login("anna", "second", Visit{}, dawn); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := s.UpdateOwn(newID(), "bob", "", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown user: %v", err)
	}
}

func TestTwoUsersNeverShareAName(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	if _, err := s.UpdateOwn(bob.ID, "ANN", "", ""); !errors.Is(err, ErrTaken) {
		t.Errorf("a name in use: %v", err)
	}
	if u, err := s.UpdateOwn(ann.ID, "Ann", "", ""); err != nil || u.Name != "Ann" {
		t.Errorf("the own name, spelled otherwise: %+v, %v", u, err)
	}
	// Both at once, decided in one commit.
	release := holdCommit(t, s)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, u := range []User{ann, bob} {
		wg.Go(func() { _, errs[i] = s.UpdateOwn(u.ID, "carl", "", "") })
	}
	awaitWaiting(t, s, 2)
	release()
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), ErrTaken) {
		t.Errorf("both at once: %v", errs)
	}
}

func TestAPasswordThatChangedMeanwhileIsNoLongerTheCurrent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, _ := admin(t, s, "ann", "first")
	release := holdCommit(t, s)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, plain := range []string{"second", "third"} {
		wg.Go(func() { _, errs[i] = s.UpdateOwn(ann.ID, "", "first", plain) })
		awaitWaiting(t, s, i+1)
	}
	wg.Go(func() { _, _, errs[2] = s.Login("ann", "first", Visit{}, dawn) })
	awaitWaiting(t, s, 3)
	release()
	wg.Wait()
	if errs[0] != nil || !errors.Is(errs[1], ErrDenied) || !errors.Is(errs[2], ErrDenied) {
		t.Errorf("%v, want the first alone to succeed", errs)
	}
	if _, _, err := s.Login("ann", "second", Visit{}, dawn); err != nil {
		t.Error(err)
	}
}

func TestTokensAreTheUsersOwnAndShownWithoutTheirSecret(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	row, secret, err := s.AddToken(ann.ID, "phone app", DeviceScope, dawn)
	if err != nil || !strings.HasPrefix(secret, "idlepush_") {
		t.Fatal(row, err)
	}
	if u, got, err := s.Authenticate(secret, dawn); err != nil || u != ann || got != row || got.Scope != DeviceScope {
		t.Errorf("%+v %+v, %v", u, got, err)
	}
	if list, err := s.Tokens(ann.ID); err != nil || len(list) != 1 || list[0] != row {
		t.Errorf("tokens %+v, %v", list, err)
	}
	if list, err := s.Tokens(bob.ID); err != nil || len(list) > 0 {
		t.Errorf("another's tokens %+v, %v", list, err)
	}
	if err := s.RemoveToken(bob.ID, row.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed by another: %v", err)
	}
	if err := s.RemoveToken(ann.ID, row.ID); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Authenticate(secret, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("after its end: %v", err)
	}
	if _, _, err := s.AddToken(newID(), "x", FullScope, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("for an unknown user: %v", err)
	}
}

func TestATokenOfAUserWhoIsGoneIsDenied(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	_, secret, err := s.AddToken(ann.ID, "x", FullScope, dawn)
	if err != nil {
		t.Fatal(err)
	}
	err = s.update(func(tx *bolt.Tx) error { return tx.Bucket(users).Delete([]byte(ann.ID)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Authenticate(secret, dawn.Add(time.Hour)); !errors.Is(err, ErrDenied) {
		t.Errorf("%v", err)
	}
}

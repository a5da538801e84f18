package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/registry/testenv"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	t.Run("setup works once, with the newest one-time token", setupOnce)
	t.Run("only one of many setups wins", setupWinner)
	t.Run("login admits with name and password and no other", login)
	t.Run("at most one password per processor is hashed at a time", hashesAtOnce)
	t.Run("a password costs 19 MiB and two passes", hashCost)
	t.Run("a new password needs the current one and ends the sessions", newPasswordEnds)
	t.Run("two users never share a name", namesUnique)
	t.Run("a password that changed meanwhile is no longer the current one", passwordChanged)
	t.Run("tokens are the user's own and shown without their secret", tokensOwn)
	t.Run("a token of a removed user is denied", tokenOfRemoved)
	t.Run("setup keeps its session when the token file stays", setupTokenStays)
}

// admin sets the store up.
func admin(t testing.TB, s *Store, name, password string) (idlepush.User, string) {
	t.Helper()
	token, err := s.Users.SetupToken()
	if err != nil || token == "" {
		t.Fatalf("setup token %q, %v", token, err)
	}
	u, bearer, err := s.Users.Setup(token, name, password, "https://push.example.org", nil, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return u, bearer
}

func setupOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	path := filepath.Join(s.dir, "setup-token")
	older, err := s.Users.SetupToken()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Users.SetupToken()
	if err != nil || token == older || len(token) < 26 {
		t.Fatalf("tokens %q, then %q, %v", older, token, err)
	}
	text, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || string(text) != token+"\n" || info.Mode() != 0o600 {
		t.Errorf("the file holds %q, mode %v, %v, %v", text, info.Mode(), err, statErr)
	}
	for range cap(s.hashes) {
		s.hashes <- struct{}{} // a wrong token is refused before the password is hashed
	}
	for _, wrong := range []string{"", older, token + "x", strings.ToLower(token)} {
		if _, _, err := s.Users.Setup(wrong, "ann", "password", "", nil, dawn); !errors.Is(err, ErrDenied) {
			t.Errorf("token %q: %v", wrong, err)
		}
	}
	for range cap(s.hashes) {
		<-s.hashes
	}
	u, bearer, err := s.Users.Setup(token, "ann", "password", "https://push.example.org", nil, dawn)
	if err != nil || !u.Admin || u.Name != "ann" || !u.Created.Equal(dawn) {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the token's file is still there: %v", err)
	}
	if got, row, err := s.Logins.Authenticate(bearer, dawn.AddDate(10, 0, 0)); err != nil || got != u || row.Scope != idlepush.ScopeFull || row.Session {
		t.Errorf("the bearer token gives %+v %+v, %v", got, row, err)
	}
	if got, err := s.Users.PublicURL(); err != nil || got != "https://push.example.org" {
		t.Errorf("public URL %q, %v", got, err)
	}
	if _, _, err := s.Users.Setup(token, "eve", "password", "", nil, dawn); !errors.Is(err, ErrSetupDone) {
		t.Errorf("setup again: %v", err)
	}
	if err := os.WriteFile(path, []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := s.Users.SetupToken(); err != nil || token != "" {
		t.Errorf("another setup token %q, %v", token, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the used token's file is still there: %v", err)
	}
	reopen(t, s)
	if got, err := s.Users.Get(u.ID); err != nil || got != u {
		t.Errorf("%+v, %v", got, err)
	}
}

func setupWinner(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	token, err := s.Users.SetupToken()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = s.Users.Setup(token, "ann", "password", "", nil, dawn) })
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

func login(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, _ := admin(t, s, "Ann", "correct horse")
	for _, c := range []struct{ name, password string }{
		{"Ann", "wrong"}, {"Ann", ""}, {"Ann", "Correct horse"}, {"bob", "correct horse"}, {"", ""}, {"", "correct horse"},
	} {
		if u, session, err := s.Logins.Login(c.name, c.password, Visit{}, dawn); !errors.Is(err, ErrDenied) || session != "" || u != (idlepush.User{}) {
			t.Errorf("%q with %q: %+v, %v", c.name, c.password, u, err)
		}
	}
	u, session, err := s.Logins.Login("ANN", "correct horse", Visit{}, dawn)
	if err != nil || u != ann {
		t.Fatalf("%+v, %v", u, err)
	}
	if got, row, err := s.Logins.Authenticate(session, dawn); err != nil || got != ann || !row.Session {
		t.Errorf("%+v %+v, %v", got, row, err)
	}
	for _, unknown := range []string{"", "idlepush_", session + "x", strings.ToLower(session)} {
		if _, _, err := s.Logins.Authenticate(unknown, dawn); !errors.Is(err, ErrDenied) {
			t.Errorf("token %q: %v", unknown, err)
		}
	}
}

// An unknown name must take as long as a known one: it goes through the same hash, in the same
// slots.
func hashesAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		// A child that is being started has a copy of the store's lock, and here the wait for it is
		// over at once.
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
				_, _, err := s.Logins.Login(name, "correct horse", Visit{}, dawn)
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
func hashCost(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir(), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	u, err := s.Users.Add("ann", "correct horse", false, "", "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	var row userRow
	if err := s.db.View(func(tx *table.Tx) (err error) { row, err = getUser(tx, u.ID); return err }); err != nil {
		t.Fatal(err)
	}
	const passes, kibibytes = 2, 19 * 1024
	want := argon2.IDKey([]byte("correct horse"), row.Password.Salt, passes, kibibytes, 1, 32)
	if len(row.Password.Salt) != 16 || !bytes.Equal(row.Password.Hash, want) {
		t.Errorf("it was hashed in %d passes over %d KiB, with a salt of %d bytes", row.Password.Time, row.Password.Memory, len(row.Password.Salt))
	}
}

func newPasswordEnds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bearer := admin(t, s, "ann", "first")
	_, session, err := s.Logins.Login("ann", "first", Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Users.UpdateOwn(ann.ID, Proof{Password: "wrong"}, UserPatch{Name: "eve", Password: "second"}, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("with a wrong password: %v", err)
	}
	if u, err := s.Users.Get(ann.ID); err != nil || u.Name != "ann" {
		t.Errorf("the refused update changed the name: %+v, %v", u, err)
	}
	u, err := s.Users.UpdateOwn(ann.ID, Proof{}, UserPatch{Name: "Anna"}, dawn)
	if err != nil || u.Name != "Anna" || !u.Admin {
		t.Errorf("another name alone: %+v, %v", u, err)
	}
	if _, _, err := s.Logins.Authenticate(session, dawn); err != nil {
		t.Errorf("another name ended the session: %v", err)
	}
	if _, err := s.Users.UpdateOwn(ann.ID, Proof{Password: "first"}, UserPatch{Password: "second"}, dawn); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(session, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the session: %v", err)
	}
	if _, _, err := s.Logins.Authenticate(bearer, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the bearer token: %v", err)
	}
	if _, _, err := s.Logins.Login("Anna", "first", Visit{}, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the former password: %v", err)
	}
	if _, _, err := s.Logins.Login("anna", "second", Visit{}, dawn); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := s.Users.UpdateOwn(newID(), Proof{}, UserPatch{Name: "bob"}, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown user: %v", err)
	}
}

func namesUnique(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	for _, name := range []string{"ánn", "Аnn", "ΑΝΝ"} {
		if _, err := s.Users.UpdateOwn(bob.ID, Proof{}, UserPatch{Name: name}, dawn); !errors.Is(err, ErrLooksTaken) {
			t.Errorf("a name that looks like another: %v", err)
		}
	}
	if _, err := s.Users.UpdateOwn(bob.ID, Proof{}, UserPatch{Name: "ANN"}, dawn); !errors.Is(err, ErrTaken) {
		t.Errorf("a name in use: %v", err)
	}
	if u, err := s.Users.UpdateOwn(ann.ID, Proof{}, UserPatch{Name: "Ann"}, dawn); err != nil || u.Name != "Ann" {
		t.Errorf("the own name, spelled otherwise: %+v, %v", u, err)
	}
	// Both at once.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, u := range []idlepush.User{ann, bob} {
		wg.Go(func() { _, errs[i] = s.Users.UpdateOwn(u.ID, Proof{}, UserPatch{Name: "carl"}, dawn) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), ErrTaken) {
		t.Errorf("both at once: %v", errs)
	}
}

func passwordChanged(t *testing.T) {
	t.Parallel()
	s, fault := faultyStore(t)
	ann, _ := admin(t, s, "ann", "first")
	// No password is hashed until the end of this, so what was read of the user is old by then.
	for range cap(s.hashes) {
		s.hashes <- struct{}{}
	}
	var read atomic.Int32
	*fault = func() error { read.Add(1); return nil }
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() {
		_, errs[0] = s.Users.UpdateOwn(ann.ID, Proof{Password: "first"}, UserPatch{Password: "third"}, dawn)
	})
	wg.Go(func() { _, _, errs[1] = s.Logins.Login("ann", "first", Visit{}, dawn) })
	testenv.Await(t, "both have read the user", func() error {
		if n := read.Load(); n < 2 {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	err := s.db.Update(func(tx *table.Tx) error {
		row, err := getUser(tx, ann.ID)
		if err != nil {
			return err
		}
		row.Password.Hash = bytes.Clone(row.Password.Hash)
		row.Password.Hash[0] ^= 1
		return users.Put(tx, id(ann.ID), row)
	})
	if err != nil {
		t.Fatal(err)
	}
	for range cap(s.hashes) {
		<-s.hashes
	}
	wg.Wait()
	if !errors.Is(errs[0], ErrDenied) || !errors.Is(errs[1], ErrDenied) {
		t.Errorf("%v, want both denied", errs)
	}
}

func tokensOwn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	row, secret, err := s.Logins.AddToken(ann.ID, "phone app", idlepush.ScopeDevice, "", dawn)
	if err != nil || !strings.HasPrefix(secret, "idlepush_") {
		t.Fatal(row, err)
	}
	if u, got, err := s.Logins.Authenticate(secret, dawn); err != nil || u != ann || got.ID != row.ID || got.Scope != idlepush.ScopeDevice || !got.Used.Equal(dawn) {
		t.Errorf("%+v %+v, %v", u, got, err)
	}
	row.Used = dawn
	if list, err := s.Logins.Tokens(ann.ID); err != nil || len(list) != 1 || list[0] != row {
		t.Errorf("tokens %+v, %v", list, err)
	}
	if list, err := s.Logins.Tokens(bob.ID); err != nil || len(list) > 0 {
		t.Errorf("another's tokens %+v, %v", list, err)
	}
	if err := s.Logins.RemoveToken(bob.ID, row.ID, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed by another: %v", err)
	}
	if err := s.Logins.RemoveToken(ann.ID, row.ID, ""); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Logins.Authenticate(secret, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("after its end: %v", err)
	}
	if _, _, err := s.Logins.AddToken(newID(), "x", idlepush.ScopeFull, "", dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("for an unknown user: %v", err)
	}
}

func tokenOfRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	_, secret, err := s.Logins.AddToken(ann.ID, "x", idlepush.ScopeFull, "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Update(func(tx *table.Tx) error { return users.Delete(tx, id(ann.ID)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(secret, dawn.Add(time.Hour)); !errors.Is(err, ErrDenied) {
		t.Errorf("%v", err)
	}
}

// setupTokenStays: the admin is made by then, and a second try would
// only learn that setup is done.
func setupTokenStays(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	token, err := s.Users.SetupToken()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, setupFile)
	if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "not empty"), 0o700)); err != nil {
		t.Fatal(err)
	}
	u, secret, err := s.Users.Setup(token, "ann", "a good password", "", nil, dawn)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.Logins.Authenticate(secret, dawn); err != nil || got != u {
		t.Errorf("the token is of %+v, %v", got, err)
	}
}

package registry

import (
	"errors"
	"fmt"
	"testing"
)

func TestBrowsers(t *testing.T) {
	t.Parallel()
	t.Run("a browser is recognized for those who have logged in with it, also after a restart", browserRecognized)
	t.Run("of too many browsers the one that is used least is forgotten", browsersBounded)
	t.Run("a secret that was not made here is replaced", browserSecret)
	t.Run("none is recognized after a new password", browsersForgotten)
}

func browserRecognized(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := must(Open(dir, unsynced))
	ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
	laptop := must(s.Logins.Remember(ann.ID, ""))
	if again := must(s.Logins.Remember(ann.ID, laptop)); again != laptop {
		t.Errorf("the second login changes the secret to %q", again)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	recognized := func(name, browser, wantUser string, want bool) {
		t.Helper()
		if user, known, err := s.Logins.Recognize(name, browser); err != nil || user != wantUser || known != want {
			t.Errorf("%s with %q: %q, %v, %v", name, browser, user, known, err)
		}
	}
	recognized("ANN", laptop, ann.ID, true)
	recognized("ann", "", ann.ID, false)
	recognized("ann", "another", ann.ID, false)
	recognized("ben", laptop, ben.ID, false)
	recognized("eve", laptop, "", false)
	if _, err := s.Users.UpdateOwn(ann.ID, Proof{}, UserPatch{Name: "anna"}, dawn); err != nil {
		t.Fatal(err)
	}
	recognized("anna", laptop, ann.ID, true)
	if same := must(s.Logins.Remember(ben.ID, laptop)); same != laptop {
		t.Errorf("another person's login changes the secret to %q", same)
	}
	recognized("ben", laptop, ben.ID, true)
	recognized("anna", laptop, ann.ID, true)
	if _, err := s.Logins.Remember(newID(), laptop); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func browsersBounded(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	ann := resident(t, s, "ann")
	var made []string
	for range maxBrowsers {
		made = append(made, must(s.Logins.Remember(ann.ID, "")))
	}
	for i := range 3 { // the first is used again, and so the others are older
		must(s.Logins.Remember(ann.ID, made[0]))
		made = append(made, must(s.Logins.Remember(ann.ID, "")))
		for n, browser := range made {
			if _, known, err := s.Logins.Recognize("ann", browser); err != nil || known != (n == 0 || n > i+1) {
				t.Errorf("after %d more, browser %d is known: %v, %v", i+1, n, known, err)
			}
		}
	}
}

func browsersForgotten(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	ann := resident(t, s, "ann")
	his := must(s.Logins.Remember(ann.ID, ""))
	if _, err := s.Users.UpdateOwn(ann.ID, Proof{Password: "password"}, UserPatch{Password: "another"}, dawn); err != nil {
		t.Fatal(err)
	}
	if user, known, err := s.Logins.Recognize("ann", his); err != nil || known || user != ann.ID {
		t.Errorf("%q, %v, %v", user, known, err)
	}
}

func browserSecret(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	ann := resident(t, s, "ann")
	for _, planted := range []string{"", "x", fmt.Sprintf("%035d", 1), newToken() + "x"} {
		if made := must(s.Logins.Remember(ann.ID, planted)); made == planted || len(made) != len(newToken()) {
			t.Errorf("%q becomes %q", planted, made)
		}
	}
}

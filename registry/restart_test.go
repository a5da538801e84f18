package registry

import (
	"testing"
	"time"
)

// endInOrder ends the program as a signal does, and starts it again.
func endInOrder(t testing.TB, s *Store) {
	t.Helper()
	if err := s.endRun(); err != nil {
		t.Fatal(err)
	}
	reopen(t, s)
}

// TestRestart reads three mails elsewhere after the program has ended. The phone needs a clear for
// what it may show.
func TestRestart(t *testing.T) {
	t.Parallel()
	inOrder := func(t *testing.T, s *Store) *Store {
		endInOrder(t, s)
		return s
	}
	restored := func(t *testing.T, s *Store) *Store {
		if err := s.MarkRestored(dawn); err != nil {
			t.Fatal(err)
		}
		return inOrder(t, s)
	}
	for name, c := range map[string]struct {
		sending bool // when the program ends
		ends    []func(*testing.T, *Store) *Store
		want    []string
	}{
		"in order, with nothing on its way":             {false, []func(*testing.T, *Store) *Store{inOrder}, nil},
		"in order, while something was sent":            {true, []func(*testing.T, *Store) *Store{inOrder}, []string{"clear 3"}},
		"by a crash":                                    {false, []func(*testing.T, *Store) *Store{crashed}, []string{"clear 3"}},
		"by a crash, and then in order":                 {true, []func(*testing.T, *Store) *Store{crashed, inOrder}, []string{"clear 3"}},
		"in order, and the backup of that was restored": {false, []func(*testing.T, *Store) *Store{inOrder, restored, inOrder}, []string{"clear 3"}},
		"in order, and then by a crash":                 {false, []func(*testing.T, *Store) *Store{inOrder, crashed}, []string{"clear 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, a, d := onePhone(t)
			arrive(t, s, a, 3, dawn)
			if c.sending {
				first(t, s, d, dawn)
			}
			for _, end := range c.ends {
				s = end(t, s)
			}
			clearMail(t, s, a, 3, 1, 2, 3)
			wantSent(t, dispatch(t, s, d, dawn, rings), c.want...)
		})
	}
	t.Run("in order, once held mail was decided again", func(t *testing.T) {
		s, _, a, d := onePhone(t)
		arrive(t, s, a, 3, dawn)
		morning := dawn.Add(time.Hour)
		wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(morning))))
		w := first(t, s, d, morning)
		if _, err := s.Outbox.Combine(w, morning, rings); err != nil || !w.HoldEnded {
			t.Fatalf("the hold has ended: %v, %v", w.HoldEnded, err)
		}
		endInOrder(t, s)
		clearMail(t, s, a, 3, 1, 2, 3)
		wantSent(t, dispatch(t, s, d, morning, rings))
	})
}

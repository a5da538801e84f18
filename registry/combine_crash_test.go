package registry

import (
	"slices"
	"testing"
	"time"
)

// A phone shows what was sent before a crash and not settled. A summary must not count it, and it
// is taken away once it is read.
func TestCombineOverCrash(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, maxTogether+2, dawn)
	w := first(t, s, d, dawn)
	for range maxTogether - 1 {
		w = follow(t, s, w, dawn)
	}
	s = crashed(t, s)
	later := dawn.Add(time.Minute)
	// As after burst-limit was lowered.
	if err := holdWork(s, first(t, s, d, dawn), later, dawn); err != nil {
		t.Fatal(err)
	}
	if n, err := combineWork(s, first(t, s, d, later), later); err != nil || n != 2 {
		t.Errorf("%d are combined, want the 2 that were not sent: %v", n, err)
	}
	clearMail(t, s, a, 2, 2, maxTogether)
	clears, _ := clearsOf(t, s, d, later)
	for _, id := range []string{ids[1], ids[maxTogether-1]} {
		if !slices.Contains(clears, id) {
			t.Errorf("%s is on the phone and read, and is not taken away", id)
		}
	}
}

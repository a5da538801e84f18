package registry

import (
	"slices"
	"testing"
)

// The program may crash right after it has sent a mail of which a Clear was about to commit.
func TestClearAsSent(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1} { // accepted and not settled
		s := newStore(t)
		ann := someone(t, s, "ann")
		a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
		ids := arrive(t, s, a, before+1, dawn)
		var sent []*sentWork
		if before > 0 {
			sent = append(sent, &sentWork{Work: first(t, s, d, dawn), Outcome: Outcome{Result: ResultDelivered}, at: dawn})
		}
		isSent := false
		if err := s.updateQueues(dawn, func(set *queueSet) error { // as Mail.Clear
			u := s.newWithdrawal(set, id(a.ID))
			n, _, err := byStableID.Row(set.tx, stableKey{id(a.ID), ids[before]})
			if err != nil {
				return err
			}
			if _, err := u.withdraw(n); err != nil {
				return err
			}
			var stale bool
			if _, isSent, stale, err = s.Outbox.next(id(d.ID), sent, dawn); !isSent && !stale {
				t.Error("nothing waits before the commit")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		s = crashed(t, s)
		if clears, _ := clearsOf(t, s, d, dawn); isSent && !slices.Contains(clears, ids[before]) {
			t.Errorf("behind %d: it was sent and read, and is not taken away", before)
		}
	}
}

// What was sent before a crash is known, whatever older mail is to ring since.
func TestClearBehindOlder(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	oldMail(t, s, a, maxTogether, false)
	ids := arrive(t, s, a, 1, dawn)
	first(t, s, d, dawn)
	s = crashed(t, s)
	if err := s.Outbox.RingOld(foundOld(t, s, maxTogether)[0], dawn); err != nil {
		t.Fatal(err)
	}
	clearMail(t, s, a, 1, 1)
	if clears, _ := clearsOf(t, s, d, dawn); !slices.Equal(clears, ids) {
		t.Errorf("%q are taken away, want %q", clears, ids)
	}
}

// Mail that a Clear which failed would have withdrawn is sent.
func TestClearFails(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 1, dawn)
	err := s.updateQueues(dawn, func(set *queueSet) error {
		u := s.newWithdrawal(set, id(a.ID))
		n, _, err := byStableID.Row(set.tx, stableKey{id(a.ID), ids[0]})
		if err != nil {
			return err
		}
		if _, err := u.withdraw(n); err != nil {
			return err
		}
		return errFault
	})
	if err != errFault {
		t.Fatal(err)
	}
	if went := drain(t, s, d, dawn); !slices.Equal(went, ids) {
		t.Errorf("%v went, want %v", went, ids)
	}
}

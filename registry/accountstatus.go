package registry

import (
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// SetState writes the state of an account's session, if state, reason or Retry have changed, or if
// the password has logged in for the first time. A new codes.Now alone is no change. Since stays
// until the state changes, though the reason may change before. Proof and LoggedIn stay if those of
// st are earlier.
//
// A change to Attention queues a notification for every device of those who see the account, in the
// same transaction. It replaces an earlier one, and is withdrawn when the account works again. What
// does not fit one transaction takes several.
//
// SetState returns ErrStale if a person has edited the account since seen was read: the session is
// one of the account before.
func (m Mail) SetState(seen idlepush.Account, st idlepush.Status) error {
	// A session that says the same at every look is not to cost a commit each time.
	changed := false
	err := m.db.View(func(tx *table.Tx) (err error) {
		_, _, changed, err = compareStatus(tx, seen, st)
		return err
	})
	if err != nil || !changed {
		return err
	}
	return m.updateQueuesInSteps(st.Since, func(set *queueSet) (done bool, err error) { return m.setState(set, seen, st) })
}

// TryAgain has an account tried again whose session has ended for good, because its login works
// now. It reports whether the session had ended.
//
// TryAgain returns ErrStale as SetState does.
func (m Mail) TryAgain(seen idlepush.Account, now time.Time) (ended bool, err error) {
	err = m.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		s, _, err := standings.Get(set.tx, id(seen.ID))
		if ended = err == nil && s.Status.status().Ended(); !ended {
			return true, err
		}
		return m.setState(set, seen, idlepush.Status{State: idlepush.StateNew, Since: now, LoggedIn: now})
	})
	return ended, err
}

// setState writes the state of a session. It withdraws the earlier notification before it writes a
// new one. done reports whether all of that fitted the transaction.
func (m Mail) setState(set *queueSet, seen idlepush.Account, st idlepush.Status) (done bool, err error) {
	row, s, changed, err := compareStatus(set.tx, seen, st)
	if err != nil || !changed {
		return true, err
	}
	set.reserved = 2 // the standing
	newAttention := st.State == idlepush.StateAttention && s.Status.State != idlepush.StateAttention
	if s.Told != "" && (newAttention || st.State == idlepush.StateWatching || st.State == idlepush.StatePolling) {
		if done, err := m.withdrawByID(set, seen.ID, row, s.Told); err != nil || !done {
			return false, err
		}
		s.Told = ""
	}
	if newAttention && set.opsLeft() < notificationCost+len(row.viewers()) {
		return false, standings.Put(set.tx, id(seen.ID), s)
	}
	kept := s.Status
	s.Status = statusRowOf(st)
	s.Status.Proof, s.Status.LoggedIn = later(st.Proof, kept.Proof), later(st.LoggedIn, kept.LoggedIn)
	if kept.State == st.State {
		s.Status.Since = kept.Since
	}
	if newAttention {
		recipients, err := recipientsOf(set.tx, id(seen.ID), row)
		if err != nil {
			return false, err
		}
		n := idlepush.Notification{ID: stableID(string(idlepush.KindAttention), seen.ID, st.Since.String()), Kind: idlepush.KindAttention, Account: seen.ID,
			At: st.Since, Expires: st.Since.Add(idlepush.KindAttention.Lifetime()),
			Reason: st.Reason.With(codes.Account, row.Email)}
		if err := set.insert(n, idsOf(recipients)); err != nil {
			return false, err
		}
		s.Told = n.ID
	}
	return true, standings.Put(set.tx, id(seen.ID), s)
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// compareStatus returns an account and its standing, and reports whether the status is a change.
func compareStatus(tx *table.Tx, seen idlepush.Account, st idlepush.Status) (row accountRow, s standingRow, changed bool, err error) {
	if row, err = accountRowOf(tx, seen.ID); err != nil {
		return row, s, false, err
	}
	if !row.Edited.Equal(seen.Edited) {
		return row, s, false, ErrStale
	}
	s, _, err = standings.Get(tx, id(seen.ID))
	before := s.Status
	changed = before.State != st.State || !st.Repeats(before.status().Reason) || !before.Retry.Equal(st.Retry) || before.LoggedIn.IsZero() && !st.LoggedIn.IsZero()
	return row, s, changed, err
}

// withdrawByID withdraws a notification of the account that is no longer true. done reports whether
// all of that fitted the transaction.
func (m Mail) withdrawByID(set *queueSet, account string, row accountRow, stable string) (done bool, err error) {
	n, found, err := byStableID.Row(set.tx, stableKey{id(account), stable})
	if err != nil {
		return false, err
	}
	if !found {
		return true, clearPurged(set, account, row, stable)
	}
	t := m.newWithdrawal(set, id(account))
	if done, err = t.withdraw(n); err != nil {
		return false, err
	}
	return done, t.sendClears()
}

// clearPurged queues a clear of a notification that Purge has removed. Each device that the account
// notifies may show it still.
func clearPurged(set *queueSet, account string, row accountRow, stable string) error {
	recipients, err := recipientsOf(set.tx, id(account), row)
	if err != nil || len(recipients) == 0 {
		return err
	}
	return set.insert(clearOf(account, []string{stable}, set.now), idsOf(recipients))
}

package registry

import (
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Update replaces the fields of the account a.ID that a person can edit, and sets its state to new.
// If only its name, its link or its people have changed, the state stays, unless it is Attention
// and nothing is tried again by itself. Update returns ErrStale if the account was edited since a
// was read, and ErrTaken if another account is that mailbox already.
//
// A changed login counts as one that has never worked; a.Status has no effect. If a.OAuth is set,
// a.Password is a new refresh token; empty: the one that is there stays, unless provider, host,
// port, security or user name change.
//
// Cursors stay, except those of folders that are no longer watched: such a folder, watched again
// later, starts from its end.
//
// Whoever is new in a.SharedWith sees the notifications from now on. Whoever is new in a.OfferedTo
// is offered the account, and notified; see codeShareOffered. If one of them has declined or left
// an account of the owner within 7 days, Update returns a RefusedError.
//
// If the account is another mailbox now, all cursors and offers of it are removed, and who no
// longer shares it is notified; see [CodeShareEnded]. If too many people change for one
// transaction, the account is shared with some of them before the rest is changed, and new offers
// come last.
func (s Accounts) Update(a idlepush.Account, now time.Time) (idlepush.Account, error) {
	return s.UpdateChecked(a, "", time.Time{}, now)
}

// UpdateChecked is Update by a session or token of the owner, which may be empty. It returns
// ErrDenied if that has ended. The caller has logged in to a, at the time loggedIn; zero: it has
// not. Then a login that was refused is tried again at once.
func (s Accounts) UpdateChecked(a idlepush.Account, session string, loggedIn, now time.Time) (out idlepush.Account, err error) {
	return s.update(a, session, loggedIn, now, nil)
}

// UpdateByAdmin is UpdateChecked for the admin token, which tells the owner.
func (s Accounts) UpdateByAdmin(a idlepush.Account, loggedIn, now time.Time) (out idlepush.Account, err error) {
	return s.update(a, "", loggedIn, now, tellMailboxByAdmin)
}

func (s Accounts) update(a idlepush.Account, session string, loggedIn, now time.Time, by teller) (out idlepush.Account, err error) {
	if err := s.checkOffers(a, now); err != nil {
		return idlepush.Account{}, err
	}
	stored, cost := false, updateCost
	if by != nil {
		cost += toldCost
	}
	err = s.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		if err := checkAsker(set.tx, a.Owner, session, now); err != nil {
			return false, err
		}
		if !stored {
			out, stored, err = updateAccount(set, a, loggedIn, cost)
			if err != nil || !stored {
				a.Revision = out.Revision
				return false, err
			}
			if err := by.tell(set, out, out.Owner); err != nil {
				return false, err
			}
		}
		return offerTo(set, &out, a.OfferedTo)
	})
	if err != nil {
		return idlepush.Account{}, err
	}
	return withoutGrant(out), nil
}

// updateCost is what updateAccount reads and writes at most, without the cursors and the people of
// the account.
const updateCost = 15

// updateAccount writes the account. done reports whether all of that fitted the transaction. If
// not, only a part of the people it is shared with have changed. cost is what the transaction needs
// besides the cursors and the people.
func updateAccount(set *queueSet, a idlepush.Account, loggedIn time.Time, cost int) (out idlepush.Account, done bool, err error) {
	tx, now := set.tx, set.now
	old, row, err := accountToUpdate(tx, a)
	if err != nil {
		return a, false, err
	}
	if a.Mailbox() != old.Mailbox() && len(row.Offers) > 0 {
		row, _, err = updateOffers(set, a.ID, nil)
		a.Revision = row.Revision
		return a, false, err
	}
	folders, err := cursors.Keys(tx, table.Under(id(a.ID)), table.NoLimit)
	if err != nil {
		return a, false, err
	}
	another, stepCost := a.Mailbox() != old.Mailbox(), 2
	if another {
		stepCost = shareCost
	}
	left := set.opsLeft() - cost
	people, all := stepTowards(old.SharedWith, a.SharedWith, (left-len(folders))/stepCost)
	room := cost + len(folders)
	if !all {
		people, _ = stepTowards(old.SharedWith, a.SharedWith, left/stepCost)
		room = cost
	}
	if another {
		if err := notifySharesEnded(set, a.ID, row, people, room+2*len(people)); err != nil {
			return a, false, err
		}
	}
	if !all {
		if err := row.shareWith(tx, people, now); err != nil {
			return a, false, err
		}
		row.Revision++
		a.Revision = row.Revision
		return a, false, accounts.Put(tx, id(a.ID), row)
	}
	mended := old.Status.Failures > 0 && !loggedIn.IsZero()
	out = a
	out.Revision, out.Created, out.Owner, out.Edited, out.Status = old.Revision+1, old.Created, old.Owner, old.Edited, old.Status
	if loggedIn.IsZero() && a.Mailbox() == old.Mailbox() && a.OAuth == old.OAuth && a.Password == old.Password {
		loggedIn = old.Status.LoggedIn
	}
	if !isSameSession(a, old) || old.Status.Ended() || mended {
		out.Edited, out.Status = now, idlepush.Status{State: idlepush.StateNew, Since: now, Proof: old.Status.Proof, LoggedIn: loggedIn}
		if err := putStatus(tx, a.ID, out.Status); err != nil {
			return a, false, err
		}
	}
	if another {
		// Its UIDs may be those of the other one, and its mail is not.
		row.Mailbox = newID()
	}
	if err := removeCursors(tx, out, folders, another); err != nil {
		return a, false, err
	}
	if err := row.shareWith(tx, people, now); err != nil {
		return a, false, err
	}
	out.OfferedTo = row.offeredTo()
	return out, true, putAccount(tx, out, row)
}

// accountToUpdate returns the account that a is to replace, and its row. It returns ErrStale or
// ErrTaken as Update does.
func accountToUpdate(tx *table.Tx, a idlepush.Account) (old idlepush.Account, row accountRow, err error) {
	old, row, err = readAccount(tx, a.ID)
	if err == nil && old.Revision != a.Revision {
		err = ErrStale
	}
	if err != nil {
		return old, row, err
	}
	at, found, err := accountsAt.Row(tx, mailboxOf(a.Host, a.Username))
	if err == nil && found && string(at.Key) != a.ID {
		err = ErrTaken
	}
	return old, row, err
}

// stepTowards returns the people with at most maxSteps of the changes that lead to those wanted.
// all reports whether no more changes are needed.
func stepTowards(are, wanted []string, maxSteps int) (list []string, all bool) {
	list, all = slices.Clone(are), true
	set := func(is bool, person string) {
		switch {
		case is == slices.Contains(list, person):
		case maxSteps <= 0:
			all = false
		case is:
			list = append(list, person)
			maxSteps--
		default:
			list = slices.DeleteFunc(list, func(other string) bool { return other == person })
			maxSteps--
		}
	}
	for _, person := range are {
		set(slices.Contains(wanted, person), person)
	}
	for _, person := range wanted {
		set(true, person)
	}
	return list, all
}

// removeCursors removes the cursors in the list whose folders the account no longer watches. If all
// is true, it removes all of them and the unread count.
func removeCursors(tx *table.Tx, a idlepush.Account, list []folderKey, all bool) error {
	for _, k := range list {
		if !all && slices.Contains(a.Folders, k.folder) {
			continue
		}
		if err := cursors.Delete(tx, k); err != nil {
			return err
		}
	}
	if !all {
		return nil
	}
	st, _, err := standings.Get(tx, id(a.ID))
	if err != nil {
		return err
	}
	st.Unread = nil
	return standings.Put(tx, id(a.ID), st)
}

// isSameSession reports whether the same session serves both.
func isSameSession(a, b idlepush.Account) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Security == b.Security && a.Pin == b.Pin && a.Username == b.Username &&
		a.OAuth == b.OAuth && a.Password == b.Password && a.Enabled == b.Enabled && slices.Equal(a.Folders, b.Folders)
}

package registry

import (
	"math"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// accountRow is an account with its sealed password.
type accountRow struct {
	Account
	Sealed []byte
}

func (s *Store) putAccount(tx *bolt.Tx, a Account) {
	s.noteOf(AccountChanged, a.ID, a.ID)
	put(tx.Bucket(accounts), []byte(a.ID), accountRow{a, s.seals.seal("account/"+a.ID, string(a.Password))})
}

func (s *Store) account(tx *bolt.Tx, id string) (Account, error) {
	row, err := sealedAccount(tx, id)
	if err != nil {
		return Account{}, err
	}
	err = s.seals.open("account/"+id, row.Sealed, (*string)(&row.Password))
	return row.Account, err
}

// sealedAccount gives an account with its password still sealed: it serves where nobody logs in.
func sealedAccount(tx *bolt.Tx, id string) (row accountRow, err error) {
	found, err := get(tx.Bucket(accounts), []byte(id), &row)
	if err == nil && !found {
		err = ErrNotFound
	}
	return row, err
}

func (s *Store) accountsWhere(tx *bolt.Tx, match func(Account) bool) ([]Account, error) {
	var list []Account
	c := tx.Bucket(accounts).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		a, err := s.account(tx, string(k))
		if err != nil {
			return nil, err
		}
		if match(a) {
			list = append(list, a)
		}
	}
	return list, nil
}

// AddAccount stores a mailbox under a new id, with the state new. Where that mailbox exists already (host without regard
// to case, port, user name), it is shared with a.Owner instead and given as it is: the caller has proved that a.Password is
// right. One that waits for a person takes that password and begins anew. added tells which it was.
func (s *Store) AddAccount(a Account, now time.Time) (_ Account, added bool, err error) {
	a.ID, a.Created, a.Edited, a.Status = newID(), now, now, Status{State: New, Since: now}
	err = s.update(func(tx *bolt.Tx) error {
		same, err := s.accountsWhere(tx, a.sameMailbox)
		if err != nil {
			return err
		}
		if len(same) == 0 {
			added = true
			s.putAccount(tx, a)
			return nil
		}
		known := same[0]
		if !known.Visible(a.Owner) {
			known.SharedWith = append(known.SharedWith, a.Owner)
		}
		if known.Status.State == Attention {
			known.Password, known.Edited, known.Status = a.Password, now, Status{State: New, Since: now, Proof: known.Status.Proof}
		}
		a = known
		s.putAccount(tx, a)
		return nil
	})
	if err != nil {
		return Account{}, false, err
	}
	s.accounts.raise()
	return a, added, nil
}

// Account gives the account of that id, or ErrNotFound.
func (s *Store) Account(id string) (a Account, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		a, err = s.account(tx, id)
		return err
	})
	return a, err
}

// Accounts gives all accounts, oldest first.
func (s *Store) Accounts() (list []Account, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		list, err = s.accountsWhere(tx, func(Account) bool { return true })
		return err
	})
	slices.SortFunc(list, func(a, b Account) int { return a.Created.Compare(b.Created) })
	return list, err
}

// UpdateAccount replaces what a person can edit of the account a.ID and gives it a new start: its state is new again. Where only
// its name or the people it is shared with are others, it goes on as it was, unless it waits for a person.
// ErrTaken: another account is that mailbox already. Cursors stay; those of folders that are no longer watched go, so that
// a folder taken up again later starts from its end, and so do all where it is another mailbox now.
func (s *Store) UpdateAccount(a Account, now time.Time) (Account, error) {
	err := s.update(func(tx *bolt.Tx) error {
		old, err := s.account(tx, a.ID)
		if err != nil {
			return err
		}
		same, err := s.accountsWhere(tx, func(o Account) bool { return o.ID != a.ID && a.sameMailbox(o) })
		if err != nil {
			return err
		}
		if len(same) > 0 {
			return ErrTaken
		}
		a.Created, a.Owner, a.Edited, a.Status, a.Told = old.Created, old.Owner, old.Edited, old.Status, old.Told
		if !a.watchedAs(old) || old.Status.State == Attention {
			a.Edited, a.Status = now, Status{State: New, Since: now, Proof: old.Status.Proof}
		}
		another := !strings.EqualFold(a.Host, old.Host) || a.Username != old.Username
		if a.Mailbox = old.Mailbox; another {
			// Its UIDs may be those of the other one, and its mail is not.
			a.Mailbox = newID()
		}
		for _, k := range prefixed(tx.Bucket(cursors), []byte(a.ID), math.MaxInt) {
			if another || !slices.Contains(a.Folders, string(k[len(a.ID):])) {
				must(tx.Bucket(cursors).Delete(k))
			}
		}
		if another {
			must(tx.Bucket(unread).Delete([]byte(a.ID)))
		}
		s.putAccount(tx, a)
		s.note(AccountChanged, a.ID, old.viewers()...) // also those with whom it is shared no more
		return nil
	})
	if err != nil {
		return Account{}, err
	}
	s.accounts.raise()
	return a, nil
}

// viewers are the users who may see the account.
func (a Account) viewers() []string { return append([]string{a.Owner}, a.SharedWith...) }

// sameMailbox reports whether the two are one mailbox, whatever they are called.
func (a Account) sameMailbox(b Account) bool {
	return strings.EqualFold(a.Host, b.Host) && a.Port == b.Port && a.Username == b.Username
}

// watchedAs reports whether a session for the one is a session for the other.
func (a Account) watchedAs(b Account) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Security == b.Security && a.Username == b.Username && a.Password == b.Password &&
		a.Enabled == b.Enabled && slices.Equal(a.Folders, b.Folders)
}

// RemoveAccount removes the account with its cursors; what is queued for it will not be sent. Its activity goes with
// the next Purge.
func (s *Store) RemoveAccount(id string) error {
	err := s.update(func(tx *bolt.Tx) error {
		a, err := sealedAccount(tx, id)
		if err != nil {
			return err
		}
		s.removeAccount(tx, a.Account)
		return nil
	})
	if err == nil {
		s.accounts.raise()
	}
	return err
}

func (s *Store) removeAccount(tx *bolt.Tx, a Account) {
	s.note(AccountChanged, a.ID, a.viewers()...)
	for _, k := range prefixed(tx.Bucket(cursors), []byte(a.ID), math.MaxInt) {
		must(tx.Bucket(cursors).Delete(k))
	}
	must(tx.Bucket(accounts).Delete([]byte(a.ID)))
	must(tx.Bucket(unread).Delete([]byte(a.ID)))
}

// SetAccountState writes how the session of an account stands, if state or code are a change; an earlier proof than the last is none. Entering Attention queues, in the
// same transaction, one notification that says so to every device of those who see the account, in the place of one from before; working again takes it away. ErrStale: a person has edited
// the account since seen was read, so the session that speaks is not of this account any more.
func (s *Store) SetAccountState(seen Account, st Status) error {
	id, woken := seen.ID, false
	var a Account
	changes := func(tx *bolt.Tx) (change bool, err error) {
		if a, err = s.account(tx, id); err == nil && !a.Edited.Equal(seen.Edited) {
			err = ErrStale
		}
		return a.Status.State != st.State || a.Status.Code != st.Code, err
	}
	// A session that says the same at every look is not to cost a commit each time.
	change := false
	if err := s.view(func(tx *bolt.Tx) (err error) { change, err = changes(tx); return err }); err != nil || !change {
		return err
	}
	err := s.update(func(tx *bolt.Tx) error {
		if change, err := changes(tx); err != nil || !change {
			return err
		}
		old := a.Status
		a.Status = st
		if st.Proof.Before(old.Proof) {
			a.Status.Proof = old.Proof
		}
		anew := st.State == Attention && old.State != Attention
		var told []Device
		if anew {
			var err error
			if told, err = ringing(tx, a); err != nil {
				return err
			}
			// What enqueue reads below is read here too, before takeAway writes.
			if _, err := queuesOf(tx, told, st.Since); err != nil {
				return err
			}
		}
		if a.Told != "" && (anew || st.State == Watching || st.State == Polling) {
			n, key, err := s.under(tx, messageKey(id, a.Told))
			if err == nil && key != nil {
				err = s.takeAway(tx, id, []found{{Notification: n, key: key}}, st.Since)
			}
			if err != nil {
				return err
			}
			a.Told, woken = "", true
		}
		if anew {
			n := Notification{ID: stableID(string(AttentionKind), id, st.Since.String()), Kind: AttentionKind, Account: id,
				At: st.Since, Expires: st.Since.Add(AttentionKind.Lifetime()), Code: st.Code, Text: a.Email + ": " + st.Reason}
			if err := s.enqueue(tx, n, told, st.Since); err != nil {
				return err
			}
			a.Told, woken = n.ID, true
		}
		s.putAccount(tx, a)
		return nil
	})
	if woken {
		s.outbox.raise()
	}
	return err
}

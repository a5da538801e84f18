package registry

import (
	"bytes"
	"cmp"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Wordless gives the account's mail that rang without words, and that has neither expired nor been
// cleared: where it is and when it rang, without its content and deliveries.
func (s *Store) Wordless(account string, now time.Time) (list []Notification, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(announced).Cursor()
		for k, nkey := c.Seek([]byte(account)); bytes.HasPrefix(k, []byte(account)); k, nkey = c.Next() {
			// Most mail has words, and reading a row takes its time.
			if !bytes.Contains(tx.Bucket(notifications).Get(nkey), []byte(`"Wordless":true`)) {
				continue
			}
			var n Notification
			if _, err := get(tx.Bucket(notifications), nkey, &n); err != nil {
				return err
			}
			if n.Wordless && now.Before(n.Expires) {
				n.Deliveries = nil
				list = append(list, n)
			}
		}
		return nil
	})
	return list, err
}

// FillIn gives a mail that rang without words what it says, in one transaction. Where it waits to
// be sent it goes with its words; where it was delivered it is queued again under the same id, but
// only for devices to which the words say something. One that was cleared or has words is passed
// over, one that has expired rings no more. Words by which the mail is known from another place: it
// rang there already, so what rang without words is taken away, unless that other was cleared.
// ErrNotFound: the account is gone. It reports whether the mail has its words now.
func (s *Store) FillIn(account, folder string, uidValidity uint32, m Mail, now time.Time) (filled bool, err error) {
	err = s.update(func(tx *bolt.Tx) error {
		a, err := sealedAccount(tx, account)
		if err != nil {
			return err
		}
		place := announcedKey(account, folder, uidValidity, m.UID)
		list, err := s.ranAt(tx, [][]byte{place})
		if err != nil || len(list) == 0 || !list[0].Wordless || list[0].ID != StableID(cmp.Or(a.Mailbox, a.ID), folder, uidValidity, m.UID) {
			return err // in the last case the account was turned into another mailbox
		}
		told, err := ringing(tx, a.Account)
		if err != nil {
			return err
		}
		queues, err := queuesOf(tx, told, now)
		if err != nil {
			return err
		}
		f, old := list[0], list[0].Notification
		f.Wordless, f.Content = false, m.Content.At(storedLevel(told))
		twin, err := s.twin(tx, f, m.Fingerprint)
		if err != nil {
			return err
		}
		if twin.key != nil && twin.Cleared.IsZero() {
			if err := s.clear(tx, account, []found{f}, now); err != nil {
				return err
			}
			must(tx.Bucket(announced).Delete(place))
			s.move(tx, twin.key, twin.Notification, Arrival{Account: account, Folder: folder, To: Cursor{UIDValidity: uidValidity}}, m)
			filled = true
			return nil
		}
		if twin.key == nil && now.Before(f.Expires) {
			f.again(tx, told, queues, old.Content, now)
		}
		if m.Fingerprint != "" {
			f.Fingerprint = m.Fingerprint
			must(tx.Bucket(messages).Put(fingerprintKey(account, m.Fingerprint), f.key))
		}
		s.putNotification(tx, f.key, f.Notification)
		filled = true
		return nil
	})
	if err == nil && filled {
		s.outbox.raise()
	}
	return filled, err
}

// again queues mail that was delivered for those of the devices to which its content says more than
// the old did.
func (f *found) again(tx *bolt.Tx, told []Device, queues []waiting, old Content, now time.Time) {
	for i, d := range told {
		at := f.delivery(d.ID)
		if at < 0 || f.Deliveries[at].State != Delivered || f.Content.At(d.Content) == old.At(d.Content) {
			continue
		}
		f.Deliveries[at].State, f.Deliveries[at].Before = Pending, f.Deliveries[at].At
		queues[i].add(tx, f.line(), f.key, now)
	}
}

// twin gives the other notification that the fingerprint is known by; without a key: there is none.
func (s *Store) twin(tx *bolt.Tx, f found, fingerprint string) (twin found, err error) {
	if fingerprint == "" {
		return found{}, nil
	}
	twin.Notification, twin.key, err = s.under(tx, fingerprintKey(f.Account, fingerprint))
	if bytes.Equal(twin.key, f.key) {
		twin.key = nil
	}
	return twin, err
}

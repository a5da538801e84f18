package registry

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// MostMails bounds the mails of one Arrival.
const MostMails = 50

// Arrival is what one catch-up of a folder found, or one step of it.
type Arrival struct {
	Account, Folder string
	Edited          time.Time // of the account that was looked at; zero: not checked
	From            Cursor    // as it was read before the look; Seen does not matter
	To              Cursor    // with all Mails handled; its Seen is At where it is zero
	Mails           []Mail    // in the order they ring; at most MostMails
	Unread          *int      // how many mails of the account are unread now; nil: not known
	At              time.Time
}

// Record stores new mail as notifications, puts each into the queue of every device that it rings, and moves the cursor: all
// in one transaction. A mail that is recorded already does not ring again, also one that is known by its fingerprint from another place in the
// account: then this is where it is now. ErrStale: the cursor is no longer at a.From, or the account was edited; ErrNotFound: the account is gone or
// disabled. It returns how many notifications are new.
func (s *Store) Record(a Arrival) (recorded int, err error) {
	if len(a.Mails) > MostMails {
		return 0, fmt.Errorf("record %d mails at once: at most %d", len(a.Mails), MostMails)
	}
	if a.To.Seen.IsZero() {
		a.To.Seen = a.At
	}
	err = s.update(func(tx *bolt.Tx) error {
		account, err := sealedAccount(tx, a.Account)
		if err != nil {
			return err
		}
		if !account.Enabled {
			return ErrNotFound
		}
		if !a.Edited.IsZero() && !a.Edited.Equal(account.Edited) {
			return ErrStale
		}
		mailbox := cmp.Or(account.Mailbox, account.ID)
		key := []byte(a.Account + a.Folder)
		var at Cursor
		if _, err := get(tx.Bucket(cursors), key, &at); err != nil {
			return err
		}
		if at.UIDValidity != a.From.UIDValidity || at.Next != a.From.Next {
			return ErrStale
		}
		told, err := ringing(tx, account.Account)
		if err != nil {
			return err
		}
		waiting, err := queuesOf(tx, told, a.At)
		if err != nil {
			return err
		}
		level := storedLevel(told)
		fresh, moved, err := s.known(tx, a, mailbox)
		if err != nil {
			return err
		}
		for _, n := range moved {
			s.move(tx, n.key, n.Notification, a, n.mail)
		}
		for _, n := range fresh {
			n.Content = n.mail.Content.At(level)
			nkey := s.insert(tx, n.Notification, waiting, a.At)
			must(tx.Bucket(announced).Put(announcedKey(a.Account, a.Folder, a.To.UIDValidity, n.mail.UID), nkey))
			if n.mail.Fingerprint != "" {
				must(tx.Bucket(messages).Put(fingerprintKey(a.Account, n.mail.Fingerprint), nkey))
			}
			recorded++
		}
		if a.Unread != nil {
			put(tx.Bucket(unread), []byte(a.Account), *a.Unread)
			s.noteOf(AccountChanged, a.Account, a.Account)
		}
		put(tx.Bucket(cursors), key, a.To)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("record new mail: %w", err)
	}
	if recorded > 0 {
		s.outbox.raise()
	}
	return recorded, nil
}

// found is a mail with its notification, which has a key if it is stored already.
type found struct {
	Notification
	mail Mail
	key  []byte
}

// known parts the mails of an arrival into those that are to ring and those that rang when they were in another place.
func (s *Store) known(tx *bolt.Tx, a Arrival, mailbox string) (fresh, moved []found, err error) {
	seen := make(map[string]bool) // within the arrival: ids and fingerprints
	for _, m := range a.Mails {
		f := found{mail: m, Notification: Notification{ID: StableID(mailbox, a.Folder, a.To.UIDValidity, m.UID), Kind: MailKind, Account: a.Account,
			Folder: a.Folder, UIDValidity: a.To.UIDValidity, UID: m.UID, Fingerprint: m.Fingerprint, Wordless: m.Wordless,
			At: a.At, Expires: a.At.Add(MailKind.Lifetime())}}
		old, key, err := s.under(tx, messageKey(a.Account, f.ID))
		if err != nil {
			return nil, nil, err
		}
		if key != nil && old.Fingerprint != "" && m.Fingerprint != "" && old.Fingerprint != m.Fingerprint {
			// A server that was restored from a backup gives the same UID to another mail.
			f.ID = stableID(f.ID, m.Fingerprint)
			_, key, err = s.under(tx, messageKey(a.Account, f.ID))
		}
		if err != nil {
			return nil, nil, err
		}
		if key != nil || seen[f.ID] {
			continue
		}
		seen[f.ID] = true
		if m.Fingerprint == "" {
			if !m.Old {
				fresh = append(fresh, f)
			}
			continue
		}
		print := fingerprintKey(a.Account, m.Fingerprint)
		if old, f.key, err = s.under(tx, print); err != nil {
			return nil, nil, err
		}
		switch {
		case f.key != nil:
			f.Notification = old
			moved = append(moved, f)
		case !seen[string(print)] && !m.Old:
			fresh = append(fresh, f)
		}
		seen[string(print)] = true
	}
	return fresh, moved, nil
}

// under gives the notification that a key of messages leads to, with its own key; nil: there is none.
func (s *Store) under(tx *bolt.Tx, key []byte) (Notification, []byte, error) {
	nkey := slices.Clone(tx.Bucket(messages).Get(key))
	if nkey == nil {
		return Notification{}, nil, nil
	}
	n, there, err := s.notification(tx, nkey)
	if !there {
		nkey = nil
	}
	return n, nkey, err
}

// move notes that a mail that rang is in another place now.
func (s *Store) move(tx *bolt.Tx, nkey []byte, n Notification, a Arrival, m Mail) {
	if n.Folder == a.Folder && n.UIDValidity == a.To.UIDValidity && tx.Bucket(announced).Get(announcedKey(n.Account, n.Folder, n.UIDValidity, n.UID)) != nil {
		return // it came twice, and the first is there still
	}
	must(tx.Bucket(announced).Delete(announcedKey(n.Account, n.Folder, n.UIDValidity, n.UID)))
	n.Folder, n.UIDValidity, n.UID = a.Folder, a.To.UIDValidity, m.UID
	if n.Cleared.IsZero() {
		must(tx.Bucket(announced).Put(announcedKey(n.Account, n.Folder, n.UIDValidity, n.UID), nkey))
	}
	s.putNotification(tx, nkey, n)
}

// storedLevel is the highest level that any of the devices may be sent or may fetch: a device at Wake is sent nothing,
// and fetches sender and subject from here.
func storedLevel(told []Device) Level {
	highest := Wake
	for _, d := range told {
		l := d.Content
		if l == Wake {
			l = Subject
		}
		if l.rank() > highest.rank() {
			highest = l
		}
	}
	return highest
}

// Level gives what is stored of the account's mail as things are: the highest level that a device it rings may be sent
// or may fetch. ErrNotFound: there is no such account.
func (s *Store) Level(account string) (l Level, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		a, err := sealedAccount(tx, account)
		if err != nil {
			return err
		}
		told, err := ringing(tx, a.Account)
		l = storedLevel(told)
		return err
	})
	return l, err
}

// waiting is a device's queue while rows are being added to it.
type waiting struct {
	device    string
	transport Transport
	row       queueRow
	opens     time.Time // when the device's lane lets the next delivery out
}

// queuesOf reads what insert needs, so that it need not check anything while it writes.
func queuesOf(tx *bolt.Tx, told []Device, now time.Time) ([]waiting, error) {
	list := make([]waiting, len(told))
	for i, d := range told {
		q, err := queue(tx, d.ID)
		if err != nil {
			return nil, err
		}
		opens, err := laneOpens(tx, q.Lane, now)
		if err != nil {
			return nil, err
		}
		list[i] = waiting{d.ID, d.Transport, q, opens}
	}
	return list, nil
}

// enqueue stores a notification and puts it into the queue of each device; it checks all before it writes.
func (s *Store) enqueue(tx *bolt.Tx, n Notification, told []Device, now time.Time) error {
	list, err := queuesOf(tx, told, now)
	if err != nil {
		return err
	}
	s.insert(tx, n, list, now)
	return nil
}

// insert writes a notification and its place in each queue.
func (s *Store) insert(tx *bolt.Tx, n Notification, told []waiting, now time.Time) []byte {
	nkey, line := join(sequence(next(tx, now)), []byte(n.ID)), n.line()
	n.Deliveries = make([]Delivery, len(told))
	for i := range told {
		n.Deliveries[i] = Delivery{Device: told[i].device, State: Pending}
		told[i].add(tx, line, nkey, now)
	}
	s.putNotification(tx, nkey, n)
	must(tx.Bucket(messages).Put(messageKey(n.scope(), n.ID), nkey))
	return nkey
}

// add puts a notification into a line of the queue, at the place that its sequence gives it. A
// queue that waits for its due time goes on waiting, for the new row is not sent before the rows
// ahead of it; but where it is only other lines that are held back, the new row does not wait for
// them.
func (w *waiting) add(tx *bolt.Tx, line string, nkey []byte, now time.Time) {
	must(tx.Bucket(outbox).Put(outboxKey(w.device, line, nkey[:8]), nkey))
	if rides(w.transport, line) {
		return
	}
	at, holding := w.opens, false
	if l := w.row.Lines[line]; l.held(now) {
		at, holding = l.Until, true
	}
	if w.row.Due.IsZero() || w.row.Holding && at.Before(w.row.Due) {
		w.row.Holding = holding
		w.row = setDue(tx, w.device, w.row, at)
	}
}

// Cursor gives how far the folder has been handled; the zero cursor: never seen.
func (s *Store) Cursor(account, folder string) (c Cursor, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		_, err := get(tx.Bucket(cursors), []byte(account+folder), &c)
		return err
	})
	return c, err
}

// scope is what a notification's messages key begins with.
func (n Notification) scope() string {
	if n.Account != "" {
		return n.Account
	}
	return n.User
}

func messageKey(scope, id string) []byte { return []byte(scope + "/" + id) }

func fingerprintKey(account, fingerprint string) []byte {
	h := sha256.Sum256([]byte(fingerprint))
	return join([]byte(account+"#"), h[:16])
}

func announcedKey(account, folder string, uidValidity, uid uint32) []byte {
	key := binary.BigEndian.AppendUint32(announcedIn(account, folder), uidValidity)
	return binary.BigEndian.AppendUint32(key, uid)
}

// announcedIn is what the announced keys of a folder begin with.
func announcedIn(account, folder string) []byte {
	h := sha256.Sum256([]byte(folder))
	return join([]byte(account), h[:16])
}

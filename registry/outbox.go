package registry

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Queue names a device with work and its lane.
type Queue struct {
	Device string
	Lane   string
}

// Work is the head of a device's queue. Settle ends it.
type Work struct {
	Device       Device
	Notification Notification
	Mailbox      string      // the address of the account that it concerns; empty: it concerns none
	Link         string      // where a click on it leads, by its account's template; empty: to the page
	Unread       *int        // unread mails of all accounts that ring the device; nil: not known
	Clear        []string    // stable ids that the push is to take away beside what it shows
	Attempts     int         // tries so far
	Rang         []time.Time // when the line of the work last rang, oldest first, as far as Remember asked for
	Released     bool        // the line was held back, and that has ended: Combine ends it
	Remember     int         // how many times of ringing Settle is to keep of the line; 0: this one does not count

	key   []byte   // of its row
	rides []queued // what Clear was taken from
}

func dueKey(at time.Time, device string) []byte {
	return join(sequence(uint64(max(at.UnixNano(), 0))), []byte(device))
}

func dueTime(key []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(key))) }

// setDue moves a device's one due entry to the time at, or takes it away where at is zero, and writes the row.
func setDue(tx *bolt.Tx, device string, q queueRow, at time.Time) queueRow {
	b := tx.Bucket(due)
	if !q.Due.IsZero() {
		must(b.Delete(dueKey(q.Due, device)))
	}
	q.Due = at
	if !at.IsZero() {
		must(b.Put(dueKey(at, device), []byte(q.Lane)))
	}
	put(tx.Bucket(queues), []byte(device), q)
	return q
}

// Due gives at most limit queues that are due at now, longest due first, without the devices and lanes in busy; and when
// the next of the others will be due: zero where none will.
func (s *Store) Due(now time.Time, limit int, busy map[string]bool) (list []Queue, next time.Time, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(due).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			q := Queue{Device: string(k[8:]), Lane: string(v)}
			if busy[q.Device] || busy[q.Lane] {
				continue
			}
			if at := dueTime(k); at.After(now) {
				next = at
				return nil
			}
			if len(list) == limit {
				next = now
				return nil
			}
			list = append(list, q)
		}
		return nil
	})
	return list, next, err
}

// Next gives the head of the device's queue. Rows that are not to be sent any more go first, with the outcome that says
// why: expired, or removed where the account, the notification or the device's right to it is gone. False: nothing is left.
func (s *Store) Next(device string, now time.Time) (w Work, ok bool, err error) {
	for {
		var stale bool
		err := s.view(func(tx *bolt.Tx) error {
			w, stale, err = s.head(tx, device, now)
			return err
		})
		if err != nil || !stale {
			return w, w.key != nil, err
		}
		if err := s.update(func(tx *bolt.Tx) error { return s.drop(tx, device, now) }); err != nil {
			return Work{}, false, err
		}
	}
}

// head reads the row that is sent next: the oldest of those that are the first of their line, without the lines that are held back. stale: drop has
// something to do.
func (s *Store) head(tx *bolt.Tx, device string, now time.Time) (w Work, stale bool, err error) {
	d, err := s.device(tx, device)
	if err != nil {
		return Work{}, false, err
	}
	q, err := queue(tx, device)
	if err != nil {
		return Work{}, false, err
	}
	first, ok := leading(tx, d, q, now)
	if !ok {
		at, _ := nextDue(tx, d, q, time.Time{}, now)
		return Work{}, !q.Due.Equal(at), nil
	}
	n, found, err := s.notification(tx, first.nkey)
	if err != nil {
		return Work{}, false, err
	}
	if !found {
		return Work{}, true, nil
	}
	state, account, err := s.standing(tx, d, n, now)
	if err != nil || state != Pending {
		return Work{}, true, err
	}
	l := q.Lines[first.line]
	w = Work{Device: d, Notification: n, Mailbox: account.Email, Link: account.LinkTo(n), Rang: l.Rang, Released: !l.Until.IsZero(), key: first.key}
	if i := n.delivery(device); i >= 0 {
		w.Attempts = n.Deliveries[i].Attempts
	}
	if w.Unread, err = unreadOf(tx, d); err != nil {
		return Work{}, false, err
	}
	return w, false, s.takeRiders(tx, &w, now)
}

// leading gives the row that is sent next, if there is one.
func leading(tx *bolt.Tx, d Device, q queueRow, now time.Time) (first queued, ok bool) {
	for _, r := range firsts(tx, d.ID) {
		if rides(d.Transport, r.line) || q.Lines[r.line].held(now) {
			continue
		}
		if !ok || bytes.Compare(r.seq(), first.seq()) < 0 {
			first, ok = r, true
		}
	}
	return first, ok
}

// unreadOf is how many mails are unread in all accounts that ring the device, of which it is known.
func unreadOf(tx *bolt.Tx, d Device) (sum *int, err error) {
	c := tx.Bucket(accounts).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		// Most accounts of a large household are not this user's, and reading a row takes its time.
		if !bytes.Contains(v, []byte(d.User)) {
			continue
		}
		var row accountRow
		if _, err := get(tx.Bucket(accounts), k, &row); err != nil {
			return nil, err
		}
		var count int
		known, err := get(tx.Bucket(unread), k, &count)
		if err != nil {
			return nil, err
		}
		if known && row.Enabled && d.Rings(row.Account) {
			if sum == nil {
				sum = new(int)
			}
			*sum += count
		}
	}
	return sum, nil
}

// standing says whether a delivery is still to be sent, and gives its account, if it is about one.
func (s *Store) standing(tx *bolt.Tx, d Device, n Notification, now time.Time) (DeliveryState, Account, error) {
	if !now.Before(n.Expires) {
		return Expired, Account{}, nil
	}
	if n.Account == "" {
		if n.User != d.User {
			return Removed, Account{}, nil
		}
		return Pending, Account{}, nil
	}
	var row accountRow
	if found, err := get(tx.Bucket(accounts), []byte(n.Account), &row); err != nil {
		return "", Account{}, err
	} else if !found || !d.Rings(row.Account) {
		return Removed, Account{}, nil
	}
	return Pending, row.Account, nil
}

// mostDropped bounds the rows that one transaction drops.
const mostDropped = 50

// drop takes the rows that are not to be sent any more off the front of the line that leads a queue, and sets when the queue is due where none does.
func (s *Store) drop(tx *bolt.Tx, device string, now time.Time) error {
	d, w, err := s.place(tx, device, now)
	if err != nil {
		return err
	}
	first, ok := leading(tx, d, w.row, now)
	if !ok {
		var at time.Time
		at, w.row.Holding = nextDue(tx, d, w.row, w.opens, now)
		setDue(tx, device, w.row, at)
		return nil
	}
	type row struct {
		key, nkey []byte
		n         Notification
		state     DeliveryState
	}
	var stale []row
	for _, k := range prefixed(tx.Bucket(outbox), []byte(device+first.line), mostDropped) {
		r := row{key: k, nkey: slices.Clone(tx.Bucket(outbox).Get(k)), state: Removed}
		var found bool
		if r.n, found, err = s.notification(tx, r.nkey); err != nil {
			return err
		}
		if found {
			if r.state, _, err = s.standing(tx, d, r.n, now); err != nil {
				return err
			}
		} else {
			r.nkey = nil
		}
		if r.state == Pending {
			break
		}
		stale = append(stale, r)
	}
	for _, r := range stale {
		must(tx.Bucket(outbox).Delete(r.key))
		if r.nkey != nil {
			s.setDelivery(tx, r.nkey, r.n, Delivery{Device: device, State: r.state, At: now})
		}
	}
	return nil
}

// place gives a device with its queue.
func (s *Store) place(tx *bolt.Tx, device string, now time.Time) (Device, waiting, error) {
	d, err := s.device(tx, device)
	if err != nil {
		return Device{}, waiting{}, err
	}
	queues, err := queuesOf(tx, []Device{d}, now)
	if err != nil {
		return Device{}, waiting{}, err
	}
	return d, queues[0], nil
}

// prefixed gives at most limit keys that begin with prefix, in order.
func prefixed(b *bolt.Bucket, prefix []byte, limit int) [][]byte {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.Seek(prefix); k != nil && len(keys) < limit && len(k) >= len(prefix) && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	return keys
}

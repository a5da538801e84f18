package registry

import (
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
	Mailbox      string   // the address of the account that it concerns; empty: it concerns none
	Unread       *int     // unread mails of all accounts that ring the device; nil: not known
	Clear        []string // stable ids that the push is to take away beside what it shows
	Attempts     int      // tries so far

	seq []byte
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
			return w, w.seq != nil, err
		}
		if err := s.update(func(tx *bolt.Tx) error { return s.drop(tx, device, now) }); err != nil {
			return Work{}, false, err
		}
	}
}

// head reads the first row of a queue; stale: drop has something to do.
func (s *Store) head(tx *bolt.Tx, device string, now time.Time) (w Work, stale bool, err error) {
	d, err := s.device(tx, device)
	if err != nil {
		return Work{}, false, err
	}
	prefix := []byte(device)
	k, nkey := tx.Bucket(outbox).Cursor().Seek(prefix)
	if k == nil || string(k[:len(prefix)]) != device {
		q, err := queue(tx, device)
		return Work{}, !q.Due.IsZero(), err
	}
	n, found, err := s.notification(tx, nkey)
	if err != nil {
		return Work{}, false, err
	}
	if !found {
		return Work{}, true, nil
	}
	state, err := s.standing(tx, d, n, now)
	if err != nil || state != Pending {
		return Work{}, true, err
	}
	w = Work{Device: d, Notification: n, seq: slices.Clone(k[len(prefix):])}
	if i := n.delivery(device); i >= 0 {
		w.Attempts = n.Deliveries[i].Attempts
	}
	return w, false, nil
}

// standing says whether a delivery is still to be sent.
func (s *Store) standing(tx *bolt.Tx, d Device, n Notification, now time.Time) (DeliveryState, error) {
	if !now.Before(n.Expires) {
		return Expired, nil
	}
	if n.Account == "" {
		if n.User != d.User {
			return Removed, nil
		}
		return Pending, nil
	}
	var row accountRow
	if found, err := get(tx.Bucket(accounts), []byte(n.Account), &row); err != nil {
		return "", err
	} else if !found || !d.Rings(row.Account) {
		return Removed, nil
	}
	return Pending, nil
}

// mostDropped bounds the rows that one transaction drops.
const mostDropped = 50

// drop takes the rows that are not to be sent any more off the front of a queue, and the due entry with the last.
func (s *Store) drop(tx *bolt.Tx, device string, now time.Time) error {
	d, err := s.device(tx, device)
	if err != nil {
		return err
	}
	q, err := queue(tx, device)
	if err != nil {
		return err
	}
	type row struct {
		key, nkey []byte
		n         Notification
		state     DeliveryState
	}
	var stale []row
	keys := prefixed(tx.Bucket(outbox), []byte(device), mostDropped)
	for _, k := range keys {
		r := row{key: k, nkey: slices.Clone(tx.Bucket(outbox).Get(k)), state: Removed}
		var found bool
		if r.n, found, err = s.notification(tx, r.nkey); err != nil {
			return err
		}
		if found {
			if r.state, err = s.standing(tx, d, r.n, now); err != nil {
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
	if len(stale) == len(keys) && len(keys) < mostDropped {
		setDue(tx, device, q, time.Time{})
	}
	return nil
}

// Settle writes the outcome of the work. Delivered and refused take the row from the queue and the device is due again at once if more waits; of mail
// that was cleared meanwhile the device is told; retry and misconfigured keep it and make the device due at o.At, but after Kept at the latest; gone
// removes the device and tells its owner's other devices. Where the app has changed the address or its keys since the work was taken, nothing of it
// counts, and where it has only confirmed them, only delivered does: anything else keeps the row, and it is due at once. An environment that delivered
// has shown is the device's from then on, where that was not known.
func (s *Store) Settle(w Work, o Outcome, now time.Time) error {
	told := false
	err := s.update(func(tx *bolt.Tx) error {
		d, err := s.device(tx, w.Device.ID)
		if err != nil {
			return err
		}
		q, err := queue(tx, d.ID)
		if err != nil {
			return err
		}
		key := join([]byte(d.ID), w.seq)
		nkey := slices.Clone(tx.Bucket(outbox).Get(key))
		if nkey == nil {
			told, err = s.overtaken(tx, w, o, now)
			return err
		}
		n, found, err := s.notification(tx, nkey)
		if err != nil {
			return err
		}
		same := d.SameAddress(w.Device)
		if !same || o.Result != ResultDelivered && !d.Registered.Equal(w.Device.Registered) {
			o.Result, o.At, o.Suspect = ResultRetry, time.Time{}, false
		}
		if o.Result == ResultGone {
			return s.forget(tx, d, o.Reason, now)
		}
		learned := same && o.Result == ResultDelivered && o.Environment != "" && d.Environment == ""
		if learned {
			d.Environment = o.Environment
			q.Lane = d.Lane()
		}
		opens, err := laneOpens(tx, q.Lane, now)
		if err != nil {
			return err
		}
		last := w.lastOf(tx)
		if same {
			q.Status = q.Status.after(o, now)
		}
		entry := Delivery{Device: d.ID, State: Pending, At: now, Attempts: w.Attempts + 1, Code: o.Code, Reason: o.Reason, Unknown: o.Unknown}
		if i := n.delivery(d.ID); i >= 0 {
			entry.Unknown = entry.Unknown || n.Deliveries[i].Unknown
		}
		at := opens
		switch o.Result {
		case ResultDelivered:
			entry.State = Delivered
		case ResultRefused:
			entry.State = Refused
		case ResultRetry, ResultMisconfigured:
			at = o.again(opens, now)
		}
		if entry.State != Pending {
			must(tx.Bucket(outbox).Delete(key))
			if last {
				at = time.Time{}
			}
		}
		if found {
			s.setDelivery(tx, nkey, n, entry)
		}
		if learned {
			s.putDevice(tx, d)
		}
		setDue(tx, d.ID, q, at)
		return nil
	})
	if err == nil && (o.Result == ResultGone || told) {
		s.outbox.raise()
	}
	return err
}

// again is when a row that the outcome keeps is due: once its lane opens, and while what is queued now is still worth sending, whatever time a service
// asks for.
func (o Outcome) again(opens, now time.Time) time.Time {
	at, last := o.At, now.Add(Kept)
	if at.Before(opens) {
		at = opens
	}
	if at.After(last) {
		at = last
	}
	return at
}

// lastOf reports whether the work's row is the only one in its queue.
func (w Work) lastOf(tx *bolt.Tx) bool {
	return len(prefixed(tx.Bucket(outbox), []byte(w.Device.ID), 2)) < 2
}

// after is the device's status once the outcome is known. An outage and a fault of the lane say nothing of the device, but are why it does not ring.
func (s Status) after(o Outcome, now time.Time) Status {
	state := s.State
	switch {
	case o.Result == ResultDelivered:
		state, s.Proof, s.Code, s.Reason = Proven, now, "", ""
	case o.Result == ResultRetry && o.Suspect:
		state, s.Code, s.Reason = Suspect, o.Code, o.Reason
	case (o.Result == ResultRetry || o.Result == ResultMisconfigured) && o.Code != "" && s.State != Suspect:
		s.Code, s.Reason = o.Code, o.Reason
	}
	if state != s.State {
		s.State, s.Since = state, now
	}
	return s
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

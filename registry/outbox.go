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
	w = Work{Device: d, Notification: n, Mailbox: account.Email, Rang: l.Rang, Released: !l.Until.IsZero(), key: first.key}
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

// mostRiders is how many ids ride in a push, if the first row has no more.
const mostRiders = 16

// takeRiders fills in what is to be taken away by the same push, of a device that is told such things by no push of their own.
func (s *Store) takeRiders(tx *bolt.Tx, w *Work, now time.Time) error {
	if !rides(w.Device.Transport, clearLine) || !w.Device.Content.Allows(Sender) {
		return nil
	}
	for _, k := range prefixed(tx.Bucket(outbox), []byte(w.Device.ID+clearLine), mostRiders) {
		r := queued{clearLine, k, slices.Clone(tx.Bucket(outbox).Get(k))}
		n, found, err := s.notification(tx, r.nkey)
		if err != nil {
			return err
		}
		if found && now.Before(n.Expires) {
			if len(w.Clear) > 0 && len(w.Clear)+len(n.Clear) > mostRiders {
				return nil
			}
			w.Clear = append(w.Clear, n.Clear...)
		}
		w.rides = append(w.rides, r)
	}
	return nil
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

// Settle writes the outcome of the work. Delivered and refused take the row from the queue and the device is due again at once if more waits; of mail
// that was cleared meanwhile the device is told; retry and misconfigured keep it and make the device due at o.At, but when it expires at the latest; gone
// removes the device and tells its owner's other devices. Where the app has changed the address or its keys since the work was taken, nothing of it
// counts, and where it has only confirmed them, only delivered does: anything else keeps the row, and it is due at once. An environment that delivered
// has shown is the device's from then on, where that was not known.
func (s *Store) Settle(w Work, o Outcome, now time.Time) error {
	told := false
	err := s.update(func(tx *bolt.Tx) error {
		d, at, err := s.place(tx, w.Device.ID, now)
		if err != nil {
			return err
		}
		nkey := slices.Clone(tx.Bucket(outbox).Get(w.key))
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
		ridden, err := s.ridden(tx, w, o)
		if err != nil {
			return err
		}
		q := at.row
		learned := same && o.Result == ResultDelivered && o.Environment != "" && d.Environment == ""
		if learned {
			d.Environment = o.Environment
			q.Lane = d.Lane()
			if at.opens, err = laneOpens(tx, q.Lane, now); err != nil {
				return err
			}
		}
		if same {
			q.Status = q.Status.after(o, at.opens.After(now), now)
		}
		entry := Delivery{Device: d.ID, State: o.Result.state(), At: now, Attempts: w.Attempts + 1, Code: o.Code, Reason: o.Reason, Unknown: o.Unknown}
		if i := n.delivery(d.ID); i >= 0 {
			entry.Unknown = entry.Unknown || n.Deliveries[i].Unknown
		}
		if found {
			s.setDelivery(tx, nkey, n, entry)
		}
		if learned {
			s.putDevice(tx, d)
		}
		for _, r := range ridden {
			must(tx.Bucket(outbox).Delete(outboxKey(d.ID, clearLine, r.key[:8])))
			if r.ID == "" {
				continue
			}
			state := Delivered
			if !now.Before(r.Expires) { // it has not been told
				state = Expired
			}
			s.setDelivery(tx, r.key, r.Notification, Delivery{Device: d.ID, State: state, At: now})
		}
		if entry.State == Pending {
			q.Holding = false
			setDue(tx, d.ID, q, o.again(at.opens, n.Expires))
			return nil
		}
		must(tx.Bucket(outbox).Delete(w.key))
		line := w.Notification.line()
		q.Lines = with(q.Lines, line, q.Lines[line].after(w, o, now), now)
		var due time.Time
		due, q.Holding = nextDue(tx, d, q, at.opens, now)
		setDue(tx, d.ID, q, due)
		return nil
	})
	if err == nil && (o.Result == ResultGone || told) {
		s.outbox.raise()
	}
	return err
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

// ridden gives what the work's push has taken away with it, by its outcome; one without an id is gone, and only its row is left.
func (s *Store) ridden(tx *bolt.Tx, w Work, o Outcome) (list []found, err error) {
	if o.Result != ResultDelivered {
		return nil, nil
	}
	for _, r := range w.rides {
		if tx.Bucket(outbox).Get(r.key) == nil {
			continue
		}
		n, _, err := s.notification(tx, r.nkey)
		if err != nil {
			return nil, err
		}
		list = append(list, found{Notification: n, key: r.nkey})
	}
	return list, nil
}

// state is how a delivery stands after the result.
func (r Result) state() DeliveryState {
	switch r {
	case ResultDelivered:
		return Delivered
	case ResultRefused:
		return Refused
	}
	return Pending
}

// after is the line once its first row is gone.
func (l lineRow) after(w Work, o Outcome, now time.Time) lineRow {
	if o.Result == ResultDelivered && w.Remember > 0 {
		l.Rang = append(slices.Clone(l.Rang), now)
		l.Rang = l.Rang[max(0, len(l.Rang)-w.Remember):]
	}
	if !l.held(now) {
		l.From, l.Until = time.Time{}, time.Time{}
	}
	return l
}

// again is when a row that the outcome keeps is due: once its lane opens, and when it expires at the latest, whatever time a service asks for.
func (o Outcome) again(opens, expires time.Time) time.Time {
	at := o.At
	if at.After(expires) {
		at = expires
	}
	if at.Before(opens) {
		at = opens
	}
	return at
}

// A device that has failed so often and for so long without one success is suspect, unless its whole lane was out of order.
const (
	failingFor   = 3 * 24 * time.Hour
	failingTries = 20
)

// after is the device's status once the outcome is known; out: its lane is paused. An outage and a fault of the lane say nothing of the device, but are why
// it does not ring.
func (s Status) after(o Outcome, out bool, now time.Time) Status {
	state := s.State
	if o.Result == ResultRetry && !out {
		if s.Failures++; s.Failures == 1 {
			s.Failing = now
		}
		if s.Failures >= failingTries && now.Sub(s.Failing) >= failingFor {
			o.Suspect = true
		}
	}
	switch {
	case o.Result == ResultDelivered:
		state, s.Proof, s.Code, s.Reason = Proven, now, "", ""
		s.Failures, s.Failing = 0, time.Time{}
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

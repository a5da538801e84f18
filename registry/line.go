package registry

import (
	"bytes"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A device's queue is made of lines, each in order by itself: the mail of one account, what is to be taken away, and everything else. So one line can be
// held back while the others go on, and nobody goes through what is held to find what is not.

// The lines that are no account's: as long as an id, which none of them can be.
const (
	clearLine = "clears--------------------"
	otherLine = "others--------------------"
)

// line is the line of each queue that the notification waits in.
func (n Notification) line() string {
	switch n.Kind {
	case MailKind, SummaryKind:
		return n.Account
	case ClearKind:
		return clearLine
	}
	return otherLine
}

func outboxKey(device, line string, seq []byte) []byte {
	return join([]byte(device), []byte(line), seq)
}

// lineRow is what is known of a line beside its rows.
type lineRow struct {
	Rang    []time.Time `json:",omitempty"` // when the last of it were delivered, oldest first
	From    time.Time   `json:",omitzero"`  // since when it is held back
	Until   time.Time   `json:",omitzero"`  // and until when
	Summary []byte      `json:",omitempty"` // the notifications key of what Combine made last
}

// held reports whether the line is held back at now. A hold from after now was written before the clock was set back.
func (l lineRow) held(now time.Time) bool { return !now.Before(l.From) && now.Before(l.Until) }

// rangKept is how long it is remembered at most when a line last rang.
const rangKept = time.Hour

// with gives the lines with one of them changed, and without those that nothing is to be remembered of.
func with(lines map[string]lineRow, line string, l lineRow, now time.Time) map[string]lineRow {
	changed := map[string]lineRow{line: l}
	for name, other := range lines {
		if name != line {
			changed[name] = other
		}
	}
	for name, l := range changed {
		if len(l.Rang) > 0 && now.Sub(l.Rang[len(l.Rang)-1]) > rangKept {
			l.Rang = nil
		}
		if changed[name] = l; len(l.Rang) == 0 && l.Until.IsZero() && l.Summary == nil {
			delete(changed, name)
		}
	}
	return changed
}

// queued is a row of a queue.
type queued struct {
	line      string
	key, nkey []byte
}

func (q queued) seq() []byte { return q.key[len(q.key)-8:] }

// firsts gives the first row of each line of a device's queue.
func firsts(tx *bolt.Tx, device string) (list []queued) {
	c := tx.Bucket(outbox).Cursor()
	for k, v := c.Seek([]byte(device)); strings.HasPrefix(string(k), device); {
		line := k[len(device) : len(device)+len(otherLine)]
		list = append(list, queued{string(line), slices.Clone(k), slices.Clone(v)})
		k, v = c.Seek(join([]byte(device), line, pastAll))
	}
	return list
}

// isFirst reports whether the notification is the first of its line in the device's queue.
func isFirst(tx *bolt.Tx, device, line string, nkey []byte) bool {
	first := prefixed(tx.Bucket(outbox), []byte(device+line), 1)
	return len(first) > 0 && bytes.Equal(first[0][len(first[0])-8:], nkey[:8])
}

// nextDue is when a queue is to be looked at: once its lane opens where anything leads it, else when the first hold ends; zero where nothing waits that
// goes by itself.
func nextDue(tx *bolt.Tx, d Device, q queueRow, opens, now time.Time) (at time.Time, holding bool) {
	for _, r := range firsts(tx, d.ID) {
		l := q.Lines[r.line]
		switch {
		case rides(d.Transport, r.line):
		case !l.held(now):
			return opens, false
		case at.IsZero() || l.Until.Before(at):
			at, holding = l.Until, true
		}
	}
	return at, holding
}

// Hold keeps back what waits in the line of the work until the time given, while the other lines of the queue go on.
func (s *Store) Hold(w Work, until, now time.Time) error {
	return s.update(func(tx *bolt.Tx) error {
		d, at, err := s.place(tx, w.Device.ID, now)
		if err != nil {
			return err
		}
		line, q := w.Notification.line(), at.row
		l := q.Lines[line]
		l.From, l.Until = now, until
		q.Lines = with(q.Lines, line, l, now)
		var due time.Time
		due, q.Holding = nextDue(tx, d, q, at.opens, now)
		setDue(tx, d.ID, q, due)
		return nil
	})
}

// mostCombined bounds the rows that one transaction of Combine takes, and mostCleared the ids of the clear that it makes.
const (
	mostCombined = 256
	mostCleared  = MostMails
)

// Combine puts one notification in the place of what waits in the line of the work, and ends its hold: a summary that counts the mail, or one clear with the
// ids of all, or as few clears as hold them. It has a stable id of its own. What may be on the phone already is left, as it is to be sent again under its own id,
// and so is what stands alone. More than a few hundred rows go in steps; nothing of it is sent before the last, as long as the caller is the one that sends. It returns
// how many notifications were replaced.
func (s *Store) Combine(w Work, now time.Time) (combined int, err error) {
	for more := true; more && err == nil; {
		n := 0
		err = s.update(func(tx *bolt.Tx) (err error) {
			n, more, err = s.combine(tx, w, now)
			return err
		})
		combined += n
	}
	return combined, err
}

func (s *Store) combine(tx *bolt.Tx, w Work, now time.Time) (combined int, more bool, err error) {
	d, at, err := s.place(tx, w.Device.ID, now)
	if err != nil {
		return 0, false, err
	}
	line, queues := w.Notification.line(), []waiting{at}
	q := &queues[0].row
	l := q.Lines[line]
	into, err := s.untold(tx, d.ID, line, l.Summary)
	if err != nil {
		return 0, false, err
	}
	keys := prefixed(tx.Bucket(outbox), []byte(d.ID+line), mostCombined)
	rows, err := s.combinable(tx, d.ID, keys, into)
	if err != nil {
		return 0, false, err
	}
	all := len(rows)
	rows, into = together(rows, into)
	if more = len(rows) > 0 && (len(rows) < all || len(keys) == mostCombined); !more {
		l.From, l.Until = time.Time{}, time.Time{}
	}
	if len(rows) > 0 {
		if into.key == nil {
			into.Notification = combination(d, rows[0].Notification, now)
		}
		for _, r := range rows {
			into.add(r.Notification)
			must(tx.Bucket(outbox).Delete(outboxKey(d.ID, line, r.key[:8])))
			s.setDelivery(tx, r.key, r.Notification, Delivery{Device: d.ID, State: Combined, At: now, Into: into.ID})
		}
		if into.key == nil {
			into.key = s.insert(tx, into.Notification, queues, now)
		} else {
			s.putNotification(tx, into.key, into.Notification)
		}
		l.Summary = into.key
	}
	q.Lines = with(q.Lines, line, l, now)
	setDue(tx, d.ID, *q, q.Due)
	return len(rows), more, nil
}

// untold gives the notification under the key, if it waits in the line and was not tried yet.
func (s *Store) untold(tx *bolt.Tx, device, line string, nkey []byte) (found, error) {
	if nkey == nil || tx.Bucket(outbox).Get(outboxKey(device, line, nkey[:8])) == nil {
		return found{}, nil
	}
	n, there, err := s.notification(tx, nkey)
	if err != nil || !there {
		return found{}, err
	}
	d := n.Deliveries[n.delivery(device)]
	if d.Attempts > 0 || s.maybeShown(tx, d, n, nkey) {
		return found{}, nil
	}
	return found{Notification: n, key: nkey}, nil
}

// combinable gives those of a line's rows that may go into another: clears, and mail that no phone can have shown.
func (s *Store) combinable(tx *bolt.Tx, device string, keys [][]byte, into found) (list []found, err error) {
	for _, k := range keys {
		nkey := slices.Clone(tx.Bucket(outbox).Get(k))
		if bytes.Equal(nkey, into.key) {
			continue
		}
		n, there, err := s.notification(tx, nkey)
		if err != nil {
			return nil, err
		}
		i := n.delivery(device)
		if !there || i < 0 || n.Kind == SummaryKind || n.Kind == MailKind && s.maybeShown(tx, n.Deliveries[i], n, nkey) {
			continue
		}
		list = append(list, found{Notification: n, key: nkey})
	}
	return list, nil
}

// together gives those of the rows that go into one: into, if there is room for any, else a new one for as many as two at least. A row that finds no room
// is passed over, for what is taken away needs no order.
func together(rows []found, into found) ([]found, found) {
	fitting := func(rows []found, ids int) (list []found) {
		for _, r := range rows {
			if ids+len(r.Clear) <= mostCleared {
				ids += len(r.Clear)
				list = append(list, r)
			}
		}
		return list
	}
	if into.key != nil {
		if list := fitting(rows, len(into.Clear)); len(list) > 0 {
			return list, into
		}
	}
	for i := range rows {
		if list := fitting(rows[i:], 0); len(list) > 1 {
			return list, found{}
		}
	}
	return nil, into
}

// combination is what takes the place of first and of others like it in one device's queue. A clear may be of mail in several accounts, and outlives each.
func combination(d Device, first Notification, now time.Time) Notification {
	n := Notification{Kind: ClearKind, User: d.User, At: now}
	if first.Kind == MailKind {
		n = Notification{Kind: SummaryKind, Account: first.Account, At: now}
	}
	n.ID, n.Expires = stableID(string(n.Kind), d.ID, first.ID), now.Add(n.Kind.Lifetime())
	return n
}

// add takes one more notification in.
func (n *Notification) add(other Notification) {
	if n.Kind == SummaryKind {
		n.Count++
	}
	n.Clear = append(n.Clear, other.Clear...)
}

package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"time"

	"idlepush/registry/table"
)

// Outbox is what the dispatcher reads and writes: the queue of each device, and the lanes.
type Outbox struct{ *core }

// Changed says "look again" after a device got work or its work moved. One reader; signals may
// merge.
func (o Outbox) Changed() <-chan struct{} { return o.outbox }

// Queue names a device with work and its lane.
type Queue struct {
	Device string
	Lane   string
}

// Work is the first delivery of a device's queue. Settle ends it.
type Work struct {
	Device       Device
	Notification Notification // without its deliveries
	Mailbox      string       // the address of the account that it concerns; empty: it concerns none
	Link         string       // where a click on it leads, by its account's template; empty: to the page
	Unread       *int         // unread mails of all accounts that ring the device; nil: not known
	Clear        []string     // stable ids that the push is to take away beside what it shows
	Attempts     int          // tries so far
	Rang         []time.Time  // when the line of the work last rang, oldest first, as far as Remember asked for
	Released     bool         // the line was held back, and that has ended: Combine ends it
	Remember     int          // how many times of ringing Settle is to keep of the line; 0: this one does not count

	key   deliveryKey
	rides []deliveryKey // what Clear was taken from
}

// Due returns at most limit queues that are due at now, longest due first, without the devices and
// lanes in busy, and when the next of the others will be due: zero if none will.
func (o Outbox) Due(now time.Time, limit int, busy map[string]bool) (list []Queue, next time.Time, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		step := limit + len(busy) + 1 // enough, unless a whole lane is busy
		for within, more := (table.Range{}), true; more; {
			keys, err := due.Keys(tx, within, step)
			if err != nil {
				return err
			}
			for _, k := range keys {
				q := Queue{Device: string(k.device), Lane: k.lane}
				switch {
				case busy[q.Device] || busy[q.Lane]:
				case k.at.After(now):
					next = k.at
					return nil
				case len(list) == limit:
					next = now
					return nil
				default:
					list = append(list, q)
				}
			}
			if more = len(keys) == step; more {
				within = within.Past(keys[step-1])
			}
		}
		return nil
	})
	return list, next, err
}

// Next returns the first delivery of the device's queue. Those that are not to be sent any more go
// first, with the outcome that says why: expired, or removed if the account, the notification or
// the device's right to it is gone. False: nothing is left.
func (o Outbox) Next(device string, now time.Time) (w Work, ok bool, err error) {
	for {
		var stale bool
		err := o.db.View(func(tx *table.Tx) error {
			w, ok, stale, err = head(tx, id(device), now)
			return err
		})
		if err != nil || !stale {
			return w, ok, err
		}
		if err := o.change(now, func(set *queueSet) error { return drop(set, id(device)) }); err != nil {
			return Work{}, false, err
		}
	}
}

// head reads what is sent next. stale: drop has something to do.
func head(tx *table.Tx, device id, now time.Time) (w Work, ok, stale bool, err error) {
	row, found, err := devicesID.Row(tx, device)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return w, false, false, err
	}
	d, q, err := openDevice(tx, row)
	if err != nil {
		return w, false, false, err
	}
	line, ok := q.leading(d.Transport, now)
	if !ok {
		at, _ := q.next(d.Transport, time.Time{}, now)
		return w, false, !q.Due.Equal(at), nil
	}
	l := q.Lines[line]
	at, found, err := waiting.Row(tx, waitingKey{lineKey{device, line}, l.Head})
	if err != nil || !found {
		return w, false, true, err
	}
	state, account, err := standing(tx, row, at, now)
	if err != nil || state != Pending {
		return w, false, true, err
	}
	k := at.Key.notification
	n, found, err := notifications.Get(tx, k)
	if err == nil && !found {
		err = fmt.Errorf("%w: a delivery is of no notification", ErrCorrupt)
	}
	if err != nil {
		return w, false, false, err
	}
	w = Work{Device: d, Mailbox: account.Email, Attempts: at.Value.Attempts, Rang: l.Rang, Released: !l.Until.IsZero(), key: at.Key}
	if w.Notification, err = n.open(tx, k); err != nil {
		return w, false, false, err
	}
	w.Link = Account{Link: account.Link, Email: account.Email}.LinkTo(w.Notification)
	if w.Unread, err = unreadOf(tx, row); err != nil {
		return w, false, false, err
	}
	return w, true, false, takeRiders(tx, &w, now)
}

// unreadOf is how many mails are unread in all accounts that ring the device, as far as it is
// known.
func unreadOf(tx *table.Tx, d table.Row[ids, deviceRow]) (sum *int, err error) {
	seen, err := accountsOf.First(tx, table.Under(d.Key.first), table.NoLimit)
	if err != nil {
		return nil, err
	}
	for _, a := range seen {
		if !d.Value.rings(a.Key) {
			continue
		}
		account, found, err := accounts.Get(tx, a.Key)
		if err != nil {
			return nil, err
		}
		known, _, err := standings.Get(tx, a.Key)
		if err != nil {
			return nil, err
		}
		if found && account.Enabled && known.Unread != nil {
			if sum == nil {
				sum = new(int)
			}
			*sum += *known.Unread
		}
	}
	return sum, nil
}

// standing says whether a delivery is still to be sent, and returns its account, if it concerns
// one.
func standing(tx *table.Tx, d table.Row[ids, deviceRow], at table.Row[deliveryKey, deliveryRow], now time.Time) (DeliveryState, accountRow, error) {
	scope := at.Key.notification.scope
	if !now.Before(at.Value.Expires) {
		return Expired, accountRow{}, nil
	}
	if scope == d.Key.first {
		return Pending, accountRow{}, nil // it concerns the user alone
	}
	account, found, err := accounts.Get(tx, scope)
	if err != nil {
		return "", account, err
	}
	if !found || !account.visible(string(d.Key.first)) || !d.Value.rings(scope) {
		return Removed, account, nil
	}
	return Pending, account, nil
}

// mostDropped bounds the deliveries that one transaction drops.
const mostDropped = 50

// drop takes the deliveries that are not to be sent any more off the front of the line that leads a
// queue, a bounded number of them, and sets when the queue is due if none leads.
func drop(set *queueSet, device id) error {
	d, found, err := devicesID.Row(set.tx, device)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	q, err := set.of(d)
	if err != nil {
		return err
	}
	line, ok := q.row.leading(q.transport, set.now)
	if !ok {
		q.row.Due, q.row.Holding = q.row.next(q.transport, q.opens, set.now)
		return nil
	}
	for dropped := 0; dropped < mostDropped && set.room() > 2*deliveryCost; dropped++ {
		first, err := waiting.Rows(set.tx, table.Under(lineKey{device, line}), 1)
		if err != nil {
			return err
		}
		if head := q.row.Lines[line].Head; len(first) == 0 || first[0].Key.notification.seq != head {
			// The line does not begin with what its row says.
			if err := set.leave(q, lineKey{device, line}, head); err != nil || len(first) == 0 {
				return err
			}
		}
		if first[0].Value.State != Pending {
			return fmt.Errorf("%w: a delivery waits no more, and is in its line", ErrCorrupt)
		}
		state, _, err := standing(set.tx, d, first[0], set.now)
		if err != nil || state == Pending {
			return err
		}
		if err := set.end(q, first[0].Key, first[0].Value.as(state, set.now)); err != nil {
			return err
		}
	}
	return nil
}

// VAPIDKey returns the application server's key (RFC 8292 section 3.2), made with the store and
// kept: another key would end every Web Push subscription.
func (o Outbox) VAPIDKey() (*ecdsa.PrivateKey, error) {
	var scalar []byte
	err := o.db.View(func(tx *table.Tx) error {
		row, _, err := metas.Get(tx, metaVAPID)
		if err != nil {
			return err
		}
		return metas.Place(tx, metaVAPID).Open(row.Sealed, &scalar)
	})
	if err != nil {
		return nil, fmt.Errorf("read the VAPID key: %w", err)
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
}

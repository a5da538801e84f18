package registry

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Next returns the first delivery of the device's queue. ok is false if nothing can be sent now.
// First it removes, in steps, deliveries that are not to be sent any more. Their outcome is
// expired, or removed if the account or the device's right to it is gone. It returns ErrNotFound if
// there is no such device.
func (o Outbox) Next(device string, now time.Time) (w Work, ok bool, err error) {
	for {
		var stale bool
		seen := o.unread.seen()
		err := o.db.View(func(tx *table.Tx) error {
			row, err := deviceRowOf(tx, id(device))
			if err != nil {
				return err
			}
			d, q, err := unsealDevice(tx, row)
			if err != nil {
				return err
			}
			sub, found := q.nextSubqueue(now)
			if !found {
				at, _ := q.nextDue(now)
				ok, stale = false, !q.Due.Equal(at)
				return nil
			}
			l := q.Subqueues[sub]
			w = Work{Device: d, Lane: q.Lane, NotifiedAt: l.NotifiedAt, HoldEnded: !l.HeldUntil.IsZero(), subqueue: subqueueKey{id(device), sub}}
			if ok, err = w.read(tx, row, l.Head, now); ok {
				w.Unread, err = o.unread.sum(tx, row, seen)
			}
			stale = !ok
			return err
		})
		if errors.Is(err, ErrNotFound) {
			// A queue is left if the row of its device was damaged since Open. It would stay due.
			return Work{}, false, cmp.Or(o.db.Update(func(tx *table.Tx) error { return queues.Delete(tx, id(device)) }), err)
		}
		if err != nil || !stale {
			return w, ok, err
		}
		if err := o.updateQueues(now, func(set *queueSet) error { return dropStale(set, id(device)) }); err != nil {
			return Work{}, false, err
		}
	}
}

// read reads the delivery at the head of the work's subqueue, and all that it takes to send it. ok
// is false if that delivery must not be sent: dropStale removes it.
func (w *Work) read(tx *table.Tx, d table.Row[deviceKey, deviceRow], head uint64, now time.Time) (ok bool, err error) {
	at, found, err := waiting.Row(tx, waitingKey{w.subqueue, head})
	if err != nil || !found {
		return false, err
	}
	state, account, err := currentState(tx, d, at, now)
	if err != nil || state != idlepush.DeliveryPending {
		return false, err
	}
	w.key, w.Account, w.Attempts = at.Key, idlepush.Account{Owner: account.Owner, Email: account.Email, Link: account.Link}, at.Value.Attempts
	if err := addPiggybacked(tx, w, now); err != nil {
		return false, err
	}
	if w.Pause, err = getLane(tx, w.Lane); err != nil {
		return false, err
	}
	n, found, err := notifications.Get(tx, w.key.notification)
	if err == nil && !found {
		err = fmt.Errorf("%w: a delivery is of no notification", ErrCorrupt)
	}
	if err != nil {
		return false, err
	}
	if w.Notification, err = n.unseal(tx, w.key.notification); err != nil {
		return false, err
	}
	return true, nil
}

// currentState returns the state that a pending delivery has now, and its account, if it concerns
// one. It stays pending if it is still to be sent.
func currentState(tx *table.Tx, d table.Row[deviceKey, deviceRow], at table.Row[deliveryKey, deliveryRow], now time.Time) (idlepush.DeliveryState, accountRow, error) {
	scope := at.Key.notification.scope
	if !now.Before(at.Value.Expires) {
		return idlepush.DeliveryExpired, accountRow{}, nil
	}
	if scope == d.Key.user {
		return idlepush.DeliveryPending, accountRow{}, nil // it concerns the user alone
	}
	account, found, err := accounts.Get(tx, scope)
	if err != nil {
		return "", account, err
	}
	if !found || !account.visible(string(d.Key.user)) || !d.Value.isNotifiedOf(scope) {
		return idlepush.DeliveryRemoved, account, nil
	}
	return idlepush.DeliveryPending, account, nil
}

// maxPiggybacked bounds the ids that a push takes along, unless the first clear alone has more.
const maxPiggybacked = 16

// addPiggybacked adds clears to the work if the device gets none by a push of their own: with every
// push it must show something.
func addPiggybacked(tx *table.Tx, w *Work, now time.Time) error {
	if !w.Device.MustShow || !w.Device.Content.Allows(idlepush.LevelSender) {
		return nil
	}
	list, err := waiting.First(tx, table.Under(subqueueKey{id(w.Device.ID), clearSubqueue}), maxPiggybacked)
	if err != nil {
		return err
	}
	for _, e := range list {
		n, found, err := notifications.Get(tx, e.Key.notification)
		if err != nil {
			return err
		}
		if found && now.Before(n.Expires) {
			if len(w.Clear) > 0 && len(w.Clear)+len(n.Clear) > maxPiggybacked {
				return nil
			}
			w.Clear = append(w.Clear, n.Clear...)
		}
		w.piggybacked = append(w.piggybacked, e.Key)
	}
	return nil
}

// maxDropped bounds the deliveries that one transaction drops.
const maxDropped = 50

// dropStale removes deliveries that are not to be sent any more from the head of the next subqueue,
// as many as one transaction may. If there is no next subqueue, it sets when the queue is due.
func dropStale(set *queueSet, device id) error {
	q, err := set.getExisting(device)
	if err != nil {
		return err
	}
	sub, ok := q.row.nextSubqueue(set.now)
	if !ok {
		q.updateDue(set.now)
		return nil
	}
	for dropped := 0; dropped < maxDropped && set.opsLeft() > 2*deliveryCost; dropped++ {
		first, err := waiting.Rows(set.tx, table.Under(subqueueKey{device, sub}), 1)
		if err != nil {
			return err
		}
		if head := q.row.Subqueues[sub].Head; len(first) == 0 || first[0].Key.notification.seq != head {
			// The subqueue does not begin with what its row says.
			if err := set.dequeue(q, subqueueKey{device, sub}, head); err != nil || len(first) == 0 {
				return err
			}
		}
		if first[0].Value.State != idlepush.DeliveryPending {
			return fmt.Errorf("%w: a delivery that no longer waits is in its subqueue", ErrCorrupt)
		}
		state, _, err := currentState(set.tx, q.device, first[0], set.now)
		if err != nil || state == idlepush.DeliveryPending {
			return err
		}
		if err := set.endDelivery(q, first[0].Key, first[0].Value.withState(state, set.now)); err != nil {
			return err
		}
	}
	return nil
}

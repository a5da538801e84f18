package registry

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// Next returns the first delivery of the device's queue. ok is false if nothing can be sent now.
// First it removes, in steps, deliveries that are not to be sent any more. Their outcome is
// expired, or removed if the account or the device's right to it is gone. It returns ErrNotFound if
// there is no such device.
func (o Outbox) Next(device string, now time.Time) (w Work, ok bool, err error) {
	if err := o.unmark(); err != nil {
		return Work{}, false, err
	}
	for {
		var stale bool
		w, ok, stale, err = o.next(id(device), nil, now)
		if errors.Is(err, ErrNotFound) {
			// A queue is left if the row of its device was damaged since Open. It would stay due.
			return Work{}, false, cmp.Or(o.db.Update(func(tx *table.Tx) error { return queues.Delete(tx, id(device)) }), err)
		}
		if err != nil || !stale {
			return w, ok, err
		}
		if err := o.updateQueues(now, func(set *queueSet) error { return o.dropStale(set, id(device)) }); err != nil {
			return Work{}, false, err
		}
	}
}

// maxTogether is how many outcomes a call of Settle writes at most.
const maxTogether = 8

// NextAfter returns the delivery that follows the work, whose push was accepted with this outcome
// at now and is not settled: Settle of what follows writes that outcome, too. ok is false if the
// work is to be settled first. It is if nothing follows, if more than its subqueue changes with it,
// or if the device was edited since: then the outcome may not count.
func (o Outbox) NextAfter(w Work, as Outcome, now time.Time) (next Work, ok bool, err error) {
	if as.Result != ResultDelivered || as.Learned != nil || len(w.unsettled)+1 >= maxTogether || w.Notification.Wordless ||
		len(w.piggybacked) > 0 || w.Pause.Name != "" || w.Device.Status.State != idlepush.StateProven {
		return Work{}, false, nil
	}
	next, ok, _, err = o.next(id(w.Device.ID), append(slices.Clip(w.unsettled), &sentWork{w, as, now}), now)
	if errors.Is(err, ErrNotFound) {
		err = nil // Settle reports it
	}
	return next, ok && err == nil, err
}

// next returns the first delivery of the queue behind those that were sent and are not settled.
// stale reports whether the first delivery must not be sent, or whether an empty queue is due.
func (o Outbox) next(device id, sent []*sentWork, now time.Time) (w Work, ok, stale bool, err error) {
	var flight pushes
	for _, s := range sent {
		flight.accepted = append(flight.accepted, s.key)
	}
	flight.choosing = true
	o.inFlight.set(device, flight)
	ending := o.inFlight.endingNow() // the transaction may be older
	seen := o.unread.seen()
	err = o.db.View(func(tx *table.Tx) error {
		row, err := deviceRowOf(tx, device)
		if err != nil {
			return err
		}
		d, q, err := deviceAfter(tx, row, sent, now)
		if err != nil || d.Revision != row.Value.Revision {
			return err
		}
		sub, found := q.nextSubqueue(now)
		if !found {
			at, _ := q.nextDue(now)
			stale = !q.Due.Equal(at)
			return nil
		}
		l := q.Subqueues[sub]
		w = Work{Device: d, Lane: q.Lane, NotifiedAt: l.NotifiedAt, taken: taken{subqueue: subqueueKey{device, sub}, unsettled: sent}}
		_, w.HoldEnded = w.subqueue.isHeldBack()
		if ok, err = w.read(tx, row, l.Head, now, o.opened); ok {
			w.Receipt = o.token(w.key)
			w.Unread, err = o.unread.sum(tx, row, seen)
		}
		stale = !ok
		return err
	})
	if ok && slices.Contains(ending, w.key) {
		ok, stale = false, true
	}
	if flight.choosing = false; ok {
		flight.sending = w.key
	}
	o.inFlight.set(device, flight)
	return w, ok, stale, err
}

// deviceAfter returns the device, and its queue as it will be once the deliveries that were sent
// are settled. The device is as it was when they were taken.
func deviceAfter(tx *table.Tx, at table.Row[deviceKey, deviceRow], sent []*sentWork, now time.Time) (d idlepush.Device, q queueRow, err error) {
	if len(sent) == 0 {
		return unsealDevice(tx, at)
	}
	if q, _, err = queues.Get(tx, at.Key.device); err != nil {
		return d, q, err
	}
	q.Subqueues = maps.Clone(q.Subqueues)
	isSent := func(k waitingKey) bool {
		return slices.ContainsFunc(sent, func(s *sentWork) bool { return waitingKey{s.subqueue, s.key.notification.seq} == k })
	}
	for _, s := range sent {
		l := q.Subqueues[s.subqueue.subqueue].afterSettle(s.Work, s.Outcome, s.at)
		if isSent(waitingKey{s.subqueue, l.Head}) {
			waits, err := waiting.Keys(tx, table.Under(s.subqueue), len(sent)+1)
			if err != nil {
				return d, q, err
			}
			l.Head = 0
			if i := slices.IndexFunc(waits, func(k waitingKey) bool { return !isSent(k) }); i >= 0 {
				l.Head = waits[i].seq
			}
		}
		q.Subqueues[s.subqueue.subqueue] = l
	}
	q.prune(now)
	return sent[0].Device, q, nil
}

// read reads the delivery at the head of the work's subqueue, and all that it takes to send it. ok
// is false if that delivery must not be sent: dropStale removes it.
func (w *Work) read(tx *table.Tx, d table.Row[deviceKey, deviceRow], head uint64, now time.Time, opened *openedWishes) (ok bool, err error) {
	at, found, err := waiting.Row(tx, waitingKey{w.subqueue, head})
	if err != nil || !found {
		return false, err
	}
	account, ok, err := w.readDelivery(tx, d, at, now)
	if err != nil || !ok {
		return false, err
	}
	w.Account = idlepush.Account{Owner: account.Owner, Email: account.Email, Link: account.Link}
	if err := addPiggybacked(tx, w, now); err != nil {
		return false, err
	}
	if w.Pause, err = getLane(tx, w.Lane); err != nil {
		return false, err
	}
	is, err := opened.readWished(tx, at, account, d.Key)
	is.OnlySilent = w.OnlySilent
	w.wished = is
	return err == nil, err
}

// readDelivery makes the work that of a delivery, with what there is to say and the last decision,
// and returns the account. waits reports whether the delivery is still to be sent.
func (w *Work) readDelivery(tx *table.Tx, d table.Row[deviceKey, deviceRow], at table.Row[deliveryKey, deliveryRow], now time.Time) (account accountRow, waits bool, err error) {
	state, account, err := currentState(tx, d, at, now)
	if err != nil || state != idlepush.DeliveryPending {
		return account, false, err
	}
	n, found, err := notifications.Get(tx, at.Key.notification)
	if err == nil && !found {
		err = fmt.Errorf("%w: a delivery is of no notification", ErrCorrupt)
	}
	if err != nil {
		return account, false, err
	}
	w.key, w.Attempts, w.OnlySilent, w.Decision = at.Key, at.Value.Attempts, n.Silent, ring.Decision{}
	if by := at.Value.Decision; by != nil {
		w.Decision = *by
	}
	w.Notification, err = n.unseal(tx, at.Key.notification)
	return account, err == nil, err
}

// readWished returns the wishes of the device and, if the delivery is of mail, those of its user
// for the account.
func (o *openedWishes) readWished(tx *table.Tx, at table.Row[deliveryKey, deliveryRow], account accountRow, d deviceKey) (w wished, err error) {
	if w.DeviceWishes, err = readDeviceWishes(tx, d); err != nil || !at.Value.Kind.IsOfMail() {
		return w, err
	}
	if w.Wishes, err = o.read(tx, viewerKey{d.user, at.Key.notification.scope}, account); err != nil {
		return w, err
	}
	seen, err := accountsOf.Keys(tx, table.Under(d.user), 2)
	w.Several = len(seen) > 1
	return w, err
}

// currentState returns the state that a pending delivery has now, and its account, if it concerns
// one. It stays pending if it is still to be sent.
func currentState(tx *table.Tx, d table.Row[deviceKey, deviceRow], at table.Row[deliveryKey, deliveryRow], now time.Time) (idlepush.DeliveryState, accountRow, error) {
	scope := at.Key.notification.scope
	if !at.Value.Withdrawn.IsZero() {
		return idlepush.DeliveryCleared, accountRow{}, nil
	}
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
// as many as one transaction may. If there is no next subqueue, it sets when the queue is due. No
// push of the device is on its way.
func (o Outbox) dropStale(set *queueSet, device id) error {
	q, err := set.getExisting(device)
	if err != nil {
		return err
	}
	sub, ok := q.row.nextSubqueue(set.now)
	if !ok {
		q.updateDue(set.now)
		return nil
	}
	for dropped := 0; dropped < maxDropped && set.opsLeft() > 2*deliveryCost+notificationCost; dropped++ {
		first, err := waiting.Rows(set.tx, table.Under(subqueueKey{device, sub}), 1)
		if err != nil {
			return err
		}
		head := q.row.Subqueues[sub].Head
		if len(first) == 0 || first[0].Key.notification.seq != head {
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
		if state == idlepush.DeliveryCleared && o.inFlight.isOfBefore(first[0].Key) {
			n, _, err := notifications.Get(set.tx, first[0].Key.notification)
			if err != nil {
				return err
			}
			if err := set.clearShown(first[0].Key, n.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

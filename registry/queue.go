package registry

import (
	"strings"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// A device's queue consists of subqueues: one for the mail of each account, one for clears, and one
// for all other notifications. Beside each is another with its held deliveries. Each keeps its
// order, and held deliveries do not stop the others. The row of the queue has the head of each, and
// the next is chosen without reading a delivery.

// The subqueues that belong to no account.
const (
	clearSubqueue = "clears"
	otherSubqueue = "others"
)

// subqueueOf returns the name of the subqueue in which a notification waits.
func subqueueOf(k idlepush.Kind, scope id) string {
	switch k {
	case idlepush.KindMail, idlepush.KindSummary:
		return string(scope)
	case idlepush.KindClear:
		return clearSubqueue
	}
	return otherSubqueue
}

// heldBack ends the name of the subqueue with the held deliveries of another.
const heldBack = "/held"

// isHeldBack reports whether the subqueue has the held deliveries of another, and of which.
func (k subqueueKey) isHeldBack() (of subqueueKey, ok bool) {
	k.subqueue, ok = strings.CutSuffix(k.subqueue, heldBack)
	return k, ok
}

// subqueue returns the subqueue in which the delivery waits.
func (row deliveryRow) subqueue(k deliveryKey) subqueueKey {
	name := subqueueOf(row.Kind, k.notification.scope)
	if row.Held {
		name += heldBack
	}
	return subqueueKey{k.device, name}
}

// isHeld reports whether a hold of the subqueue lasts at now. A hold that begins after now was
// written before the clock was set back, and does not count.
func (l subqueueRow) isHeld(now time.Time) bool {
	return !now.Before(l.HeldFrom) && now.Before(l.HeldUntil)
}

// isPiggybacked reports whether the deliveries of the subqueue are never sent by themselves, but
// with another push.
func (q queueRow) isPiggybacked(sub string) bool { return sub == clearSubqueue && q.MustShow }

// nextSubqueue returns the subqueue whose first delivery is sent next. Among those that are not
// held, it is the one with the lowest sequence at its head.
func (q queueRow) nextSubqueue(now time.Time) (sub string, ok bool) {
	for name, l := range q.Subqueues {
		if l.Head == 0 || q.isPiggybacked(name) || l.isHeld(now) {
			continue
		}
		if !ok || l.Head < q.Subqueues[sub].Head {
			sub, ok = name, true
		}
	}
	return sub, ok
}

// updateDue sets when the queue is due.
func (q *queue) updateDue(now time.Time) {
	q.row.Due, q.row.Holding = q.row.nextDue(now)
}

// nextDue returns when the queue is due. It is now if a subqueue can be sent, or else the end of
// the first hold, which holding reports. It is zero if nothing waits that is sent by itself.
func (q queueRow) nextDue(now time.Time) (at time.Time, holding bool) {
	for name, l := range q.Subqueues {
		switch {
		case l.Head == 0 || q.isPiggybacked(name):
		case !l.isHeld(now):
			return now, false
		case at.IsZero() || l.HeldUntil.Before(at):
			at, holding = l.HeldUntil, true
		}
	}
	return at, holding
}

// enqueue adds the notification under k to the queues of row.Unqueued, and removes these from the
// list. If the transaction has too little room, it leaves the rest in the list.
func (s *queueSet) enqueue(k notificationKey, row *notificationRow) error {
	for len(row.Unqueued) > 0 {
		device := id(row.Unqueued[0])
		cost := deliveryCost
		if s.list[device] == nil {
			cost += queueCost
		}
		if s.opsLeft() < cost+rowCost {
			s.incomplete = true
			return nil
		}
		q, err := s.get(device)
		if err != nil {
			return err
		}
		row.Unqueued = row.Unqueued[1:]
		if q == nil {
			continue
		}
		if err := s.addNotification(q, k, *row); err != nil {
			return err
		}
	}
	return nil
}

// addNotification adds a notification to one queue. If it was delivered there, it is delivered
// again: it has more content now. If it was skipped, it is decided again.
func (s *queueSet) addNotification(q *queue, k notificationKey, row notificationRow) error {
	at := deliveryKey{k, q.id()}
	d, found, err := deliveries.Get(s.tx, at)
	switch {
	case err != nil || found && d.State != idlepush.DeliveryDelivered && d.State != idlepush.DeliverySkipped:
		return err
	case found && d.State == idlepush.DeliverySkipped:
		d.State, d.At = idlepush.DeliveryPending, time.Time{}
	case found:
		d.State, d.DeliveredBefore = idlepush.DeliveryPending, d.At
	default:
		q.row.Chain.Queued = s.now
		d = deliveryRow{Kind: row.Kind, Expires: row.Expires, State: idlepush.DeliveryPending}
	}
	return s.addPending(q, at, d)
}

// addPending writes a pending delivery, and adds it to its subqueue at the position of its
// sequence. The due time of the queue stays, because the deliveries ahead go first. If the queue
// waits only for holds of other subqueues, it becomes due at once.
func (s *queueSet) addPending(q *queue, k deliveryKey, d deliveryRow) error {
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	name, seq := d.subqueue(k).subqueue, k.notification.seq
	l := q.row.Subqueues[name]
	if l.Head == 0 || seq < l.Head {
		l.Head = seq
		q.row.Subqueues[name] = l
	}
	if q.row.isPiggybacked(name) {
		return nil
	}
	at, holding := s.now, false
	if l.isHeld(s.now) {
		at, holding = l.HeldUntil, true
	}
	if q.row.Due.IsZero() || q.row.Holding && at.Before(q.row.Due) {
		q.row.Due, q.row.Holding = at, holding
	}
	return nil
}

// putSettled writes the delivery of the work after its outcome. counts reports whether the push
// counts for the limits of the subqueue. If the delivery is still pending, the queue is due when it
// is tried again. Otherwise it is due at once if more waits.
func (s *queueSet) putSettled(q *queue, w Work, o Outcome, row deliveryRow, counts bool) error {
	if name := w.subqueue.subqueue; counts {
		q.row.Subqueues[name] = q.row.Subqueues[name].afterSettle(w, o, s.now)
	}
	if row.State == idlepush.DeliveryPending {
		q.row.Holding, q.row.Due = false, o.retryAt(s.now, row.Expires)
		return deliveries.Put(s.tx, w.key, row)
	}
	if err := s.endDelivery(q, w.key, row); err != nil {
		return err
	}
	q.updateDue(s.now)
	return nil
}

// afterSettle returns the subqueue after its first delivery has left it with this outcome.
func (l subqueueRow) afterSettle(w Work, o Outcome, now time.Time) subqueueRow {
	if o.Result == ResultDelivered && w.KeepNotified > 0 {
		l.NotifiedAt = append(l.NotifiedAt[:len(l.NotifiedAt):len(l.NotifiedAt)], now)
		l.NotifiedAt = l.NotifiedAt[max(0, len(l.NotifiedAt)-w.KeepNotified):]
	}
	return l
}

// retryAt returns when a delivery that the outcome keeps is due: at the time that a service asks
// for, but not after expires and not before now.
func (o Outcome) retryAt(now, expires time.Time) time.Time {
	at := o.At
	if at.After(expires) {
		at = expires
	}
	if at.Before(now) {
		at = now
	}
	return at
}

// endDelivery writes a delivery that is no longer pending, and removes it from its subqueue.
func (s *queueSet) endDelivery(q *queue, k deliveryKey, d deliveryRow) error {
	from := d.subqueue(k)
	d.Held = false
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	return s.dequeue(q, from, k.notification.seq)
}

// dequeue removes the delivery with this sequence from the head of its subqueue; the next one
// follows. It does nothing for a delivery that is not the head. If nothing is left that is sent by
// itself, the queue is no longer due.
func (s *queueSet) dequeue(q *queue, sub subqueueKey, seq uint64) error {
	l := q.row.Subqueues[sub.subqueue]
	if l.Head != seq {
		return nil
	}
	next, err := waiting.First(s.tx, table.Under(sub), 1)
	if err != nil {
		return err
	}
	if l.Head = 0; len(next) > 0 {
		l.Head = next[0].Index.seq
	}
	q.row.Subqueues[sub.subqueue] = l
	if at, _ := q.row.nextDue(s.now); at.IsZero() {
		q.row.Due = at
	}
	return nil
}

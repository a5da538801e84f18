package registry

import (
	"maps"
	"reflect"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// Package push decides whether and when a delivery rings. Held deliveries wait in a subqueue of
// their own, so that those behind them are decided, too. That subqueue is due when the first of its
// holds ends, or at once after wishes were edited. Then Combine decides again about all of them.

// storedDecision is what the row of a delivery keeps of a decision: nothing if it just rings.
func storedDecision(d ring.Decision) *ring.Decision {
	if rings := d.Verdict == ring.Now || d.Verdict == ""; rings && d.Code == "" && !d.Loud && d.Content == "" && d.Waited == nil {
		return nil
	}
	return &d
}

// maxDecided bounds the deliveries that one call of Decide takes.
const maxDecided = 100

// decideCost is what one of them reads and writes at most: the next in its subqueue, its account
// and its notification besides.
const decideCost = deliveryCost + 4

// Decide writes decisions by which nothing is sent: w.Decision about the work, and those of decide
// about the deliveries behind it in its subqueue, as many as fit one transaction. Next returns the
// rest. Deliveries that are not to ring end as idlepush.DeliverySkipped. If wishes were edited
// since the work was read, or the mail has its content only since then, Decide changes nothing. It
// returns ErrNotFound if there is no such device.
func (o Outbox) Decide(w Work, now time.Time, decide func(Work) ring.Decision) error {
	err := o.updateQueues(now, func(set *queueSet) error {
		q, err := set.getExisting(w.subqueue.device)
		if err != nil {
			return err
		}
		if err := o.decideBehind(set, q, w, decide); err != nil {
			return err
		}
		q.updateDue(now)
		return nil
	})
	o.inFlight.landed(w.subqueue.device, err)
	return err
}

// decideBehind holds back or skips the work and the deliveries behind it, up to the first that is
// to be sent.
func (o Outbox) decideBehind(set *queueSet, q *queue, w Work, decide func(Work) ring.Decision) error {
	for n := 0; n < maxDecided && set.opsLeft() >= decideCost; n++ {
		at, found, err := waiting.Row(set.tx, waitingKey{w.subqueue, q.row.Subqueues[w.subqueue.subqueue].Head})
		if err != nil || !found || n == 0 && at.Key != w.key {
			return err
		}
		if n > 0 {
			_, waits, err := w.readDelivery(set.tx, q.device, at, set.now)
			if err != nil || !waits {
				return err
			}
			w.Decision = decide(w)
		} else if same, err := o.isAsRead(set, q, at, w); err != nil || !same {
			return err // Next drops it, or returns it to be decided again
		}
		at.Value.MaybeDelivered = at.Value.MaybeDelivered || o.inFlight.isOfBefore(at.Key)
		switch w.Decision.Verdict {
		case ring.Held:
			err = set.hold(q, at, w.Decision)
		case ring.Not:
			err = set.skip(q, at, w.Decision)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isAsRead reports whether the work is still to be sent, and nothing that decides about it was
// edited since it was read.
func (o Outbox) isAsRead(set *queueSet, q *queue, at table.Row[deliveryKey, deliveryRow], w Work) (bool, error) {
	state, account, err := currentState(set.tx, q.device, at, set.now)
	if err != nil || state != idlepush.DeliveryPending {
		return false, err
	}
	n, _, err := notifications.Get(set.tx, at.Key.notification)
	if err != nil {
		return false, err
	}
	is, err := o.opened.readWished(set.tx, at, account, q.device.Key)
	is.OnlySilent = n.Silent
	return n.Wordless == w.Notification.Wordless && reflect.DeepEqual(is, w.wished), err
}

// hold holds a pending delivery back.
func (s *queueSet) hold(q *queue, at table.Row[deliveryKey, deliveryRow], by ring.Decision) error {
	at.Value.Decision = storedDecision(by)
	name := at.Value.subqueue(at.Key).subqueue + heldBack
	if l := q.row.Subqueues[name]; l.Head == 0 || by.Until.Before(l.HeldUntil) {
		l.HeldFrom, l.HeldUntil = s.now, by.Until
		q.row.Subqueues[name] = l
	}
	return s.move(q, at, true)
}

// move moves a pending delivery to the subqueue of held deliveries, or back from there.
func (s *queueSet) move(q *queue, at table.Row[deliveryKey, deliveryRow], held bool) error {
	from := at.Value.subqueue(at.Key)
	at.Value.Held = held
	if err := s.addPending(q, at.Key, at.Value); err != nil {
		return err
	}
	return s.dequeue(q, from, at.Key.notification.seq)
}

// skip ends a pending delivery that is not to ring.
func (s *queueSet) skip(q *queue, at table.Row[deliveryKey, deliveryRow], by ring.Decision) error {
	at.Value.Decision = storedDecision(by)
	return s.endDelivery(q, at.Key, at.Value.withState(idlepush.DeliverySkipped, s.now))
}

// endHolds has push decide again about the held deliveries to the devices: in the subqueue of that
// name, or in all if sub is empty. It returns the devices that did not fit the transaction.
func (s *queueSet) endHolds(list []id, sub string) (left []id, err error) {
	for ; len(list) > 0; list = list[1:] {
		if s.opsLeft() < queueCost+1 {
			return list, nil
		}
		row, _, err := queues.Get(s.tx, list[0])
		if err != nil {
			return list, err
		}
		if !row.holds(sub) {
			continue
		}
		q, err := s.get(list[0])
		if err != nil {
			return list, err
		}
		if q != nil {
			q.row.endHolds(s.now, sub)
		}
	}
	return nil, nil
}

// holds reports whether the subqueue of that name has held deliveries, or any if sub is empty.
func (q queueRow) holds(sub string) bool {
	for name, l := range q.Subqueues {
		if l.Head > 0 && !l.HeldUntil.IsZero() && (sub == "" || name == sub) {
			return true
		}
	}
	return false
}

// endHolds ends the holds in the subqueue of that name, or all if it is empty. If the queue waits
// for another try, it is not due before that.
func (q *queueRow) endHolds(now time.Time, sub string) {
	q.Subqueues = maps.Clone(q.Subqueues)
	for name, l := range q.Subqueues {
		if l.Head > 0 && !l.HeldUntil.IsZero() && (sub == "" || name == sub) {
			l.HeldFrom, l.HeldUntil = now, now
			q.Subqueues[name] = l
		}
	}
	if q.Holding {
		q.Due, q.Holding = q.nextDue(now)
	}
}

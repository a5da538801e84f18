package registry

import (
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// review has the new decisions about the held deliveries of a subqueue.
type review struct {
	sub   subqueueKey
	of    subqueueKey // in which it waited before the hold
	hold  subqueueRow // of sub, when that was decided
	until time.Time   // when the first hold ends of what stays; zero: nothing does
	alone bool        // a summary would have to wait: mails that ring all the same do so one by one
	// list has the deliveries still to be released: in order, but a summary that takes in others is
	// first.
	list []reviewed
}

// reviewed is a delivery with the decision about it. The verdict is empty if it was not to be sent
// any more.
type reviewed struct {
	key   deliveryKey
	by    ring.Decision
	takes bool // others may go into it
}

// reviewHeld decides again about the held deliveries in the subqueue of the work.
func (o Outbox) reviewHeld(w Work, now time.Time, decide func(Work) ring.Decision) (r review, err error) {
	var held bool
	r.sub = w.subqueue
	if r.of, held = w.subqueue.isHeldBack(); !held {
		return r, nil
	}
	err = o.db.View(func(tx *table.Tx) error {
		at, err := deviceRowOf(tx, w.subqueue.device)
		if err != nil {
			return err
		}
		q := &queue{device: at}
		if q.row, _, err = queues.Get(tx, w.subqueue.device); err != nil {
			return err
		}
		r.hold, w.NotifiedAt = q.row.Subqueues[r.sub.subqueue], q.row.Subqueues[r.of.subqueue].NotifiedAt
		sum := w
		sum.Notification = idlepush.Notification{Kind: idlepush.KindSummary, Account: r.of.subqueue}
		r.alone = decide(sum).Verdict == ring.Held
		list, err := waiting.First(tx, table.Under(r.sub), table.NoLimit)
		for _, e := range list {
			if err != nil {
				return err
			}
			err = r.add(tx, q, w, e.Key, now, decide)
		}
		return err
	})
	return r, err
}

// add decides again about one delivery.
func (r *review) add(tx *table.Tx, q *queue, w Work, k deliveryKey, now time.Time, decide func(Work) ring.Decision) error {
	row, _, err := deliveries.Get(tx, k)
	if err != nil {
		return err
	}
	_, waits, err := w.readDelivery(tx, q.device, table.Row[deliveryKey, deliveryRow]{Key: k, Value: row}, now)
	if err != nil {
		return err
	}
	d := reviewed{key: k}
	if waits {
		d.by = decide(w)
		d.takes = d.by.Verdict.Shows() && takes(w.Notification, row)
	}
	if d.by.Verdict == ring.Held && (r.until.IsZero() || d.by.Until.Before(r.until)) {
		r.until = d.by.Until
	}
	at := len(r.list)
	if d.takes {
		at = 0
	}
	r.list = slices.Insert(r.list, at, d)
	return nil
}

// takes reports whether others may go into a held notification: a summary that Combine has made and
// that no phone can show yet.
func takes(n idlepush.Notification, d deliveryRow) bool {
	return n.Kind == idlepush.KindSummary && n.Code == "" && d.Attempts == 0 && !d.maybeShown()
}

// releaseCost is what the release of one delivery reads and writes at most.
const releaseCost = deliveryCost + 4

// release applies the decisions about as many deliveries as fit the transaction, and takes them
// from the list. It returns how many it has combined.
func (o Outbox) release(set *queueSet, r *review) (combined int, err error) {
	q, err := set.getExisting(r.sub.device)
	if err != nil {
		return 0, err
	}
	if l := q.row.Subqueues[r.sub.subqueue]; !l.HeldFrom.Equal(r.hold.HeldFrom) || !l.HeldUntil.Equal(r.hold.HeldUntil) {
		r.list = nil // an edit wants other decisions
		return 0, nil
	}
	last, err := o.untriedCombination(set.tx, q, r.of)
	if err != nil {
		return 0, err
	}
	fits := min(len(r.list), max(2, min(maxCombined, (set.opsLeft()-notificationCost-2*deliveryCost)/releaseCost)))
	var ready []combinedDelivery
	for _, d := range r.list[:fits] {
		one, rings, err := set.apply(q, d, r.alone)
		if err != nil {
			return 0, err
		}
		if rings {
			ready = append(ready, one)
		}
	}
	r.list = r.list[fits:]
	if combined, err = o.ring(set, q, r, ready, last); err != nil || len(r.list) > 0 {
		return combined, err
	}
	if l := q.row.Subqueues[r.sub.subqueue]; l.Head > 0 {
		l.HeldFrom, l.HeldUntil = set.now, r.until
		q.row.Subqueues[r.sub.subqueue] = l
	}
	q.updateDue(set.now)
	return combined, nil
}

// apply applies the decision about one delivery. rings reports whether it is to ring or to show; if
// it is mail, alone says that no summary counts it.
func (s *queueSet) apply(q *queue, d reviewed, alone bool) (ready combinedDelivery, rings bool, err error) {
	at := table.Row[deliveryKey, deliveryRow]{Key: d.key}
	var found bool
	if at.Value, found, err = deliveries.Get(s.tx, d.key); err != nil || !found || at.Value.State != idlepush.DeliveryPending || !at.Value.Held {
		return ready, false, err
	}
	state, _, err := currentState(s.tx, q.device, at, s.now)
	if err != nil {
		return ready, false, err
	}
	if state != idlepush.DeliveryPending {
		return ready, false, s.endDelivery(q, d.key, at.Value.withState(state, s.now))
	}
	switch d.by.Verdict {
	case ring.Not:
		return ready, false, s.skip(q, at, d.by)
	case ring.Held:
		at.Value.Decision = storedDecision(d.by)
		return ready, false, deliveries.Put(s.tx, d.key, at.Value)
	case "":
		return ready, false, nil // it was not to be sent any more, and is again
	}
	n, found, err := notifications.Get(s.tx, d.key.notification)
	if err != nil || !found {
		return ready, false, err
	}
	ready = combinedDelivery{Row: at, id: n.ID, clear: n.Clear, by: d.by, takes: d.takes}
	ready.combines = n.Kind == idlepush.KindClear || n.Kind == idlepush.KindMail && !at.Value.maybeShown() && !alone
	return ready, true, nil
}

// ring combines the ready deliveries, or has them wait again as before their hold. last is the
// summary that others went into before, and that can take more. A delivery that is better combined
// with the rest of the list goes back to the list.
func (o Outbox) ring(set *queueSet, q *queue, r *review, ready []combinedDelivery, last combinedDelivery) (combined int, err error) {
	var rows []combinedDelivery
	for _, d := range ready {
		if d.combines {
			rows = append(rows, d)
			continue
		}
		if d.takes && last.id == "" {
			last = d
			q.setCombined(r.of, d.id)
		}
		if err := set.move(q, d.Row, false); err != nil {
			return 0, err
		}
	}
	chosen, rest, into := chooseCombined(rows, last)
	switch {
	case len(chosen) > 0:
		err = o.combineInto(set, q, r.of, chosen, into)
	case len(rest) == 1 && len(r.list) > 0: // it may go with what follows
	default:
		for _, d := range rest {
			if err := set.move(q, d.Row, false); err != nil {
				return 0, err
			}
		}
		rest = nil
	}
	for _, d := range slices.Backward(rest) {
		r.list = slices.Insert(r.list, 0, reviewed{key: d.Key, by: d.by})
	}
	return len(chosen), err
}

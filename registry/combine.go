package registry

import (
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// maxCombined bounds the deliveries that one transaction of Combine takes. maxCleared bounds the
// ids of the clear that it makes.
const (
	maxCombined = 256
	maxCleared  = MaxMails
)

// Combine decides again, by decide, about the held deliveries in the subqueue of the work, whose
// hold has ended. Those that are still held stay, and those that are not to ring any more are
// skipped. If at least two are to ring, or to show without a sound, one notification replaces them:
// for mail a summary that counts them, for clears one clear with all their ids, or as few clears as
// hold them. It has a stable id of its own. If one made before still waits and was not tried, it
// takes over more.
//
// Combine leaves alone what the phone may show already, because it is sent again under its own id.
// Such a delivery waits again as before its hold. So does a delivery that would be alone in its
// summary, and mail that rings although its summary would have to wait.
//
// Combine takes as many transactions as it needs. The caller must send nothing of the device before
// Combine returns. It returns how many notifications were replaced. If somebody edits wishes
// meanwhile, it leaves the rest for another call.
func (o Outbox) Combine(w Work, now time.Time, decide func(Work) ring.Decision) (combined int, err error) {
	r, err := o.reviewHeld(w, now, decide)
	for len(r.list) > 0 && err == nil {
		n, left := 0, r
		err = o.updateQueues(now, func(set *queueSet) (err error) {
			left = r
			n, err = o.release(set, &left)
			return err
		})
		combined, r = combined+n, left
	}
	o.inFlight.landed(w.subqueue.device, err)
	return combined, err
}

// combinedDelivery is a delivery that may go into another, with the ids of its notification and the
// decision about it.
type combinedDelivery struct {
	table.Row[deliveryKey, deliveryRow]
	id       string
	clear    []string
	by       ring.Decision
	combines bool // it may go into another
	takes    bool // others may go into it
}

// combineInto ends the rows, which go into one notification: into, or a new one if into has no id.
func (o Outbox) combineInto(set *queueSet, q *queue, of subqueueKey, rows []combinedDelivery, into combinedDelivery) error {
	now := set.now
	n := newCombination(string(q.device.Key.user), q.id(), rows[0], now)
	var sum notificationRow
	if into.id != "" {
		var err error
		if sum, _, err = notifications.Get(set.tx, into.Key.notification); err != nil {
			return err
		}
		n.ID = sum.ID
	}
	silent := true
	for _, r := range rows {
		if r.Value.Kind == idlepush.KindMail {
			n.Count++
		}
		silent = silent && r.by.StaysSilent()
		n.Clear = append(n.Clear, r.clear...)
		r.Value.State, r.Value.At, r.Value.Into, r.Value.Decision = idlepush.DeliveryCombined, now, n.ID, storedDecision(r.by)
		r.Value.Attempts, r.Value.MaybeDelivered, r.Value.Code, r.Value.Params = 0, false, "", nil
		if err := set.endDelivery(q, r.Key, r.Value); err != nil {
			return err
		}
	}
	if into.id != "" {
		sum.Count += n.Count
		sum.Clear = append(sum.Clear, n.Clear...)
		sum.Silent = sum.Silent && silent
		if err := notifications.Put(set.tx, into.Key.notification, sum); err != nil {
			return err
		}
	} else if err := set.insertCombination(n, q, silent); err != nil {
		return err
	}
	q.setCombined(of, n.ID)
	return nil
}

// setCombined notes the stable id of the last summary of a subqueue.
func (q *queue) setCombined(of subqueueKey, stable string) {
	l := q.row.Subqueues[of.subqueue]
	l.Combined = stable
	q.row.Subqueues[of.subqueue] = l
}

// insertCombination stores a notification that replaces others, and adds it to the queue.
func (s *queueSet) insertCombination(n idlepush.Notification, q *queue, silent bool) error {
	k, row, err := s.newRow(n)
	if err != nil {
		return err
	}
	row.Silent = silent && n.Kind == idlepush.KindSummary
	if err := s.addNotification(q, k, row); err != nil {
		return err
	}
	return notifications.Put(s.tx, k, row)
}

// untriedCombination returns the last notification that Combine made for the subqueue, if it still
// waits there and was not tried yet.
func (o Outbox) untriedCombination(tx *table.Tx, q *queue, sub subqueueKey) (into combinedDelivery, err error) {
	stable := q.row.Subqueues[sub.subqueue].Combined
	if stable == "" {
		return into, nil
	}
	scope := id(sub.subqueue)
	if sub.subqueue == clearSubqueue {
		scope = q.device.Key.user
	}
	n, found, err := byStableID.Row(tx, stableKey{scope, stable})
	if err != nil || !found {
		return into, err
	}
	into.Key = deliveryKey{n.Key, q.id()}
	if into.Value, found, err = deliveries.Get(tx, into.Key); err != nil || !found {
		return combinedDelivery{}, err
	}
	if !into.Value.waits() || into.Value.Held || into.Value.Attempts > 0 || o.maybeShown(into.Row) {
		return combinedDelivery{}, nil
	}
	into.id, into.clear = stable, n.Value.Clear
	return into, nil
}

// chooseCombined returns the rows that go into one notification, those that do not, and that
// notification: last, if it has room for a row, or else a new one for at least two rows. It skips a
// row that does not fit, because the order of clears does not matter.
func chooseCombined(rows []combinedDelivery, last combinedDelivery) (chosen, rest []combinedDelivery, into combinedDelivery) {
	fitting := func(rows []combinedDelivery, ids int) (list, rest []combinedDelivery) {
		for _, r := range rows {
			if ids+len(r.clear) <= maxCleared {
				ids += len(r.clear)
				list = append(list, r)
			} else {
				rest = append(rest, r)
			}
		}
		return list, rest
	}
	if last.id != "" {
		if list, rest := fitting(rows, len(last.clear)); len(list) > 0 {
			return list, rest, last
		}
	}
	for i := range rows {
		if list, rest := fitting(rows[i:], 0); len(list) > 1 {
			return list, slices.Concat(rows[:i], rest), combinedDelivery{}
		}
	}
	return nil, rows, last
}

// newCombination returns the notification that replaces first and others like it in one device's
// queue. A clear may be of mail in several accounts, and does not end with one of them.
func newCombination(user string, device id, first combinedDelivery, now time.Time) idlepush.Notification {
	n := idlepush.Notification{Kind: idlepush.KindClear, User: user, At: now}
	if first.Value.Kind == idlepush.KindMail {
		n = idlepush.Notification{Kind: idlepush.KindSummary, Account: string(first.Key.notification.scope), At: now}
	}
	n.ID, n.Expires = stableID(string(n.Kind), string(device), first.id), now.Add(n.Kind.Lifetime())
	return n
}

package registry

import (
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Hold holds the subqueue of the work until the time given. The other subqueues of the queue go on.
func (o Outbox) Hold(w Work, until, now time.Time) error {
	return o.updateQueues(now, func(set *queueSet) error {
		q, err := set.getExisting(w.subqueue.device)
		if err != nil {
			return err
		}
		l := q.row.Subqueues[w.subqueue.subqueue]
		l.HeldFrom, l.HeldUntil = now, until
		q.row.Subqueues[w.subqueue.subqueue] = l
		q.updateDue(now)
		return nil
	})
}

// maxCombined bounds the deliveries that one transaction of Combine takes. maxCleared bounds the
// ids of the clear that it makes.
const (
	maxCombined = 256
	maxCleared  = MaxMails
)

// Combine replaces the deliveries that wait in the subqueue of the work with one notification, and
// ends its hold. For mail this is a summary that counts it. For clears it is one clear with all
// their ids, or as few clears as hold them. The notification has a stable id of its own.
//
// Combine leaves deliveries that the phone may show already, because they are sent again under
// their own ids, and a delivery that would be alone. What does not fit one transaction takes
// several. The caller must send nothing of the subqueue before Combine returns. It returns how many
// notifications were replaced.
func (o Outbox) Combine(w Work, now time.Time) (combined int, err error) {
	for from, more := table.Under(w.subqueue), true; more && err == nil; {
		n, next := 0, from
		err = o.updateQueues(now, func(set *queueSet) (err error) {
			n, next, more, err = o.combine(set, w.subqueue, from)
			return err
		})
		combined, from = combined+n, next
	}
	return combined, err
}

// combine handles as many deliveries in the range as fit the transaction. It returns how many it
// has combined, and the range of the rest if there is more.
func (o Outbox) combine(set *queueSet, sub subqueueKey, from table.Range) (combined int, next table.Range, more bool, err error) {
	tx := set.tx
	q, err := set.getExisting(sub.device)
	if err != nil {
		return 0, from, false, err
	}
	unsettled, err := o.lastUnsettled(tx, sub)
	if err != nil {
		return 0, from, false, err
	}
	into, err := untriedCombination(tx, q, sub, unsettled)
	if err != nil {
		return 0, from, false, err
	}
	limit := max(2, min(maxCombined, (set.opsLeft()-notificationCost-2*deliveryCost)/(deliveryCost+2)))
	waits, err := waiting.First(tx, from, limit)
	if err != nil {
		return 0, from, false, err
	}
	rows, err := combinableOf(tx, waits, into, unsettled)
	if err != nil {
		return 0, from, false, err
	}
	all := len(rows)
	rows, into = chooseCombined(rows, into)
	more = len(waits) == limit || 0 < len(rows) && len(rows) < all
	if len(rows) > 0 {
		if err := o.combineInto(set, q, sub, rows, into); err != nil {
			return 0, from, false, err
		}
	} else if more {
		from = from.Past(waits[limit/2].Index) // the rest may go with what follows
	}
	if l := q.row.Subqueues[sub.subqueue]; !more {
		l.HeldFrom, l.HeldUntil = time.Time{}, time.Time{}
		q.row.Subqueues[sub.subqueue] = l
	}
	return len(rows), from, more, nil
}

// combinedDelivery is a delivery that goes into another, with the ids of its notification.
type combinedDelivery struct {
	table.Row[deliveryKey, deliveryRow]
	id    string
	clear []string
}

// combineInto ends the rows, which go into one notification: into, or a new one if into has no id.
func (o Outbox) combineInto(set *queueSet, q *queue, sub subqueueKey, rows []combinedDelivery, into combinedDelivery) error {
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
	for _, r := range rows {
		if r.Value.Kind == idlepush.KindMail {
			n.Count++
		}
		n.Clear = append(n.Clear, r.clear...)
		r.Value.State, r.Value.At, r.Value.Into = idlepush.DeliveryCombined, now, n.ID
		r.Value.Attempts, r.Value.MaybeDelivered, r.Value.Code, r.Value.Params = 0, false, "", nil
		if err := set.endDelivery(q, r.Key, r.Value); err != nil {
			return err
		}
	}
	if into.id != "" {
		sum.Count += n.Count
		sum.Clear = append(sum.Clear, n.Clear...)
		if err := notifications.Put(set.tx, into.Key.notification, sum); err != nil {
			return err
		}
	} else if err := set.insert(n, []string{string(q.id())}); err != nil {
		return err
	}
	l := q.row.Subqueues[sub.subqueue]
	l.Combined = n.ID
	q.row.Subqueues[sub.subqueue] = l
	return nil
}

// untriedCombination returns the last notification that Combine made for the subqueue, if it still
// waits there and was not tried yet.
func untriedCombination(tx *table.Tx, q *queue, sub subqueueKey, unsettled uint64) (into combinedDelivery, err error) {
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
	if !into.Value.waits() || into.Value.Attempts > 0 || maybeShown(into.Row, unsettled) {
		return combinedDelivery{}, nil
	}
	into.id, into.clear = stable, n.Value.Clear
	return into, nil
}

// combinableOf returns the deliveries that may go into another: clears, and mail that no phone can
// show yet.
func combinableOf(tx *table.Tx, waits []table.Entry[waitingKey, deliveryKey], into combinedDelivery, unsettled uint64) (list []combinedDelivery, err error) {
	for _, e := range waits {
		d, found, err := deliveries.Get(tx, e.Key)
		if err != nil {
			return nil, err
		}
		c := combinedDelivery{Row: table.Row[deliveryKey, deliveryRow]{Key: e.Key, Value: d}}
		if !found || !d.waits() || e.Key == into.Key || d.Kind == idlepush.KindSummary || d.Kind == idlepush.KindMail && maybeShown(c.Row, unsettled) {
			continue
		}
		n, found, err := notifications.Get(tx, e.Key.notification)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		c.id, c.clear = n.ID, n.Clear
		list = append(list, c)
	}
	return list, nil
}

// chooseCombined returns the rows that go into one notification, and that notification: into, if it
// has room for a row, or else a new one for at least two rows. It skips a row that does not fit,
// because the order of clears does not matter.
func chooseCombined(rows []combinedDelivery, into combinedDelivery) ([]combinedDelivery, combinedDelivery) {
	fitting := func(rows []combinedDelivery, ids int) (list []combinedDelivery) {
		for _, r := range rows {
			if ids+len(r.clear) <= maxCleared {
				ids += len(r.clear)
				list = append(list, r)
			}
		}
		return list
	}
	if into.id != "" {
		if list := fitting(rows, len(into.clear)); len(list) > 0 {
			return list, into
		}
	}
	for i := range rows {
		if list := fitting(rows[i:], 0); len(list) > 1 {
			return list, combinedDelivery{}
		}
	}
	return nil, into
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

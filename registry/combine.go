package registry

import (
	"time"

	"idlepush/registry/table"
)

// Hold keeps back what waits in the subqueue of the work until the time given, while the other subqueues of
// the queue go on.
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

// maxCombined bounds the deliveries that one transaction of Combine takes, and maxCleared the ids
// of the clear that it makes.
const (
	maxCombined = 256
	maxCleared  = MostMails
)

// Combine puts one notification in the place of what waits in the subqueue of the work, and ends its
// hold: a summary that counts the mail, or one clear with the ids of all, or as few clears as hold
// them. It has a stable id of its own. What may be on the phone already is left, as it is to be
// sent again under its own id, and so is what stands alone. What does not fit one transaction goes
// in steps; nothing of it is sent before the last, as long as the caller is the one that sends. It
// returns how many notifications were replaced.
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

// combine looks at as many of the deliveries in the range as there is room for. It returns how many
// it has combined, and where to go on if there are more.
func (o Outbox) combine(set *queueSet, sub subqueueKey, from table.Range) (combined int, next table.Range, more bool, err error) {
	tx := set.tx
	q, err := set.getExisting(sub.device)
	if err != nil {
		return 0, from, false, err
	}
	into, err := o.untriedCombination(tx, q, sub)
	if err != nil {
		return 0, from, false, err
	}
	limit := max(2, min(maxCombined, (set.opsLeft()-notificationCost-2*deliveryCost)/(deliveryCost+2)))
	waits, err := waiting.First(tx, from, limit)
	if err != nil {
		return 0, from, false, err
	}
	rows, err := o.combinableOf(tx, q, waits, into)
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

// combinedDelivery is a delivery that goes into another, with what is taken of its notification.
type combinedDelivery struct {
	table.Row[deliveryKey, deliveryRow]
	id    string
	clear []string
}

// combineInto ends the rows, which go into one notification: into, or a new one if that has no key.
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
		if r.Value.Kind == MailKind {
			n.Count++
		}
		n.Clear = append(n.Clear, r.clear...)
		r.Value.State, r.Value.At, r.Value.Into = Combined, now, n.ID
		r.Value.Attempts, r.Value.Unknown, r.Value.Code, r.Value.Reason = 0, false, "", ""
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

// untriedCombination returns what Combine made last of the subqueue, if it waits there and was not tried yet.
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
	if into.Value.State != Pending || into.Value.Attempts > 0 || o.maybeShown(q, into.Row) {
		return combinedDelivery{}, nil
	}
	into.id, into.clear = stable, n.Value.Clear
	return into, nil
}

// combinableOf returns those of the deliveries that may go into another: clears, and mail that no
// phone can have shown.
func (o Outbox) combinableOf(tx *table.Tx, q *queue, waits []table.Entry[waitingKey, deliveryKey], into combinedDelivery) (list []combinedDelivery, err error) {
	for _, e := range waits {
		d, found, err := deliveries.Get(tx, e.Key)
		if err != nil {
			return nil, err
		}
		c := combinedDelivery{Row: table.Row[deliveryKey, deliveryRow]{Key: e.Key, Value: d}}
		if !found || e.Key == into.Key || d.Kind == SummaryKind || d.Kind == MailKind && o.maybeShown(q, c.Row) {
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

// chooseCombined returns those of the rows that go into one: into, if there is room for any, else a new
// one for as many as two at least. A row that finds no room is passed over, for what is taken away
// needs no order.
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

// newCombination is what takes the place of first and of others like it in one device's queue. A clear
// may be of mail in several accounts, and outlives each.
func newCombination(user string, device id, first combinedDelivery, now time.Time) Notification {
	n := Notification{Kind: ClearKind, User: user, At: now}
	if first.Value.Kind == MailKind {
		n = Notification{Kind: SummaryKind, Account: string(first.Key.notification.scope), At: now}
	}
	n.ID, n.Expires = stableID(string(n.Kind), string(device), first.id), now.Add(n.Kind.Lifetime())
	return n
}

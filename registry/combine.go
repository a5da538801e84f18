package registry

import (
	"time"

	"idlepush/registry/table"
)

// Hold keeps back what waits in the line of the work until the time given, while the other lines of
// the queue go on.
func (o Outbox) Hold(w Work, until, now time.Time) error {
	return o.change(now, func(set *queueSet) error {
		q, err := set.must(w.line.device)
		if err != nil {
			return err
		}
		l := q.row.Lines[w.line.line]
		l.From, l.Until = now, until
		q.row.Lines[w.line.line] = l
		q.look(now)
		return nil
	})
}

// mostCombined bounds the deliveries that one transaction of Combine takes, and mostCleared the ids
// of the clear that it makes.
const (
	mostCombined = 256
	mostCleared  = MostMails
)

// Combine puts one notification in the place of what waits in the line of the work, and ends its
// hold: a summary that counts the mail, or one clear with the ids of all, or as few clears as hold
// them. It has a stable id of its own. What may be on the phone already is left, as it is to be
// sent again under its own id, and so is what stands alone. What does not fit one transaction goes
// in steps; nothing of it is sent before the last, as long as the caller is the one that sends. It
// returns how many notifications were replaced.
func (o Outbox) Combine(w Work, now time.Time) (combined int, err error) {
	for from, more := table.Under(w.line), true; more && err == nil; {
		n, next := 0, from
		err = o.change(now, func(set *queueSet) (err error) {
			n, next, more, err = o.combine(set, w.line, from)
			return err
		})
		combined, from = combined+n, next
	}
	return combined, err
}

// combine looks at as many of the deliveries in the range as there is room for. It returns how many
// it has combined, and where to go on if there are more.
func (o Outbox) combine(set *queueSet, line lineKey, from table.Range) (combined int, next table.Range, more bool, err error) {
	tx := set.tx
	q, err := set.must(line.device)
	if err != nil {
		return 0, from, false, err
	}
	into, err := o.untold(tx, q, line)
	if err != nil {
		return 0, from, false, err
	}
	limit := max(2, min(mostCombined, (set.room()-notificationCost-2*deliveryCost)/(deliveryCost+2)))
	waits, err := waiting.First(tx, from, limit)
	if err != nil {
		return 0, from, false, err
	}
	rows, err := o.combinable(tx, q, waits, into)
	if err != nil {
		return 0, from, false, err
	}
	all := len(rows)
	rows, into = together(rows, into)
	more = len(waits) == limit || 0 < len(rows) && len(rows) < all
	if len(rows) > 0 {
		if err := o.replace(set, q, line, rows, into); err != nil {
			return 0, from, false, err
		}
	} else if more {
		from = from.Past(waits[limit/2].Index) // the rest may go with what follows
	}
	if l := q.row.Lines[line.line]; !more {
		l.From, l.Until = time.Time{}, time.Time{}
		q.row.Lines[line.line] = l
	}
	return len(rows), from, more, nil
}

// combining is a delivery that goes into another, with what is taken of its notification.
type combining struct {
	table.Row[deliveryKey, deliveryRow]
	id    string
	clear []string
}

// replace ends the rows, which go into one notification: into, or a new one if that has no key.
func (o Outbox) replace(set *queueSet, q *queue, line lineKey, rows []combining, into combining) error {
	now := set.now
	n := combination(string(q.device.Key.first), q.id(), rows[0], now)
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
		if err := set.end(q, r.Key, r.Value); err != nil {
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
	l := q.row.Lines[line.line]
	l.Summary = n.ID
	q.row.Lines[line.line] = l
	return nil
}

// untold returns what Combine made last of the line, if it waits there and was not tried yet.
func (o Outbox) untold(tx *table.Tx, q *queue, line lineKey) (into combining, err error) {
	stable := q.row.Lines[line.line].Summary
	if stable == "" {
		return into, nil
	}
	scope := id(line.line)
	if line.line == clearLine {
		scope = q.device.Key.first
	}
	n, found, err := byStableID.Row(tx, stableKey{scope, stable})
	if err != nil || !found {
		return into, err
	}
	into.Key = deliveryKey{n.Key, q.id()}
	if into.Value, found, err = deliveries.Get(tx, into.Key); err != nil || !found {
		return combining{}, err
	}
	if into.Value.State != Pending || into.Value.Attempts > 0 || o.maybeShown(q, into.Row) {
		return combining{}, nil
	}
	into.id, into.clear = stable, n.Value.Clear
	return into, nil
}

// combinable returns those of the deliveries that may go into another: clears, and mail that no
// phone can have shown.
func (o Outbox) combinable(tx *table.Tx, q *queue, waits []table.Entry[waitingKey, deliveryKey], into combining) (list []combining, err error) {
	for _, e := range waits {
		d, found, err := deliveries.Get(tx, e.Key)
		if err != nil {
			return nil, err
		}
		c := combining{Row: table.Row[deliveryKey, deliveryRow]{Key: e.Key, Value: d}}
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

// together returns those of the rows that go into one: into, if there is room for any, else a new
// one for as many as two at least. A row that finds no room is passed over, for what is taken away
// needs no order.
func together(rows []combining, into combining) ([]combining, combining) {
	fitting := func(rows []combining, ids int) (list []combining) {
		for _, r := range rows {
			if ids+len(r.clear) <= mostCleared {
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
			return list, combining{}
		}
	}
	return nil, into
}

// combination is what takes the place of first and of others like it in one device's queue. A clear
// may be of mail in several accounts, and outlives each.
func combination(user string, device id, first combining, now time.Time) Notification {
	n := Notification{Kind: ClearKind, User: user, At: now}
	if first.Value.Kind == MailKind {
		n = Notification{Kind: SummaryKind, Account: string(first.Key.notification.scope), At: now}
	}
	n.ID, n.Expires = stableID(string(n.Kind), string(device), first.id), now.Add(n.Kind.Lifetime())
	return n
}

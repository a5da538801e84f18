package registry

import (
	"time"

	"idlepush/registry/table"
)

// enqueue puts the notification under k into the queues of row.Unqueued, as many of them as the
// transaction has room for, and takes those off the list.
func (s *queueSet) enqueue(k notificationKey, row *notificationRow) error {
	for len(row.Unqueued) > 0 {
		device := id(row.Unqueued[0])
		cost := deliveryCost
		if s.list[device] == nil {
			cost += queueCost
		}
		if s.room() < cost+rowCost {
			s.left = true
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
		if err := s.add(q, k, *row); err != nil {
			return err
		}
	}
	return nil
}

// add puts a notification into one queue. One that was delivered there is delivered once more: it
// has more in it now.
func (s *queueSet) add(q *queue, k notificationKey, row notificationRow) error {
	at := deliveryKey{k, q.id()}
	d, found, err := deliveries.Get(s.tx, at)
	switch {
	case err != nil || found && d.State != Delivered:
		return err
	case found:
		d.State, d.Before = Pending, d.At
	default:
		d = deliveryRow{Kind: row.Kind, Expires: row.Expires, State: Pending}
	}
	return s.wait(q, at, d)
}

// wait writes a delivery that is pending, and puts it into its line, at the place that its sequence
// gives it. A queue that waits for its due time goes on waiting, for the delivery is not sent
// before those ahead of it; but if only other lines are held back, it does not wait for them.
func (s *queueSet) wait(q *queue, k deliveryKey, d deliveryRow) error {
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	name, seq := d.line(k).line, k.notification.seq
	l := q.row.Lines[name]
	if l.Head == 0 || seq < l.Head {
		l.Head = seq
		q.row.Lines[name] = l
	}
	if q.row.rides(name) {
		return nil
	}
	at, holding := s.now, false
	if l.held(s.now) {
		at, holding = l.Until, true
	}
	if q.row.Due.IsZero() || q.row.Holding && at.Before(q.row.Due) {
		q.row.Due, q.row.Holding = at, holding
	}
	return nil
}

// end writes a delivery that is pending no more, and takes it out of its line.
func (s *queueSet) end(q *queue, k deliveryKey, d deliveryRow) error {
	if err := deliveries.Put(s.tx, k, d); err != nil {
		return err
	}
	return s.leave(q, d.line(k), k.notification.seq)
}

// leave lets the line begin with what waits behind the delivery of this sequence, which waits no
// more. If nothing is left that goes by itself, the queue is not due any more.
func (s *queueSet) leave(q *queue, line lineKey, seq uint64) error {
	l := q.row.Lines[line.line]
	if l.Head != seq {
		return nil
	}
	next, err := waiting.First(s.tx, table.Under(line), 1)
	if err != nil {
		return err
	}
	if l.Head = 0; len(next) > 0 {
		l.Head = next[0].Index.seq
	}
	q.row.Lines[line.line] = l
	if at, _ := q.row.next(s.now); at.IsZero() {
		q.row.Due = at
	}
	return nil
}

// insert stores a new notification and puts it into the queues of the devices. If they are too many
// for one transaction, some are left in the row, and change does the rest.
func (s *queueSet) insert(n Notification, devices []string) error {
	seq, err := nextSequence(s.tx, s.now)
	if err != nil {
		return err
	}
	k := notificationKey{n.scope(), seq}
	row, err := n.seal(s.tx, k)
	if err != nil {
		return err
	}
	row.Unqueued = devices
	if err := s.enqueue(k, &row); err != nil {
		return err
	}
	return notifications.Put(s.tx, k, row)
}

// nextSequence returns the next sequence: the time, or one more than the last if the clock stands
// still or went back.
func nextSequence(tx *table.Tx, now time.Time) (uint64, error) {
	last, err := lastSequence(tx)
	if err != nil {
		return 0, err
	}
	seq := max(uint64(max(now.UnixNano(), 0)), last+1)
	return seq, metas.Put(tx, metaSequence, metaRow{Number: seq})
}

func lastSequence(tx *table.Tx) (uint64, error) {
	row, _, err := metas.Get(tx, metaSequence)
	return row.Number, err
}

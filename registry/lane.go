package registry

import (
	"time"

	"idlepush/registry/table"
)

// Lane is a paused lane: what fails together and waits together.
type Lane struct {
	Name   string
	Since  time.Time // when the pause began
	Until  time.Time // when one delivery is let through to probe it
	Code   string
	Reason string
}

func (row laneRow) lane(name table.Text) Lane {
	return Lane{string(name), row.Since, row.Until, row.Code, row.Reason}
}

// laneOpens is when the lane lets a delivery out: now, or the end of its pause.
func laneOpens(tx *table.Tx, lane string, now time.Time) (time.Time, error) {
	l, found, err := lanes.Get(tx, table.Text(lane))
	if err != nil || !found || l.Until.Before(now) {
		return now, err
	}
	return l.Until, nil
}

// Lanes returns the lanes that are paused.
func (o Outbox) Lanes() ([]Lane, error) { return o.lanes() }

// Lanes returns the lanes that are paused: what waits for their devices waits on.
func (s Devices) Lanes() ([]Lane, error) { return s.lanes() }

func (c *core) lanes() (list []Lane, err error) {
	err = c.db.View(func(tx *table.Tx) error {
		rows, err := lanes.First(tx, table.Range{}, table.NoLimit)
		for _, l := range rows {
			list = append(list, l.Value.lane(l.Key))
		}
		return err
	})
	return list, err
}

// PauseLane pauses the lane, or goes on pausing it, and moves the due time of all its devices with
// work to l.Until. Since is kept from an earlier pause that has not ended. One that fails halfway
// is a pause: what comes later waits.
func (o Outbox) PauseLane(l Lane) error {
	var old laneRow
	err := o.db.Update(func(tx *table.Tx) (err error) {
		var found bool
		if old, found, err = lanes.Get(tx, table.Text(l.Name)); err != nil {
			return err
		}
		since := l.Since
		if found {
			since = old.Since
		}
		return lanes.Put(tx, table.Text(l.Name), laneRow{since, l.Until, l.Code, l.Reason})
	})
	if err != nil {
		return err
	}
	within := table.Under(laneKey(l.Name)).Before(dueAt{l.Name, l.Until})
	if err := o.moveDue(within, l.Until, nil); err != nil || !old.Until.After(l.Until) {
		return err
	}
	return o.moveDue(table.Under(dueAt{l.Name, old.Until}), l.Until, nil)
}

// ResumeLane ends the lane's pause, if there is one: what waited for its end is due now. One that
// fails halfway is still a pause.
func (o Outbox) ResumeLane(name string, now time.Time) error {
	var l laneRow
	var found bool
	err := o.db.View(func(tx *table.Tx) (err error) {
		l, found, err = lanes.Get(tx, table.Text(name))
		return err
	})
	if err != nil || !found {
		return err
	}
	end := func(tx *table.Tx) error { return lanes.Delete(tx, table.Text(name)) }
	if !l.Until.After(now) {
		return o.db.Update(end)
	}
	return o.moveDue(table.Under(dueAt{name, l.Until}), now, end)
}

// HastenDue makes due now whatever is due later: times that were written before the clock was set
// back lie too far ahead. One that fails halfway has hastened some lanes.
func (o Outbox) HastenDue(now time.Time) error {
	for within := (table.Range{}); ; {
		var next []dueKey
		err := o.db.View(func(tx *table.Tx) (err error) {
			next, err = due.Keys(tx, within, 1)
			return err
		})
		if err != nil || len(next) == 0 {
			return err
		}
		lane := next[0].lane
		if err := o.moveDue(table.Under(laneKey(lane)).Past(dueAt{lane, now}), now, nil); err != nil {
			return err
		}
		within = within.Past(laneKey(lane))
	}
}

// SetBack reports whether the clock was set back: it shows more than a second less than the time of
// the last notification. Less than that proves nothing: one may have come after the clock was read.
func (o Outbox) SetBack(now time.Time) (back bool, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		last, err := lastSequence(tx)
		back = time.Unix(0, int64(last)).After(now.Add(time.Second))
		return err
	})
	return back, err
}

// mostMoved bounds the queues that one transaction moves.
const mostMoved = 500

// laneCost is what the end of a pause reads and writes.
const laneCost = 2

// moveDue moves the queues of a lane whose keys are in the range to the time at, which takes them
// out of it. Each of its transactions is bounded. last, if not nil, writes in the last of them,
// when nothing is in the range any more.
func (o Outbox) moveDue(within table.Range, at time.Time, last func(*table.Tx) error) error {
	return o.inSteps(func(tx *table.Tx) (done bool, err error) {
		list, err := due.First(tx, within, mostMoved)
		if err != nil {
			return false, err
		}
		for _, e := range list {
			if tx.Left() < queueCost {
				return false, nil
			}
			q, _, err := queues.Get(tx, e.Key)
			if err != nil {
				return false, err
			}
			q.Due = at
			if err := queues.Put(tx, e.Key, q); err != nil {
				return false, err
			}
		}
		if done = len(list) < mostMoved; !done || last == nil {
			return done, nil
		}
		if tx.Left() < laneCost {
			return false, nil
		}
		return true, last(tx)
	})
}

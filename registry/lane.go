package registry

import (
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Lane is a paused lane. The devices of a lane fail together and wait together. Nothing is sent in
// it until Until. After that one probe at a time is sent, until a probe shows that the lane works.
// The row of the lane is the only record of the pause: no due time of a device changes.
type Lane struct {
	Name  string
	Since time.Time // when the pause began
	Until time.Time // when the next probe may be sent
	idlepush.Reason
}

func (row laneRow) lane(name table.Text) Lane {
	return Lane{string(name), row.Since, row.Until, idlepush.Reason{Code: row.Code, Params: row.Params}}
}

// pauseOf returns the pause of the lane, or the zero Lane if it is not paused.
func pauseOf(tx *table.Tx, name string) (Lane, error) {
	row, found, err := lanes.Get(tx, table.Text(name))
	if err != nil || !found {
		return Lane{}, err
	}
	return row.lane(table.Text(name)), nil
}

// isPaused reports whether l is a pause. Its time may be over.
func (l Lane) isPaused() bool { return l.Name != "" }

// isSamePause reports whether both are the same pause with the same end.
func (l Lane) isSamePause(o Lane) bool {
	return l.Name == o.Name && l.Since.Equal(o.Since) && l.Until.Equal(o.Until)
}

func putPause(tx *table.Tx, l Lane) error {
	return lanes.Put(tx, table.Text(l.Name), laneRow{l.Since, l.Until, l.Code, l.Params})
}

// settleLane writes the outcome for the lane of the work. It reports whether that changed the lane,
// and whether the lane is paused afterwards.
func (s *queueSet) settleLane(w Work, o Outcome) (changed, paused bool, err error) {
	was, err := pauseOf(s.tx, w.Lane)
	switch {
	case err != nil:
		return false, false, err
	case o.LaneWorks && was.isPaused():
		return true, false, lanes.Delete(s.tx, table.Text(w.Lane))
	case o.LaneWorks || o.PauseFor == 0 || !was.isSamePause(w.Pause) && (!was.isPaused() || s.now.Before(was.Until)):
		return false, was.isPaused(), nil
	}
	since := s.now
	if was.isPaused() {
		since = was.Since
	}
	return true, true, putPause(s.tx, Lane{w.Lane, since, s.now.Add(o.PauseFor), o.Reason})
}

// Lanes returns the paused lanes. Deliveries to their devices wait.
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

// ProbeLanes ends the time of every pause, so that each paused lane is probed at now. If nothing
// waits in a lane, its pause ends: the next delivery shows whether it works. Each lane is a
// transaction.
func (o Outbox) ProbeLanes(now time.Time) error {
	list, err := o.lanes()
	for _, l := range list {
		if err == nil {
			err = o.db.Update(func(tx *table.Tx) error { return probeLane(tx, l.Name, now) })
		}
	}
	return err
}

func probeLane(tx *table.Tx, name string, now time.Time) error {
	l, err := pauseOf(tx, name)
	if err != nil {
		return err
	}
	waits, err := due.Keys(tx, table.Under(lanePrefix(name)), 1)
	switch {
	case err != nil:
		return err
	case len(waits) == 0:
		return lanes.Delete(tx, table.Text(name))
	case now.Before(l.Until):
		l.Until = now
		return putPause(tx, l)
	}
	return nil
}

// HastenDue makes every queue due now that is due later: due times from before the clock was set
// back are too far ahead. It takes several transactions. If it fails, it may have changed some
// lanes.
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
		if err := o.moveDue(table.Under(lanePrefix(lane)).Past(duePrefix{lane, now}), now); err != nil {
			return err
		}
		within = within.Past(lanePrefix(lane))
	}
}

// ClockWentBack reports whether the clock was set back. It was if now is more than a second before
// the last notification. Less proves nothing: a notification may have come after now was read.
func (o Outbox) ClockWentBack(now time.Time) (back bool, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		last, err := lastSequence(tx)
		back = time.Unix(0, int64(last)).After(now.Add(time.Second))
		return err
	})
	return back, err
}

// maxMoved bounds the queues that one transaction moves.
const maxMoved = 500

// moveDue sets the due time of queues in a lane to at. The queues are those with keys in the range,
// and at must be outside of it. It works in steps.
func (o Outbox) moveDue(within table.Range, at time.Time) error {
	return o.inSteps(func(tx *table.Tx) (done bool, err error) {
		list, err := due.First(tx, within, maxMoved)
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
		return len(list) < maxMoved, nil
	})
}

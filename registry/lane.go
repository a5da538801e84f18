package registry

import (
	"errors"
	"maps"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Lane is a lane that is paused, or in which a device is accused. The devices of a lane fail
// together and wait together. In a paused lane nothing is sent until Until. After that one probe at
// a time is sent, until a probe shows that the lane works. The row of the lane is the only record
// of the pause: no due time of a device changes.
type Lane struct {
	Name    string
	Since   time.Time // when the pause began
	Until   time.Time // when the next probe may be sent; zero: the lane is not paused
	Accused string    // the proven device whose service found this server at fault
	Refused int       // how often in a row that was confirmed
	idlepush.Reason
}

func (row laneRow) lane(name table.Text) Lane {
	return Lane{string(name), row.Since, row.Until, row.Accused, row.Refused, idlepush.Reason{Code: row.Code, Params: maps.Clone(row.Params)}}
}

// getLane returns the lane, or the zero Lane if it is not in the store.
func getLane(tx *table.Tx, name string) (Lane, error) {
	row, found, err := lanes.Get(tx, table.Text(name))
	if err != nil || !found {
		return Lane{}, err
	}
	return row.lane(table.Text(name)), nil
}

// IsPaused reports whether the lane is paused. The time of the pause may be over.
func (l Lane) IsPaused() bool { return !l.Until.IsZero() }

// IsSamePause reports whether both are the same pause with the same end, or neither is paused.
func (l Lane) IsSamePause(o Lane) bool {
	if !l.IsPaused() || !o.IsPaused() {
		return l.IsPaused() == o.IsPaused()
	}
	return l.Name == o.Name && l.Since.Equal(o.Since) && l.Until.Equal(o.Until)
}

func putLane(tx *table.Tx, l Lane) error {
	return lanes.Put(tx, table.Text(l.Name), laneRow{l.Since, l.Until, l.Accused, l.Refused, l.Code, l.Params})
}

// settleLane writes the outcome for the lane of the work. It reports whether that paused the lane,
// prolonged its pause or ended it, and whether the lane is paused afterwards.
func (s *queueSet) settleLane(w Work, o Outcome) (changed, paused bool, err error) {
	was, err := getLane(s.tx, w.Lane)
	if err != nil {
		return false, false, err
	}
	is := was
	switch {
	case o.LaneWorks && was.IsPaused(), o.Result == ResultDelivered && was.Accused != "":
		if o.Result != ResultDelivered || was.Accused != w.Device.ID {
			err = s.endAccusation(was, true)
		}
		return was.IsPaused(), false, errors.Join(err, lanes.Delete(s.tx, table.Text(w.Lane)))
	case o.Accuses && o.PauseFor == 0:
		if !was.IsPaused() {
			is = Lane{Name: w.Lane, Since: s.now, Reason: o.Reason}
		}
		is.Accused = w.Device.ID
		return false, was.IsPaused(), putLane(s.tx, is)
	case o.LaneWorks || o.PauseFor == 0 || !was.IsSamePause(w.Pause) && (!was.IsPaused() || s.now.Before(was.Until)):
		return false, was.IsPaused(), nil
	}
	is = Lane{Name: w.Lane, Since: s.now, Until: s.now.Add(o.PauseFor), Reason: o.Reason}
	if was.IsPaused() {
		is.Since = was.Since
	}
	if o.Accuses {
		is.Refused = was.Refused + 1
	}
	return true, true, errors.Join(s.endAccusation(was, false), putLane(s.tx, is))
}

// endAccusation is for the device that is accused in the lane, once another push has shown more. If
// the lane works and was not paused, the device becomes suspect. Otherwise it waits with its lane
// and no longer alone: the fault is the lane's, or a person has corrected a setting since.
func (s *queueSet) endAccusation(l Lane, works bool) error {
	if l.Accused == "" {
		return nil
	}
	q, err := s.get(id(l.Accused))
	switch {
	case err != nil || q == nil || q.row.Lane != l.Name:
		return err
	case l.IsPaused() || !works:
		q.hasten(s.now)
	case q.row.Status.State == idlepush.StateProven:
		q.row.Status.State, q.row.Status.Since = idlepush.StateSuspect, s.now
		q.row.Status.Code, q.row.Status.Params = DeviceRefused.Code, nil
	}
	return nil
}

// hasten makes the queue due now if it is due later. A hold stays.
func (q *queue) hasten(now time.Time) {
	if q.row.Due.After(now) && !q.row.Holding {
		q.row.Due = now
	}
}

// Lanes returns the paused lanes. Deliveries to their devices wait.
func (s Devices) Lanes() ([]Lane, error) {
	list, err := s.lanes()
	return slices.DeleteFunc(list, func(l Lane) bool { return !l.IsPaused() }), err
}

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
	l, err := getLane(tx, name)
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
		return putLane(tx, l)
	}
	return nil
}

// HastenDue makes every queue due now that is due later: due times from before the clock was set
// back are too far ahead. It takes several transactions. If it fails, it may have changed some
// queues.
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
		group := next[0].dueGroup
		if err := o.moveDue(table.Under(group).Past(duePrefix{group, now}), now); err != nil {
			return err
		}
		within = within.Past(group)
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

// moveDue sets the due time of queues to at. The queues are those with keys in the range,
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

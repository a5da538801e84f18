package registry

import (
	"time"

	bolt "go.etcd.io/bbolt"
)

// Lane is a paused lane: what fails together and waits together.
type Lane struct {
	Name   string
	Since  time.Time // when the pause began
	Until  time.Time // when one delivery is let through to probe it
	Code   string
	Reason string
}

// laneOpens is when the lane lets a delivery out: now, or the end of its pause.
func laneOpens(tx *bolt.Tx, lane string, now time.Time) (time.Time, error) {
	var l Lane
	found, err := get(tx.Bucket(lanes), []byte(lane), &l)
	if err != nil || !found || l.Until.Before(now) {
		return now, err
	}
	return l.Until, nil
}

// Lanes gives the lanes that are paused.
func (s *Store) Lanes() (list []Lane, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(lanes)
		c := b.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			var l Lane
			if _, err := get(b, k, &l); err != nil {
				return err
			}
			list = append(list, l)
		}
		return nil
	})
	return list, err
}

// PauseLane pauses the lane, or goes on pausing it, and moves the due time of all its devices with work to l.Until. Since
// is kept from an earlier pause that has not ended. One that fails halfway is a pause: what comes
// later waits.
func (s *Store) PauseLane(l Lane) error {
	var old Lane
	err := s.update(func(tx *bolt.Tx) error {
		found, err := get(tx.Bucket(lanes), []byte(l.Name), &old)
		if err != nil {
			return err
		}
		if found {
			l.Since = old.Since
		}
		put(tx.Bucket(lanes), []byte(l.Name), l)
		s.note(DeviceChanged, "")
		return nil
	})
	if err != nil {
		return err
	}
	return s.moveDue(l.Until, func(lane string, at time.Time) bool {
		return lane == l.Name && (at.Before(l.Until) || at.Equal(old.Until))
	}, nil)
}

// ResumeLane ends the lane's pause, if there is one: what waited for its end is due now. One that fails halfway is still a pause.
func (s *Store) ResumeLane(name string, now time.Time) error {
	var l Lane
	err := s.view(func(tx *bolt.Tx) error {
		_, err := get(tx.Bucket(lanes), []byte(name), &l)
		return err
	})
	if err != nil || l.Name == "" {
		return err
	}
	defer s.outbox.raise()
	return s.moveDue(now, func(lane string, at time.Time) bool {
		return lane == name && l.Until.After(now) && at.Equal(l.Until)
	}, func(tx *bolt.Tx) {
		must(tx.Bucket(lanes).Delete([]byte(name)))
		s.note(DeviceChanged, "")
	})
}

// HastenDue makes due now whatever is due later: times that were written before the clock was set back lie too far ahead.
func (s *Store) HastenDue(now time.Time) error {
	defer s.outbox.raise()
	return s.moveDue(now, func(_ string, at time.Time) bool { return at.After(now) }, nil)
}

// SetBack reports whether the clock was set back: it shows more than a second less than the time of
// the last notification. Less than that proves nothing: one may have come after the clock was read.
func (s *Store) SetBack(now time.Time) (back bool, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		back = time.Unix(0, int64(tx.Bucket(notifications).Sequence())).After(now.Add(time.Second))
		return nil
	})
	return back, err
}

// mostMoved bounds the due entries that one transaction moves.
const mostMoved = 500

// moveDue moves the due entries that match to the time at, a bounded number in each transaction; last, if not nil, writes in the last of them.
func (s *Store) moveDue(at time.Time, match func(lane string, at time.Time) bool, last func(*bolt.Tx)) error {
	for moved := mostMoved; moved == mostMoved; {
		err := s.update(func(tx *bolt.Tx) error {
			moved = 0
			found := make(map[string]queueRow)
			c := tx.Bucket(due).Cursor()
			for k, v := c.First(); k != nil && len(found) < mostMoved; k, v = c.Next() {
				from := dueTime(k)
				if from.Equal(at) || !match(string(v), from) {
					continue
				}
				id := string(k[8:])
				q, err := queue(tx, id)
				if err != nil {
					return err
				}
				found[id] = q
			}
			for id, q := range found {
				setDue(tx, id, q, at)
			}
			if moved = len(found); moved < mostMoved && last != nil {
				last(tx)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

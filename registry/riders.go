package registry

import (
	"time"

	"idlepush/registry/table"
)

// A transport that can show no silent push has what is to be taken away ride with the next push
// that shows something.

// mostRiders is how many ids ride in a push, if the first row has no more.
const mostRiders = 16

// takeRiders fills in what is to be taken away by the same push, for a device that is told such
// things by no push of their own.
func takeRiders(tx *table.Tx, w *Work, now time.Time) error {
	if !rides(w.Device.Transport, clearLine) || !w.Device.Content.Allows(Sender) {
		return nil
	}
	list, err := waiting.First(tx, table.Under(lineKey{id(w.Device.ID), clearLine}), mostRiders)
	if err != nil {
		return err
	}
	for _, e := range list {
		n, found, err := notifications.Get(tx, e.Key.notification)
		if err != nil {
			return err
		}
		if found && now.Before(n.Expires) {
			if len(w.Clear) > 0 && len(w.Clear)+len(n.Clear) > mostRiders {
				return nil
			}
			w.Clear = append(w.Clear, n.Clear...)
		}
		w.rides = append(w.rides, e.Key)
	}
	return nil
}

// alight takes what has ridden with a push from the queue.
func (s *queueSet) alight(q *queue, ridden []deliveryKey) error {
	for _, k := range ridden {
		row, found, err := deliveries.Get(s.tx, k)
		if err != nil {
			return err
		}
		if !found || row.State != Pending {
			continue
		}
		state := Delivered
		if !s.now.Before(row.Expires) { // it has not been told
			state = Expired
		}
		if err := s.end(q, k, row.as(state, s.now)); err != nil {
			return err
		}
	}
	return nil
}

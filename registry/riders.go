package registry

import (
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A transport that can show no silent push has what is to be taken away ride with the next that shows something.

// rides reports whether what waits in the line goes with another push and never by itself.
func rides(t Transport, line string) bool { return line == clearLine && !t.Silent() }

// mostRiders is how many ids ride in a push, if the first row has no more.
const mostRiders = 16

// takeRiders fills in what is to be taken away by the same push, of a device that is told such things by no push of their own.
func (s *Store) takeRiders(tx *bolt.Tx, w *Work, now time.Time) error {
	if !rides(w.Device.Transport, clearLine) || !w.Device.Content.Allows(Sender) {
		return nil
	}
	for _, k := range prefixed(tx.Bucket(outbox), []byte(w.Device.ID+clearLine), mostRiders) {
		r := queued{clearLine, k, slices.Clone(tx.Bucket(outbox).Get(k))}
		n, found, err := s.notification(tx, r.nkey)
		if err != nil {
			return err
		}
		if found && now.Before(n.Expires) {
			if len(w.Clear) > 0 && len(w.Clear)+len(n.Clear) > mostRiders {
				return nil
			}
			w.Clear = append(w.Clear, n.Clear...)
		}
		w.rides = append(w.rides, r)
	}
	return nil
}

// ridden gives what the work's push has taken away with it, by its outcome; one without an id is gone, and only its row is left.
func (s *Store) ridden(tx *bolt.Tx, w Work, o Outcome) (list []found, err error) {
	if o.Result != ResultDelivered {
		return nil, nil
	}
	for _, r := range w.rides {
		if tx.Bucket(outbox).Get(r.key) == nil {
			continue
		}
		n, _, err := s.notification(tx, r.nkey)
		if err != nil {
			return nil, err
		}
		list = append(list, found{Notification: n, key: r.nkey})
	}
	return list, nil
}

// alight takes what has ridden from the queue.
func (s *Store) alight(tx *bolt.Tx, d Device, ridden []found, now time.Time) {
	for _, r := range ridden {
		must(tx.Bucket(outbox).Delete(outboxKey(d.ID, clearLine, r.key[:8])))
		if r.ID == "" {
			continue
		}
		state := Delivered
		if !now.Before(r.Expires) { // it has not been told
			state = Expired
		}
		s.setDelivery(tx, r.key, r.Notification, Delivery{Device: d.ID, State: state, At: now})
	}
}

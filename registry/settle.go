package registry

import (
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Settle writes the outcome of the work. Delivered and refused take the row from the queue and the device is due again at once if more waits; of mail
// that was cleared meanwhile the device is told; retry and misconfigured keep it and make the device due at o.At, but when it expires at the latest; gone
// removes the device and tells its owner's other devices. Where the app has changed the address or its keys since the work was taken, nothing of it
// counts, and where it has only confirmed them, only delivered does: anything else keeps the row, and it is due at once. An environment that delivered
// has shown is the device's from then on, where that was not known.
func (s *Store) Settle(w Work, o Outcome, now time.Time) error {
	told := false
	err := s.update(func(tx *bolt.Tx) error {
		d, at, err := s.place(tx, w.Device.ID, now)
		if err != nil {
			return err
		}
		nkey := slices.Clone(tx.Bucket(outbox).Get(w.key))
		if nkey == nil {
			told, err = s.overtaken(tx, w, o, now)
			return err
		}
		n, found, err := s.notification(tx, nkey)
		if err != nil {
			return err
		}
		same := d.SameAddress(w.Device)
		if !same || o.Result != ResultDelivered && !d.Registered.Equal(w.Device.Registered) {
			o.Result, o.At, o.Suspect = ResultRetry, time.Time{}, false
		}
		if o.Result == ResultGone {
			return s.forget(tx, d, o.Reason, now)
		}
		ridden, err := s.ridden(tx, w, o)
		if err != nil {
			return err
		}
		q := at.row
		learned := same && o.Result == ResultDelivered && o.Environment != "" && d.Environment == ""
		if learned {
			d.Environment = o.Environment
			q.Lane = d.Lane()
			if at.opens, err = laneOpens(tx, q.Lane, now); err != nil {
				return err
			}
		}
		if same {
			q.Status = q.Status.after(o, at.opens.After(now), now)
		}
		entry := Delivery{Device: d.ID, State: o.Result.state(), At: now, Attempts: w.Attempts + 1, Code: o.Code, Reason: o.Reason, Unknown: o.Unknown}
		if i := n.delivery(d.ID); i >= 0 {
			entry.Unknown = entry.Unknown || n.Deliveries[i].Unknown
		}
		better := found && o.Result == ResultDelivered && n.Content.At(d.Content) != w.Notification.Content.At(d.Content)
		if better {
			entry.State, entry.Before = Pending, now // its words have come while it was on its way
		}
		if found {
			s.setDelivery(tx, nkey, n, entry)
		}
		if learned {
			s.putDevice(tx, d)
		}
		s.note(DeviceChanged, d.ID, d.User)
		s.alight(tx, d, ridden, now)
		line := w.Notification.line()
		if entry.State != Pending || better {
			q.Lines = with(q.Lines, line, q.Lines[line].after(w, o, now), now)
		}
		if entry.State == Pending {
			q.Holding = false
			setDue(tx, d.ID, q, o.again(at.opens, n.Expires))
			return nil
		}
		must(tx.Bucket(outbox).Delete(w.key))
		var due time.Time
		due, q.Holding = nextDue(tx, d, q, at.opens, now)
		setDue(tx, d.ID, q, due)
		return nil
	})
	if err == nil && (o.Result == ResultGone || told) {
		s.outbox.raise()
	}
	return err
}

// state is how a delivery stands after the result.
func (r Result) state() DeliveryState {
	switch r {
	case ResultDelivered:
		return Delivered
	case ResultRefused:
		return Refused
	}
	return Pending
}

// after is the line once its first row is gone.
func (l lineRow) after(w Work, o Outcome, now time.Time) lineRow {
	if o.Result == ResultDelivered && w.Remember > 0 {
		l.Rang = append(slices.Clone(l.Rang), now)
		l.Rang = l.Rang[max(0, len(l.Rang)-w.Remember):]
	}
	if !l.held(now) {
		l.From, l.Until = time.Time{}, time.Time{}
	}
	return l
}

// again is when a row that the outcome keeps is due: once its lane opens, and when it expires at the latest, whatever time a service asks for.
func (o Outcome) again(opens, expires time.Time) time.Time {
	at := o.At
	if at.After(expires) {
		at = expires
	}
	if at.Before(opens) {
		at = opens
	}
	return at
}

// A device that has failed so often and for so long without one success is suspect, unless its whole lane was out of order.
const (
	failingFor   = 3 * 24 * time.Hour
	failingTries = 20
)

// after is the device's status once the outcome is known; out: its lane is paused. An outage and a fault of the lane say nothing of the device, but are why
// it does not ring.
func (s Status) after(o Outcome, out bool, now time.Time) Status {
	state := s.State
	if o.Result == ResultRetry && !out {
		if s.Failures++; s.Failures == 1 {
			s.Failing = now
		}
		if s.Failures >= failingTries && now.Sub(s.Failing) >= failingFor {
			o.Suspect = true
		}
	}
	switch {
	case o.Result == ResultDelivered:
		state, s.Proof, s.Code, s.Reason = Proven, now, "", ""
		s.Failures, s.Failing = 0, time.Time{}
	case o.Result == ResultRetry && o.Suspect:
		state, s.Code, s.Reason = Suspect, o.Code, o.Reason
	case (o.Result == ResultRetry || o.Result == ResultMisconfigured) && o.Code != "" && s.State != Suspect:
		s.Code, s.Reason = o.Code, o.Reason
	}
	if state != s.State {
		s.State, s.Since = state, now
	}
	return s
}

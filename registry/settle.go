package registry

import (
	"time"
)

// Settle writes the outcome of the work. Delivered and refused take it from the queue, and the
// device is due again at once if more waits; of mail that was cleared meanwhile the device is told.
// Retry and misconfigured keep it and make the device due at o.At, but when it expires at the
// latest. Gone removes the device and tells its owner's other devices. If the app has changed the
// address or its keys since the work was taken, nothing of the outcome counts; if it has only
// confirmed them, only delivered does: anything else keeps the work, and it is due at once. An
// environment that delivered has shown is the device's from then on, if that was not known.
func (b Outbox) Settle(w Work, o Outcome, now time.Time) error {
	return b.change(now, func(set *queueSet) error { return settle(set, w, o) })
}

func settle(set *queueSet, w Work, o Outcome) error {
	tx, now := set.tx, set.now
	d, at, err := readDevice(tx, w.Device.ID)
	if err != nil {
		return err
	}
	row, found, err := deliveries.Get(tx, w.key)
	if err != nil {
		return err
	}
	if !found || row.State != Pending {
		return overtaken(set, w, o, row)
	}
	same := d.SameAddress(w.Device)
	if !same || o.Result != ResultDelivered && !d.Registered.Equal(w.Device.Registered) {
		o.Result, o.At, o.Suspect = ResultRetry, time.Time{}, false
	}
	if o.Result == ResultGone {
		return forget(set, at, o.Reason)
	}
	q, err := set.of(at)
	if err != nil {
		return err
	}
	if same && o.Result == ResultDelivered && o.Environment != "" && d.Environment == "" {
		d.Environment = o.Environment
		at.Value.Revision++ // whoever edits the device is not to forget it
		at.Value.Environment, q.row.Lane = d.Environment, d.Lane()
		if err := devices.Put(tx, at.Key, at.Value); err != nil {
			return err
		}
		if q.opens, err = laneOpens(tx, q.row.Lane, now); err != nil {
			return err
		}
	}
	if same {
		q.row.Status = q.row.Status.after(o, q.opens.After(now), now)
	}
	better, err := filledIn(tx, d, w, o)
	if err != nil {
		return err
	}
	if row.Before.IsZero() || o.Result != ResultRefused { // else it stays as it was when it was told
		row.Attempts, row.Code, row.Reason, row.Unknown = w.Attempts+1, o.Code, o.Reason, row.Unknown || o.Unknown
	}
	if row = row.as(o.Result.state(), now); better {
		row.State, row.At, row.Before = Pending, now, now // its words have come while it was on its way
	}
	if o.Result == ResultDelivered {
		if err := set.alight(q, w.rides); err != nil {
			return err
		}
	}
	line := w.Notification.line()
	if row.State != Pending || better {
		q.row.Lines[line] = q.row.Lines[line].after(w, o, now)
	}
	if row.State == Pending {
		q.row.Holding, q.row.Due = false, o.again(q.opens, row.Expires)
		return deliveries.Put(tx, w.key, row)
	}
	if err := set.end(q, w.key, row); err != nil {
		return err
	}
	q.row.Due, q.row.Holding = q.row.next(q.transport, q.opens, now)
	return nil
}

// overtaken is Settle for a delivery that waits no more: if the mail was cleared while its push was
// in flight, the phone shows it all the same, so it is told.
func overtaken(set *queueSet, w Work, o Outcome, row deliveryRow) error {
	if row.State != Cleared || row.Attempts > w.Attempts || o.Result != ResultDelivered && !o.Unknown {
		return nil
	}
	row.Attempts, row.At = w.Attempts+1, set.now
	if o.Result == ResultDelivered {
		row.State = Delivered
	}
	if err := deliveries.Put(set.tx, w.key, row); err != nil {
		return err
	}
	return set.insert(clearOf(w.Notification.Account, []string{w.Notification.ID}, set.now), []string{w.Device.ID})
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

// again is when a row that the outcome keeps is due: once its lane opens, and when it expires at
// the latest, whatever time a service asks for.
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

// A device that has failed so often and for so long without one success is suspect, unless its
// whole lane was out of order.
const (
	failingFor   = 3 * 24 * time.Hour
	failingTries = 20
)

// after is the device's status once the outcome is known; out: its lane is paused. An outage and a
// fault of the lane say nothing of the device, but are why it does not ring.
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

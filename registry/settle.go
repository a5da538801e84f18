package registry

import (
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// Settle writes the outcome of the work.
//
//   - Delivered and refused take it from the queue. The device is due again at once if more
//     waits.
//   - Retry and misconfigured keep it. The device is due at as.At, but no later than the work
//     expires.
//   - Gone removes the device and notifies its owner's other devices. If there are none, its owner
//     gets a Notice.
//
// If the app has changed the address or its keys since the work was taken, the outcome does not
// count. If it has only confirmed them, only delivered counts. Otherwise the work stays, and is due
// at once.
//
// If the work no longer waits, the outcome changes nothing, with one exception: after the push of a
// mail that was cleared meanwhile, a clear follows. The device takes over parameters that a
// delivery has shown, unless it has one of that name.
//
// LaneWorks and PauseFor count even if the rest of the outcome does not; Accuses alone does not
// count once the device was edited. PauseFor changes nothing if a pause began meanwhile and still
// lasts, or ended meanwhile: the push was on its way then. Settle reports whether it changed the
// lane.
//
// Work of NextAfter is settled together with the deliveries that were sent before it, in order.
// Only the last of these outcomes counts for the lane: it may have been paused since the others
// came. If they do not fit one transaction, those that are written stand.
//
// It returns ErrNotFound if there is no such device; then nothing of the outcome counts.
func (o Outbox) Settle(w Work, as Outcome, now time.Time) (laneChanged bool, err error) {
	device := id(w.Device.ID)
	for sent := append(slices.Clip(w.unsettled), &sentWork{w, as, now}); len(sent) > 0 && err == nil; {
		settled := 0
		err = o.updateQueues(now, func(set *queueSet) (err error) {
			settled, laneChanged, err = set.settle(device, sent)
			return err
		})
		sent = sent[settled:]
	}
	o.inFlight.landed(device, err)
	return laneChanged && err == nil, err
}

// settle writes as many outcomes as fit the transaction, each as of when it came.
func (s *queueSet) settle(device id, sent []*sentWork) (settled int, laneChanged bool, err error) {
	q, err := s.getExisting(device)
	for ; err == nil && settled < len(sent) && (settled == 0 || s.opsLeft() >= settleCost); settled++ {
		w, o, paused := sent[settled].Work, sent[settled].Outcome, false
		s.now = sent[settled].at
		if settled == len(sent)-1 {
			if o.PauseFor == 0 && q.device.Value.Revision != w.Device.Revision {
				o.Accuses = false // the answer may be to another address
			}
			if laneChanged, paused, err = s.settleLane(w, o); err != nil {
				break
			}
		}
		err = s.settleDelivery(q, w, o, paused)
	}
	return settled, laneChanged, err
}

// settleDelivery writes the outcome for the device and the work. paused reports whether the lane of
// the work is paused.
func (s *queueSet) settleDelivery(q *queue, w Work, o Outcome, paused bool) error {
	row, found, err := deliveries.Get(s.tx, w.key)
	if err != nil {
		return err
	}
	if !row.Withdrawn.IsZero() {
		row = row.withState(idlepush.DeliveryCleared, row.Withdrawn)
		if err := s.endDelivery(q, w.key, row); err != nil {
			return err
		}
	}
	if !found || row.State != idlepush.DeliveryPending {
		return settleEnded(s, w, o, row)
	}
	same, err := sameAddress(s.tx, q.device, w.Device)
	if err != nil {
		return err
	}
	if !same || o.Result != ResultDelivered && !q.device.Value.Registered.Equal(w.Device.Registered) {
		o.Result, o.At, o.Suspect, o.Absent, o.Slow = ResultRetry, time.Time{}, false, false, false
	}
	if o.Result == ResultGone {
		return removeGoneDevice(s, q, o.Reason)
	}
	if same && o.Result == ResultDelivered {
		if err := s.followPush(q, row); err != nil {
			return err
		}
	}
	resend, err := contentArrived(s.tx, q.device.Value.Content, w, o)
	if err != nil {
		return err
	}
	if o.Result == ResultDelivered {
		if err := s.endPiggybacked(q, w.piggybacked); err != nil {
			return err
		}
	}
	if same {
		if err := s.learn(q, o); err != nil {
			return err
		}
		q.row.Slow = o.Slow
		q.row.Status = statusRowOf(afterOutcome(q.row.Status.status(), o, paused, s.now))
	}
	if row.DeliveredBefore.IsZero() || o.Result != ResultRefused { // else the first delivery stays
		row.Attempts, row.Code, row.Params, row.MaybeDelivered = w.Attempts+1, o.Code, o.Params, row.MaybeDelivered || o.MaybeDelivered
	}
	row.Decision = storedDecision(w.Decision)
	row = row.withState(o.Result.state(), s.now)
	counts := row.State != idlepush.DeliveryPending
	if resend {
		// FillIn came meanwhile.
		row.State, row.At, row.DeliveredBefore = idlepush.DeliveryPending, s.now, s.now
	}
	return s.putSettled(q, w, o, row, counts)
}

// sameAddress reports whether a push to the device still has the destination that it had when the
// work was taken.
func sameAddress(tx *table.Tx, at table.Row[deviceKey, deviceRow], was idlepush.Device) (bool, error) {
	if at.Value.Revision == was.Revision {
		return true, nil
	}
	d, _, err := unsealDevice(tx, at)
	return d.SameAddress(was), err
}

// learn stores what a delivery has shown of the device, and moves the device to the lane that
// follows from it.
func (s *queueSet) learn(q *queue, o Outcome) error {
	if o.Result != ResultDelivered || o.Learned == nil {
		return nil
	}
	was, _, err := unsealDevice(s.tx, q.device)
	if err != nil {
		return err
	}
	d, learned := was.Learn(o.Learned)
	if !learned {
		return nil
	}
	d.Revision++ // whoever edits the device is not to forget it
	if q.device.Value, err = sealDevice(s.tx, q.device.Key, d); err != nil {
		return err
	}
	q.row.Lane = d.Lane
	return devices.Put(s.tx, q.device.Key, q.device.Value)
}

// endPiggybacked ends the deliveries that were sent with the push of another.
func (s *queueSet) endPiggybacked(q *queue, list []deliveryKey) error {
	for _, k := range list {
		row, found, err := deliveries.Get(s.tx, k)
		if err != nil {
			return err
		}
		if !found || row.State != idlepush.DeliveryPending {
			continue
		}
		state := idlepush.DeliveryDelivered
		if !s.now.Before(row.Expires) { // the device does not show it
			state = idlepush.DeliveryExpired
		}
		if err := s.endDelivery(q, k, row.withState(state, s.now)); err != nil {
			return err
		}
	}
	return nil
}

// contentArrived reports whether a mail has more content for the device now than when it was sent,
// because FillIn came meanwhile.
func contentArrived(tx *table.Tx, l idlepush.Level, w Work, o Outcome) (bool, error) {
	if o.Result != ResultDelivered || !w.Notification.Wordless {
		return false, nil
	}
	row, found, err := notifications.Get(tx, w.key.notification)
	if err != nil || !found || row.Wordless {
		return false, err
	}
	n, err := row.unseal(tx, w.key.notification)
	return n.Content.At(l) != w.Notification.Content.At(l), err
}

// settleEnded is Settle for a delivery that no longer waits. If the mail was cleared while its push
// was in flight, the phone shows it all the same, so a clear follows.
func settleEnded(set *queueSet, w Work, o Outcome, row deliveryRow) error {
	if row.State != idlepush.DeliveryCleared || row.Attempts > w.Attempts || o.Result != ResultDelivered && !o.MaybeDelivered {
		return nil
	}
	row.Attempts, row.At = w.Attempts+1, set.now
	if o.Result == ResultDelivered {
		row.State = idlepush.DeliveryDelivered
	}
	if err := deliveries.Put(set.tx, w.key, row); err != nil {
		return err
	}
	return set.clearShown(w.key, w.Notification.ID)
}

// clearShown queues a clear of the notification with this stable id for the delivery's device.
func (s *queueSet) clearShown(k deliveryKey, stable string) error {
	return s.insert(clearOf(string(k.notification.scope), []string{stable}, s.now), []string{string(k.device)})
}

// removeGoneDevice removes a device whose address is gone, and notifies its owner's other devices,
// or gives its owner a notice.
func removeGoneDevice(set *queueSet, q *queue, cause idlepush.Reason) error {
	d := q.device
	if q.row.Chain.Told != "" { // perhaps in this transaction, and removeDevice reads the row
		if err := queues.Put(set.tx, d.Key.device, q.row); err != nil {
			return err
		}
	}
	delete(set.list, d.Key.device)
	if err := removeDevice(set.tx, d.Key); err != nil {
		return err
	}
	reason := idlepush.Reason{Code: codeDeviceGone, Params: cause.Params}.With(codes.Cause, string(cause.Code)).With("device", d.Value.Name)
	return tellUser(set, d.Key.user, reason, string(d.Key.device))
}

// state returns the state of a delivery after the result.
func (r Result) state() idlepush.DeliveryState {
	switch r {
	case ResultDelivered:
		return idlepush.DeliveryDelivered
	case ResultRefused:
		return idlepush.DeliveryRefused
	}
	return idlepush.DeliveryPending
}

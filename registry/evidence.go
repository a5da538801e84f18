package registry

import (
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// DeviceRefused is why a device is suspect, or cannot be registered, although its service found
// this server at fault: the service accepts pushes to others.
var DeviceRefused = idlepush.Reason{Code: "device_refused"}

// Evidence is what the store knows of a lane when the answer to one of its devices is judged. A
// device counts as proven while its state is StateProven.
type Evidence struct {
	Lane        Lane   // zero: neither paused nor with a device that is accused
	AccusedUser string // the user of Lane.Accused
	IsProven    bool   // the device is proven
	Proven      int    // the proven devices of the lane
	Users       int    // the users of those; if there are none, the users with work in the lane
}

// Evidence returns what the store knows of the lane for an answer to the device. It reads the
// proven devices of the lane.
func (o Outbox) Evidence(lane, device string) (ev Evidence, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		if ev.Lane, err = getLane(tx, lane); err != nil {
			return err
		}
		ids, err := provenIn(tx, lane)
		if err != nil {
			return err
		}
		ev.Proven = len(ids)
		if len(ids) == 0 {
			waits, err := due.Keys(tx, table.Under(lanePrefix(lane)), table.NoLimit)
			if err != nil {
				return err
			}
			for _, k := range waits {
				ids = append(ids, k.device)
			}
		}
		of := make(map[id]bool)
		for _, k := range ids {
			at, found, err := devicesID.Get(tx, k)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			of[at.user] = true
			if ev.Proven == 0 {
				continue
			}
			ev.IsProven = ev.IsProven || string(k) == device
			if string(k) == ev.Lane.Accused {
				ev.AccusedUser = string(at.user)
			}
		}
		ev.Users = len(of)
		if ev.AccusedUser == "" {
			ev.Lane.Accused = "" // it is gone, or no longer proven
		}
		return nil
	})
	return ev, err
}

// provenIn returns the proven devices of the lane.
func provenIn(tx *table.Tx, lane string) (list []id, err error) {
	keys, err := proven.Keys(tx, table.Under(lanePrefix(lane)), table.NoLimit)
	for _, k := range keys {
		list = append(list, k.device)
	}
	return list, err
}

// LastProof returns when a push was last accepted for a proven device of the lane, other than the
// device given. It is zero if there is no such device.
func (s Devices) LastProof(lane, device string) (last time.Time, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		ids, err := provenIn(tx, lane)
		for _, k := range ids {
			if string(k) == device || err != nil {
				continue
			}
			var q queueRow
			if q, _, err = queues.Get(tx, k); q.Status.Proof.After(last) {
				last = q.Status.Proof
			}
		}
		return err
	})
	return last, err
}

// Proved notes that a push beside the queue was accepted for the device: its lane works. The device
// need not be registered yet. What waits for it is due now.
func (o Outbox) Proved(d idlepush.Device, now time.Time) (laneChanged bool, err error) {
	err = o.updateQueues(now, func(set *queueSet) error {
		var err error
		accepted := Outcome{Result: ResultDelivered, LaneWorks: true}
		if laneChanged, _, err = set.settleLane(Work{Device: d, Lane: d.Lane}, accepted); err != nil || d.ID == "" {
			return err
		}
		q, err := set.get(id(d.ID))
		if q != nil {
			q.hasten(now)
		}
		return err
	})
	return laneChanged && err == nil, err
}

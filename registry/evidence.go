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
	Users       int    // their users, but at least 2 if several users have devices in the lane
}

// Evidence returns what the store knows of the lane for an answer to the device. If no device of
// the lane is proven, its Users are those of all. It reads the devices of the lane.
func (o Outbox) Evidence(lane, device string) (ev Evidence, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		if ev.Lane, err = getLane(tx, lane); err != nil {
			return err
		}
		all, err := members.Keys(tx, table.Under(lanePrefix(lane)), table.NoLimit)
		if err != nil {
			return err
		}
		users, ofProven := make(map[id]bool), make(map[id]bool)
		for _, k := range all {
			users[k.user] = true
			if !k.proven {
				continue
			}
			ev.Proven++
			ofProven[k.user] = true
			ev.IsProven = ev.IsProven || string(k.device) == device
			if string(k.device) == ev.Lane.Accused {
				ev.AccusedUser = string(k.user)
			}
		}
		if ev.Users = len(users); ev.Proven > 0 {
			ev.Users = max(len(ofProven), min(2, len(users)))
		}
		if ev.AccusedUser == "" {
			ev.Lane.Accused = "" // it is gone, or no longer proven
		}
		return nil
	})
	return ev, err
}

// LastProof returns when a push was last accepted for a proven device of the lane, other than the
// device given. It is zero if there is no such device.
func (s Devices) LastProof(lane, device string) (last time.Time, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		list, err := members.Keys(tx, table.Under(memberPrefix{lane, true}), table.NoLimit)
		if err != nil {
			return err
		}
		for _, k := range list {
			if string(k.device) == device {
				continue
			}
			q, _, err := queues.Get(tx, k.device)
			if err != nil {
				return err
			}
			if q.Status.Proof.After(last) {
				last = q.Status.Proof
			}
		}
		return nil
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

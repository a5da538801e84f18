package promise

import (
	"time"

	"idlepush"
	"idlepush/registry"
)

// Troubles returns the troubles that last at now, with the devices to notify. Those of a single
// mailbox or device are left out: the store notifies of these itself. So is a store that fails: it
// cannot store a notification.
func (h House) Troubles(now time.Time) (list []registry.Trouble) {
	if !h.DiskLow.IsZero() {
		for _, user := range h.Admins {
			t := registry.Trouble{User: user, Key: string(diskLow), Reason: idlepush.Reason{Code: diskLow}}
			for _, d := range h.Devices {
				if d.User == user && works(d, now) {
					t.Devices = append(t.Devices, d.ID)
				}
			}
			list = append(list, t)
		}
	}
	for _, l := range h.Paused {
		for _, user := range h.usersOf(l) {
			list = append(list, h.laneTrouble(l, user, now))
		}
	}
	return list
}

// laneTrouble returns the trouble of a paused lane for the user. On a device of that lane it would
// ring once it is over, and on all devices if the network is down. That is why it rings on devices
// whose lane has worked for TellAfter.
func (h House) laneTrouble(l registry.Lane, user string, now time.Time) registry.Trouble {
	r := laneDown(l)
	t := registry.Trouble{User: user, Key: string(r.Code) + " " + l.Name, Reason: r}
	long := func(since time.Time) bool { return now.Sub(latest(since, h.Awake)) >= TellAfter }
	for _, d := range h.Devices {
		if d.User == user && works(d, now) && !h.isPaused(d.Lane) && long(l.Since) && long(h.LastPaused[d.Lane]) {
			t.Devices = append(t.Devices, d.ID)
		}
	}
	return t
}

// works reports whether pushes have reached the device of late, as far as that is known.
func works(d idlepush.Device, now time.Time) bool {
	return d.ShownStatus(now).State == idlepush.StateProven && d.Status.Failures == 0
}

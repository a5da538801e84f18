package promise

import (
	"time"

	"idlepush"
	"idlepush/registry"
)

// Troubles returns of what users are to be told on their devices at now, and what they were told of
// that lasts. What breaks a single mailbox or device is not among it: the store tells that itself.
// Neither is a store that fails, as nobody can be told by it before that is over.
func (h House) Troubles(now time.Time) (list []registry.Trouble) {
	if !h.DiskLow.IsZero() {
		for _, user := range h.Admins {
			t := registry.Trouble{User: user, About: string(diskLow), Reason: idlepush.Reason{Code: diskLow}}
			for _, d := range h.Devices {
				if d.User == user && works(d, now) {
					t.Devices = append(t.Devices, d.ID)
				}
			}
			list = append(list, t)
		}
	}
	for _, l := range h.Lanes {
		for _, user := range h.usersOf(l) {
			list = append(list, h.laneTrouble(l, user, now))
		}
	}
	return list
}

// laneTrouble returns what the user is told of a paused lane. On a device of that lane it would
// ring once it is over, and on all devices if the network is down. So it rings on devices whose
// lane has worked for as long as the other may be paused.
func (h House) laneTrouble(l registry.Lane, user string, now time.Time) registry.Trouble {
	r := laneDown(l)
	t := registry.Trouble{User: user, About: string(r.Code) + " " + l.Name, Reason: r}
	long := func(since time.Time) bool { return now.Sub(latest(since, h.Awake)) >= TellAfter }
	for _, d := range h.Devices {
		if d.User == user && works(d, now) && !h.isPaused(d.Lane) && long(l.Since) && long(h.Paused[d.Lane]) {
			t.Devices = append(t.Devices, d.ID)
		}
	}
	return t
}

// works reports whether pushes have reached the device of late, as far as that is known.
func works(d idlepush.Device, now time.Time) bool {
	return d.ShownStatus(now).State == idlepush.StateProven && d.Status.Failures == 0
}

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
				if d.User == user {
					t.Devices = append(t.Devices, d.ID)
				}
			}
			list = append(list, t)
		}
	}
	for _, l := range h.Lanes {
		for _, user := range h.usersOf(l) {
			if t, others := h.laneTrouble(l, user, now); others {
				list = append(list, t)
			}
		}
	}
	return list
}

// laneTrouble is what the user is told of a paused lane, and whether another lane of theirs works.
// If none does, it is rather the network, and the user would be told of that only once it is over.
// So the user is told on devices whose lane has worked for as long as the other may not.
func (h House) laneTrouble(l registry.Lane, user string, now time.Time) (t registry.Trouble, others bool) {
	r := laneDown(l)
	t = registry.Trouble{User: user, About: string(r.Code) + " " + l.Name, Reason: r}
	long := func(since time.Time) bool { return now.Sub(latest(since, h.Awake)) >= TellAfter }
	for _, d := range h.Devices {
		if d.User != user || h.isPaused(d.Lane) {
			continue
		}
		others = true
		if long(l.Since) && long(h.Paused[d.Lane]) {
			t.Devices = append(t.Devices, d.ID)
		}
	}
	return t, others
}

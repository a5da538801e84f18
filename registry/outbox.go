package registry

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Outbox is the dispatcher's part of the store: the queue of each device, and the lanes.
type Outbox struct{ *core }

// Changed returns a channel that receives after a device got work, its due time moved, or the pause
// of a lane ended. Signals may merge. The channel is for one reader.
func (o Outbox) Changed() <-chan struct{} { return o.outbox }

// Queue is a device with work.
type Queue struct {
	Device string
	User   string // of the device
	Lane   string
	Slow   bool      // the last send to the device was not answered in time
	Probe  bool      // the lane is paused: send to one of its queues only
	Due    time.Time // not before this time

	// Of a probe: whether the device is proven, and the device that is accused with its user, or
	// empty.
	Proven      bool
	Accused     string
	AccusedUser string
}

// Work is the first delivery of a device's queue. Settle ends it.
type Work struct {
	Notification idlepush.Notification // without its deliveries
	Device       idlepush.Device
	Account      idlepush.Account // only its owner, address and link; zero: it concerns no account

	Lane         string
	Pause        Lane        // of the lane when the work was taken; zero: it was not paused
	Unread       *int        // unread mails of all accounts that ring the device; nil: not known
	Clear        []string    // stable ids that the push withdraws, besides its own notification
	Attempts     int         // tries so far
	NotifiedAt   []time.Time // the last deliveries of the subqueue, oldest first; see KeepNotified
	HoldEnded    bool        // a hold of the subqueue is over; Combine ends it
	KeepNotified int         // how many such times Settle keeps; 0: this delivery does not count

	key         deliveryKey
	subqueue    subqueueKey
	piggybacked []deliveryKey // what Clear was taken from
}

// Due returns queues with work, longest due first, also those that are due only after now. Of the
// queues of a user in a lane, it returns the first, as many as room returns, and likewise of the
// slow ones. It asks room with an example, which is of no device and not due. busy has the devices
// to skip.
//
// Of a lane whose pause has not yet lasted its time, it returns one queue, of no user and device,
// that is due then.
func (o Outbox) Due(now time.Time, room func(example Queue) int, busy map[string]Queue) (list []Queue, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		var pause Lane
		var lane string
		groups := dueGroups{tx: tx}
		for {
			group, ok, err := groups.next()
			if err != nil || !ok {
				return err
			}
			if group.lane != lane {
				if pause, err = getLane(tx, group.lane); err != nil {
					return err
				}
				lane = group.lane
			}
			if now.Before(pause.Until) {
				list = append(list, Queue{Lane: lane, Probe: true, Due: pause.Until})
				groups.skip(lanePrefix(lane))
				continue
			}
			q := Queue{User: string(group.user), Lane: lane, Slow: group.slow, Probe: pause.IsPaused()}
			keys, err := groups.take(group, room(q), busy)
			if err != nil {
				return err
			}
			for _, k := range keys {
				q.Device, q.Due = string(k.device), k.at
				if q.Probe && !k.at.After(now) {
					if err := q.describe(tx, pause); err != nil {
						return err
					}
				}
				list = append(list, q)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Queue) int {
		return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.Device, b.Device), strings.Compare(a.Lane, b.Lane))
	})
	return list, nil
}

// describe reads what decides whether the queue is a good probe.
func (q *Queue) describe(tx *table.Tx, pause Lane) error {
	accused, _, err := devicesID.Get(tx, id(pause.Accused))
	if err != nil {
		return err
	}
	row, _, err := queues.Get(tx, id(q.Device))
	q.Proven = row.Status.State == idlepush.StateProven
	q.Accused, q.AccusedUser = pause.Accused, string(accused.user)
	return err
}

// dueGroups reads the queues that have work, one group after the other.
type dueGroups struct {
	tx    *table.Tx
	rest  table.Range // not yet read
	ahead []dueKey    // read, and not yet returned
}

// readAhead is how many queues dueGroups reads at once: most groups are small.
const readAhead = 64

// next returns the next group, or false after the last.
func (g *dueGroups) next() (group dueGroup, ok bool, err error) {
	if len(g.ahead) == 0 {
		if g.ahead, err = due.Keys(g.tx, g.rest, readAhead); err != nil || len(g.ahead) == 0 {
			return group, false, err
		}
	}
	return g.ahead[0].dueGroup, true, nil
}

// skip goes on after what begins with the prefix.
func (g *dueGroups) skip(past table.Prefix) { g.rest, g.ahead = g.rest.Past(past), nil }

// take returns at most limit queues of the next group, longest due first, without the busy devices.
func (g *dueGroups) take(group dueGroup, limit int, busy map[string]Queue) (keys []dueKey, err error) {
	if n := slices.IndexFunc(g.ahead, func(k dueKey) bool { return k.dueGroup != group }); n > 0 {
		keys, g.ahead = g.ahead[:n:n], g.ahead[n:]
	} else if g.skip(group); limit > 0 { // there may be more of them than was read
		keys, err = due.Keys(g.tx, table.Under(group), limit+len(busy))
	}
	keys = slices.DeleteFunc(keys, func(k dueKey) bool {
		_, isBusy := busy[string(k.device)]
		return isBusy
	})
	return keys[:min(max(limit, 0), len(keys))], err
}

// VAPIDKey returns the application server's key (RFC 8292 section 3.2). It was made with the store
// and never changes: another key would end every Web Push subscription.
func (o Outbox) VAPIDKey() (*ecdsa.PrivateKey, error) {
	var scalar []byte
	err := o.db.View(func(tx *table.Tx) error {
		row, _, err := metas.Get(tx, metaVAPID)
		if err != nil {
			return err
		}
		return metas.Place(tx, metaVAPID).Open(row.Sealed, &scalar)
	})
	if err != nil {
		return nil, fmt.Errorf("read the VAPID key: %w", err)
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
}

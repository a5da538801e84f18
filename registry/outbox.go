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

// Queue is a device with work, and its lane.
type Queue struct {
	Device string
	Lane   string
	Probe  bool // the lane is paused: send to one of its queues only

	// Of a probe: the device's user, whether it is proven, and the device that is accused and its
	// user, if any.
	User        string
	Proven      bool
	Accused     string
	AccusedUser string
}

// Work is the first delivery of a device's queue. Settle ends it.
type Work struct {
	Notification idlepush.Notification // without its deliveries
	Device       idlepush.Device

	Lane         string
	Pause        Lane        // of the lane when the work was taken; zero: it was not paused
	Mailbox      string      // the address of its account, if any
	Link         string      // opened by a click, from its account's template; empty: the page
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

// Due returns at most limit queues that are due at now, longest due first. busy maps each device
// with a send in flight to its lane. Due skips these devices, and perLane bounds the sends in one
// lane, including those in flight.
//
// A paused lane has no due queues until its pause has lasted its time. Then Due returns all of them
// as candidates for the probe, unless the lane has a send in flight. next is when another queue
// will be due. It is zero if none will before a send in flight ends.
func (o Outbox) Due(now time.Time, limit, perLane int, busy map[string]string) (list []Queue, next time.Time, err error) {
	inFlight := make(map[string]int)
	for _, lane := range busy {
		inFlight[lane]++
	}
	var found []dueQueue
	err = o.db.View(func(tx *table.Tx) error {
		for rest := (table.Range{}); ; {
			first, err := due.Keys(tx, rest, 1)
			if err != nil || len(first) == 0 {
				return err
			}
			lane := lanePrefix(first[0].lane)
			rest = rest.Past(lane)
			pause, err := pauseOf(tx, string(lane))
			if err != nil {
				return err
			}
			limitHere := limit + 1 // one more shows that there are more
			switch n := inFlight[string(lane)]; {
			case !pause.IsPaused():
				limitHere = min(limitHere, perLane-n)
			case n > 0 && !now.Before(pause.Until):
				limitHere = 0
			}
			keys, err := dueIn(tx, lane, limitHere, busy)
			if err != nil {
				return err
			}
			for _, k := range keys {
				q := dueQueue{Queue{Device: string(k.device), Lane: string(lane), Probe: pause.IsPaused()}, k.at}
				if now.Before(pause.Until) && q.at.Before(pause.Until) {
					q.at = pause.Until
				}
				if q.Probe && !now.Before(pause.Until) {
					if err := q.describe(tx, pause); err != nil {
						return err
					}
				}
				found = append(found, q)
			}
		}
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	slices.SortFunc(found, func(a, b dueQueue) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.Device, b.Device))
	})
	for _, q := range found {
		switch {
		case q.at.After(now):
			return list, q.at, nil
		case len(list) == limit:
			return list, now, nil
		}
		list = append(list, q.Queue)
	}
	return list, time.Time{}, nil
}

// dueQueue is a queue with its due time, or the end of its lane's pause if that is later.
type dueQueue struct {
	Queue
	at time.Time
}

// describe reads what decides whether the queue is a good probe.
func (q *Queue) describe(tx *table.Tx, pause Lane) error {
	at, _, err := devicesID.Get(tx, id(q.Device))
	if err != nil {
		return err
	}
	accused, _, err := devicesID.Get(tx, id(pause.Accused))
	if err != nil {
		return err
	}
	row, _, err := queues.Get(tx, id(q.Device))
	q.User, q.Proven = string(at.user), row.Status.State == idlepush.StateProven
	q.Accused, q.AccusedUser = pause.Accused, string(accused.user)
	return err
}

// dueIn returns at most limit queues of the lane, longest due first, without the busy devices.
func dueIn(tx *table.Tx, lane lanePrefix, limit int, busy map[string]string) ([]dueKey, error) {
	if limit <= 0 {
		return nil, nil
	}
	keys, err := due.Keys(tx, table.Under(lane), limit+len(busy))
	keys = slices.DeleteFunc(keys, func(k dueKey) bool {
		_, isBusy := busy[string(k.device)]
		return isBusy
	})
	return keys[:min(limit, len(keys))], err
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

package registry

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"slices"
	"strings"
	"time"

	"idlepush/registry/table"
)

// Outbox is what the dispatcher reads and writes: the queue of each device, and the lanes.
type Outbox struct{ *core }

// Changed returns a channel that receives after a device got work, its work moved, or a lane's
// pause ended. Signals may merge. It is for one reader.
func (o Outbox) Changed() <-chan struct{} { return o.outbox }

// Queue names a device with work and its lane.
type Queue struct {
	Device string
	Lane   string
}

// Work is the first delivery of a device's queue. Settle ends it.
type Work struct {
	Device       Device
	Lane         string
	Notification Notification // without its deliveries
	Mailbox      string       // the address of the account that it concerns; empty: it concerns none
	Link         string       // where a click on it leads, by its account's template; empty: to the page
	Unread       *int         // unread mails of all accounts that ring the device; nil: not known
	Clear        []string     // stable ids that the push is to take away beside what it shows
	Attempts     int          // tries so far
	Rang         []time.Time  // when the line of the work last rang, oldest first, as far as Remember asked for
	Released     bool         // the line was held back, and that has ended: Combine ends it
	Remember     int          // how many times of ringing Settle is to keep of the line; 0: this one does not count

	key   deliveryKey
	line  lineKey
	rides []deliveryKey // what Clear was taken from
}

// Due returns at most limit queues that are due at now, longest due first, without the devices and
// lanes in busy. next is when another will be due; zero if none will.
func (o Outbox) Due(now time.Time, limit int, busy map[string]bool) (list []Queue, next time.Time, err error) {
	var found []dueKey
	err = o.db.View(func(tx *table.Tx) error {
		for rest := (table.Range{}); ; {
			first, err := due.Keys(tx, rest, 1)
			if err != nil || len(first) == 0 {
				return err
			}
			lane := laneKey(first[0].lane)
			rest = rest.Past(lane)
			if busy[string(lane)] {
				continue
			}
			keys, err := due.Keys(tx, table.Under(lane), limit+len(busy)+1)
			if err != nil {
				return err
			}
			found = append(found, keys...)
		}
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	found = slices.DeleteFunc(found, func(k dueKey) bool { return busy[string(k.device)] })
	slices.SortFunc(found, func(a, b dueKey) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(string(a.device), string(b.device)))
	})
	for _, k := range found {
		switch {
		case k.at.After(now):
			return list, k.at, nil
		case len(list) == limit:
			return list, now, nil
		}
		list = append(list, Queue{Device: string(k.device), Lane: k.lane})
	}
	return list, time.Time{}, nil
}

// VAPIDKey returns the application server's key (RFC 8292 section 3.2), made with the store and
// kept: another key would end every Web Push subscription.
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

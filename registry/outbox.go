package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
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

// Work is the first delivery of a device's queue. Settle ends it, or Decide if it sends nothing.
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
	HoldEnded    bool        // its hold has ended, and it is to be decided again; see Combine
	KeepNotified int         // how many such times Settle keeps; 0: this delivery does not count

	Receipt idlepush.Secret // the token with which the device reports of it

	wished
	Decision ring.Decision // about it, which Settle and Decide write; of Next: the last, or zero

	taken
}

// wished is what decides how work rings, besides its notification.
type wished struct {
	Wishes       ring.Wishes       // of the device's user, of the account; zero: it concerns none
	DeviceWishes ring.DeviceWishes // of the device
	Several      bool              // the user sees several accounts
	OnlySilent   bool              // a summary of mail that is all silent
}

// taken is where work was taken from.
type taken struct {
	key         deliveryKey
	subqueue    subqueueKey
	piggybacked []deliveryKey // what Clear was taken from
	unsettled   []*sentWork   // accepted before it by the same device; see NextAfter
}

// sentWork is work that was sent, with its outcome and when that came.
type sentWork struct {
	Work
	Outcome
	at time.Time
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

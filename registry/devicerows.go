package registry

import (
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
	"idlepush/ring"
)

// The rows of devices and wishes, and of queues and notifications.

// deviceRow is a device. Its user and id are in the key.
type deviceRow struct {
	Revision   uint64
	Name       string
	By         string `json:",omitempty"` // as of a token
	Transport  idlepush.Transport
	Address    digest
	Secrets    table.Sealed // a deviceSecrets
	Content    idlepush.Level
	Accounts   []string `json:",omitzero"`
	Created    time.Time
	Registered time.Time
}

// deviceSecrets is the sealed column of a device.
type deviceSecrets struct {
	Address string
	Keys    *sealedKeys       `json:",omitempty"`
	Params  map[string]string `json:",omitempty"`
}

// sealedKeys are Keys that marshal.
type sealedKeys struct{ P256dh, Auth string }

// wishesRow is the ring.Wishes of a user for an account. They are of one share of one mailbox: of
// any other, the row is as if it were not there, and Purge removes it.
type wishesRow struct {
	Since   uint64       `json:",omitempty"` // of the share; 0: the user owns the account
	Mailbox string       `json:",omitempty"` // that of the account
	Words   bool         `json:",omitempty"` // a rule asks for the first words of mail
	Sealed  table.Sealed // a ring.Wishes
}

type deviceWishesRow struct {
	Sealed table.Sealed // a ring.DeviceWishes
}

// senderRow is one sender of mail, whom the key does not give away.
type senderRow struct {
	Seen time.Time // the last mail, within seenPrecision
}

// queueRow is what changes about a device with each delivery.
type queueRow struct {
	Due       time.Time `json:",omitzero"`  // zero: nothing waits that is sent by itself
	Holding   bool      `json:",omitempty"` // Due is the end of a hold
	User      id
	Lane      string
	Slow      bool `json:",omitempty"` // the last send was not answered in time
	MustShow  bool `json:",omitempty"`
	Status    statusRow
	Subqueues map[string]subqueueRow `json:",omitempty"`
	Chain     chainRow               `json:",omitzero"`
}

// chainRow is the receipt.Chain of a device, but for what its status has.
type chainRow struct {
	Queued     time.Time  `json:",omitzero"`
	Last       receiptRow `json:",omitzero"`
	Unanswered int        `json:",omitempty"`
	Since      time.Time  `json:",omitzero"`
	Told       string     `json:",omitempty"` // the stable id of the attention about it
	Test       testRow    `json:",omitzero"`
}

// testRow has the report about the last test push that was reported.
type testRow struct {
	Seq     uint64 // as of the key of a notification
	Receipt receiptRow
}

type receiptRow struct {
	Received time.Time `json:",omitzero"`
	Shown    time.Time `json:",omitzero"`
	Opened   time.Time `json:",omitzero"`
}

// tripsRow is the last trips of pushes to a device, oldest first.
type tripsRow struct {
	Last []tripRow
}

type tripRow struct {
	At     time.Time
	Millis int64
}

// subqueueRow is one subqueue.
type subqueueRow struct {
	Head       uint64      `json:",omitempty"` // the sequence of the first; 0: it is empty
	NotifiedAt []time.Time `json:",omitempty"` // the last deliveries, oldest first
	HeldFrom   time.Time   `json:",omitzero"`  // of a held delivery: since when HeldUntil holds
	HeldUntil  time.Time   `json:",omitzero"`  // of a held delivery: when to decide again
	Combined   string      `json:",omitempty"` // the stable id of what Combine made last
}

type laneRow struct {
	Since   time.Time
	Until   time.Time         `json:",omitzero"`
	Accused string            `json:",omitempty"` // a device; see Lane
	Refused int               `json:",omitempty"`
	Code    codes.Code        `json:",omitempty"`
	Params  map[string]string `json:",omitempty"`
}

type notificationRow struct {
	ID          string
	Kind        idlepush.Kind
	User        bool   `json:",omitempty"` // the scope is a user
	Folder      string `json:",omitempty"`
	At          time.Time
	Expires     time.Time
	Code        codes.Code    `json:",omitempty"`
	Sealed      table.Sealed  // a notificationContent, sealed once
	Clear       []string      `json:",omitempty"`
	Count       int           `json:",omitempty"`
	Read        int           `json:",omitempty"`
	UIDValidity uint32        `json:",omitempty"`
	UID         uint32        `json:",omitempty"`
	Fingerprint string        `json:",omitempty"`
	Wordless    bool          `json:",omitempty"`
	Cleared     time.Time     `json:",omitzero"`
	Unqueued    []string      `json:",omitempty"` // devices in whose queues it is not yet
	Undecided   decisionStage `json:",omitempty"`
	Removed     bool          `json:",omitempty"` // its folder no longer has it; see ClearRemoved
	Earlier     int           `json:",omitempty"` // see OldMail; of excess mail: what last rang
	Silent      bool          `json:",omitempty"` // a summary of mail that is all silent
}

// notificationContent is the sealed column of a notification.
type notificationContent struct {
	From      string            `json:",omitempty"`
	Subject   string            `json:",omitempty"`
	MessageID string            `json:",omitempty"`
	Preview   string            `json:",omitempty"`
	OneTime   string            `json:",omitempty"` // a code that the mail brings
	Params    map[string]string `json:",omitempty"` // of Code
	Facts     ring.Facts        `json:",omitzero"`
}

type deliveryRow struct {
	Kind            idlepush.Kind // of the notification
	Expires         time.Time
	State           idlepush.DeliveryState
	At              time.Time         `json:",omitzero"`
	Into            string            `json:",omitempty"`
	Read            bool              `json:",omitempty"` // combined: not counted any more
	Attempts        int               `json:",omitempty"`
	MaybeDelivered  bool              `json:",omitempty"`
	Code            codes.Code        `json:",omitempty"`
	Params          map[string]string `json:",omitempty"`
	DeliveredBefore time.Time         `json:",omitzero"`
	// Withdrawn is when the notification was, if that was while its push may have been on its way.
	// The row stays pending, so that a crash before the outcome is written does not hide the push.
	Withdrawn time.Time `json:",omitzero"`

	Held     bool           `json:",omitempty"` // it waits in the subqueue of held deliveries
	Decision *ring.Decision `json:",omitempty"` // the last; nil: it just rings, or was not made yet
	Receipt  receiptRow     `json:",omitzero"`
}

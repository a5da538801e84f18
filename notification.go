package idlepush

import (
	"time"

	"idlepush/receipt"
	"idlepush/ring"
)

// Kind is the kind of a notification.
type Kind string

// KindMail is new mail. KindClear withdraws notifications of mail that was read or removed
// elsewhere. KindSummary counts mails and replaces as many KindMail. KindAttention asks a person to
// act. KindTest is a test, which is never stored. There is ring.KindHeartbeat, too.
const (
	KindMail      Kind = "mail"
	KindClear     Kind = "clear"
	KindSummary   Kind = "summary"
	KindAttention Kind = "attention"
	KindTest      Kind = "test"
)

// IsOfMail reports whether a notification of the kind is of new mail: one, or several.
func (k Kind) IsOfMail() bool { return k == KindMail || k == KindSummary }

// Lifetime returns how long a notification of the kind is worth delivering.
func (k Kind) Lifetime() time.Duration {
	switch k {
	case KindAttention:
		return 7 * 24 * time.Hour
	case KindClear, ring.KindHeartbeat:
		return 24 * time.Hour
	case KindTest:
		return time.Minute
	}
	return 3 * 24 * time.Hour
}

// Notification is a message to users, with the outcome on each device.
type Notification struct {
	ID      string // stable: 32 base64url characters
	Kind    Kind
	Account string // account id; empty when it concerns no account
	User    string // user id, if it concerns no account
	Folder  string
	At      time.Time
	Expires time.Time
	Reason  `json:"-"` // attention: what it is about; mail: why it did not ring, or zero
	// Content, of mail, is at the highest level that a receiver may fetch or be sent.
	Content    Content    `json:"-"`
	Facts      ring.Facts `json:"-"` // of mail: what decides how it rings
	Clear      []string   // clear: the stable ids to take away
	Count      int        // summary: how many mails it stands for
	Read       int        // summary: how many of them were cleared since
	Mails      []string   // of a summary by History.Get: ids of mails that it counts, newest first
	Deliveries []Delivery // one per device that it was queued for, in no order

	// The place of the mail.
	UIDValidity uint32
	UID         uint32
	Fingerprint string
	Wordless    bool      // the server does not return the content, or not yet
	Cleared     time.Time // when it was found read or removed; zero: it was not
}

// DeliveryState is the state of a delivery.
type DeliveryState string

// DeliveryPending is not yet accepted by the push service; the others are final. DeliveryCleared
// means that the mail was read or removed first. DeliveryCombined means that a summary or another
// clear replaced it. DeliveryRemoved means that the device, its account or its right to the account
// was removed first. DeliverySkipped means that the device is not to ring for it, by Decision.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryCombined  DeliveryState = "combined"
	DeliveryCleared   DeliveryState = "cleared"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryExpired   DeliveryState = "expired"
	DeliveryRefused   DeliveryState = "refused"
	DeliveryRemoved   DeliveryState = "removed"
	DeliverySkipped   DeliveryState = "skipped"
)

// Delivery is a notification in one device's queue, or its outcome there.
type Delivery struct {
	Device          string // device id, also when the device is gone
	State           DeliveryState
	At              time.Time     // of the state, or of the last try while pending; zero: not tried
	Into            string        // combined: the stable id of what it went into
	Attempts        int           // tries that reached an answer or a failure
	MaybeDelivered  bool          // pending: the device may show it after a try without an answer
	Reason                        // of the last try that was no success
	DeliveredBefore time.Time     // pending: when it came with less content; zero: it did not
	HeldUntil       time.Time     // pending: it waits until then; zero: it is due
	Decision        ring.Decision // the last about it; see its Code
	Outdated        bool          // what decided was changed or taken back since
	Receipt         receipt.Receipt
}

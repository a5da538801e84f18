package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"idlepush/registry/table"
)

// Kind is the kind of a notification.
type Kind string

// KindMail is new mail. KindClear withdraws notifications of mail that was read or removed
// elsewhere. KindSummary counts mails and replaces as many KindMail. KindAttention asks a person to
// act. KindTest is a test, which is never stored.
const (
	KindMail      Kind = "mail"
	KindClear     Kind = "clear"
	KindSummary   Kind = "summary"
	KindAttention Kind = "attention"
	KindTest      Kind = "test"
)

// Lifetime returns how long a notification of the kind is worth delivering.
func (k Kind) Lifetime() time.Duration {
	switch k {
	case KindAttention:
		return 7 * 24 * time.Hour
	case KindClear:
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
	Reason  `json:"-"` // attention: what it is about
	// Content, of mail, is at the highest level that a receiver may fetch or be sent.
	Content    Content    `json:"-"`
	Clear      []string   // clear: the stable ids to take away
	Count      int        // summary: how many mails it stands for
	Read       int        // summary: how many of them were cleared since
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
// was removed first.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryCombined  DeliveryState = "combined"
	DeliveryCleared   DeliveryState = "cleared"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryExpired   DeliveryState = "expired"
	DeliveryRefused   DeliveryState = "refused"
	DeliveryRemoved   DeliveryState = "removed"
)

// Delivery is a notification in one device's queue, or its outcome there.
type Delivery struct {
	Device          string // device id, also when the device is gone
	State           DeliveryState
	At              time.Time // of the state, or of the last try while pending; zero: not tried
	Into            string    // combined: the stable id of what it went into
	Attempts        int       // tries that reached an answer or a failure
	MaybeDelivered  bool      // pending: the device may show it after a try without an answer
	Reason                    // of the last try that was no success
	DeliveredBefore time.Time // pending: when it was delivered with less content; zero: it was not
}

// Result is one of the five results of a push.
type Result string

// The five results. Only ResultGone removes a device, and only ResultRefused drops a message.
// ResultRetry and ResultMisconfigured keep both.
const (
	ResultDelivered     Result = "delivered"
	ResultRetry         Result = "retry"
	ResultGone          Result = "gone"
	ResultRefused       Result = "refused"
	ResultMisconfigured Result = "misconfigured"
)

// Outcome is what the answer of a push service means, or what it means that no answer came.
type Outcome struct {
	Result         Result
	At             time.Time // ResultRetry: not before this time; zero: the dispatcher's backoff
	Suspect        bool      // ResultRetry: only this address fails, so the device is suspect
	MaybeDelivered bool      // ResultRetry: no answer came, but the service may have the message
	NotSent        bool      // nothing was sent, so the service is not to blame
	Learned        *Learned  // ResultDelivered: what the push has shown of the device; nil: nothing

	LaneWorks bool          // the answer proves that the lane works: its pause ends
	PauseFor  time.Duration // how long the lane is paused from now on; zero: as it was

	Reason // zero on success
}

// Learned is what a push has shown of a device.
type Learned struct {
	Params map[string]string // those that were not known
	Lane   string            // of the device with them
}

// StableID returns the id of one mail's notification: the first 24 bytes of SHA-256 over account,
// folder, UIDVALIDITY and UID, as 32 base64url characters. It fits an APNs collapse id (64 bytes)
// and a Web Push Topic (RFC 8030 section 5.4).
func StableID(account, folder string, uidValidity, uid uint32) string {
	var numbers [8]byte
	binary.BigEndian.PutUint32(numbers[:4], uidValidity)
	binary.BigEndian.PutUint32(numbers[4:], uid)
	return stableID(account, folder, string(numbers[:]))
}

func stableID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24])
}

// scopeOf returns the first field of the notification's key.
func scopeOf(n Notification) id {
	if n.Account != "" {
		return id(n.Account)
	}
	return id(n.User)
}

// sealNotification returns the row of a new notification under k.
func sealNotification(tx *table.Tx, k notificationKey, n Notification) (row notificationRow, err error) {
	row = notificationRow{ID: n.ID, Kind: n.Kind, User: n.Account == "", Folder: n.Folder, At: n.At, Expires: n.Expires, Code: n.Reason.Code, Clear: n.Clear, Count: n.Count,
		Read: n.Read, UIDValidity: n.UIDValidity, UID: n.UID, Fingerprint: n.Fingerprint, Wordless: n.Wordless, Cleared: n.Cleared}
	row.Sealed, err = notifications.Place(tx, k).Seal(notificationContent{n.Content.From, n.Content.Subject, n.Content.MessageID, n.Content.Preview, n.Reason.Params})
	return row, err
}

// unseal returns the notification of the row under k, without its deliveries.
func (row notificationRow) unseal(tx *table.Tx, k notificationKey) (Notification, error) {
	var c notificationContent
	if err := notifications.Place(tx, k).Open(row.Sealed, &c); err != nil {
		return Notification{}, err
	}
	n := Notification{ID: row.ID, Kind: row.Kind, Folder: row.Folder, At: row.At, Expires: row.Expires, Reason: Reason{row.Code, c.Params}, Clear: row.Clear, Count: row.Count,
		Read: row.Read, UIDValidity: row.UIDValidity, UID: row.UID, Fingerprint: row.Fingerprint, Wordless: row.Wordless, Cleared: row.Cleared,
		Content: Content{c.From, c.Subject, c.MessageID, c.Preview}}
	if row.User {
		n.User = string(k.scope)
	} else {
		n.Account = string(k.scope)
	}
	return n, nil
}

func (row deliveryRow) delivery(k deliveryKey) Delivery {
	return Delivery{string(k.device), row.State, row.At, row.Into, row.Attempts, row.MaybeDelivered, Reason{row.Code, row.Params}, row.DeliveredBefore}
}

// withState returns the delivery with the state. If it was delivered with less content before, its
// last state is that delivery, whatever the outcome of the rest is.
func (row deliveryRow) withState(state DeliveryState, at time.Time) deliveryRow {
	switch {
	case row.DeliveredBefore.IsZero() || state == DeliveryPending:
		row.State, row.At = state, at
	case state == DeliveryDelivered:
		row.State, row.At, row.DeliveredBefore = DeliveryDelivered, row.DeliveredBefore, time.Time{}
	default:
		row = deliveryRow{Kind: row.Kind, Expires: row.Expires, State: DeliveryDelivered, At: row.DeliveredBefore, Attempts: row.Attempts}
	}
	return row
}

// effective returns the delivery as it is at now. A pending one that nothing will send any more is
// expired or removed, although its row is still in its subqueue.
func (row deliveryRow) effective(now time.Time, deviceExists bool) deliveryRow {
	switch {
	case row.State != DeliveryPending:
	case !deviceExists:
		return row.withState(DeliveryRemoved, row.At)
	case !now.Before(row.Expires):
		return row.withState(DeliveryExpired, row.At)
	}
	return row
}

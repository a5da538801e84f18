package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Kind is what a notification says.
type Kind string

// MailKind is new mail; ClearKind that mail was read or removed elsewhere; SummaryKind how many mails came, in the place of as many MailKind;
// AttentionKind that a person must act; TestKind that a test was asked for, which is never stored.
const (
	MailKind      Kind = "mail"
	ClearKind     Kind = "clear"
	SummaryKind   Kind = "summary"
	AttentionKind Kind = "attention"
	TestKind      Kind = "test"
)

// Lifetime is how long a notification of the kind is worth delivering.
func (k Kind) Lifetime() time.Duration {
	switch k {
	case AttentionKind:
		return 7 * 24 * time.Hour
	case ClearKind:
		return 24 * time.Hour
	case TestKind:
		return time.Minute
	}
	return 3 * 24 * time.Hour
}

// Notification is what is to be said, and how saying it went on each device.
type Notification struct {
	ID         string // stable: 32 base64url characters
	Kind       Kind
	Account    string `json:",omitempty"` // account id; empty when it concerns no account
	User       string `json:",omitempty"` // the one user it concerns, when it concerns no account
	Folder     string `json:",omitempty"`
	At         time.Time
	Expires    time.Time
	Code       string     `json:",omitempty"` // attention: what it is about, stable
	Text       string     `json:"-"`          // attention: what happened and what to do
	Content    Content    `json:"-"`          // mail: at the highest level that a receiver may fetch or be sent
	Clear      []string   `json:",omitempty"` // clear: the stable ids to take away
	Count      int        `json:",omitempty"` // summary: how many mails it stands for
	Read       int        `json:",omitempty"` // summary: how many of them were read or removed since it was told
	Deliveries []Delivery // one per device that it was queued for, in no order

	// Where the mail is, by which it can be looked at again.
	UIDValidity uint32    `json:",omitempty"`
	UID         uint32    `json:",omitempty"`
	Fingerprint string    `json:",omitempty"`
	Wordless    bool      `json:",omitempty"` // the server does not give what the mail says, or not yet
	Cleared     time.Time `json:",omitzero"`  // when it was found read or removed; zero: it was not
}

// DeliveryState is how a delivery stands.
type DeliveryState string

// Pending is not yet accepted by the push service; the others are final. Cleared means that the mail was read or removed first; Combined that it is
// told with others, in a summary; Removed that the device, its account or its right to the account went away first.
const (
	Pending   DeliveryState = "pending"
	Combined  DeliveryState = "combined"
	Cleared   DeliveryState = "cleared"
	Delivered DeliveryState = "delivered"
	Expired   DeliveryState = "expired"
	Refused   DeliveryState = "refused"
	Removed   DeliveryState = "removed"
)

// Delivery is one notification in one device's queue, then its outcome.
type Delivery struct {
	Device   string // device id, also when the device is gone
	State    DeliveryState
	At       time.Time `json:",omitzero"`  // of the state, or of the last try while pending; zero: not tried
	Into     string    `json:",omitempty"` // combined: the stable id of what it went into
	Attempts int       `json:",omitempty"` // tries that reached an answer or a failure
	Unknown  bool      `json:",omitempty"` // while pending: after one of them the device may show it all the same
	Code     string    `json:",omitempty"` // of the last try that was no success
	Reason   string    `json:",omitempty"`
	Before   time.Time `json:",omitzero"` // while pending: when the device was told with less in it; zero: it was not
}

// becoming is the delivery once it stands as d says. One that was told with less in it was
// delivered then, whatever comes of the rest.
func (was Delivery) becoming(d Delivery) Delivery {
	switch {
	case was.Before.IsZero():
	case d.State == Pending:
		d.Before = was.Before
	case d.State == Delivered:
		d.At, d.Before = was.Before, time.Time{}
	default:
		d = Delivery{Device: was.Device, State: Delivered, At: was.Before, Attempts: was.Attempts}
	}
	return d
}

// Result is one of the five things that can come of a push.
type Result string

// The five outcomes. Only ResultGone removes a device, only ResultRefused drops a message; ResultRetry and
// ResultMisconfigured keep both.
const (
	ResultDelivered     Result = "delivered"
	ResultRetry         Result = "retry"
	ResultGone          Result = "gone"
	ResultRefused       Result = "refused"
	ResultMisconfigured Result = "misconfigured"
)

// Outcome is what a push service's answer, or its absence, means.
type Outcome struct {
	Result  Result
	At      time.Time // ResultRetry: not before this, as the service asked; zero: the dispatcher's backoff
	Suspect bool      // ResultRetry: the complaint is about this one address, so the device is suspect and tried rarely
	Unknown bool      // ResultRetry: no answer came, so the service may have taken the message all the same
	Unasked bool      // nothing was sent, so that it says nothing of the service
	// Environment is set where the device's was not known and the service has shown which it is.
	Environment Environment
	Code        string // stable, for programs; lower case, such as "apns_bad_device_token"; empty on success
	Reason      string // for people: what happened and what to do; never the service's raw answer, a token or an endpoint path
}

// StableID is the id of one mail's notification: the first 24 bytes of SHA-256 over account, folder, UIDVALIDITY and
// UID, as 32 base64url characters. It fits an APNs collapse id (64 bytes) and a Web Push Topic (RFC 8030 section 5.4).
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

// notificationRow is a notification with its sealed content.
type notificationRow struct {
	Notification
	Sealed []byte
}

// notificationContent is what is sealed of a notification, spelled out because Content does not marshal itself.
type notificationContent struct {
	From      string `json:",omitempty"`
	Subject   string `json:",omitempty"`
	MessageID string `json:",omitempty"`
	Preview   string `json:",omitempty"`
	Text      string `json:",omitempty"`
}

func (s *Store) putNotification(tx *bolt.Tx, key []byte, n Notification) {
	if n.User != "" {
		s.note(NotificationChanged, n.ID, n.User)
	} else {
		s.noteOf(NotificationChanged, n.ID, n.Account)
	}
	sealed := s.seals.seal("notification/"+string(key), notificationContent{n.Content.From, n.Content.Subject, n.Content.MessageID, n.Content.Preview, n.Text})
	put(tx.Bucket(notifications), key, notificationRow{n, sealed})
}

func (s *Store) notification(tx *bolt.Tx, key []byte) (Notification, bool, error) {
	var row notificationRow
	found, err := get(tx.Bucket(notifications), key, &row)
	if err != nil || !found {
		return Notification{}, false, err
	}
	var c notificationContent
	err = s.seals.open("notification/"+string(key), row.Sealed, &c)
	row.Content, row.Text = Content{c.From, c.Subject, c.MessageID, c.Preview}, c.Text
	return row.Notification, true, err
}

// delivery is the index of the device's delivery, or -1.
func (n Notification) delivery(device string) int {
	return slices.IndexFunc(n.Deliveries, func(d Delivery) bool { return d.Device == device })
}

func (s *Store) setDelivery(tx *bolt.Tx, key []byte, n Notification, d Delivery) {
	i := n.delivery(d.Device)
	if i < 0 {
		return
	}
	if d.State == Expired || d.State == Removed {
		d.Attempts, d.Code, d.Reason = n.Deliveries[i].Attempts, n.Deliveries[i].Code, n.Deliveries[i].Reason
	}
	n.Deliveries[i] = n.Deliveries[i].becoming(d)
	s.putNotification(tx, key, n)
}

// settled is the delivery as it stands at now: one that nothing will send any more is expired or removed, also while
// its row still waits for its turn.
func (d Delivery) settled(expires, now time.Time, deviceExists bool) Delivery {
	as := d
	switch {
	case d.State != Pending:
	case !deviceExists:
		as.State = Removed
	case !now.Before(expires):
		as.State = Expired
	}
	return d.becoming(as)
}

// Notification gives the user's notification of that stable id: one of an account that the user sees, or one for this
// user alone. ErrNotFound otherwise.
func (s *Store) Notification(user, id string, now time.Time) (n Notification, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		seen, err := s.accountsWhere(tx, func(a Account) bool { return a.Visible(user) })
		if err != nil {
			return err
		}
		scopes := []string{user}
		for _, a := range seen {
			scopes = append(scopes, a.ID)
		}
		for _, scope := range scopes {
			key := tx.Bucket(messages).Get(messageKey(scope, id))
			if key == nil {
				continue
			}
			var found bool
			if n, found, err = s.notification(tx, key); err != nil || found {
				s.settle(tx, &n, now)
				return err
			}
		}
		return ErrNotFound
	})
	return n, err
}

// Notifications gives at most limit of the user's notifications but for clears, newest first, that are older than after, which is "" or
// a next of an earlier answer; next is "" where there are no more. ErrNotFound: after is not such a value.
func (s *Store) Notifications(user, after string, limit int, now time.Time) (list []Notification, next string, err error) {
	from, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil || len(from) != 0 && len(from) != 8 {
		return nil, "", ErrNotFound
	}
	err = s.view(func(tx *bolt.Tx) error {
		seen, err := s.accountsWhere(tx, func(a Account) bool { return a.Visible(user) })
		if err != nil {
			return err
		}
		visible := make(map[string]bool, len(seen))
		for _, a := range seen {
			visible[a.ID] = true
		}
		b := tx.Bucket(notifications)
		c := b.Cursor()
		k, _ := c.Last()
		if len(from) > 0 {
			c.Seek(from)
			k, _ = c.Prev()
		}
		for ; k != nil; k, _ = c.Prev() {
			var row notificationRow
			if _, err := get(b, k, &row); err != nil {
				return err
			}
			if row.Kind == ClearKind || row.User != user && !visible[row.Account] {
				continue
			}
			if len(list) == limit {
				return nil
			}
			n, _, err := s.notification(tx, k)
			if err != nil {
				return err
			}
			s.settle(tx, &n, now)
			list = append(list, n)
			next = base64.RawURLEncoding.EncodeToString(k[:8])
		}
		next = ""
		return nil
	})
	return list, next, err
}

func (s *Store) settle(tx *bolt.Tx, n *Notification, now time.Time) {
	for i, d := range n.Deliveries {
		n.Deliveries[i] = d.settled(n.Expires, now, tx.Bucket(devices).Get([]byte(d.Device)) != nil)
	}
}

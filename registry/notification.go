package registry

import (
	"encoding/base64"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// notificationRow is a notification with its sealed content.
type notificationRow struct {
	Notification
	Sealed []byte
}

// notificationContent is what is sealed of a notification, spelled out because Content does not marshal itself.
type notificationContent struct {
	From    string `json:",omitempty"`
	Subject string `json:",omitempty"`
	Preview string `json:",omitempty"`
	Text    string `json:",omitempty"`
}

func (s *Store) putNotification(tx *bolt.Tx, key []byte, n Notification) {
	sealed := s.seals.seal("notification/"+string(key), notificationContent{n.Content.From, n.Content.Subject, n.Content.Preview, n.Text})
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
	row.Content, row.Text = Content{c.From, c.Subject, c.Preview}, c.Text
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
	n.Deliveries[i] = d
	s.putNotification(tx, key, n)
}

// settled is the delivery as it stands at now: one that nothing will send any more is expired or removed, also while
// its row still waits for its turn.
func (d Delivery) settled(expires, now time.Time, deviceExists bool) Delivery {
	switch {
	case d.State != Pending:
	case !deviceExists:
		d.State = Removed
	case !now.Before(expires):
		d.State = Expired
	}
	return d
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

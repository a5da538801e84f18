package registry

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// checkStore holds the file to bbolt's own check, and the store to what must always be true of its rows.
func checkStore(t testing.TB, s *Store) {
	t.Helper()
	err := s.view(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("check the store: %v", err)
	}
	checkRows(t, s)
}

// checkRows holds the store to what must be true of its rows between any two calls.
func checkRows(t testing.TB, s *Store) {
	t.Helper()
	err := s.view(func(tx *bolt.Tx) error {
		checkDevices(t, s, tx)
		checkDue(t, tx)
		checkAnnounced(t, s, tx)
		checkOutbox(t, tx, checkNotifications(t, s, tx))
		checkCursors(t, tx)
		return nil
	})
	if err != nil {
		t.Errorf("check the store: %v", err)
	}
}

// rows gives the keys and values of a bucket, for as long as the transaction lasts.
func rows(tx *bolt.Tx, bucket []byte) (list [][2][]byte) {
	c := tx.Bucket(bucket).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		list = append(list, [2][]byte{k, v})
	}
	return list
}

// checkDevices: every device can be read and has one owner, one address and one queue, and there are no others.
func checkDevices(t testing.TB, s *Store, tx *bolt.Tx) {
	t.Helper()
	list := rows(tx, devices)
	for _, row := range list {
		d, err := s.device(tx, string(row[0]))
		if err != nil {
			t.Errorf("device %s: %v", row[0], err)
			continue
		}
		if tx.Bucket(owners).Get(ownerKey(d)) == nil {
			t.Errorf("user %s does not have device %s", d.User, d.ID)
		}
		address := d.Address()
		if id := tx.Bucket(addresses).Get(address[:]); string(id) != d.ID {
			t.Errorf("the address of device %s leads to %q", d.ID, id)
		}
		if q, err := queue(tx, d.ID); err != nil || q.Lane != d.Lane() {
			t.Errorf("device %s is in lane %q, its queue in %q, %v", d.ID, d.Lane(), q.Lane, err)
		}
	}
	for _, bucket := range [][]byte{owners, addresses, queues} {
		if n := len(rows(tx, bucket)); n != len(list) {
			t.Errorf("%d devices have %d %s", len(list), n, bucket)
		}
	}
}

// checkDue: one entry per device with work, none without, each where and as its queue says.
func checkDue(t testing.TB, tx *bolt.Tx) {
	t.Helper()
	entries := 0
	for _, row := range rows(tx, queues) {
		id := string(row[0])
		q, err := queue(tx, id)
		if err != nil {
			t.Errorf("queue of %s: %v", id, err)
			continue
		}
		var device deviceRow
		if _, err := get(tx.Bucket(devices), row[0], &device); err != nil {
			t.Errorf("device %s: %v", id, err)
		}
		work := slices.ContainsFunc(firsts(tx, id), func(r queued) bool { return !rides(device.Transport, r.line) })
		if work == q.Due.IsZero() {
			t.Errorf("device %s has work: %v, and is due at %v", id, work, q.Due)
		}
		if q.Due.IsZero() {
			continue
		}
		entries++
		if lane := tx.Bucket(due).Get(dueKey(q.Due, id)); lane == nil || string(lane) != q.Lane {
			t.Errorf("device %s is due at %v in lane %q, its entry says %q", id, q.Due, q.Lane, lane)
		}
	}
	if n := len(rows(tx, due)); n != entries {
		t.Errorf("%d devices have work, %d entries are due", entries, n)
	}
}

// checkNotifications: each is found under its id, and what it calls pending waits in a queue. It gives the states of their
// deliveries, by key and device.
func checkNotifications(t testing.TB, s *Store, tx *bolt.Tx) map[string]map[string]DeliveryState {
	t.Helper()
	all := make(map[string]map[string]DeliveryState)
	for _, row := range rows(tx, notifications) {
		n, _, err := s.notification(tx, row[0])
		if err != nil {
			t.Errorf("notification %q: %v", row[0], err)
			continue
		}
		if key := tx.Bucket(messages).Get(messageKey(n.scope(), n.ID)); !bytes.Equal(key, row[0]) {
			t.Errorf("notification %s is at %q, its id leads to %q", n.ID, row[0], key)
		}
		states := make(map[string]DeliveryState)
		all[string(row[0])] = states
		for _, d := range n.Deliveries {
			if states[d.Device] != "" {
				t.Errorf("notification %s has two deliveries for device %s", n.ID, d.Device)
			}
			states[d.Device] = d.State
			if tx.Bucket(devices).Get([]byte(d.Device)) == nil {
				continue
			}
			key := tx.Bucket(outbox).Get(outboxKey(d.Device, n.line(), row[0][:8]))
			if (d.State == Pending) != (key != nil) {
				t.Errorf("notification %s is %s for device %s, in its queue: %v", n.ID, d.State, d.Device, key != nil)
			}
		}
	}
	for _, row := range rows(tx, messages) {
		if tx.Bucket(notifications).Get(row[1]) == nil {
			t.Errorf("message %q leads to no notification", row[0])
		}
	}
	return all
}

// checkAnnounced: what may still be cleared leads to a mail that rang from there and was not, while that is kept.
func checkAnnounced(t testing.TB, s *Store, tx *bolt.Tx) {
	t.Helper()
	for _, row := range rows(tx, announced) {
		n, found, err := s.notification(tx, row[1])
		if err != nil || found && (!n.Cleared.IsZero() || !bytes.Equal(row[0], announcedKey(n.Account, n.Folder, n.UIDValidity, n.UID))) {
			t.Errorf("announced %q leads to %+v, %v", row[0], n, err)
		}
	}
}

// checkOutbox: what waits for a device that exists is a delivery that its notification, while it is kept, calls pending.
func checkOutbox(t testing.TB, tx *bolt.Tx, all map[string]map[string]DeliveryState) {
	t.Helper()
	for _, row := range rows(tx, outbox) {
		device := string(row[0][:len(newID())])
		states, found := all[string(row[1])]
		if found && tx.Bucket(devices).Get([]byte(device)) != nil && states[device] != Pending {
			t.Errorf("notification %q waits for device %s, but is %q", row[1], device, states[device])
		}
	}
}

func checkCursors(t testing.TB, tx *bolt.Tx) {
	t.Helper()
	for _, row := range rows(tx, cursors) {
		if tx.Bucket(accounts).Get(row[0][:len(newID())]) == nil {
			t.Errorf("cursor %q belongs to no account", row[0])
		}
		if !json.Valid(row[1]) {
			t.Errorf("cursor %q cannot be read", row[0])
		}
	}
}

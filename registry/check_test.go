package registry

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"idlepush/registry/boltcheck"
	"idlepush/registry/table"
)

// checkFile holds the file of a store that is closed to the format of the engine.
func checkFile(t testing.TB, dir string) {
	t.Helper()
	if err := boltcheck.Check(filepath.Join(dir, storeFile), table.LockWait); err != nil {
		t.Error(err)
	}
}

// checkRows holds the store to what must be true of its rows between any two calls.
func checkRows(t testing.TB, s *Store) {
	t.Helper()
	err := s.db.View(func(tx *table.Tx) error {
		checkDevices(t, tx)
		checkQueues(t, tx)
		checkDeliveries(t, tx)
		checkAccounts(t, tx)
		checkUnread(t, s, tx)
		return nil
	})
	if err != nil {
		t.Errorf("check the store: %v", err)
	}
	checkMemory(t, s)
}

// checkMemory: no row that is kept in memory differs from that of the file.
func checkMemory(t testing.TB, s *Store) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{storeFile, keyFile} {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		putFile(t, filepath.Join(dir, name), data)
	}
	file, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	differ(t, "in memory", content(t, s), content(t, file))
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// all returns the rows of a table.
func all[K table.Key[K], V any](t testing.TB, tx *table.Tx, of *table.Table[K, V]) []table.Row[K, V] {
	t.Helper()
	list, err := of.First(tx, table.Range{}, table.NoLimit)
	if err != nil {
		t.Error(err)
	}
	return list
}

// checkDevices: every device can be read, and has one queue, in its lane.
func checkDevices(t testing.TB, tx *table.Tx) {
	t.Helper()
	list := all(t, tx, devices)
	for _, row := range list {
		d, _, err := unsealDevice(tx, row)
		if err != nil {
			t.Errorf("device %s: %v", row.Key.device, err)
			continue
		}
		if addressDigest(d) != row.Value.Address {
			t.Errorf("device %s has another address", d.ID)
		}
		if _, found, err := queues.Get(tx, row.Key.device); err != nil || !found {
			t.Errorf("device %s has no queue, %v", d.ID, err)
		}
	}
	if n := len(all(t, tx, queues)); n != len(list) {
		t.Errorf("%d devices have %d queues", len(list), n)
	}
}

// checkQueues: each line begins with what waits there first, and a queue is due if something waits
// that goes by itself.
func checkQueues(t testing.TB, tx *table.Tx) {
	t.Helper()
	first := make(map[subqueueKey]uint64)
	entries, err := waiting.First(tx, table.Range{}, table.NoLimit)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if first[e.Index.subqueueKey] == 0 {
			first[e.Index.subqueueKey] = e.Index.seq
		}
	}
	for _, row := range all(t, tx, queues) {
		work := false
		for name, l := range row.Value.Subqueues {
			line := subqueueKey{row.Key, name}
			if l.Head != first[line] {
				t.Errorf("line %s of device %s begins with %d, and with %d by its row", name, row.Key, first[line], l.Head)
			}
			if l.Head == 0 && l.Combined != "" {
				t.Errorf("line %s of device %s is empty and has a summary", name, row.Key)
			}
			delete(first, line)
			work = work || l.Head != 0 && !row.Value.isPiggybacked(name)
		}
		if work == row.Value.Due.IsZero() {
			t.Errorf("device %s has work: %v, and is due at %v", row.Key, work, row.Value.Due)
		}
	}
	for line := range first {
		if _, found, err := devicesID.Get(tx, line.device); err != nil || found {
			t.Errorf("line %s of device %s is not in its queue, %v", line.subqueue, line.device, err)
		}
	}
}

// checkDeliveries: each is one of a notification, which is in the queues of all its devices.
func checkDeliveries(t testing.TB, tx *table.Tx) {
	t.Helper()
	for _, row := range all(t, tx, deliveries) {
		n, found, err := notifications.Get(tx, row.Key.notification)
		if err != nil || !found || n.Kind != row.Value.Kind || !n.Expires.Equal(row.Value.Expires) {
			t.Errorf("delivery %+v is of notification %+v, %v", row.Value, n, err)
		}
	}
	for _, row := range all(t, tx, notifications) {
		if _, err := row.Value.unseal(tx, row.Key); err != nil {
			t.Errorf("notification %s: %v", row.Value.ID, err)
		}
		if len(row.Value.Unqueued) > 0 {
			t.Errorf("notification %s is not in %d queues", row.Value.ID, len(row.Value.Unqueued))
		}
	}
}

// checkUnread: what is known in memory of unread mail is what the rows say.
func checkUnread(t testing.TB, s *Store, tx *table.Tx) {
	t.Helper()
	s.unread.mu.Lock()
	defer s.unread.mu.Unlock()
	for user, counts := range s.unread.users {
		if want, err := readUnread(tx, user); err != nil || !reflect.DeepEqual(counts, want) {
			t.Errorf("%d accounts of %s are known, %v, want %d with the numbers of their rows", len(counts), user, err, len(want))
		}
	}
	for account, viewers := range s.unread.viewers {
		for user := range viewers {
			if _, known := s.unread.users[user][account]; !known {
				t.Errorf("%s is known to see account %s, which it does not", user, account)
			}
		}
	}
}

// checkAccounts: what is known of accounts is known of those that are there.
func checkAccounts(t testing.TB, tx *table.Tx) {
	t.Helper()
	for _, row := range all(t, tx, accounts) {
		var password string
		if err := row.Value.passwordPlace(tx, row.Key).Open(row.Value.Password, &password); err != nil {
			t.Errorf("account %s: %v", row.Key, err)
		}
		if found, err := standings.Has(tx, row.Key); err != nil || !found {
			t.Errorf("nothing says how account %s stands, %v", row.Key, err)
		}
	}
	for _, row := range all(t, tx, grants) {
		if found, err := accounts.Has(tx, row.Key); err != nil || !found {
			t.Errorf("a grant belongs to no account, %v", err)
		}
		a, whole, err := accounts.Get(tx, row.Key)
		if err == nil && whole {
			_, err = openGrant(tx, row.Key, a)
		}
		if err != nil || whole && a.OAuth == "" {
			t.Errorf("the grant of account %s, by %q: %v", row.Key, a.OAuth, err)
		}
	}
	for _, row := range all(t, tx, standings) {
		if found, err := accounts.Has(tx, row.Key); err != nil || !found {
			t.Errorf("account %s is not there, and stands somehow, %v", row.Key, err)
		}
	}
	for _, row := range all(t, tx, cursors) {
		if found, err := accounts.Has(tx, row.Key.account); err != nil || !found {
			t.Errorf("a cursor belongs to no account, %v", err)
		}
	}
}

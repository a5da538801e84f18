package registry

import (
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// sizes is how many rows each bucket has.
func sizes(t testing.TB, s *Store) map[string]int {
	t.Helper()
	count := make(map[string]int)
	err := s.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			count[string(name)] = len(rows(tx, name))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestActivityOlderThanSevenDaysIsRemovedAndNoOther(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ann := User{ID: a.Owner}
	arrive(t, s, a, 3, dawn)
	arrive(t, s, a, 1, dawn.Add(time.Hour-1))
	kept := arrive(t, s, a, 2, dawn.Add(time.Hour))
	now := dawn.Add(time.Hour + 7*24*time.Hour - 1)
	if err := s.Purge(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range allNotifications(t, s, ann, 50, now) {
		got = append(got, n.ID)
	}
	slices.Reverse(got)
	if !slices.Equal(got, kept) {
		t.Errorf("kept %v, want %v", got, kept)
	}
	// What the four phones had waiting is no longer worth sending.
	for _, d := range d {
		if got := drain(t, s, d, now); len(got) > 0 {
			t.Errorf("%s was sent %v", d.Name, got)
		}
	}
	if err := s.Purge(t.Context(), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	left := sizes(t, s)
	for _, bucket := range []string{"notifications", "messages", "outbox", "due"} {
		if left[bucket] != 0 {
			t.Errorf("%d rows of %s are left", left[bucket], bucket)
		}
	}
	if left["devices"] != 4 || left["cursors"] != 1 || left["accounts"] != 1 {
		t.Errorf("what is no activity went too: %v", left)
	}
}

func TestActivityIsRemovedInTimeAlsoAfterTheClockWasAhead(t *testing.T) {
	t.Parallel()
	s, a, _ := fourPhones(t)
	ann := User{ID: a.Owner}
	arrive(t, s, a, 2, dawn)
	ahead := arrive(t, s, a, 1, dawn.AddDate(1, 0, 0))
	arrive(t, s, a, MostMails, dawn.Add(time.Hour))
	kept := arrive(t, s, a, 2, dawn.Add(2*time.Hour))
	now := dawn.Add(time.Hour + 7*24*time.Hour)
	if err := s.Purge(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range allNotifications(t, s, ann, 50, now) {
		got = append(got, n.ID)
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(append(kept, ahead...)))
	if !slices.Equal(got, want) {
		t.Errorf("%d are kept, want %d", len(got), len(want))
	}
}

func TestPurgeRemovesWhatRemovedAccountsAndDevicesLeft(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ann := User{ID: a.Owner}
	b := mailbox(t, s, ann, "other@example.org")
	look := arrival(t, s, a, MostMails, dawn)
	for i := range look.Mails {
		look.Mails[i].Fingerprint = string(rune('A' + i))
	}
	if _, err := s.Record(look); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		arrive(t, s, a, MostMails, dawn)
	}
	kept := arrive(t, s, b, 2, dawn)
	if err := s.RemoveAccount(a.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveDevice(d[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	before := commits(t, s)
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	// 300 index rows and 250 notifications, 250 places, then the 52 rows that the removal of the device itself left.
	if n := commits(t, s) - before; n != 3+2+1 {
		t.Errorf("it took %d transactions", n)
	}
	left := sizes(t, s)
	if left["notifications"] != 2 || left["messages"] != 2 || left["announced"] != 2 {
		t.Errorf("left %v", left)
	}
	if got := drain(t, s, d[1], dawn); !slices.Equal(got, kept) {
		t.Errorf("sent %v, want %v", got, kept)
	}
	if n := len(queueKeys(t, s, d[0])); n > 0 {
		t.Errorf("%d rows of the removed device are left", n)
	}
}

func TestPurgeRemovesExpiredSessionsOnly(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	_, bearer, err := s.AddToken(ann.ID, "script", FullScope, dawn)
	if err != nil {
		t.Fatal(err)
	}
	const many = mostPurged + 1
	err = s.update(func(tx *bolt.Tx) error {
		for range many {
			put(tx.Bucket(tokens), tokenHash(newToken()), Token{ID: newID(), User: ann.ID, Session: true, Created: dawn, Expires: dawn.Add(time.Hour)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), dawn.Add(time.Hour-1)); err != nil || sizes(t, s)["tokens"] != many+1 {
		t.Errorf("%d tokens are left, %v", sizes(t, s)["tokens"], err)
	}
	if err := s.Purge(t.Context(), dawn.Add(time.Hour)); err != nil || sizes(t, s)["tokens"] != 1 {
		t.Errorf("%d tokens are left, %v", sizes(t, s)["tokens"], err)
	}
	if _, _, err := s.Authenticate(bearer, dawn.AddDate(10, 0, 0)); err != nil {
		t.Errorf("the bearer token: %v", err)
	}
}

// New mail must not wait for a look through everything that is kept.
func TestPurgeOfNothingHoldsUpNoWriter(t *testing.T) {
	t.Parallel()
	s, a, _ := fourPhones(t)
	arrive(t, s, a, MostMails, dawn)
	before := commits(t, s)
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	if n := commits(t, s) - before; n != 0 {
		t.Errorf("a purge that removes nothing took %d write transactions", n)
	}
}

func TestPurgeEndsWhateverSequenceARowHas(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := phone(t, s, someone(t, s, "ann"), "phone")
	err := s.update(func(tx *bolt.Tx) error {
		for _, n := range []uint64{0, 0xff << 56, 0xffff << 48, 1<<64 - 1} {
			must(tx.Bucket(outbox).Put(outboxKey(d.ID, otherLine, sequence(n)), []byte("nowhere")))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Error(err)
	}
	// Rows that nothing has made due are not to be left behind for the check of every store.
	if err := s.RemoveDevice(d.ID, ""); err != nil {
		t.Error(err)
	}
}

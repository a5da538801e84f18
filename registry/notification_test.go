package registry

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	t.Run("pages join to all that the user sees, newest first", pagesJoin)
	t.Run("a next that no page returned is not found", unknownNext)
	t.Run("a page goes on behind a place that was removed", nextOfRemoved)
	t.Run("a notification is seen by those who see its account now", seenByViewers)
	t.Run("some are found by their ids, in that order", someByID)
	t.Run("a delivery that nothing will send any more is shown as settled", shownAsSettled)
	t.Run("each kind has its lifetime", kindLifetimes)
	t.Run("a stable id follows from account, folder and UIDs alone", stableIDs)
}

// allNotifications turns every page.
func allNotifications(t testing.TB, s *Store, user idlepush.User, limit int, now time.Time) (all []idlepush.Notification) {
	t.Helper()
	for after := ""; ; {
		list, next, err := s.History.List(user.ID, after, limit, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > limit || len(list) < limit && next != "" {
			t.Fatalf("a page of %d has %d, then %q", limit, len(list), next)
		}
		all = append(all, list...)
		if next == "" {
			return all
		}
		after = next
	}
}

// queueKeys gives the notifications keys that wait for a device, in the order they will be sent.
func queueKeys(t testing.TB, s *Store, d idlepush.Device) (keys []string) {
	t.Helper()
	err := s.db.View(func(tx *table.Tx) error {
		list, err := waiting.First(tx, table.Under(id(d.ID)), table.NoLimit)
		for _, e := range list {
			keys = append(keys, fmt.Sprintf("%020d", e.Index.seq))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

func someByID(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	ids, others := arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 3, dawn), arrive(t, s, mailbox(t, s, bob, "bob@example.org"), 1, dawn)
	list, err := s.History.Some(ann.ID, []string{ids[2], others[0], "none", ids[0]}, dawn)
	if err != nil || len(list) != 2 || list[0].ID != ids[2] || list[1].ID != ids[0] {
		t.Errorf("she sees %v, %v", list, err)
	}
	for _, n := range list {
		if one, err := s.History.Get(ann.ID, n.ID, dawn); err != nil || !reflect.DeepEqual(n, one) {
			t.Errorf("she sees %+v, alone it is %+v, %v", n, one, err)
		}
	}
}

func pagesJoin(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob, eve := someone(t, s, "ann"), someone(t, s, "bob"), someone(t, s, "eve")
	a, shared := mailbox(t, s, ann, "ann@example.org"), mailbox(t, s, bob, "both@example.org")
	shared.SharedWith = []string{ann.ID}
	if _, err := s.Accounts.Update(shared, dawn); err != nil {
		t.Fatal(err)
	}
	var forAnn, forBob []string
	for i := range 7 {
		now := dawn.Add(time.Duration(i) * time.Minute)
		forAnn = append(forAnn, arrive(t, s, a, 1, now)...)
		both := arrive(t, s, shared, 2, now)
		forAnn, forBob = append(forAnn, both...), append(forBob, both...)
	}
	slices.Reverse(forAnn)
	slices.Reverse(forBob)
	for user, want := range map[idlepush.User][]string{ann: forAnn, bob: forBob, eve: nil} {
		for _, limit := range []int{1, 2, 7, len(forBob), len(forAnn), 50} {
			var got []string
			for _, n := range allNotifications(t, s, user, limit, dawn) {
				got = append(got, n.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %d a page: %v, want %v", user.Name, limit, got, want)
			}
		}
	}
}

func unknownNext(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, after := range []string{"?", "AAAA", "AAAAAAAAAAAAAAAA", "AAAAAAAAAAA=="} {
		if _, _, err := s.History.List("ann", after, 10, dawn); !errors.Is(err, ErrNotFound) {
			t.Errorf("after %q: %v", after, err)
		}
	}
}

func nextOfRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	old := arrive(t, s, a, 3, dawn)
	arrive(t, s, b, 3, dawn.Add(time.Minute))
	_, next, err := s.History.List(ann.ID, "", 2, dawn)
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	if err := s.Accounts.Remove(b.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	list, _, err := s.History.List(ann.ID, next, 10, dawn)
	if err != nil || len(list) != 3 || list[0].ID != old[2] {
		t.Errorf("%d notifications after the one that is gone, %v; want the 3 older", len(list), err)
	}
}

func seenByViewers(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	a := mailbox(t, s, ann, "ann@example.org")
	id := arrive(t, s, a, 1, dawn)[0]
	sees := func(u idlepush.User) bool {
		_, err := s.History.Get(u.ID, id, dawn)
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if listed := slices.ContainsFunc(allNotifications(t, s, u, 10, dawn), func(n idlepush.Notification) bool { return n.ID == id }); listed != (err == nil) {
			t.Errorf("%s: listed %v, found %v", u.Name, listed, err == nil)
		}
		return err == nil
	}
	if !sees(ann) || sees(bob) {
		t.Error("want the owner alone to see it")
	}
	a.SharedWith = []string{bob.ID}
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	if !sees(ann) || sees(bob) {
		t.Error("want only the owner to see what came before it was shared")
	}
	if id = arrive(t, s, a, 1, dawn)[0]; !sees(ann) || !sees(bob) {
		t.Error("want both to see what comes once it is shared")
	}
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if sees(ann) || sees(bob) {
		t.Error("want nobody to see what a removed account leaves")
	}
}

func shownAsSettled(t *testing.T) {
	t.Parallel()
	expires := dawn.Add(time.Hour)
	tried := deliveryRow{Expires: expires, State: idlepush.DeliveryPending, At: dawn, Attempts: 2, Code: "c", Params: map[string]string{"host": "r"}}
	for name, c := range map[string]struct {
		state  idlepush.DeliveryState
		now    time.Time
		exists bool
		want   idlepush.DeliveryState
	}{
		"waits":                     {idlepush.DeliveryPending, dawn, true, idlepush.DeliveryPending},
		"just before it expires":    {idlepush.DeliveryPending, expires.Add(-1), true, idlepush.DeliveryPending},
		"as it expires":             {idlepush.DeliveryPending, expires, true, idlepush.DeliveryExpired},
		"device gone":               {idlepush.DeliveryPending, dawn, false, idlepush.DeliveryRemoved},
		"device gone, then expired": {idlepush.DeliveryPending, expires, false, idlepush.DeliveryRemoved},
		"delivered, then expired":   {idlepush.DeliveryDelivered, expires, true, idlepush.DeliveryDelivered},
		"delivered, then gone":      {idlepush.DeliveryDelivered, dawn, false, idlepush.DeliveryDelivered},
		"refused, then expired":     {idlepush.DeliveryRefused, expires, true, idlepush.DeliveryRefused},
		"expired, then gone":        {idlepush.DeliveryExpired, expires, false, idlepush.DeliveryExpired},
		"removed":                   {idlepush.DeliveryRemoved, expires, true, idlepush.DeliveryRemoved},
	} {
		d := tried
		d.State = c.state
		got := d.effective(c.now, c.exists)
		d.State = c.want
		if !reflect.DeepEqual(got, d) {
			t.Errorf("%s: %+v, want %+v", name, got, d)
		}
	}
}

func kindLifetimes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[idlepush.Kind]time.Duration{idlepush.KindMail: 72 * time.Hour, idlepush.KindSummary: 72 * time.Hour,
		idlepush.KindClear: 24 * time.Hour, idlepush.KindAttention: 7 * 24 * time.Hour, idlepush.KindTest: time.Minute} {
		if got := kind.Lifetime(); got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	if maxAge < idlepush.KindAttention.Lifetime() {
		t.Error("activity is not kept for as long as it may be delivered")
	}
}

func stableIDs(t *testing.T) {
	t.Parallel()
	// Computed outside this program: base64url(sha256("1:a5:INBOX8:" + 00000007 0000002a)[:24]).
	if got, want := StableID("a", "INBOX", 7, 42), "StRyvHc4uNFmHneC640Hmo9CYkzD4OCh"; got != want {
		t.Errorf("StableID = %s, want %s", got, want)
	}
	seen := map[string]string{}
	for _, account := range []string{"a", "ab", ""} {
		for _, folder := range []string{"", "b", "INBOX", "5:INBOX"} {
			for _, n := range [][2]uint32{{1, 2}, {2, 1}, {1, 1}, {1, 1 << 31}} {
				id, of := StableID(account, folder, n[0], n[1]), fmt.Sprintf("%q %q %v", account, folder, n)
				if seen[id] != "" || len(id) != 32 {
					t.Errorf("%s has the id %s of %s", of, id, seen[id])
				}
				seen[id] = of
			}
		}
	}
}

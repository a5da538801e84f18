package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestPurge(t *testing.T) {
	t.Parallel()
	t.Run("activity older than seven days is removed and no other", purgeOld)
	t.Run("activity is removed in time also after the clock was ahead", purgeAfterClockAhead)
	t.Run("purge goes through all activity that is ahead of the clock", purgeAllAhead)
	t.Run("purge removes the leftovers of removed accounts and devices", purgeLeftovers)
	t.Run("purge removes the lanes that have no device any more", purgeLanes)
	t.Run("purge removes expired sessions only", purgeSessions)
	t.Run("purge of nothing makes no writer wait", purgeNothing)
}

// sizes is how many rows each table has.
func sizes(t testing.TB, s *Store) map[string]int {
	t.Helper()
	count := make(map[string]int)
	err := s.db.View(func(tx *table.Tx) error {
		count["users"] = len(all(t, tx, users))
		count["tokens"] = len(all(t, tx, tokens))
		count["invites"] = len(all(t, tx, invites))
		count["accounts"] = len(all(t, tx, accounts))
		count["grants"] = len(all(t, tx, grants))
		count["standings"] = len(all(t, tx, standings))
		count["cursors"] = len(all(t, tx, cursors))
		count["devices"] = len(all(t, tx, devices))
		count["wishes"] = len(all(t, tx, wishes))
		count["devicewishes"] = len(all(t, tx, deviceWishes))
		count["senders"] = len(all(t, tx, senders))
		count["queues"] = len(all(t, tx, queues))
		count["notifications"] = len(all(t, tx, notifications))
		count["deliveries"] = len(all(t, tx, deliveries))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func purgeOld(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ann := idlepush.User{ID: a.Owner}
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

func purgeAfterClockAhead(t *testing.T) {
	t.Parallel()
	s, a, _ := fourPhones(t)
	ann := idlepush.User{ID: a.Owner}
	arrive(t, s, a, 2, dawn)
	ahead := arrive(t, s, a, 1, dawn.AddDate(1, 0, 0))
	arrive(t, s, a, MaxMails, dawn.Add(time.Hour))
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

func purgeAllAhead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	later := dawn.AddDate(1, 0, 0)
	arrive(t, s, a, 1, later) // what follows stands behind it, whatever the clock shows
	want := 0
	for want <= maxPurged {
		want += len(arrive(t, s, a, MaxMails, dawn.Add(time.Duration(want))))
	}
	kept := arrive(t, s, a, MaxMails, dawn.Add(maxAge))
	if err := s.Purge(t.Context(), dawn.Add(maxAge+time.Hour)); err != nil {
		t.Fatal(err)
	}
	if left := content(t, s); notificationsIn(left) != len(kept)+1 {
		t.Errorf("%d of %d are left, want %d", notificationsIn(left), want+len(kept)+1, len(kept)+1)
	}
}

// notificationsIn counts the notifications of what a store holds.
func notificationsIn(words map[string]string) (n int) {
	for name := range words {
		if strings.HasPrefix(name, "notification ") {
			n++
		}
	}
	return n
}

func purgeLeftovers(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ann := idlepush.User{ID: a.Owner}
	b := mailbox(t, s, ann, "other@example.org")
	look := arrival(t, s, a, MaxMails, dawn)
	for i := range look.Mails {
		look.Mails[i].Fingerprint = string(rune('A' + i))
	}
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		arrive(t, s, a, MaxMails, dawn)
	}
	kept := arrive(t, s, b, 2, dawn)
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Devices.Remove(d[0], ""); err != nil {
		t.Fatal(err)
	}
	before := commits(s)
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	// 250 notifications with their 1,000 deliveries, and what waits for the device that is gone.
	if n := commits(s) - before; n != 1000/maxPurged+1 && boundGiven() == 0 {
		t.Errorf("it took %d transactions", n)
	}
	left := sizes(t, s)
	if left["notifications"] != 2 || left["deliveries"] != 2*len(d) {
		t.Errorf("left %v", left)
	}
	if got := drain(t, s, d[1], dawn); !slices.Equal(got, kept) {
		t.Errorf("sent %v, want %v", got, kept)
	}
	if n := len(queueKeys(t, s, d[0])); n > 0 {
		t.Errorf("%d rows of the removed device are left", n)
	}
}

func purgeLanes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	var list []idlepush.Device
	for i := range 3 {
		list = append(list, browser(t, s, ann, fmt.Sprint(i), fmt.Sprintf("https://push%d.example", i)))
	}
	pause(t, s, Lane{Name: list[0].Lane, Since: dawn, Until: dawn.Add(time.Hour)})
	pause(t, s, Lane{Name: list[1].Lane, Since: dawn, Until: dawn.Add(time.Hour)})
	pause(t, s, Lane{Name: list[2].Lane, Since: dawn, Accused: list[2].ID})
	if err := errors.Join(s.Devices.Remove(list[1], ""), s.Devices.Remove(list[2], ""), s.Purge(t.Context(), dawn)); err != nil {
		t.Fatal(err)
	}
	for i, d := range list {
		if l := rowOf(t, s, d.Lane); (l.Name != "") != (i == 0) {
			t.Errorf("lane %d is %+v", i, l)
		}
	}
}

func purgeSessions(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	_, bearer, err := s.Logins.AddToken(ann.ID, "script", idlepush.ScopeFull, "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	const many = maxPurged + 1
	for range many {
		addSession(t, s, ann)
	}
	if err := s.Purge(t.Context(), dawn.Add(time.Hour-1)); err != nil || sizes(t, s)["tokens"] != many+1 {
		t.Errorf("%d tokens are left, %v", sizes(t, s)["tokens"], err)
	}
	if err := s.Purge(t.Context(), dawn.Add(time.Hour)); err != nil || sizes(t, s)["tokens"] != 1 {
		t.Errorf("%d tokens are left, %v", sizes(t, s)["tokens"], err)
	}
	if _, _, err := s.Logins.Authenticate(bearer, dawn.AddDate(10, 0, 0)); err != nil {
		t.Errorf("the bearer token: %v", err)
	}
}

// New mail must not wait for a look through everything that is kept.
func purgeNothing(t *testing.T) {
	t.Parallel()
	s, a, _ := fourPhones(t)
	arrive(t, s, a, MaxMails, dawn)
	before := commits(s)
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	if n := commits(s) - before; n != 0 {
		t.Errorf("a purge that removes nothing took %d write transactions", n)
	}
}

// addSession gives the user a session of an hour.
func addSession(t testing.TB, s *Store, user idlepush.User) {
	t.Helper()
	err := s.db.Update(func(tx *table.Tx) error {
		return tokens.Put(tx, digestOf(newToken()), tokenRow{ID: newID(), User: user.ID, Session: true, Created: dawn, Expires: dawn.Add(time.Hour)})
	})
	if err != nil {
		t.Fatal(err)
	}
}

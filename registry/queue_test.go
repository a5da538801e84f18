package registry

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

func TestSubqueue(t *testing.T) {
	t.Parallel()
	t.Run("while one mailbox is held the others are sent at once", holdOne)
	t.Run("of two holds the one that ends first counts", holdFirstEnd)
	t.Run("a hold from before the clock was set back holds nothing", holdClockBack)
	t.Run("a retry is not overtaken by mail of another subqueue", retryKeepsPlace)
	t.Run("a summary replaces all that waits, with its true count and an id of its own", summaryCounts)
	t.Run("a summary that waits untried takes in what comes after it", summaryGrows)
	t.Run("a mail that the phone may show already goes into no summary", summaryLeaves)
	t.Run("one mail alone is no summary", summaryOfOne)
	t.Run("a mail that is read counts no more, and a summary of which all is read is withdrawn", summaryRead)
	t.Run("no clear has more ids than fit a push", clearSize)
	t.Run("a clear of several mailboxes outlives each", clearOutlives)
	t.Run("clears that wait become as few as have all their ids", clearsCombine)
	t.Run("a browser gets its clears with its next visible push and never alone", clearPiggybacked)
	t.Run("clears of a device that gets no more pushes are removed with their notifications", piggybackedPurged)
	t.Run("the times of deliveries are kept per mailbox, as many as asked for, at most an hour", notifiedTimes)
	t.Run("a push has the sum of what is unread in all accounts that notify the device", unreadSum)
	t.Run("a device that fails for days without a success is suspect and stays", failingDevice)
	t.Run("rows that are not due are not read", readsOnlyDue)
}

// hold holds the work and all that waits behind it.
func hold(t testing.TB, s *Store, w Work, until, now time.Time) {
	t.Helper()
	if err := holdWork(s, w, until, now); err != nil {
		t.Fatal(err)
	}
}

func holdWork(s *Store, w Work, until, now time.Time) error {
	by := decides(ring.Decision{Verdict: ring.Held, Until: until, Code: "test"})
	if w.HoldEnded {
		_, err := s.Outbox.Combine(w, now, by)
		return err
	}
	w.Decision = by(w)
	for {
		if err := s.Outbox.Decide(w, now, by); err != nil {
			return err
		}
		next, ok, err := s.Outbox.Next(w.Device.ID, now)
		if err != nil || !ok || next.subqueue != w.subqueue {
			return err
		}
		next.Decision = by(next)
		w = next
	}
}

// decides returns a function that always decides that.
func decides(d ring.Decision) func(Work) ring.Decision { return func(Work) ring.Decision { return d } }

// rings decides that all rings.
var rings = decides(ring.Decision{Verdict: ring.Now})

func combine(t testing.TB, s *Store, w Work, now time.Time) int {
	t.Helper()
	n, err := combineWork(s, w, now)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// combineWork combines the work and what waits with it. If it is not held back, it holds it first.
func combineWork(s *Store, w Work, now time.Time) (int, error) {
	if !w.HoldEnded {
		if err := holdWork(s, w, now.Add(time.Hour), now); err != nil {
			return 0, err
		}
		w.subqueue.subqueue += heldBack
	}
	return s.Outbox.Combine(w, now, rings)
}

func idle(t testing.TB, s *Store, d idlepush.Device, now time.Time) {
	t.Helper()
	if w, ok, err := s.Outbox.Next(d.ID, now); ok || err != nil {
		t.Errorf("%s is to be sent %s %s, %v", d.Name, w.Notification.Kind, w.Notification.ID, err)
	}
}

func holdOne(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	d := phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 3, dawn)
	until := dawn.Add(time.Minute)
	w := first(t, s, d, dawn)
	hold(t, s, w, until, dawn)
	idle(t, s, d, dawn)
	if due := dueNow(t, s, until.Add(-1)); due[d.ID] {
		t.Error("what is held back is due before its time")
	}
	second := arrive(t, s, b, 1, dawn.Add(time.Second))
	third := arrive(t, s, a, 1, dawn.Add(2*time.Second))
	now := dawn.Add(3 * time.Second)
	if !dueNow(t, s, now)[d.ID] {
		t.Error("the other mailbox waits for the hold")
	}
	if got, want := drain(t, s, d, now), append(second, third...); !slices.Equal(got, want) {
		t.Errorf("%v went, want the other mailbox's, and what is behind what is held: %v", got, want)
	}
	idle(t, s, d, now)
	reopen(t, s)
	if dueNow(t, s, until.Add(-1))[d.ID] || !dueNow(t, s, until)[d.ID] {
		t.Error("it is not due when the hold ends")
	}
	w = first(t, s, d, until)
	if w.Notification.ID != ids[0] || !w.HoldEnded {
		t.Errorf("after the hold the head is %s, released %v", w.Notification.ID, w.HoldEnded)
	}
}

func holdFirstEnd(t *testing.T) {
	t.Parallel()
	for _, minutes := range [][2]int{{1, 2}, {2, 1}} { // whichever of the mailboxes comes first
		s := newStore(t)
		ann := someone(t, s, "ann")
		d := phone(t, s, ann, "phone")
		for i, m := range minutes {
			arrive(t, s, mailbox(t, s, ann, fmt.Sprint(i, "@example.org")), 1, dawn)
			hold(t, s, first(t, s, d, dawn), dawn.Add(time.Duration(m)*time.Minute), dawn)
		}
		idle(t, s, d, dawn)
		if got, err := s.Devices.Get(d.ID); err != nil || !got.Due.Equal(dawn.Add(time.Minute)) {
			t.Errorf("it is due at %v, %v; want a minute after %v", got.Due, err, dawn)
		}
	}
}

func holdClockBack(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 2, dawn)
	fast := dawn.Add(20 * time.Minute)
	hold(t, s, first(t, s, d[0], fast), fast.Add(time.Minute), fast)
	if err := s.Outbox.HastenDue(dawn); err != nil {
		t.Fatal(err)
	}
	if !dueNow(t, s, dawn)[d[0].ID] {
		t.Error("it is not due")
	}
	first(t, s, d[0], dawn)
}

func retryKeepsPlace(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	d := phone(t, s, ann, "phone")
	arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, At: dawn.Add(time.Minute)}, dawn)
	arrive(t, s, b, 1, dawn)
	if dueNow(t, s, dawn.Add(time.Minute-1))[d.ID] {
		t.Error("the phone is tried before its backoff ends")
	}
}

func summaryCounts(t *testing.T) {
	t.Parallel()
	for _, count := range []int{2, 12, maxCombined, maxCombined + 1, 3*maxCombined + 7} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		a := mailbox(t, s, ann, "a@example.org")
		d, other := phone(t, s, ann, "phone"), phone(t, s, ann, "other")
		var ids []string
		for left := count; left > 0; left -= MaxMails {
			ids = append(ids, arrive(t, s, a, min(left, MaxMails), dawn)...)
		}
		w := first(t, s, d, dawn)
		hold(t, s, w, dawn.Add(time.Minute), dawn)
		now := dawn.Add(time.Minute)
		if n := combine(t, s, first(t, s, d, now), now); n != count {
			t.Errorf("%d of %d mails were combined", n, count)
		}
		sum := first(t, s, d, now)
		n := sum.Notification
		if n.Kind != idlepush.KindSummary || n.Count != count || n.Account != a.ID || sum.HoldEnded || sum.Account.Email != "a@example.org" || len(n.ID) != 32 || slices.Contains(ids, n.ID) {
			t.Errorf("the head is a %s of %d, released %v, in %q", n.Kind, n.Count, sum.HoldEnded, sum.Account.Email)
		}
		for _, id := range []string{ids[0], ids[len(ids)-1]} {
			if got := deliveryOf(t, s, ann, id, d, now); got.State != idlepush.DeliveryCombined || got.Into != n.ID {
				t.Errorf("a mail is %s into %q", got.State, got.Into)
			}
			if got := deliveryOf(t, s, ann, id, other, now); got.State != idlepush.DeliveryPending {
				t.Errorf("on the other phone it is %s", got.State)
			}
		}
		reopen(t, s)
		if again := first(t, s, d, now); again.Notification.ID != n.ID {
			t.Error("after a restart it has another id")
		} else {
			end(t, s, again, Outcome{Result: ResultDelivered}, now)
		}
		idle(t, s, d, now)
	}
}

func summaryGrows(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 3, dawn)
	combine(t, s, first(t, s, d[0], dawn), dawn)
	sum := first(t, s, d[0], dawn)
	arrive(t, s, a, 4, dawn)
	if n := combine(t, s, sum, dawn); n != 4 {
		t.Errorf("%d more were combined", n)
	}
	if got := first(t, s, d[0], dawn).Notification; got.ID != sum.Notification.ID || got.Count != 7 {
		t.Errorf("the head counts %d under another id: %v", got.Count, got.ID != sum.Notification.ID)
	}
	end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultRetry, Reason: idlepush.Reason{Code: "late"}, MaybeDelivered: true}, dawn)
	arrive(t, s, a, 2, dawn)
	if n := combine(t, s, first(t, s, d[0], dawn), dawn); n != 2 {
		t.Errorf("%d were combined behind one that was tried", n)
	}
	if got := first(t, s, d[0], dawn).Notification; got.ID != sum.Notification.ID || got.Count != 7 {
		t.Error("what may be on the phone with a count has another now")
	}
}

func summaryLeaves(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	const many = maxTogether + 3
	ids := arrive(t, s, a, many, dawn)
	end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultRetry, MaybeDelivered: true, Reason: idlepush.Reason{Code: "late"}}, dawn)
	if n := combine(t, s, first(t, s, d[0], dawn), dawn); n != many-1 {
		t.Errorf("%d were combined, want all but the one that went unanswered", n)
	}
	// Those that may have been on their way when the program was killed are such too.
	reopen(t, s)
	if n := combine(t, s, first(t, s, d[1], dawn), dawn); n != many-maxTogether {
		t.Errorf("%d were combined, want all but the first of the earlier run", n)
	}
	for i, left := range []int{1, maxTogether} {
		for _, id := range ids[:left] {
			w := first(t, s, d[i], dawn)
			if w.Notification.ID != id {
				t.Errorf("the head is a %s", w.Notification.Kind)
			}
			end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
		}
		if w := first(t, s, d[i], dawn); w.Notification.Count != many-left {
			t.Errorf("then comes a %s of %d", w.Notification.Kind, w.Notification.Count)
		}
	}
}

func summaryOfOne(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 1, dawn)
	w := first(t, s, d[0], dawn)
	hold(t, s, w, dawn.Add(time.Minute), dawn)
	now := dawn.Add(time.Minute)
	if n := combine(t, s, first(t, s, d[0], now), now); n != 0 {
		t.Errorf("%d were combined", n)
	}
	if w := first(t, s, d[0], now); w.Notification.ID != ids[0] || w.HoldEnded {
		t.Errorf("the head is a %s, released %v", w.Notification.Kind, w.HoldEnded)
	}
}

func summaryRead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	told, waits, empty := phone(t, s, ann, "told"), phone(t, s, ann, "waits"), phone(t, s, ann, "empty")
	arrive(t, s, a, 3, dawn)
	var sums []string
	for _, d := range []idlepush.Device{told, waits, empty} {
		combine(t, s, first(t, s, d, dawn), dawn)
		sums = append(sums, first(t, s, d, dawn).Notification.ID)
	}
	end(t, s, first(t, s, told, dawn), Outcome{Result: ResultDelivered}, dawn)
	clearMail(t, s, a, 1, 2)
	idle(t, s, told, dawn)
	if n := first(t, s, waits, dawn).Notification; n.Kind != idlepush.KindSummary || n.Count != 2 || n.ID != sums[1] {
		t.Errorf("the summary that waits is a %s of %d", n.Kind, n.Count)
	}
	clearMail(t, s, a, 2, 1, 3)
	if w := first(t, s, told, dawn); w.Notification.Kind != idlepush.KindClear || !slices.Contains(w.Notification.Clear, sums[0]) {
		t.Errorf("the phone that was told gets a %s of %v", w.Notification.Kind, w.Notification.Clear)
	}
	idle(t, s, waits, dawn)
	idle(t, s, empty, dawn)
}

// clearSize, also where with as many mails as one holds their summary is to be taken away.
func clearSize(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, MaxMails, dawn)
	hold(t, s, first(t, s, d[0], dawn), dawn.Add(time.Minute), dawn)
	now := dawn.Add(time.Minute)
	combine(t, s, first(t, s, d[0], now), now)
	sum := first(t, s, d[0], now).Notification.ID
	for _, d := range d {
		drain(t, s, d, now)
	}
	var uids []uint32
	for uid := range MaxMails {
		uids = append(uids, uint32(uid+1))
	}
	clearMail(t, s, a, MaxMails, uids...)
	var got []string
	for w, ok, err := s.Outbox.Next(d[1].ID, now); ok || err != nil; w, ok, err = s.Outbox.Next(d[1].ID, now) {
		if err != nil {
			t.Fatal(err)
		}
		if n := len(w.Notification.Clear); n > 50 {
			t.Errorf("a clear holds %d ids", n)
		}
		got = append(got, w.Notification.Clear...)
		end(t, s, w, Outcome{Result: ResultDelivered}, now)
	}
	if want := append(ids, sum); !slices.Equal(got, want) {
		t.Errorf("%d ids are to be taken away, want %d", len(got), len(want))
	}
}

// clearOutlives, also one of which only a row in the middle was.
func clearOutlives(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
		d := phone(t, s, ann, "phone")
		ids := arrive(t, s, a, MaxMails, dawn)
		ids = append(ids, arrive(t, s, a, 1, dawn)...)
		arrive(t, s, b, 1, dawn)
		drain(t, s, d, dawn)
		var full []uint32
		for uid := range MaxMails {
			full = append(full, uint32(uid+1))
		}
		clearMail(t, s, a, MaxMails, full...)
		clearMail(t, s, b, 1, 1)
		clearMail(t, s, a, 1, MaxMails+1)
		hold(t, s, first(t, s, d, dawn), dawn.Add(time.Hour), dawn)
		now := dawn.Add(time.Hour)
		remove := func() {
			if err := s.Accounts.Remove(b.ID, dawn); err != nil {
				t.Fatal(err)
			}
		}
		if before {
			remove()
		}
		want := 2
		if before {
			want = 0 // one of them is of nothing any more
		}
		if n := combine(t, s, first(t, s, d, now), now); n != want && boundGiven() == 0 {
			t.Errorf("%d were combined", n)
		}
		if !before {
			remove()
		}
		got, _ := clearsOf(t, s, d, now)
		for _, id := range ids {
			if !slices.Contains(got, id) {
				t.Errorf("removed before: %v; one of %d ids is not taken away", before, len(ids))
			}
		}
	}
}

// clearsCombine, whatever number of mails each of them is about.
func clearsCombine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sizes []int // of the clears that wait, oldest first
		left  int   // how many clears are left
	}{
		"of one mail":                  {slices.Repeat([]int{1}, 60), 2},
		"one that is full, then many":  {append([]int{maxCleared}, slices.Repeat([]int{1}, maxCombined+20)...), 1 + 6},
		"many, then one that is full":  {append(slices.Repeat([]int{1}, maxCombined+20), maxCleared), 1 + 6},
		"no two fit together":          {[]int{30, 40, 30}, 3},
		"the first fits with the last": {[]int{30, 40, 20, 10}, 2},
		"one alone":                    {[]int{1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, a, d := fourPhones(t)
			var ids []string
			uid := uint32(1)
			for _, size := range c.sizes {
				ids = append(ids, arrive(t, s, a, size, dawn)...)
				drain(t, s, d[0], dawn)
			}
			for _, size := range c.sizes {
				var uids []uint32
				for range size {
					uids = append(uids, uid)
					uid++
				}
				clearMail(t, s, a, size, uids...)
			}
			now := dawn
			for range 2 { // the second time all is as it is
				w := first(t, s, d[0], now)
				hold(t, s, w, now.Add(time.Minute), now)
				now = now.Add(time.Minute)
				combine(t, s, first(t, s, d[0], now), now)
			}
			// With a bound those that wait are smaller from the start.
			if n := len(queueKeys(t, s, d[0])); n > c.left || n < c.left && boundGiven() == 0 {
				t.Errorf("%d clears are left, want %d", n, c.left)
			}
			got, others := clearsOf(t, s, d[0], now)
			slices.Sort(got)
			slices.Sort(ids)
			if !slices.Equal(got, ids) || others != 0 {
				t.Errorf("%d ids are to be taken away, want %d; %d others", len(got), len(ids), others)
			}
		})
	}
}

func clearPiggybacked(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	page, wake := browser(t, s, ann, "page", "https://push.example"), browser(t, s, ann, "wake", "https://push.example")
	wake.Content = idlepush.LevelWake
	if _, err := s.Devices.Update(wake, dawn); err != nil {
		t.Fatal(err)
	}
	ids := arrive(t, s, a, 20, dawn)
	for _, d := range []idlepush.Device{page, wake} {
		drain(t, s, d, dawn)
	}
	clearMail(t, s, a, 3, 1, 2, 3)
	clearMail(t, s, a, 14, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
	for _, d := range []idlepush.Device{page, wake} {
		idle(t, s, d, dawn)
		if dueNow(t, s, dawn.Add(7*24*time.Hour))[d.ID] {
			t.Errorf("%s is due for a push that shows nothing", d.Name)
		}
	}
	arrive(t, s, a, 3, dawn)
	w := first(t, s, page, dawn)
	if !slices.Equal(w.Clear, ids[:3]) {
		t.Errorf("the push takes away %v, want the first three", w.Clear)
	}
	end(t, s, w, Outcome{Result: ResultRetry, Reason: idlepush.Reason{Code: "busy"}}, dawn)
	w = first(t, s, page, dawn)
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	w = first(t, s, page, dawn)
	if !slices.Equal(w.Clear, ids[3:17]) {
		t.Errorf("the next takes away %v, want the other fourteen", w.Clear)
	}
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	if w = first(t, s, page, dawn); len(w.Clear) != 0 {
		t.Errorf("the last takes away %v once more", w.Clear)
	}
	if w := first(t, s, wake, dawn); len(w.Clear) != 0 {
		t.Errorf("a device that may be told nothing is told to take away %v", w.Clear)
	}
	// What has waited for too long is not told.
	clearMail(t, s, a, 1, 18)
	later := dawn.Add(25 * time.Hour)
	w = first(t, s, page, later)
	end(t, s, w, Outcome{Result: ResultDelivered}, later)
	if len(w.Clear) != 0 || len(queueKeys(t, s, page)) != 0 {
		t.Errorf("it takes away %v, and %d rows are left", w.Clear, len(queueKeys(t, s, page)))
	}
}

func piggybackedPurged(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, page := mailbox(t, s, ann, "a@example.org"), browser(t, s, ann, "page", "https://push.example")
	arrive(t, s, a, 1, dawn)
	drain(t, s, page, dawn)
	clearMail(t, s, a, 1, 1)
	if err := s.Purge(t.Context(), dawn.Add(14*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if rows := len(queueKeys(t, s, page)); rows != 0 {
		t.Errorf("%d rows are left", rows)
	}
}

func notifiedTimes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	d := phone(t, s, ann, "phone")
	ring := func(a idlepush.Account, remember int, result Result, at time.Time) {
		t.Helper()
		arrive(t, s, a, 1, at)
		w := first(t, s, d, at)
		w.KeepNotified = remember
		end(t, s, w, Outcome{Result: result}, at)
	}
	rang := func(a idlepush.Account, now time.Time) []time.Time {
		t.Helper()
		arrive(t, s, a, 1, now)
		w := first(t, s, d, now)
		end(t, s, w, Outcome{Result: ResultRefused}, now)
		return w.NotifiedAt
	}
	for i := range 4 {
		ring(a, 3, ResultDelivered, dawn.Add(time.Duration(i)*time.Second))
	}
	ring(a, 3, ResultRefused, dawn.Add(5*time.Second))
	ring(a, 0, ResultDelivered, dawn.Add(6*time.Second))
	if got := fmt.Sprint(rang(a, dawn.Add(7*time.Second))); got != fmt.Sprint([]time.Time{dawn.Add(time.Second), dawn.Add(2 * time.Second), dawn.Add(3 * time.Second)}) {
		t.Errorf("it rang at %s", got)
	}
	if got := rang(b, dawn.Add(8*time.Second)); len(got) != 0 {
		t.Errorf("the other mailbox rang at %v", got)
	}
	ring(b, 3, ResultDelivered, dawn.Add(2*time.Hour))
	err := s.db.View(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, id(d.ID))
		if len(q.Subqueues) != 1 {
			t.Errorf("two hours later it is remembered of %d lines", len(q.Subqueues))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func unreadSum(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
	a, b, off, his := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org"), mailbox(t, s, ann, "off@example.org"), mailbox(t, s, bob, "his@example.org")
	d := phone(t, s, ann, "phone")
	arrive(t, s, a, 1, dawn)
	if w := first(t, s, d, dawn); w.Unread != nil {
		t.Errorf("%d are unread where nobody knows", *w.Unread)
	}
	for account, n := range map[string]int{a.ID: 3, off.ID: 50, his.ID: 100} {
		if err := s.Mail.SetUnread(account, n); err != nil {
			t.Fatal(err)
		}
	}
	off.Enabled = false
	if _, err := s.Accounts.Update(off, dawn); err != nil {
		t.Fatal(err)
	}
	if w := first(t, s, d, dawn); w.Unread == nil || *w.Unread != 3 {
		t.Errorf("unread %v, want 3", w.Unread)
	}
	if err := s.Mail.SetUnread(b.ID, 4); err != nil {
		t.Fatal(err)
	}
	if w := first(t, s, d, dawn); *w.Unread != 7 {
		t.Errorf("unread %d, want 7", *w.Unread)
	}
	d.Accounts = []string{a.ID}
	if _, err := s.Devices.Update(d, dawn); err != nil {
		t.Fatal(err)
	}
	if w := first(t, s, d, dawn); *w.Unread != 3 {
		t.Errorf("unread %d in the one mailbox that rings it, want 3", *w.Unread)
	}
}

func failingDevice(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	fail := func(d idlepush.Device, now time.Time) idlepush.State {
		t.Helper()
		arrive(t, s, a, 1, now)
		end(t, s, first(t, s, d, now), Outcome{Result: ResultRetry, Reason: because("late", "No answer.")}, now)
		return statusOf(t, s, d).State
	}
	for i := range 20 {
		if state := fail(d[0], dawn.Add(time.Duration(i)*time.Hour)); state != idlepush.StateProven {
			t.Fatalf("%s after %d failures in as many hours", state, i+1)
		}
	}
	if state := fail(d[0], dawn.Add(72*time.Hour-1)); state != idlepush.StateProven {
		t.Errorf("%s before three days", state)
	}
	now := dawn.Add(72 * time.Hour)
	if state := fail(d[0], now); state != idlepush.StateSuspect {
		t.Errorf("%s after three days", state)
	}
	if st := statusOf(t, s, d[0]); !st.Reason.Equal(because("late", "No answer.")) || !st.Since.Equal(now) {
		t.Errorf("it does not say why: %+v", st)
	}
	end(t, s, first(t, s, d[0], now), Outcome{Result: ResultDelivered}, now)
	if state := fail(d[0], now.Add(time.Second)); state != idlepush.StateProven {
		t.Errorf("%s at the first failure after a success", state)
	}

	// Nor is it one that is seldom tried.
	if state := fail(d[2], dawn); state != idlepush.StateProven {
		t.Errorf("%s at its first failure", state)
	}
	for i := range 18 {
		if state := fail(d[2], dawn.Add(100*time.Hour)); state != idlepush.StateProven {
			t.Errorf("%s after %d failures in more than three days", state, i+2)
		}
	}
	if state := fail(d[2], dawn.Add(100*time.Hour)); state != idlepush.StateSuspect {
		t.Errorf("%s after 20 failures in more than three days", state)
	}

	// An outage of the whole lane says nothing of the device.
	fail(d[1], dawn)
	pause(t, s, Lane{Name: d[1].Lane, Since: dawn, Until: dawn.Add(100 * time.Hour)})
	for i := range 40 {
		fail(d[1], dawn.Add(time.Duration(i)*2*time.Hour))
	}
	resume(t, s, d[1].Lane)
	if state := fail(d[1], dawn.Add(90*time.Hour)); state != idlepush.StateProven {
		t.Errorf("%s after an outage of its lane", state)
	}
}

// What waits behind the head, or is held back, is not looked at: a row of it that cannot be read
// does no harm until it is its turn.
func readsOnlyDue(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	d := phone(t, s, ann, "phone")
	arrive(t, s, a, 50, dawn)
	hold(t, s, first(t, s, d, dawn), dawn.Add(time.Hour), dawn)
	ids := arrive(t, s, b, 50, dawn)
	damage := func(with table.Sealed) (were map[string]table.Sealed) {
		t.Helper()
		were = make(map[string]table.Sealed)
		var rows []table.Row[notificationKey, notificationRow]
		err := s.db.View(func(tx *table.Tx) error {
			rows = all(t, tx, notifications)
			return nil
		})
		for _, row := range rows {
			if row.Value.ID == ids[0] || err != nil {
				continue
			}
			were[row.Value.ID], row.Value.Sealed = row.Value.Sealed, with
			err = s.db.Update(func(tx *table.Tx) error { return notifications.Put(tx, row.Key, row.Value) })
		}
		if err != nil {
			t.Fatal(err)
		}
		return were
	}
	damage(table.Sealed("damaged"))
	if w := first(t, s, d, dawn); w.Notification.ID != ids[0] {
		t.Errorf("the first is %s", w.Notification.ID)
	}
	if _, _, err := s.History.List(ann.ID, "", 100, dawn); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the damage is not found: %v", err)
	}
	// The check of every store reads them all.
	if err := s.Users.Remove(ann.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
}

package registry

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/registry/testenv"
)

func TestTogether(t *testing.T) {
	t.Parallel()
	t.Run("what follows accepted work is what Next returns once that is settled", followsAsSettled)
	t.Run("outcomes that are settled together end as those that are settled one by one, in one commit", settlesTogether)
	t.Run("nothing follows work that changes more than its subqueue", followsOnlyPlain)
	t.Run("nothing follows work whose device was edited since", followsNoEdit)
	t.Run("mail that is read while its outcome waits is withdrawn", clearedUnsettled)
	t.Run("mail that is read is withdrawn whenever the program crashed", clearedOverCrash)
	t.Run("an older outcome does not end a pause of the lane", pausedUnsettled)
	t.Run("the outcomes of a removed device are not written", removedUnsettled)
}

// follow returns the work that follows w, which was accepted at now.
func follow(t testing.TB, s *Store, w Work, now time.Time) Work {
	t.Helper()
	next, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered, LaneWorks: true}, now)
	if err != nil || !ok {
		t.Fatalf("nothing follows %d works: %v", len(w.unsettled)+1, err)
	}
	return next
}

// busyPhone is a phone in whose queue mail of several accounts waits, some of it held or expired.
func busyPhone(t *testing.T, random *rand.Rand) (*Store, idlepush.Device, time.Time) {
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	boxes := []idlepush.Account{mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org"), mailbox(t, s, ann, "c@example.org")}
	now := dawn
	for range 12 {
		now = now.Add(time.Duration(random.IntN(30)) * time.Hour / 10)
		arrive(t, s, boxes[random.IntN(len(boxes))], 1+random.IntN(3), now)
		if random.IntN(4) > 0 {
			continue
		}
		if w, ok, err := s.Outbox.Next(d.ID, now); err != nil {
			t.Fatal(err)
		} else if ok {
			if err := holdWork(s, w, now.Add(time.Duration(random.IntN(90))*time.Minute), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if random.IntN(2) == 0 {
		now = now.Add(idlepush.KindMail.Lifetime() - 10*time.Hour)
	}
	return s, d, now
}

func followsAsSettled(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	followed := 0
	for range 10 {
		s, d, now := busyPhone(t, random)
		w, ok, err := s.Outbox.Next(d.ID, now)
		for ; ok && err == nil; w, ok, err = s.Outbox.Next(d.ID, now) {
			w.KeepNotified = 3
			now = now.Add(time.Duration(random.IntN(10)) * time.Minute)
			next, follows, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, now)
			if err != nil {
				t.Fatal(err)
			}
			end(t, s, w, Outcome{Result: ResultDelivered}, now)
			want, waits, err := s.Outbox.Next(d.ID, now)
			if err != nil || follows && !waits {
				t.Fatal(follows, waits, err)
			}
			if !follows {
				continue
			}
			followed++
			next.unsettled = nil
			next.Device.Status, next.Device.Chain, next.Device.Due = want.Device.Status, want.Device.Chain, want.Device.Due
			if !reflect.DeepEqual(next, want) {
				t.Errorf("%+v follows, and then the next is\n%+v", next, want)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if followed < 50 {
		t.Errorf("only %d followed", followed)
	}
}

func settlesTogether(t *testing.T) {
	t.Parallel()
	late := dawn.Add(maxTogether * time.Second)
	for i, last := range []Outcome{{Result: ResultDelivered}, {Result: ResultRefused, Reason: because("too_large", "It is too large.")},
		{Result: ResultRetry, At: late.Add(time.Minute), Reason: because("busy", "The service is busy.")}} {
		alone, _ := settleEight(t, false, last)
		together, commits := settleEight(t, true, last)
		if alone != together {
			t.Errorf("case %d: one by one\n%s\ntogether\n%s", i, alone, together)
		}
		if commits != 1 && boundGiven() == 0 {
			t.Errorf("case %d: %d commits", i, commits)
		}
	}
}

// settleEight settles as many deliveries as fit together, a second after each other, and returns
// how they and their queue are afterwards.
func settleEight(t *testing.T, together bool, last Outcome) (is string, commits int) {
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, maxTogether+2, dawn)
	before := s.db.Commits()
	w := first(t, s, d, dawn)
	for n := range maxTogether {
		now := dawn.Add(time.Duration(n) * time.Second)
		if w.KeepNotified = 5; w.Notification.ID != ids[n] {
			t.Errorf("together: %v: as %d went %s", together, n, w.Notification.ID)
		}
		switch {
		case n == maxTogether-1:
			if _, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, now); together && ok || err != nil {
				t.Errorf("something follows %d works: %v", n+1, err)
			}
			end(t, s, w, last, now)
		case together:
			w = follow(t, s, w, now)
		default:
			end(t, s, w, Outcome{Result: ResultDelivered}, now)
			w = first(t, s, d, now)
		}
	}
	commits = s.db.Commits() - before
	for _, id := range ids {
		delivery := deliveryOf(t, s, ann, id, d, dawn)
		delivery.Device = ""
		is += fmt.Sprintf("%+v\n", delivery)
	}
	if err := s.db.View(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, id(d.ID))
		l := q.Subqueues[a.ID]
		is += fmt.Sprintf("%+v, due %v, rang at %v", q.Status, q.Due, l.NotifiedAt)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return is, commits
}

func followsOnlyPlain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	arrive(t, s, a, 3, dawn)
	w := first(t, s, d, dawn)
	unproven, paused, riding, wordless := w, w, w, w
	wordless.Notification.Wordless = true
	unproven.Device.Status.State = idlepush.StateUnproven
	paused.Pause.Name = d.Lane
	riding.piggybacked = []deliveryKey{w.key}
	for name, c := range map[string]struct {
		w Work
		o Outcome
	}{
		"a retry":                  {w, Outcome{Result: ResultRetry}},
		"what shows a device anew": {w, Outcome{Result: ResultDelivered, Learned: taught(sandbox)}},
		"an unproven device":       {unproven, Outcome{Result: ResultDelivered}},
		"a paused lane":            {paused, Outcome{Result: ResultDelivered}},
		"clears that ride":         {riding, Outcome{Result: ResultDelivered}},
		"a mail without words":     {wordless, Outcome{Result: ResultDelivered}},
	} {
		if _, ok, err := s.Outbox.NextAfter(c.w, c.o, dawn); ok || err != nil {
			t.Errorf("%s: something follows: %v, %v", name, ok, err)
		}
	}
	if _, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn); !ok || err != nil {
		t.Errorf("nothing follows: %v", err)
	}
}

func followsNoEdit(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 3, dawn)
	w := follow(t, s, first(t, s, d, dawn), dawn)
	d, err := s.Devices.Get(d.ID)
	if err != nil {
		t.Fatal(err)
	}
	d.Address = "another token"
	if _, err := s.Devices.Update(d, dawn); err != nil {
		t.Fatal(err)
	}
	if next, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn); ok || err != nil {
		t.Errorf("%s follows: %v", next.Notification.ID, err)
	}
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	if went := drain(t, s, d, dawn); !slices.Equal(went, ids) {
		t.Errorf("to the new address go %v, want %v", went, ids)
	}
}

func clearedUnsettled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 3, dawn)
	w := follow(t, s, first(t, s, d, dawn), dawn)
	clearMail(t, s, a, 3, 1, 2, 3)
	if got := states(t, s, ann, ids[0], []idlepush.Device{d}, dawn); got[0] != idlepush.DeliveryCleared {
		t.Errorf("meanwhile it is %s", got[0])
	}
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	if clears, others := clearsOf(t, s, d, dawn); fmt.Sprint(clears) != fmt.Sprint(ids[:2]) || others != 0 {
		t.Errorf("the phone is to take away %v, and gets %d others", clears, others)
	}
	if dueNow(t, s, dawn)[d.ID] {
		t.Error("then it is due")
	}
}

// The phone shows what was sent to it, also what was not settled.
func clearedOverCrash(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{1, 3, maxTogether} {
		for read := range maxTogether + 1 {
			// later is how many deliveries of the next run come before it is read; -1: it is read
			// before the crash.
			for _, later := range []int{-1, 0, 1, 4} {
				clearOverCrash(t, sent, uint32(read+1), later)
			}
		}
	}
}

// crashed returns the store as the next run finds it if this one ends now.
func crashed(t *testing.T, s *Store) *Store {
	dir := t.TempDir()
	for name, text := range files(t, s.dir) {
		putFile(t, filepath.Join(dir, name), []byte(text))
	}
	return openStore(t, dir)
}

func clearOverCrash(t *testing.T, sent int, read uint32, later int) {
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultDelivered}, dawn)
	ids := arrive(t, s, a, maxTogether+1, dawn)
	shown := make(map[string]bool)
	w := first(t, s, d, dawn)
	for shown[w.Notification.ID] = true; len(shown) < sent; shown[w.Notification.ID] = true {
		w = follow(t, s, w, dawn)
	}
	if later < 0 {
		clearMail(t, s, a, 1, read+1)
	}
	s = crashed(t, s)
	for n := 0; ; n++ {
		if n == later {
			clearMail(t, s, a, 1, read+1)
		}
		w, ok, err := s.Outbox.Next(d.ID, dawn)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if end(t, s, w, Outcome{Result: ResultDelivered}, dawn); w.Notification.Kind == idlepush.KindMail {
			shown[w.Notification.ID] = true
		}
		for _, id := range w.Notification.Clear {
			delete(shown, id)
		}
	}
	for i, id := range ids {
		if isRead := i == int(read)-1; shown[id] == isRead {
			t.Errorf("%d sent before the crash, mail %d is read after %d pushes: mail %d is shown: %v", sent, read, later, i+1, shown[id])
		}
	}
}

func pausedUnsettled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d, other := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone"), phone(t, s, ann, "other")
	arrive(t, s, a, 2, dawn)
	w := follow(t, s, first(t, s, d, dawn), dawn)
	end(t, s, first(t, s, other, dawn), Outcome{Result: ResultRetry, PauseFor: time.Minute, Reason: because("busy", "Busy.")}, dawn)
	if changed, err := s.Outbox.Settle(w, Outcome{Result: ResultRetry, Reason: because("busy", "Busy.")}, dawn); err != nil || changed {
		t.Errorf("the lane has changed: %v, %v", changed, err)
	}
	if list, err := s.Devices.Lanes(); err != nil || len(list) != 1 {
		t.Errorf("paused are %+v, %v", list, err)
	}
}

func removedUnsettled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	arrive(t, s, a, 3, dawn)
	next := follow(t, s, first(t, s, d, dawn), dawn)
	if err := s.Devices.Remove(d, ""); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Outbox.NextAfter(next, Outcome{Result: ResultDelivered}, dawn); ok || err != nil {
		t.Errorf("something follows: %v, %v", ok, err)
	}
	if err := settleWork(s, next, Outcome{Result: ResultDelivered}, dawn); err != ErrNotFound {
		t.Errorf("settle: %v", err)
	}
}

package registry

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
)

func TestTogether(t *testing.T) {
	t.Parallel()
	t.Run("what follows accepted work is what Next returns once that is settled", followsAsSettled)
	t.Run("outcomes that are settled together end as those that are settled one by one, in one commit", settlesTogether)
	t.Run("nothing follows work that changes more than its subqueue", followsOnlyPlain)
	t.Run("mail that is read while its outcome waits is withdrawn", clearedUnsettled)
	t.Run("the outcomes of a removed device are not written", removedUnsettled)
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
			if err := s.Outbox.Hold(w, now.Add(time.Duration(random.IntN(90))*time.Minute), now); err != nil {
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
			next.Device.Status, next.Device.Due = want.Device.Status, want.Device.Due
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
	for i, last := range []Outcome{{Result: ResultDelivered}, {Result: ResultRefused, Reason: because("too_large", "It is too large.")},
		{Result: ResultRetry, At: dawn.Add(time.Minute), Reason: because("busy", "The service is busy.")}} {
		var ends []string
		for _, together := range []bool{false, true} {
			s := newStore(t)
			ann := someone(t, s, "ann")
			a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
			var went []string
			ids := arrive(t, s, a, maxTogether+2, dawn)
			commits := s.db.Commits()
			for n := range maxTogether {
				w := first(t, s, d, dawn)
				for together && len(w.unsettled)+1 < maxTogether {
					next, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn)
					if err != nil || !ok {
						t.Fatalf("nothing follows %d works: %v", len(w.unsettled)+1, err)
					}
					went = append(went, w.Notification.ID)
					w = next
				}
				went = append(went, w.Notification.ID)
				if _, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn); ok != !together || err != nil {
					t.Errorf("something follows %d works: %v, %v", len(w.unsettled)+1, ok, err)
				}
				o := Outcome{Result: ResultDelivered}
				if together || n == maxTogether-1 {
					o = last
				}
				end(t, s, w, o, dawn)
				if together {
					break
				}
			}
			if n := s.db.Commits() - commits; together && n != 1 {
				t.Errorf("%d commits", n)
			}
			if got := fmt.Sprint(went); got != fmt.Sprint(ids[:maxTogether]) {
				t.Errorf("together: %v: %s went, want %s", together, got, ids)
			}
			shown := ""
			for _, id := range ids {
				n, err := s.History.Get(ann.ID, id, dawn)
				if err != nil {
					t.Fatal(err)
				}
				delivery := n.Deliveries[0]
				delivery.Device = ""
				shown += fmt.Sprintf("%+v\n", delivery)
			}
			is, err := s.Devices.Get(d.ID)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, shown+fmt.Sprintf("%+v, due %v", is.Status, is.Due))
		}
		if ends[0] != ends[1] {
			t.Errorf("case %d: one by one\n%s\ntogether\n%s", i, ends[0], ends[1])
		}
	}
}

func followsOnlyPlain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	arrive(t, s, a, 3, dawn)
	w := first(t, s, d, dawn)
	unproven, paused, riding := w, w, w
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
	} {
		if _, ok, err := s.Outbox.NextAfter(c.w, c.o, dawn); ok || err != nil {
			t.Errorf("%s: something follows: %v, %v", name, ok, err)
		}
	}
	if _, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn); !ok || err != nil {
		t.Errorf("nothing follows: %v", err)
	}
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	if _, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn); ok || err != nil {
		t.Errorf("something follows work that is settled: %v", err)
	}
}

func clearedUnsettled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 2, dawn)
	w := first(t, s, d, dawn)
	next, ok, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, err := s.Mail.Clear(a.ID, "INBOX", 7, []uint32{1}, dawn); err != nil {
		t.Fatal(err)
	}
	end(t, s, next, Outcome{Result: ResultDelivered}, dawn)
	if w := first(t, s, d, dawn); w.Notification.Kind != idlepush.KindClear || fmt.Sprint(w.Notification.Clear) != fmt.Sprint(ids[:1]) {
		t.Errorf("then %+v follows", w.Notification)
	}
}

func removedUnsettled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	arrive(t, s, a, 3, dawn)
	w := first(t, s, d, dawn)
	next, _, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn)
	if err != nil {
		t.Fatal(err)
	}
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

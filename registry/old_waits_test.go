package registry

import (
	"fmt"
	"testing"

	"idlepush"
	"idlepush/codes"
)

func oldMailHandled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		found, handled int
		ring           bool
		want           int // pushes
	}{{5, 2, true, 3}, {5, 5, true, 0}, {9, 2, false, 1}, {9, 9, false, 0}, {60, 50, false, 1}} {
		for _, removed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d of %d, removed: %v", c.handled, c.found, removed), func(t *testing.T) {
				t.Parallel()
				s, _, a, d := oldMailbox(t)
				oldMail(t, s, a, c.found, false)
				uids, err := s.Mail.Announced(a.ID, "Family", 3)
				if err != nil || len(uids) != min(c.found, maxOld) {
					t.Fatalf("announced are %v, %v", uids, err)
				}
				if n, _, err := s.Mail.clear(a.ID, "Family", 3, uids[:c.handled], removed, dawn); err != nil || n != c.handled {
					t.Fatalf("%d were cleared, %v", n, err)
				}
				decide := s.Outbox.SumUpOld
				if c.ring {
					decide = s.Outbox.RingOld
				}
				if err := decide(foundOld(t, s, c.found)[0], dawn); err != nil {
					t.Fatal(err)
				}
				foundOld(t, s)
				if c.want == 1 {
					if w := first(t, s, d, dawn); w.Notification.Kind != idlepush.KindSummary || w.Notification.Count != c.found-c.handled {
						t.Errorf("what rings is %+v", w.Notification)
					}
				}
				if got := drain(t, s, d, dawn); len(got) != c.want {
					t.Errorf("the phone got %v, want %d", got, c.want)
				}
				checkRows(t, s)
			})
		}
	}
}

func oldMailMoved(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	oldMail(t, s, a, 6, false)
	if err := s.Outbox.SumUpOld(foundOld(t, s, 6)[0], dawn); err != nil {
		t.Fatal(err)
	}
	drain(t, s, d, dawn)
	in := carrier{t, s, a, dawn}
	for uid := uint32(1); uid <= 6; uid++ {
		in.finds("Work", 5, Message{UID: uid, Fingerprint: fmt.Sprint(uid), Old: true})
	}
	foundOld(t, s)
}

func oldMailEqual(t *testing.T) {
	t.Parallel()
	s, _, a, _ := oldMailbox(t)
	in := carrier{t, s, a, dawn}
	for uid := uint32(1); uid <= 6; uid++ {
		twins, err := s.Mail.Twins(a.ID, "Family", 3, []string{"alarm"})
		if err != nil {
			t.Fatal(err)
		}
		in.finds("Family", 3, Message{UID: uid, Fingerprint: "alarm", Old: true, Twins: twins})
	}
	if err := s.Outbox.SumUpOld(foundOld(t, s, 6)[0], dawn); err != nil {
		t.Fatal(err)
	}
	twins, err := s.Mail.Twins(a.ID, "Family", 3, []string{"alarm"})
	if err != nil || len(twins) != 6 {
		t.Fatal(twins, err)
	}
	if n := in.finds("Family", 3, Message{UID: 7, Fingerprint: "alarm", Twins: twins}); n != 1 {
		t.Errorf("of a new one %d ring", n)
	}
}

func oldMailSays(t *testing.T) {
	t.Parallel()
	s, ann, a, _ := oldMailbox(t)
	ids := oldMail(t, s, a, 7, false)
	says := func(want ...string) {
		t.Helper()
		for i, c := range want {
			n, err := s.History.Get(ann.ID, ids[i], dawn)
			if err != nil || n.Code != CodeOld || n.Params[codes.Case] != c {
				t.Errorf("mail %d: %q %q, %v; want %q", i+1, n.Code, n.Params[codes.Case], err, c)
			}
		}
	}
	says(oldWaits, oldWaits)
	if _, err := s.Mail.Clear(a.ID, "Family", 3, []uint32{1}, dawn); err != nil {
		t.Fatal(err)
	}
	says(oldHandled, oldWaits)
	if err := s.Outbox.SumUpOld(foundOld(t, s, 7)[0], dawn); err != nil {
		t.Fatal(err)
	}
	says(oldHandled, "")
}

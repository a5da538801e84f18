package registry

import (
	"fmt"
	"testing"
	"time"

	"idlepush"
	"idlepush/ring"
)

func TestRingHeartbeat(t *testing.T) {
	t.Parallel()
	t.Run("it counts what came to one's own devices since then, and what was lost", heartbeatCounts)
	t.Run("for a day there is one, however often it is asked for", heartbeatOnce)
}

// heartbeatOf queues the heartbeat of a day, and returns what it says.
func heartbeatOf(t *testing.T, s *Store, d idlepush.Device, day string, since, now time.Time) map[string]string {
	t.Helper()
	if err := s.Outbox.RingHeartbeat(d.ID, ring.EveryDay, day, since, now); err != nil {
		t.Fatal(err)
	}
	list, _, err := s.History.List(d.User, "", 1, now)
	if err != nil || len(list) != 1 || list[0].Kind != ring.KindHeartbeat {
		t.Fatalf("the newest is %+v, %v", list, err)
	}
	if own := list[0].Deliveries; len(own) != 1 || own[0].Device != d.ID {
		t.Errorf("it goes to %+v, want only the device", own)
	}
	return list[0].Params
}

func heartbeatCounts(t *testing.T) {
	t.Parallel()
	s, ann, a, phone1 := onePhone(t)
	tablet := phone(t, s, ann, "tablet")
	ben := someone(t, s, "ben")
	dispatch(t, s, phone(t, s, ben, "ben's"), dawn, decides(ring.Decision{Verdict: ring.Now}))
	arrive(t, s, a, 3, dawn.Add(-time.Hour)) // before
	for _, d := range []idlepush.Device{phone1, tablet} {
		dispatch(t, s, d, dawn, decides(ring.Decision{Verdict: ring.Now}))
	}
	arrive(t, s, mailbox(t, s, ben, "ben@example.org"), 5, dawn.Add(time.Minute)) // another's
	arriveAt := func(n int, at time.Time) {
		t.Helper()
		look := arrival(t, s, a, n, at)
		if recorded, err := s.Mail.Record(look); err != nil || recorded != n {
			t.Fatalf("record: %d, %v", recorded, err)
		}
	}
	came := dawn.Add(time.Minute)
	arriveAt(4, came)
	dispatch(t, s, phone1, came.Add(400*time.Millisecond), decides(ring.Decision{Verdict: ring.Now}))
	dispatch(t, s, tablet, came.Add(1900*time.Millisecond), decides(ring.Decision{Verdict: ring.Now}))
	got := heartbeatOf(t, s, phone1, "2026-11-30", dawn, came.Add(time.Hour))
	if want := "map[case:day count:4 devices:2 lost:0 slowest:1.9]"; fmt.Sprint(got) != want {
		t.Errorf("it says %v, want %v", got, want)
	}
	arriveAt(2, came.Add(2*time.Hour))
	refused := first(t, s, tablet, came.Add(2*time.Hour))
	end(t, s, refused, Outcome{Result: ResultRefused, Reason: idlepush.Reason{Code: "refused"}}, came.Add(2*time.Hour))
	dispatch(t, s, tablet, came.Add(2*time.Hour+time.Second), decides(heldUntil(came.Add(200*time.Hour))))
	if got := heartbeatOf(t, s, tablet, "2026-12-04", came.Add(90*time.Minute), came.Add(96*time.Hour)); got["count"] != "0" || got["lost"] != "2" || got["devices"] != "0" {
		t.Errorf("of one that was refused and one that expired on a phone it says %v, want that both are lost", got)
	}
}

func heartbeatOnce(t *testing.T) {
	t.Parallel()
	s, _, _, d := onePhone(t)
	want := func(n int, now time.Time, day string) {
		t.Helper()
		if err := s.Outbox.RingHeartbeat(d.ID, ring.EveryWeek, day, dawn.Add(-24*time.Hour), now); err != nil {
			t.Fatal(err)
		}
		list, _, err := s.History.List(d.User, "", 10, now)
		if err != nil || len(list) != n {
			t.Errorf("there are %d, %v, want %d", len(list), err, n)
		}
	}
	want(1, dawn, "2026-11-30")
	want(1, dawn.Add(time.Minute), "2026-11-30")
	reopen(t, s)
	want(1, dawn.Add(-time.Hour), "2026-11-30") // the clock was set back
	want(2, dawn.Add(24*time.Hour), "2026-12-01")
	if err := s.Outbox.RingHeartbeat("nobody", ring.EveryDay, "2026-11-30", dawn, dawn); err != ErrNotFound {
		t.Errorf("for no device: %v", err)
	}
}

package registry

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"idlepush"
)

func TestDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		began time.Duration // after dawn
		mails int
		now   time.Duration // after dawn
		want  dayRow
	}{
		{"the first mail of all begins a day", -1 << 62, 0, 0, dayRow{dawn, 1}},
		{"another counts with it", 0, 1, time.Hour, dayRow{dawn, 2}},
		{"one at the same time, too", 0, 1, 0, dayRow{dawn, 2}},
		{"excess mail is counted on", 0, 5000, time.Hour, dayRow{dawn, 5001}},
		{"the day lasts 24 hours", 0, 7, 24*time.Hour - 1, dayRow{dawn, 8}},
		{"then another begins", 0, 5000, 24 * time.Hour, dayRow{dawn.Add(24 * time.Hour), 1}},
		{"a week later, too", 0, 5000, 7 * 24 * time.Hour, dayRow{dawn.Add(7 * 24 * time.Hour), 1}},
		{"another begins if the clock was set back to before it", time.Hour, 5000, 0, dayRow{dawn, 1}},
		{"a clock that was set back within it changes nothing", 0, 5000, time.Minute, dayRow{dawn, 5001}},
	} {
		was := dayRow{dawn.Add(c.began), c.mails}
		if c.mails == 0 {
			was = dayRow{}
		}
		if got := was.add(dawn.Add(c.now)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestExcess(t *testing.T) {
	t.Parallel()
	t.Run("of 5,000 mails of a day 2,000 are kept, and one summary counts the rest, over restarts", excessCounted)
	t.Run("the count is right if the store fails", excessStoreFails)
	t.Run("the next day mail is kept again, and has a summary of its own", excessNextDay)
	t.Run("only mail that rings counts", excessSilent)
	t.Run("the summary rings each device, and again with the same id when it has grown", excessRings)
	t.Run("the bound of one account is not that of another", excessOthers)
	t.Run("a removed account has nothing to ring", excessRemoved)
	t.Run("mail behind a message that is stuck is counted once, and does not ring the next day", excessAhead)
}

// excessStore is a store that keeps so many mails of an account and day.
func excessStore(t *testing.T, most int) (s *Store, ann idlepush.User, a idlepush.Account, d idlepush.Device) {
	t.Helper()
	s, ann, a, d = oldMailbox(t)
	s.bounds.mails = most
	return s, ann, a, d
}

// summaries are those of excess mail that the user sees, newest first, and how many mails.
func summaries(t testing.TB, s *Store, u idlepush.User, now time.Time) (list []idlepush.Notification, mails int) {
	t.Helper()
	for _, n := range allNotifications(t, s, u, 200, now) {
		switch {
		case n.Code == CodeExcess:
			list = append(list, n)
		case n.Kind == idlepush.KindMail:
			mails++
		}
	}
	return list, mails
}

// wantExcess checks how many mails the user sees, and what the summaries count, newest first.
func wantExcess(t testing.TB, s *Store, u idlepush.User, now time.Time, mails int, counts ...int) []idlepush.Notification {
	t.Helper()
	list, kept := summaries(t, s, u, now)
	var got []int
	for _, n := range list {
		got = append(got, n.Count)
	}
	if kept != mails || !slices.Equal(got, counts) {
		t.Fatalf("%d mails are kept and summaries count %v, want %d and %v", kept, got, mails, counts)
	}
	return list
}

// recordMany records n mails, of which so many ring one by one.
func recordMany(t testing.TB, s *Store, a idlepush.Account, n, ring int, now time.Time) {
	t.Helper()
	recorded := 0
	for n > 0 {
		look := arrival(t, s, a, min(n, MaxMails), now)
		r, err := s.Mail.Record(look)
		if err != nil {
			t.Fatal(err)
		}
		recorded += r
		n -= len(look.Mails)
	}
	if recorded != ring {
		t.Errorf("%d mails ring, want %d", recorded, ring)
	}
}

// grown is the summaries that push is to look at.
func grown(t testing.TB, s *Store, want ...int) []Excess {
	t.Helper()
	list, err := s.Outbox.Excess()
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, e := range list {
		got = append(got, e.Count)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("push is to look at %v, want %v", got, want)
	}
	return list
}

func excessCounted(t *testing.T) {
	t.Parallel()
	s, ann, a, _ := excessStore(t, defaultBounds.mails)
	now, kept := dawn, 2000
	for step := range 10 {
		recordMany(t, s, a, 500, min(500, kept), now)
		kept -= min(500, kept)
		now = now.Add(time.Hour)
		if step%3 == 2 {
			reopen(t, s)
			s.bounds.mails = defaultBounds.mails
		}
	}
	n := wantExcess(t, s, ann, now, 2000, 3000)[0]
	if n.Kind != idlepush.KindSummary || n.Account != a.ID || n.Params["limit"] != "2000" || !n.Expires.Equal(n.At.Add(72*time.Hour)) {
		t.Errorf("it is %+v", n)
	}
	rows := sizes(t, s)
	if rows["notifications"] != 2001 || rows["deliveries"] != 2000 {
		t.Errorf("the store has %d notifications and %d deliveries", rows["notifications"], rows["deliveries"])
	}
	if at, err := s.Mail.Cursor(a.ID, "INBOX"); err != nil || at.Next != 5001 {
		t.Errorf("the cursor is at %+v, %v", at, err)
	}
	recordMany(t, s, a, 5000, 0, now)
	if again := sizes(t, s); again["notifications"] != rows["notifications"] || again["deliveries"] != rows["deliveries"] {
		t.Errorf("the store has grown by 5,000 mails more: %v, it was %v", again, rows)
	}
	wantExcess(t, s, ann, now, 2000, 8000)
}

func excessStoreFails(t *testing.T) {
	t.Parallel()
	s, fault := faultyStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phone(t, s, ann, "phone")
	s.bounds.mails = 10
	asked := 0
	*fault = func() error {
		if asked++; asked%3 == 0 {
			return errFault
		}
		return nil
	}
	failed := 0
	for next := uint32(1); next <= 100; {
		at, err := s.Mail.Cursor(a.ID, "INBOX")
		if err != nil {
			failed++
			continue
		}
		next = max(1, at.Next)
		look := Arrival{Account: a.ID, Folder: "INBOX", From: at, To: Cursor{UIDValidity: 7, Next: next}, At: dawn}
		for look.To.Next <= 100 && len(look.Mails) < 7 {
			look.Mails = append(look.Mails, Message{UID: look.To.Next})
			look.To.Next++
		}
		if _, err := s.Mail.Record(look); err != nil {
			failed++
		}
		if failed > 1000 {
			t.Fatal(err)
		}
	}
	*fault = nil
	wantExcess(t, s, ann, dawn, 10, 90)
}

func excessNextDay(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]time.Duration{"24 hours later": 24 * time.Hour, "after the clock was set back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ann, a, _ := excessStore(t, 10)
			recordMany(t, s, a, 25, 10, dawn)
			recordMany(t, s, a, 5, 0, dawn.Add(24*time.Hour-1))
			recordMany(t, s, a, 25, 10, dawn.Add(next))
			list := wantExcess(t, s, ann, dawn, 20, 15, 20)
			if list[0].ID == list[1].ID {
				t.Error("both have one id")
			}
			grown(t, s, 20, 15)
		})
	}
}

func excessSilent(t *testing.T) {
	t.Parallel()
	s, ann, a, _ := excessStore(t, 10)
	look := arrival(t, s, a, 40, dawn)
	for i := range look.Mails {
		switch i % 4 {
		case 0:
			look.Mails[i].NotRung.Code = "seen"
		case 1:
			look.Mails[i].Old = true
		case 2:
			look.Mails[i].Past = true
		}
	}
	if recorded, err := s.Mail.Record(look); err != nil || recorded != 10 {
		t.Fatal(recorded, err)
	}
	if _, err := s.Mail.Record(look); !errors.Is(err, ErrStale) {
		t.Errorf("again: %v", err)
	}
	wantExcess(t, s, ann, dawn, 30)
	again := arrival(t, s, a, 1, dawn)
	again.Mails = append([]Message{{UID: 4}}, again.Mails...) // one that is recorded
	if recorded, err := s.Mail.Record(again); err != nil || recorded != 0 {
		t.Fatal(recorded, err)
	}
	wantExcess(t, s, ann, dawn, 30, 1)
}

func excessRings(t *testing.T) {
	t.Parallel()
	s, ann, a, d := excessStore(t, 10)
	other := browser(t, s, ann, "page", "https://push.example")
	recordMany(t, s, a, 12, 10, dawn)
	drain(t, s, d, dawn)
	summary := wantExcess(t, s, ann, dawn, 10, 2)[0]
	first := grown(t, s, 2)[0]
	if first.Account != a.ID || !first.Rang.IsZero() {
		t.Errorf("it is %+v", first)
	}
	ring := func(e Excess, now time.Time) {
		t.Helper()
		if err := s.Outbox.RingExcess(e, now); err != nil {
			t.Fatal(err)
		}
		grown(t, s)
	}
	ring(first, dawn)
	if w, ok, err := s.Outbox.Next(d.ID, dawn); err != nil || !ok || w.Notification.ID != summary.ID || w.Notification.Count != 2 {
		t.Fatalf("it rings %+v, %v, %v", w.Notification, ok, err)
	}
	if got := drain(t, s, d, dawn); !slices.Equal(got, []string{summary.ID}) {
		t.Errorf("the phone is sent %q", got)
	}
	later := dawn.Add(time.Hour)
	recordMany(t, s, a, 30, 0, later)
	second := grown(t, s, 32)[0]
	if !second.Rang.Equal(dawn) {
		t.Errorf("it rang at %v", second.Rang)
	}
	ring(second, later)
	ring(second, later.Add(time.Hour)) // it has rung: nothing to do
	if w, ok, err := s.Outbox.Next(d.ID, later); err != nil || !ok || w.Notification.ID != summary.ID || w.Notification.Count != 32 {
		t.Fatalf("it rings %+v, %v, %v", w.Notification, ok, err)
	}
	if got := drain(t, s, d, later); !slices.Equal(got, []string{summary.ID}) {
		t.Errorf("the phone is sent %q", got)
	}
	if got := drain(t, s, other, later); len(got) != 11 || got[10] != summary.ID {
		t.Errorf("a device that could not be reached is sent %q", got)
	}
	if got := deliveryOf(t, s, ann, summary.ID, d, later); got.State != idlepush.DeliveryDelivered || got.Attempts != 2 {
		t.Errorf("the delivery is %+v", got)
	}
	clearMail(t, s, a, 0, 41) // one that is only counted
	wantExcess(t, s, ann, later, 10, 32)
}

func excessOthers(t *testing.T) {
	t.Parallel()
	s, ann, a, _ := excessStore(t, 10)
	b := mailbox(t, s, ann, "other@example.org")
	recordMany(t, s, a, 15, 10, dawn)
	recordMany(t, s, b, 8, 8, dawn)
	wantExcess(t, s, ann, dawn, 18, 5)
	recordMany(t, s, b, 4, 2, dawn)
	wantExcess(t, s, ann, dawn, 20, 2, 5)
}

func excessRemoved(t *testing.T) {
	t.Parallel()
	s, ann, a, _ := excessStore(t, 10)
	recordMany(t, s, a, 15, 10, dawn)
	e := grown(t, s, 5)[0]
	if err := errors.Join(s.Accounts.Remove(a.ID, dawn), s.Outbox.RingExcess(e, dawn), s.Purge(t.Context(), dawn), s.Outbox.RingExcess(e, dawn)); err != nil {
		t.Fatal(err)
	}
	grown(t, s)
	wantExcess(t, s, ann, dawn, 0)
	if rows := fmt.Sprint(sizes(t, s)["notifications"]); rows != "0" {
		t.Errorf("%s notifications are left", rows)
	}
}

func excessAhead(t *testing.T) {
	t.Parallel()
	s, ann, a, _ := excessStore(t, 10)
	look := Arrival{Account: a.ID, Folder: "INBOX", To: Cursor{UIDValidity: 3, Next: 1}, At: dawn}
	for uid := range uint32(40) {
		look.Mails = append(look.Mails, Message{UID: 2 + uid, Fingerprint: fmt.Sprint("mail ", uid)})
	}
	for _, ring := range []int{10, 0, 0, 0} {
		if look.From.Seen = look.At; look.At.Sub(dawn) > 40*time.Hour {
			look.To.Next = 42 // it is not stuck any more
		}
		if recorded, err := s.Mail.Record(look); err != nil || recorded != ring {
			t.Fatalf("after %v %d ring, %v; want %d", look.At.Sub(dawn), recorded, err, ring)
		}
		look.From = look.To
		wantExcess(t, s, ann, look.At, 10, 30)
		look.At = look.At.Add(20 * time.Hour)
	}
}

package registry

import (
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/receipt"
)

// TestUnconfirmed has a phone that reports stop to do so, until that is over.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	reports := func(r reporter, now time.Time) error {
		return r.s.Devices.Receive(r.ring(now).Receipt, reportOf(now, now, time.Time{}, now), now)
	}
	removed := func(r reporter, _ time.Time) error {
		d, err := r.s.Devices.Get(r.d.ID)
		if err != nil {
			return err
		}
		return r.s.Devices.Remove(d, "")
	}
	gone := func(r reporter, now time.Time) error {
		arrive(r.t, r.s, r.a, 1, now)
		end(r.t, r.s, first(r.t, r.s, r.d, now), Outcome{Result: ResultGone, Reason: because("fcm_gone", "It is over.")}, now)
		return nil
	}
	moved := func(r reporter, now time.Time) error {
		d := r.d
		d.User = someone(r.t, r.s, "ben").ID
		_, created, err := r.s.Devices.Register(d, "", now)
		if created {
			r.t.Error("it is a new one")
		}
		return err
	}
	for name, c := range map[string]struct {
		others int
		days   int // until it is over
		over   func(r reporter, now time.Time) error
	}{
		"with another phone, until it reports again":          {1, 2, reports},
		"without another, until it reports again":             {0, 2, reports},
		"until it reports after what was told is purged":      {1, 10, reports},
		"with another phone, until it is removed":             {1, 2, removed},
		"without another, until it is removed":                {0, 2, removed},
		"until it is removed after what was told is purged":   {1, 10, removed},
		"with another phone, until its address is gone":       {1, 2, gone},
		"with another phone, until somebody else has it":      {1, 2, moved},
		"without another, until somebody else has it":         {0, 2, moved},
		"until somebody has it after what was told is purged": {1, 10, moved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := stopReporting(t, c.others)
			told := r.told(at(26 * time.Hour))[0].ID
			back := dawn.AddDate(0, 0, c.days)
			if err := r.s.Purge(t.Context(), back); err != nil {
				t.Fatal(err)
			}
			if err := c.over(r, back); err != nil {
				t.Fatal(err)
			}
			if err := r.s.Outbox.Withdraw(back); err != nil {
				t.Fatal(err)
			}
			for _, n := range r.told(back) {
				if n.Cleared.IsZero() {
					t.Error("it is told of still")
				}
			}
			if n, err := r.s.Users.Notice(r.ann.ID); err != nil || n.Code != "" {
				t.Errorf("the page tells %+v, %v", n, err)
			}
			if c.others > 0 {
				wantClear(t, r.s, r.other, told, back)
			}
			checkRows(t, r.s)
		})
	}
}

// reporter is a phone that reports, or has.
type reporter struct {
	t     *testing.T
	s     *Store
	ann   idlepush.User
	a     idlepush.Account
	d     idlepush.Device
	other idlepush.Device // of the user; without an id: there is none
}

// ring has a mail ring.
func (r reporter) ring(now time.Time) (w Work) {
	r.t.Helper()
	arrive(r.t, r.s, r.a, 1, now)
	w = first(r.t, r.s, r.d, now)
	end(r.t, r.s, w, Outcome{Result: ResultDelivered}, now)
	if r.other.ID != "" {
		drain(r.t, r.s, r.other, now)
	}
	return w
}

// told returns the notifications of the phone that has stopped.
func (r reporter) told(now time.Time) (list []idlepush.Notification) {
	r.t.Helper()
	found, _, err := r.s.History.List(r.ann.ID, "", 200, now)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range found {
		if n.Kind == idlepush.KindAttention && n.Code == receipt.CodeUnconfirmed {
			list = append(list, n)
		}
	}
	return list
}

// wantClear holds the device to be sent a clear of the notification.
func wantClear(t testing.TB, s *Store, d idlepush.Device, stable string, now time.Time) {
	t.Helper()
	for {
		w, ok, err := s.Outbox.Next(d.ID, now)
		if err != nil || !ok {
			t.Errorf("%s is sent no clear, %v", d.Name, err)
			return
		}
		if w.Notification.Kind == idlepush.KindClear && slices.Equal(w.Notification.Clear, []string{stable}) {
			return
		}
		end(t, s, w, Outcome{Result: ResultDelivered}, now)
	}
}

// lastReported returns a phone that reported at dawn, and is unconfirmed with the next push from 25
// hours after dawn on. early is the receipt by which it reported.
func lastReported(t *testing.T, others int) (r reporter, early idlepush.Secret) {
	t.Helper()
	s := newStore(t)
	ann := someone(t, s, "ann")
	r = reporter{t: t, s: s, ann: ann, a: mailbox(t, s, ann, "ann@example.org"), d: phone(t, s, ann, "phone")}
	if others > 0 {
		r.other = phone(t, s, ann, "other")
	}
	early = r.ring(dawn).Receipt
	report(t, s, early, reportOf(dawn, dawn, time.Time{}, dawn), dawn)
	for _, after := range []time.Duration{time.Hour, 2 * time.Hour, 25*time.Hour - 1} {
		r.ring(at(after))
	}
	if list := r.told(at(25 * time.Hour)); len(list) > 0 {
		t.Errorf("before a day has passed, there are %d notifications", len(list))
	}
	return r, early
}

// TestUnconfirmedAndGone has a push that makes a phone unconfirmed settled together with one that
// finds it gone.
func TestUnconfirmedAndGone(t *testing.T) {
	t.Parallel()
	r, _ := lastReported(t, 1)
	now := at(25 * time.Hour)
	arrive(t, r.s, r.a, 2, now)
	w := first(t, r.s, r.d, now)
	next, ok, err := r.s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, now)
	if err != nil || !ok {
		t.Fatalf("nothing follows, %v", err)
	}
	end(t, r.s, next, Outcome{Result: ResultGone, Reason: because("fcm_gone", "It is over.")}, now)
	if err := r.s.Outbox.Withdraw(now); err != nil {
		t.Fatal(err)
	}
	if list := r.told(now); len(list) != 1 || list[0].Cleared.IsZero() {
		t.Errorf("it is told by %+v", list)
	}
	checkRows(t, r.s)
}

// stopReporting returns a phone that is unconfirmed since 25 hours after dawn.
func stopReporting(t *testing.T, others int) reporter {
	t.Helper()
	r, early := lastReported(t, others)
	s, ann := r.s, r.ann
	r.ring(at(25 * time.Hour))
	r.ring(at(26 * time.Hour))
	list := r.told(at(26 * time.Hour))
	if len(list) != 1 || list[0].Params["device"] != "phone" {
		t.Fatalf("it is told by %+v", list)
	}
	report(t, s, early, reportOf(dawn, dawn, time.Time{}, at(26*time.Hour)), at(26*time.Hour))
	if list := r.told(at(26 * time.Hour)); len(list) != 1 || !list[0].Cleared.IsZero() {
		t.Errorf("after a repeated report it is told by %+v", list)
	}
	if n := len(list[0].Deliveries); n != others || n > 0 && list[0].Deliveries[0].Device != r.other.ID {
		t.Errorf("it is told on %+v", list[0].Deliveries)
	}
	if n, err := s.Users.Notice(ann.ID); err != nil || (n.Code == receipt.CodeUnconfirmed) != (others == 0) {
		t.Errorf("the page tells %+v, %v", n, err)
	}
	if st := statusOf(t, s, r.d); st.State != idlepush.StateProven {
		t.Errorf("it is %s, which has it sent less", st.State)
	}
	return r
}

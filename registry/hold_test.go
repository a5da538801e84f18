package registry

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

func TestHold(t *testing.T) {
	t.Parallel()
	t.Run("what is held moves aside, what is not to ring is skipped, and the rest is sent", decideEach)
	t.Run("when a hold ends each is decided again", reviewEach)
	t.Run("a summary that was held takes in the others, and is silent only if all are", reviewSummary)
	t.Run("an edit has all that it concerns decided again at once", editsEndHolds)
	t.Run("an edit while that is decided is not lost", editMeanwhile)
	t.Run("what was decided before an edit is neither held nor skipped by that", editBeforeDecided)
	t.Run("a queue that waits for another try is not due before that", editWhileWaiting)
	t.Run("what is read while it is held is cancelled, and nothing is taken away", readWhileHeld)
	t.Run("what may be on the phone is sent again under its id, and taken away once it is read", heldMaybeShown)
	t.Run("what was skipped after a try is taken away once it is read", skippedMaybeShown)
	t.Run("a mail that was read as it was decided is neither held nor skipped", readAsDecided)
	t.Run("after a restart only what waits to be sent may be on the phone", heldOverRestart)
	t.Run("what is held until it expires says so", heldTooLong)
	t.Run("held mail of a mailbox that is no longer seen is removed", heldOfNobody)
	t.Run("a decision is kept with the outcome, unless nothing asked for it", decisionKept)
}

// bySubject decides by the subject of a mail.
func bySubject(by map[string]ring.Decision) func(Work) ring.Decision {
	return func(w Work) ring.Decision {
		if d, ok := by[w.Notification.Content.Subject]; ok {
			return d
		}
		return ring.Decision{Verdict: ring.Now}
	}
}

func heldUntil(at time.Time) ring.Decision {
	return ring.Decision{Verdict: ring.Held, Until: at, Code: "quiet", Params: map[string]string{"until": "7:00"}}
}

var notAtAll = ring.Decision{Verdict: ring.Not, Code: "rule", Params: map[string]string{"rule": "2"}}

// dispatch does with the queue of a device what push does, and gives what was sent: the ids of
// mails, and of others their counts.
func dispatch(t testing.TB, s *Store, d idlepush.Device, now time.Time, by func(Work) ring.Decision) (sent []string) {
	t.Helper()
	for range 1000 {
		w, ok, err := s.Outbox.Next(d.ID, now)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !ok:
			return sent
		case w.HoldEnded:
			_, err = s.Outbox.Combine(w, now, by)
		default:
			w.Decision = by(w)
			if w.Decision.Verdict == ring.Held || w.Decision.Verdict == ring.Not {
				err = s.Outbox.Decide(w, now, by)
				break
			}
			_, err = s.Outbox.Settle(w, Outcome{Result: ResultDelivered}, now)
			text := w.Notification.ID
			if w.Notification.Kind != idlepush.KindMail {
				text = fmt.Sprint(w.Notification.Kind, " ", max(w.Notification.Count, len(w.Notification.Clear)))
			}
			sent = append(sent, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the queue never ends")
	return nil
}

func wantSent(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%q went, want %q", got, want)
	}
}

func onePhone(t testing.TB) (*Store, idlepush.User, idlepush.Account, idlepush.Device) {
	t.Helper()
	s := newStore(t)
	ann := someone(t, s, "ann")
	return s, ann, mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
}

func decideEach(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 6, dawn)
	morning := dawn.Add(time.Hour)
	by := bySubject(map[string]ring.Decision{"mail 1": heldUntil(morning), "mail 2": notAtAll, "mail 4": heldUntil(morning.Add(-time.Minute)), "mail 5": notAtAll})
	wantSent(t, dispatch(t, s, d, dawn, by), ids[2], ids[5])
	for i, want := range []idlepush.Delivery{
		{State: idlepush.DeliveryPending, HeldUntil: morning, Decision: heldUntil(morning)},
		{State: idlepush.DeliverySkipped, At: dawn, Decision: notAtAll},
		{State: idlepush.DeliveryDelivered, At: dawn, Attempts: 1},
		{State: idlepush.DeliveryPending, HeldUntil: morning.Add(-time.Minute), Decision: heldUntil(morning.Add(-time.Minute))},
	} {
		want.Device = d.ID
		if got := deliveryOf(t, s, ann, ids[i], d, dawn); !sameDelivery(got, want) {
			t.Errorf("mail %d stands as %+v, want %+v", i+1, got, want)
		}
	}
	if got, err := s.Devices.Get(d.ID); err != nil || !got.Due.Equal(morning.Add(-time.Minute)) {
		t.Errorf("it is due at %v, %v; want at the end of the first hold", got.Due, err)
	}
}

// sameDelivery compares two deliveries, whatever the locations of their times.
func sameDelivery(a, b idlepush.Delivery) bool {
	for _, d := range []*idlepush.Delivery{&a, &b} {
		for _, at := range []*time.Time{&d.At, &d.HeldUntil, &d.Decision.Until} {
			*at = at.UTC()
		}
	}
	return reflect.DeepEqual(a, b)
}

func reviewEach(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 6, dawn)
	morning, later := dawn.Add(time.Hour), dawn.Add(2*time.Hour)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(morning))))
	by := map[string]ring.Decision{"mail 1": notAtAll, "mail 2": heldUntil(later)}
	wantSent(t, dispatch(t, s, d, morning, bySubject(by)), "summary 4")
	for i, want := range []idlepush.DeliveryState{idlepush.DeliverySkipped, idlepush.DeliveryPending, idlepush.DeliveryCombined} {
		if got := deliveryOf(t, s, ann, ids[i], d, morning); got.State != want {
			t.Errorf("mail %d is %s, want %s", i+1, got.State, want)
		}
	}
	if got := deliveryOf(t, s, ann, ids[1], d, morning); !got.HeldUntil.Equal(later) {
		t.Errorf("what is held longer is held until %v", got.HeldUntil)
	}
	if got := deliveryOf(t, s, ann, ids[3], d, morning); got.Decision.Verdict == ring.Held {
		t.Errorf("what a summary counts says %+v", got.Decision)
	}
	wantSent(t, dispatch(t, s, d, later, rings), ids[1])
}

func reviewSummary(t *testing.T) {
	t.Parallel()
	silent, until := ring.Decision{Verdict: ring.Silent, Code: "rule"}, dawn.Add(time.Hour)
	for _, c := range []struct {
		first, second ring.Decision
		want          bool
	}{{silent, silent, true}, {silent, ring.Decision{Verdict: ring.Now}, false}, {ring.Decision{Verdict: ring.Now}, silent, false}} {
		s, _, a, d := onePhone(t)
		arrive(t, s, a, 3, dawn)
		wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
		// It becomes a summary, which is held.
		w := first(t, s, d, until)
		if n, err := s.Outbox.Combine(w, until, decides(c.first)); err != nil || n != 3 {
			t.Fatal(n, err)
		}
		w = first(t, s, d, until)
		id := w.Notification.ID
		again := until.Add(time.Hour)
		wantSent(t, dispatch(t, s, d, until, decides(heldUntil(again))))
		arrive(t, s, a, 1, until) // one would be enough
		wantSent(t, dispatch(t, s, d, until, decides(heldUntil(again))))
		reopen(t, s)
		if n, err := s.Outbox.Combine(first(t, s, d, again), again, decides(c.second)); err != nil || n != 1 {
			t.Errorf("%d went into the summary, %v", n, err)
		}
		if w = first(t, s, d, again); w.Notification.ID != id || w.Notification.Count != 4 || w.OnlySilent != c.want {
			t.Errorf("then comes a %s of %d, silent: %v, want %v", w.Notification.Kind, w.Notification.Count, w.OnlySilent, c.want)
		}
	}
}

func readWhileHeld(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 4, dawn)
	until := dawn.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
	clearMail(t, s, a, 2, 1, 3)
	if got := deliveryOf(t, s, ann, ids[0], d, dawn); got.State != idlepush.DeliveryCleared {
		t.Errorf("it stands as %+v", got)
	}
	wantSent(t, dispatch(t, s, d, until, rings), "summary 2")
	clearMail(t, s, a, 2, 2, 4)
	wantSent(t, dispatch(t, s, d, until, rings), "clear 3") // of the summary, too
}

func heldMaybeShown(t *testing.T) {
	t.Parallel()
	s, _, a, d := onePhone(t)
	ids := arrive(t, s, a, 4, dawn)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, MaybeDelivered: true, Reason: because("timeout", "h")}, dawn)
	until := dawn.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
	wantSent(t, dispatch(t, s, d, until, rings), ids[0], "summary 3")
	more := arrive(t, s, a, 1, until)
	end(t, s, first(t, s, d, until), Outcome{Result: ResultRetry, MaybeDelivered: true, Reason: because("timeout", "h")}, until)
	wantSent(t, dispatch(t, s, d, until, decides(heldUntil(until.Add(time.Hour)))))
	clearMail(t, s, a, 1, 5)
	if clears, _ := clearsOf(t, s, d, until); !slices.Equal(clears, more) {
		t.Errorf("%v is taken away, want %v", clears, more)
	}
}

func skippedMaybeShown(t *testing.T) {
	t.Parallel()
	s, _, a, d := onePhone(t)
	ids := arrive(t, s, a, 2, dawn)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, MaybeDelivered: true, Reason: because("timeout", "h")}, dawn)
	wantSent(t, dispatch(t, s, d, dawn, decides(notAtAll)))
	clearMail(t, s, a, 1, 1)
	clearMail(t, s, a, 1, 2)
	if clears, _ := clearsOf(t, s, d, dawn); !slices.Equal(clears, ids[:1]) {
		t.Errorf("%v is taken away, want what may be there: %v", clears, ids[:1])
	}
}

func readAsDecided(t *testing.T) {
	t.Parallel()
	for _, by := range []ring.Decision{heldUntil(dawn.Add(time.Hour)), notAtAll} {
		s, ann, a, d := onePhone(t)
		ids := arrive(t, s, a, 2, dawn)
		w := first(t, s, d, dawn)
		clearMail(t, s, a, 1, 1)
		w.Decision = by
		if err := s.Outbox.Decide(w, dawn, decides(by)); err != nil {
			t.Fatal(err)
		}
		wantSent(t, dispatch(t, s, d, dawn, rings), ids[1])
		if got := deliveryOf(t, s, ann, ids[0], d, dawn); got.State != idlepush.DeliveryCleared {
			t.Errorf("after %s it stands as %+v", by.Verdict, got)
		}
	}
}

func heldOverRestart(t *testing.T) {
	t.Parallel()
	s, _, a, d := onePhone(t)
	arrive(t, s, a, 40, dawn)
	until := dawn.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
	reopen(t, s)
	wantSent(t, dispatch(t, s, d, until, rings), "summary 40")
	ids := arrive(t, s, a, maxTogether+30, until)
	reopen(t, s)
	again := until.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, until, decides(heldUntil(again))))
	wantSent(t, dispatch(t, s, d, again, rings), append(slices.Clone(ids[:maxTogether]), "summary 30")...)
	// What was held then may not be on the phone either once it goes back.
	arrive(t, s, a, 3, again)
	later := again.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, again, decides(heldUntil(later))))
	if _, err := s.Outbox.Combine(first(t, s, d, later), later, rings); err != nil {
		t.Fatal(err)
	}
	w := first(t, s, d, later)
	w.Decision = heldUntil(later.Add(time.Hour))
	if err := s.Outbox.Decide(w, later, decides(w.Decision)); err != nil {
		t.Fatal(err)
	}
	reopen(t, s)
	if _, err := s.Outbox.Combine(first(t, s, d, later.Add(time.Hour)), later.Add(time.Hour), rings); err != nil {
		t.Fatal(err)
	}
	clearMail(t, s, a, 1, uint32(40+maxTogether+30+1))
	wantSent(t, dispatch(t, s, d, later.Add(time.Hour), rings), "summary 2")
}

func heldTooLong(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 1, dawn)
	day := 24 * time.Hour
	for n := range time.Duration(5) {
		now := dawn.Add(n * day)
		wantSent(t, dispatch(t, s, d, now, decides(heldUntil(now.Add(day)))))
	}
	if got := deliveryOf(t, s, ann, ids[0], d, dawn.Add(5*day)); got.State != idlepush.DeliveryExpired || got.Decision.Code != "quiet" || !got.HeldUntil.IsZero() {
		t.Errorf("it stands as %+v", got)
	}
	if due := dueNow(t, s, dawn.Add(6*day)); len(due) > 0 {
		t.Errorf("%v are due", due)
	}
}

func heldOfNobody(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	b := mailbox(t, s, ann, "b@example.org")
	arrive(t, s, a, 2, dawn)
	ids := arrive(t, s, b, 1, dawn)
	until := dawn.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	wantSent(t, dispatch(t, s, d, until, rings), ids...)
	if err := s.Purge(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	checkRows(t, s)
}

func decisionKept(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 3, dawn)
	by := map[string]ring.Decision{
		"mail 1": {Verdict: ring.Now, Loud: true, Code: "breaks_through"},
		"mail 2": {Verdict: ring.Silent, Code: "rule", Content: "sender", Params: map[string]string{"rule": "1"}},
	}
	dispatch(t, s, d, dawn, bySubject(by))
	for i, id := range ids {
		if got, want := deliveryOf(t, s, ann, id, d, dawn).Decision, by[fmt.Sprint("mail ", i+1)]; !reflect.DeepEqual(got, want) {
			t.Errorf("mail %d was decided as %+v, want %+v", i+1, got, want)
		}
	}
	err := s.db.View(func(tx *table.Tx) error {
		for _, row := range all(t, tx, deliveries) {
			if kept := row.Value.Decision != nil; kept != (by[fmt.Sprint("mail ", row.Key.notification.seq-uint64(dawn.UnixNano())+1)].Code != "") {
				t.Errorf("the row of a mail has a decision: %v", kept)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

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
	"idlepush/registry/testenv"
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

func editsEndHolds(t *testing.T) {
	t.Parallel()
	until := dawn.Add(time.Hour)
	for name, c := range map[string]struct {
		edit func(s *Store, ann idlepush.User, a idlepush.Account, d idlepush.Device) error
		both bool // also what is held of the other mailbox
	}{
		"rules": {func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Accounts.SetWishes(ann.ID, a.ID, ring.Wishes{Name: "x"}, dawn))
		}, false},
		"a mute": {func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			m, err := s.Accounts.Mute(ann.ID, a.ID, ring.Mute{Of: ring.MuteMailbox}, dawn.Add(-time.Hour))
			if err != nil {
				return err
			}
			return s.Accounts.Unmute(ann.ID, a.ID, m.ID, dawn)
		}, false},
		"quiet hours": {func(s *Store, _ idlepush.User, _ idlepush.Account, d idlepush.Device) error {
			return errOf(s.Devices.SetWishes(d.ID, someDeviceWishes, dawn))
		}, true},
		"the device": {func(s *Store, _ idlepush.User, _ idlepush.Account, d idlepush.Device) error {
			d.Name = "another"
			return errOf(s.Devices.Update(d, dawn))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ann, a, d := onePhone(t)
			b, other := mailbox(t, s, ann, "b@example.org"), phone(t, s, ann, "other")
			ids := append(arrive(t, s, a, 1, dawn), arrive(t, s, b, 1, dawn)...)
			for _, d := range []idlepush.Device{d, other} {
				wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
			}
			if due := dueNow(t, s, dawn); len(due) > 0 {
				t.Errorf("before the edit %v are due", due)
			}
			if err := c.edit(s, ann, a, d); err != nil {
				t.Fatal(err)
			}
			due := dueNow(t, s, dawn)
			if !due[d.ID] || due[other.ID] == c.both {
				t.Errorf("after the edit %v are due", due)
			}
			want := ids[:1]
			if c.both {
				want = ids
			}
			wantSent(t, dispatch(t, s, d, dawn, rings), want...)
		})
	}
}

func editMeanwhile(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 2, dawn)
	until := dawn.Add(time.Hour)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
	edited := false
	n, err := s.Outbox.Combine(first(t, s, d, until), until, func(Work) ring.Decision {
		if !edited {
			edited = true
			done := make(chan error)
			go func() {
				_, err := s.Accounts.SetWishes(ann.ID, a.ID, ring.Wishes{Name: "x"}, until.Add(time.Second))
				done <- err
			}()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		return heldUntil(until.Add(time.Hour))
	})
	if err != nil || n != 0 {
		t.Error(n, err)
	}
	now := until.Add(time.Second)
	if !dueNow(t, s, now)[d.ID] {
		t.Error("the edit came while it was decided, and nothing is decided again")
	}
	wantSent(t, dispatch(t, s, d, now, bySubject(map[string]ring.Decision{"mail 1": notAtAll})), ids[1])
}

func editBeforeDecided(t *testing.T) {
	t.Parallel()
	edits := map[string]func(*Store, idlepush.User, idlepush.Account, idlepush.Device) error{
		"rules": func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Accounts.SetWishes(ann.ID, a.ID, ring.Wishes{People: []string{"bob@example.org"}}, dawn))
		},
		"a mute": func(s *Store, ann idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Accounts.Mute(ann.ID, a.ID, ring.Mute{Of: ring.MuteMailbox}, dawn))
		},
		"quiet hours": func(s *Store, _ idlepush.User, _ idlepush.Account, d idlepush.Device) error {
			return errOf(s.Devices.SetWishes(d.ID, someDeviceWishes, dawn))
		},
		"its content": func(s *Store, _ idlepush.User, a idlepush.Account, _ idlepush.Device) error {
			return errOf(s.Mail.FillIn(a.ID, "INBOX", 7, Message{UID: 1, Facts: ring.Facts{From: "bob@example.org"}}, dawn))
		},
	}
	for name, edit := range edits {
		for _, by := range []ring.Decision{heldUntil(dawn.Add(time.Hour)), notAtAll} {
			s, ann, a, d := onePhone(t)
			look := arrival(t, s, a, 1, dawn)
			look.Mails[0] = Message{UID: 1, Wordless: true}
			if _, err := s.Mail.Record(look); err != nil {
				t.Fatal(err)
			}
			w := first(t, s, d, dawn)
			if err := edit(s, ann, a, d); err != nil {
				t.Fatal(err)
			}
			w.Decision = by
			if err := s.Outbox.Decide(w, dawn, decides(by)); err != nil {
				t.Fatal(err)
			}
			if sent := dispatch(t, s, d, dawn, rings); len(sent) != 1 {
				t.Errorf("%s came before it was %s, and %q went", name, by.Verdict, sent)
			}
		}
	}
}

func editWhileWaiting(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 2, dawn)
	w := first(t, s, d, dawn)
	w.Decision = heldUntil(dawn.Add(time.Hour))
	by := bySubject(map[string]ring.Decision{"mail 1": w.Decision})
	if err := s.Outbox.Decide(w, dawn, by); err != nil {
		t.Fatal(err)
	}
	retry := dawn.Add(10 * time.Minute)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, At: retry, Reason: because("busy", "h")}, dawn)
	wish(t, s, ann, a, ring.Wishes{Name: "x"})
	if got, err := s.Devices.Get(d.ID); err != nil || !got.Due.Equal(retry) {
		t.Errorf("it is due at %v, %v; want %v", got.Due, err, retry)
	}
	wantSent(t, dispatch(t, s, d, retry, rings), ids...)
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

// TestHoldFails: whatever transaction fails, and whenever the program ends, each mail is told once.
func TestHoldFails(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	for i := range testenv.Tenth(300) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s, fault := faultyStore(t)
			ann := someone(t, s, "ann")
			a, d := mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
			now, told, ids := dawn, make(map[string]int), []string(nil)
			verdicts := func(w Work) ring.Decision { // the same for the same mail at the same time
				switch n := (w.Notification.UID*7 + uint32(now.Sub(dawn)/time.Minute)) % 5; {
				case w.Notification.Kind != idlepush.KindMail || n < 2:
					return ring.Decision{Verdict: ring.Now}
				case n == 2 && w.Notification.UID%4 == 0:
					return notAtAll
				}
				return heldUntil(now.Add(7 * time.Minute))
			}
			turn := func(by func(Work) ring.Decision) {
				for range 500 {
					w, ok, err := s.Outbox.Next(d.ID, now)
					switch {
					case err == nil && !ok:
						return
					case err != nil:
					case w.HoldEnded:
						_, err = s.Outbox.Combine(w, now, by)
					default:
						if w.Decision = by(w); w.Decision.Verdict == ring.Held || w.Decision.Verdict == ring.Not {
							err = s.Outbox.Decide(w, now, by)
							break
						}
						told[w.Notification.ID]++
						for err = errFault; errors.Is(err, errFault); {
							_, err = s.Outbox.Settle(w, Outcome{Result: ResultDelivered}, now)
						}
					}
					if err != nil && !errors.Is(err, errFault) {
						t.Fatal(err)
					}
				}
				t.Fatal("the queue never ends")
			}
			*fault = func() error {
				if random.IntN(4) == 0 {
					return errFault
				}
				return nil
			}
			for range 12 {
				broken := *fault
				*fault = nil
				ids = append(ids, arrive(t, s, a, random.IntN(6), now)...)
				if random.IntN(3) == 0 {
					armed, _ := faults.Load(s)
					s = crashed(t, s)
					faults.Store(s, armed)
					reopen(t, s)
				}
				*fault = broken
				turn(verdicts)
				now = now.Add(time.Duration(1+random.IntN(8)) * time.Minute)
			}
			*fault = nil
			turn(rings)
			now = now.Add(time.Hour)
			turn(rings)
			recountTold(t, s, ann, d, ids, told, now)
		})
	}
}

// recountTold holds the device to be told of each mail once: by itself, in a summary that counts
// it, or not at all by a decision.
func recountTold(t *testing.T, s *Store, ann idlepush.User, d idlepush.Device, ids []string, told map[string]int, now time.Time) {
	t.Helper()
	count := make(map[string]int)
	for i, id := range ids {
		switch got := deliveryOf(t, s, ann, id, d, now); {
		case got.State == idlepush.DeliveryDelivered && told[id] == 1:
		case got.State == idlepush.DeliveryCombined && told[id] == 0 && told[got.Into] == 1:
			count[got.Into]++
		case got.State == idlepush.DeliverySkipped && told[id] == 0 && got.Decision.Verdict == ring.Not:
		default:
			t.Errorf("mail %d is %s, told %d times by itself and %d times in a summary", i+1, got.State, told[id], told[got.Into])
		}
	}
	for id, want := range count {
		if n, err := s.History.Get(ann.ID, id, now); err != nil || n.Count != want {
			t.Errorf("a summary counts %d of %d, %v", n.Count, want, err)
		}
	}
}

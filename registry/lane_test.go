package registry

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestLanes(t *testing.T) {
	t.Parallel()
	t.Run("a pause holds the due queues of its lane and no others", pauseHoldsItsLane)
	t.Run("a pause made shorter or longer ends as a whole", pauseChanged)
	t.Run("a working lane that is not paused does not change", notPaused)
	t.Run("a delivery that failed in a pause is due at its end", failedInPause)
	t.Run("a lane at the end of its pause lets work through when it comes", reachedEnd)
	t.Run("a pause of thousands of queues is one row", pauseIsOneRow)
	t.Run("thousands of queues are hastened in bounded steps", hastenSteps)
	t.Run("queues hastened halfway are hastened wholly by the next call", hastenHalfway)
	t.Run("waiting queues are hastened if the clock was set back", hastenClockBack)
	t.Run("the clock may go back by a second", clockBackASecond)
}

// pause pauses the lane, however it stands.
func pause(t testing.TB, s *Store, is Lane) {
	t.Helper()
	if err := s.db.Update(func(tx *table.Tx) error { return putLane(tx, is) }); err != nil {
		t.Fatal(err)
	}
}

// resume ends the pause of the lane.
func resume(t testing.TB, s *Store, name string) {
	t.Helper()
	if err := s.db.Update(func(tx *table.Tx) error { return lanes.Delete(tx, table.Text(name)) }); err != nil {
		t.Fatal(err)
	}
}

// laneOf returns the pause of a lane; the zero Lane if it is not paused.
func laneOf(t testing.TB, s *Store, name string) Lane {
	t.Helper()
	list, err := s.Devices.Lanes()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if l.Name == name {
			return l
		}
	}
	return Lane{}
}

func pauseHoldsItsLane(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	const origin = "https://push.example"
	soon, late, suspect, idle := browser(t, s, ann, "soon", origin), browser(t, s, ann, "late", origin), browser(t, s, ann, "suspect", origin), browser(t, s, ann, "idle", origin)
	other, fcm := browser(t, s, ann, "other", "https://other.example"), phone(t, s, ann, "fcm")
	arrive(t, s, a, 1, dawn)
	drain(t, s, idle, dawn)
	until, after := dawn.Add(15*time.Minute), dawn.Add(time.Hour)
	end(t, s, first(t, s, late, dawn), Outcome{Result: ResultRetry, At: after}, dawn)
	end(t, s, first(t, s, suspect, dawn), Outcome{Result: ResultRetry, At: dawn.Add(time.Minute), Suspect: true, Reason: idlepush.Reason{Code: "bad"}}, dawn)
	lane := Lane{Name: "webpush " + origin, Since: dawn, Until: until, Reason: because("vapid", "Our key is refused.")}
	pause(t, s, lane)
	list, err := s.Devices.Lanes()
	if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], lane) {
		t.Errorf("lanes %+v, %v", list, err)
	}
	dueAre := func(when string, now time.Time, want ...idlepush.Device) {
		t.Helper()
		due := dueNow(t, s, now)
		for _, d := range want {
			if !due[d.ID] {
				t.Errorf("%s: %s is not due", when, d.Name)
			}
		}
		if len(due) != len(want) {
			t.Errorf("%s: %d are due, want %d", when, len(due), len(want))
		}
	}
	dueAre("paused", until.Add(-1), other, fcm)
	dueAre("at its end", until, other, fcm, soon, suspect)

	// Work that comes during the pause waits with the rest, also that of a device that had none,
	// and of a new one.
	fresh := browser(t, s, ann, "fresh", origin)
	arrive(t, s, a, 1, dawn.Add(time.Minute))
	dueAre("more mail", until.Add(-1), other, fcm)
	dueAre("more mail, at its end", until, other, fcm, soon, suspect, idle, fresh)
	end(t, s, first(t, s, soon, dawn), Outcome{Result: ResultDelivered}, dawn.Add(time.Minute))
	dueAre("one was let through", until.Add(-1), other, fcm)
	end(t, s, first(t, s, soon, dawn), Outcome{Result: ResultRetry, At: dawn.Add(2 * time.Minute)}, dawn.Add(time.Minute))
	dueAre("one is put off", until.Add(-1), other, fcm)

	lane.Until = until.Add(15 * time.Minute)
	pause(t, s, lane)
	dueAre("paused again", lane.Until.Add(-1), other, fcm)

	now := dawn.Add(20 * time.Minute)
	end(t, s, first(t, s, suspect, now), Outcome{Result: ResultRetry, Suspect: true, LaneWorks: true}, now)
	dueAre("resumed", now, other, fcm, soon, suspect, idle, fresh)
	dueAre("what had its own time keeps it", after, other, fcm, soon, suspect, idle, fresh, late)
	if list, err := s.Devices.Lanes(); err != nil || len(list) > 0 {
		t.Errorf("lanes %+v, %v", list, err)
	}
	drain(t, s, idle, now)
	arrive(t, s, a, 1, now)
	dueAre("new mail after the pause", now, other, fcm, soon, suspect, idle, fresh)
}

func pauseChanged(t *testing.T) {
	t.Parallel()
	for _, minutes := range []int{5, 15, 30} {
		s, a, d := fourPhones(t)
		arrive(t, s, a, 1, dawn)
		for _, until := range []time.Time{dawn.Add(15 * time.Minute), dawn.Add(time.Duration(minutes) * time.Minute)} {
			pause(t, s, Lane{Name: "fcm", Since: dawn, Until: until})
			if due := dueNow(t, s, until.Add(-1)); len(due) > 0 {
				t.Errorf("%d are due before the end", len(due))
			}
			if due := dueNow(t, s, until); len(due) != len(d) {
				t.Errorf("15, then %d minutes: %d are due at the end, want %d", minutes, len(due), len(d))
			}
		}
		resume(t, s, "fcm")
		if due := dueNow(t, s, dawn.Add(time.Minute)); len(due) != len(d) {
			t.Errorf("15, then %d minutes: %d are due when resumed, want %d", minutes, len(due), len(d))
		}
	}
}

func notPaused(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	later := dawn.Add(time.Hour)
	end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultRetry, At: later}, dawn)
	if changed, err := s.Outbox.Settle(first(t, s, d[1], dawn), Outcome{Result: ResultRetry, LaneWorks: true}, dawn); err != nil || changed {
		t.Errorf("it has changed the lane: %v, %v", changed, err)
	}
	if due := dueNow(t, s, later.Add(-1)); due[d[0].ID] || !due[d[1].ID] {
		t.Errorf("due %v", due)
	}
}

// failedInPause, also where that came before the outcome was written.
func failedInPause(t *testing.T) {
	t.Parallel()
	for _, ended := range []bool{false, true} {
		s, a, d := fourPhones(t)
		arrive(t, s, a, 1, dawn)
		w, until := first(t, s, d[0], dawn), dawn.Add(15*time.Minute)
		pause(t, s, Lane{Name: d[0].Lane, Since: dawn, Until: until})
		if ended {
			resume(t, s, d[0].Lane)
		}
		end(t, s, w, Outcome{Result: ResultRetry, Reason: idlepush.Reason{Code: "busy"}}, dawn)
		if due := dueNow(t, s, until.Add(-1))[d[0].ID]; due != ended {
			t.Errorf("the pause has ended: %v; due: %v", ended, due)
		}
		if !dueNow(t, s, until)[d[0].ID] {
			t.Error("it is not due at the end of the pause")
		}
	}
}

func reachedEnd(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	pause(t, s, Lane{Name: "fcm", Since: dawn, Until: dawn.Add(time.Minute)})
	now := dawn.Add(2 * time.Minute)
	arrive(t, s, a, 1, now)
	if due := dueNow(t, s, now); len(due) != len(d) {
		t.Errorf("%d of %d are due", len(due), len(d))
	}
}

// manyPhones is a store with so many devices in the lane fcm, each with something due at dawn.
func manyPhones(t *testing.T, many int) (s *Store, fault *func() error) {
	t.Helper()
	s, fault = faultyStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phones(t, s, ann, many)
	arrive(t, s, a, 1, dawn)
	return s, fault
}

// phones gives the user so many devices on FCM.
func phones(t testing.TB, s *Store, user idlepush.User, n int) {
	t.Helper()
	for from := 0; from < n; {
		err := s.db.Update(func(tx *table.Tx) error {
			for ; from < n && tx.Left() > 2*queueCost; from++ {
				d := routed(idlepush.Device{ID: newID(), User: user.ID, Transport: FCM, Address: idlepush.Secret(fmt.Sprint(user.Name, from)), Status: idlepush.Status{State: idlepush.StateProven}, Content: idlepush.LevelSubject})
				if err := replaceDevice(tx, &d, idlepush.Device{}, dawn, true); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// movedAtOnce is how many queues one transaction moves.
func movedAtOnce() int {
	if bound := boundGiven(); bound > 0 {
		// Each is read and written, and so is its place among those that are due.
		return (bound-1-queueCost)/5 + 1
	}
	return maxMoved
}

// pauseIsOneRow, however many wait for its end, and so is its end.
func pauseIsOneRow(t *testing.T) {
	t.Parallel()
	const many = 2*maxMoved + 1
	s, _ := manyPhones(t, many)
	works := make([]Work, 3)
	list, err := s.Outbox.Due(dawn, room(len(works)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range list {
		works[i] = first(t, s, idlepush.Device{ID: q.Device}, dawn)
	}
	change := func(w Work, o Outcome) {
		t.Helper()
		before := commits(s)
		if changed, err := s.Outbox.Settle(w, o, dawn); err != nil || !changed {
			t.Fatal(changed, err)
		}
		if n := commits(s) - before; n != 1 {
			t.Errorf("it took %d transactions", n)
		}
	}
	change(works[0], Outcome{Result: ResultRetry, PauseFor: 15 * time.Minute})
	if list, err := s.Outbox.Due(dawn, room(2*many), nil); err != nil || len(list) != 1 || !list[0].Due.Equal(dawn.Add(15*time.Minute)) {
		t.Errorf("due are %v, %v", list, err)
	}
	change(works[1], Outcome{Result: ResultDelivered, LaneWorks: true})
	if n := len(dueNow(t, s, dawn)); n != many-1 {
		t.Errorf("%d are due", n)
	}
}

func hastenSteps(t *testing.T) {
	t.Parallel()
	many := 4*movedAtOnce() + 1
	s, _ := manyPhones(t, many)
	now := dawn.Add(-time.Minute)
	before := commits(s)
	if err := s.Outbox.HastenDue(now); err != nil {
		t.Fatal(err)
	}
	if n := commits(s) - before; n != 5 {
		t.Errorf("it took %d transactions for %d devices", n, many)
	}
	if n := len(dueNow(t, s, now)); n != many {
		t.Errorf("%d are due", n)
	}
}

// failFrom lets the store's n-th transaction from now fail, and all after it.
func failFrom(fault *func() error, n int) {
	asked := 0
	*fault = func() error {
		if asked++; asked >= n {
			return errFault
		}
		return nil
	}
}

func hastenHalfway(t *testing.T) {
	t.Parallel()
	moved := movedAtOnce()
	many := moved + 1
	s, fault := manyPhones(t, many)
	now := dawn.Add(-time.Minute)
	failFrom(fault, 3) // after a look at the lanes and the first devices
	if err := s.Outbox.HastenDue(now); !errors.Is(err, errFault) {
		t.Errorf("it did not fail: %v", err)
	}
	*fault = nil
	reopen(t, s)
	if due := dueNow(t, s, now); len(due) != moved {
		t.Errorf("halfway %d are due, want %d", len(due), moved)
	}
	if err := s.Outbox.HastenDue(now); err != nil {
		t.Fatal(err)
	}
	if due := dueNow(t, s, now); len(due) != many {
		t.Errorf("then %d are due, want %d", len(due), many)
	}
}

func hastenClockBack(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	fast, now := dawn.Add(2*time.Hour), dawn.Add(5*time.Second)
	if back, err := s.Outbox.ClockWentBack(now); err != nil || back {
		t.Fatalf("set back before anything happened: %v, %v", back, err)
	}
	arrive(t, s, a, 1, fast)
	end(t, s, first(t, s, d[0], fast), Outcome{Result: ResultRetry, At: fast.Add(2 * time.Second)}, fast)
	if back, err := s.Outbox.ClockWentBack(now); err != nil || !back {
		t.Fatalf("set back: %v, %v", back, err)
	}
	if err := s.Outbox.HastenDue(now); err != nil {
		t.Fatal(err)
	}
	if due := dueNow(t, s, now); len(due) != len(d) {
		t.Errorf("due %v", due)
	}
	// What is due already keeps its place before what was hastened.
	later := now.Add(time.Second)
	end(t, s, first(t, s, d[1], now), Outcome{Result: ResultRetry, At: later}, now)
	end(t, s, first(t, s, d[2], now), Outcome{Result: ResultRetry, At: later.Add(1)}, now)
	if err := s.Outbox.HastenDue(later); err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Time{now, later, later, now} {
		if got, err := s.Devices.Get(d[i].ID); err != nil || !got.Due.Equal(want) {
			t.Errorf("phone %d is due at %v, %v; want %v", i, got.Due, err, want)
		}
	}
	checkRows(t, s)
}

func clockBackASecond(t *testing.T) {
	t.Parallel()
	s, a, _ := fourPhones(t)
	arrive(t, s, a, 3, dawn)
	for ago, want := range map[time.Duration]bool{0: false, time.Millisecond: false, 999 * time.Millisecond: false, 1001 * time.Millisecond: true, time.Hour: true} {
		if back, err := s.Outbox.ClockWentBack(dawn.Add(-ago)); err != nil || back != want {
			t.Errorf("%v before the last mail: %v, %v, want %v", ago, back, err, want)
		}
	}
}

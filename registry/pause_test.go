package registry

import (
	"reflect"
	"testing"
	"time"

	"idlepush"
)

func TestPause(t *testing.T) {
	t.Parallel()
	t.Run("an outcome pauses its lane, prolongs or ends the pause, or leaves it", outcomeOfLane)
	t.Run("a pause is the same in any time zone", pauseInAnyZone)
	t.Run("a paused lane is probed now", probeNow)
	t.Run("a probe that is due sooner wakes the dispatcher", probeSooner)
}

// outcomeOfLane is a table of settleLane: the lane when the work was taken, how it
// stands when the outcome is written at noon, and what comes of it.
func outcomeOfLane(t *testing.T) {
	t.Parallel()
	none := Lane{}
	// Its time is over.
	paused := Lane{Name: "fcm", Since: dawn, Until: noon, Reason: because("first", "Out.")}
	longer := Lane{Name: "fcm", Since: dawn, Until: noon.Add(1), Reason: because("second", "Out.")}
	out := Outcome{Result: ResultRetry, PauseFor: time.Minute, Reason: because("busy", "Busy.")}
	denied := Outcome{Result: ResultMisconfigured, PauseFor: 15 * time.Minute, Reason: because("denied", "No.")}
	works := Outcome{Result: ResultDelivered, LaneWorks: true}
	for _, c := range []struct {
		name       string
		taken, now Lane
		o          Outcome
		want       Lane
	}{
		{"it fails", none, none, out, Lane{Name: "fcm", Since: noon, Until: noon.Add(time.Minute), Reason: because("busy", "Busy.")}},
		{"it is denied", none, none, denied, Lane{Name: "fcm", Since: noon, Until: noon.Add(15 * time.Minute), Reason: because("denied", "No.")}},
		{"the probe fails", paused, paused, out, Lane{Name: "fcm", Since: dawn, Until: noon.Add(time.Minute), Reason: because("busy", "Busy.")}},
		{"it fails, and a pause began meanwhile", none, longer, out, longer},
		{"it is denied, and a pause began meanwhile", none, longer, denied, longer},
		{"it fails after the time of a pause that began meanwhile", none, paused, out, Lane{Name: "fcm", Since: dawn, Until: noon.Add(time.Minute), Reason: because("busy", "Busy.")}},
		{"the probe fails, and another did before", paused, longer, out, longer},
		{"the probe fails, and the pause ended meanwhile", paused, none, out, none},
		{"the probe works", paused, paused, works, none},
		{"it works, and a pause began meanwhile", none, longer, works, none},
		{"it works", none, none, works, none},
		{"it is gone", none, longer, Outcome{Result: ResultGone, LaneWorks: true}, none},
		{"it says nothing", none, none, Outcome{Result: ResultRetry}, none},
		{"it says nothing, in a pause", paused, paused, Outcome{Result: ResultRefused}, paused},
	} {
		for _, waits := range []bool{true, false} { // the delivery may have been cleared meanwhile
			s, a, d := fourPhones(t)
			arrive(t, s, a, 1, dawn)
			set := func(l Lane) {
				if resume(t, s, "fcm"); !reflect.DeepEqual(l, none) {
					pause(t, s, l)
				}
			}
			set(c.taken)
			w := first(t, s, d[0], dawn)
			if !reflect.DeepEqual(w.Pause, c.taken) {
				t.Errorf("%s: taken in a lane that is %+v", c.name, w.Pause)
			}
			set(c.now)
			if !waits {
				if _, err := s.Mail.Clear(a.ID, "INBOX", 7, []uint32{1}, dawn); err != nil {
					t.Fatal(err)
				}
			}
			changed, err := s.Outbox.Settle(w, c.o, noon)
			if got := laneOf(t, s, "fcm"); err != nil || !reflect.DeepEqual(got, c.want) || changed != (!reflect.DeepEqual(got, c.now)) {
				t.Errorf("%s: %+v, changed %v, %v; want %+v", c.name, got, changed, err, c.want)
			}
		}
	}
}

// pauseInAnyZone: a row that was read may have a time of a zone without a name.
func pauseInAnyZone(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	there := time.FixedZone("", 3600)
	pause(t, s, Lane{Name: "fcm", Since: dawn.In(there), Until: noon.In(there)})
	w := first(t, s, d[0], noon)
	if changed, err := s.Outbox.Settle(w, Outcome{Result: ResultRetry, PauseFor: time.Minute}, noon.Add(-1)); err != nil || !changed {
		t.Errorf("the lane is %+v: changed %v, %v", laneOf(t, s, "fcm"), changed, err)
	}
}

// probeNow, or is no longer paused if nothing waits in it.
func probeNow(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	idle := browser(t, s, idlepush.User{ID: a.Owner}, "idle", "https://push.example")
	arrive(t, s, a, 1, dawn)
	drain(t, s, idle, dawn)
	late := Lane{Name: "fcm", Since: dawn, Until: dawn.Add(time.Hour), Reason: because("outage", "Out.")}
	for _, l := range []Lane{late, {Name: idle.Lane, Since: dawn, Until: dawn.Add(time.Hour)}, {Name: "of nobody", Since: dawn}} {
		pause(t, s, l)
	}
	for range 2 {
		if err := s.Outbox.ProbeLanes(noon); err != nil {
			t.Fatal(err)
		}
		late.Until = noon
		if list, err := s.Devices.Lanes(); err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], late) {
			t.Errorf("lanes %+v, %v; want %+v", list, err, late)
		}
		if due := dueNow(t, s, noon); len(due) != len(d) {
			t.Errorf("%d are due for a probe, want %d", len(due), len(d))
		}
	}
}

// probeSooner: whoever waits for the end of a pause waits no longer.
func probeSooner(t *testing.T) {
	t.Parallel()
	s, _, _ := fourPhones(t)
	l := Lane{Name: "fcm", Since: dawn, Until: dawn.Add(time.Minute)}
	for _, c := range []struct {
		wait time.Duration
		want bool
	}{{time.Minute, false}, {time.Hour, false}, {time.Second, true}} {
		l.Until = dawn.Add(c.wait)
		pause(t, s, l)
		told := false
		select {
		case <-s.Outbox.Changed():
			told = true
		default:
		}
		if told != c.want {
			t.Errorf("a pause of %v: told %v", c.wait, told)
		}
	}
}

package registry

import (
	"reflect"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestEvidence(t *testing.T) {
	t.Parallel()
	t.Run("it counts the proven devices of the lane and their users", evidenceCounts)
	t.Run("an outcome accuses a device, pauses the lane or ends the accusation", evidenceSettled)
	t.Run("an accusation is no pause", evidenceNoPause)
	t.Run("an accepted push beside the queue ends a pause, and its device is due", evidenceProved)
	t.Run("the last proof of a lane is that of its other proven devices", evidenceLastProof)
	t.Run("a device stays suspect over a restart", evidenceRestart)
	t.Run("an answer to an address that has changed accuses nobody", evidenceOtherAddress)
}

// rowOf returns the row of a lane, which need not be paused.
func rowOf(t *testing.T, s *Store, name string) (l Lane) {
	t.Helper()
	if err := s.db.View(func(tx *table.Tx) (err error) {
		l, err = getLane(tx, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// stand gives the device a state.
func stand(t *testing.T, s *Store, d idlepush.Device, state idlepush.State, proof time.Time) {
	t.Helper()
	d, err := s.Devices.Get(d.ID)
	if err != nil {
		t.Fatal(err)
	}
	d.Status = idlepush.Status{State: state, Proof: proof}
	if _, err := s.Devices.Update(d, dawn); err != nil {
		t.Fatal(err)
	}
}

func evidenceCounts(t *testing.T) {
	t.Parallel()
	s, _, d := fourPhones(t)
	ben := someone(t, s, "ben")
	d = append(d, phone(t, s, ben, "five"), browser(t, s, ben, "six", "https://push.example"))
	for _, one := range d {
		stand(t, s, one, idlepush.StateUnproven, time.Time{})
	}
	is := func(when string, device int, want Evidence) {
		t.Helper()
		if got, err := s.Outbox.Evidence("fcm", d[device].ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", when, got, err, want)
		}
	}
	is("nothing is proven", 0, Evidence{Users: 2})
	stand(t, s, d[5], idlepush.StateProven, dawn)
	is("a device of another lane is proven", 0, Evidence{Users: 2})
	stand(t, s, d[0], idlepush.StateProven, dawn)
	is("one is proven, beside some of another user", 0, Evidence{IsProven: true, Proven: 1, Users: 2})
	is("another is", 1, Evidence{Proven: 1, Users: 2})
	stand(t, s, d[1], idlepush.StateProven, dawn)
	stand(t, s, d[4], idlepush.StateProven, dawn)
	stand(t, s, d[2], idlepush.StateSuspect, dawn)
	is("three are, of two users", 4, Evidence{IsProven: true, Proven: 3, Users: 2})
	accused := Lane{Name: "fcm", Since: dawn, Accused: d[4].ID}
	pause(t, s, accused)
	is("one is accused", 0, Evidence{Lane: accused, AccusedUser: ben.ID, IsProven: true, Proven: 3, Users: 2})
	stand(t, s, d[4], idlepush.StateSuspect, dawn)
	was := accused
	was.Accused = ""
	is("it is suspect now", 0, Evidence{Lane: was, IsProven: true, Proven: 2, Users: 2})
	removed, err := s.Devices.Get(d[4].ID)
	if err == nil {
		err = s.Devices.Remove(removed, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	is("it is removed", 0, Evidence{Lane: was, IsProven: true, Proven: 2, Users: 1})
}

// Of two proven devices the first is accused before, if any is. The outcome is that of the second,
// written at noon.
func evidenceSettled(t *testing.T) {
	t.Parallel()
	fault := because("bad_key", "host")
	accuses := Outcome{Result: ResultMisconfigured, Accuses: true, At: noon.Add(time.Minute), Reason: fault}
	confirms := Outcome{Result: ResultMisconfigured, Accuses: true, PauseFor: time.Minute, Reason: fault}
	outage := Outcome{Result: ResultRetry, PauseFor: time.Second, Reason: because("busy", "host")}
	accepted := Outcome{Result: ResultDelivered, LaneWorks: true}
	gone := Outcome{Result: ResultGone, LaneWorks: true}
	before := Lane{Name: "fcm", Since: dawn, Reason: because("first", "host")}
	with := func(l Lane, accused string, refused int, until time.Time) Lane {
		l.Accused, l.Refused, l.Until = accused, refused, until
		return l
	}
	now := func(r idlepush.Reason) Lane { return Lane{Name: "fcm", Since: noon, Reason: r} }
	const one, two = "one", "two"
	for _, c := range []struct {
		name    string
		before  Lane // with the name of the accused device
		o       Outcome
		after   Lane
		suspect bool // the first device
		hastens bool // the first device, which was due later
	}{
		{"the first complaint", Lane{}, accuses, with(now(fault), two, 0, time.Time{}), false, false},
		{"a complaint that takes the place of another", with(before, one, 0, time.Time{}), accuses, with(now(fault), two, 0, time.Time{}), false, false},
		{"it is confirmed", with(before, one, 0, time.Time{}), confirms, with(now(fault), "", 1, noon.Add(time.Minute)), false, true},
		{"another is accepted", with(before, one, 0, time.Time{}), accepted, Lane{}, true, false},
		{"the accused is accepted", with(before, two, 0, time.Time{}), accepted, Lane{}, false, false},
		{"another is gone", with(before, one, 0, time.Time{}), gone, with(before, one, 0, time.Time{}), false, false},
		{"an outage", with(before, one, 0, time.Time{}), outage, with(now(outage.Reason), "", 0, noon.Add(time.Second)), false, true},
		{"the first complaint in a pause", with(before, "", 2, noon), accuses, with(before, two, 2, noon), false, false},
		{"it is confirmed in a pause", with(before, one, 2, noon), confirms, with(Lane{Name: "fcm", Since: dawn, Reason: fault}, "", 3, noon.Add(time.Minute)), false, true},
		{"another is accepted in a pause", with(before, one, 2, noon), accepted, Lane{}, false, true},
		{"another is gone in a pause", with(before, one, 2, noon), gone, Lane{}, false, true},
		{"the accused is accepted in a pause", with(before, two, 2, noon), accepted, Lane{}, false, false},
		{"an outage in a pause", with(before, "", 2, noon), outage, with(Lane{Name: "fcm", Since: dawn, Reason: outage.Reason}, "", 0, noon.Add(time.Second)), false, false},
		{"a device that is gone is accused", with(before, "nobody", 0, time.Time{}), accepted, Lane{}, false, false},
	} {
		s, a, d := fourPhones(t)
		ids := map[string]string{"": "", one: d[0].ID, two: d[1].ID, "nobody": "nobody"}
		stand(t, s, d[0], idlepush.StateProven, dawn)
		stand(t, s, d[1], idlepush.StateProven, dawn)
		arrive(t, s, a, 1, dawn)
		end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultMisconfigured, At: noon.Add(time.Hour), Reason: fault}, dawn)
		c.before.Accused, c.after.Accused = ids[c.before.Accused], ids[c.after.Accused]
		if c.before.Name != "" {
			pause(t, s, c.before)
		}
		changed, err := s.Outbox.Settle(first(t, s, d[1], noon), c.o, noon)
		if got := rowOf(t, s, "fcm"); err != nil || !reflect.DeepEqual(got, c.after) || changed != (c.before.IsPaused() != c.after.IsPaused() || !c.before.Until.Equal(c.after.Until)) {
			t.Errorf("%s: the lane is %+v, changed %v, %v; want %+v", c.name, got, changed, err, c.after)
		}
		is, err := s.Devices.Get(d[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		want := idlepush.Status{State: idlepush.StateProven, Since: dawn, Reason: fault, Proof: dawn}
		if c.suspect {
			want = idlepush.Status{State: idlepush.StateSuspect, Since: noon, Reason: DeviceRefused, Proof: dawn}
		}
		if !reflect.DeepEqual(is.Status, want) || is.Due.Equal(noon) != c.hastens {
			t.Errorf("%s: the first is %+v, due at %v; want %+v, due now %v", c.name, is.Status, is.Due, want, c.hastens)
		}
	}
}

func evidenceNoPause(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	pause(t, s, Lane{Name: "fcm", Since: dawn, Accused: d[0].ID})
	if list, err := s.Devices.Lanes(); err != nil || len(list) != 0 {
		t.Errorf("paused are %+v, %v", list, err)
	}
	list, err := s.Outbox.Due(dawn, room(10), nil)
	if err != nil || len(list) != len(d) || list[0].Probe {
		t.Errorf("due are %+v, %v; want all, and no probe", list, err)
	}
	was := rowOf(t, s, "fcm")
	if err := s.Outbox.ProbeLanes(noon); err != nil || !reflect.DeepEqual(rowOf(t, s, "fcm"), was) {
		t.Errorf("after a start it is %+v, %v; want %+v", rowOf(t, s, "fcm"), err, was)
	}
}

func evidenceProved(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	for _, one := range d {
		end(t, s, first(t, s, one, dawn), Outcome{Result: ResultRetry, At: noon.Add(time.Hour)}, dawn)
	}
	newcomer := idlepush.Device{User: a.Owner, Lane: "fcm"}
	for _, c := range []struct {
		name   string
		device idlepush.Device
		lane   Lane
		want   bool // the lane changes
		due    int
	}{
		{"a new device, no pause", newcomer, Lane{}, false, 0},
		{"a new device", newcomer, Lane{Name: "fcm", Since: dawn, Until: noon.Add(time.Hour)}, true, 0},
		{"a device of another lane", idlepush.Device{User: a.Owner, Lane: "apns production"}, Lane{Name: "fcm", Since: dawn, Until: noon.Add(time.Hour)}, false, 0},
		{"the first", d[0], Lane{Name: "fcm", Since: dawn, Until: noon.Add(time.Hour)}, true, 1},
		{"the second, no pause", d[1], Lane{}, false, 2},
		{"one that was removed meanwhile", idlepush.Device{ID: "nobody", User: a.Owner, Lane: "fcm"}, Lane{Name: "fcm", Since: dawn, Until: noon.Add(time.Hour)}, true, 2},
	} {
		resume(t, s, "fcm")
		if c.lane.Name != "" {
			pause(t, s, c.lane)
		}
		changed, err := s.Outbox.Proved(c.device, noon)
		if err != nil || changed != c.want || laneOf(t, s, "fcm").IsPaused() != (c.lane.IsPaused() && !c.want) {
			t.Errorf("%s: changed %v, %v; the lane is %+v", c.name, changed, err, laneOf(t, s, "fcm"))
		}
		resume(t, s, "fcm")
		if n := len(dueNow(t, s, noon)); n != c.due {
			t.Errorf("%s: %d are due, want %d", c.name, n, c.due)
		}
	}
}

func evidenceLastProof(t *testing.T) {
	t.Parallel()
	s, _, d := fourPhones(t)
	is := func(when, but string, want time.Time) {
		t.Helper()
		if got, err := s.Devices.LastProof("fcm", but); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", when, got, err, want)
		}
	}
	is("none is proven", "", time.Time{})
	stand(t, s, d[0], idlepush.StateProven, dawn)
	stand(t, s, d[1], idlepush.StateProven, noon)
	stand(t, s, d[2], idlepush.StateSuspect, noon.Add(time.Hour))
	is("two are", "", noon)
	is("but for the first", d[0].ID, noon)
	is("but for the second", d[1].ID, dawn)
	if got, err := s.Devices.LastProof("apns production", ""); err != nil || !got.IsZero() {
		t.Errorf("of another lane: %v, %v", got, err)
	}
}

func evidenceOtherAddress(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	stand(t, s, d[0], idlepush.StateProven, dawn)
	stand(t, s, d[1], idlepush.StateProven, dawn)
	arrive(t, s, a, 1, dawn)
	w := first(t, s, d[0], dawn)
	moved, err := s.Devices.Get(d[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	moved.Address = "another"
	if _, err := s.Devices.Update(moved, dawn); err != nil {
		t.Fatal(err)
	}
	end(t, s, w, Outcome{Result: ResultMisconfigured, Accuses: true, At: noon, Reason: because("bad_key", "host")}, dawn)
	if l := rowOf(t, s, "fcm"); l.Accused != "" {
		t.Errorf("the lane is %+v", l)
	}
}

func evidenceRestart(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	stand(t, s, d[0], idlepush.StateProven, dawn)
	stand(t, s, d[1], idlepush.StateProven, dawn)
	arrive(t, s, a, 1, dawn)
	fault := because("bad_key", "host")
	end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultMisconfigured, Accuses: true, At: noon, Reason: fault}, dawn)
	reopen(t, s)
	if ev, err := s.Outbox.Evidence("fcm", d[1].ID); err != nil || ev.Lane.Accused != d[0].ID || ev.AccusedUser != a.Owner {
		t.Errorf("after a restart the evidence is %+v, %v", ev, err)
	}
	end(t, s, first(t, s, d[1], dawn), Outcome{Result: ResultDelivered, LaneWorks: true}, dawn)
	reopen(t, s)
	end(t, s, first(t, s, d[0], noon), Outcome{Result: ResultMisconfigured, At: noon.Add(time.Hour), Reason: fault}, noon)
	reopen(t, s)
	if is := statusOf(t, s, d[0]); is.State != idlepush.StateSuspect || is.Code != DeviceRefused.Code || !is.Since.Equal(dawn) {
		t.Errorf("after another its status is %+v", is)
	}
}

package registry

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/registry/testenv"
)

func TestDue(t *testing.T) {
	t.Parallel()
	t.Run("due queues follow behind those that are busy or paused", dueBehindBusy)
	t.Run("a paused lane lets nothing out, and then one", dueOfPausedLane)
	t.Run("a subqueue that begins elsewhere than its queue says goes on", wrongHead)
}

// waitingDevice is a queue and when it is due, whatever its lane says.
type waitingDevice struct {
	device, lane string
	due          time.Time
}

// wantDue is what Due is to return, by a look at each device.
func wantDue(list []waitingDevice, paused map[string]Lane, now time.Time, limit, perLane int, busy map[string]string) (want []Queue, next time.Time) {
	inFlight, lanes := make(map[string]int), make(map[string][]waitingDevice)
	for _, lane := range busy {
		inFlight[lane]++
	}
	inOrder := func(a, b waitingDevice) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.device, b.device))
	}
	for _, w := range slices.SortedFunc(slices.Values(list), inOrder) {
		if _, isBusy := busy[w.device]; !isBusy {
			lanes[w.lane] = append(lanes[w.lane], w)
		}
	}
	var found []waitingDevice
	for lane, list := range lanes {
		switch p, isPaused := paused[lane]; {
		case !isPaused:
			list = list[:min(len(list), max(0, perLane-inFlight[lane]))]
		case now.Before(p.Until):
			for i := range list {
				list[i].due = time.Unix(0, max(list[i].due.UnixNano(), p.Until.UnixNano()))
			}
		case inFlight[lane] > 0:
			list = nil
		}
		found = append(found, list...)
	}
	for _, w := range slices.SortedFunc(slices.Values(found), inOrder) {
		if w.due.After(now) {
			return want, w.due
		}
		if len(want) == limit {
			return want, now
		}
		_, probe := paused[w.lane]
		want = append(want, Queue{Device: w.device, Lane: w.lane, Probe: probe})
	}
	return want, time.Time{}
}

// dueBehindBusy, however many devices and lanes are: what it gives, and when
// the next will be due, is what a look at each device gives.
func dueBehindBusy(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	random := testenv.Rand(t)
	var list []waitingDevice
	for i := range 60 {
		lane := []string{"fcm", "apns production", "apns sandbox"}[min(i%5, 2)]
		d := phone(t, s, ann, lane+string(rune('A'+i)))
		w := waitingDevice{d.ID, lane, dawn.Add(time.Duration(random.IntN(30)) * time.Minute)}
		err := s.db.Update(func(tx *table.Tx) error {
			return queues.Put(tx, id(d.ID), queueRow{Due: w.due, Lane: lane})
		})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b waitingDevice) int { return a.due.Compare(b.due) })
	paused := make(map[string]Lane)
	for range testenv.Tenth(2000) {
		now, limit, perLane := dawn.Add(time.Duration(random.IntN(32)-1)*time.Minute), random.IntN(6), 1+random.IntN(40)
		busy := make(map[string]string)
		// The first ones, as those that are sent to.
		for _, w := range list[:random.IntN(len(list))*random.IntN(2)] {
			if random.IntN(8) > 0 {
				busy[w.device] = w.lane
			}
		}
		switch name := []string{"fcm", "apns sandbox"}[random.IntN(2)]; random.IntN(4) {
		case 0:
			paused[name] = Lane{Name: name, Since: dawn, Until: dawn.Add(time.Duration(random.IntN(32)) * time.Minute)}
			pause(t, s, paused[name])
		case 1:
			delete(paused, name)
			resume(t, s, name)
		}
		want, next := wantDue(list, paused, now, limit, perLane, busy)
		got, at, err := s.Outbox.Due(now, limit, perLane, busy)
		undescribed(got)
		if err != nil || !slices.Equal(got, want) || !at.Equal(next) {
			t.Fatalf("%d of %d are busy, %v paused, at most %d: %v, then %v, %v; want %v, then %v", len(busy), len(list), paused, limit, got, at, err, want, next)
		}
	}
	if err := s.Users.Remove(ann.ID, dawn); err != nil { // the rows are none that the store has written
		t.Fatal(err)
	}
}

// dueOfPausedLane: at its end all that are due are candidates for the probe, and
// there are none while it is on its way.
func dueOfPausedLane(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	other := browser(t, s, idlepush.User{ID: a.Owner}, "other", "https://push.example")
	arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d[3], dawn), Outcome{Result: ResultRetry, At: dawn.Add(time.Hour)}, dawn)
	const repair = 15 * time.Minute
	pause(t, s, Lane{Name: "fcm", Since: dawn, Until: dawn.Add(repair)})
	for _, c := range []struct {
		wait   time.Duration
		busy   map[string]string
		probes int
		next   time.Duration // 0: none
	}{
		{0, nil, 0, repair},
		{repair - 1, nil, 0, repair},
		{repair - 1, map[string]string{d[0].ID: "fcm"}, 0, repair},
		{repair, nil, 3, time.Hour},
		{repair, map[string]string{other.ID: other.Lane}, 3, time.Hour},
		{repair, map[string]string{d[0].ID: "fcm"}, 0, 0},
		{repair, map[string]string{"one that is gone": "fcm"}, 0, 0},
		{time.Hour, nil, 4, 0},
	} {
		list, next, err := s.Outbox.Due(dawn.Add(c.wait), 10, 10, c.busy)
		list = slices.DeleteFunc(list, func(q Queue) bool { return q == Queue{Device: other.ID, Lane: other.Lane} })
		want := time.Time{}
		if c.next > 0 {
			want = dawn.Add(c.next)
		}
		if err != nil || len(list) != c.probes || !next.Equal(want) {
			t.Errorf("%v into the pause, busy %v: %v, then %v, %v; want %d, then %v", c.wait, c.busy, list, next, err, c.probes, want)
		}
		for _, q := range list {
			if !q.Probe || q.Lane != "fcm" {
				t.Errorf("%v into the pause: %+v is no probe", c.wait, q)
			}
		}
	}
}

// wrongHead: a row that is damaged, and can be read all the
// same, must not keep the dispatcher busy.
func wrongHead(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 2, dawn)
	err := s.db.Update(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, id(d[0].ID))
		if err != nil {
			return err
		}
		l := q.Subqueues[a.ID]
		l.Head++
		l.Head++
		q.Subqueues[a.ID] = l
		return queues.Put(tx, id(d[0].ID), q)
	})
	if err != nil {
		t.Fatal(err)
	}
	if w := first(t, s, d[0], dawn); w.Notification.ID != ids[0] {
		t.Errorf("the first is %s", w.Notification.ID)
	}
}

// undescribed removes from the queues what the model does not know of probes.
func undescribed(list []Queue) {
	for i := range list {
		list[i] = Queue{Device: list[i].Device, Lane: list[i].Lane, Probe: list[i].Probe}
	}
}

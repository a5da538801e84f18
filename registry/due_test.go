package registry

import (
	"cmp"
	"errors"
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
	t.Run("each user has room in each lane, and slow devices apart", dueOfGroups)
	t.Run("a device is slow until it answers or has another address", dueSlow)
	t.Run("a paused lane lets nothing out, and then one", dueOfPausedLane)
	t.Run("a subqueue that begins elsewhere than its queue says goes on", wrongHead)
}

// wantDue is what Due is to return of the queues, by a look at each. Those of a paused lane are no
// probes yet.
func wantDue(list []Queue, paused map[string]Lane, now time.Time, room func(Queue) int, busy map[string]Queue) (want []Queue) {
	inOrder := func(a, b Queue) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Lane, b.Lane))
	}
	taken := make(map[Queue]int)
	for _, q := range slices.SortedFunc(slices.Values(list), inOrder) {
		p, isPaused := paused[q.Lane]
		example := Queue{User: q.User, Lane: q.Lane, Slow: q.Slow, Probe: isPaused}
		q.Probe = isPaused
		if now.Before(p.Until) {
			example = Queue{Lane: q.Lane, Probe: true, Due: p.Until}
			if q = example; taken[example] > 0 {
				continue
			}
		} else if _, isBusy := busy[q.Device]; isBusy || taken[example] >= room(example) {
			continue
		}
		taken[example]++
		want = append(want, q)
	}
	slices.SortFunc(want, inOrder)
	return want
}

// sameQueue compares two queues without what Due tells of probes. Their due times may be of
// different locations.
func sameQueue(a, b Queue) bool {
	same := a.Due.Equal(b.Due)
	for _, q := range []*Queue{&a, &b} {
		q.Due, q.Proven, q.Accused, q.AccusedUser = time.Time{}, false, "", ""
	}
	return same && a == b
}

// room returns a function that always returns n.
func room(n int) func(Queue) int { return func(Queue) int { return n } }

// dueBehindBusy, however many devices and lanes are: what it gives, and when
// the next will be due, is what a look at each device gives.
func dueBehindBusy(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	random := testenv.Rand(t)
	var list []Queue
	for i := range 60 {
		lane := []string{"fcm", "apns production", "apns sandbox"}[min(i%5, 2)]
		d := phone(t, s, ann, lane+string(rune('A'+i)))
		q := Queue{Device: d.ID, User: []string{"ann", "ben", "cyd"}[random.IntN(3)], Lane: lane, Slow: random.IntN(4) == 0,
			Due: dawn.Add(time.Duration(random.IntN(30)) * time.Minute)}
		putQueue(t, s, q, nil)
		list = append(list, q)
	}
	paused := make(map[string]Lane)
	for range testenv.Tenth(2000) {
		// One moves, and a commit that would move another fails.
		moved := &list[random.IntN(len(list))]
		moved.Due, moved.Slow, moved.Lane = moved.Due.Add(time.Duration(random.IntN(5)-2)*time.Minute), random.IntN(4) == 0, list[random.IntN(len(list))].Lane
		putQueue(t, s, *moved, nil)
		putQueue(t, s, Queue{Device: list[0].Device, User: "dan", Lane: "fcm", Due: dawn}, errors.New("no"))
		slices.SortFunc(list, func(a, b Queue) int { return a.Due.Compare(b.Due) })
		now, rooms := dawn.Add(time.Duration(random.IntN(32)-1)*time.Minute), [4]int{random.IntN(6), random.IntN(40), random.IntN(3), 1}
		room := func(q Queue) int { return rooms[(len(q.User+q.Lane)+map[bool]int{true: 1}[q.Slow])%len(rooms)] }
		busy := make(map[string]Queue)
		// The first ones, as those that are sent to.
		for _, q := range list[:random.IntN(len(list))*random.IntN(2)] {
			if random.IntN(8) > 0 {
				busy[q.Device] = q
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
		got, err := s.Outbox.Due(now, room, busy)
		if want := wantDue(list, paused, now, room, busy); err != nil || !slices.EqualFunc(got, want, sameQueue) {
			t.Fatalf("%d of %d are busy, %v paused, room %v: %v, %v; want %v", len(busy), len(list), paused, rooms, got, err, want)
		}
	}
	// The rows are none that the store has written.
	if err := s.Users.Remove(ann.ID, dawn); err != nil {
		t.Fatal(err)
	}
}

// putQueue writes the row of a queue, and fails the test unless that ends with the error.
func putQueue(t *testing.T, s *Store, q Queue, with error) {
	t.Helper()
	err := s.db.Update(func(tx *table.Tx) error {
		return cmp.Or(queues.Put(tx, id(q.Device), queueRow{Due: q.Due, User: id(q.User), Lane: q.Lane, Slow: q.Slow}), with)
	})
	if !errors.Is(err, with) {
		t.Fatal(err)
	}
}

// dueOfPausedLane: at its end all that are due are candidates for the probe. What is due later in
// it is not known before.
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
		room   int
		probes int
		next   time.Duration // 0: none
	}{
		{0, 10, 0, repair},
		{0, 0, 0, repair},
		{repair - 1, 10, 0, repair},
		{repair, 10, 3, time.Hour},
		{repair, 2, 2, 0},
		{repair, 0, 0, 0},
		{time.Hour, 10, 4, 0},
	} {
		now := dawn.Add(c.wait)
		list, err := s.Outbox.Due(now, room(c.room), nil)
		var probes int
		var next time.Time
		for _, q := range list {
			switch {
			case q.Device == other.ID:
				if q.Probe {
					t.Errorf("%v into the pause: %+v is a probe", c.wait, q)
				}
			case q.Lane != "fcm" || !q.Probe:
				t.Errorf("%v into the pause: %+v is no probe", c.wait, q)
			case q.Due.After(now):
				next = q.Due
			default:
				probes++
			}
		}
		want := time.Time{}
		if c.next > 0 {
			want = dawn.Add(c.next)
		}
		if err != nil || probes != c.probes || !next.Equal(want) {
			t.Errorf("%v into the pause, room for %d: %v, %v; want %d, then %v", c.wait, c.room, list, err, c.probes, want)
		}
	}
}

// Those of a user with many do not hide those of another.
func dueOfGroups(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	mails := map[string]idlepush.Account{ann.ID: mailbox(t, s, ann, "ann@example.org"), ben.ID: mailbox(t, s, ben, "ben@example.org")}
	phones(t, s, ben, 100)
	arrive(t, s, mails[ben.ID], 1, dawn)
	late := dawn.Add(time.Minute)
	mine, hers := phone(t, s, ben, "slow"), phone(t, s, ann, "phone")
	arrive(t, s, mails[ben.ID], 1, late)
	arrive(t, s, mails[ann.ID], 1, late)
	end(t, s, first(t, s, mine, late), Outcome{Result: ResultRetry, Slow: true}, late)
	list, err := s.Outbox.Due(late, func(q Queue) int {
		if q.User == ben.ID && !q.Slow {
			return 3
		}
		return 1
	}, nil)
	slow, other := Queue{Device: mine.ID, User: ben.ID, Lane: "fcm", Slow: true, Due: late}, Queue{Device: hers.ID, User: ann.ID, Lane: "fcm", Due: late}
	has := func(want Queue) bool {
		return slices.ContainsFunc(list, func(q Queue) bool { return sameQueue(q, want) })
	}
	if err != nil || len(list) != 5 || !has(slow) || !has(other) {
		t.Errorf("due %+v, %v", list, err)
	}
	if err := s.Outbox.HastenDue(dawn); err != nil {
		t.Fatal(err)
	}
	list, err = s.Outbox.Due(dawn, room(100), nil)
	if err != nil || len(list) != 102 || list[101].Due.After(dawn) {
		t.Errorf("%d are due when the clock was set back, %v", len(list), err)
	}
}

func dueSlow(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	slow := Outcome{Result: ResultRetry, Slow: true}
	isSlow := func(want bool) {
		t.Helper()
		reopen(t, s)
		list, err := s.Outbox.Due(dawn, room(10), nil)
		i := slices.IndexFunc(list, func(q Queue) bool { return q.Device == d[0].ID })
		if err != nil || i < 0 || list[i].Slow != want {
			t.Errorf("slow should be %v: %+v, %v", want, list, err)
		}
	}
	arrive(t, s, a, 9, dawn)
	for _, o := range []Outcome{{Result: ResultDelivered}, {Result: ResultRetry}, {Result: ResultRefused}, {Result: ResultMisconfigured}} {
		end(t, s, first(t, s, d[0], dawn), slow, dawn)
		isSlow(true)
		end(t, s, first(t, s, d[0], dawn), o, dawn)
		isSlow(false)
	}
	end(t, s, first(t, s, d[0], dawn), slow, dawn)
	again, _, err := s.Devices.Register(d[0], "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	isSlow(true)
	again.Address = "another"
	if _, err := s.Devices.Update(again, dawn); err != nil {
		t.Fatal(err)
	}
	isSlow(false)
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

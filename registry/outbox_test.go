package registry

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

func TestOutbox(t *testing.T) {
	t.Parallel()
	t.Run("Due returns the longest due first, without the busy", dueLongestFirst)
	t.Run("a queue without work has no next", nextOfEmpty)
	t.Run("delivered and refused end the delivery, and the next is due at once", settleEnds)
	t.Run("retry and misconfigured keep the delivery until their time", settleKeeps)
	t.Run("no service can put a queue off for ever", retryAtMost)
	t.Run("Next drops a bounded number in each transaction", nextDropsBounded)
	t.Run("Next drops deliveries that are not to be sent any more, with the reason", nextDropsWithReason)
	t.Run("a subqueue that begins with nothing is repaired", headOfNothing)
	t.Run("gone removes the device and notifies the owner's others once", goneRemoves)
	t.Run("the last device that is gone is still reported on the page", lastGone)
	t.Run("gone does not count for an address that has changed since", goneOfFormer)
	t.Run("an outcome of a delivery that has ended changes nothing", outcomeOfEnded)
	t.Run("a device is suspect only for its own failures, and proven by its next push", suspectOrProven)
	t.Run("the environment that a push has shown stays with the device", learnEnvironment)
	t.Run("an edit does not lose an environment that a push has shown meanwhile", editKeepsLearned)
	t.Run("an outcome is one transaction and writes no notification", settleIsOneCommit)
}

// fourPhones is a household of one mailbox and four phones.
func fourPhones(t *testing.T) (*Store, idlepush.Account, []idlepush.Device) {
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	var list []idlepush.Device
	for _, name := range []string{"one", "two", "three", "four"} {
		list = append(list, phone(t, s, ann, name))
	}
	return s, a, list
}

func dueLongestFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	var d []idlepush.Device
	for i, origin := range []string{"https://one.example", "https://two.example", "https://two.example", "https://three.example"} {
		d = append(d, browser(t, s, ann, string(rune('a'+i)), origin))
	}
	arrive(t, s, a, 1, dawn)
	// In the order in which they are due: 2, 0, 3, 1.
	for i, minutes := range map[int]int{2: 0, 0: 1, 3: 2, 1: 3} {
		end(t, s, first(t, s, d[i], dawn), Outcome{Result: ResultRetry, At: dawn.Add(time.Duration(minutes) * time.Minute)}, dawn)
	}
	for _, c := range []struct {
		name string
		room int
		busy []int
		want []int
	}{
		{"all", 10, nil, []int{2, 0, 3, 1}},
		{"as many in a lane as there is room for", 1, nil, []int{2, 0, 3}},
		{"no room", 0, nil, nil},
		{"a busy device", 10, []int{2}, []int{0, 3, 1}},
		{"a busy device does not count", 1, []int{2}, []int{0, 3, 1}},
		{"all busy", 10, []int{0, 1, 2, 3}, nil},
	} {
		busy := make(map[string]Queue)
		for _, i := range c.busy {
			busy[d[i].ID] = Queue{Device: d[i].ID, Lane: d[i].Lane}
		}
		list, err := s.Outbox.Due(dawn, room(c.room), busy)
		var want []Queue
		for _, i := range c.want {
			want = append(want, Queue{Device: d[i].ID, User: ann.ID, Lane: d[i].Lane, Due: dawn.Add([]time.Duration{2: 0, 0: 1, 3: 2, 1: 3}[i] * time.Minute)})
		}
		if err != nil || !slices.EqualFunc(list, want, sameQueue) {
			t.Errorf("%s: %v, %v; want %v", c.name, list, err, want)
		}
	}
}

func nextOfEmpty(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	if w, ok, err := s.Outbox.Next(d[0].ID, dawn); ok || err != nil {
		t.Errorf("a new device has work %+v, %v", w.Notification.ID, err)
	}
	arrive(t, s, a, 1, dawn)
	drain(t, s, d[0], dawn)
	if _, ok, err := s.Outbox.Next(d[0].ID, dawn); ok || err != nil {
		t.Errorf("a drained queue has work, %v", err)
	}
	if _, _, err := s.Outbox.Next("no such device", dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("a device that is not there: %v", err)
	}
}

func settleEnds(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 2, dawn)
	now := dawn.Add(time.Second)

	end(t, s, first(t, s, d[0], now), Outcome{Result: ResultDelivered}, now)
	end(t, s, first(t, s, d[1], now), Outcome{Result: ResultRefused, Reason: because("too_big", "It is too big.")}, now)
	for i, want := range []idlepush.Delivery{
		{Device: d[0].ID, State: idlepush.DeliveryDelivered, At: now, Attempts: 1},
		{Device: d[1].ID, State: idlepush.DeliveryRefused, At: now, Attempts: 1, Reason: because("too_big", "It is too big.")},
		{Device: d[2].ID, State: idlepush.DeliveryPending},
	} {
		if got := deliveryOf(t, s, idlepush.User{ID: a.Owner}, ids[0], d[i], now); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		if i < 2 && first(t, s, d[i], now).Notification.ID != ids[1] {
			t.Errorf("%s is not at its second mail", d[i].Name)
		}
		if !dueNow(t, s, now)[d[i].ID] {
			t.Errorf("%s has more work, but is not due", d[i].Name)
		}
	}
	end(t, s, first(t, s, d[0], now), Outcome{Result: ResultDelivered}, now)
	end(t, s, first(t, s, d[1], now), Outcome{Result: ResultRefused}, now)
	if due := dueNow(t, s, now); due[d[0].ID] || due[d[1].ID] || !due[d[2].ID] {
		t.Errorf("due without work: %v", due)
	}
}

func settleKeeps(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 1, dawn)
	later := dawn.Add(5 * time.Minute)
	for i, result := range []Result{ResultRetry, ResultMisconfigured} {
		end(t, s, first(t, s, d[i], dawn), Outcome{Result: result, At: later, Reason: because("busy", "The service is busy.")}, dawn)
		want := idlepush.Delivery{Device: d[i].ID, State: idlepush.DeliveryPending, At: dawn, Attempts: 1, Reason: because("busy", "The service is busy.")}
		if got := deliveryOf(t, s, idlepush.User{ID: a.Owner}, ids[0], d[i], dawn); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		if statusOf(t, s, d[i]).State != idlepush.StateProven {
			t.Errorf("%s changed the device's status", result)
		}
	}
	arrive(t, s, a, 1, dawn.Add(time.Minute))
	if due := dueNow(t, s, later.Add(-1)); due[d[0].ID] || due[d[1].ID] {
		t.Error("due before its time, woken by the next mail")
	}
	due := dueNow(t, s, later)
	for i := range 2 {
		w := first(t, s, d[i], later)
		if !due[d[i].ID] || w.Notification.ID != ids[0] || w.Attempts != 1 {
			t.Errorf("due %v, attempts %d", due[d[i].ID], w.Attempts)
		}
	}
	// A time that has passed, or none, means at once.
	end(t, s, first(t, s, d[0], later), Outcome{Result: ResultRetry}, later)
	if !dueNow(t, s, later)[d[0].ID] {
		t.Error("not due at once")
	}
}

// A push service may ask for any time in Retry-After.
func retryAtMost(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	arrive(t, s, a, 2, dawn)
	for i, at := range []time.Time{
		dawn.AddDate(300, 0, 0),  // past what 64 bits of nanoseconds hold
		dawn.AddDate(9000, 0, 0), // past what JSON holds
		time.Unix(math.MaxInt64>>10, 0),
	} {
		end(t, s, first(t, s, d[i], dawn), Outcome{Result: ResultRetry, At: at}, dawn)
		if dueNow(t, s, dawn.Add(72*time.Hour-1))[d[i].ID] {
			t.Errorf("asked for %v, is due before", at)
		}
		if !dueNow(t, s, dawn.Add(72*time.Hour))[d[i].ID] {
			t.Errorf("asked for %v, is not due when the mail expires and makes way for the next", at)
		}
	}
}

// New mail must not wait until all that a phone has missed for days is dropped.
func nextDropsBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	for range 3 {
		arrive(t, s, a, MaxMails, dawn)
	}
	fresh := arrive(t, s, a, 1, dawn.Add(72*time.Hour))
	before := commits(s)
	if w := first(t, s, d, dawn.Add(72*time.Hour)); w.Notification.ID != fresh[0] {
		t.Errorf("the first is %s", w.Notification.ID)
	}
	if n := commits(s) - before; n != 3*MaxMails/maxDropped && boundGiven() == 0 {
		t.Errorf("%d were dropped in %d transactions", 3*MaxMails, n)
	}
}

func nextDropsWithReason(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ann := idlepush.User{ID: a.Owner}
	b := mailbox(t, s, ann, "other@example.org")
	var old []string
	for _, n := range []int{MaxMails, MaxMails, 1} {
		old = append(old, arrive(t, s, a, n, dawn.Add(-72*time.Hour))...)
	}
	gone := arrive(t, s, b, 2, dawn.Add(-time.Hour))
	fresh := arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d[0], dawn.Add(-time.Hour)), Outcome{Result: ResultRetry, Reason: because("busy", "Busy.")}, dawn.Add(-time.Hour))
	b.Enabled = false // watched no more, but still to be told of
	if _, err := s.Accounts.Update(b, dawn); err != nil {
		t.Fatal(err)
	}
	d[1].Accounts = []string{a.ID}
	if _, err := s.Devices.Update(d[1], dawn); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d[0], dawn); !slices.Equal(got, append(slices.Clone(gone), fresh...)) {
		t.Errorf("sent %v", got)
	}
	if got := drain(t, s, d[1], dawn); !slices.Equal(got, fresh) {
		t.Errorf("sent %v, want none of a mailbox that the phone is not to ring for", got)
	}
	if err := s.Accounts.Remove(b.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d[2], dawn); !slices.Equal(got, fresh) {
		t.Errorf("sent %v, want none of a removed mailbox", got)
	}
	tried := deliveryOf(t, s, ann, old[0], d[0], dawn)
	if want := (idlepush.Delivery{Device: d[0].ID, State: idlepush.DeliveryExpired, At: dawn, Attempts: 1, Reason: because("busy", "Busy.")}); !reflect.DeepEqual(tried, want) {
		t.Errorf("%+v, want %+v", tried, want)
	}
	for _, id := range old[1:] {
		if got := deliveryOf(t, s, ann, id, d[1], dawn); got.State != idlepush.DeliveryExpired || got.Attempts != 0 {
			t.Fatalf("%+v, want it expired", got)
		}
	}
	if due := dueNow(t, s, dawn); due[d[0].ID] || due[d[1].ID] || due[d[2].ID] || !due[d[3].ID] {
		t.Errorf("due without work: %v", due)
	}
}

// Next must not go on for ever.
func headOfNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 2, dawn)
	err := s.db.Update(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, id(d.ID))
		l := q.Subqueues[a.ID]
		l.Head--
		q.Subqueues[a.ID] = l
		return errors.Join(err, queues.Put(tx, id(d.ID), q))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d, dawn); !slices.Equal(got, ids) {
		t.Errorf("sent %v", got)
	}
}

func goneRemoves(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ann, bob := idlepush.User{ID: a.Owner}, someone(t, s, "bob")
	others := phone(t, s, bob, "bob's")
	arrive(t, s, a, 2, dawn)
	<-s.Outbox.Changed()
	w := first(t, s, d[0], dawn)
	gone := Outcome{Result: ResultGone, Reason: because("fcm_unregistered", "The app was removed.")}
	end(t, s, w, gone, dawn)

	if _, err := s.Devices.Get(d[0].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the device is still there: %v", err)
	}
	if _, err := s.Outbox.Settle(w, gone, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("gone again: %v", err)
	}
	for _, other := range d[1:] {
		if !dueNow(t, s, dawn)[other.ID] {
			t.Errorf("%s is not due", other.Name)
		}
		var told []idlepush.Notification
		for range 3 {
			w := first(t, s, other, dawn)
			end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
			if w.Notification.Kind == idlepush.KindAttention {
				told = append(told, w.Notification)
			}
		}
		if len(told) != 1 || !told[0].Reason.Equal(because("device_gone", "The app was removed.").With("device", "one").With(codes.Cause, "fcm_unregistered")) {
			t.Errorf("%s was told %+v", other.Name, told)
		}
	}
	if list := allNotifications(t, s, ann, 50, dawn); list[0].Kind != idlepush.KindAttention || len(list[0].Deliveries) != 3 {
		t.Errorf("the page shows %+v", list[0])
	}
	if dueNow(t, s, dawn)[others.ID] || len(allNotifications(t, s, bob, 50, dawn)) > 0 {
		t.Error("somebody else was told")
	}
}

func lastGone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")
	arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, dawn)
	if list := allNotifications(t, s, ann, 50, dawn); len(list) != 2 || list[0].Code != "device_gone" {
		t.Errorf("the page shows %+v", list)
	}
}

func goneOfFormer(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 1, dawn)
	w := first(t, s, d[0], dawn)
	d[0].Address = "rotated"
	if _, err := s.Devices.Update(d[0], dawn); err != nil {
		t.Fatal(err)
	}
	end(t, s, w, Outcome{Result: ResultGone, Reason: idlepush.Reason{Code: "gone"}}, dawn)
	if w := first(t, s, d[0], dawn); w.Notification.ID != ids[0] || w.Attempts != 1 || !dueNow(t, s, dawn)[d[0].ID] {
		t.Errorf("the mail does not go to the new address: %+v", w)
	}
	if len(allNotifications(t, s, idlepush.User{ID: a.Owner}, 50, dawn)) != 1 {
		t.Error("somebody was told that it is gone")
	}
	// Nor does what is said of the old address say anything of the new one.
	end(t, s, w, Outcome{Result: ResultRetry, Suspect: true, Reason: because("bad", "Bad.")}, dawn)
	if st := statusOf(t, s, d[0]); st.State != idlepush.StateProven || st.Code != "" {
		t.Errorf("status %+v", st)
	}
}

func outcomeOfEnded(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 2, dawn)
	w := first(t, s, d[0], dawn)
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	for _, o := range []Outcome{{Result: ResultDelivered}, {Result: ResultRefused}, {Result: ResultRetry, At: dawn.Add(time.Hour)}, {Result: ResultGone}} {
		end(t, s, w, o, dawn)
	}
	if got := deliveryOf(t, s, idlepush.User{ID: a.Owner}, ids[0], d[0], dawn); got.State != idlepush.DeliveryDelivered || got.Attempts != 1 {
		t.Errorf("%+v", got)
	}
	if !dueNow(t, s, dawn)[d[0].ID] || first(t, s, d[0], dawn).Notification.ID != ids[1] {
		t.Error("the second mail waits")
	}
}

func suspectOrProven(t *testing.T) {
	t.Parallel()
	began := idlepush.Status{State: idlepush.StateProven, Since: dawn.Add(-time.Hour), Proof: dawn.Add(-time.Minute)}
	suspect := idlepush.Status{State: idlepush.StateSuspect, Since: dawn.Add(-time.Hour), Reason: because("bad", "Bad."), Proof: dawn.Add(-2 * time.Hour)}
	unproven := idlepush.Status{State: idlepush.StateUnproven, Since: dawn.Add(-time.Hour)}
	for name, c := range map[string]struct {
		from idlepush.Status
		o    Outcome
		want idlepush.Status
	}{
		"accepted":           {began, Outcome{Result: ResultDelivered}, idlepush.Status{State: idlepush.StateProven, Since: began.Since, Proof: dawn}},
		"first accepted":     {unproven, Outcome{Result: ResultDelivered}, idlepush.Status{State: idlepush.StateProven, Since: dawn, Proof: dawn}},
		"accepted again":     {suspect, Outcome{Result: ResultDelivered}, idlepush.Status{State: idlepush.StateProven, Since: dawn, Proof: dawn}},
		"its fault":          {began, Outcome{Result: ResultRetry, Suspect: true, Reason: because("bad", "Bad.")}, idlepush.Status{State: idlepush.StateSuspect, Since: dawn, Reason: because("bad", "Bad."), Proof: began.Proof}},
		"another fault":      {suspect, Outcome{Result: ResultRetry, Suspect: true, Reason: because("worse", "W.")}, idlepush.Status{State: idlepush.StateSuspect, Since: suspect.Since, Reason: because("worse", "W."), Proof: suspect.Proof}},
		"outage":             {began, Outcome{Result: ResultRetry, Reason: because("busy", "Busy.")}, idlepush.Status{State: idlepush.StateProven, Since: began.Since, Reason: because("busy", "Busy."), Proof: began.Proof}},
		"outage of suspect":  {suspect, Outcome{Result: ResultRetry, Reason: idlepush.Reason{Code: "busy"}}, suspect},
		"outage of unproven": {unproven, Outcome{Result: ResultRetry, Reason: idlepush.Reason{Code: "busy"}}, idlepush.Status{State: idlepush.StateUnproven, Since: unproven.Since, Reason: idlepush.Reason{Code: "busy"}}},
		"our setting":        {began, Outcome{Result: ResultMisconfigured, Reason: idlepush.Reason{Code: "key"}}, idlepush.Status{State: idlepush.StateProven, Since: began.Since, Reason: idlepush.Reason{Code: "key"}, Proof: began.Proof}},
		"the message":        {began, Outcome{Result: ResultRefused, Reason: idlepush.Reason{Code: "big"}}, began},
	} {
		if got := afterOutcome(c.from, c.o, true, dawn); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	s, a, d := fourPhones(t)
	arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultRetry, Suspect: true, Reason: because("bad", "Bad.")}, dawn)
	if st := statusOf(t, s, d[0]); st.State != idlepush.StateSuspect || st.Code != "bad" || !st.Since.Equal(dawn) {
		t.Errorf("status %+v", st)
	}
	end(t, s, first(t, s, d[0], dawn), Outcome{Result: ResultDelivered}, dawn.Add(time.Hour))
	if st := statusOf(t, s, d[0]); st.State != idlepush.StateProven || !st.Reason.Equal(idlepush.Reason{}) || !st.Proof.Equal(dawn.Add(time.Hour)) {
		t.Errorf("status %+v", st)
	}
}

func learnEnvironment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		known string
		o     Outcome
		edit  bool // the app gives another topic while the push is under way
		want  string
	}{
		"production":              {"", Outcome{Result: ResultDelivered, Learned: taught(production)}, false, production},
		"sandbox":                 {"", Outcome{Result: ResultDelivered, Learned: taught(sandbox)}, false, sandbox},
		"not shown":               {"", Outcome{Result: ResultDelivered}, false, ""},
		"not delivered":           {"", Outcome{Result: ResultRetry, Reason: because("down", "Down."), Learned: taught(sandbox)}, false, ""},
		"known":                   {production, Outcome{Result: ResultDelivered, Learned: taught(sandbox)}, false, production},
		"of a former address":     {"", Outcome{Result: ResultDelivered, Learned: taught(sandbox)}, true, ""},
		"suspect in both of them": {"", Outcome{Result: ResultRetry, Suspect: true, Reason: because("bad", "Bad.")}, false, ""},
	} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		a := mailbox(t, s, ann, "ann@example.org")
		d := register(t, s, idlepush.Device{User: ann.ID, Name: "iphone", Transport: APNs, Address: "token", Params: in(c.known), Content: idlepush.LevelSubject})
		arrive(t, s, a, 2, dawn)
		w := first(t, s, d, dawn)
		if c.edit {
			d.Params = with(d.Params, "topic", "org.example.mail")
			if _, err := s.Devices.Update(d, dawn); err != nil {
				t.Fatal(err)
			}
		}
		end(t, s, w, c.o, dawn)
		reopen(t, s)
		now, err := s.Devices.Get(d.ID)
		if err != nil {
			t.Fatal(err)
		}
		if now.Params["environment"] != c.want || now.Address != "token" || !now.Registered.Equal(w.Device.Registered) && !c.edit {
			t.Errorf("%s: it is %+v", name, now)
		}
		list, err := s.Outbox.Due(dawn.AddDate(0, 0, 7), room(1), nil)
		if err != nil || len(list) != 1 || list[0].Lane != now.Lane {
			t.Errorf("%s: what waits is in %+v, %v, want %s", name, list, err, now.Lane)
		}
		if next := first(t, s, d, dawn.Add(time.Minute)); next.Device.Params["environment"] != c.want {
			t.Errorf("%s: the next push is for %q", name, next.Device.Params["environment"])
		}
	}
}

func editKeepsLearned(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	d := register(t, s, idlepush.Device{User: ann.ID, Name: "phone", Transport: APNs, Address: "token", Content: idlepush.LevelSubject})
	arrive(t, s, a, 1, dawn)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultDelivered, Learned: taught(sandbox)}, dawn)
	if _, err := s.Devices.Update(d, dawn); !errors.Is(err, ErrStale) {
		t.Errorf("it does: %v", err)
	}
}

// A delivery costs a transaction that reads and one that writes, and what a mail says is sealed
// once.
func settleIsOneCommit(t *testing.T) {
	t.Parallel()
	s, fault := faultyStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	arrive(t, s, a, 3, dawn)
	for _, o := range []Outcome{{Result: ResultRetry, At: dawn, Reason: idlepush.Reason{Code: "busy"}}, {Result: ResultRefused, Reason: idlepush.Reason{Code: "too_large"}}, {Result: ResultDelivered}} {
		before, asked := content(t, s), 0
		*fault = func() error { asked++; return nil }
		end(t, s, first(t, s, d, dawn), o, dawn)
		*fault = nil
		if asked != 2 {
			t.Errorf("%s: %d transactions", o.Result, asked)
		}
		for name, row := range content(t, s) {
			written := strings.HasPrefix(name, "delivery ") || strings.HasPrefix(name, "queue ")
			if row != before[name] && !written {
				t.Errorf("%s writes %s", o.Result, name)
			}
		}
	}
}

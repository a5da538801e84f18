package registry

import (
	"encoding/base64"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/receipt"
)

// reportOf is a report by a clock that is right.
func reportOf(received, shown, opened, now time.Time) receipt.Report {
	return receipt.Report{Received: received, Shown: shown, Opened: opened, Now: now}
}

func report(t testing.TB, s *Store, token idlepush.Secret, r receipt.Report, now time.Time) {
	t.Helper()
	if err := s.Devices.Receive(token, r, now); err != nil {
		t.Errorf("receive: %v", err)
	}
}

func chainOf(t testing.TB, s *Store, d idlepush.Device) receipt.Chain {
	t.Helper()
	d, err := s.Devices.Get(d.ID)
	if err != nil {
		t.Fatal(err)
	}
	return d.Chain
}

func tripsOf(t testing.TB, s *Store, d idlepush.Device) []receipt.Trip {
	t.Helper()
	list, err := s.Devices.Trips([]string{d.ID})
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// at is so long after dawn.
func at(after time.Duration) time.Time { return dawn.Add(after) }

func TestReceive(t *testing.T) {
	t.Parallel()
	t.Run("the way to a phone is shown, link by link", wayToPhone)
	t.Run("a receipt that comes before the acceptance is written, counts", receiptFirst)
	t.Run("what is reported again changes nothing", receiptAgain)
	t.Run("after the clock was set back, a report counts and is no trip", receiptSetBack)
	t.Run("a receipt is of one delivery to one device", receiptOfOne)
	t.Run("a forged receipt is denied, and a late one is not found", receiptRefused)
	t.Run("a test push is reported of as well", receiptOfTest)
	t.Run("a thousand at once are written once", receiptsAtOnce)
	t.Run("a device that moves takes nothing along", receiptsMoved)
	t.Run("no more trips are kept than there may be", tripsBounded)
}

func wayToPhone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	if got := chainOf(t, s, d); got.Reported() || !got.Queued.IsZero() {
		t.Errorf("a new device has the chain %+v", got)
	}
	mail := arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 1, at(time.Second))[0]
	w := first(t, s, d, at(time.Second))
	end(t, s, w, Outcome{Result: ResultDelivered}, at(2*time.Second))
	if got := chainOf(t, s, d); got.Queued != at(time.Second) || got.Accepted != at(2*time.Second) || got.Unanswered != 1 {
		t.Errorf("after the push the chain is %+v", got)
	}
	l := s.History.Listen(ann.ID)
	defer l.Stop()
	report(t, s, w.Receipt, reportOf(at(3*time.Second), at(4*time.Second), time.Time{}, at(5*time.Second)), at(5*time.Second))
	if got := l.Take(); !slices.Contains(got, change{deviceChanged, d.ID}) || !slices.Contains(got, change{notificationChanged, mail}) {
		t.Errorf("pages hear of %+v", got)
	}
	report(t, s, w.Receipt, reportOf(time.Time{}, time.Time{}, at(9*time.Second), at(9*time.Second)), at(9*time.Second))
	want := receipt.Receipt{Received: at(3 * time.Second), Shown: at(4 * time.Second), Opened: at(9 * time.Second)}
	if got := deliveryOf(t, s, ann, mail, d, at(time.Hour)); got.Receipt != want || got.State != idlepush.DeliveryDelivered || got.At != at(2*time.Second) {
		t.Errorf("the delivery is %+v", got)
	}
	if got := chainOf(t, s, d); got.Received != want.Received || got.Shown != want.Shown || got.Opened != want.Opened || got.Unanswered != 0 {
		t.Errorf("the chain is %+v", got)
	}
	if got := tripsOf(t, s, d); !slices.Equal(got, []receipt.Trip{{At: at(3 * time.Second), Took: time.Second}}) {
		t.Errorf("the trips took %+v", got)
	}
}

func receiptFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 1, dawn)
	w := first(t, s, d, dawn)
	report(t, s, w.Receipt, reportOf(at(3*time.Second), time.Time{}, time.Time{}, at(3*time.Second)), at(3*time.Second))
	if got := tripsOf(t, s, d); len(got) != 0 {
		t.Errorf("before it was accepted, the trips took %+v", got)
	}
	end(t, s, w, Outcome{Result: ResultDelivered}, at(time.Second))
	if got := tripsOf(t, s, d); !slices.Equal(got, []receipt.Trip{{At: at(3 * time.Second), Took: 2 * time.Second}}) {
		t.Errorf("the trips took %+v", got)
	}
	if got := chainOf(t, s, d); got.Unanswered != 0 {
		t.Errorf("a push that was answered counts as unanswered: %+v", got)
	}
}

func receiptSetBack(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d, a := phone(t, s, ann, "phone"), mailbox(t, s, ann, "ann@example.org")
	arrive(t, s, a, 1, at(50*time.Hour))
	w := first(t, s, d, at(50*time.Hour))
	report(t, s, w.Receipt, reportOf(at(50*time.Hour), time.Time{}, time.Time{}, at(50*time.Hour)), at(50*time.Hour))
	end(t, s, w, Outcome{Result: ResultDelivered}, at(50*time.Hour))
	ahead := len(tripsOf(t, s, d))

	arrive(t, s, a, 1, at(51*time.Hour))
	w = first(t, s, d, at(51*time.Hour))
	end(t, s, w, Outcome{Result: ResultDelivered}, at(51*time.Hour))
	report(t, s, w.Receipt, reportOf(noon, time.Time{}, time.Time{}, noon), noon)
	if got := chainOf(t, s, d); got.Received != noon || got.Unanswered != 0 {
		t.Errorf("the chain is %+v", got)
	}
	if got := len(tripsOf(t, s, d)); got != ahead {
		t.Errorf("there are %d trips, and were %d", got, ahead)
	}
}

func receiptAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 1, dawn)
	w := first(t, s, d, dawn)
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	for name, token := range map[string]idlepush.Secret{"a delivery": w.Receipt, "a test push": s.Outbox.TestReceipt(d.ID, dawn)} {
		r := reportOf(at(time.Second), at(time.Second), time.Time{}, at(time.Second))
		report(t, s, token, r, at(time.Second))
		before, done := content(t, s), commits(s)
		report(t, s, token, r, at(time.Hour))
		report(t, s, token, reportOf(at(time.Minute), time.Time{}, time.Time{}, at(time.Hour)), at(time.Hour))
		differ(t, "a report of "+name+" again", content(t, s), before)
		if commits(s) != done {
			t.Errorf("a report of %s again is committed", name)
		}
	}
}

func receiptOfOne(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d, other := phone(t, s, ann, "phone"), phone(t, s, ann, "other")
	mails := arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 2, dawn)
	w := first(t, s, d, dawn)
	drain(t, s, d, dawn)
	drain(t, s, other, dawn)
	report(t, s, w.Receipt, reportOf(dawn, dawn, dawn, dawn), dawn)
	for _, of := range []idlepush.Device{d, other} {
		for _, mail := range mails {
			is := deliveryOf(t, s, ann, mail, of, dawn).Receipt != receipt.Receipt{}
			if want := of.ID == d.ID && mail == w.Notification.ID; is != want {
				t.Errorf("%s has a receipt of %s: %v", of.Name, mail, is)
			}
		}
	}
	if chainOf(t, s, other).Reported() {
		t.Error("the other device has reported")
	}
}

func receiptRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 1, dawn)
	w := first(t, s, d, dawn)
	drain(t, s, d, dawn)
	test := s.Outbox.TestReceipt(d.ID, dawn)
	r := reportOf(dawn, dawn, dawn, dawn)
	before := content(t, s)
	data, err := base64.RawURLEncoding.DecodeString(string(w.Receipt))
	if err != nil {
		t.Fatal(err)
	}
	refused := []idlepush.Secret{"", "x", "%", w.Receipt + "=", w.Receipt[:len(w.Receipt)-1], w.Receipt + "A"}
	for i := range 8 * len(data) {
		data[i/8] ^= 1 << (i % 8)
		refused = append(refused, idlepush.Secret(base64.RawURLEncoding.EncodeToString(data)))
		data[i/8] ^= 1 << (i % 8)
	}
	elsewhere, err := newReceipts(Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	refused = append(refused, elsewhere.token(w.key))
	for _, token := range refused {
		if err := s.Devices.Receive(token, r, dawn); !errors.Is(err, ErrDenied) {
			t.Errorf("%q: %v", string(token), err)
		}
	}
	differ(t, "after forged receipts", content(t, s), before)

	late := dawn.AddDate(1, 0, 0)
	if err := s.Devices.Receive(test, r, late); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a test push, a year late: %v", err)
	}
	if err := s.Purge(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if err := s.Devices.Receive(w.Receipt, r, late); !errors.Is(err, ErrNotFound) {
		t.Errorf("a year late: %v", err)
	}
	d, _ = s.Devices.Get(d.ID)
	if err := s.Devices.Remove(d, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Devices.Receive(s.Outbox.TestReceipt(d.ID, late), r, late); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a device that was removed: %v", err)
	}
}

func receiptOfTest(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := phone(t, s, someone(t, s, "ann"), "phone")
	older, newer := s.Outbox.TestReceipt(d.ID, dawn), s.Outbox.TestReceipt(d.ID, at(time.Minute))
	report(t, s, newer, reportOf(at(time.Minute), time.Time{}, time.Time{}, at(time.Minute)), at(time.Minute))
	report(t, s, newer, reportOf(time.Time{}, at(time.Hour), time.Time{}, at(time.Hour)), at(time.Hour))
	if got := chainOf(t, s, d); got.Received != at(time.Minute) || got.Shown != at(time.Hour) {
		t.Errorf("the chain is %+v", got)
	}
	if err := s.Devices.Receive(older, reportOf(at(time.Hour), time.Time{}, time.Time{}, at(time.Hour)), at(time.Hour)); !errors.Is(err, ErrNotFound) {
		t.Errorf("of an older one: %v", err)
	}
}

func receiptsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 1, dawn)
	w := first(t, s, d, dawn)
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			now := at(time.Duration(i) * time.Millisecond)
			report(t, s, w.Receipt, reportOf(now, now, now, now), now)
		})
	}
	all.Wait()
	if got := tripsOf(t, s, d); len(got) != 1 {
		t.Errorf("there are %d trips", len(got))
	}
	checkRows(t, s)
}

func receiptsMoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	d := phone(t, s, ann, "phone")
	report(t, s, s.Outbox.TestReceipt(d.ID, dawn), reportOf(dawn, dawn, dawn, dawn), dawn)
	d.User = ben.ID
	d, created, err := s.Devices.Register(d, "", dawn)
	if err != nil || created || chainOf(t, s, d).Reported() || len(tripsOf(t, s, d)) > 0 {
		t.Errorf("ben's has the chain %+v, %v", chainOf(t, s, d), err)
	}
}

func tripsBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d, a := phone(t, s, ann, "phone"), mailbox(t, s, ann, "ann@example.org")
	for i := range receipt.MaxTrips + 1 {
		now := at(time.Duration(i) * time.Second)
		arrive(t, s, a, 1, now)
		w := first(t, s, d, now)
		end(t, s, w, Outcome{Result: ResultDelivered}, now)
		report(t, s, w.Receipt, reportOf(now, now, now, now), now)
	}
	if got := tripsOf(t, s, d); len(got) != receipt.MaxTrips || got[0].At != at(time.Second) {
		t.Errorf("there are %d trips, the first of %s", len(got), got[0].At)
	}
}

func TestReceivedHook(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	s := newStore(t)
	s.arrived = func(transport idlepush.Transport, took time.Duration) {
		if transport != FCM {
			t.Errorf("it was by %s", transport)
		}
		got = append(got, took)
	}
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	arrive(t, s, mailbox(t, s, ann, "ann@example.org"), 2, dawn)
	w := first(t, s, d, dawn)
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	for range 2 {
		report(t, s, w.Receipt, reportOf(at(time.Second), time.Time{}, time.Time{}, at(time.Second)), at(time.Second))
	}
	w = first(t, s, d, dawn)
	report(t, s, w.Receipt, reportOf(at(2*time.Second), time.Time{}, time.Time{}, at(2*time.Second)), at(2*time.Second))
	end(t, s, w, Outcome{Result: ResultDelivered}, at(3*time.Second))
	if !slices.Equal(got, []time.Duration{time.Second, 0}) {
		t.Errorf("it is called with %v", got)
	}
}

func FuzzReceiptToken(f *testing.F) {
	r, err := newReceipts(Options{Key: make([]byte, 32)})
	if err != nil {
		f.Fatal(err)
	}
	k := deliveryKey{notificationKey{"account", 1}, "device"}
	f.Add(string(r.token(k)))
	f.Add(string(r.token(deliveryKey{})))
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if k, genuine := r.parseToken(idlepush.Secret(token)); genuine && string(r.token(k)) != token {
			t.Errorf("%q is taken for the token of %+v", token, k)
		}
	})
}

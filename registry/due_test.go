package registry

import (
	"slices"
	"testing"
	"time"

	"idlepush/registry/table"

	"idlepush/registry/testenv"
)

// TestDueGoesOnBehindWhatIsBusy, however many devices and lanes are: what it gives, and when the next
// will be due, is what a look at each device gives.
func TestDueGoesOnBehindWhatIsBusy(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	random := testenv.Rand(t)
	type one struct {
		Queue
		due time.Time
	}
	var list []one
	for i := range 60 {
		lane := []string{"fcm", "apns production", "apns sandbox"}[min(i%5, 2)]
		d := phone(t, s, ann, lane+string(rune('A'+i)))
		o := one{Queue{d.ID, lane}, dawn.Add(time.Duration(random.IntN(30)) * time.Minute)}
		err := s.db.Update(func(tx *table.Tx) error {
			return queues.Put(tx, id(d.ID), queueRow{Due: o.due, Lane: lane})
		})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b one) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.Device), []byte(b.Device))
	})
	for range testenv.Tenth(2000) {
		now, limit := dawn.Add(time.Duration(random.IntN(32)-1)*time.Minute), random.IntN(6)
		busy := make(map[string]bool)
		if random.IntN(3) == 0 {
			busy[[]string{"fcm", "apns sandbox"}[random.IntN(2)]] = true
		}
		for _, o := range list[:random.IntN(len(list))] { // the first ones, as those that are sent to
			if random.IntN(8) > 0 {
				busy[o.Device] = true
			}
		}
		var want []Queue
		var next time.Time
		for _, o := range list {
			if busy[o.Device] || busy[o.Lane] {
				continue
			}
			if o.due.After(now) || len(want) == limit {
				if next = o.due; !o.due.After(now) {
					next = now
				}
				break
			}
			want = append(want, o.Queue)
		}
		got, at, err := s.Outbox.Due(now, limit, busy)
		if err != nil || !slices.Equal(got, want) || !at.Equal(next) {
			t.Fatalf("%d of %d are busy, at most %d: %v, then %v, %v; want %v, then %v", len(busy), len(list), limit, got, at, err, want, next)
		}
	}
	if err := s.Users.Remove(ann.ID); err != nil { // the rows are none that the store has written
		t.Fatal(err)
	}
}

// TestALineThatBeginsElsewhereThanItsQueueSaysGoesOn: a row that is damaged, and can be read all the
// same, must not keep the dispatcher busy.
func TestALineThatBeginsElsewhereThanItsQueueSaysGoesOn(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 2, dawn)
	err := s.db.Update(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, id(d[0].ID))
		if err != nil {
			return err
		}
		l := q.Lines[a.ID]
		l.Head++
		l.Head++
		q.Lines[a.ID] = l
		return queues.Put(tx, id(d[0].ID), q)
	})
	if err != nil {
		t.Fatal(err)
	}
	if w := first(t, s, d[0], dawn); w.Notification.ID != ids[0] {
		t.Errorf("the first is %s", w.Notification.ID)
	}
}

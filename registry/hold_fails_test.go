package registry

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
	"idlepush/ring"
)

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

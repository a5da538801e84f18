package push

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/registry/testenv"
)

const origin = "https://push.example"

// crowd is n devices of one lane.
func (h *house) crowd(n int) (list []registry.Device) {
	for i := range n {
		list = append(list, h.browser(fmt.Sprint("browser ", i), origin))
	}
	return list
}

// between counts the sends that began in that time, its beginning included, its end not.
func (h *house) between(from, to time.Time) (n int) {
	for _, p := range h.sends() {
		if !p.at.Before(from) && p.at.Before(to) {
			n++
		}
	}
	return n
}

func TestLane(t *testing.T) {
	t.Parallel()
	t.Run("an outage pauses its lane, and one probe is sent per pause", laneOutage)
	t.Run("sends in flight do not lengthen the pause", laneInFlight)
	t.Run("a misconfigured lane is paused, and everything in it is kept", laneMisconfigured)
	t.Run("there is no second probe while one is slow", laneSlowProbe)
	t.Run("a probe waits for sends in flight", laneProbeWaits)
	t.Run("the first success of a send in flight ends the pause", laneSuccess)
	t.Run("a restart probes a paused lane at once", laneRestart)
	t.Run("a transport that the program does not have keeps its deliveries", laneNotConfigured)
	t.Run("a device that fails for a reason of its own does not block its lane", laneOddDevice)
	t.Run("two such devices delay a third at most once", laneTwoOdd)
	t.Run("when a lane works again, all its devices are served", laneResumed)
	t.Run("one device that a service rejects pauses its lane only once", laneDenied)
}

func laneOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		crowd, phone := h.crowd(20), h.phone("phone")
		begin := time.Now()
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.Transport == "webpush" {
				return retry()
			}
			return accepted
		})
		h.run()
		ids := h.mail(1)
		synctest.Wait()
		first := len(h.sends())
		if first > len(crowd)+1 {
			t.Errorf("%d sends at once for %d devices", first, len(crowd)+1)
		}
		lane := h.lane("webpush " + origin)
		if wait := lane.Until.Sub(begin); wait < probeFirst/2 || wait > probeFirst || !lane.Since.Equal(begin) || lane.Code != "outage" {
			t.Fatalf("the lane is paused as %+v", lane)
		}
		for n := range 6 {
			until := h.lane("webpush " + origin).Until
			after(time.Until(until) - 1)
			if got := len(h.sends()); got != first+n {
				t.Fatalf("before the end of pause %d: %d sends, want %d", n, got, first+n)
			}
			after(1)
			if got := len(h.sends()); got != first+n+1 {
				t.Fatalf("at the end of pause %d: %d sends, want one more than %d", n, got, first+n)
			}
			more := h.mail(1)
			synctest.Wait()
			first++ // to the phone
			if ids = append(ids, more...); !slices.Equal(h.got(phone), ids) {
				t.Errorf("pause %d: a phone of another lane waits", n)
			}
		}
		if lane := h.lane("webpush " + origin); !lane.Since.Equal(begin) || time.Until(lane.Until) > probeMost {
			t.Errorf("paused since %v until %v", lane.Since, lane.Until)
		}
		h.answers(nil)
		after(time.Until(h.lane("webpush " + origin).Until))
		reached := 0
		for _, d := range crowd {
			if slices.Equal(h.got(d), ids) {
				reached++
			}
		}
		if reached < len(crowd)/2 { // those that failed keep their own backoff
			t.Errorf("after the first success %d of %d devices have their mail", reached, len(crowd))
		}
		if h.lane("webpush "+origin) != (registry.Lane{}) {
			t.Error("the lane works and is shown as paused")
		}
		after(retryMost)
		for _, d := range crowd {
			if got := h.got(d); !slices.Equal(got, ids) {
				t.Errorf("%s got %d of %d mails", d.Name, len(got), len(ids))
			}
		}
	})
}

// laneInFlight: a whole lane that fails at once is probed after the first pause, by one.
func laneInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.crowd(laneConcurrency)
		n := 0
		h.answers(func(context.Context, sent) registry.Outcome {
			h.mu.Lock()
			n++
			late := time.Duration(n) * 100 * time.Millisecond // some come in after the pause has ended
			h.mu.Unlock()
			time.Sleep(late)
			return retry()
		})
		h.run()
		h.mail(1)
		time.Sleep(400 * time.Millisecond)
		synctest.Wait()
		if h.lane("webpush "+origin) != (registry.Lane{}) {
			t.Fatal("paused too early")
		}
		after(100 * time.Millisecond)
		lane := h.lane("webpush " + origin)
		if time.Until(lane.Until) > probeFirst || lane.Until.IsZero() {
			t.Fatalf("paused as %+v", lane)
		}
		for lane.Until.After(time.Now().Add(100 * time.Millisecond)) {
			after(100 * time.Millisecond)
			if got := h.lane("webpush " + origin); got != lane {
				t.Fatalf("the pause became %v, was %v", got.Until, lane.Until)
			}
		}
	})
}

func laneMisconfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		crowd, phone := h.crowd(10), h.phone("phone")
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.Transport == "webpush" {
				return ourFault()
			}
			return accepted
		})
		begin := time.Now()
		h.run()
		ids := h.mail(1)
		synctest.Wait()
		ids = append(ids, h.mail(2)...)
		after(time.Minute)
		if got := h.got(phone); !slices.Equal(got, ids) {
			t.Errorf("a phone of another lane got %d of %d", len(got), len(ids))
		}
		lane := h.lane("webpush " + origin)
		if !lane.Since.Equal(begin) || !lane.Until.Equal(begin.Add(repair)) || lane.Code != "bad_key" {
			t.Errorf("the lane is %+v", lane)
		}
		fresh := h.browser("fresh", origin) // it waits with the others
		for n := 1; n <= 4; n++ {
			at := begin.Add(time.Duration(n) * repair)
			after(time.Until(at) + time.Second)
			if early, now := h.between(begin.Add(time.Minute), at), h.between(at, at.Add(1)); early != n-1 || now != 1 {
				t.Fatalf("%d probes before the one after %v, and %d then; want %d and 1", early, at.Sub(begin), now, n-1)
			}
		}
		for _, d := range crowd {
			h.stand(ids, d, registry.Pending)
		}
		h.answers(nil)
		ids = append(ids, h.mail(1)...)
		after(time.Until(h.lane("webpush " + origin).Until))
		for _, d := range crowd {
			if got := h.got(d); !slices.Equal(got, ids) {
				t.Errorf("mended: %s got %d of %d mails at once", d.Name, len(got), len(ids))
			}
		}
		if got := h.got(fresh); !slices.Equal(got, ids[3:]) {
			t.Errorf("mended: a new device got %d of 1", len(got))
		}
		if h.lane("webpush "+origin) != (registry.Lane{}) {
			t.Error("the lane works and is shown as paused")
		}
	})
}

// TestASlowProbeIsTheOnlyOne, and what else is due in its lane waits for its answer.
func laneSlowProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		crowd := h.crowd(10)
		h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
		h.run()
		ids := h.mail(2)
		synctest.Wait()
		first := len(h.sends())
		h.answers(slow(20 * time.Second))
		after(repair)
		for range 19 {
			h.mail(1) // looks again
			after(time.Second)
			if n := len(h.sends()) - first; n != 1 {
				t.Fatalf("%d sends while the first probe is on its way", n)
			}
		}
		after(time.Second)
		if n := len(h.sends()) - first; n != len(crowd)+1 {
			t.Errorf("after its success %d sends, want the next to each of %d devices", n, len(crowd))
		}
		after(10 * time.Minute)
		for _, d := range crowd {
			if got := h.got(d); !slices.Equal(got[:2], ids) || len(got) != 21 {
				t.Errorf("%s got %d mails", d.Name, len(got))
			}
		}
	})
}

// TestAProbeWaitsForWhatIsStillOnItsWay, so that a paused lane never has two sends in flight.
func laneProbeWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		crowd := h.crowd(10)
		h.answers(func(ctx context.Context, p sent) registry.Outcome {
			if p.device.ID == crowd[0].ID {
				return hang(ctx, p)
			}
			return retry()
		})
		h.run()
		h.mail(1)
		synctest.Wait()
		for range 60 {
			h.mu.Lock()
			first, total := len(h.all), h.total
			h.mu.Unlock()
			after(time.Second)
			if n := len(h.sends()) - first; total+n > 1 {
				t.Fatalf("%d in flight and %d more, in a paused lane", total, n)
			}
		}
	})
}

func laneSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		crowd := h.crowd(10)
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == crowd[0].ID {
				time.Sleep(time.Second)
				return accepted
			}
			time.Sleep(time.Millisecond) // all are on their way before the first is answered
			return ourFault()
		})
		h.run()
		h.mail(2)
		after(time.Millisecond)
		if h.lane("webpush "+origin) == (registry.Lane{}) {
			t.Fatal("not paused")
		}
		h.answers(nil)
		after(time.Second - time.Millisecond)
		if n := h.between(time.Now(), time.Now().Add(1)); n != 2*9+1 {
			t.Errorf("%d sends at the first success, want all that waited: %d", n, 2*9+1)
		}
	})
}

// laneRestart: a person may have mended it.
func laneRestart(t *testing.T) {
	t.Parallel()
	for _, mended := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			crowd := h.crowd(10)
			h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
			begin := time.Now()
			stop := h.run()
			ids := h.mail(2)
			after(time.Minute)
			stop()
			h.reopen()
			first := len(h.sends())
			if mended {
				h.answers(nil)
			}
			h.run()
			synctest.Wait()
			if mended {
				for _, d := range crowd {
					if got := h.got(d); !slices.Equal(got, ids) {
						t.Errorf("mended: %s got %d of %d mails at once", d.Name, len(got), len(ids))
					}
				}
				return
			}
			if n := len(h.sends()) - first; n != 1 {
				t.Errorf("%d sends after the restart, want one probe", n)
			}
			if lane := h.lane("webpush " + origin); !lane.Since.Equal(begin) || time.Until(lane.Until) != repair {
				t.Errorf("paused since %v until %v", lane.Since, lane.Until)
			}
			after(repair - 1)
			if n := len(h.sends()) - first; n != 1 {
				t.Errorf("%d sends before the next probe", n)
			}
		})
	}
}

func laneNotConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		phone := h.phone("phone")
		h.without("fcm")
		h.run()
		ids := h.mail(1)
		after(time.Hour)
		if d := h.delivery(ids[0], phone); d.State != registry.Pending || d.Code != "fcm_not_configured" {
			t.Errorf("delivery %+v", d)
		}
		if lane := h.lane("fcm"); lane.Code != "fcm_not_configured" || lane.Reason == "" {
			t.Errorf("lane %+v", lane)
		}
	})
}

// A lane is paused as a whole, but what is wrong may concern one of its devices alone: it is not to be the probe each time.
func laneOddDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		phones := []registry.Device{h.phone("one"), h.phone("two")}
		slices.SortFunc(phones, func(a, b registry.Device) int { return strings.Compare(a.ID, b.ID) })
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == phones[0].ID {
				return ourFault()
			}
			return accepted
		})
		h.run()
		ids := h.mail(1)
		after(time.Second)
		ids = append(ids, h.mail(1)...) // the lane is paused
		after(registry.MailKind.Lifetime() - time.Hour)
		if got := h.got(phones[1]); !slices.Equal(got, ids) {
			t.Errorf("after nearly three days it got %d of %d", len(got), len(ids))
		}
	})
}

// TestTwoDevicesThatFailForReasonsOfTheirOwnMakeAThirdWaitOnceAtMost, and for less than a minute.
func laneTwoOdd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.phone("one")
		h.phone("two")
		well := h.phone("three")
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == well.ID {
				return accepted
			}
			return retry()
		})
		h.run()
		came := make(map[string]time.Time)
		for i := range 40 {
			came[h.mail(1)[0]] = time.Now()
			after(time.Duration(i%20+1) * minutes(testenv.Tenth(10)))
		}
		late := 0
		for _, p := range h.sends() {
			if p.outcome != registry.ResultDelivered {
				continue
			}
			if wait := p.at.Sub(came[p.message.ID]); wait > 0 {
				if late++; wait > probeMost {
					t.Errorf("a mail waited for %v", wait)
				}
			}
		}
		if late > 1 || len(h.got(well)) != len(came) {
			t.Errorf("%d of %d mails came, %d of them late", len(h.got(well)), len(came), late)
		}
	})
}

func laneResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		crowd := h.crowd(4)
		end := time.Now().Add(7 * time.Minute)
		h.answers(until(end, retry))
		h.run()
		h.mail(1)
		after(7 * time.Minute)
		h.mail(1)
		// One of them probes within a minute, and with its success the others go on at once.
		after(time.Minute)
		var first, last time.Time
		for _, d := range crowd {
			if got := h.got(d); len(got) != 2 {
				t.Fatalf("%s got %d of two mails within a minute", d.Name, len(got))
			}
		}
		for _, p := range h.sends() {
			if p.outcome == registry.ResultDelivered {
				if first.IsZero() {
					first = p.at
				}
				last = p.at
			}
		}
		if last.Sub(first) > time.Second {
			t.Errorf("the last went out %v after the first", last.Sub(first))
		}
	})
}

// laneDenied: it pauses it once, is suspect from then on, and works again when its push is accepted.
func laneDenied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		denied, other := h.browser("denied", origin), h.browser("other", origin)
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == denied.ID {
				return ourFault()
			}
			return accepted
		})
		h.run()
		ids := h.mail(1)
		after(time.Second)
		// Which of the two is the probe is left to chance.
		for range 50 {
			if h.lane("webpush "+origin) == (registry.Lane{}) && len(h.got(other)) == len(ids) && len(ids) > 1 {
				break
			}
			ids = append(ids, h.mail(1)...)
			after(repair)
		}
		for range 100 {
			ids = append(ids, h.mail(1)...)
			after(10 * time.Minute)
			if lane := h.lane("webpush " + origin); lane != (registry.Lane{}) {
				t.Fatalf("after %d mails the lane is paused: %+v", len(ids), lane)
			}
		}
		if got := h.got(other); !slices.Equal(got, ids) {
			t.Errorf("the other got %d of %d mails", len(got), len(ids))
		}
		d, err := h.store.Devices.Get(denied.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d.Status.State != registry.Suspect || d.Status.Code != "bad_key" {
			t.Errorf("its status is %+v", d.Status)
		}
		h.stand(ids, denied, registry.Pending)
		h.answers(nil)
		after(suspectMost)
		if got := h.got(denied); !slices.Equal(got, ids) {
			t.Errorf("once it is let through it got %d of %d mails", len(got), len(ids))
		}
	})
}

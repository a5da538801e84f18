package push

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

const origin = "https://push.example"

// crowd registers n devices of one lane.
func (h *harness) crowd(n int) (list []idlepush.Device) {
	for i := range n {
		list = append(list, h.browser(fmt.Sprint("browser ", i), origin))
	}
	return list
}

// between counts the sends that began in that time, including its beginning but not its end.
func (h *harness) between(from, to time.Time) (n int) {
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
	t.Run("sends of one person that hang do not delay the probe of another", laneHangingProbe)
	t.Run("the first success of a send in flight ends the pause", laneSuccess)
	t.Run("a restart probes a paused lane at once", laneRestart)
	t.Run("a transport that the program does not have keeps its deliveries", laneNotConfigured)
	t.Run("when a lane works again, all its devices are served", laneResumed)
}

func laneOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
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
		if wait := lane.Until.Sub(begin); wait < minProbeWait/2 || wait > minProbeWait || !lane.Since.Equal(begin) || lane.Code != "outage" {
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
			if ids = append(ids, more...); !slices.Equal(h.received(phone), ids) {
				t.Errorf("pause %d: a phone of another lane waits", n)
			}
		}
		if lane := h.lane("webpush " + origin); !lane.Since.Equal(begin) || time.Until(lane.Until) > maxProbeWait {
			t.Errorf("paused since %v until %v", lane.Since, lane.Until)
		}
		h.answers(nil)
		after(time.Until(h.lane("webpush " + origin).Until))
		reached := 0
		for _, d := range crowd {
			if slices.Equal(h.received(d), ids) {
				reached++
			}
		}
		if reached < len(crowd)/2 { // those that failed keep their own backoff
			t.Errorf("after the first success %d of %d devices have their mail", reached, len(crowd))
		}
		if h.lane("webpush "+origin).Name != "" {
			t.Error("the lane works and is shown as paused")
		}
		after(maxRetryWait)
		for _, d := range crowd {
			if got := h.received(d); !slices.Equal(got, ids) {
				t.Errorf("%s got %d of %d mails", d.Name, len(got), len(ids))
			}
		}
	})
}

// If all sends of a lane fail at once, one probe is sent after the first pause.
func laneInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.crowd(laneConcurrency)
		n := 0
		h.answers(func(context.Context, sent) registry.Outcome {
			h.mu.Lock()
			n++
			late := time.Duration(n) * 100 * time.Millisecond // for some, after the pause
			h.mu.Unlock()
			time.Sleep(late)
			return retry()
		})
		h.run()
		h.mail(1)
		time.Sleep(400 * time.Millisecond)
		synctest.Wait()
		if h.lane("webpush "+origin).Name != "" {
			t.Fatal("paused too early")
		}
		after(100 * time.Millisecond)
		lane := h.lane("webpush " + origin)
		if time.Until(lane.Until) > minProbeWait || lane.Until.IsZero() {
			t.Fatalf("paused as %+v", lane)
		}
		for lane.Until.After(time.Now().Add(100 * time.Millisecond)) {
			after(100 * time.Millisecond)
			if got := h.lane("webpush " + origin); !reflect.DeepEqual(got, lane) {
				t.Fatalf("the pause became %v, was %v", got.Until, lane.Until)
			}
		}
	})
}

// wantProbes lets time pass until at, and fails the test unless n devices are sent to then, and
// nothing before.
func (h *harness) wantProbes(at time.Time, n int) {
	h.Helper()
	first := len(h.sends())
	after(time.Until(at) - 1)
	early := len(h.sends()) - first
	after(1)
	probed := make(map[string]bool)
	for _, p := range h.sends()[first:] {
		probed[p.device.ID] = true
	}
	if all := len(h.sends()) - first; early > 0 || all != n || len(probed) != n {
		h.Fatalf("%d sends before %v, and %d then, to %d devices; want none and %d", early, at, all-early, len(probed), n)
	}
}

// A second device confirms what the first tells, each time.
func laneMisconfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
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
		synctest.Wait()
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("a phone of another lane got %d of %d", len(got), len(ids))
		}
		fresh := h.browser("fresh", origin) // it waits with the others
		for at, n := begin, 0; n < 4; n++ {
			lane := h.lane("webpush " + origin)
			if want := at.Add(faultPauses[min(n, 2)]); !lane.Since.Equal(begin) || !lane.Until.Equal(want) || lane.Code != "bad_key" {
				t.Fatalf("the lane is %+v, want a pause from %v to %v", lane, begin, want)
			}
			at = lane.Until
			h.wantProbes(at, 2)
		}
		for _, d := range crowd {
			h.wantState(ids, d, idlepush.DeliveryPending)
		}
		h.answers(nil)
		ids = append(ids, h.mail(1)...)
		after(time.Until(h.lane("webpush " + origin).Until))
		for _, d := range crowd {
			if got := h.received(d); !slices.Equal(got, ids) {
				t.Errorf("mended: %s got %d of %d mails at once", d.Name, len(got), len(ids))
			}
		}
		if got := h.received(fresh); !slices.Equal(got, ids[3:]) {
			t.Errorf("mended: a new device got %d of 1", len(got))
		}
		if h.lane("webpush "+origin).Name != "" {
			t.Error("the lane works and is shown as paused")
		}
	})
}

// Other deliveries of its lane that are due wait for its answer.
func laneSlowProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(10)
		h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
		h.run()
		ids := h.mail(2)
		synctest.Wait()
		first := len(h.sends())
		h.answers(slow(20 * time.Second))
		after(faultPauses[0])
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
			if got := h.received(d); !slices.Equal(got[:2], ids) || len(got) != 21 {
				t.Errorf("%s got %d mails", d.Name, len(got))
			}
		}
	})
}

// So a paused lane never has two sends in flight.
func laneProbeWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(10)
		h.answers(func(ctx context.Context, p sent) registry.Outcome {
			if p.device.ID == crowd[0].ID {
				return hang(ctx, p)
			}
			time.Sleep(time.Millisecond) // all are on their way before the first is answered
			return retry()
		})
		h.run()
		h.mail(1)
		after(time.Millisecond)
		h.mu.Lock()
		inFlight, first := h.total, len(h.all)
		h.most = 0
		h.mu.Unlock()
		after(time.Minute)
		if most, n := h.mostInFlight(), len(h.sends())-first; inFlight != 1 || most != 1 || n == 0 {
			t.Errorf("%d in flight when the lane paused, then %d sends, at most %d at once", inFlight, n, most)
		}
	})
}

// A setting is corrected, and then one person's devices hang.
func laneHangingProbe(t *testing.T) {
	t.Parallel()
	for range 10 { // the first probe is one of several at random
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			anna := h.account
			phone, mallory := h.browser("anna 1", origin), h.member("mallory")
			h.browser("mallory 2", origin)
			h.browser("mallory 3", origin)
			h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
			h.run()
			h.mail(1)
			h.account = anna
			ids := h.mail(1)
			synctest.Wait()
			until := h.lane("webpush " + origin).Until
			h.answers(func(ctx context.Context, p sent) registry.Outcome {
				if p.device.User == mallory.User {
					return hang(ctx, p)
				}
				return accepted
			})
			after(time.Until(until) + probePatience)
			if got := h.received(phone); !slices.Equal(got, ids) {
				t.Errorf("%v after the pause it got %d of 1", probePatience, len(got))
			}
		})
	}
}

func laneSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
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
		if h.lane("webpush "+origin).Name == "" {
			t.Fatal("not paused")
		}
		h.answers(nil)
		after(time.Second - time.Millisecond)
		if n := h.between(time.Now(), time.Now().Add(1)); n != 2*9+1 {
			t.Errorf("%d sends at the first success, want all that waited: %d", n, 2*9+1)
		}
	})
}

// A person may have corrected a setting.
func laneRestart(t *testing.T) {
	t.Parallel()
	for _, mended := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
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
					if got := h.received(d); !slices.Equal(got, ids) {
						t.Errorf("mended: %s got %d of %d mails at once", d.Name, len(got), len(ids))
					}
				}
				return
			}
			if n := len(h.sends()) - first; n != 2 {
				t.Errorf("%d sends after the restart, want one probe, and one that confirms it", n)
			}
			if lane := h.lane("webpush " + origin); !lane.Since.Equal(begin) || time.Until(lane.Until) != maxFaultWait {
				t.Errorf("paused since %v until %v", lane.Since, lane.Until)
			}
			after(maxFaultWait - 1)
			if n := len(h.sends()) - first; n != 2 {
				t.Errorf("%d sends before the next probe", n)
			}
		})
	}
}

func laneNotConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.removeTransport("fcm")
		h.run()
		ids := h.mail(1)
		after(time.Hour)
		if d := h.delivery(ids[0], phone); d.State != idlepush.DeliveryPending || !d.Reason.Equal(unknown("fcm").Reason) {
			t.Errorf("delivery %+v", d)
		}
		if lane := h.lane("fcm"); !lane.Reason.Equal(unknown("fcm").Reason) {
			t.Errorf("lane %+v", lane)
		}
	})
}

func laneResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(4)
		end := time.Now().Add(7 * time.Minute)
		h.answers(until(end, retry))
		h.run()
		h.mail(1)
		after(7 * time.Minute)
		h.mail(1)
		// One of them probes within a minute. With its success the others are served at once.
		after(time.Minute)
		var first, last time.Time
		for _, d := range crowd {
			if got := h.received(d); len(got) != 2 {
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

package push

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestClock(t *testing.T) {
	t.Parallel()
	t.Run("whatever the clock does, each mail rings once, and soon", clockAny)
	t.Run("a probe that fails after the clock was set back pauses by the clock as it is", clockProbe)
	t.Run("the clock may be set while sends are in flight", clockInFlight)
	t.Run("mail that arrived while the clock was ahead rings once it is right", clockAhead)
	t.Run("mail that a clock that is ahead makes expire is not sent", clockExpired)
	t.Run("a small correction of the clock hastens nothing", clockCorrected)
	t.Run("after a sleep, what waits is sent at once on new connections", clockJumped)
}

// When the clock is set, a phone waits for its next try, a lane for its probe, and a burst for the
// end of its minute.
func clockAny(t *testing.T) {
	t.Parallel()
	const hours = 5 * time.Hour
	for name, sets := range map[string][]time.Duration{
		"back":                  {-hours},
		"back twice":            {-hours, -hours},
		"back by two minutes":   {-2 * time.Minute},
		"ahead":                 {hours},
		"ahead and right again": {hours, -hours},
		"back and right again":  {-hours, hours},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { liveWith(t, sets) })
		})
	}
}

func liveWith(t *testing.T, sets []time.Duration) {
	h := newHarness(t)
	h.limit = 3
	phone, busy, denied := h.phone("phone"), h.browser("busy", "https://busy.example"), h.browser("denied", origin)
	h.run()
	var ids []string
	for _, by := range sets {
		failed := make(map[string]bool)
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			h.mu.Lock()
			defer h.mu.Unlock()
			first := !failed[p.device.ID]
			failed[p.device.ID] = true
			switch {
			case first && p.device.ID == busy.ID:
				o := retry()
				o.At = h.clock.Now().Add(30 * time.Minute)
				return o
			case first && p.device.ID == denied.ID:
				return ourFault()
			}
			return accepted
		})
		before := len(h.received(phone)) + len(h.received(busy)) + len(h.received(denied))
		ids = append(ids, h.mail(5)...)
		after(time.Second)
		if n := len(h.received(phone)) + len(h.received(busy)) + len(h.received(denied)) - before; n != 3 || h.lane("webpush "+origin).Name == "" {
			t.Fatalf("%d of 5 mails rang on the phone, want 3, and the lane is %+v", n, h.lane("webpush "+origin))
		}
		h.clock.Move(by)
		after(maxIdle + burstWindow)
		for range 4 { // the limit holds by the clock as it is now
			ids = append(ids, h.mail(1)...)
			after(time.Second)
		}
		after(2 * burstWindow)
		for _, d := range []idlepush.Device{phone, busy, denied} {
			h.wantShown(ids, d, 1)
		}
		if lane := h.lane("webpush " + origin); lane.Name != "" {
			t.Errorf("the lane is paused: %+v", lane)
		}
	}
	n := len(h.sends())
	after(12 * time.Hour)
	if late := len(h.sends()) - n; late > 0 {
		t.Errorf("%d pushes more in the next half day", late)
	}
	back := slices.ContainsFunc(sets, func(by time.Duration) bool { return by < 0 })
	if said := strings.Contains(h.lines.String(), "the clock was set back"); said != back {
		t.Errorf("the log says that the clock was set back: %v, want %v", said, back)
	}
}

// It must be the only probe, but for the one that confirms it.
func clockProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(10)
		h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
		h.run()
		ids := h.mail(1)
		after(time.Second)
		first := len(h.sends())
		h.clock.Move(-5 * time.Hour)
		after(maxIdle)
		if n := len(h.sends()) - first; n != 2 {
			t.Errorf("%d sends within a minute, want a probe and one that confirms it", n)
		}
		if until := h.lane("webpush " + origin).Until; until.Sub(h.clock.Now()) > maxFaultWait {
			t.Errorf("the next probe is due in %v", until.Sub(h.clock.Now()))
		}
		h.answers(nil)
		after(maxFaultWait)
		for _, d := range crowd {
			h.wantShown(ids, d, 1)
		}
	})
}

func clockInFlight(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			well, fails := h.phone("well"), h.browser("fails", origin)
			n := 0
			h.answers(func(_ context.Context, p sent) registry.Outcome {
				time.Sleep(20 * time.Second)
				if p.device.ID == fails.ID {
					if n++; n == 1 {
						return retry()
					}
				}
				return accepted
			})
			h.run()
			ids := h.mail(3)
			after(10 * time.Second)
			h.clock.Move(by)
			after(10*time.Second + 2*minRetryWait + 3*20*time.Second)
			h.wantShown(ids, well, 1)
			h.wantShown(ids, fails, 1)
		})
	}
}

// So does it if the program starts in between.
func clockAhead(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			h.clock.Move(100 * time.Hour)
			crowd := h.crowd(3)
			h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
			stop := h.run()
			ids := h.mail(2)
			after(time.Minute)
			h.answers(nil)
			if again {
				stop()
			}
			h.clock.Move(-100 * time.Hour)
			if again {
				h.run()
			}
			after(maxIdle)
			for _, d := range crowd {
				h.wantShown(ids, d, 1)
			}
			for _, p := range h.sends() {
				if p.outcome == registry.ResultDelivered && p.message.TTL(p.at) > 72*time.Hour {
					t.Errorf("a push may be kept for %v", p.message.TTL(p.at))
				}
			}
		})
	}
}

// All other mail is sent.
func clockExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		browser, phone := h.browser("browser", origin), h.phone("phone")
		h.answers(only(browser, ourFault))
		h.run()
		old := h.mail(2)
		after(time.Second)
		h.answers(nil)
		h.clock.Move(72*time.Hour + 1)
		after(maxIdle)
		h.wantState(old, browser, idlepush.DeliveryExpired)
		h.clock.Move(-72*time.Hour - 1)
		fresh := h.mail(1)
		after(maxIdle)
		h.wantState(old, browser, idlepush.DeliveryExpired)
		h.wantShown(fresh, browser, 1)
		h.wantShown(append(old, fresh...), phone, 1)
	})
}

// A service must not be tried early because of it.
func clockCorrected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.phone("phone")
		h.answers(func(context.Context, sent) registry.Outcome {
			o := retry()
			o.At = h.clock.Now().Add(time.Hour)
			return o
		})
		h.run()
		h.mail(1)
		for range 30 {
			after(time.Minute)
			h.clock.Move(-time.Second)
		}
		if n := len(h.sends()); n != 1 {
			t.Errorf("%d sends before the time that the service asked for", n)
		}
	})
}

func clockJumped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.answers(func(context.Context, sent) registry.Outcome {
			o := retry()
			o.At = h.clock.Now().Add(time.Hour)
			return o
		})
		h.run()
		ids := h.mail(1)
		after(time.Second)
		h.answers(nil)
		h.clock.Move(8 * time.Hour)
		h.jumped <- struct{}{}
		synctest.Wait()
		h.wantShown(ids, phone, 1)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.closed != len(h.transports) {
			t.Errorf("%d of %d transports were to use new connections", h.closed, len(h.transports))
		}
	})
}

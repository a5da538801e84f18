package push

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

func TestStore(t *testing.T) {
	t.Parallel()
	t.Run("any transaction of a day's run may fail", storeAnyFails)
	t.Run("a store that fails for an hour loses nothing", storeHour)
	t.Run("whatever the store refuses for minutes is done later", storeRefuses)
	t.Run("a delivery that is removed after its queue was found due is not sent", storeBetween)
}

// Nothing may be lost or shown twice because of it. The dispatcher must go on, and the log must say
// what happened.
func storeAnyFails(t *testing.T) {
	t.Parallel()
	all := day(t, 0)
	random, hit := testenv.Rand(t), 0
	runs := random.Perm(int(all))[:testenv.Tenth(int(all))]
	for _, i := range runs {
		if n := int64(i + 1); day(t, n) >= n {
			hit++
		}
		if t.Failed() {
			t.Fatalf("because of transaction %d of about %d", i+1, all)
		}
	}
	// Waits are random, and so is the number of transactions: the last ones are not always reached.
	if hit < len(runs)/2 {
		t.Errorf("only %d of %d runs had the transaction that was to fail", hit, len(runs))
	}
}

// day runs a day with mail and outages, and returns the number of transactions. The transaction
// with the number fails fails, unless that is 0.
func day(t *testing.T, fails int64) (asked int64) {
	const enough = 2*maxIdle + 5*time.Second // for one thing that fails to be tried again
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 3
		phone, browser, old := h.phone("phone"), h.browser("browser", origin), h.phone("old")
		h.fails = func(n int64) bool { return n == fails }
		stop := h.run()
		after(enough)
		var ids []string
		mail := func(n int) (fresh []string) {
			h.unfailing(func() { fresh = h.mail(n) })
			ids = append(ids, fresh...)
			return fresh
		}
		quiet := func(d time.Duration) { // all services are well
			h.answers(nil)
			after(d)
		}
		mail(1)
		quiet(enough)

		// The browser's service answers with Retry-After, and the phones' fails for a moment.
		begin := time.Now()
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			o := retry()
			if p.device.ID == browser.ID {
				o.At = begin.Add(10 * time.Minute)
			}
			return o
		})
		mail(2)
		after(time.Second)
		quiet(10*time.Minute + enough)

		mail(7) // a burst
		quiet(burstWindow + enough)

		// The browser's lane is paused. Mail that is read then is cleared on the phone, and never
		// rings on the browser.
		h.answers(only(browser, ourFault))
		read := mail(2)[0]
		after(enough)
		h.unfailing(func() {
			if n, err := h.store.Mail.Clear(h.account.ID, "INBOX", 1, []uint32{1, h.uid - 2}, h.clock.Now()); err != nil || n != 2 {
				t.Fatal(n, err)
			}
		})
		quiet(maxFaultWait + enough)

		h.answers(only(old, gone))
		mail(1)
		after(enough)

		// The lane is paused again, and the program ends before it is resumed.
		h.answers(only(browser, ourFault))
		mail(1)
		after(enough)
		stop()
		h.reopen()
		h.run()
		quiet(maxFaultWait + enough)

		// The browser's service asks for a wait longer than the lifetime of a mail.
		h.answers(only(browser, func() registry.Outcome {
			o := retry()
			o.At = h.clock.Now().Add(80 * time.Hour)
			return o
		}))
		late := mail(1)
		after(enough)
		h.clock.Move(idlepush.KindMail.Lifetime())
		quiet(enough)
		mail(1)
		quiet(enough)

		asked = h.transactions.Load()
		h.unfailing(func() {
			h.wantShown(ids, phone, 2)
			h.wantShown(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == read || id == late[0] }), browser, 2)
			h.wantState([]string{read}, browser, idlepush.DeliveryCleared)
			h.wantState(late, browser, idlepush.DeliveryExpired)
			if !slices.Contains(h.cleared(phone), read) {
				t.Error("the phone still shows what was read before it rang on the browser")
			}
			for _, d := range []idlepush.Device{phone, browser} {
				if !slices.Contains(h.cleared(d), ids[0]) {
					t.Errorf("%s still shows what was read", d.Name)
				}
				if n := h.kinds(d)[idlepush.KindAttention]; n != 1 {
					t.Errorf("%s was told %d times that a device is gone", d.Name, n)
				}
			}
			if _, err := h.store.Devices.Get(old.ID); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("the device that is gone: %v", err)
			}
			if list, err := h.store.Outbox.Due(h.clock.Now(), newSends().room, nil); err != nil || len(list) > 0 {
				t.Errorf("%d queues are left, %v", len(list), err)
			}
			if lanes, err := h.store.Devices.Lanes(); err != nil || len(lanes) > 0 {
				t.Errorf("lanes are paused: %+v, %v", lanes, err)
			}
			if said := h.saidOf(errDisk); said != (1 <= fails && fails <= asked) {
				t.Errorf("the log says what failed: %v, and something did: %v", said, !said)
			}
		})
	})
	return asked
}

// cleared returns the ids that the device was sent to clear.
func (h *harness) cleared(d idlepush.Device) (ids []string) {
	for _, p := range h.sends() {
		if p.device.ID != d.ID || p.outcome != registry.ResultDelivered {
			continue
		}
		var m struct{ Clear []string }
		if err := json.Unmarshal(p.message.Payload, &m); err != nil {
			h.Fatal(err)
		}
		ids = append(ids, m.Clear...)
	}
	return ids
}

// kinds returns the number of notifications of each kind that the device received.
func (h *harness) kinds(d idlepush.Device) map[idlepush.Kind]int {
	ids, kinds := make(map[string]bool), make(map[idlepush.Kind]int)
	for _, p := range h.sends() {
		if p.device.ID == d.ID && p.outcome == registry.ResultDelivered && !ids[p.message.ID] {
			ids[p.message.ID] = true
			kinds[p.message.Kind]++
		}
	}
	return kinds
}

// saidOf reports whether a line of the log is an error with this cause.
func (h *harness) saidOf(err error) bool {
	for line := range strings.Lines(h.lines.String()) {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, err.Error()) {
			return true
		}
	}
	return false
}

// Sends in flight, deliveries in a paused lane, and mail that arrives in that hour are all
// delivered, even if the program starts in that hour.
func storeHour(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			h.limit = 3
			var failing atomic.Bool
			h.fails = func(int64) bool { return failing.Load() }
			phone, browser := h.phone("phone"), h.browser("browser", origin)
			h.answers(func(_ context.Context, p sent) registry.Outcome {
				time.Sleep(10 * time.Second)
				if p.device.ID == browser.ID {
					return ourFault()
				}
				return accepted
			})
			stop := h.run()
			ids := h.mail(2)
			// Now the browser's lane is paused, and the phone's second mail is in flight.
			after(15 * time.Second)
			failing.Store(true)
			if again {
				stop()
				h.reopen()
				h.run()
			}
			h.answers(nil)
			for range 6 {
				h.unfailing(func() { ids = append(ids, h.mail(2)...) })
				after(10 * time.Minute)
			}
			before := len(h.sends())
			failing.Store(false)
			after(maxFaultWait)
			most := 1
			if again {
				most = 2 // what had been sent and could not be written
			}
			for _, d := range []idlepush.Device{phone, browser} {
				h.wantShown(ids, d, most)
			}
			if before > 3 {
				t.Errorf("%d sends before the store worked again", before)
			}
			if !h.saidOf(errDisk) {
				t.Error("the log does not say that the store failed")
			}
			if lane := h.lane("webpush " + origin); lane.Name != "" {
				t.Errorf("the lane is paused: %+v", lane)
			}
		})
	}
}

// within reports whether it was called, through others, by this method, such as "Outbox.Next".
func within(method string) bool {
	pcs := make([]uintptr, 50)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "."+method) {
			return true
		}
		if !more {
			return false
		}
	}
}

// errors returns the number of errors in the log.
func (h *harness) errors() (n int) {
	for line := range strings.Lines(h.lines.String()) {
		if strings.Contains(line, "level=ERROR") {
			n++
		}
	}
	return n
}

// The store must not be called in a loop.
func storeRefuses(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Due", "Next", "Settle", "Decide", "Combine", "ProbeLanes", "ClockWentBack", "HastenDue", "OldMail"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				h.limit = 3
				phone, denied := h.phone("phone"), h.browser("denied", origin)
				var failing atomic.Bool
				h.fails = func(int64) bool { return failing.Load() && within("Outbox."+method) }
				failing.Store(true)
				h.answers(only(denied, ourFault))
				h.run()
				ids := h.mail(5)
				after(3 * time.Minute)
				h.clock.Move(-5 * time.Hour)
				after(3 * time.Minute)
				h.answers(nil)
				after(maxFaultWait)
				if n := h.errors() - strings.Count(h.lines.String(), "not delivered"); n < 1 || n > 60 {
					t.Errorf("%d errors in the log after 21 minutes", n)
				}
				failing.Store(false)
				after(2 * maxIdle)
				ids = append(ids, h.mail(1)...)
				after(maxFaultWait)
				for _, d := range []idlepush.Device{phone, denied} {
					h.wantShown(ids, d, 1)
				}
				if lane := h.lane("webpush " + origin); lane.Name != "" {
					t.Errorf("the lane is paused: %+v", lane)
				}
			})
		})
	}
}

// A queue is due, and when it is read its head is cleared or expired, or the device is gone. That
// is no error, and nothing is written.
func storeBetween(t *testing.T) {
	t.Parallel()
	for name, goes := range map[string]func(h *harness, d idlepush.Device) error{
		"cleared": func(h *harness, _ idlepush.Device) error {
			_, err := h.store.Mail.Clear(h.account.ID, "INBOX", 1, []uint32{1}, h.clock.Now())
			return err
		},
		"expired": func(h *harness, _ idlepush.Device) error {
			h.clock.Move(idlepush.KindMail.Lifetime())
			return nil
		},
		"removed": func(h *harness, d idlepush.Device) error { return h.store.Devices.Remove(d, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				phone := h.phone("phone")
				var once atomic.Bool
				h.fails = func(int64) bool {
					// Next would use an earlier time of the clock, so this call is made to fail.
					if !within("Outbox.Next") || !once.CompareAndSwap(false, true) {
						return false
					}
					h.unfailing(func() {
						if err := goes(h, phone); err != nil {
							t.Error(err)
						}
					})
					return name == "expired"
				}
				h.run()
				h.mail(1)
				after(3 * time.Minute)
				if n := len(h.sends()); !once.Load() || n > 0 {
					t.Errorf("%d sends of what is gone, or it went too late", n)
				}
				want := 0
				if name == "expired" {
					want = 1
				}
				if n := h.errors(); n != want {
					t.Errorf("%d errors in the log, want %d", n, want)
				}
				if lanes, err := h.store.Devices.Lanes(); err != nil || len(lanes) > 0 {
					t.Errorf("lanes are paused: %+v, %v", lanes, err)
				}
			})
		})
	}
}

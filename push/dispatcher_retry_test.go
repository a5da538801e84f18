package push

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

// until fails before the time, then accepts.
func until(end time.Time, failure func() registry.Outcome) func(context.Context, sent) registry.Outcome {
	return func(_ context.Context, p sent) registry.Outcome {
		if p.at.Before(end) {
			return failure()
		}
		return accepted
	}
}

// waits returns the times between the sends to a device.
func (h *harness) waits(d idlepush.Device) (list []time.Duration) {
	var last time.Time
	for _, p := range h.sends() {
		if p.device.ID != d.ID {
			continue
		}
		if !last.IsZero() {
			list = append(list, p.at.Sub(last))
		}
		last = p.at
	}
	return list
}

func TestRetry(t *testing.T) {
	t.Parallel()
	t.Run("a failed push is retried after waits that double", retryDoubling)
	t.Run("a device is not tried before the time that its service gave", retryAfterTime)
	t.Run("an outage of nearly three days loses nothing", retryLongOutage)
	t.Run("mail that expires in an outage is shown as expired, and the rest is sent", retryExpired)
	t.Run("a device whose whole queue has expired is served again", retryAllExpired)
	t.Run("mail that was queued while the clock was fast is sent once it is right", retryFastClock)
	t.Run("the time that a service gave counts in a paused lane too", retryPausedLane)
	t.Run("the time that a service gave counts for the device that pauses its lane", retryPausing)
	t.Run("a suspect device waits its time although its lane is paused meanwhile", retrySuspect)
}

func retryDoubling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		end := time.Now().Add(time.Hour)
		h.answers(until(end, retry))
		h.run()
		ids := h.mail(2)
		after(90 * time.Minute)
		waits := h.waits(phone)
		if len(waits) < 12 {
			t.Fatalf("tried again after %v only", waits)
		}
		for i, wait := range waits[:len(waits)-1] { // the last is of the second mail
			if most := doubled(minRetryWait, maxRetryWait, i); wait > most {
				t.Errorf("wait %d is %v, want at most %v", i, wait, most)
			}
		}
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("got %v, want %v", got, ids)
		}
		if d := h.delivery(ids[0], phone); d.State != idlepush.DeliveryDelivered || d.Attempts != len(waits) {
			t.Errorf("delivery %+v after %d tries", d, len(waits))
		}
		if d := h.delivery(ids[1], phone); d.Attempts != 1 {
			t.Errorf("the second mail took %d tries", d.Attempts)
		}
	})
}

func retryAfterTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		asked := time.Now().Add(3 * time.Hour)
		h.answers(until(asked, func() registry.Outcome {
			o := retry()
			o.At = asked
			return o
		}))
		h.run()
		ids := h.mail(1)
		after(time.Hour)
		ids = append(ids, h.mail(1)...) // new mail is no reason to ask again
		after(2*time.Hour - 1)
		if n := len(h.sends()); n != 1 {
			t.Errorf("%d sends before the time", n)
		}
		after(1)
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("at the time it got %d of %d", len(got), len(ids))
		}
	})
}

func retryLongOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		end := time.Now().Add(71 * time.Hour)
		h.answers(until(end, func() registry.Outcome {
			o := retry()
			if !testenv.Soak { // else it is tried once or twice a minute
				o.At = time.Now().Add(10 * time.Minute)
			}
			return o
		}))
		h.run()
		ids := h.mail(3)
		after(35 * time.Hour)
		ids = append(ids, h.mail(3)...)
		after(time.Until(end) + 10*time.Minute)
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("got %d of %d mails, or not in their order", len(got), len(ids))
		}
		for _, p := range h.sends()[:10] {
			if p.message.ID != ids[0] {
				t.Fatalf("tried %s, want %s again and again", p.message.ID, ids[0])
			}
		}
		h.wantState(ids, phone, idlepush.DeliveryDelivered)
	})
}

func retryExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		end := time.Now().Add(80 * time.Hour)
		h.answers(until(end, func() registry.Outcome {
			o := retry()
			o.At = time.Now().Add(time.Hour)
			return o
		}))
		h.run()
		old := h.mail(60) // more than one transaction drops
		after(10 * time.Hour)
		fresh := h.mail(2)
		after(72*time.Hour - 10*time.Hour)
		h.wantState(old, phone, idlepush.DeliveryExpired)
		h.wantState(fresh, phone, idlepush.DeliveryPending)
		after(10 * time.Hour)
		if got := h.received(phone); !slices.Equal(got, fresh) {
			t.Errorf("got %d mails, want the %d that were still worth it", len(got), len(fresh))
		}
		for _, p := range h.sends() {
			if !p.at.Before(p.message.Expires) {
				t.Errorf("sent %v after it expired", p.at.Sub(p.message.Expires))
			}
		}
		h.wantState(old, phone, idlepush.DeliveryExpired)
		h.wantState(fresh, phone, idlepush.DeliveryDelivered)
		if d := h.delivery(old[0], phone); d.Attempts < 60 || d.Code != "outage" {
			t.Errorf("it does not say what was tried: %+v", d)
		}
	})
}

// The dispatcher finds an empty queue.
func retryAllExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.mail(2)
		time.Sleep(idlepush.KindMail.Lifetime())
		h.run()
		synctest.Wait()
		if n := len(h.sends()); n != 0 {
			t.Errorf("%d expired mails were sent", n)
		}
		ids := h.mail(1)
		synctest.Wait()
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("got %v, want %v", got, ids)
		}
	})
}

func retryFastClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		time.Sleep(2 * time.Hour)
		ids := h.mail(1)
		now := time.Now()
		w, _, err := h.store.Outbox.Next(phone.ID, now)
		if err != nil {
			t.Fatal(err)
		}
		fast := now.Add(2 * time.Hour)
		if _, err := h.store.Outbox.Settle(w, registry.Outcome{Result: registry.ResultRetry, At: fast}, fast); err != nil {
			t.Fatal(err)
		}
		if _, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "Later", At: fast, To: registry.Cursor{UIDValidity: 1, Next: 2},
			Mails: []registry.Message{{UID: 1}}}); err != nil {
			t.Fatal(err)
		}
		h.run()
		synctest.Wait()
		if got := h.received(phone); len(got) != 2 || got[0] != ids[0] {
			t.Errorf("got %v", got)
		}
	})
}

// It is later than the end of the pause, at which everything else is sent.
func retryPausedLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(10)
		busy := crowd[0]
		begin := time.Now()
		asked := begin.Add(3 * time.Hour)
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			o := retry()
			if p.device.ID == busy.ID {
				time.Sleep(time.Second) // the others have paused the lane by then
				o.At = asked
			}
			time.Sleep(time.Millisecond) // all are on their way before the first is answered
			return o
		})
		h.run()
		ids := h.mail(1)
		after(2 * time.Second)
		if h.lane("webpush "+origin).Name == "" {
			t.Fatal("the lane is not paused")
		}
		h.answers(nil)
		after(maxRetryWait)
		for _, d := range crowd[1:] {
			h.wantShown(ids, d, 1)
		}
		after(time.Until(asked) - 1)
		if got := h.received(busy); len(got) > 0 {
			t.Errorf("it was tried before the time that its service asked for")
		}
		after(1)
		h.wantShown(ids, busy, 1)
	})
}

// The service gives all of them the time.
func retryPausing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(breakAfter)
		asked := time.Now().Add(3 * time.Hour)
		h.answers(func(context.Context, sent) registry.Outcome {
			o := retry()
			o.At = asked
			return o
		})
		h.run()
		ids := h.mail(1)
		synctest.Wait()
		if h.lane("webpush "+origin).Name == "" {
			t.Fatal("the lane is not paused")
		}
		h.answers(nil)
		after(time.Until(asked) - 1)
		if n := len(h.sends()); n != len(crowd) {
			t.Errorf("%d sends before the time that the service asked for, want the first to each of %d", n, len(crowd))
		}
		after(1)
		for _, d := range crowd {
			h.wantShown(ids, d, 1)
		}
	})
}

func retrySuspect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(10)
		suspect := crowd[0]
		h.answers(only(suspect, ourFault))
		h.run()
		for range 4 {
			h.mail(1)
			after(maxFaultWait)
		}
		if d, err := h.store.Devices.Get(suspect.ID); err != nil || d.Status.State != idlepush.StateSuspect {
			t.Fatalf("status %+v, %v", d.Status, err)
		}
		var out atomic.Bool
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == suspect.ID {
				time.Sleep(3 * time.Second)
				return ourFault()
			}
			if out.Load() {
				return retry()
			}
			return accepted
		})
		n := len(h.waits(suspect))
		for len(h.waits(suspect)) == n {
			after(time.Second)
		}
		out.Store(true) // it is on its way, and the lane is paused before it is answered
		h.mail(1)
		after(time.Second)
		if h.lane("webpush "+origin).Name == "" {
			t.Fatal("the lane is not paused")
		}
		out.Store(false)
		after(12 * time.Hour)
		if wait := h.waits(suspect)[n+1]; wait < 5*time.Minute {
			t.Errorf("tried again after %v", wait)
		}
	})
}

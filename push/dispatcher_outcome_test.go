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

// only returns o for one device, and accepts the messages of all others.
func only(d idlepush.Device, o func() registry.Outcome) func(context.Context, sent) registry.Outcome {
	return func(_ context.Context, p sent) registry.Outcome {
		if p.device.ID == d.ID {
			return o()
		}
		return accepted
	}
}

func TestDispatcherOutcome(t *testing.T) {
	t.Parallel()
	t.Run("a suspect device is tried rarely, and kept", dispatcherSuspect)
	t.Run("a device that is gone is removed, and its owner is notified on another", dispatcherGone)
	t.Run("a \"gone\" that is older than the address removes nothing", dispatcherGoneOld)
	t.Run("a refused message alone is dropped, with its reason", dispatcherRefused)
	t.Run("the log contains no secret", dispatcherSecrets)
	t.Run("each try is measured", dispatcherMeasures)
	t.Run("the time that quiet hours hold mail is not measured", dispatcherMeasuresHeld)
}

func dispatcherMeasures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.phone("phone")
		tries := 0
		h.answers(func(context.Context, sent) registry.Outcome {
			if time.Sleep(time.Second); tries > 0 {
				return accepted
			}
			tries++
			return registry.Outcome{Result: registry.ResultRetry, At: time.Now().Add(time.Minute), Reason: idlepush.Reason{Code: "busy"}}
		})
		var got []Sent
		h.measured = func(s Sent) { got = append(got, s) }
		stop := h.run()
		h.mail(1)
		after(2 * time.Minute)
		stop()
		want := []Sent{
			{"fcm", "stub.example", registry.ResultRetry, time.Second, 0},
			{"fcm", "stub.example", registry.ResultDelivered, time.Second, time.Minute + 2*time.Second},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

func dispatcherMeasuresHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.hush(h.phone("phone"), everyNight)
		h.answers(func(context.Context, sent) registry.Outcome { return accepted })
		var got []Sent
		h.measured = func(s Sent) { got = append(got, s) }
		untilClock(t, "2000-01-01 23:00")
		stop := h.run()
		h.mail(1)
		untilClock(t, "2000-01-02 12:00")
		stop()
		if want := []Sent{{"fcm", "stub.example", registry.ResultDelivered, 0, 0}}; !slices.Equal(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

func dispatcherSuspect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		odd, phone := h.phone("odd"), h.phone("phone")
		h.answers(only(odd, complaint))
		h.run()
		ids := h.mail(2)
		after(time.Minute)
		d, err := h.store.Devices.Get(odd.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d.Status.State != idlepush.StateSuspect || d.Status.Code != "bad_address" {
			t.Errorf("status %+v", d.Status)
		}
		after(2 * 24 * time.Hour)
		waits := h.waits(odd)
		if len(waits) < 10 || len(waits) > 35 {
			t.Errorf("tried again after %v", waits)
		}
		for i, wait := range waits {
			if wait < minSuspectWait/2 || wait > maxSuspectWait {
				t.Errorf("wait %d is %v, want %v to %v", i, wait, minSuspectWait/2, maxSuspectWait)
			}
		}
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("the phone beside it got %d of %d", len(got), len(ids))
		}
		h.answers(nil)
		after(12 * time.Hour)
		if got := h.received(odd); !slices.Equal(got, ids) {
			t.Errorf("once it is right again it got %d of %d", len(got), len(ids))
		}
		if d, err = h.store.Devices.Get(odd.ID); err != nil || d.Status.State != idlepush.StateProven || d.Status.Code != "" {
			t.Errorf("status %+v, %v", d.Status, err)
		}
	})
}

func dispatcherGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		old, phone := h.phone("old"), h.phone("phone")
		h.answers(only(old, gone))
		h.run()
		ids := h.mail(2)
		synctest.Wait()
		if _, err := h.store.Devices.Get(old.ID); err == nil {
			t.Error("the device is still there")
		}
		got := h.received(phone)
		if len(got) != 3 {
			t.Fatalf("the other got %d notifications, want two mails and one word about the device", len(got))
		}
		for _, p := range h.sends() {
			if p.device.ID == phone.ID && p.message.Kind == idlepush.KindAttention && !strings.Contains(p.message.Body, "old gets no more notifications") {
				t.Errorf("it says %q", p.message.Body)
			}
		}
		if slices.Index(got, ids[0]) != 0 || !slices.Contains(got, ids[1]) {
			t.Errorf("the other got %v, want %v among them in order", got, ids)
		}
		if n := len(h.sends()); n != 4 {
			t.Errorf("%d sends, want one to the device that is gone", n)
		}
	})
}

// The app registered a new token while the old one was being refused.
func dispatcherGoneOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			time.Sleep(time.Second)
			if p.device.Address == phone.Address {
				return gone()
			}
			return accepted
		})
		h.run()
		ids := h.mail(1)
		synctest.Wait()
		fresh := phone
		fresh.Address = "planted token, renewed"
		if _, err := h.store.Devices.Update(fresh, time.Now()); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("at its new address it got %d of %d", len(got), len(ids))
		}
	})
}

func dispatcherRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		ids := h.mail(3)
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.message.ID == ids[1] {
				return refused()
			}
			return accepted
		})
		h.run()
		synctest.Wait()
		if got := h.received(phone); !slices.Equal(got, []string{ids[0], ids[2]}) {
			t.Errorf("got %d of 2", len(got))
		}
		if d := h.delivery(ids[1], phone); d.State != idlepush.DeliveryRefused || d.Code != "too_large" || d.Attempts != 1 {
			t.Errorf("delivery %+v", d)
		}
		if n := len(h.sends()); n != 3 {
			t.Errorf("%d sends", n)
		}
	})
}

// It has every outcome, a send that hangs, and a device and a lane of each kind.
func dispatcherSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.phone("phone")
		for i, origin := range []string{"https://a.example", "https://b.example", "https://c.example"} {
			h.browser("browser", origin)
			h.register(idlepush.Device{Name: "ipad", Transport: "apns", Params: map[string]string{"environment": "production"},
				Address: idlepush.Secret("planted token " + device(i)), Content: idlepush.LevelPreview})
		}
		outcomes := []func() registry.Outcome{retry, complaint, refused, ourFault, func() registry.Outcome { return accepted }}
		i := 0
		h.answers(func(ctx context.Context, p sent) registry.Outcome {
			h.mu.Lock()
			i++
			n := i
			h.mu.Unlock()
			if n%7 == 0 {
				return hang(ctx, p)
			}
			return outcomes[n%len(outcomes)]()
		})
		h.removeTransport("fcm")
		h.run()
		for range 10 {
			h.mail(3)
			after(20 * time.Minute)
		}
		h.answers(func(context.Context, sent) registry.Outcome { return gone() })
		h.mail(1)
		after(24 * time.Hour)
		log := h.lines.String()
		for _, word := range []string{"delivered", "device removed", "not delivered", "will be retried", "lane paused", "lane works again", "transport_unknown"} {
			if !strings.Contains(log, word) {
				t.Errorf("the run did not come to %q", word)
			}
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, "planted") {
				t.Errorf("the log says %s", line)
			}
		}
	})
}

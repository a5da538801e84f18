package push

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

// slow answers after the wait, unless the send is cancelled.
func slow(wait time.Duration) func(context.Context, sent) registry.Outcome {
	return func(ctx context.Context, _ sent) registry.Outcome {
		if !pause(ctx, wait) {
			return retry()
		}
		return accepted
	}
}

// hang answers only when the send is cancelled.
func hang(ctx context.Context, _ sent) registry.Outcome {
	<-ctx.Done()
	return retry()
}

func TestOrder(t *testing.T) {
	t.Parallel()
	t.Run("new mail is sent without delay while the dispatcher waits", orderAtOnce)
	t.Run("a dead device delays no other of its lane", orderDead)
	t.Run("each device gets its queue in order, one message at a time", orderQueue)
	t.Run("as many sends run at once as promised", orderConcurrency)
	t.Run("a lane that hangs delays no other", orderLane)
	t.Run("a slow device delays only itself", orderSlow)
	t.Run("a device that did not answer gets less time, until it answers", orderHanging)
	t.Run("a device that takes long to answer gets its mail although it did not answer before", orderLong)
	t.Run("devices that did not answer share a few places", orderFewSlow)
	t.Run("each device gets what its level allows now", orderLevel)
}

func orderAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.run()
		for range 3 {
			after(maxIdle / 3)
			ids := h.mail(1)
			synctest.Wait()
			if got := h.received(phone); !slices.Contains(got, ids[0]) {
				t.Fatalf("the mail just recorded is not among the %d that were sent", len(got))
			}
		}
	})
}

// That holds even if nothing else proves for hours that the lane works.
func orderDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		dead := h.phone("dead")
		h.answers(only(dead, retry))
		h.run()
		h.mail(1)
		phone := h.phone("phone")
		after(2 * time.Hour)
		for failed := len(h.sends()); len(h.sends()) == failed; {
			after(time.Second) // until right after the next failure
		}
		ids := h.mail(1)
		synctest.Wait()
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("the mail waits, because a device beside fails")
		}
	})
}

// Failures in between do not change the order. The service fails the test if two sends overlap.
func orderQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		var devices []idlepush.Device
		for i := range 8 {
			devices = append(devices, h.phone(fmt.Sprint("phone ", i)), h.browser("browser", fmt.Sprintf("https://push%d.example", i)))
		}
		random := testenv.Rand(t)
		h.answers(func(context.Context, sent) registry.Outcome {
			h.mu.Lock()
			wait, fails := time.Duration(random.Int64N(int64(3*time.Second))), random.IntN(4) == 0
			h.mu.Unlock()
			time.Sleep(wait)
			if fails {
				return retry()
			}
			return accepted
		})
		h.run()
		ids := h.mail(5)
		after(10 * time.Second)
		ids = append(ids, h.mail(5)...)
		after(time.Hour)
		for _, d := range devices {
			if got := h.received(d); !slices.Equal(got, ids) {
				t.Errorf("%s got %d of %d mails, or not in their order", d.Name, len(got), len(ids))
			}
			h.wantState(ids, d, idlepush.DeliveryDelivered)
		}
	})
}

// They are half of Concurrency if all devices are of one user. TestShares has several.
func orderConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		const most, n = Concurrency / 2, 2*Concurrency + 10
		for i := range n {
			h.browser(fmt.Sprint(i), fmt.Sprintf("https://push%d.example", i%5))
		}
		h.mail(1)
		h.answers(slow(time.Second))
		begin := time.Now()
		h.run()
		synctest.Wait()
		if got := len(h.sends()); got != most {
			t.Errorf("%d sends began at once, want %d", got, most)
		}
		after(time.Minute)
		if h.most != most {
			t.Errorf("%d sends at once, want %d", h.most, most)
		}
		all := h.sends()
		if len(all) != n {
			t.Fatalf("%d sends, want %d", len(all), n)
		}
		if took := all[n-1].at.Sub(begin); took != 4*time.Second {
			t.Errorf("the last send began after %v, want 4s: a place that is free is used", took)
		}
	})
}

// The number of its devices does not matter.
func orderLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		for i := range 2 * Concurrency {
			h.browser(fmt.Sprint(i), "https://dead.example")
		}
		h.answers(func(ctx context.Context, p sent) registry.Outcome {
			if p.device.Transport == "webpush" {
				return hang(ctx, p)
			}
			return accepted
		})
		h.mail(1) // the dead lane's devices are due before the phone
		phone := h.phone("phone")
		h.run()
		for wait := range 6 {
			after(time.Duration(wait) * 7 * time.Second)
			ids := h.mail(1)
			synctest.Wait()
			if !slices.Contains(h.received(phone), ids[0]) {
				t.Fatalf("a phone waits while another service hangs, at look %d", wait)
			}
		}
	})
}

func orderSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		lame, phone := h.phone("lame"), h.phone("phone")
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == lame.ID {
				time.Sleep(20 * time.Second)
			}
			return accepted
		})
		h.run()
		ids := h.mail(4)
		synctest.Wait()
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("the phone has %d of %d mails", len(got), len(ids))
		}
		if got := h.received(lame); len(got) > 0 {
			t.Errorf("the slow one has %d already", len(got))
		}
		after(80 * time.Second)
		if got := h.received(lame); !slices.Equal(got, ids) {
			t.Errorf("the slow one has %d of %d mails", len(got), len(ids))
		}
	})
}

// Another address begins anew.
func orderHanging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone, came := h.phone("phone"), make(chan time.Time, 1)
		// begin runs once the service hangs: the dispatcher may send at once.
		takes := func(want time.Duration, begin func()) {
			t.Helper()
			h.answers(func(ctx context.Context, p sent) registry.Outcome {
				o := hang(ctx, p)
				came <- p.at
				return o
			})
			begin()
			if took := time.Since(<-came); took != want {
				t.Errorf("it had %v to answer, want %v", took, want)
			}
			h.answers(nil)
		}
		var stop func()
		run, mail, again := func() { stop = h.run() }, func() { h.mail(1) }, func() {}
		mail()
		takes(sendTimeout, run)
		takes(slowTimeout, again)
		stop()
		h.reopen()
		takes(slowTimeout, run)
		after(time.Minute) // it answers
		takes(sendTimeout, mail)
		takes(sendTimeout, func() {
			phone.Address = "planted token of another phone"
			if _, err := h.store.Devices.Update(phone, time.Now()); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func orderLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.answers(hang)
		h.run()
		ids := h.mail(2)
		after(time.Minute)
		h.answers(answer(12*time.Second, accepted))
		after(5 * time.Minute)
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("it got %d of %d mails", len(got), len(ids))
		}
	})
}

func orderFewSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		for i := range Concurrency / 2 {
			h.browser(fmt.Sprint(i), fmt.Sprintf("https://push%d.example", i))
		}
		h.answers(hang)
		h.run()
		h.mail(1)
		after(sendTimeout - 1)
		if n := h.mostInFlight(); n != Concurrency/2 {
			t.Errorf("%d in flight at first", n)
		}
		after(1)
		h.mu.Lock()
		h.most = 0
		h.mu.Unlock()
		after(10 * time.Minute)
		if n := h.mostInFlight(); n != slowConcurrency/2 {
			t.Errorf("%d in flight at once when none has answered, want %d", n, slowConcurrency/2)
		}
	})
}

func orderLevel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone, tablet := h.phone("phone"), h.phone("tablet")
		h.mail(1)
		phone.Content = idlepush.LevelSender // edited between Record and the send
		if _, err := h.store.Devices.Update(phone, time.Now()); err != nil {
			t.Fatal(err)
		}
		h.run()
		synctest.Wait()
		bodies := make(map[string]string)
		for _, p := range h.sends() {
			bodies[p.device.ID] = p.message.Body
			if p.message.URL != "https://push.example.org/#/open/"+p.message.ID || p.message.Thread != h.account.ID || p.message.TTL(p.at) != 72*time.Hour {
				t.Errorf("%s: url %q, thread %q, ttl %v", p.device.Name, p.message.URL, p.message.Thread, p.message.TTL(p.at))
			}
		}
		if bodies[phone.ID] != "New mail" || bodies[tablet.ID] != "planted subject 1\nplanted preview" {
			t.Errorf("phone %q, tablet %q", bodies[phone.ID], bodies[tablet.ID])
		}
	})
}

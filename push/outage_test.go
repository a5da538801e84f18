package push

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
)

func TestAServiceThatHangsForAnHourDelaysNoDeviceOfAnotherLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		end := time.Now().Add(time.Hour)
		h.answers(func(ctx context.Context, p sent) registry.Outcome {
			if p.device.Transport == registry.FCM && p.at.Before(end) {
				return hang(ctx, p)
			}
			return accepted
		})
		var browsers []registry.Device
		for i := range 3 * laneConcurrency {
			h.phone(fmt.Sprint("phone ", i))
			if i%3 == 0 {
				browsers = append(browsers, h.browser(fmt.Sprint("browser ", i), "https://push.example"))
			}
		}
		h.run()
		came := make(map[string]time.Time)
		for time.Now().Before(end) {
			for _, id := range h.mail(2) {
				came[id] = time.Now()
			}
			after(time.Duration(1+rand.N(100)) * time.Second)
		}
		of := make(map[string]int)
		for _, p := range h.sends() {
			if p.device.Transport != registry.WebPush {
				continue
			}
			of[p.device.ID]++
			if delay := p.at.Sub(came[p.message.ID]); delay != 0 {
				t.Errorf("%s was sent a mail %v after it came", p.device.Name, delay)
			}
		}
		for _, d := range browsers {
			if of[d.ID] != len(came) {
				t.Errorf("%s was sent %d of %d mails", d.Name, of[d.ID], len(came))
			}
		}
	})
}

// A day's outage of a service with 200 phones, 500 mails each. Not beside other tests: it measures the heap, which they share.
func TestAHundredThousandDeliveriesDrainAfterADaysOutageWithoutAFlood(t *testing.T) {
	const mailboxes, phones, mails = 100, 2, 500
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.limit = 5
		var down atomic.Bool
		down.Store(true)
		h.answers(func(context.Context, sent) registry.Outcome {
			if down.Load() {
				return retry()
			}
			return accepted
		})
		for i := range mailboxes {
			h.mailbox(fmt.Sprint("box ", i))
			for j := range phones {
				h.register(registry.Device{Name: fmt.Sprint("phone ", i, " ", j), Transport: registry.FCM, Content: registry.Subject,
					Token: registry.Secret(fmt.Sprint("planted token ", i, " ", j)), Accounts: []string{h.account.ID}})
			}
			h.uid = 1
			h.mail(mails)
		}
		h.run()
		after(24 * time.Hour)
		tries := len(h.sends())
		if tries > 24*60*2 {
			t.Errorf("a service that was down for a day was asked %d times", tries)
		}
		down.Store(false)
		base := heap()
		most := uint64(0)
		for range 10 {
			after(30 * time.Second)
			most = max(most, heap())
		}
		if grown := int64(most) - int64(base); grown > 32<<20 {
			t.Errorf("draining took %d MB", grown>>20)
		}
		total, rang := make(map[string]int), make(map[string][]time.Time)
		for _, p := range h.sends()[tries:] {
			n, err := h.store.Notification(owner, p.message.ID, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			total[p.device.ID] += max(1, n.Count)
			rang[p.device.ID] = append(rang[p.device.ID], p.at)
		}
		if len(total) != mailboxes*phones {
			t.Errorf("%d of %d phones rang", len(total), mailboxes*phones)
		}
		for device, n := range total {
			if n != mails {
				t.Errorf("%d mails rang or were counted on a phone, of %d", n, mails)
			}
			if times := rang[device]; len(times) > h.limit+2 {
				t.Errorf("a phone rang %d times: %v", len(times), times)
			}
		}
	})
}

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

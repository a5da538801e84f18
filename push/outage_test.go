package push

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

// TestHangingService checks for an hour, or a tenth of one, that a service that hangs delays no
// device of another lane.
func TestHangingService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		end := time.Now().Add(minutes(testenv.Tenth(60)))
		h.answers(func(ctx context.Context, p sent) registry.Outcome {
			if p.device.Transport == "fcm" && p.at.Before(end) {
				return hang(ctx, p)
			}
			return accepted
		})
		var browsers []idlepush.Device
		for i := range 3 * laneConcurrency {
			h.phone(fmt.Sprint("phone ", i))
			if i%3 == 0 {
				browsers = append(browsers, h.browser(fmt.Sprint("browser ", i), "https://push.example"))
			}
		}
		h.run()
		random, came := testenv.Rand(t), make(map[string]time.Time)
		for time.Now().Before(end) {
			for _, id := range h.mail(2) {
				came[id] = time.Now()
			}
			after(time.Duration(1+random.IntN(100)) * time.Second)
		}
		of := make(map[string]int)
		for _, p := range h.sends() {
			if p.device.Transport != "webpush" {
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

// TestDrain sends 100,000 deliveries of a day, 500 mails to each of 200 phones, or a tenth of both.
// It measures the heap, which all tests of a process share.
func TestDrain(t *testing.T) { alone(t, drain) }

func drain(t *testing.T) {
	const mailboxes, phones = 100, 2
	mails, hours, most := testenv.Tenth(500), testenv.Tenth(24), uint64(10<<20)
	if testenv.Soak {
		most = 32 << 20
	}
	h := newHarness(t)
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
		h.addAccount(fmt.Sprint("box ", i))
		for j := range phones {
			h.register(idlepush.Device{Name: fmt.Sprint("phone ", i, " ", j), Transport: "fcm", Content: idlepush.LevelSubject,
				Address: idlepush.Secret(fmt.Sprint("planted token ", i, " ", j)), Accounts: []string{h.account.ID}})
		}
		h.uid = 1
		h.mail(mails)
	}
	h.run()
	after(time.Duration(hours) * time.Hour)
	tries := len(h.sends())
	if tries > hours*60*2 {
		t.Errorf("a service that was down for %d hours was asked %d times", hours, tries)
	}
	down.Store(false)
	base := heap()
	for range 10 {
		after(30 * time.Second)
		if now := heap(); now > base+most {
			t.Errorf("draining takes %d MB", (now-base)>>20)
		}
	}
	total, rang := make(map[string]int), make(map[string][]time.Time)
	for _, p := range h.sends()[tries:] {
		n, err := h.store.History.Get(h.owner, p.message.ID, time.Now())
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
}

// heap returns the bytes of memory in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package push

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

// settled takes n deliveries of the device from its queue in order, each in a commit of its own:
// the least that the dispatcher does.
func settled(b *testing.B, h *harness, d idlepush.Device, n int) {
	for range n {
		w, ok, err := h.store.Outbox.Next(d.ID, time.Now())
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		if _, err := h.store.Outbox.Settle(w, accepted, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	h := newHarness(b)
	phone := h.phone("phone")
	h.mail(b.N)
	b.ResetTimer()
	settled(b, h, phone, b.N)
}

// counter accepts every message at once, and reports when it has as many as it waits for.
type counter struct {
	Sender // only Send is asked
	left   atomic.Int64
	none   chan struct{}
}

func (c *counter) Send(context.Context, idlepush.Device, Message) registry.Outcome {
	if c.left.Add(-1) == 0 {
		close(c.none)
	}
	return accepted
}

// settleSample is the number of commits measured with each run of the dispatcher.
const settleSample = 100

// neighbours makes n devices, ten to an account, each account with the given number of mails
// queued.
func (h *harness) neighbours(n, mails int) {
	var mailboxes []idlepush.Account
	var registering sync.WaitGroup
	for i := range n {
		if i%10 == 0 {
			h.addAccount(device(i))
			mailboxes = append(mailboxes, h.account)
		}
		d := idlepush.Device{Name: "phone", Transport: "fcm", Address: idlepush.Secret(device(i)),
			Content: idlepush.LevelPreview, Accounts: []string{h.account.ID}}
		registering.Go(func() { h.register(d) })
	}
	registering.Wait()
	for _, a := range mailboxes {
		h.account = a
		h.mail(mails)
	}
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDispatcher reports the deliveries per second through a sender that costs nothing, and
// the deliveries in the time of one commit of BenchmarkCommit, measured in the same run.
func BenchmarkDispatcher(b *testing.B) {
	for _, devices := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("%d devices", devices), func(b *testing.B) {
			h := newHarness(b)
			alone := h.phone("alone")
			h.mail(settleSample)
			start := time.Now()
			settled(b, h, alone, settleSample)
			commit := time.Since(start) / settleSample
			each := (b.N + devices - 1) / devices
			h.neighbours(devices, each)
			c := &counter{none: make(chan struct{})}
			c.left.Store(int64(each * devices))
			h.transports = Transports{stub{c, Traits{Name: "fcm"}}}
			b.ResetTimer()
			start = time.Now()
			cpu := cpuTime(b)
			stop := h.run()
			<-c.none
			stop()
			took := time.Since(start)
			cpu = cpuTime(b) - cpu
			b.StopTimer()
			done := float64(each * devices)
			b.ReportMetric(done/took.Seconds(), "deliveries/s")
			b.ReportMetric(float64(cpu.Microseconds())/done, "cpu-µs/delivery")
			b.ReportMetric(done*commit.Seconds()/took.Seconds(), "deliveries/commit")
			b.ReportMetric(0, "ns/op")
		})
	}
}

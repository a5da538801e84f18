package push

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"idlepush/registry"
)

const (
	// Concurrency is how many sends run at once, over all devices and lanes.
	Concurrency = 160

	laneConcurrency = Concurrency / 5  // in one lane: some that hang leave room for the others
	sendLimit       = 30 * time.Second // one Send
	drainLimit      = 8 * time.Second  // for the sends in flight when Run is to end
	proveLimit      = 10 * time.Second // one proving or test push
	longestIdle     = time.Minute      // between two looks at the outbox, should the clock be set meanwhile
	storeRetry      = time.Second      // the wait after the store failed, doubled up to longestIdle
)

// Dispatcher brings what is queued to the devices. Fill in the fields, then call Run once; Prove
// and Preview may be called at any time.
type Dispatcher struct {
	Store      registry.Outbox
	Transports Transports    // all that there are
	URL        func() string // where the page is; "": not known
	BurstLimit int           // mails per minute, device and account that ring one by one before a summary takes over; 0: all
	Log        *slog.Logger
	Now        func() time.Time // the clock on the wall, which may be wrong and be set; nil: time.Now

	mu    sync.Mutex
	lanes map[string]breaker // without the zero ones; guarded by mu
}

// Run sends until ctx ends, then gives the sends in flight a few seconds to finish; it returns
// within 10 s of that. What it has not finished stays queued. A store that fails is asked again.
func (d *Dispatcher) Run(ctx context.Context) {
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var workers sync.WaitGroup
	done := make(chan registry.Queue, Concurrency)
	busy := make(map[string]string) // devices with a send in flight, and their lanes
	failed, c := 0, clock{read: d.now}
	d.lanes = make(map[string]breaker)
	todo := errand{run: d.begin}
	for ctx.Err() == nil {
		now, back := c.look()
		if back {
			todo = errand{run: d.hasten}
		}
		if err := todo.try(now); err != nil {
			d.Log.Error("waiting deliveries cannot be hastened after a start or after the clock was set back: it is tried again", "err", err, "attempt", todo.failed)
		}
		queues, next, err := d.Store.Due(now, Concurrency-len(busy), laneConcurrency, busy)
		if failed = retried(failed, err); err != nil {
			d.Log.Error("the outbox cannot be read", "err", err, "attempt", failed)
			next = now.Add(doubled(storeRetry, longestIdle, failed-1))
		}
		for _, q := range d.probesFirst(queues) {
			busy[q.Device] = q.Lane
			workers.Go(func() {
				d.serve(ctx, sending, q)
				done <- q
			})
		}
		timer := time.NewTimer(min(idle(now, len(busy), next), todo.wait()))
		select {
		case <-ctx.Done():
		case q := <-done:
			delete(busy, q.Device)
			for range len(done) { // those that shared its commit: one look at what is due serves all
				delete(busy, (<-done).Device)
			}
		case <-d.Store.Changed():
		case <-timer.C:
		}
		timer.Stop()
	}
	defer time.AfterFunc(drainLimit, giveUp).Stop()
	workers.Wait()
}

// now reads the wall clock, without a monotonic reading, so that a difference of two readings shows
// that the clock was set.
func (d *Dispatcher) now() time.Time {
	read := d.Now
	if read == nil {
		read = time.Now
	}
	return read().Round(0)
}

// clock detects that the wall clock was set back.
type clock struct {
	read func() time.Time
	last time.Time // the last reading; zero before the first
	mono time.Time // the monotonic time of that reading
}

// look reads the clock and reports whether it was set back by more than a second since the last
// look.
func (c *clock) look() (now time.Time, back bool) {
	before := time.Now()
	now = c.read()
	back = !c.last.IsZero() && now.Sub(c.last) < before.Sub(c.mono)-time.Second
	c.last, c.mono = now, time.Now()
	return now, back
}

// begin probes the lanes that an earlier run has paused: a person may have mended one and restarted
// the program for that. It hastens everything if the clock was set back meanwhile.
func (d *Dispatcher) begin(now time.Time) error {
	back, err := d.Store.SetBack(now)
	if err != nil {
		return err
	}
	if back {
		return d.hasten(now)
	}
	return d.Store.ProbeLanes(now)
}

// hasten makes everything that waits due now, and probes every paused lane: times from before the
// clock was set back may lie hours ahead.
func (d *Dispatcher) hasten(now time.Time) error {
	if err := errors.Join(d.Store.ProbeLanes(now), d.Store.HastenDue(now)); err != nil {
		return err
	}
	d.Log.Warn("the clock was set back: everything that waits is tried now")
	return nil
}

// idle returns how long Run waits, from now, if nothing happens: until next, if it can send then.
func idle(now time.Time, inFlight int, next time.Time) time.Duration {
	if next.IsZero() || inFlight == Concurrency {
		return longestIdle
	}
	return min(longestIdle, next.Sub(now))
}

// errand is a task that is retried, after growing pauses, until it succeeds.
type errand struct {
	run    func(now time.Time) error // nil once it succeeded
	failed int
	again  time.Time // the next try, by the monotonic clock
}

func (e *errand) try(now time.Time) error {
	if e.run == nil || time.Now().Before(e.again) {
		return nil
	}
	err := e.run(now)
	if err == nil {
		*e = errand{}
		return nil
	}
	e.failed++
	e.again = time.Now().Add(doubled(storeRetry, longestIdle, e.failed-1))
	return err
}

func (e *errand) wait() time.Duration {
	if e.run == nil {
		return longestIdle
	}
	return time.Until(e.again)
}

func retried(failed int, err error) int {
	if err == nil {
		return 0
	}
	return failed + 1
}

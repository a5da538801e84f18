package push

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"idlepush/clocks"
	"idlepush/codes"
	"idlepush/registry"
)

const (
	sendTimeout  = 30 * time.Second // one Send
	slowTimeout  = 10 * time.Second // one Send to a slow device, see registry.Queue
	drainTimeout = 8 * time.Second  // for the sends in flight when Run is to end
	proveTimeout = 10 * time.Second // one proving or test push
	maxIdle      = time.Minute      // between two calls of Due, in case the clock is set
	storeRetry   = time.Second      // the wait after the store failed, doubled up to maxIdle
)

// Dispatcher sends queued deliveries to their devices. Set the fields, then call Run once. Prove
// and Preview may be called at any time.
type Dispatcher struct {
	Store      registry.Outbox
	Transports Transports
	Codes      codes.Table   // of all reasons, for what an attention says and for the log
	URL        func() string // returns the URL of the page, or "" while it is unknown

	// BurstLimit is the number of mails per minute, device and account that ring one by one. A
	// summary replaces those beyond it. 0: no limit.
	BurstLimit int

	// Jumped receives a value after the machine slept or its clock was set. Run then looks at
	// the queues at once, and sends on new connections: those of before may be dead. It may be nil.
	Jumped <-chan struct{}

	// Sent is called with each outcome of a queued delivery, before it is written. It may be nil.
	Sent func(Sent)

	// Looked is called each time Run has looked at the queues, at least once a minute. It may be
	// nil.
	Looked func()

	Log *slog.Logger
	Now func() time.Time // the wall clock, which may be wrong and may be set; nil: time.Now

	mu      sync.Mutex
	lanes   map[string]breaker // without zero breakers; guarded by mu
	proving map[string]int     // proving pushes in flight by user, without zeros; guarded by mu

	// judging is locked while evidence is read and the outcome that follows from it is written. It
	// is locked before mu.
	judging sync.Mutex
}

// Run sends until ctx ends. Then the sends in flight have drainTimeout to finish, and Run returns
// within 10 s. Unfinished deliveries stay queued. If the store fails, Run calls it again later.
func (d *Dispatcher) Run(ctx context.Context) {
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var workers sync.WaitGroup
	done := make(chan registry.Queue, Concurrency)
	inFlight := newSends()
	failed, c := 0, clock{wall: d.Now}
	d.lanes = make(map[string]breaker)
	todo, deciding, beats := task{run: d.begin}, task{}, heartbeats{d: d}
	for ctx.Err() == nil {
		now, back := c.look()
		if back {
			todo = task{run: d.hasten}
		}
		if err := todo.try(now); err != nil {
			d.Log.Error("cannot make queued deliveries due after a start or after the clock was set back; trying again", "err", err, "attempt", todo.failed)
		}
		if deciding.run == nil {
			deciding.run = func(now time.Time) error { return errors.Join(d.decide(now), d.Store.Withdraw(now)) }
		}
		if err := deciding.try(now); err != nil {
			d.Log.Error("cannot decide on old or excess mail, or withdraw notifications; trying again", "err", err, "attempt", deciding.failed)
		}
		if err := beats.look(now); err != nil {
			d.Log.Error("cannot queue a heartbeat; trying again in a minute", "err", err)
		}
		queues, err := d.Store.Due(now, inFlight.room, inFlight.queues)
		ready, next := split(queues, now)
		if failed = retried(failed, err); err != nil {
			d.Log.Error("cannot read the outbox; trying again", "err", err, "attempt", failed)
			next = now.Add(doubled(storeRetry, maxIdle, failed-1))
		}
		for q := range inFlight.take(d.chooseProbes(ready)) {
			workers.Go(func() {
				d.serve(ctx, sending, q)
				done <- q
			})
		}
		if d.Looked != nil {
			d.Looked()
		}
		timer := time.NewTimer(min(idle(now, len(inFlight.queues), next), inFlight.nextProbe(), todo.wait(), deciding.wait()))
		select {
		case <-ctx.Done():
		case q := <-done:
			inFlight.end(q)
			for range len(done) { // from the same commit, so that Due is called once for all
				inFlight.end(<-done)
			}
		case <-d.Store.Changed():
		case <-d.Jumped:
			d.Transports.closeIdleConnections()
		case <-timer.C:
		}
		timer.Stop()
	}
	defer time.AfterFunc(drainTimeout, giveUp).Stop()
	workers.Wait()
}

// now returns the time of the wall clock without a monotonic reading, so that the difference of two
// times shows whether the clock was set.
func (d *Dispatcher) now() time.Time { return clocks.Read(d.Now).Wall }

// clock detects that the wall clock was set back.
type clock struct {
	wall func() time.Time // nil: time.Now
	last clocks.Reading   // zero before the first
}

// look returns the time, and reports whether the clock was set back by more than a second since the
// last look.
func (c *clock) look() (now time.Time, back bool) {
	is := clocks.Read(c.wall)
	back = !c.last.Wall.IsZero() && clocks.Jump(c.last, is) < -time.Second
	c.last = is
	return is.Wall, back
}

// begin probes the lanes that an earlier run has paused: a person may have corrected a setting and
// restarted the program for that. It calls hasten if the clock was set back meanwhile.
func (d *Dispatcher) begin(now time.Time) error {
	back, err := d.Store.ClockWentBack(now)
	if err != nil {
		return err
	}
	if back {
		return d.hasten(now)
	}
	return d.Store.ProbeLanes(now)
}

// hasten makes all queued deliveries due now, and probes every paused lane. Times from before the
// clock was set back may be hours ahead.
func (d *Dispatcher) hasten(now time.Time) error {
	if err := errors.Join(d.Store.ProbeLanes(now), d.Store.HastenDue(now)); err != nil {
		return err
	}
	d.Log.Warn("the clock was set back; trying all queued deliveries now")
	return nil
}

// split returns the queues that are due at now, and when the first of the others will be; zero if
// there is no other. The queues are in the order of that.
func split(queues []registry.Queue, now time.Time) (ready []registry.Queue, next time.Time) {
	for i, q := range queues {
		if q.Due.After(now) {
			return queues[:i], q.Due
		}
	}
	return queues, time.Time{}
}

// idle returns the time that Run waits if nothing happens: until next, if it can send then.
func idle(now time.Time, inFlight int, next time.Time) time.Duration {
	if next.IsZero() || inFlight == Concurrency {
		return maxIdle
	}
	return min(maxIdle, next.Sub(now))
}

// task is a function that is called, after growing pauses, until it succeeds.
type task struct {
	run    func(now time.Time) error // nil once it succeeded
	failed int                       // number of tries
	again  time.Time                 // the next try, by the monotonic clock
}

func (e *task) try(now time.Time) error {
	if e.run == nil || time.Now().Before(e.again) {
		return nil
	}
	err := e.run(now)
	if err == nil {
		*e = task{}
		return nil
	}
	e.failed++
	e.again = time.Now().Add(doubled(storeRetry, maxIdle, e.failed-1))
	return err
}

func (e *task) wait() time.Duration {
	if e.run == nil {
		return maxIdle
	}
	return time.Until(e.again)
}

func retried(failed int, err error) int {
	if err == nil {
		return 0
	}
	return failed + 1
}

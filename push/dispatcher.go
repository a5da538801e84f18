package push

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
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

// Dispatcher brings what is queued to the devices. Fill in the fields, then call Run once; Prove and Preview may be called at any time.
type Dispatcher struct {
	Store      registry.Outbox
	Senders    map[registry.Transport]Sender // a transport without one is not configured
	URL        func() string                 // where the page is; "": not known
	BurstLimit int                           // mails per minute, device and account that ring one by one before a summary takes over; 0: all
	Log        *slog.Logger
	Now        func() time.Time // the clock on the wall, which may be wrong and be set; nil: time.Now

	judging sync.Mutex // held while a lane changes, here and then in the store, so that both go the same way
	mu      sync.Mutex
	lanes   map[string]breaker // without the zero ones; guarded by mu
}

// Run sends until ctx ends, then gives the sends in flight a few seconds to finish; it returns within 10 s of that. What
// it has not finished stays queued. A store that fails is asked again.
func (d *Dispatcher) Run(ctx context.Context) {
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var workers sync.WaitGroup
	done := make(chan registry.Queue, Concurrency)
	busy := make(map[string]bool) // devices with a send in flight
	failed, c := 0, clock{read: d.now}
	d.lanes = make(map[string]breaker)
	todo := errand{run: d.begin}
	for ctx.Err() == nil {
		now, back := c.look()
		if back {
			todo = errand{run: d.hasten}
		}
		if err := todo.try(now); err != nil {
			d.Log.Error("the pauses of an earlier run cannot be taken over, or the clock was set back and the store cannot be corrected: it is tried again", "err", err, "attempt", todo.failed)
		}
		skip := maps.Clone(busy)
		opens := d.shut(skip, now)
		queues, next, err := d.Store.Due(now, Concurrency-len(busy), skip)
		if failed = retried(failed, err); err != nil {
			d.Log.Error("the outbox cannot be read", "err", err, "attempt", failed)
			next = now.Add(doubled(storeRetry, longestIdle, failed-1))
		}
		for _, q := range d.probesFirst(queues) {
			if !d.enter(q.Lane, now) {
				continue
			}
			busy[q.Device] = true
			workers.Go(func() {
				d.deliver(ctx, sending, q.Device)
				d.leave(q.Lane)
				done <- q
			})
		}
		timer := time.NewTimer(min(idle(now, len(busy), next, opens), todo.wait()))
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

// look reads the clock and reports whether it was set back by more than a second since the last look.
func (c *clock) look() (now time.Time, back bool) {
	before := time.Now()
	now = c.read()
	back = !c.last.IsZero() && now.Sub(c.last) < before.Sub(c.mono)-time.Second
	c.last, c.mono = now, time.Now()
	return now, back
}

// begin takes over the pauses of an earlier run, and hastens everything if the clock was set back
// meanwhile.
func (d *Dispatcher) begin(now time.Time) error {
	back, err := d.Store.SetBack(now)
	if err != nil {
		return err
	}
	if back {
		return d.hasten(now)
	}
	return d.remember(now)
}

// hasten makes everything that waits due now, and probes every paused lane: times from before the
// clock was set back may lie hours ahead.
func (d *Dispatcher) hasten(now time.Time) error {
	if err := errors.Join(d.remember(now), d.Store.HastenDue(now)); err != nil {
		return err
	}
	d.Log.Warn("the clock was set back: everything that waits is tried now")
	return nil
}

// idle is how long Run waits, from now, if nothing happens: for whichever of the times comes first, if it can send by then.
func idle(now time.Time, inFlight int, times ...time.Time) time.Duration {
	wait := longestIdle
	for _, at := range times {
		if !at.IsZero() && inFlight < Concurrency {
			wait = min(wait, at.Sub(now))
		}
	}
	return wait
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

// remember takes up the pauses of an earlier run, or those by a clock that was set back since:
// each such lane is probed at once. A person may have mended it and started the program again for
// that.
func (d *Dispatcher) remember(now time.Time) error {
	d.judging.Lock()
	defer d.judging.Unlock()
	lanes, err := d.Store.Lanes()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range lanes {
		if err := d.Store.ResumeLane(l.Name, now); err != nil {
			return err
		}
		b := d.lanes[l.Name]
		b.failures, b.since, b.until = breakAfter, l.Since, now
		d.lanes[l.Name] = b
	}
	for lane, b := range d.lanes { // the store may have refused a pause
		if b.until.After(now) {
			b.until = now
			d.lanes[lane] = b
		}
	}
	return nil
}

// shut adds to skip the lanes that let no send out at now, and gives the time when the first pause ends; zero: none is
// paused.
func (d *Dispatcher) shut(skip map[string]bool, now time.Time) (opens time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for lane, b := range d.lanes {
		skip[lane] = b.sending >= b.limit(now)
		if now.Before(b.until) && (opens.IsZero() || b.until.Before(opens)) {
			opens = b.until
		}
	}
	return opens
}

// probesFirst orders what is due. A lane's devices come due together when its pause ends: were the probe one that fails for a reason of its own, the others
// would wait on. So those come first that did not fail, and else it is left to chance.
func (d *Dispatcher) probesFirst(queues []registry.Queue) []registry.Queue {
	rand.Shuffle(len(queues), func(i, j int) { queues[i], queues[j] = queues[j], queues[i] })
	d.mu.Lock()
	defer d.mu.Unlock()
	var doubted []registry.Queue
	queues = slices.DeleteFunc(queues, func(q registry.Queue) bool {
		doubt := d.lanes[q.Lane].doubts(q.Device)
		if doubt {
			doubted = append(doubted, q)
		}
		return doubt
	})
	return append(queues, doubted...)
}

func (d *Dispatcher) breaker(lane string) breaker {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes[lane]
}

// enter counts one more send in the lane, if it lets one out at now.
func (d *Dispatcher) enter(lane string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.lanes[lane]
	if b.sending >= b.limit(now) {
		return false
	}
	b.sending++
	d.set(lane, b)
	return true
}

func (d *Dispatcher) leave(lane string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.lanes[lane]
	b.sending--
	d.set(lane, b)
}

// set is called with mu held.
func (d *Dispatcher) set(lane string, b breaker) {
	if b == (breaker{}) {
		delete(d.lanes, lane)
	} else {
		d.lanes[lane] = b
	}
}

// deliver sends the head of one queue and writes what came of it. A send in flight outlives ctx, so that a shutdown
// does not send it twice; sending ends when it is to be given up.
func (d *Dispatcher) deliver(ctx, sending context.Context, device string) {
	log := d.Log.With("device", device)
	w, ok, err := d.next(device)
	if err != nil {
		if !errors.Is(err, registry.ErrNotFound) {
			log.Error("a queue cannot be read", "err", err)
			pause(ctx, longestIdle)
		}
		return
	}
	if !ok {
		return
	}
	start := time.Now()
	sending, cancel := context.WithTimeout(sending, sendLimit)
	defer cancel()
	answer := d.send(sending, w.Device, Render(w, d.URL()))
	o := d.breaker(w.Device.Lane()).read(w.Device.ID, answer)
	asked := !o.At.IsZero()
	now := d.now()
	o = scheduled(o, w, now)
	report(log.With("transport", w.Device.Transport, "attempt", w.Attempts+1, "duration", time.Since(start)), o, now)
	b := d.judge(w.Device, answer, log)
	if o.Result == registry.ResultRetry && !o.Suspect && b.paused() && !asked {
		o.At = time.Time{} // it waits with its lane, however that stands when this is written
	}
	d.settle(ctx, log, w, o)
}

// next gives what is sent next to the device. A line that has rung as often as it may is held back; once that is over, one summary takes the place of what
// waited in it.
func (d *Dispatcher) next(device string) (w registry.Work, ok bool, err error) {
	for {
		now := d.now()
		if w, ok, err = d.Store.Next(device, now); err != nil || !ok {
			return w, ok, err
		}
		b := burstOf(w.Notification.Kind, w.Device.Transport, d.BurstLimit)
		if w.Remember = b.limit; w.Released {
			combined, err := d.Store.Combine(w, now)
			if err != nil {
				return w, false, err
			}
			if combined > 0 {
				continue
			}
		}
		at := b.opens(w.Rang, now)
		if at.IsZero() {
			return w, true, nil
		}
		if err := d.Store.Hold(w, at, now); err != nil {
			return w, false, err
		}
	}
}

func report(log *slog.Logger, o registry.Outcome, now time.Time) {
	switch o.Result {
	case registry.ResultDelivered:
		log.Info("delivered")
	case registry.ResultRetry:
		log.Warn("not delivered, will be tried again", "status", o.Code, "err", o.Reason, "wait", o.At.Sub(now).Round(time.Second))
	case registry.ResultGone:
		log.Info("device forgotten", "status", o.Code, "err", o.Reason)
	default:
		log.Error("not delivered", "status", o.Code, "err", o.Reason)
	}
}

// settle writes the outcome. While the store cannot take it, as on a full disk, it holds the device and tries again: a
// push that was accepted is not sent again for that.
func (d *Dispatcher) settle(ctx context.Context, log *slog.Logger, w registry.Work, o registry.Outcome) {
	for n := 0; ; n++ {
		err := d.Store.Settle(w, o, d.now())
		if err == nil || errors.Is(err, registry.ErrNotFound) {
			return
		}
		if n == 0 {
			log.Error("an outcome cannot be written", "err", err)
		}
		if !pause(ctx, doubled(storeRetry, longestIdle, n)) {
			return
		}
	}
}

// judge draws the consequence of an outcome for the device's lane, and gives how that stands then.
func (d *Dispatcher) judge(device registry.Device, o registry.Outcome, log *slog.Logger) breaker {
	lane, now := device.Lane(), d.now()
	if b := d.breaker(lane); b.after(device.ID, o, now) == b {
		return b // as ever: this need not wait for a lane that changes
	}
	d.judging.Lock()
	defer d.judging.Unlock()
	d.mu.Lock()
	before := d.lanes[lane]
	b := before.after(device.ID, o, now)
	d.set(lane, b)
	d.mu.Unlock()
	var err error
	switch {
	case b.until.Equal(before.until):
	case b.paused():
		err = d.Store.PauseLane(registry.Lane{Name: lane, Since: b.since, Until: b.until, Code: o.Code, Reason: o.Reason})
		log.Warn("lane paused", "lane", lane, "status", o.Code, "wait", b.until.Sub(now).Round(time.Second))
	default:
		if err = d.Store.ResumeLane(lane, now); err == nil {
			log.Info("lane works again", "lane", lane)
			break
		}
		// The next answer ends it again.
		d.mu.Lock()
		b = d.lanes[lane]
		b.failures, b.since, b.until = before.failures, before.since, now
		d.set(lane, b)
		d.mu.Unlock()
	}
	if err != nil {
		log.Error("the state of a lane cannot be written", "lane", lane, "err", err)
	}
	return b
}

// pause waits and reports whether it waited to the end.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (d *Dispatcher) send(ctx context.Context, device registry.Device, m Message) registry.Outcome {
	s, ok := d.Senders[device.Transport]
	if !ok {
		return notConfigured(device.Transport)
	}
	return s.Send(ctx, device, m)
}

func notConfigured(t registry.Transport) registry.Outcome {
	return Misconfigured(string(t)+"_not_configured", "this server has no credentials for "+string(t)+": its admin must set them")
}

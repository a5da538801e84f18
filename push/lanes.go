package push

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"idlepush/registry"
)

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

// judge reads an answer in the light of its lane, and pauses or resumes the lane if the answer
// says so. It reports whether the lane is paused then.
func (d *Dispatcher) judge(w registry.Work, answer registry.Outcome, log *slog.Logger) (o registry.Outcome, paused bool) {
	now := d.now()
	b := d.breaker(w.Lane)
	o = b.read(w.Device.ID, answer)
	if b.after(w.Device.ID, answer, now) != b { // else this need not wait for a lane that changes
		b = d.change(w, answer, now, log)
	}
	return o, b.paused()
}

// change takes an answer into the breaker of its lane, and then writes the lane if its pause begins,
// goes on or ends.
func (d *Dispatcher) change(w registry.Work, answer registry.Outcome, now time.Time, log *slog.Logger) breaker {
	d.judging.Lock()
	defer d.judging.Unlock()
	d.mu.Lock()
	before := d.lanes[w.Lane]
	b := before.after(w.Device.ID, answer, now)
	d.set(w.Lane, b)
	d.mu.Unlock()
	var err error
	switch {
	case b.until.Equal(before.until):
	case b.paused():
		err = d.Store.PauseLane(registry.Lane{Name: w.Lane, Since: b.since, Until: b.until, Code: answer.Code, Reason: answer.Reason})
		log.Warn("lane paused", "lane", w.Lane, "status", answer.Code, "wait", b.until.Sub(now).Round(time.Second))
	default:
		if err = d.Store.ResumeLane(w.Lane, now); err == nil {
			log.Info("lane works again", "lane", w.Lane)
			break
		}
		// The next answer ends it again.
		d.mu.Lock()
		b = d.lanes[w.Lane]
		b.failures, b.since, b.until = before.failures, before.since, now
		d.set(w.Lane, b)
		d.mu.Unlock()
	}
	if err != nil {
		log.Error("the state of a lane cannot be written", "lane", w.Lane, "err", err)
	}
	return b
}

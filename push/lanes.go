package push

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"

	"idlepush/registry"
)

// chooseProbes orders the due queues, and keeps one probe for each paused lane: the one that says
// most about its lane. Among equals the order is random.
func (d *Dispatcher) chooseProbes(queues []registry.Queue) []registry.Queue {
	rand.Shuffle(len(queues), func(i, j int) { queues[i], queues[j] = queues[j], queues[i] })
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(queues, func(a, b registry.Queue) int {
		return cmp.Compare(d.lanes[a.Lane].doubts(a), d.lanes[b.Lane].doubts(b))
	})
	probed := make(map[string]bool)
	return slices.DeleteFunc(queues, func(q registry.Queue) bool {
		again := q.Probe && probed[q.Lane]
		probed[q.Lane] = true
		return again
	})
}

// doubt notes that a device whose queue cannot be read proves nothing about its lane. So another
// device is the next probe.
func (d *Dispatcher) doubt(q registry.Queue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.lanes[q.Lane]
	b.failing = b.failing.with(q.Device)
	d.lanes[q.Lane] = b
}

// judge adds an answer to the breaker of its lane, and returns the outcome for device and lane. If
// the answer is one step to a pause, no other such answer is judged until release is called.
func (d *Dispatcher) judge(w registry.Work, answer registry.Outcome) (o registry.Outcome, release func()) {
	release = func() {}
	var ev registry.Evidence
	if answer.Result == registry.ResultMisconfigured || answer.Result == registry.ResultRetry && !answer.Suspect {
		d.judging.Lock()
		release = sync.OnceFunc(d.judging.Unlock)
		var err error
		if ev, err = d.Store.Evidence(w.Lane, w.Device.ID); err != nil {
			d.Log.Error("cannot read the evidence about a lane; the device that failed waits alone", "device", w.Device.ID, "err", err)
			ev = registry.Evidence{Proven: 1} // another device: this one counts as not proven
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b, o := d.lanes[w.Lane].judge(w, ev, answer, d.now())
	if b == (breaker{}) {
		delete(d.lanes, w.Lane)
	} else {
		d.lanes[w.Lane] = b
	}
	if o.PauseFor == 0 && !o.Accuses {
		release()
	}
	return o, release
}

package push

import (
	"math/rand/v2"
	"slices"

	"idlepush/registry"
)

// chooseProbes orders the due queues, and keeps one probe for each paused lane. If that probe fails
// because of its device, all others wait longer. So devices that have not failed come first. Apart
// from that, the order is random.
func (d *Dispatcher) chooseProbes(queues []registry.Queue) []registry.Queue {
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
	probed := make(map[string]bool)
	return slices.DeleteFunc(append(queues, doubted...), func(q registry.Queue) bool {
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

// judge adds an answer to the breaker of its lane, and returns the outcome for device and lane.
func (d *Dispatcher) judge(w registry.Work, answer registry.Outcome) registry.Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, o := d.lanes[w.Lane].judge(w.Device.ID, w.Pause.Name != "", answer, d.now())
	if b == (breaker{}) {
		delete(d.lanes, w.Lane)
	} else {
		d.lanes[w.Lane] = b
	}
	return o
}

package registry

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"idlepush/registry/table"
)

// inFlight knows the deliveries whose pushes may be on their way, or are accepted and not settled.
// If one is withdrawn, its outcome decides what follows.
type inFlight struct {
	mu      sync.Mutex
	devices map[id]pushes
	ending  map[*queueSet][]deliveryKey // what running transactions take from queues
	before  map[id][]uint64             // sequences that an earlier run may have sent; not guarded
	marked  atomic.Bool                 // the store has the mark of an earlier run; see endRun
}

// beginRun finds out what an earlier run may have sent without writing the outcome: the first eight
// of each subqueue, unless that run has ended in order. Held deliveries are never sent. A disk that
// is full does not keep the run from beginning: Ready has the error then.
func (c *core) beginRun() error {
	inOrder := false
	err := c.db.View(func(tx *table.Tx) (err error) {
		if c.began, err = lastSequence(tx); err != nil {
			return err
		}
		var row metaRow
		if row, inOrder, err = metas.Get(tx, metaUnsettled); err != nil {
			return err
		}
		if inOrder {
			c.began = row.Number
		}
		c.inFlight.before, c.began, err = firstWaiting(tx, c.began)
		return err
	})
	if err != nil || !inOrder {
		return err
	}
	c.inFlight.marked.Store(true)
	if err = c.unmark(); errors.Is(err, ErrCorrupt) {
		return err
	}
	return nil
}

// unmark removes the mark of an earlier run, which would be taken for one of this run. Before that
// nothing may be sent.
func (c *core) unmark() error {
	if !c.inFlight.marked.Load() {
		return nil
	}
	err := c.db.Update(func(tx *table.Tx) error { return metas.Delete(tx, metaUnsettled) })
	c.inFlight.marked.Store(err != nil)
	return err
}

// firstWaiting returns the sequences of the first eight that wait in each subqueue, but not those
// after upTo, by device, and the last of them. It reads no row: one may be damaged.
func firstWaiting(tx *table.Tx, upTo uint64) (first map[id][]uint64, last uint64, err error) {
	first = make(map[id][]uint64)
	for rest := (table.Range{}); upTo > 0; {
		list, err := waiting.Keys(tx, rest, maxTogether)
		if err != nil || len(list) == 0 {
			return first, last, err
		}
		sub := list[0].subqueueKey
		rest = rest.Past(sub)
		if _, held := sub.isHeldBack(); held {
			continue
		}
		for _, k := range list {
			if k.subqueueKey == sub && k.seq <= upTo {
				first[sub.device], last = append(first[sub.device], k.seq), max(last, k.seq)
			}
		}
	}
	return first, last, nil
}

// endRun notes that this run has ended in order: it leaves nothing unsettled but what it found. It
// notes nothing if something is in flight.
func (c *core) endRun() error {
	if c.inFlight.any() {
		return nil
	}
	return c.db.Update(func(tx *table.Tx) error { return metas.Put(tx, metaUnsettled, metaRow{Number: c.began}) })
}

// pushes are those of one device.
type pushes struct {
	accepted []deliveryKey // and not settled
	sending  deliveryKey   // zero: none
	choosing bool          // any other of the device's may be sent
}

func newInFlight() *inFlight {
	return &inFlight{devices: make(map[id]pushes), ending: make(map[*queueSet][]deliveryKey)}
}

// isOfBefore reports whether an earlier run may have sent the delivery.
func (f *inFlight) isOfBefore(k deliveryKey) bool {
	return slices.Contains(f.before[k.device], k.notification.seq)
}

// any reports whether a push may be on its way, or was answered and is not settled.
func (f *inFlight) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.devices) > 0
}

// set says which pushes of the device may be on their way, or are accepted and not settled.
func (f *inFlight) set(device id, p pushes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p.accepted) == 0 && p.sending == (deliveryKey{}) && !p.choosing {
		delete(f.devices, device)
	} else {
		f.devices[device] = p
	}
}

// landed says that what of the device was in flight is written, or that there is no such device. If
// err is another error, it stays in flight.
func (f *inFlight) landed(device id, err error) {
	if err == nil || errors.Is(err, ErrNotFound) {
		f.set(device, pushes{})
	}
}

// end reports whether the transaction may take the delivery from its queue. Next then does not
// choose it, until ended.
func (f *inFlight) end(set *queueSet, k deliveryKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.devices[k.device]
	if p.choosing || p.sending == k || slices.Contains(p.accepted, k) {
		return false
	}
	f.ending[set] = append(f.ending[set], k)
	return true
}

// ended says that the transaction has been committed, or has failed.
func (f *inFlight) ended(set *queueSet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ending, set)
}

// endingNow returns what running transactions take from queues.
func (f *inFlight) endingNow() (list []deliveryKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, keys := range f.ending {
		list = append(list, keys...)
	}
	return list
}

// isAccepted reports whether the push was accepted and is not settled.
func (f *inFlight) isAccepted(k deliveryKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.devices[k.device].accepted, k)
}

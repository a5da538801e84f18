package registry

import (
	"errors"
	"slices"
	"sync"

	"idlepush/registry/table"
)

// inFlight knows the deliveries whose pushes may be on their way, or are accepted and not settled.
// If one is withdrawn, its outcome decides what follows.
type inFlight struct {
	mu      sync.Mutex
	devices map[id]pushes
	ending  map[*queueSet][]deliveryKey // what transactions that run take from queues
	before  map[subqueueKey]uint64      // the last sequence that an earlier run may have sent
}

// beginRun finds out what an earlier run may have sent without writing the outcome: anything,
// unless that has ended in order.
func (c *core) beginRun() error {
	inOrder := false
	err := c.db.View(func(tx *table.Tx) (err error) {
		if c.began, err = lastSequence(tx); err != nil {
			return err
		}
		var row metaRow
		if row, inOrder, err = metas.Get(tx, metaUnsettled); inOrder {
			c.began = row.Number
		}
		return err
	})
	if err != nil || !inOrder {
		return err
	}
	return c.db.Update(func(tx *table.Tx) error { return metas.Delete(tx, metaUnsettled) })
}

// endRun notes that this run has ended in order: it leaves nothing unsettled but what it found. It
// does not if something is in flight.
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
	return &inFlight{devices: make(map[id]pushes), ending: make(map[*queueSet][]deliveryKey), before: make(map[subqueueKey]uint64)}
}

// lastOfBefore returns the last sequence in the subqueue that an earlier run may have sent: seq, or
// what it was when that was first asked for.
func (f *inFlight) lastOfBefore(sub subqueueKey, seq uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.before[sub]; !known {
		f.before[sub] = seq
	}
	return f.before[sub]
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

// endingNow returns what transactions that run take from queues.
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

package registry

import (
	"slices"
	"sync"
)

// inFlight knows the deliveries whose pushes may be on their way, or are accepted and not settled.
// If one is withdrawn, its outcome decides what follows.
type inFlight struct {
	mu      sync.Mutex
	devices map[id]pushes
}

// pushes are those of one device.
type pushes struct {
	accepted []deliveryKey // and not settled
	sending  deliveryKey   // zero: none
	choosing bool          // any other of the device's may be sent
}

func newInFlight() *inFlight { return &inFlight{devices: make(map[id]pushes)} }

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

func (f *inFlight) has(k deliveryKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.devices[k.device]
	return p.choosing || p.sending == k || slices.Contains(p.accepted, k)
}

// isAccepted reports whether the push was accepted and is not settled.
func (f *inFlight) isAccepted(k deliveryKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.devices[k.device].accepted, k)
}

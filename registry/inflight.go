package registry

import (
	"slices"
	"sync"
)

// inFlight knows the deliveries whose pushes may be on their way, or are accepted and not settled.
// If one is withdrawn, its outcome decides what follows.
type inFlight struct {
	mu      sync.Mutex
	devices map[id][]deliveryKey // nil: any of the device's
}

func newInFlight() *inFlight { return &inFlight{devices: make(map[id][]deliveryKey)} }

// choosing says that one of the device's deliveries is about to be sent.
func (f *inFlight) choosing(device id) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.devices[device] = nil
}

// chosen says which of the device's deliveries may be on their way; if the list is empty, none is.
func (f *inFlight) chosen(device id, list []deliveryKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(list) == 0 {
		delete(f.devices, device)
	} else {
		f.devices[device] = list
	}
}

func (f *inFlight) has(k deliveryKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, found := f.devices[k.device]
	return found && (list == nil || slices.Contains(list, k))
}

package push

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"idlepush"
	"idlepush/registry"
)

// Prove sends one push beside the queue, to prove the device's address, and returns its outcome. It
// blocks for at most 10 s. If there is no answer by then, the outcome is a retry. It is one at once
// if maxProving such pushes to devices of the user are in flight. An accepted push ends the pause
// of the device's lane.
func (d *Dispatcher) Prove(ctx context.Context, device idlepush.Device) registry.Outcome {
	if !d.startProving(device.User) {
		return NotSent(Retry("too_many_at_once"))
	}
	defer d.endProving(device.User)
	ctx, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	id := make([]byte, 24)
	rand.Read(id)
	now := d.now()
	n := idlepush.Notification{ID: base64.RawURLEncoding.EncodeToString(id), Kind: idlepush.KindTest,
		At: now, Expires: now.Add(idlepush.KindTest.Lifetime())}
	w := registry.Work{Notification: n, Device: device}
	if device.ID != "" { // else it is not registered yet
		w.Receipt = d.Store.TestReceipt(device.ID, now)
	}
	o := d.Transports.send(ctx, device, Render(w, d.URL(), d.Codes))
	if o.Result == registry.ResultDelivered {
		d.proved(d.Transports.Routed(device), o)
	}
	return o
}

// proved notes that a push to the device was accepted.
func (d *Dispatcher) proved(device idlepush.Device, o registry.Outcome) {
	if o.Learned != nil {
		device.Lane = o.Learned.Lane
	}
	d.judging.Lock()
	defer d.judging.Unlock()
	laneChanged, err := d.Store.Proved(device, d.now())
	switch log := d.Log.With("device", device.ID); {
	case err != nil:
		log.Error("cannot end the pause of a lane after a test push; the next delivery shows that it works", "err", err)
	case laneChanged:
		reportLane(log, device.Lane, registry.Outcome{LaneWorks: true})
	}
}

// startProving counts a proving push of the user, or reports that there are too many.
func (d *Dispatcher) startProving(user string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proving[user] >= maxProving {
		return false
	}
	if d.proving == nil {
		d.proving = make(map[string]int)
	}
	d.proving[user]++
	return true
}

func (d *Dispatcher) endProving(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proving[user]--; d.proving[user] == 0 {
		delete(d.proving, user)
	}
}

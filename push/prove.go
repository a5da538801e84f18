package push

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"idlepush"
	"idlepush/registry"
)

// Prove sends one push beside the queue, to prove the device's address, and returns its outcome. It
// blocks for at most 10 s. If there is no answer by then, the outcome is a retry.
func (d *Dispatcher) Prove(ctx context.Context, device idlepush.Device) registry.Outcome {
	ctx, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	id := make([]byte, 24)
	rand.Read(id)
	now := d.now()
	n := idlepush.Notification{ID: base64.RawURLEncoding.EncodeToString(id), Kind: idlepush.KindTest,
		At: now, Expires: now.Add(idlepush.KindTest.Lifetime())}
	return d.Transports.send(ctx, device, Render(registry.Work{Notification: n, Device: device}, d.URL(), d.Codes))
}

package push

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"idlepush/registry"
)

// maxInARow bounds the deliveries to one device before others have their turn.
const maxInARow = 8

// serve sends the deliveries of a queue in order, until one is not delivered.
func (d *Dispatcher) serve(ctx, sending context.Context, q registry.Queue) {
	for range maxInARow {
		if !d.deliver(ctx, sending, q) || ctx.Err() != nil {
			return
		}
	}
}

// deliver sends the first delivery of one queue and writes its outcome. A send in flight outlives
// ctx, so that a restart does not send it again. It is cancelled when sending ends. deliver reports
// whether the next delivery to the device may follow at once.
func (d *Dispatcher) deliver(ctx, sending context.Context, q registry.Queue) (goOn bool) {
	log := d.Log.With("device", q.Device)
	w, ok, err := d.next(q.Device)
	if err != nil {
		if !errors.Is(err, registry.ErrNotFound) {
			log.Error("cannot read the queue of a device; trying again", "err", err)
			d.doubt(q)
			pause(ctx, maxIdle)
		}
		return false
	}
	if !ok {
		return false
	}
	start := time.Now()
	sending, cancel := context.WithTimeout(sending, sendTimeout)
	defer cancel()
	o := d.judge(w, d.send(sending, w.Device, Render(w, d.URL(), d.Codes)))
	asked := !o.At.IsZero()
	now := d.now()
	o = scheduled(o, w, now)
	d.report(log.With("transport", w.Device.Transport, "attempt", w.Attempts+1, "duration", time.Since(start)), o, now)
	if o.PauseFor > 0 && !asked {
		o.At = time.Time{} // it waits until the pause of its lane ends
	}
	d.settle(ctx, log, w, o)
	return o.Result == registry.ResultDelivered
}

// next returns the next delivery to the device. ok is false if none is due, or if the lane was
// paused meanwhile. A subqueue at its limit has to wait. After that, one summary replaces the mails
// queued in it.
func (d *Dispatcher) next(device string) (w registry.Work, ok bool, err error) {
	for {
		now := d.now()
		if w, ok, err = d.Store.Next(device, now); err != nil || !ok {
			return w, ok, err
		}
		if now.Before(w.Pause.Until) {
			return w, false, nil
		}
		b := d.limit(w)
		if w.KeepNotified = b.Pushes; w.HoldEnded {
			combined, err := d.Store.Combine(w, now)
			if err != nil {
				return w, false, err
			}
			if combined > 0 {
				continue
			}
		}
		at := b.opens(w.NotifiedAt, now)
		if at.IsZero() {
			return w, true, nil
		}
		if err := d.Store.Hold(w, at, now); err != nil {
			return w, false, err
		}
	}
}

// report logs the outcome of a delivery.
func (d *Dispatcher) report(log *slog.Logger, o registry.Outcome, now time.Time) {
	reason := d.Codes.Sentence(o.Code, o.Params)
	switch o.Result {
	case registry.ResultDelivered:
		log.Info("delivered")
	case registry.ResultRetry:
		log.Warn("not delivered, will be retried", "status", o.Code, "err", reason, "wait", o.At.Sub(now).Round(time.Second))
	case registry.ResultGone:
		log.Info("device removed, because its push service no longer knows it", "status", o.Code, "err", reason)
	default:
		log.Error("not delivered", "status", o.Code, "err", reason)
	}
}

// settle writes the outcome, also that of the lane. If the store fails, for example because the
// disk is full, it tries again. Meanwhile nothing else is sent to the device, so that no accepted
// push is sent twice.
func (d *Dispatcher) settle(ctx context.Context, log *slog.Logger, w registry.Work, o registry.Outcome) {
	for n := 0; ; n++ {
		laneChanged, err := d.Store.Settle(w, o, d.now())
		if laneChanged {
			reportLane(log, w.Lane, o)
		}
		if err == nil || errors.Is(err, registry.ErrNotFound) {
			return
		}
		if n == 0 {
			log.Error("cannot write the outcome of a delivery; trying again", "err", err)
		}
		if !pause(ctx, doubled(storeRetry, maxIdle, n)) {
			return
		}
	}
}

// pause waits, and reports whether ctx did not end meanwhile.
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

// send sends the message through the transport of the device.
func (d *Dispatcher) send(ctx context.Context, device registry.Device, m Message) registry.Outcome {
	t, ok := d.Transports.Named(device.Transport)
	if !ok {
		return unknown(device.Transport)
	}
	o := t.Send(ctx, device, m)
	if o.Learned != nil {
		learned, _ := device.Learn(o.Learned)
		o.Learned = &registry.Learned{Params: o.Learned.Params, Lane: t.Lane(learned)}
	}
	return o
}

package push

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"idlepush/registry"
)

// inARow bounds the deliveries to one device before another gets its turn.
const inARow = 8

// serve delivers what waits for a device, one after the other, as long as they arrive.
func (d *Dispatcher) serve(ctx, sending context.Context, q registry.Queue) {
	for range inARow {
		if !d.deliver(ctx, sending, q.Device) || ctx.Err() != nil {
			return
		}
	}
}

// deliver sends the first delivery of one queue and writes its outcome. A send in flight outlives
// ctx, so that a shutdown does not send it twice; it is given up when sending ends. It reports
// whether the next delivery to the device may follow at once.
func (d *Dispatcher) deliver(ctx, sending context.Context, device string) (goOn bool) {
	log := d.Log.With("device", device)
	w, ok, err := d.next(device)
	if err != nil {
		if !errors.Is(err, registry.ErrNotFound) {
			log.Error("a queue cannot be read", "err", err)
			pause(ctx, longestIdle)
		}
		return false
	}
	if !ok {
		return false
	}
	start := time.Now()
	sending, cancel := context.WithTimeout(sending, sendLimit)
	defer cancel()
	o := d.judge(w, d.send(sending, w.Device, Render(w, d.URL())))
	asked := !o.At.IsZero()
	now := d.now()
	o = scheduled(o, w, now)
	report(log.With("transport", w.Device.Transport, "attempt", w.Attempts+1, "duration", time.Since(start)), o, now)
	if o.PauseFor > 0 && !asked {
		o.At = time.Time{} // it waits with its lane, however that stands when this is written
	}
	d.settle(ctx, log, w, o)
	return o.Result == registry.ResultDelivered
}

// next returns the delivery to be sent next to the device; ok is false if nothing is due, or if the
// lane was paused meanwhile. A line that reached its burst limit is held back; after that, one
// summary replaces the mails that queued up in it.
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
		if w.Remember = b.Pushes; w.Released {
			combined, err := d.Store.Combine(w, now)
			if err != nil {
				return w, false, err
			}
			if combined > 0 {
				continue
			}
		}
		at := b.opens(w.Rang, now)
		if at.IsZero() {
			return w, true, nil
		}
		if err := d.Store.Hold(w, at, now); err != nil {
			return w, false, err
		}
	}
}

func report(log *slog.Logger, o registry.Outcome, now time.Time) {
	switch o.Result {
	case registry.ResultDelivered:
		log.Info("delivered")
	case registry.ResultRetry:
		log.Warn("not delivered, will be tried again", "status", o.Code, "err", o.Reason, "wait", o.At.Sub(now).Round(time.Second))
	case registry.ResultGone:
		log.Info("device forgotten", "status", o.Code, "err", o.Reason)
	default:
		log.Error("not delivered", "status", o.Code, "err", o.Reason)
	}
}

// settle writes the outcome, also that of the lane. If the store fails, as on a full disk, it tries
// again. It holds the device meanwhile, so that an accepted push is not sent twice.
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
			log.Error("an outcome cannot be written", "err", err)
		}
		if !pause(ctx, doubled(storeRetry, longestIdle, n)) {
			return
		}
	}
}

// pause waits and reports whether it waited to the end.
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

func (d *Dispatcher) send(ctx context.Context, device registry.Device, m Message) registry.Outcome {
	t, ok := d.Transports.Named(device.Transport)
	if !ok {
		return NotConfigured(device.Transport)
	}
	o := t.Send(ctx, device, m)
	if o.Learned != nil {
		wiser, _ := device.Learn(o.Learned)
		o.Learned = &registry.Learned{Params: o.Learned.Params, Lane: t.Lane(wiser)}
	}
	return o
}

package push

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"idlepush/registry"
)

// maxInARow bounds the deliveries to one device before others have their turn. Slow devices take
// turns after each.
const maxInARow = 8

// fullTimeEvery: of so many tries to a slow device, one may take sendTimeout, because its service
// may be slow and not dead.
const fullTimeEvery = 4

// maxUnsettled is how long after an outcome of a device was written those of its next pushes may
// wait for another push. What is in flight then is waited for.
const maxUnsettled = 100 * time.Millisecond

// serve sends the deliveries of a queue in order, until one is not delivered. Once the first
// outcome is written, which shows that the store works, those of pushes that are accepted quickly
// are written together.
func (d *Dispatcher) serve(ctx, sending context.Context, q registry.Queue) {
	most := maxInARow
	if q.Slow {
		most = 1
	}
	log := d.Log.With("device", q.Device)
	w, ok := d.first(ctx, log, q)
	var settled time.Time // when the last outcome was written; zero: none was
	for n := 1; ok; n++ {
		o, release := d.send(sending, log, q, w)
		goOn := o.Result == registry.ResultDelivered && n < most && ctx.Err() == nil
		if goOn && time.Since(settled) < maxUnsettled {
			if next, follows := d.after(w, o); follows {
				w = next
				continue
			}
		}
		d.settle(ctx, log, w, o, release)
		if !goOn || ctx.Err() != nil {
			return
		}
		settled = time.Now()
		w, ok = d.first(ctx, log, q)
	}
}

// first returns the first delivery of the queue, if one may be sent now.
func (d *Dispatcher) first(ctx context.Context, log *slog.Logger, q registry.Queue) (w registry.Work, ok bool) {
	w, ok, err := d.next(q.Device)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		log.Error("cannot read the queue of a device; trying again", "err", err)
		d.doubt(q)
		pause(ctx, maxIdle)
	}
	return w, ok && err == nil
}

// send sends one delivery, and returns its outcome and the next try. A send in flight outlives the
// context of Run, so that a restart does not send it again. It is cancelled when sending ends.
// release is to be called once the outcome is written.
func (d *Dispatcher) send(sending context.Context, log *slog.Logger, q registry.Queue, w registry.Work) (o registry.Outcome, release func()) {
	start := time.Now()
	timeout := sendTimeout
	if q.Slow && w.Attempts%fullTimeEvery != fullTimeEvery-1 {
		timeout = slowTimeout
	}
	sending, cancel := context.WithTimeout(sending, timeout)
	defer cancel()
	answer := d.Transports.send(sending, w.Device, Render(w, d.URL(), d.Codes))
	o, release = d.judge(w, judgeAbsent(answer, w.Device.Status, d.now()))
	took := time.Since(start)
	o.Slow = o.Result == registry.ResultRetry && took >= slowTimeout
	asked := !o.At.IsZero()
	now := d.now()
	o = scheduled(o, w, now)
	d.report(log, w, took, o, now)
	d.measure(w, took, o, now)
	if o.PauseFor > 0 && !asked {
		o.At = time.Time{} // it waits until the pause of its lane ends
	}
	return o, release
}

// settle writes the outcome, also that of the lane. If the store fails, for example because the
// disk is full, it tries again. Meanwhile nothing else is sent to the device, so that no accepted
// push is sent twice. It calls release after the first try.
func (d *Dispatcher) settle(ctx context.Context, log *slog.Logger, w registry.Work, o registry.Outcome, release func()) {
	for n := 0; ; n++ {
		laneChanged, err := d.Store.Settle(w, o, d.now())
		release()
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

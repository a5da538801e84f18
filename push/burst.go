package push

import (
	"slices"
	"time"

	"idlepush"
	"idlepush/registry"
)

// burstWindow is the window of the setting burst-limit.
const burstWindow = time.Minute

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

// after returns the delivery that may be sent after w, before the outcome of w is written.
func (d *Dispatcher) after(w registry.Work, o registry.Outcome) (next registry.Work, ok bool) {
	now := d.now()
	next, ok, err := d.Store.NextAfter(w, o, now)
	if err != nil {
		d.Log.Error("cannot read what follows in the queue of a device; writing what was sent first", "device", w.Device.ID, "err", err)
	}
	if !ok || next.HoldEnded || now.Before(next.Pause.Until) {
		return next, false
	}
	b := d.limit(next)
	next.KeepNotified = b.Pushes
	return next, b.opens(next.NotifiedAt, now).IsZero()
}

// limit returns the limit on pushes of the work's kind: burst-limit for mail, or that of the
// service.
func (d *Dispatcher) limit(w registry.Work) Limit {
	kind := w.Notification.Kind
	if kind == idlepush.KindMail || kind == idlepush.KindSummary {
		return Limit{d.BurstLimit, burstWindow}
	}
	t, ok := d.Transports.Named(w.Device.Transport)
	if !ok {
		return Limit{}
	}
	return t.Traits().Limits[kind]
}

// opens returns the time from which one more push is allowed, or zero if it is allowed now. sent
// holds the times of earlier pushes, oldest first. Times after now are ignored: the clock was set
// back since.
func (l Limit) opens(sent []time.Time, now time.Time) time.Time {
	sent = slices.DeleteFunc(slices.Clone(sent), func(at time.Time) bool { return at.After(now) })
	if l.Pushes == 0 || len(sent) < l.Pushes {
		return time.Time{}
	}
	if at := sent[len(sent)-l.Pushes].Add(l.Window); at.After(now) {
		return at
	}
	return time.Time{}
}

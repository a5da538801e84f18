package push

import (
	"slices"
	"sync"
	"time"

	"idlepush/registry"
	"idlepush/ring"
)

// burstWindow is the window of the setting burst-limit.
const burstWindow = time.Minute

// next returns the next delivery to the device that is to be shown, with the decision about it. ok
// is false if none is due, or if the lane was paused meanwhile. When a hold ends, one summary
// replaces the deliveries it held.
func (d *Dispatcher) next(device string) (w registry.Work, ok bool, err error) {
	for {
		now := d.now()
		if w, ok, err = d.Store.Next(device, now); err != nil || !ok {
			return w, ok, err
		}
		if now.Before(w.Pause.Until) {
			return w, false, nil
		}
		about := d.about(w, now)
		if w.HoldEnded {
			if _, err := d.Store.Combine(w, now, about); err != nil {
				return w, false, err
			}
			continue
		}
		if w.KeepNotified, w.Decision = d.limit(w).Pushes, about(w); w.Decision.Verdict.Shows() {
			return w, true, nil
		}
		if err := d.Store.Decide(w, now, about); err != nil {
			return w, false, err
		}
	}
}

// after returns the delivery that may be sent after w, before the outcome of w is written.
func (d *Dispatcher) after(w registry.Work, o registry.Outcome) (next registry.Work, ok bool) {
	now := d.now()
	next, ok, err := d.Store.NextAfter(w, o, now)
	if err != nil {
		d.Log.Error("cannot read the next push of a device; storing the outcomes of earlier pushes first", "device", w.Device.ID, "err", err)
	}
	if !ok || next.HoldEnded || now.Before(next.Pause.Until) {
		return next, false
	}
	next.KeepNotified, next.Decision = d.limit(next).Pushes, d.about(next, now)(next)
	return next, next.Decision.Verdict.Shows()
}

// about returns a function that decides how work of the subqueue of w rings now. The limits on
// clears and attention are those of the service.
func (d *Dispatcher) about(w registry.Work, now time.Time) func(registry.Work) ring.Decision {
	wishes, on := foldWishes(w.Wishes), w.DeviceWishes
	quietEnds := sync.OnceValue(func() time.Time { return quietUntil(on.Quiet, now) })
	return func(w registry.Work) ring.Decision {
		n, opens := w.Notification, d.limit(w).opens(w.NotifiedAt, now)
		q := question{kind: n.Kind, account: n.Account, folder: n.Folder, wishes: wishes, silent: w.OnlySilent, before: w.Decision,
			device: w.Device.ID, on: on, opens: opens, now: now, quietEnds: quietEnds}
		if wishes.askFacts() {
			q.facts = foldFacts(n.Facts)
		}
		by := decide(q)
		if by.Verdict.Shows() && opens.After(now) && !n.Kind.IsOfMail() {
			return ring.Decision{Verdict: ring.Held, Until: opens, Waited: by.Waited}
		}
		return by
	}
}

// limit returns the limit on pushes of the work's kind: burst-limit for mail, or that of the
// service.
func (d *Dispatcher) limit(w registry.Work) Limit {
	kind := w.Notification.Kind
	if kind.IsOfMail() {
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

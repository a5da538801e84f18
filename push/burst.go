package push

import (
	"slices"
	"time"

	"idlepush/registry"
)

// burstWindow is the window of the setting burst-limit.
const burstWindow = time.Minute

// limit returns the limit on pushes of the work's kind: burst-limit for mail, or that of the
// service.
func (d *Dispatcher) limit(w registry.Work) Limit {
	kind := w.Notification.Kind
	if kind == registry.KindMail || kind == registry.KindSummary {
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

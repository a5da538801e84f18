package push

import (
	"slices"
	"time"

	"idlepush/registry"
)

// burstWindow is the window of the setting burst-limit.
const burstWindow = time.Minute

// limit returns the bound on pushes like the work: burst-limit for mail, else that of the service.
func (d *Dispatcher) limit(w registry.Work) Limit {
	kind := w.Notification.Kind
	if kind == registry.MailKind || kind == registry.SummaryKind {
		return Limit{d.BurstLimit, burstWindow}
	}
	t, ok := d.Transports.Named(w.Device.Transport)
	if !ok {
		return Limit{}
	}
	return t.Traits().Limits[kind]
}

// opens returns when one more push may come, after those at the times in rang, oldest first; zero:
// now. Times after now are of a clock that was set back since, and do not count.
func (l Limit) opens(rang []time.Time, now time.Time) time.Time {
	rang = slices.DeleteFunc(slices.Clone(rang), func(at time.Time) bool { return at.After(now) })
	if l.Pushes == 0 || len(rang) < l.Pushes {
		return time.Time{}
	}
	if at := rang[len(rang)-l.Pushes].Add(l.Window); at.After(now) {
		return at
	}
	return time.Time{}
}

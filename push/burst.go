package push

import (
	"slices"
	"time"

	"idlepush/registry"
)

// A burst is how often something may come in a time: limit pushes in any window; limit 0 is without bound.
type burst struct {
	limit  int
	window time.Duration
}

// background is what Apple lets through of pushes that show nothing: "two or three per hour".
// https://developer.apple.com/documentation/usernotifications/pushing-background-updates-to-your-app
var background = burst{3, time.Hour}

// burstWindow is the time that the setting burst-limit is about.
const burstWindow = time.Minute

// burstOf is the bound on pushes of this kind to the device; limit is the setting burst-limit. A clear is bounded only where the service bounds it, and what
// a person must know not at all.
func burstOf(kind registry.Kind, t registry.Transport, limit int) burst {
	switch {
	case kind == registry.MailKind || kind == registry.SummaryKind:
		return burst{limit, burstWindow}
	case kind == registry.ClearKind && t == registry.APNs:
		return background
	}
	return burst{}
}

// opens is from when on one more may come, after those at the times in rang, oldest first; zero:
// now. Times after now are of a clock that was set back since, and do not count.
func (b burst) opens(rang []time.Time, now time.Time) time.Time {
	rang = slices.DeleteFunc(slices.Clone(rang), func(at time.Time) bool { return at.After(now) })
	if b.limit == 0 || len(rang) < b.limit {
		return time.Time{}
	}
	if at := rang[len(rang)-b.limit].Add(b.window); at.After(now) {
		return at
	}
	return time.Time{}
}

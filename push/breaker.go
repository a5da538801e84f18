package push

import (
	"strings"
	"time"

	"idlepush/registry"
)

const (
	probeFirst = 5 * time.Second  // the pause of a lane in an outage; it doubles with each failed probe
	probeMost  = time.Minute      // and ends here
	repair     = 15 * time.Minute // the pause of a lane that a person must mend

	// breakAfter is how many failures in a row, over all devices of a lane, make an outage. Repeated
	// failures of one device count once.
	breakAfter = 5

	// aloneFor is how long after the last answer to another device a failing device counts as failing
	// alone.
	aloneFor = 24 * time.Hour
)

// breaker is what the dispatcher remembers of a lane. The zero breaker is a lane that works and is
// idle.
type breaker struct {
	sending  int       // in flight now
	failures int       // in a row, over all devices
	last     string    // the device that failed last
	since    time.Time // when the pause began; zero: the lane is not paused
	until    time.Time // when it lets a probe out
	blaming  string    // the device with which the service last found us at fault, until a push is accepted; empty: none
	odd      devices   // those with which it did so although it takes our pushes to others
	failing  devices   // those that failed since a push was last answered
	alone    devices   // those that failed while pushes to others were answered
	answered time.Time // when that was last so; zero where there are none
}

// devices is a set of them that can be compared: ids, each between commas.
type devices string

func between(device string) string { return "," + device + "," }

func (s devices) has(device string) bool { return strings.Contains(string(s), between(device)) }

func (s devices) with(device string) devices {
	if s.has(device) {
		return s
	}
	return s + devices(between(device))
}

func (s devices) without(device string) devices {
	return devices(strings.ReplaceAll(string(s), between(device), ""))
}

func (b breaker) paused() bool { return !b.since.IsZero() }

// limit is how many sends the lane may have in flight at now.
func (b breaker) limit(now time.Time) int {
	switch {
	case !b.paused():
		return laneConcurrency
	case now.Before(b.until):
		return 0
	}
	return 1
}

// after returns the breaker after a send to the device had this outcome. Any answer of the service
// proves that the lane works, except a complaint about the service itself or about our settings.
// Only an accepted push to another device proves that a device is odd.
func (b breaker) after(device string, o registry.Outcome, now time.Time) breaker {
	switch {
	case o.Unasked && o.Result != registry.ResultMisconfigured:
		return b
	case o.Result != registry.ResultMisconfigured && (o.Result != registry.ResultRetry || o.Suspect):
		return b.proved(device, o.Result == registry.ResultDelivered, now)
	case o.Result == registry.ResultMisconfigured && b.odd.has(device): // it says nothing of the lane
		return b
	case now.Before(b.until): // it was on its way when the pause began
		return b
	case o.Result == registry.ResultMisconfigured:
		b.until, b.blaming = now.Add(repair), device
	case !b.paused() && (device == b.last || b.isAlone(device, now)): // a device that fails again and again is no outage of its lane
		return b
	default:
		b.failures, b.last = b.failures+1, device
		if !b.alone.has(device) {
			b.failing = b.failing.with(device)
		}
		if !b.paused() && b.failures < breakAfter {
			return b
		}
		b.until = now.Add(jitter(doubled(probeFirst, probeMost, max(0, b.failures-breakAfter))))
	}
	if !b.paused() {
		b.since = now
	}
	return b
}

// proved returns the breaker after the device's push was answered: each device that failed before
// has a trouble of its own, until it is answered too.
func (b breaker) proved(device string, accepted bool, now time.Time) breaker {
	b = breaker{sending: b.sending, blaming: b.blaming, odd: b.odd, alone: (b.alone + b.failing).without(device)}
	if b.alone != "" {
		b.answered = now
	}
	if accepted {
		if b.blaming != "" && b.blaming != device {
			b.odd = b.odd.with(b.blaming)
		}
		b.blaming, b.odd = "", b.odd.without(device)
	}
	return b
}

// isAlone reports whether the device failed while others were answered. An answer from more than a
// second after now does not count: the clock was set back since.
func (b breaker) isAlone(device string, now time.Time) bool {
	age := now.Sub(b.answered)
	return b.alone.has(device) && age > -time.Second && age < aloneFor
}

// doubts reports whether a failure of the device would say little of its lane.
func (b breaker) doubts(device string) bool {
	return b.blaming == device || b.odd.has(device) || b.failing.has(device) || b.alone.has(device)
}

// read returns what an outcome means for the device. If the service finds us at fault with this
// device alone, the device is suspect: a wrong address must not pause everybody's lane.
func (b breaker) read(device string, o registry.Outcome) registry.Outcome {
	if o.Result == registry.ResultMisconfigured && b.odd.has(device) {
		o.Result, o.Suspect = registry.ResultRetry, true
	}
	return o
}

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

// breaker is the evidence about a lane. The store knows whether the lane is paused. The zero
// breaker has seen no failure.
type breaker struct {
	out      bool      // the failures paused the lane, and no answer has proved since that it works
	failures int       // in a row, over all devices
	last     string    // the device that failed last
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

// judge returns the breaker after this answer to the device, and the outcome for the device and its
// lane. probe: the lane was paused when the work was taken.
//
// Any answer of the service proves that the lane works, except a complaint about the service itself
// or about our settings. Only an accepted push to another device proves that a device is odd. A
// complaint about our settings makes an odd device suspect: a wrong address must not pause
// everybody's lane.
func (b breaker) judge(device string, probe bool, o registry.Outcome, now time.Time) (breaker, registry.Outcome) {
	late := b.out && !probe // it was on its way when the pause began
	switch {
	case o.Unasked && o.Result != registry.ResultMisconfigured:
	case o.Result != registry.ResultMisconfigured && (o.Result != registry.ResultRetry || o.Suspect):
		o.LaneWorks = true
		return b.proved(device, o.Result == registry.ResultDelivered, now), o
	case o.Result == registry.ResultMisconfigured && b.odd.has(device): // it says nothing of the lane
		o.Result, o.Suspect = registry.ResultRetry, true
	case o.Result == registry.ResultMisconfigured:
		if o.PauseFor = repair; !late {
			b.out, b.blaming = true, device
		}
	case late:
		o.PauseFor = b.outage()
	case !probe && (device == b.last || b.isAlone(device, now)): // a device that fails again and again is no outage of its lane
	default:
		if probe { // the lane may be out since before this run
			b.failures = max(b.failures, breakAfter-1)
		}
		b.failures, b.last = b.failures+1, device
		if !b.alone.has(device) {
			b.failing = b.failing.with(device)
		}
		if b.failures >= breakAfter {
			b.out, o.PauseFor = true, b.outage()
		}
	}
	return b, o
}

// outage returns how long the lane pauses in an outage.
func (b breaker) outage() time.Duration {
	return jitter(doubled(probeFirst, probeMost, max(0, b.failures-breakAfter)))
}

// proved returns the breaker after the device's push was answered: each device that failed before
// has a trouble of its own, until it is answered too.
func (b breaker) proved(device string, accepted bool, now time.Time) breaker {
	b = breaker{blaming: b.blaming, odd: b.odd, alone: (b.alone + b.failing).without(device)}
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

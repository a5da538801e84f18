package push

import (
	"strings"
	"time"

	"idlepush/registry"
)

const (
	minProbeWait = 5 * time.Second // of a lane in an outage; it doubles with each failed probe
	maxProbeWait = time.Minute

	// misconfiguredPause is the pause of a lane if a person must correct a setting.
	misconfiguredPause = 15 * time.Minute

	// breakAfter is the number of failures in a row, over all devices of a lane, that make an
	// outage. Repeated failures of one device count once.
	breakAfter = 5

	// aloneFor is the time after the last answer to another device during which a failing device
	// counts as failing alone.
	aloneFor = 24 * time.Hour
)

// breaker remembers the failures in a lane. The store knows whether the lane is paused. The zero
// breaker has seen no failure.
type breaker struct {
	out      bool      // the failures paused the lane, and no answer has proved since that it works
	failures int       // in a row, over all devices
	last     string    // the device that failed last
	blaming  string    // of the last complaint about our settings since a push was accepted
	odd      devices   // those with such complaints although pushes to others are accepted
	failing  devices   // those that failed since the last answer
	alone    devices   // those that failed while pushes to others were answered
	answered time.Time // the last such answer; zero if alone is empty
}

// devices is a comparable set of device ids, each between commas.
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
// lane. probe reports that the lane was paused when the delivery was taken.
//
// Any answer of the service proves that the lane works, except a complaint about the service itself
// or about our settings. Only an accepted push to another device proves that a device is odd. A
// complaint about our settings makes an odd device suspect: a wrong address must not pause
// everybody's lane.
func (b breaker) judge(device string, probe bool, o registry.Outcome, now time.Time) (breaker, registry.Outcome) {
	late := b.out && !probe // it was in flight when the pause began
	switch {
	case o.NotSent && o.Result != registry.ResultMisconfigured:
	case o.Result != registry.ResultMisconfigured && (o.Result != registry.ResultRetry || o.Suspect):
		o.LaneWorks = true
		return b.proved(device, o.Result == registry.ResultDelivered, now), o
	case o.Result == registry.ResultMisconfigured && b.odd.has(device):
		o.Result, o.Suspect = registry.ResultRetry, true // it says nothing about the lane
	case o.Result == registry.ResultMisconfigured:
		if o.PauseFor = misconfiguredPause; !late {
			b.out, b.blaming = true, device
		}
	case late:
		o.PauseFor = b.outage()
	case !probe && (device == b.last || b.isAlone(device, now)): // one failing device is no outage
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
	return jitter(doubled(minProbeWait, maxProbeWait, max(0, b.failures-breakAfter)))
}

// proved returns the breaker after the device's push was answered. Devices that failed before fail
// for reasons of their own, until they are answered too.
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

// isAlone reports whether the device failed while others were answered. An answer more than a
// second after now does not count: the clock was set back since.
func (b breaker) isAlone(device string, now time.Time) bool {
	age := now.Sub(b.answered)
	return b.alone.has(device) && age > -time.Second && age < aloneFor
}

// doubts reports whether a failure of the device would say little about its lane.
func (b breaker) doubts(device string) bool {
	return b.blaming == device || b.odd.has(device) || b.failing.has(device) || b.alone.has(device)
}

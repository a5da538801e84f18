package push

import (
	"math/rand/v2"
	"strings"
	"time"

	"idlepush/registry"
)

const (
	retryFirst   = 2 * time.Second // the wait after a first failure, doubled with each
	retryMost    = time.Minute     // and never longer: what came meanwhile waits behind it when the service is well again
	suspectFirst = time.Minute     // the least and the most for a suspect device
	suspectMost  = 12 * time.Hour
	probeFirst   = 5 * time.Second // the pause of a lane in outage, doubled with each failed probe
	probeMost    = time.Minute
	repair       = 15 * time.Minute // the pause of a lane that a person must mend

	// breakAfter is how many failures in a row, over all devices of a lane, make it an outage of the lane. One device in a
	// row counts once.
	breakAfter = 5

	// aloneFor is how long a device that failed while others were answered is held to have a trouble of its own, since one of them last was.
	aloneFor = 24 * time.Hour
)

// doubled is first, doubled n times, at most most.
func doubled(first, most time.Duration, n int) time.Duration {
	for range n {
		if first *= 2; first >= most {
			return most
		}
	}
	return first
}

// jitter takes up to half of d away, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// fullJitter is any time up to d: what failed together and has no need to wait for long is spread best by it.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func fullJitter(d time.Duration) time.Duration { return 1 + rand.N(d) }

// scheduled fills in when the work is tried again. Work that waits for its lane to be mended has no time of its own.
func scheduled(o registry.Outcome, w registry.Work, now time.Time) registry.Outcome {
	if o.Result != registry.ResultRetry {
		return o
	}
	wait := fullJitter(doubled(retryFirst, retryMost, w.Attempts))
	if s := w.Device.Status; o.Suspect || s.State == registry.Suspect {
		wait = jitter(rarely(s, w.Notification.Expires, now))
	}
	if at := now.Add(wait); o.At.Before(at) {
		o.At = at
	}
	return o
}

// rarely is how long a suspect device waits for its next try: half as long as it has been suspect, but no longer than half of the time that is left for
// what waits, and within bounds.
func rarely(s registry.Status, expires, now time.Time) time.Duration {
	if s.State != registry.Suspect {
		return suspectFirst
	}
	return max(min(now.Sub(s.Since)/2, expires.Sub(now)/2, suspectMost), suspectFirst)
}

// breaker is what the dispatcher remembers of a lane; the zero breaker is a lane that works and has nothing to do.
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

// after takes in what came of a send to the device. Any answer of the service but a complaint about itself or about our own
// settings proves that the lane works; that a device is odd is proved only by a push to another that was accepted.
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

// proved is the breaker once the device's push was answered: what failed before has a trouble of its own, until it is answered too.
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

// isAlone: an answer more than a second after now is by a clock that was set back, and does not count.
func (b breaker) isAlone(device string, now time.Time) bool {
	age := now.Sub(b.answered)
	return b.alone.has(device) && age > -time.Second && age < aloneFor
}

// doubts reports whether a failure of the device would say little of its lane.
func (b breaker) doubts(device string) bool {
	return b.blaming == device || b.odd.has(device) || b.failing.has(device) || b.alone.has(device)
}

// read is what an outcome means for the device: that a service finds us at fault with one device, while it takes our pushes to
// others, is a complaint about that one. Whoever wrote its address must not pause the lane of all for ever.
func (b breaker) read(device string, o registry.Outcome) registry.Outcome {
	if o.Result == registry.ResultMisconfigured && b.odd.has(device) {
		o.Result, o.Suspect = registry.ResultRetry, true
	}
	return o
}

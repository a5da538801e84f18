package push

import (
	"strings"
	"time"

	"idlepush"
	"idlepush/registry"
)

const (
	minProbeWait = 5 * time.Second // of a lane in an outage; it doubles with each failed probe
	maxProbeWait = time.Minute

	// minFaultWait and maxFaultWait bound the wait of a device whose service finds this server at
	// fault, while its lane is not paused. It doubles with each try.
	minFaultWait = time.Minute
	maxFaultWait = 15 * time.Minute

	// breakAfter is the number of failures in a row, over all devices of a lane, that make an
	// outage, and of different users among them, if the lane has so many. Repeated failures of one
	// device count once.
	breakAfter = 5

	// aloneFor is the time after the last answer to another device during which a failing device
	// counts as failing alone.
	aloneFor = 24 * time.Hour
)

// faultPauses are the pauses of a lane in which a person must correct a setting: the first, the
// second, and each one after that.
var faultPauses = []time.Duration{time.Minute, 5 * time.Minute, maxFaultWait}

// breaker remembers the failures in a lane that make an outage. The store knows whether the lane is
// paused, and who is accused. The zero breaker has seen no failure.
type breaker struct {
	failures int       // in a row, over all devices
	last     string    // the device that failed last
	users    idSet     // the users whose devices failed since the last answer or the last pause
	failing  idSet     // the devices that failed since the last answer
	alone    idSet     // the devices that failed while pushes to others were answered
	answered time.Time // the last such answer; zero if alone is empty
}

// idSet is a comparable set of ids of devices or users, each between commas.
type idSet string

func between(id string) string { return "," + id + "," }

func (s idSet) has(id string) bool { return strings.Contains(string(s), between(id)) }

func (s idSet) with(id string) idSet {
	if s.has(id) {
		return s
	}
	return s + idSet(between(id))
}

func (s idSet) without(id string) idSet {
	return idSet(strings.ReplaceAll(string(s), between(id), ""))
}

func (s idSet) len() int { return strings.Count(string(s), ",") / 2 }

// judge returns the breaker after an answer to the work, and the outcome for the device and its
// lane. ev is needed for a failure and for a complaint about this server, and is as of now.
//
// Any answer of the service proves that the lane works, except a complaint about the service itself
// or about our settings.
func (b breaker) judge(w registry.Work, ev registry.Evidence, o registry.Outcome, now time.Time) (breaker, registry.Outcome) {
	late := !ev.Lane.IsSamePause(w.Pause) // the lane was paused, or works again, since it was sent
	switch {
	case o.Result == registry.ResultMisconfigured:
		return b, atFault(w, ev, o, late, now)
	case o.NotSent:
		return b, o
	case o.Result != registry.ResultRetry || o.Suspect:
		o.LaneWorks = true
		return b.proved(w.Device.ID, now), o
	case late && ev.Lane.IsPaused() || !ev.IsProven && ev.Proven > 0:
		return b, o
	}
	probe := w.Pause.IsPaused() && !late
	return b.failed(w, ev, o, probe, now)
}

// atFault returns the outcome of a complaint about this server. The device waits alone, because
// what its user wrote may be the cause. The lane pauses once the answers to two proven devices
// complain, or to the only one. They must be of two users, unless the devices of the lane are all
// of one. A paused lane is probed by the same rule, so that nobody keeps it paused alone.
func atFault(w registry.Work, ev registry.Evidence, o registry.Outcome, late bool, now time.Time) registry.Outcome {
	switch accused := ev.Lane.Accused; {
	case w.Device.Status.State == idlepush.StateSuspect:
		o.At = now.Add(jitter(rarely(w.Device.Status, w.Notification.Expires, now)))
		return o
	case late && ev.Lane.IsPaused(): // it waits with its lane
		return o
	case !ev.IsProven:
	case ev.Proven == 1 && ev.Users == 1, accused != "" && accused != w.Device.ID && (ev.Users == 1 || ev.AccusedUser != w.Device.User):
		o.Accuses, o.PauseFor = true, faultPauses[min(ev.Lane.Refused, len(faultPauses)-1)]
		return o
	case accused == "":
		o.Accuses = true
	}
	o.At = now.Add(doubled(minFaultWait, maxFaultWait, w.Attempts))
	return o
}

// failed returns the breaker and the outcome after a failure that may concern the whole lane. A
// pause needs failures of several users, if the lane has several: one whose devices fail must not
// pause the lane of the others, nor keep it paused.
func (b breaker) failed(w registry.Work, ev registry.Evidence, o registry.Outcome, probe bool, now time.Time) (breaker, registry.Outcome) {
	device := w.Device.ID
	if !probe && (device == b.last || b.isAlone(device, now)) { // one failing device is no outage
		return b, o
	}
	b.last, b.users = device, b.users.with(w.Device.User)
	if !b.alone.has(device) {
		b.failing = b.failing.with(device)
	}
	enough := min(breakAfter, ev.Users)
	switch {
	case !probe:
		b.failures = min(b.failures+1, breakAfter)
	case b.users.len() < min(2, enough):
		return b, o
	default: // the lane may be out since before this run
		b.failures = max(b.failures+1, breakAfter)
	}
	if probe || b.failures == breakAfter && b.users.len() >= enough {
		b.users, o.PauseFor = "", b.outage()
	}
	return b, o
}

// outage returns how long the lane pauses in an outage.
func (b breaker) outage() time.Duration {
	return jitter(doubled(minProbeWait, maxProbeWait, max(0, b.failures-breakAfter)))
}

// proved returns the breaker after the device's push was answered. Devices that failed before fail
// for reasons of their own, until they are answered too.
func (b breaker) proved(device string, now time.Time) breaker {
	b = breaker{alone: (b.alone + b.failing).without(device)}
	if b.alone != "" {
		b.answered = now
	}
	return b
}

// isAlone reports whether the device failed while others were answered. An answer more than a
// second after now does not count: the clock was set back since.
func (b breaker) isAlone(device string, now time.Time) bool {
	age := now.Sub(b.answered)
	return b.alone.has(device) && age > -time.Second && age < aloneFor
}

// doubts returns how little the answer to the queue's device would say about its lane, if it is a
// probe: 0 for a proven device that has not failed, of a user who has not told of a failure yet.
func (b breaker) doubts(q registry.Queue) (doubts int) {
	if b.failing.has(q.Device) || b.alone.has(q.Device) {
		doubts++
	}
	if q.Probe && (q.User == q.AccusedUser || b.users.has(q.User)) {
		doubts += 2
	}
	if q.Probe && q.Device == q.Accused {
		doubts += 2
	}
	if q.Probe && !q.Proven {
		doubts += 4
	}
	return doubts
}

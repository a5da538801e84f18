package push

import (
	"math/rand/v2"
	"time"

	"idlepush"
	"idlepush/registry"
)

const (
	minRetryWait   = 2 * time.Second // the wait after a first failure; it doubles with each
	maxRetryWait   = time.Minute     // short, because newer mail waits behind the failed one
	minSuspectWait = time.Minute     // the shortest wait of a suspect device
	maxSuspectWait = 12 * time.Hour  // and the longest
)

// doubled returns first, doubled n times, but no more than bound.
func doubled(first, bound time.Duration, n int) time.Duration {
	for range n {
		if first *= 2; first >= bound {
			return bound
		}
	}
	return first
}

// jitter returns a random time between half of d and d, so that devices that failed together do not
// retry together.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// fullJitter returns a random time up to d. Of all kinds of jitter, it spreads retries best.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func fullJitter(d time.Duration) time.Duration { return 1 + rand.N(d) }

// scheduled returns the outcome with the time of the next try if it is a retry. For an outcome
// misconfigured, the pause of the lane decides.
func scheduled(o registry.Outcome, w registry.Work, now time.Time) registry.Outcome {
	if o.Result != registry.ResultRetry {
		return o
	}
	wait := fullJitter(doubled(minRetryWait, maxRetryWait, w.Attempts))
	if s := w.Device.Status; o.Suspect || s.State == idlepush.StateSuspect {
		wait = jitter(rarely(s, w.Notification.Expires, now))
	}
	if at := now.Add(wait); o.At.Before(at) {
		o.At = at
	}
	return o
}

// rarely returns how long a suspect device waits for its next try: half the time for which it has
// been suspect, at most half the time until the work expires, and within bounds.
func rarely(s idlepush.Status, expires, now time.Time) time.Duration {
	if s.State != idlepush.StateSuspect {
		return minSuspectWait
	}
	return max(min(now.Sub(s.Since)/2, expires.Sub(now)/2, maxSuspectWait), minSuspectWait)
}

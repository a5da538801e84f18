package push

import (
	"math/rand/v2"
	"time"

	"idlepush/registry"
)

const (
	retryFirst   = 2 * time.Second // the wait after a first failure; it doubles with each
	retryMost    = time.Minute     // newer mail waits behind the failed one, so the wait stays short
	suspectFirst = time.Minute     // the shortest and the longest wait of a suspect device
	suspectMost  = 12 * time.Hour
)

// doubled returns first, doubled n times, at most most.
func doubled(first, most time.Duration, n int) time.Duration {
	for range n {
		if first *= 2; first >= most {
			return most
		}
	}
	return first
}

// jitter returns a time between half of d and d, so that devices that failed together do not retry
// together.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// fullJitter returns any time up to d. It spreads retries best.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func fullJitter(d time.Duration) time.Duration { return 1 + rand.N(d) }

// scheduled fills in when the work is tried again. Only a retry has such a time: a lane that needs
// mending has its own.
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

// rarely returns how long a suspect device waits for its next try: half the time for which it has
// been suspect, at most half the time until the work expires, and within bounds.
func rarely(s registry.Status, expires, now time.Time) time.Duration {
	if s.State != registry.Suspect {
		return suspectFirst
	}
	return max(min(now.Sub(s.Since)/2, expires.Sub(now)/2, suspectMost), suspectFirst)
}

package push

import (
	"math"
	"reflect"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestDoubled(t *testing.T) {
	for _, c := range []struct {
		first, most time.Duration
		n           int
		want        time.Duration
	}{
		{minRetryWait, maxRetryWait, 0, 2 * time.Second},
		{minRetryWait, maxRetryWait, 1, 4 * time.Second},
		{minRetryWait, maxRetryWait, 4, 32 * time.Second},
		{minRetryWait, maxRetryWait, 5, time.Minute},
		{minRetryWait, maxRetryWait, math.MaxInt, time.Minute},
		{minProbeWait, maxProbeWait, 3, 40 * time.Second},
		{minProbeWait, maxProbeWait, 4, time.Minute},
		{storeRetry, maxIdle, 100, time.Minute},
	} {
		if got := doubled(c.first, c.most, c.n); got != c.want {
			t.Errorf("%v doubled %d times, at most %v: %v, want %v", c.first, c.n, c.most, got, c.want)
		}
	}
}

// tried returns the work of a device after some tries. The device was suspect for the given time,
// or not if that is 0.
func tried(attempts int, suspect time.Duration) registry.Work {
	w := registry.Work{Attempts: attempts, Notification: idlepush.Notification{Expires: dawn.Add(72 * time.Hour)}}
	if suspect > 0 {
		w.Device.Status = idlepush.Status{State: idlepush.StateSuspect, Since: dawn.Add(-suspect)}
	}
	return w
}

func expiring(w registry.Work, left time.Duration) registry.Work {
	w.Notification.Expires = dawn.Add(left)
	return w
}

func TestScheduled(t *testing.T) {
	t.Run("waits are within their bounds", scheduledBounds)
	t.Run("a time that the service gave is respected", scheduledAfter)
	t.Run("only a retry has a time", scheduledRetry)
}

func scheduledBounds(t *testing.T) {
	for _, c := range []struct {
		name        string
		o           registry.Outcome
		w           registry.Work
		least, most time.Duration
	}{
		{"first outage", retry(), tried(0, 0), 0, 2 * time.Second},
		{"second outage", retry(), tried(1, 0), 0, 4 * time.Second},
		{"long outage", retry(), tried(1000, 0), 0, time.Minute},
		{"first complaint", complaint(), tried(1000, 0), 30 * time.Second, time.Minute},
		{"suspect for an hour", complaint(), tried(3, time.Hour), 15 * time.Minute, 30 * time.Minute},
		{"suspect for six hours", complaint(), tried(3, 6*time.Hour), 90 * time.Minute, 3 * time.Hour},
		{"suspect for weeks", complaint(), tried(3, 1000*time.Hour), 6 * time.Hour, 12 * time.Hour},
		{"suspect for weeks, with eight hours left", complaint(), expiring(tried(3, 1000*time.Hour), 8*time.Hour), 2 * time.Hour, 4 * time.Hour},
		{"suspect for weeks, with a minute left", complaint(), expiring(tried(3, 1000*time.Hour), time.Minute), 30 * time.Second, time.Minute},
		{"outage of a suspect", retry(), tried(3, 1000*time.Hour), 6 * time.Hour, 12 * time.Hour},
	} {
		shortest, longest := c.most, time.Duration(0)
		for range 200 {
			wait := scheduled(c.o, c.w, dawn).At.Sub(dawn)
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		if shortest < c.least || longest > c.most {
			t.Errorf("%s: waits of %v to %v, want %v to %v", c.name, shortest, longest, c.least, c.most)
		}
		if longest-shortest < (c.most-c.least)/2 {
			t.Errorf("%s: waits of %v to %v are hardly spread", c.name, shortest, longest)
		}
	}
}

func scheduledAfter(t *testing.T) {
	for attempts := range 15 {
		o := retry()
		o.At = dawn.Add(time.Hour)
		if got := scheduled(o, tried(attempts, 0), dawn); !got.At.Equal(o.At) {
			t.Errorf("after %d tries it is tried at %v, the service asked for %v", attempts, got.At, o.At)
		}
		o.At = dawn.Add(-time.Hour)
		if got := scheduled(o, tried(attempts, 0), dawn); !got.At.After(dawn) {
			t.Errorf("after %d tries it is tried at once, for the service asked for a time that is past", attempts)
		}
	}
}

func scheduledRetry(t *testing.T) {
	for _, o := range []registry.Outcome{accepted, gone(), refused(), ourFault()} {
		if got := scheduled(o, tried(3, 0), dawn); !reflect.DeepEqual(got, o) {
			t.Errorf("%s became %+v", o.Result, got)
		}
	}
}

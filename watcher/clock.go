package watcher

import (
	"sync"
	"time"
)

// A leap is a clock that was set ahead by more than maxLeap. It is believed after leapLasts: until
// then the clock may be wrong, and new mail would look so old that it is not notified.
const (
	maxLeap   = importAge / 2
	leapLasts = 24 * time.Hour
)

// clock returns the time for dates that are stored or compared with a mail server's. Waits use the
// monotonic clock.
type clock struct {
	wall func() time.Time

	mu     sync.Mutex
	last   time.Time // what now returned last
	mono   time.Time // the monotonic time of that
	leaped time.Time // the monotonic time of the leap that is not believed yet; zero: none
}

// newClock returns a clock that reads wall, or time.Now if wall is nil.
func newClock(wall func() time.Time) *clock {
	if wall == nil {
		wall = time.Now
	}
	return &clock{wall: wall, last: wall().Round(0), mono: time.Now()}
}

// now returns the wall time, or, after a leap, what it would be without.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono, wall := time.Now(), c.wall().Round(0)
	steady := c.last.Add(mono.Sub(c.mono))
	switch {
	case wall.Sub(steady) <= maxLeap:
		c.leaped = time.Time{}
	case c.leaped.IsZero():
		c.leaped, wall = mono, steady
	case mono.Sub(c.leaped) < leapLasts:
		wall = steady
	default:
		c.leaped = time.Time{}
	}
	c.last, c.mono = wall, mono
	return wall
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

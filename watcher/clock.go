package watcher

import (
	"sync"
	"time"

	"idlepush/clocks"
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
	wall func() time.Time // nil: time.Now

	mu     sync.Mutex
	last   clocks.Reading // the last, with what now returned for the wall clock
	leaped time.Time      // the monotonic time of the leap that is not believed yet; zero: none
}

// newClock returns a clock that reads wall, or time.Now if wall is nil.
func newClock(wall func() time.Time) *clock { return &clock{wall: wall, last: clocks.Read(wall)} }

// read reads the wall clock and the monotonic clock, as they are.
func (c *clock) read() clocks.Reading { return clocks.Read(c.wall) }

// now returns the wall time, or, after a leap, what it would be without.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	is := c.read()
	jump := clocks.Jump(c.last, is)
	believed := jump <= maxLeap || !c.leaped.IsZero() && is.Mono.Sub(c.leaped) >= leapLasts
	switch {
	case believed:
		c.leaped = time.Time{}
	case c.leaped.IsZero():
		c.leaped = is.Mono
	}
	if !believed {
		is.Wall = is.Wall.Add(-jump)
	}
	c.last = is
	return is.Wall
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

package watcher

import "time"

// clock tells the time of what is kept for a later run of the program and compared with a mail server's dates: when a folder was last looked
// at. Waits do not need it: they go by the monotonic clock, which nobody sets.
type clock struct {
	wall  func() time.Time
	began time.Time // by the clock on the wall
	start time.Time // the same moment, for the monotonic clock
}

// newClock goes by the clock on the wall that wall reads; nil: this machine's.
func newClock(wall func() time.Time) *clock {
	if wall == nil {
		wall = time.Now
	}
	return &clock{wall: wall, began: wall().Round(0), start: time.Now()}
}

// now is the time on the wall, but never later than it would be if nobody had set that clock since the program began: after a
// look in the future, new mail would be taken for old, and not ring. After one in the past, at worst old mail rings.
func (c *clock) now() time.Time {
	return earlier(c.wall(), c.began.Add(time.Since(c.start)))
}

// earlier is the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

package message

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpu returns how long this thread has computed: unlike the time that passes, it is the same on a
// busy machine.
func cpu() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

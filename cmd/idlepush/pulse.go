package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// stuckAfter is how long a loop of the program may take to go round before the watchdog is not fed.
// Each goes round at least once a minute, unless the disk or a bug holds it up. It is shorter than
// promise.Patience, after which people learn of it, because systemd waits for WatchdogSec, another
// five minutes, before it restarts the program.
const stuckAfter = 3 * time.Minute

// pulse is when each of the loops has last gone round.
type pulse []*atomic.Pointer[time.Time]

// newPulse sets what the loops call each time they have gone round.
func newPulse(looked ...*func()) (p pulse) {
	began := time.Now()
	for _, call := range looked {
		last := new(atomic.Pointer[time.Time])
		last.Store(&began)
		p, *call = append(p, last), func() { last.Store(new(time.Now())) }
	}
	return p
}

// age returns how long ago the slowest of the loops has gone round. The time that the machine
// sleeps does not count.
func (p pulse) age() (longest time.Duration) {
	for _, last := range p {
		longest = max(longest, time.Since(*last.Load()))
	}
	return longest
}

// feedWatchdog tells systemd that the program works, as long as its loops go round, until ctx ends.
// Without a watchdog it does nothing. systemd restarts a program that does not tell it in time.
func feedWatchdog(ctx context.Context, loops pulse, log *slog.Logger) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog of systemd is not fed: WATCHDOG_USEC or WATCHDOG_PID is no number", "err", err)
	}
	if within == 0 || err != nil {
		return
	}
	ticker := time.NewTicker(within / 3)
	defer ticker.Stop()
	for {
		if age := loops.age(); age < stuckAfter {
			tellSystemd(daemon.SdNotifyWatchdog, log)
		} else {
			log.Error("the program is stuck, and its watchdog is not fed: most likely the disk does not answer", "age", age.Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tellSystemd tells systemd a state of the program, if it was started by it.
func tellSystemd(state string, log *slog.Logger) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot tell systemd how the program is; check NOTIFY_SOCKET", "err", err)
	}
}

// Package clocks compares the wall clock of the machine with its monotonic clock. When they
// disagree, the machine slept or the wall clock was set.
//
// While a machine sleeps, the monotonic clock stands still on Linux, macOS and Windows, and with it
// every timer and deadline of Go. A wait of nine minutes that spans a night ends eight hours late.
// The wall clock goes on, or is set right when the machine wakes.
//
// It is a package of its own because watcher and push both compare the clocks and may not import
// each other.
package clocks

import (
	"context"
	"crypto/x509"
	"errors"
	"time"
)

const (
	// every is the time between two looks of Watch, and with it the longest time until a jump is
	// noticed.
	every = 10 * time.Second

	// shortestJump is the shortest jump that counts. Connections live through shorter sleeps. Leap
	// seconds and most corrections by NTP are shorter, too.
	shortestJump = 10 * time.Second
)

// Reading is what both clocks show at one moment.
type Reading struct {
	Wall time.Time // without a monotonic reading, so that times differ as the wall clock does
	Mono time.Time // for the difference to other readings of this run of the program only
}

// Read reads both clocks. wall takes the place of time.Now for the wall clock, unless it is nil.
func Read(wall func() time.Time) Reading {
	now := time.Now()
	if wall == nil {
		return Reading{now.Round(0), now}
	}
	return Reading{wall().Round(0), now}
}

// Jump returns by how much the wall clock was set ahead between two readings, or by how long the
// machine slept. It is negative if the wall clock was set back.
func Jump(before, now Reading) time.Duration {
	return now.Wall.Sub(before.Wall) - now.Mono.Sub(before.Mono)
}

// Elapsed returns the time between two readings by the clock that went further: a sleep counts, and
// a wall clock that was set back makes nothing longer.
func Elapsed(before, now Reading) time.Duration {
	return max(now.Wall.Sub(before.Wall), now.Mono.Sub(before.Mono))
}

// Jumped reports whether there was a jump of ten seconds or more between two readings.
func Jumped(before, now Reading) bool { return Jump(before, now).Abs() >= shortestJump }

// Watch calls jumped after each jump of ten seconds or more, with its length, until ctx ends. It
// notices a jump within ten seconds of being awake.
func Watch(ctx context.Context, wall func() time.Time, jumped func(by time.Duration)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for last := Read(wall); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := Read(wall)
		if Jumped(last, now) {
			jumped(Jump(last, now))
		}
		last = now
	}
}

// NotYetValid reports whether err is about a certificate that is not valid yet at now, and returns
// from when on it is. Then the wall clock may be wrong.
func NotYetValid(err error, now time.Time) (from time.Time, yes bool) {
	c := outOfTime(err)
	if c == nil || !now.Before(c.NotBefore) {
		return time.Time{}, false
	}
	return c.NotBefore, true
}

// Expired reports whether err is about a certificate that is no longer valid at now, and returns
// until when it was. Then the wall clock may be wrong, too.
func Expired(err error, now time.Time) (until time.Time, yes bool) {
	c := outOfTime(err)
	if c == nil || !now.After(c.NotAfter) {
		return time.Time{}, false
	}
	return c.NotAfter, true
}

// outOfTime returns the certificate that err finds not valid yet or no longer, or nil.
func outOfTime(err error) *x509.Certificate {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired {
		return nil
	}
	return invalid.Cert
}

//go:build linux

package main

import (
	"context"
	"time"
)

// All sessions together refresh once in refreshPace, and are measured at least for refreshFor.
const (
	refreshPace = 5 * time.Millisecond
	refreshFor  = time.Second
)

// refresh measures what it costs to end an IDLE in which nothing came, to look, and to begin the
// next.
func refresh(ctx context.Context, l *lab) ([]line, error) {
	h := household{accounts: l.count(1000)}
	h.interval = time.Duration(h.accounts) * refreshPace
	p, err := l.startPair(ctx, l.disk, h, h.interval)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if !sleep(ctx, h.interval) {
		return nil, ctx.Err()
	}
	endProfile, err := p.daemon.profile(ctx)
	if err != nil {
		return nil, err
	}
	floor := refresher{p.floor, l.mail, users(h.accounts, floorUser)}
	own := refresher{p.daemon.process, l.mail, users(h.accounts, accountUser)}
	var costs compared[time.Duration]
	for range l.rounds {
		ofFloor, err := floor.begin()
		if err != nil {
			return nil, err
		}
		ofOwn, err := own.begin()
		if err != nil {
			return nil, err
		}
		if !sleep(ctx, max(2*h.interval, refreshFor)) {
			return nil, ctx.Err()
		}
		a, err := ofFloor()
		if err != nil {
			return nil, err
		}
		b, err := ofOwn()
		if err != nil {
			return nil, err
		}
		costs.add([]time.Duration{a}, []time.Duration{b})
	}
	return []line{costs.line("CPU of a refresh", 0.5, inUs, "≤ 1.3 ×")}, endProfile()
}

// refresher is a process whose sessions refresh.
type refresher struct {
	process *process
	mail    *mailServer
	users   []string
}

// begin returns what returns the CPU time of each refresh since.
func (r refresher) begin() (cost func() (time.Duration, error), err error) {
	before, idles := time.Duration(0), r.mail.idles(r.users)
	if before, err = r.process.cpu(); err != nil {
		return nil, err
	}
	return func() (time.Duration, error) {
		after, err := r.process.cpu()
		return (after - before) / time.Duration(max(r.mail.idles(r.users)-idles, 1)), err
	}, nil
}

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ring measures the time from EXISTS to the push, one mail after the other.
func ring(ctx context.Context, l *lab) (lines []line, err error) {
	synced, err := syncTime(ctx, l.disk)
	if err != nil {
		return nil, err
	}
	for _, at := range []struct{ dir, profiles, name, wanted string }{
		{l.disk, "ring-disk", "on a disk with an fdatasync of " + inMs(synced), "≤ 1.8 × at 0.15 ms"},
		{l.memory, "ring-ram", "store in RAM", "≤ 1.4 ×"},
	} {
		l.nameProfiles(at.profiles)
		times, err := l.ringAt(ctx, at.dir)
		if err != nil {
			return lines, err
		}
		lines = append(lines, times.line("EXISTS → push, p50, "+at.name, 0.5, inMs, at.wanted), times.line("EXISTS → push, p99, "+at.name, 0.99, inMs, ""))
	}
	return lines, nil
}

// ringAt measures with the data folder in dir. In a round each account gets a mail; turns of the
// floor and of idlepush alternate.
func (l *lab) ringAt(ctx context.Context, dir string) (times compared[time.Duration], err error) {
	const turn = 20
	h := household{accounts: l.count(100), phones: 1, service: fcm}
	p, err := l.startPair(ctx, dir, h, 0)
	if err != nil {
		return times, err
	}
	defer p.stop()
	if err := p.daemon.rest(ctx); err != nil {
		return times, err
	}
	endProfile, err := p.daemon.profile(ctx)
	if err != nil {
		return times, err
	}
	floors, owns := users(h.accounts, floorUser), users(h.accounts, accountUser)
	for range l.rounds {
		var floor, own []time.Duration
		for from := 0; from < h.accounts; from += turn {
			to := min(from+turn, h.accounts)
			if err := errors.Join(p.ringEach(ctx, floors[from:to], &floor), p.ringEach(ctx, owns[from:to], &own)); err != nil {
				return times, err
			}
		}
		times.add(floor, own)
	}
	return times, endProfile()
}

// ringEach delivers a mail to one user after the other, and adds how long each push took.
func (p *pair) ringEach(ctx context.Context, users []string, times *[]time.Duration) error {
	for i := range users {
		began, came, err := p.ring(ctx, users[i:i+1])
		if err != nil {
			return err
		}
		*times = append(*times, came[0].Sub(began))
	}
	return nil
}

// syncTime returns how long an fdatasync of one page takes in dir, as seldom as a mail comes: a
// disk that was at rest is slower.
func syncTime(ctx context.Context, dir string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	page := make([]byte, os.Getpagesize())
	var times []time.Duration
	for range 100 {
		if !sleep(ctx, between) {
			return 0, ctx.Err()
		}
		if _, err := file.WriteAt(page, 0); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	return quantile(times, 0.5), nil
}

// together measures how fast pushes come when many accounts get mail at once.
func together(ctx context.Context, l *lab) ([]line, error) {
	h := household{accounts: l.count(200), phones: 1, service: fcm}
	p, err := l.startPair(ctx, l.disk, h, 0)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var rates compared[float64]
	var firsts compared[time.Duration]
	endProfile, err := p.daemon.profile(ctx)
	if err != nil {
		return nil, err
	}
	for range l.rounds {
		var rate [2]float64
		var first [2]time.Duration
		for i, user := range []func(int) string{floorUser, accountUser} {
			began, came, err := p.ring(ctx, users(h.accounts, user))
			if err != nil {
				return nil, err
			}
			first[i] = came[0].Sub(began)
			rate[i] = float64(len(came)) / came[len(came)-1].Sub(began).Seconds()
			if err := p.daemon.rest(ctx); err != nil {
				return nil, err
			}
		}
		rates.add(rate[:1], rate[1:])
		firsts.add(first[:1], first[1:])
	}
	return []line{
		rates.line(fmt.Sprintf("pushes when %d accounts ring at once", h.accounts), 0.5, perSecond, "≥ 0.55 ×"),
		firsts.line("the first of these", 0.5, inMs, "≤ 5 ms"),
	}, endProfile()
}

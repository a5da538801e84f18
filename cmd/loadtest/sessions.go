//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// waiting is what a process cost that came to wait in a number of mailboxes.
type waiting struct {
	took    time.Duration // from its start until all sessions had come to IDLE
	cpu     time.Duration // used by then
	memory  int64         // after quiet, in bytes
	peak    int64         // the most until then
	settled int64         // after it gave back what it does not need
}

// quiet is how long sessions have waited before the memory is measured that they take: by then
// idlepush has given back what only logins needed.
const quiet = 5 * time.Second

// waitings are those of the floor and of idlepush, one for each round.
type waitings struct{ floor, own []waiting }

// compare makes pairs of the rounds of one figure.
func compare[T number](w waitings, figure func(waiting) T) (c compared[T]) {
	for i := range w.floor {
		c.add([]T{figure(w.floor[i])}, []T{figure(w.own[i])})
	}
	return c
}

// fleet is a number of accounts whose sessions wait.
type fleet struct {
	accounts int
	services bool // FCM and APNs are configured
	wanted   string
}

// sessions measures the memory of sessions that wait in IDLE, and the start of many.
func sessions(ctx context.Context, l *lab) (lines []line, err error) {
	fleets := []fleet{{10, false, "≤ 25 MB"}, {10, true, "≤ 30 MB"}, {1000, true, ""}, {10_000, true, "≤ 250 MB"}}
	if l.size > 0 {
		fleets = []fleet{{l.size, true, ""}}
	}
	var w waitings
	for _, f := range fleets {
		if w, err = l.waitings(ctx, f); err != nil {
			return lines, err
		}
		name := fmt.Sprintf("memory of the whole process, %d accounts", f.accounts)
		if !f.services {
			name += ", without FCM and APNs"
		}
		memory := compare(w, func(w waiting) int64 { return w.memory })
		lines = append(lines, memory.line(name, 0.5, inMB, f.wanted))
	}
	none, err := l.waitings(ctx, fleet{0, true, ""})
	if err != nil {
		return lines, err
	}
	return append(lines, many(none, w, fleets[len(fleets)-1].accounts)...), nil
}

// many returns the lines of one session among many, by what they cost beyond a process with none.
func many(none, w waitings, accounts int) []line {
	var memory compared[int64]
	var cpu compared[time.Duration]
	for i := range w.floor {
		memory.add([]int64{(w.floor[i].settled - none.floor[i].settled) / int64(accounts)}, []int64{(w.own[i].settled - none.own[i].settled) / int64(accounts)})
		cpu.add([]time.Duration{(w.floor[i].cpu - none.floor[i].cpu) / time.Duration(accounts)}, []time.Duration{(w.own[i].cpu - none.own[i].cpu) / time.Duration(accounts)})
	}
	took := compare(w, func(w waiting) time.Duration { return w.took })
	settled := compare(w, func(w waiting) int64 { return w.settled })
	peak := compare(w, func(w waiting) int64 { return w.peak })
	name := fmt.Sprintf("%d accounts on %d hosts", accounts, (accounts+accountsPerHost-1)/accountsPerHost)
	return []line{
		peak.line("the same, at most (VmHWM)", 0.5, inMB, ""),
		settled.line("the same, settled", 0.5, inMB, ""),
		memory.line("memory of a session among them, settled", 0.5, inKB, "≤ 16 KB"),
		took.line("start of "+name, 0.5, inSeconds, "≤ 1.2 ×"),
		cpu.line("CPU of that for an account", 0.5, inUs, "≤ 1.3 ×"),
	}
}

// waitings measures the floor and idlepush in turns.
func (l *lab) waitings(ctx context.Context, f fleet) (w waitings, err error) {
	l.nameProfiles(fmt.Sprintf("sessions-%d", f.accounts))
	for range l.rounds {
		floor, err := l.floorWaiting(ctx, f.accounts)
		if err != nil {
			return w, err
		}
		own, err := l.daemonWaiting(ctx, f)
		if err != nil {
			return w, err
		}
		w.floor, w.own = append(w.floor, floor), append(w.own, own)
	}
	return w, nil
}

func (l *lab) floorWaiting(ctx context.Context, accounts int) (waiting, error) {
	if err := l.mail.awaitReady(ctx, 0); err != nil {
		return waiting{}, err
	}
	began := time.Now()
	p, err := start(floor{Roots: l.authority.file, MailPort: l.mail.port, Push: l.push.address, Sessions: accounts}.command(), "")
	if err != nil {
		return waiting{}, err
	}
	defer p.stop()
	return l.waiting(ctx, p, began, accounts)
}

func (l *lab) daemonWaiting(ctx context.Context, f fleet) (w waiting, err error) {
	if err := l.mail.awaitReady(ctx, 0); err != nil {
		return w, err
	}
	d, err := l.startDaemon(ctx, l.disk, household{accounts: f.accounts}, f.services)
	if err != nil {
		return w, err
	}
	defer d.stop()
	endProfile, err := d.profile(ctx)
	if err != nil {
		return w, err
	}
	if w, err = l.waiting(ctx, d.process, d.began, f.accounts); err != nil {
		return w, err
	}
	return w, endProfile()
}

func (l *lab) waiting(ctx context.Context, p *process, began time.Time, accounts int) (w waiting, err error) {
	if err := l.mail.awaitReady(ctx, accounts); err != nil {
		return w, err
	}
	w.took = time.Since(began)
	if w.cpu, err = p.cpu(); err != nil {
		return w, err
	}
	if !sleep(ctx, quiet) {
		return w, ctx.Err()
	}
	if err := p.rest(ctx); err != nil {
		return w, err
	}
	if w.memory, err = p.memory(); err != nil {
		return w, err
	}
	if w.peak, err = p.peak(); err != nil {
		return w, err
	}
	if err := p.settle(ctx); err != nil {
		return w, err
	}
	w.settled, err = p.memory()
	return w, err
}

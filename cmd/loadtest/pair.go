//go:build linux

package main

import (
	"context"
	"time"
)

// pair is the floor and idlepush, side by side: each waits in as many mailboxes of one server, and
// sends to one push service.
type pair struct {
	lab      *lab
	accounts int
	floor    *process
	daemon   *daemon
}

// startPair starts both, with the data folder of idlepush in dir, and waits until all sessions have
// come to IDLE. The floor asks for signs of life after refresh.
func (l *lab) startPair(ctx context.Context, dir string, h household, refresh time.Duration) (p *pair, err error) {
	p = &pair{lab: l, accounts: h.accounts}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if err := l.mail.awaitReady(ctx, 0); err != nil {
		return p, err
	}
	f := floor{Roots: l.authority.file, MailPort: l.mail.port, Push: l.push.address, Sessions: h.accounts, Service: h.service, Refresh: refresh}
	if p.floor, err = start(f.command(), ""); err != nil {
		return p, err
	}
	if p.daemon, err = l.startDaemon(ctx, dir, h, true); err != nil {
		return p, err
	}
	return p, l.mail.awaitReady(ctx, 2*h.accounts)
}

// stop ends both. What fails then is of no interest.
func (p *pair) stop() {
	if p.floor != nil {
		p.floor.stop()
	}
	if p.daemon != nil {
		p.daemon.stop()
	}
}

// between is the time between two mails, in which both come to rest.
const between = 10 * time.Millisecond

// ring delivers a mail to each user at once and returns when that began, and when the pushes came.
func (p *pair) ring(ctx context.Context, users []string) (began time.Time, came []time.Time, err error) {
	if err := p.lab.mail.awaitIdle(ctx, 2*p.accounts); err != nil {
		return began, nil, err
	}
	if !sleep(ctx, between) {
		return began, nil, ctx.Err()
	}
	began = p.lab.mail.deliver(users...)
	came, err = p.lab.push.await(ctx, len(users))
	return began, came, err
}

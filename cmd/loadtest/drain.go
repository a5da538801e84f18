//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// drain measures what a delivery costs while a long queue is sent, for each push service.
func drain(ctx context.Context, l *lab) (lines []line, err error) {
	h := queued(l.count(20_000))
	for _, of := range []struct{ service, wanted string }{{fcm, "≤ 150 µs"}, {apns, "≤ 150 µs"}, {webpush, "≤ 260 µs"}} {
		var costs compared[time.Duration]
		var rates compared[float64]
		h.service = of.service
		l.nameProfiles("drain-" + of.service)
		for range l.rounds {
			floor, err := l.requests(ctx, h)
			if err != nil {
				return lines, err
			}
			own, err := l.deliveries(ctx, h)
			if err != nil {
				return lines, err
			}
			costs.add([]time.Duration{floor.cpu}, []time.Duration{own.cpu})
			rates.add([]float64{floor.rate}, []float64{own.rate})
		}
		lines = append(lines, costs.line("CPU of a delivery, "+of.service, 0.5, inUs, of.wanted), rates.line("deliveries, "+of.service, 0.5, perSecond, ""))
	}
	return lines, nil
}

// sent is what a delivery cost, and how many there were in a second.
type sent struct {
	cpu  time.Duration
	rate float64
}

// queued returns a household with about n deliveries: to up to 1,000 phones, of which ten share an
// account.
func queued(n int) household {
	h := household{accounts: min(max(n/10, 1), 100), phones: min(n, 10)}
	h.mails = max(n/(h.accounts*h.phones), 1)
	return h
}

func (h household) deliveries() int { return h.accounts * h.phones * h.mails }

// sent returns the cost of the deliveries of a household, all of which took this CPU time.
func (l *lab) sent(ctx context.Context, h household, used func() (time.Duration, error)) (s sent, err error) {
	n := h.deliveries()
	came, err := l.push.await(ctx, n)
	if err != nil {
		return s, err
	}
	cpu, err := used()
	return sent{cpu / time.Duration(n), float64(n-1) / came[n-1].Sub(came[0]).Seconds()}, err
}

// requests measures bare requests, a whole process long.
func (l *lab) requests(ctx context.Context, h household) (sent, error) {
	f, err := start(floor{Roots: l.authority.file, Push: l.push.address, Requests: h.deliveries(), Service: h.service}.command(), "")
	if err != nil {
		return sent{}, err
	}
	return l.sent(ctx, h, func() (time.Duration, error) {
		if err := f.cmd.Wait(); err != nil {
			return 0, fmt.Errorf("the floor: %w", err)
		}
		return f.cmd.ProcessState.UserTime() + f.cmd.ProcessState.SystemTime(), nil
	})
}

// deliveries measures idlepush, from when it is ready until the last delivery is settled.
func (l *lab) deliveries(ctx context.Context, h household) (s sent, err error) {
	d, err := l.startDaemon(ctx, l.disk, h, true)
	if err != nil {
		return s, err
	}
	defer d.stop()
	before, err := d.cpu()
	if err != nil {
		return s, err
	}
	endProfile, err := d.profile(ctx)
	if err != nil {
		return s, err
	}
	s, err = l.sent(ctx, h, func() (time.Duration, error) {
		if err := d.rest(ctx); err != nil {
			return 0, err
		}
		after, err := d.cpu()
		return after - before, err
	})
	if err != nil {
		return s, err
	}
	return s, endProfile()
}

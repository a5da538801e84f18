//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// shape measures how memory and CPU grow with the number of accounts, and CPU with the number of
// deliveries that wait. The ratio of such a line is the exponent of a power law: at most 1 is at
// most linear.
func shape(ctx context.Context, l *lab) ([]line, error) {
	var memory, cpu, settled growth
	none, err := l.daemonWaiting(ctx, fleet{0, true, ""})
	if err != nil {
		return nil, err
	}
	for _, n := range decades(l.count(10_000)) {
		w, err := l.daemonWaiting(ctx, fleet{n, true, ""})
		if err != nil {
			return nil, err
		}
		memory.add(n, float64(w.memory-none.memory), inMB(w.memory))
		settled.add(n, float64(w.settled-none.settled), inMB(w.settled))
		cpu.add(n, float64(w.cpu-none.cpu), inSeconds(w.cpu))
	}
	lines := []line{memory.line("memory with %s accounts"), settled.line("settled, with %s accounts"), cpu.line("CPU of the start of %s accounts")}
	var drained growth
	for _, n := range decades(l.count(1_000_000)) {
		h := queued(n)
		h.service = fcm
		s, err := l.deliveries(ctx, h)
		if err != nil {
			return lines, err
		}
		total := s.cpu * time.Duration(h.deliveries())
		drained.add(h.deliveries(), float64(total), inSeconds(total))
	}
	return append(lines, drained.line("CPU of %s deliveries")), nil
}

// decades returns up to four sizes, each ten times the one before, up to most.
func decades(most int) (sizes []int) {
	for n := most; n > 0 && len(sizes) < 4; n /= 10 {
		sizes = append([]int{n}, sizes...)
	}
	return sizes
}

// growth is a figure that was measured at several sizes.
type growth struct {
	sizes, shown []string
	x, y         []float64 // logarithms
}

// add takes a figure, as it is shown, and how much of it is due to the size.
func (g *growth) add(size int, due float64, shown string) {
	g.sizes, g.shown = append(g.sizes, fmt.Sprint(size)), append(g.shown, shown)
	g.x, g.y = append(g.x, math.Log(float64(size))), append(g.y, math.Log(max(due, 1)))
}

// exponent returns the slope of the line that fits the logarithms best.
func (g *growth) exponent() float64 {
	var x, y, xx, xy float64
	for i := range g.x {
		x, y, xx, xy = x+g.x[i], y+g.y[i], xx+g.x[i]*g.x[i], xy+g.x[i]*g.y[i]
	}
	n := float64(len(g.x))
	return (n*xy - x*y) / (n*xx - x*x)
}

func (g *growth) line(figure string) line {
	return line{fmt.Sprintf(figure, strings.Join(g.sizes, ", ")), unmeasured, strings.Join(g.shown, ", "), fmt.Sprintf("exponent %.2f", g.exponent()), "≤ 1"}
}

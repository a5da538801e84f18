//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// line is one line of the table.
type line struct{ figure, floor, idlepush, ratio, wanted string }

// unmeasured stands in a line for a floor that there is not, and its ratio.
const unmeasured = "–"

func printTable(out io.Writer, lines []line) {
	fmt.Fprintln(out, "| figure | floor | idlepush | ratio | wanted |\n| --- | --- | --- | --- | --- |")
	for _, l := range lines {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", l.figure, l.floor, l.idlepush, l.ratio, l.wanted)
	}
}

// number is a figure that is measured.
type number interface{ ~int64 | ~float64 }

// quantile returns the value that a part of the list does not exceed: 0.5 for the median.
func quantile[T number](list []T, part float64) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// compared are the measurements of the floor and of idlepush, side by side in each round.
type compared[T number] struct{ floor, own [][]T }

func (c *compared[T]) add(floor, own []T) {
	c.floor, c.own = append(c.floor, floor), append(c.own, own)
}

// line makes a line of a quantile. The ratio is the median of those of the rounds.
func (c *compared[T]) line(figure string, part float64, show func(T) string, wanted string) line {
	var ratios []float64
	for i := range c.floor {
		ratios = append(ratios, float64(quantile(c.own[i], part))/float64(quantile(c.floor[i], part)))
	}
	return line{figure, show(quantile(slices.Concat(c.floor...), part)), show(quantile(slices.Concat(c.own...), part)), fmt.Sprintf("%.2f ×", quantile(ratios, 0.5)), wanted}
}

func inMs(d time.Duration) string      { return fmt.Sprintf("%.2f ms", d.Seconds()*1e3) }
func inUs(d time.Duration) string      { return fmt.Sprintf("%.0f µs", d.Seconds()*1e6) }
func inSeconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
func perSecond(rate float64) string    { return fmt.Sprintf("%.0f/s", rate) }
func inMB(bytes int64) string          { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
func inKB(bytes int64) string          { return fmt.Sprintf("%.1f KB", float64(bytes)/1e3) }

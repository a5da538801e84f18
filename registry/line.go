package registry

import (
	"time"
)

// A device's queue is made of lines, each in order by itself: the mail of each account, what is to
// be taken away, and everything else. So one line can be held back while the others go on. The row
// of the queue says where each line begins, so that no row of a delivery is read to decide what is
// next.

// The lines that are no account's.
const (
	clearLine = "clears"
	otherLine = "others"
)

// held reports whether the line is held back at now. A hold from after now was written before the
// clock was set back.
func (l lineRow) held(now time.Time) bool { return !now.Before(l.From) && now.Before(l.Until) }

// rangKept is how long it is remembered at most when a line last rang.
const rangKept = time.Hour

// trim forgets what of the lines is not needed any more.
func (q *queueRow) trim(now time.Time) {
	for name, l := range q.Lines {
		if len(l.Rang) > 0 && now.Sub(l.Rang[len(l.Rang)-1]) > rangKept {
			l.Rang = nil
		}
		if l.Head == 0 {
			l.Summary = ""
		}
		if q.Lines[name] = l; l.Head == 0 && len(l.Rang) == 0 && l.Until.IsZero() && l.Summary == "" {
			delete(q.Lines, name)
		}
	}
}

// rides reports whether what waits in the line goes with another push and never by itself.
func (q queueRow) rides(line string) bool { return line == clearLine && q.MustShow }

// leading returns the line whose first delivery is sent next: of the lines that are not held back,
// the one whose first came first.
func (q queueRow) leading(now time.Time) (line string, ok bool) {
	for name, l := range q.Lines {
		if l.Head == 0 || q.rides(name) || l.held(now) {
			continue
		}
		if !ok || l.Head < q.Lines[line].Head {
			line, ok = name, true
		}
	}
	return line, ok
}

// look sets when the queue is to be looked at.
func (q *queue) look(now time.Time) {
	q.row.Due, q.row.Holding = q.row.next(now)
}

// next returns when the queue is to be looked at: now if a line leads it, else when the first hold
// ends; zero if nothing waits that goes by itself. holding: it is the end of a hold.
func (q queueRow) next(now time.Time) (at time.Time, holding bool) {
	for name, l := range q.Lines {
		switch {
		case l.Head == 0 || q.rides(name):
		case !l.held(now):
			return now, false
		case at.IsZero() || l.Until.Before(at):
			at, holding = l.Until, true
		}
	}
	return at, holding
}

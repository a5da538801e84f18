package registry

import (
	"time"
)

// A device's queue consists of subqueues: one for the mail of each account, one for clears, and one
// for all other notifications. Each keeps its order, and can be held while the others go on. The
// row of the queue has the head of each, so that no row of a delivery is read to choose the next.

// The subqueues that belong to no account.
const (
	clearSubqueue = "clears"
	otherSubqueue = "others"
)

// isHeld reports whether the subqueue is held at now. A hold that begins after now was written
// before the clock was set back, and does not count.
func (l subqueueRow) isHeld(now time.Time) bool {
	return !now.Before(l.HeldFrom) && now.Before(l.HeldUntil)
}

// maxNotifiedAge bounds how long NotifiedAt is kept after the last delivery.
const maxNotifiedAge = time.Hour

// prune removes fields and subqueues that are no longer needed.
func (q *queueRow) prune(now time.Time) {
	for name, l := range q.Subqueues {
		if len(l.NotifiedAt) > 0 && now.Sub(l.NotifiedAt[len(l.NotifiedAt)-1]) > maxNotifiedAge {
			l.NotifiedAt = nil
		}
		if l.Head == 0 {
			l.Combined = ""
		}
		if q.Subqueues[name] = l; l.Head == 0 && len(l.NotifiedAt) == 0 && l.HeldUntil.IsZero() && l.Combined == "" {
			delete(q.Subqueues, name)
		}
	}
}

// isPiggybacked reports whether the deliveries of the subqueue are never sent by themselves, but
// with another push.
func (q queueRow) isPiggybacked(sub string) bool { return sub == clearSubqueue && q.MustShow }

// nextSubqueue returns the subqueue whose first delivery is sent next. Among those that are not
// held, it is the one with the lowest sequence at its head.
func (q queueRow) nextSubqueue(now time.Time) (sub string, ok bool) {
	for name, l := range q.Subqueues {
		if l.Head == 0 || q.isPiggybacked(name) || l.isHeld(now) {
			continue
		}
		if !ok || l.Head < q.Subqueues[sub].Head {
			sub, ok = name, true
		}
	}
	return sub, ok
}

// updateDue sets when the queue is due.
func (q *queue) updateDue(now time.Time) {
	q.row.Due, q.row.Holding = q.row.nextDue(now)
}

// nextDue returns when the queue is due. It is now if a subqueue can be sent, or else the end of
// the first hold, which holding reports. It is zero if nothing waits that is sent by itself.
func (q queueRow) nextDue(now time.Time) (at time.Time, holding bool) {
	for name, l := range q.Subqueues {
		switch {
		case l.Head == 0 || q.isPiggybacked(name):
		case !l.isHeld(now):
			return now, false
		case at.IsZero() || l.HeldUntil.Before(at):
			at, holding = l.HeldUntil, true
		}
	}
	return at, holding
}

package registry

import (
	"time"
)

// A device's queue is made of subqueues, each in order by itself: the mail of each account, what is to
// be taken away, and everything else. So one subqueue can be held back while the others go on. The row
// of the queue says where each subqueue begins, so that no row of a delivery is read to decide what is
// next.

// The subqueues that are no account's.
const (
	clearSubqueue = "clears"
	otherSubqueue = "others"
)

// isHeld reports whether the subqueue is held back at now. A hold from after now was written before the
// clock was set back.
func (l subqueueRow) isHeld(now time.Time) bool {
	return !now.Before(l.HeldFrom) && now.Before(l.HeldUntil)
}

// maxNotifiedAge is how long it is remembered at most when a subqueue last rang.
const maxNotifiedAge = time.Hour

// prune forgets what of the subqueues is not needed any more.
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

// isPiggybacked reports whether what waits in the subqueue goes with another push and never by itself.
func (q queueRow) isPiggybacked(sub string) bool { return sub == clearSubqueue && q.MustShow }

// nextSubqueue returns the subqueue whose first delivery is sent next: of the subqueues that are not held back,
// the one whose first came first.
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

// updateDue sets when the queue is to be looked at.
func (q *queue) updateDue(now time.Time) {
	q.row.Due, q.row.Holding = q.row.nextDue(now)
}

// nextDue returns when the queue is to be looked at: now if a subqueue leads it, else when the first hold
// ends; zero if nothing waits that goes by itself. holding: it is the end of a hold.
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

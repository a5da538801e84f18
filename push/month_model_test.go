package push

import (
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
)

// line is what one telephone is expected to do with the mail of one mailbox. It goes through
// time second by second, and knows nothing of how the queue works.
type line struct {
	telephone
	member
	zone   *time.Location
	pushed []time.Time
	held   []*fate
}

// fate is what becomes of a mail on a telephone.
type fate struct {
	id     string
	kind   string
	first  bool      // of its sender
	read   time.Time // zero: never
	state  idlepush.DeliveryState
	silent bool
	at     time.Time // when it is shown, or the summary that counts it
	why    codes.Code
	which  string
	until  time.Time  // when what decides that ends; zero: it does not
	hold   ring.Wait  // what holds it back, until when it may be shown at the soonest
	waited *ring.Wait // what held it back; nil: nothing did
	count  int        // how many mails the summary counts that takes it; 0: none does
}

// opens returns when the burst-limit lets one more push pass.
func (l *line) opens() time.Time {
	if len(l.pushed) < monthBurst {
		return time.Time{}
	}
	return l.pushed[len(l.pushed)-monthBurst].Add(time.Minute)
}

// quietEnds returns when the quiet hours end in which a time lies.
func (l *line) quietEnds(at time.Time) time.Time {
	end := at.Truncate(time.Minute)
	for l.quiet(end.In(l.zone)) {
		end = end.Add(time.Minute)
	}
	return end
}

// expected returns what the member wants of a mail at a time that is not quiet.
func (l *line) expected(f *fate) expected {
	e, special := l.expects[f.kind]
	switch {
	case special:
		return e
	case f.first && f.kind != "talk" && l.first.verdict != "":
		return l.first
	}
	return expected{verdict: ring.Now}
}

// keep holds a mail back from a time on.
func (l *line) keep(f *fate, why codes.Code, at, until time.Time) {
	if f.hold.Code != "" && f.hold.Code != why {
		l.letGo(f, at)
	}
	if f.hold.Code == "" {
		f.hold = ring.Wait{Code: why, Since: at}
	}
	f.why, f.which, f.until, f.hold.Until = why, "", until, until
}

// letGo ends what holds a mail back.
func (l *line) letGo(f *fate, at time.Time) {
	f.waited = &ring.Wait{Code: f.hold.Code, Since: f.hold.Since, Until: at}
	f.hold = ring.Wait{}
}

// show says why a mail shows at a time as it does. It returns how.
func (l *line) show(f *fate, at time.Time) ring.Verdict {
	e := l.expected(f)
	f.why, f.which, f.until = e.why, e.which, time.Time{}
	switch quiet := l.quiet(at.In(l.zone)); {
	case !quiet || e.verdict == ring.Not:
	case !(e.passes && l.people):
		if e.verdict == ring.Now {
			f.why, f.which, f.until = codeQuiet, "silent", l.quietEnds(at)
		}
		return ring.Silent
	case e.why == codeRule:
		f.why, f.which = codeThrough, "rule"
	case e.why == codePerson:
		f.why, f.which = codeThrough, "people"
	}
	return e.verdict
}

// arrive decides on a mail at a time.
func (l *line) arrive(f *fate, at time.Time) {
	e := l.expected(f)
	verdict := l.show(f, at)
	switch {
	case e.verdict == ring.Not:
		f.state, f.at = idlepush.DeliverySkipped, at
	case l.mode == ring.QuietHold && l.quiet(at.In(l.zone)) && !(e.passes && l.people):
		l.keep(f, codeQuiet, at, l.quietEnds(at))
		l.held = append(l.held, f)
	case !e.passes && l.opens().After(at):
		l.keep(f, codeBurst, at, l.opens())
		l.held = append(l.held, f)
	default:
		if f.why == codePerson && l.opens().After(at) {
			f.why, f.which = codeThrough, "people_burst"
		}
		f.state, f.at, f.silent = idlepush.DeliveryDelivered, at, verdict == ring.Silent
		l.pushed = append(l.pushed, at)
	}
}

// wakes returns when the first hold ends; zero: nothing is held.
func (l *line) wakes() (first time.Time) {
	for _, f := range l.held {
		if first.IsZero() || f.hold.Until.Before(first) {
			first = f.hold.Until
		}
	}
	return first
}

// tick goes on to a time: what was read leaves, and what is held is shown once it may be.
func (l *line) tick(at time.Time) {
	l.held = slices.DeleteFunc(l.held, func(f *fate) bool {
		if f.read.IsZero() || f.read.After(at) {
			return false
		}
		f.state = idlepush.DeliveryCleared
		l.letGo(f, at)
		return true
	})
	if ends := l.wakes(); ends.IsZero() || ends.After(at) {
		return
	}
	quiet := l.quiet(at.In(l.zone))
	if quiet && l.mode == ring.QuietHold || l.opens().After(at) {
		for _, f := range l.held {
			if quiet && l.mode == ring.QuietHold {
				l.keep(f, codeQuiet, at, l.quietEnds(at))
			} else {
				l.keep(f, codeBurst, at, l.opens())
			}
		}
		return
	}
	list := l.held
	l.held = nil
	for _, f := range list {
		l.letGo(f, at)
	}
	if len(list) == 1 {
		l.arrive(list[0], at)
		return
	}
	silent := true
	for _, f := range list {
		silent = l.show(f, at) == ring.Silent && silent
		f.state, f.at, f.count = idlepush.DeliveryCombined, at, len(list)
	}
	for _, f := range list {
		f.silent = silent
	}
	l.pushed = append(l.pushed, at)
}

package push

import (
	"slices"
	"time"

	"idlepush"
	"idlepush/ring"
)

// Replay returns how mails of the account would have rung on the device up to now, if these had
// been the wishes when they came. It does what a Dispatcher does that sends at once, and counts no
// mail as read. The mails are oldest first.
func Replay(mails []ring.Mail, device idlepush.Device, account string, w ring.Wishes, on ring.DeviceWishes, burst int, now time.Time) ring.Replay {
	r := replay{
		question: question{account: account, wishes: foldWishes(w), device: device.ID, on: on},
		limit:    Limit{burst, burstWindow},
		mails:    mails, facts: make([]foldedFacts, len(mails)),
		Replay: ring.Replay{Decisions: make([]ring.Decision, len(mails)), Summed: make([]bool, len(mails))},
	}
	for i, m := range mails {
		r.facts[i] = foldFacts(m.Facts)
		r.endHolds(m.At)
		r.arrive(i)
	}
	r.endHolds(now)
	return r.Replay
}

// replay is the queue of a device for the mail of one account.
type replay struct {
	question              // without what it asks about
	limit    Limit        // of pushes
	sent     []time.Time  // pushes, oldest first
	held     []replayItem // oldest first
	mails    []ring.Mail
	facts    []foldedFacts
	ring.Replay
}

// replayItem is a mail, or a summary of some.
type replayItem struct {
	kind   idlepush.Kind
	mails  []int
	silent bool          // of a summary: all of its mail is silent
	since  time.Time     // when it came
	d      ring.Decision // the last about it
}

// decide returns the item with the decision about it at a time.
func (r *replay) decide(it replayItem, at time.Time) replayItem {
	q := r.question
	q.kind, q.silent, q.before, q.now, q.opens = it.kind, it.silent, it.d, at, r.limit.opens(r.sent, at)
	if it.kind == idlepush.KindMail {
		q.folder, q.facts = r.mails[it.mails[0]].Folder, r.facts[it.mails[0]]
	}
	it.d = decide(q)
	return it
}

// arrive decides on a mail that has come.
func (r *replay) arrive(i int) {
	if m := r.mails[i]; m.Code != "" {
		r.Decisions[i] = ring.Decision{Verdict: ring.Not, Code: m.Code, Params: m.Params}
		return
	}
	at := r.mails[i].At
	r.settle(r.decide(replayItem{kind: idlepush.KindMail, mails: []int{i}, since: at}, at), at)
}

// settle carries out the decision about the item.
func (r *replay) settle(it replayItem, at time.Time) {
	if it.kind == idlepush.KindMail {
		r.Decisions[it.mails[0]] = it.d
	}
	switch it.d.Verdict {
	case ring.Held:
		r.held = append(r.held, it)
	case ring.Now, ring.Silent:
		r.sent = append(r.sent, at)
		r.sent = r.sent[max(0, len(r.sent)-r.limit.Pushes):]
		if it.d.Verdict == ring.Now {
			r.Rings++
		}
	}
}

// endHolds ends the holds that end up to a time, one after the other.
func (r *replay) endHolds(to time.Time) {
	for len(r.held) > 0 {
		first := slices.MinFunc(r.held, func(a, b replayItem) int { return a.d.Until.Compare(b.d.Until) }).d.Until
		if first.After(to) {
			return
		}
		r.endHold(first)
	}
}

// endHold decides again about all mails of the hold that have not expired. If at least two of them
// may be shown, one summary is.
func (r *replay) endHold(at time.Time) {
	held := r.held
	r.held = nil
	var shown []replayItem
	for _, it := range held {
		if at.Sub(it.since) >= it.kind.Lifetime() {
			continue
		}
		again := r.decide(it, at)
		if again.d.Verdict.Shows() {
			shown = append(shown, again)
			continue
		}
		r.settle(again, at)
	}
	if len(shown) < 2 {
		for _, it := range shown {
			r.settle(it, at)
		}
		return
	}
	sum := replayItem{kind: idlepush.KindSummary, silent: true, since: at}
	for _, it := range shown {
		if it.kind == idlepush.KindMail {
			r.Decisions[it.mails[0]] = it.d
		}
		sum.mails = append(sum.mails, it.mails...)
		sum.silent = sum.silent && it.d.StaysSilent()
	}
	for _, i := range sum.mails {
		r.Summed[i] = true
	}
	r.settle(r.decide(sum, at), at)
}

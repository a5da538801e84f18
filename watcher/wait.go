package watcher

import (
	"errors"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/clocks"
	"idlepush/watcher/wire"
)

const (
	// minFlagDelay and maxFlagDelay bound how long flags may go on changing before they are looked
	// at. The delay grows while they never stop.
	minFlagDelay = 2 * time.Second
	maxFlagDelay = time.Minute
)

// waiter waits for news of a session, and learns from how each wait ends.
type waiter struct {
	*watched
	conn    *wire.Conn
	refused bool // the server announces IDLE and does not let it begin
	last    idleResult
	begun
	pace pace
	then func(wire.News) *wire.Ahead // what to fetch with the end of an IDLE
	read clocks.Reading              // at the end of the last wait, or the beginning

	// How long flags may go on changing, and news of other folders coming, before a look at them.
	flagDelay, othersDelay time.Duration
}

// begun is what the last IDLE began with.
type begun struct {
	began   time.Time
	longest time.Duration // the host's interval
	planned time.Duration // how long it was to last
	whole   bool          // that was all of the interval
	beats   bool          // a heartbeat was expected
}

// idleResult is how a wait ended.
type idleResult struct {
	idled   bool      // it was an IDLE, and the server answered at its end
	news    wire.News // by which it ended before its time; zero: it did not
	early   bool      // it ended before its time, and not for flags
	expired bool      // it lasted its time
	long    bool      // it lasted longer than lateBy
}

// idles reports whether there is use in IDLE.
func (w *waiter) idles() bool {
	return w.conn.Has(imap.CapIdle) && !w.host.provider.polled && !w.failures.idle.polled(time.Now())
}

// pause returns how long to wait after a look before the next IDLE begins. If only other folders
// have news, IDLE begins at once, and their news end it only after that time.
func (w *waiter) pause(found int) time.Duration {
	wait := w.pace.after(found, w.last.early, w.last.news.Expunge > 0, time.Now())
	if w.othersDelay = 0; w.last.news.Status > 0 && w.last.news.Exists == 0 {
		w.othersDelay, wait = wait, 0
	}
	return wait
}

// idle waits in IDLE until there is news or the time planned is over. An IDLE that the server
// refuses is an *imap.Error, and refused is set.
func (w *waiter) idle() error {
	_, err := w.conn.Idle(w.planned, timeout, wire.IdleOptions{Flags: w.flagDelay, Others: w.othersDelay, Then: w.then, Do: w.workers.do})
	w.ended(err)
	return err
}

// plan decides how long the IDLE that begins now may last: at most until one of the times has come,
// zero for none.
func (w *waiter) plan(due ...time.Time) {
	w.longest, _ = w.host.interval()
	longest := early(w.longest)
	w.began, w.planned = time.Now(), untilFirst(longest, append(due, w.failures.again()))
	w.whole = w.planned == longest && w.host.bears()
	w.conn.ExpectHeartbeat(w.host.peers.heartbeat())
	w.beats = w.conn.Heartbeat() > 0
}

// untilFirst returns how long it is until the first of the times, zero for none, but no more than
// longest.
func untilFirst(longest time.Duration, due []time.Time) time.Duration {
	for _, at := range due {
		if !at.IsZero() {
			longest = min(longest, max(time.Until(at), 0))
		}
	}
	return longest
}

// ended takes in how an IDLE ended. If the machine slept meanwhile, that says nothing of the
// server: a connection and its news are easily lost in a sleep.
func (w *waiter) ended(err error) {
	w.host.peers.heard(w.conn.Heartbeat(), w.beats && err == nil)
	news, lasted, wait := w.conn.News(), time.Since(w.began), w.planned
	_, w.refused = errors.AsType[*imap.Error](err)
	slept := w.slept()
	w.last = idleResult{idled: err == nil && !slept, news: news, long: lasted > lateBy,
		early: lasted < wait && (news.Mail() || news.Ended || news.Changes() == 0)}
	if w.flagDelay = min(w.flagDelay*5/4, maxFlagDelay); news.Changes() == 0 || lasted > maxFlagDelay {
		w.flagDelay = minFlagDelay
	}
	switch {
	case err == nil && lasted >= wait:
		w.last.news, w.last.expired = wire.News{}, true
		if !slept {
			w.host.survivedSilence(wait, w.whole)
		}
	case lost(err) && !slept:
		// A server counts from our last command, and its BYE is no sign of life; a NAT counts from
		// the last byte.
		silence, unanswered := lasted, false
		if _, unanswered = errors.AsType[*wire.TimeoutError](err); unanswered {
			silence = time.Since(w.conn.LastByte()) - timeout
		}
		w.host.droppedAfter(silence, unanswered)
		w.host.peers.suspect(w.conn, time.Now())
	}
	if !slept {
		w.judge(news, err, lasted)
	}
}

// judge takes in whether an IDLE ended with the connection. One that has ended soon tells nothing,
// unless mail ended it. One that ended at once was perhaps never sent: there was news before it.
func (w *waiter) judge(news wire.News, err error, lasted time.Duration) {
	bad := lost(err) || breaksProtocol(err)
	held := lasted >= shortestInterval*9/10 || news.Mail() && lasted >= time.Second
	if !bad && (err != nil || !held) {
		return
	}
	now, _ := w.host.interval()
	if w.failures.idle.ended(bad, now < w.longest, time.Now()) {
		w.log.Warn("IDLE ended badly several times in a row; polling for a while", "err", err)
	}
}

// slept reports whether the machine slept, or its clock was set, since read.
func (w *waiter) slept() bool { return clocks.Jumped(w.read, w.host.clock.read()) }

// skipIdle notes a wait without IDLE, and reports whether there is news to look at before it.
func (w *waiter) skipIdle() bool {
	w.last = idleResult{early: w.conn.News().Mail()}
	return w.last.early
}

// pollWait returns how long to wait before the server is polled, at the latest until one of the
// times has come, zero for none.
func (w *waiter) pollWait(due ...time.Time) time.Duration {
	longest, _ := w.host.interval()
	return untilFirst(early(min(pollInterval, longest)), append(due, w.failures.again()))
}

package wire

import (
	"errors"
	"os"
	"time"
)

// Idle waits in IDLE (RFC 2177) until there may be new mail (News.Mail) or refresh is over,
// measured from the call. It returns the news and does not forget it. If there is such news already
// it returns at once and sends nothing. A server that used to send something every so often ("OK
// Still here") and has stopped is checked early, by ending IDLE. So does EndIdle.
//
// When Idle returns, IDLE has ended and the server has answered: no response was missed, and the
// connection worked a moment ago. The server may take as long as timeout to send "+", and again to
// answer DONE. A server that ends IDLE by itself is no error: News.Ended. NO and BAD to IDLE are an
// *imap.Error, after which the connection still works.
func (c *Conn) Idle(refresh, timeout time.Duration, options IdleOptions) (News, error) {
	// A session spends its life in here: this frame and those above and below are kept small and
	// few, because its stack is the largest part of its memory.
	do := options.Do
	if do == nil {
		do = func(f func()) { f() }
	}
	more, err := false, error(nil)
	do(func() { more, err = c.beginIdle(refresh, timeout, options) })
	for more && err == nil {
		c.await()
		do(func() { more, err = c.readNews() })
	}
	do(func() { err = c.endIdle(err, timeout) })
	return c.News(), err
}

// IdleOptions say which news end IDLE only after a time, so that more can come, and which messages
// to fetch together with DONE.
type IdleOptions struct {
	Flags  time.Duration // flags of any folder, and messages expunged; 0: they do not end IDLE
	Others time.Duration // STATUS of other folders; 0: it ends IDLE at once
	// Then returns what to fetch, once Idle is about to end IDLE with this news; nil: nothing.
	Then func(News) *Ahead
	// Do calls a function that does all but the waiting, and so needs a deeper stack. It returns
	// when that has returned; nil: Idle calls it itself.
	Do func(func())
}

// endsIdle reports whether the news ends IDLE at once.
func (o IdleOptions) endsIdle(news News) bool {
	return news.Exists > 0 || news.Recent > 0 || news.Overflow || news.Status > 0 && o.Others == 0
}

// beginIdle sends IDLE, and reports whether to wait. It leaves no tag if there is news already, or
// if the server answered with OK at once.
func (c *Conn) beginIdle(refresh, timeout time.Duration, options IdleOptions) (more bool, err error) {
	c.idling = idleWait{options: options}
	if options.endsIdle(c.News()) {
		return false, c.Cause()
	}
	if err := c.begin(); err != nil {
		return false, err
	}
	now := time.Now()
	c.idling.until = now.Add(refresh)
	c.beat.last = time.Time{}
	if err := c.sendIdle(now.Add(timeout)); err != nil || c.idling.tag == "" {
		return false, err
	}
	c.idling.before, c.idling.settled, c.idling.reads = c.News(), time.Now().Add(settles), longAgo
	c.setIdle(true)
	return c.readNews()
}

// sendIdle sends IDLE and waits for "+".
func (c *Conn) sendIdle(until time.Time) error {
	tag, err := c.send("IDLE", until)
	if err != nil {
		return err
	}
	for {
		r, err := c.next(until)
		if err != nil {
			return c.timedOut(err, "the answer to IDLE")
		}
		switch r.tag {
		case "+":
			c.idling.tag = tag
			return nil
		case tag:
			return c.ended(r)
		}
		if err := c.unexpected(r); err != nil {
			return err
		}
	}
}

// await waits until there is something to read, or it is time to end IDLE.
func (c *Conn) await() {
	c.cur = response{}
	c.frame.release()
	c.idling.reads = c.link.await(c.idleUntil())
}

// readNews reads the responses so far, and reports whether to go on waiting.
func (c *Conn) readNews() (more bool, err error) {
	w := &c.idling
	for w.goesOn(c.News()) {
		r, err := c.next(sooner(w.reads, c.idleUntil()))
		switch {
		case err == nil && r.tag == w.tag:
			w.tag = ""
			return false, c.ended(r)
		case err == nil:
			w.hear(c, r, time.Now())
			err = c.unexpected(r)
		case errors.Is(err, os.ErrDeadlineExceeded) && c.Cause() == nil:
			if more = !c.isOver(c.idleUntil()); !more {
				c.beat.forgetMissed(c.LastByte(), time.Now())
			}
			return more, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// idleUntil returns when the IDLE that runs is to be ended, as far as is known now.
func (c *Conn) idleUntil() time.Time {
	return sooner(c.idling.until, c.beat.missed(c.LastByte()))
}

// settles is how long after the begin of IDLE a server may repeat what it has announced.
const settles = time.Second

// idleWait is an IDLE, and how long it goes on.
type idleWait struct {
	tag           string // empty: it is over
	before        News   // from before it
	until         time.Time
	reads         time.Time // by when to read the news
	settled       time.Time // a RECENT from then on is news, also if it repeats the last
	options       IdleOptions
	flags, others bool // until allows for their delay
}

// goesOn reports whether IDLE goes on with this news, and brings until nearer if it ends IDLE
// later.
func (w *idleWait) goesOn(news News) bool {
	if w.options.Flags > 0 && news.Changes() > 0 && !w.flags {
		w.until, w.flags = sooner(w.until, time.Now().Add(w.options.Flags)), true
	}
	if w.options.Others > 0 && news.Status > 0 && !w.others {
		w.until, w.others = sooner(w.until, time.Now().Add(w.options.Others)), true
	}
	return !w.options.endsIdle(news)
}

// hear takes in a response.
func (w *idleWait) hear(c *Conn, r *response, now time.Time) {
	c.beat.note(r, now)
	if r.tag == "*" && r.kind == "RECENT" && r.number > 0 && now.After(w.settled) {
		c.noteRecent()
	}
}

// heartbeat is a response that a server sends in IDLE every so often only to show that it is there,
// as Dovecot does.
type heartbeat struct {
	last  time.Time
	every time.Duration // the longest time between two
	count int           // times between two
}

const (
	minHeartbeat = 10 * time.Second // a shorter time between two such responses is no heartbeat
	knownBeats   = 2                // times between two, from which on a heartbeat is known
)

// note takes in a response.
func (b *heartbeat) note(r *response, now time.Time) {
	if r.tag != "*" || r.kind != "OK" || r.code != "" {
		return
	}
	if since := now.Sub(b.last); !b.last.IsZero() {
		if since < minHeartbeat {
			return // sent, or read, together
		}
		b.every = max(b.every, since)
		b.count++
	}
	b.last = now
}

// missed returns when two in a row would have been missed; zero if too few came to know.
func (b *heartbeat) missed(lastByte time.Time) time.Time {
	if b.count < knownBeats {
		return time.Time{}
	}
	return lastByte.Add(2 * b.every)
}

// forgetMissed forgets a heartbeat that has stopped: if the connection works, it is learned anew.
func (b *heartbeat) forgetMissed(lastByte, now time.Time) {
	if at := b.missed(lastByte); !at.IsZero() && !now.Before(at) {
		*b = heartbeat{}
	}
}

// Heartbeat returns the longest time between two responses that the server sends in IDLE only to
// show that it is there; zero: it sends none, or too few came to know.
func (c *Conn) Heartbeat() time.Duration {
	if c.beat.count < knownBeats {
		return 0
	}
	return c.beat.every
}

// ExpectHeartbeat sets the time between two, if none is known of the connection yet; zero: none.
func (c *Conn) ExpectHeartbeat(every time.Duration) {
	if every > 0 && c.beat.count < knownBeats {
		c.beat.every, c.beat.count = max(c.beat.every, every), knownBeats
	}
}

// sooner returns the earlier of two times, either of which may be zero: none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ended takes the answer to an IDLE that was ended by the server.
func (c *Conn) ended(r *response) error {
	if err := c.status(r); err != nil {
		return err
	}
	c.noteIdleEnded()
	return nil
}

// endIdle ends IDLE if the server has not. err is why it cannot.
func (c *Conn) endIdle(err error, timeout time.Duration) error {
	if !c.idling.settled.IsZero() {
		c.setIdle(false)
		c.noteUnasked(c.idling.before)
	}
	if err != nil || c.idling.tag == "" {
		return err
	}
	if err := c.begin(); err != nil {
		return err
	}
	if then := c.idling.options.Then; then != nil {
		if ahead := then(c.News()); ahead != nil {
			return c.endWith(ahead, timeout)
		}
	}
	until := time.Now().Add(timeout)
	if err := c.write([]byte("DONE\r\n"), until); err != nil {
		return err
	}
	c.done = true
	return c.answer(c.idling.tag, "DONE", until)
}

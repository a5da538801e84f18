package wire

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Greet reads the greeting and, if the server did not list its capabilities in it, asks for them. Each of the two may take as long as patience.
// A greeting of BYE is a *ByeError. Dial has greeted.
func (c *Conn) Greet(patience time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	r, err := c.next(time.Now().Add(patience))
	if err != nil {
		return c.late(err, "the greeting")
	}
	if r.tag != "*" || r.kind != "OK" && r.kind != "PREAUTH" {
		return c.fail(&ProtocolError{"no greeting: is this an IMAP server?"})
	}
	c.greeted(r.kind == "PREAUTH")
	return c.askCaps(patience)
}

// askCaps asks for the capabilities unless a list is known. A server that refuses has IMAP4rev1 and nothing else.
func (c *Conn) askCaps(patience time.Duration) error {
	if c.capList() != "" {
		return nil
	}
	err := c.Do("CAPABILITY", patience)
	if _, refused := errors.AsType[*imap.Error](err); err != nil && !refused {
		return err
	}
	if c.capList() == "" {
		c.setCaps(string(imap.CapIMAP4rev1))
	}
	return nil
}

// Do sends a command that needs no answer but its status (NOOP, NOTIFY) and waits for that, at most as long as patience. NO and BAD are an
// *imap.Error, after which the connection works on. What else the server says is noted as usual. The command has no tag and no line end; a first
// word only is ever named in an error.
func (c *Conn) Do(command string, patience time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(patience)
	tag, err := c.send(command, until)
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(command, " ")
	return c.answer(tag, name, until)
}

func (c *Conn) send(command string, until time.Time) (tag string, err error) {
	if strings.ContainsAny(command, "\r\n\x00") {
		return "", errors.New("a command of several lines")
	}
	c.tag++
	tag = "I" + strconv.Itoa(c.tag)
	return tag, c.write([]byte(tag+" "+command+"\r\n"), until)
}

// answer waits for the tagged status.
func (c *Conn) answer(tag, name string, until time.Time) error {
	for {
		r, err := c.next(until)
		switch {
		case err != nil:
			return c.late(err, "the answer to "+name)
		case r.tag == tag:
			return c.status(r)
		}
		if err := c.stray(r); err != nil {
			return err
		}
	}
}

func (c *Conn) status(r *response) error {
	switch r.kind {
	case "OK":
		return nil
	case "NO", "BAD":
		return r.failure()
	}
	return c.fail(&ProtocolError{"it answered neither OK, NO nor BAD"})
}

// late turns a deadline into the failure it is outside of a refresh.
func (c *Conn) late(err error, waiting string) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.Cause() == nil {
		return c.fail(&TimeoutError{waiting})
	}
	return err
}

// Idle waits in IDLE (RFC 2177) until there may be new mail (News.Mail) or refresh is over, measured from the call, and returns the news, which
// it does not forget. If there is such news already it returns at once and sends nothing. What gather says is waited with. A server that used to say
// something every so often ("OK Still here") and does not any more is asked early, by ending IDLE.
// When it returns, IDLE has ended and the server has answered: nothing said meanwhile is lost, and the connection was alive a moment ago. The
// server may take as long as patience to say "+" and again to answer DONE. A server that ends IDLE by itself is no error: News.Ended. NO and BAD to
// IDLE are an *imap.Error, after which the connection works on.
func (c *Conn) Idle(refresh, patience time.Duration, gather Gather) (News, error) {
	news := c.News()
	if gather.ripe(news) {
		return news, c.Cause()
	}
	until := time.Now().Add(refresh)
	tag, err := c.enterIdle(patience)
	if err == nil && tag != "" {
		tag, err = c.hear(tag, until, gather)
	}
	if err == nil && tag != "" {
		err = c.leaveIdle(tag, patience)
	}
	return c.News(), err
}

// Gather says which news do not end IDLE at once, but after a time within which more of it may come.
type Gather struct {
	Flags  time.Duration // flags, and messages expunged; 0: they do not end it
	Others time.Duration // STATUS of other folders; 0: it ends it at once
}

// ripe reports whether the news is to be looked at now.
func (g Gather) ripe(news News) bool {
	return news.Exists > 0 || news.Overflow || news.Status > 0 && g.Others == 0
}

// enterIdle returns the tag of the IDLE that runs now; none if the server answered it with OK at once.
func (c *Conn) enterIdle(patience time.Duration) (tag string, err error) {
	if err := c.begin(); err != nil {
		return "", err
	}
	c.beat.last = time.Time{}
	until := time.Now().Add(patience)
	tag, err = c.send("IDLE", until)
	for err == nil {
		var r *response
		if r, err = c.next(until); err != nil {
			err = c.late(err, "the answer to IDLE")
			break
		}
		switch r.tag {
		case "+":
			return tag, nil
		case tag:
			return "", c.ended(r)
		}
		err = c.stray(r)
	}
	return "", err
}

// hear returns the tag when IDLE is to be left, and none when the server has ended it. A session spends its life in here: the frames below are
// kept few and small, for its stack is the largest part of its memory.
func (c *Conn) hear(tag string, until time.Time, gather Gather) (string, error) {
	telling := false
	for news := c.News(); !gather.ripe(news); news = c.News() {
		if gather.Flags > 0 && news.Flags+news.Expunge > 0 {
			until, gather.Flags = sooner(until, time.Now().Add(gather.Flags)), 0
		}
		if gather.Others > 0 && news.Status > 0 && !telling {
			until, telling = sooner(until, time.Now().Add(gather.Others)), true
		}
		r, err := c.next(sooner(until, c.beat.missed(c.LastByte())))
		switch {
		case err == nil && r.tag == tag:
			return "", c.ended(r)
		case err == nil:
			c.beat.heard(r, time.Now())
			err = c.stray(r)
		case errors.Is(err, os.ErrDeadlineExceeded) && c.Cause() == nil:
			return tag, nil
		}
		if err != nil {
			return "", err
		}
	}
	return tag, nil
}

// heartbeat is what a server says in IDLE every so often only to show that it is there, as Dovecot does.
type heartbeat struct {
	last  time.Time
	every time.Duration // the longest time between two
	count int           // of such times
}

// shortestBeat is the time between two heartbeats below which they are none.
const shortestBeat = 10 * time.Second

func (b *heartbeat) heard(r *response, now time.Time) {
	if r.tag != "*" || r.kind != "OK" || r.code != "" {
		return
	}
	if since := now.Sub(b.last); !b.last.IsZero() {
		if since < shortestBeat {
			return // said, or read, in one breath
		}
		b.every = max(b.every, since)
		b.count++
	}
	b.last = now
}

// missed is when three in a row would have been missed; zero: there were too few to know.
func (b *heartbeat) missed(lastByte time.Time) time.Time {
	if b.count < 2 {
		return time.Time{}
	}
	return lastByte.Add(3 * b.every)
}

// sooner is the earlier of two times, of which the second may be zero: none.
func sooner(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// ended takes the answer to an IDLE that was not left.
func (c *Conn) ended(r *response) error {
	if err := c.status(r); err != nil {
		return err
	}
	c.noteIdleEnded()
	return nil
}

func (c *Conn) leaveIdle(tag string, patience time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(patience)
	if err := c.write([]byte("DONE\r\n"), until); err != nil {
		return err
	}
	c.done = true
	return c.answer(tag, "DONE", until)
}

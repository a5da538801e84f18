package wire

import (
	"errors"
	"os"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Ahead is a UID FETCH of all messages from a UID on, which is sent together with the end of an
// IDLE.
type Ahead struct {
	From  imap.UID
	Items string

	Mails []Mail // as Fetch returns them
	Err   error  // nil: the server has accepted it

	tag   string // empty: it is answered
	probe string // the tag of a NOOP that waits for its answer; empty: none does
}

// ErrDropped is the Err of an Ahead that the server has dropped: some servers forget commands that
// come together with DONE. The connection works.
var ErrDropped = errors.New("the server drops commands that are sent together with DONE")

// dropsAfter is how long an Ahead is waited for before a NOOP shows whether the server has it.
const dropsAfter = 5 * time.Second

// endWith ends IDLE together with an Ahead, and waits for the answers to both. The second may take
// twice as long as timeout.
func (c *Conn) endWith(a *Ahead, timeout time.Duration) error {
	line, err := c.line("UID FETCH " + a.set() + " (" + a.Items + ")")
	if err != nil {
		return err
	}
	a.tag = c.lastTag()
	until := time.Now().Add(timeout)
	if err := c.write(append([]byte("DONE\r\n"), line...), until); err != nil {
		return err
	}
	c.done = true
	c.setFetching(true)
	defer c.setFetching(false)
	got := newFetched(nil)
	got.from = a.From
	refused, err := c.readAhead(a, got, timeout, until)
	c.noteFlags(got.unsolicited)
	if a.Mails = got.mails(); err != nil {
		a.Err = err
		return err
	}
	return refused
}

func (a *Ahead) set() string { return imap.UIDSet{{Start: a.From}}.String() }

// readAhead reads until all is answered. refused is that of DONE.
func (c *Conn) readAhead(a *Ahead, got *fetched, timeout time.Duration, until time.Time) (refused, err error) {
	by, waiting := until, "the answer to DONE"
	for c.idling.tag != "" || a.tag != "" || a.probe != "" {
		r, err := c.next(by)
		if errors.Is(err, os.ErrDeadlineExceeded) && c.Cause() == nil && by.Before(until) {
			if a.probe, err = c.send("NOOP", until); err != nil {
				return nil, err
			}
			by = until
			continue
		}
		if err != nil {
			return nil, c.timedOut(err, waiting)
		}
		switch {
		case r.tag == "":
		case r.tag == "*" && r.kind == "FETCH":
			got.add(r.raw)
		case r.tag == "*" && r.kind == "EXPUNGE":
			got.expunge(r.raw)
		case r.tag == c.idling.tag:
			refused, c.idling.tag, waiting = c.status(r), "", "the answer to FETCH"
			now := time.Now()
			until, by = now.Add(2*timeout), now.Add(min(dropsAfter, timeout))
		case r.tag == a.tag:
			a.Err, a.tag = c.status(r), ""
		case r.tag == a.probe:
			if a.probe = ""; a.tag != "" {
				a.Err, a.tag = ErrDropped, ""
			}
		default:
			err = c.unexpected(r)
		}
		if err = errors.Join(err, c.Cause()); err != nil {
			return nil, err
		}
	}
	return refused, nil
}

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// responseCost is the cost of each response beside its length, in bytes, so that a flood of short
// ones is ended too.
const responseCost = 64

// Conn is an IMAP connection. It belongs to one goroutine; the methods that may be called from
// others say so. After the first failure every method returns its cause.
type Conn struct {
	link
	serverState
	frame  framer
	cur    response
	spent  int  // of Limits.Exchange in this step
	tag    int  // own commands so far: I1, I2 …
	done   bool // a DONE was sent, and may have crossed the server's own end of IDLE
	idling idleWait
	beat   heartbeat
	run
}

// run is the Run that waits for its answers.
type run struct {
	grace    bool      // after BYE it goes on,
	byeBy    time.Time // until then; zero: no BYE came
	statuses int       // STATUS responses that its commands may still be answered with
	dropped  int       // responses that could not be read
}

// New returns a Conn over a connection on which the greeting has not been read. When ctx is
// cancelled the connection is closed (of a *tls.Conn, the one below). Blocked methods return the
// context's cause at once. Close must be called.
func New(ctx context.Context, conn net.Conn, limits Limits) *Conn {
	c := &Conn{frame: framer{limits: limits}}
	c.link.init(ctx, conn)
	return c
}

// Dropped returns how many responses during the last Run could not be read. One of them may have
// been an answer: a message that was not found then is not known to be gone.
func (c *Conn) Dropped() int { return c.dropped }

// begin starts a step with a fresh budget.
func (c *Conn) begin() error {
	c.spent = 0
	return c.Cause()
}

// next returns the next whole response, noted. The response is valid until the next call. It may be
// called again after os.ErrDeadlineExceeded, which is the only error that does not end the
// connection.
func (c *Conn) next(until time.Time) (*response, error) {
	for {
		raw, err := c.frame.next()
		if err != nil {
			return nil, c.fail(err)
		}
		if raw != nil {
			return c.take(raw)
		}
		n, err := c.read(c.frame.readBuffer(), sooner(until, c.byeBy))
		c.frame.filled(n)
		if n == 0 && err != nil {
			return nil, c.readError(err)
		}
	}
}

// readError returns why a read failed, and ends the connection unless it was a deadline.
func (c *Conn) readError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	default:
		err = fmt.Errorf("read from the server: %w", err)
	}
	return c.fail(err)
}

// take notes a response, whichever command runs, and returns it.
func (c *Conn) take(raw []byte) (*response, error) {
	c.spent += len(raw) + responseCost
	if c.spent > c.frame.limits.Exchange {
		return nil, c.fail(&LimitError{"exchange", c.frame.limits.Exchange})
	}
	c.cur = parse(raw)
	c.cur.unbalanced = c.frame.unbalanced
	r := &c.cur
	c.note(r, r.kind == "STATUS" && c.answersStatus())
	if isOdd(r) {
		c.dropped++
	}
	if r.kind == "BYE" && r.tag == "*" {
		c.setBye(&ByeError{Code: Clean(r.codeName()), Text: Clean(r.text)})
		c.byeBy = sooner(c.byeBy, time.Now().Add(byeGrace))
	}
	if !c.grace {
		if err := c.failOnBye(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// unexpected passes over a response that no command waits for. One that no server may send ends the
// connection.
func (c *Conn) unexpected(r *response) error {
	switch {
	case r.tag == "*", r.tag == "+", r.tag == "":
		return nil
	case c.done && strings.EqualFold(r.tag, "DONE"):
		// Our DONE crossed the server's own end of IDLE, and it took DONE for a command.
		c.done = false
		return nil
	case !isStatus(r.kind):
		return c.fail(&ProtocolError{"a line that is no response"})
	}
	return c.fail(&ProtocolError{"it answered " + Clean(r.tag) + ", which it had answered before or was never sent"})
}

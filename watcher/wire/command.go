package wire

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Greet reads the greeting and, if the server did not list its capabilities in it, asks for them.
// Each of the two may take as long as timeout. A greeting of BYE is a *ByeError. Dial has greeted
// already.
func (c *Conn) Greet(timeout time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	r, err := c.next(time.Now().Add(timeout))
	if err != nil {
		return c.timedOut(err, "the greeting")
	}
	if r.tag != "*" || r.kind != "OK" && r.kind != "PREAUTH" {
		return c.fail(&ProtocolError{"no greeting: is this an IMAP server?"})
	}
	c.greeted(r.kind == "PREAUTH")
	return c.askCaps(timeout)
}

// askCaps asks for the capabilities unless a list is known. A server that refuses has IMAP4rev1 and
// nothing else.
func (c *Conn) askCaps(timeout time.Duration) error {
	if c.capList() != "" {
		return nil
	}
	err := c.Do("CAPABILITY", timeout)
	if _, refused := errors.AsType[*imap.Error](err); err != nil && !refused {
		return err
	}
	if c.capList() == "" {
		c.setCaps(string(imap.CapIMAP4rev1))
	}
	return nil
}

// Do sends a command that needs no answer but its status (NOOP, NOTIFY) and waits for it, at most
// as long as timeout. NO and BAD are an *imap.Error, after which the connection still works. The
// command has no tag and no line end. Errors name only its first word.
func (c *Conn) Do(command string, timeout time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(timeout)
	tag, err := c.send(command, until)
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(command, " ")
	return c.answer(tag, name, until)
}

func (c *Conn) send(command string, until time.Time) (tag string, err error) {
	line, err := c.line(command)
	if err != nil {
		return "", err
	}
	return c.lastTag(), c.write(line, until)
}

// line returns a command with the next tag and its line end.
func (c *Conn) line(command string) ([]byte, error) {
	if strings.ContainsAny(command, "\r\n\x00") {
		return nil, errors.New("a command of several lines")
	}
	c.tag++
	return []byte(c.lastTag() + " " + command + "\r\n"), nil
}

// lastTag returns the tag of the last command.
func (c *Conn) lastTag() string { return "I" + strconv.Itoa(c.tag) }

// answer waits for the tagged status.
func (c *Conn) answer(tag, name string, until time.Time) error {
	for {
		r, err := c.next(until)
		switch {
		case err != nil:
			return c.timedOut(err, "the answer to "+name)
		case r.tag == tag:
			return c.status(r)
		}
		if err := c.unexpected(r); err != nil {
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

// timedOut turns a deadline into a *TimeoutError. Only the end of an IDLE is a deadline and no
// failure.
func (c *Conn) timedOut(err error, waiting string) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.Cause() == nil {
		return c.fail(&TimeoutError{waiting})
	}
	return err
}

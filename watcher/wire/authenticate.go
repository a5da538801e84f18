package wire

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

const (
	// capSASLIR lets the first message stand in the command (RFC 4959).
	capSASLIR imap.Cap = "SASL-IR"

	// maxPromptless is how long a literal may be that LITERAL- sends without waiting (RFC 7888), and
	// a quoted string here.
	maxPromptless = 4096
)

// Login logs in by LOGIN (RFC 3501 section 6.2.3). NO and BAD are an *imap.Error, after which the
// connection still works. Caps are up to date after a login. It takes at most as long as timeout, and
// again as long if it must ask for them. What it sends is in no error.
func (c *Conn) Login(user, password string, timeout time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(timeout)
	c.tag++
	c.loginSent()
	err := c.gracefully(func() error { return c.sendLogin(c.loginParts(user, password), until) })
	if err != nil {
		return err
	}
	return c.authenticated(timeout)
}

// loginParts returns a LOGIN, cut where the server must ask for the rest.
func (c *Conn) loginParts(user, password string) (parts []string) {
	text := c.lastTag() + " LOGIN"
	for _, arg := range []string{user, password} {
		switch {
		case len(arg) <= maxPromptless && !strings.ContainsFunc(arg, func(r rune) bool { return r > '~' || r == 0 || r == '\r' || r == '\n' }):
			text += " " + quoted(arg)
		case c.Has(imap.CapLiteralPlus), c.Has(imap.CapLiteralMinus) && len(arg) <= maxPromptless:
			text += fmt.Sprintf(" {%d+}\r\n%s", len(arg), arg)
		default:
			parts = append(parts, text+fmt.Sprintf(" {%d}\r\n", len(arg)))
			text = arg
		}
	}
	return append(parts, text+"\r\n")
}

// sendLogin sends the parts of a LOGIN and waits for the answer.
func (c *Conn) sendLogin(parts []string, until time.Time) error {
	for {
		if err := c.write([]byte(parts[0]), until); err != nil {
			return err
		}
		if parts = parts[1:]; len(parts) == 0 {
			return c.answer(c.lastTag(), "LOGIN", until)
		}
		for asked := false; !asked; {
			r, err := c.next(until)
			switch {
			case err != nil:
				return c.timedOut(err, "the answer to LOGIN")
			case r.tag == c.lastTag():
				return c.status(r)
			}
			if asked = r.tag == "+"; asked {
				break
			}
			if err := c.unexpected(r); err != nil {
				return err
			}
		}
	}
}

// Authenticate logs in by a SASL mechanism in which the client sends one message (RFC 3501 section
// 6.2.2). A server that refuses may first say why, in a challenge, which Authenticate returns; then
// it wants closing before it says NO. Its errors, the capabilities and timeout are as with Login.
func (c *Conn) Authenticate(mechanism string, message, closing []byte, timeout time.Duration) (challenge []byte, err error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	until := time.Now().Add(timeout)
	command, steps := "AUTHENTICATE "+mechanism, [][]byte{message, closing}
	if c.Has(capSASLIR) {
		command, steps = command+" "+base64.StdEncoding.EncodeToString(message), steps[1:]
	}
	tag, err := c.send(command, until)
	if err != nil {
		return nil, err
	}
	c.loginSent()
	err = c.gracefully(func() (err error) {
		challenge, err = c.converse(tag, steps, until)
		return err
	})
	if err != nil {
		return challenge, err
	}
	return challenge, c.authenticated(timeout)
}

// converse sends a step of AUTHENTICATE whenever the server asks for one, and returns what it said
// when it asked for the last.
func (c *Conn) converse(tag string, steps [][]byte, until time.Time) (challenge []byte, err error) {
	for {
		r, err := c.next(until)
		switch {
		case err != nil:
			return challenge, c.timedOut(err, "the answer to AUTHENTICATE")
		case r.tag == tag:
			return challenge, c.status(r)
		case r.tag != "+":
			if err := c.unexpected(r); err != nil {
				return challenge, err
			}
			continue
		case len(steps) == 0:
			return challenge, c.fail(&ProtocolError{"it went on to ask after the last step of AUTHENTICATE"})
		case len(steps) == 1:
			challenge, _ = base64.StdEncoding.DecodeString(r.text) // another text says nothing
		}
		if err := c.write([]byte(base64.StdEncoding.EncodeToString(steps[0])+"\r\n"), until); err != nil {
			return challenge, err
		}
		steps = steps[1:]
	}
}

// authenticated notes a login, and asks for the capabilities if the server has not told them since.
func (c *Conn) authenticated(timeout time.Duration) error {
	c.loginDone()
	if !c.dropStaleCaps() {
		return nil
	}
	return c.askCaps(timeout)
}

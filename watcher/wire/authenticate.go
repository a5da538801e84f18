package wire

import (
	"encoding/base64"
	"time"

	"github.com/emersion/go-imap/v2"
)

// capSASLIR lets the first message stand in the command (RFC 4959).
const capSASLIR imap.Cap = "SASL-IR"

// Authenticate logs in by a SASL mechanism in which the client sends one message (RFC 3501 section
// 6.2.2). A server that refuses may first say why, in a challenge, which Authenticate returns; then
// it wants closing before it says NO. imapclient cannot do that: it sends "=" for an empty closing.
// Its errors, the capabilities and timeout are as with LogIn. The message is in no error.
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

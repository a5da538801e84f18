package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// LogIn calls logIn with an imapclient, by which it is to send one LOGIN or AUTHENTICATE (RFC 3501
// sections 6.2.2 and 6.2.3) and wait for the answer. NO and BAD are an *imap.Error, after which the
// connection still works. Caps are up to date after a login. It takes at most as long as timeout,
// and again as long if it must ask for them.
func (c *Conn) LogIn(timeout time.Duration, logIn func(*imapclient.Client) error) error {
	if err := c.begin(); err != nil {
		return err
	}
	l := &loginConn{Conn: c.raw, conn: c, until: time.Now().Add(timeout), sent: make(chan struct{}),
		rest: []byte("* OK [CAPABILITY " + c.capList() + "] ready\r\n")}
	c.loginSent()
	if err := c.gracefully(func() error { return l.run(logIn) }); err != nil {
		return err
	}
	return c.authenticated(timeout)
}

// loginTag is the tag of imapclient's first command.
const loginTag = "T1"

// loginConn is the connection as imapclient sees it during a login. What the server says is kept
// from it, but that it is to go on and whether it is logged in. Setting a deadline does nothing.
type loginConn struct {
	net.Conn // for the addresses
	conn     *Conn
	until    time.Time
	rest     []byte // what imapclient reads next

	sent  chan struct{} // closed when the command is sent, or nobody will send one
	end   sync.Once     // closes sent
	name  string        // of the command
	asked atomic.Bool   // imapclient waits until it is to go on

	literal int // bytes of one that are still to be sent

	answered bool
	refusal  error // nil: the login was accepted
}

// run returns when imapclient has let go of the connection.
func (l *loginConn) run(logIn func(*imapclient.Client) error) (err error) {
	client := imapclient.New(l, nil)
	// The greeting is our own.
	if err = client.WaitGreeting(); err == nil {
		err = logIn(client)
	}
	if _, refused := errors.AsType[*imap.Error](err); err != nil && !refused {
		// The answer may still come: the connection cannot be used.
		err = l.conn.fail(fmt.Errorf("imapclient gave up on the login: %w", err))
	}
	client.Close()
	if l.answered {
		return l.refusal
	}
	return err
}

// Read reads from the server between the command and its answer.
func (l *loginConn) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if l.answered {
			return 0, io.EOF
		}
		<-l.sent
		r, err := l.conn.next(l.until)
		if err != nil {
			return 0, l.conn.timedOut(err, "the answer to "+l.name)
		}
		if err := l.take(r); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// take turns a response into what imapclient is to read: often nothing.
func (l *loginConn) take(r *response) error {
	switch {
	case r.tag == "+" && l.asked.Swap(false):
		l.rest = []byte("+ \r\n")
		return nil
	case r.tag != loginTag:
		return l.conn.unexpected(r)
	}
	err := l.conn.status(r)
	if _, refused := errors.AsType[*imap.Error](err); err != nil && !refused {
		return err
	}
	// With a list, even an old one, imapclient does not ask for the capabilities.
	l.answered, l.refusal, l.rest = true, err, []byte(loginTag+" "+r.kind+" [CAPABILITY "+l.conn.capList()+"] done\r\n")
	return nil
}

func (l *loginConn) Write(p []byte) (int, error) {
	l.count(p)
	if err := l.conn.write(p, l.until); err != nil {
		return 0, err
	}
	l.end.Do(func() { close(l.sent) })
	return len(p), nil
}

// count notes the name of the command, and whether imapclient now waits until it is to go on. A
// literal may hold anything, also what looks like the announcement of another.
func (l *loginConn) count(p []byte) {
	if l.name == "" {
		_, rest := word(p)
		name, _ := word(bytes.TrimRight(rest, "\r\n"))
		l.name = string(name)
	}
	asked := l.name == "AUTHENTICATE"
	for len(p) > 0 {
		if l.literal > 0 {
			n := min(l.literal, len(p))
			l.literal -= n
			p = p[n:]
			continue
		}
		line, rest, _ := bytes.Cut(p, []byte("\n"))
		p = rest
		if digits, ok := literalSize(line); ok {
			l.literal, _ = strconv.Atoi(digits)
			asked = !bytes.HasSuffix(line, []byte("+}\r"))
		}
	}
	l.asked.Store(asked)
}

// Close is called by imapclient when it cannot go on, and by run.
func (l *loginConn) Close() error {
	l.end.Do(func() { close(l.sent) })
	return nil
}

func (l *loginConn) SetDeadline(time.Time) error      { return nil }
func (l *loginConn) SetReadDeadline(time.Time) error  { return nil }
func (l *loginConn) SetWriteDeadline(time.Time) error { return nil }

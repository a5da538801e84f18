package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// byeGrace is how long a clientConn goes on after BYE: the answer that explains it may come behind
// it.
const byeGrace = 2 * time.Second

// WithClient calls f with an imapclient over this connection. All that f does and the answers to it
// may take as long as timeout and cost one Limits.Exchange. WithClient returns when every command
// is answered, also those f did not wait for.
//
// It returns f's error as it is. If the connection is over it returns the cause, unless f returned
// an *imap.Error. News, Dropped, Alert and Caps are up to date then, Caps also after a login.
//
// f runs on a goroutine of its own, for which WithClient waits. It must read all that its commands
// return (Collect, Wait) and must not use SEARCH RETURN, whose answer (ESEARCH) is never passed on.
// It must not call Idle, StartTLS, Logout, Enable or Close, nor keep the client.
func (c *Conn) WithClient(timeout time.Duration, f func(*imapclient.Client) error) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(timeout)
	l := c.newClientConn(until)
	client := imapclient.New(l, nil)
	var err error
	var running sync.WaitGroup
	// On a stack of its own, for the same reason as the handshake.
	running.Go(func() {
		// The greeting is our own.
		if err = client.WaitGreeting(); err == nil {
			err = f(client)
		}
	})
	running.Wait()
	l.waitAnswered()
	// Close waits until imapclient has read the last response.
	if broken := client.Close(); broken != nil && !errors.Is(broken, net.ErrClosed) {
		c.fail(&ProtocolError{"imapclient cannot read its answer: " + Clean(broken.Error())})
	}
	if len(l.pending) > 0 {
		c.fail(errors.New("imapclient gave up on a command"))
	}
	c.client = nil
	c.failOnBye()
	if cause := c.Cause(); cause != nil {
		if said, ok := errors.AsType[*imap.Error](err); ok && said.Type != imap.StatusResponseTypeBye {
			return err
		}
		return cause
	}
	if c.dropStaleCaps() {
		if capsErr := c.askCaps(time.Until(until)); err == nil {
			err = capsErr
		}
	}
	return err
}

// clientConn is the connection as imapclient sees it. Setting a deadline does nothing. The fields
// from pending on are guarded by link.mu.
type clientConn struct {
	net.Conn // for the addresses
	conn     *Conn
	until    time.Time
	deadline time.Time // of reads: until, or sooner after BYE
	rest     []byte    // of the response that is being read

	pending       []command // sent and not answered
	answers       int       // STATUS responses that the commands sent so far may still answer with
	sent          int       // commands so far: T1, T2 …
	inside        bool      // the last write ended within a command,
	literal       int       // and that many bytes before the end of a literal
	continuations int       // continuation requests that imapclient waits for
	returned      bool
}

type command struct {
	tag, name string // the name without UID
	status    bool   // LIST that is answered by STATUS too
}

func (c *Conn) newClientConn(until time.Time) *clientConn {
	c.dropped.Store(0)
	kind := "OK"
	if c.isLoggedIn() {
		kind = "PREAUTH"
	}
	c.client = &clientConn{Conn: c.conn, conn: c, until: until, deadline: until, rest: []byte("* " + kind + " [CAPABILITY " + c.capList() + "] ready\r\n")}
	return c.client
}

// waitAnswered waits until every command is answered and then takes the connection back. Reading
// ends at the deadline at the latest, and then there is a cause.
func (l *clientConn) waitAnswered() {
	c := l.conn
	c.link.mu.Lock()
	for len(l.pending) > 0 && !l.returned && c.cause == nil {
		c.changed.Wait()
	}
	l.returned = true
	c.changed.Broadcast()
	c.link.mu.Unlock()
}

// Read returns one response after the other. It reads none while no command waits for an answer: it
// leaves them to the next reader.
func (l *clientConn) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if err := l.idle(); err != nil {
			return 0, err
		}
		r, err := l.conn.next(l.deadline)
		if err != nil {
			return 0, l.conn.timedOut(err, l.waiting())
		}
		if l.rest, err = l.toClient(r); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// idle waits until a command is sent. After the connection was taken back it returns io.EOF, which
// is never within a response.
func (l *clientConn) idle() error {
	c := l.conn
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for len(l.pending) == 0 && !l.returned && c.cause == nil {
		c.changed.Wait()
	}
	switch {
	case c.cause != nil:
		return c.cause
	case l.returned:
		return io.EOF
	}
	return nil
}

func (l *clientConn) waiting() string {
	l.conn.link.mu.Lock()
	defer l.conn.link.mu.Unlock()
	if len(l.pending) == 0 {
		return "an answer"
	}
	return "the answer to " + l.pending[0].name
}

// answersStatus reports whether a STATUS response may be an answer, and counts it as one: each
// STATUS gets one, LIST RETURN (STATUS) any number. More of them are news.
func (l *clientConn) answersStatus() bool {
	l.conn.link.mu.Lock()
	defer l.conn.link.mu.Unlock()
	if slices.ContainsFunc(l.pending, func(cmd command) bool { return cmd.status }) {
		return true
	}
	if l.answers == 0 {
		return false
	}
	l.answers--
	return true
}

// toClient returns the part of a response that imapclient may see; nil: none of it.
func (l *clientConn) toClient(r *response) ([]byte, error) {
	c := l.conn
	switch r.tag {
	case "*":
		if r.kind == "BYE" {
			if soon := time.Now().Add(byeGrace); soon.Before(l.deadline) {
				l.deadline = soon
			}
		}
		if r.kind == "FETCH" {
			return nil, nil // Fetch alone asks for it
		}
		if safeUntagged(r) {
			return r.raw, nil
		}
	case "+":
		if l.continued() {
			return []byte("+ " + r.text + "\r\n"), nil
		}
	case "":
	default:
		if !l.answered(r) {
			return nil, c.unexpected(r)
		}
		if safeTagged(r) {
			return r.raw, nil
		}
		return []byte(r.tag + " " + r.kind + "\r\n"), nil
	}
	c.dropped.Add(1)
	return nil, nil
}

func (l *clientConn) continued() bool {
	l.conn.link.mu.Lock()
	defer l.conn.link.mu.Unlock()
	if l.continuations == 0 {
		return false
	}
	l.continuations--
	return true
}

// answered removes the command that r answers, and reports whether there is one.
func (l *clientConn) answered(r *response) bool {
	c := l.conn
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for i, cmd := range l.pending {
		if cmd.tag != r.tag || !isStatus(r.kind) {
			continue
		}
		l.pending = append(l.pending[:i], l.pending[i+1:]...)
		l.continuations = 0
		if cmd.name == "STATUS" && r.kind != "OK" && l.answers > 0 {
			l.answers--
		}
		if r.kind == "OK" && (cmd.name == "LOGIN" || cmd.name == "AUTHENTICATE") {
			c.loginDone()
		}
		c.changed.Broadcast()
		return true
	}
	return false
}

// Write counts the commands. It fails once the connection was taken back: imapclient sends
// CAPABILITY by itself, which must not get into an IDLE.
func (l *clientConn) Write(p []byte) (int, error) {
	c := l.conn
	c.link.mu.Lock()
	if err := c.cause; err != nil || l.returned {
		c.link.mu.Unlock()
		return 0, errors.Join(net.ErrClosed, err)
	}
	l.count(p)
	c.changed.Broadcast()
	c.link.mu.Unlock()
	if err := c.write(p, l.until); err != nil {
		return 0, err
	}
	return len(p), nil
}

// count reads the commands that imapclient sends. A command may come in several writes, and its
// literals may hold anything, also text that looks like a command.
func (l *clientConn) count(p []byte) {
	for len(p) > 0 {
		if l.literal > 0 {
			n := min(l.literal, len(p))
			l.literal -= n
			p = p[n:]
			continue
		}
		line, _, whole := bytes.Cut(p, []byte("\n"))
		p = p[min(len(line)+1, len(p)):]
		if !l.inside {
			l.begin(line)
		}
		digits, literal := literalSize(line)
		l.inside = literal || !whole
		if literal && whole {
			l.literal, _ = strconv.Atoi(digits)
			// {12+} is not waited for.
			if !bytes.HasSuffix(line, []byte("+}\r")) {
				l.continuations++
			}
		}
	}
}

// begin reads the first line of a command, or a step of AUTHENTICATE, which has no tag.
func (l *clientConn) begin(line []byte) {
	tag := "T" + strconv.Itoa(l.sent+1)
	rest, ok := bytes.CutPrefix(line, []byte(tag+" "))
	if !ok {
		l.continuations++
		return
	}
	l.sent++
	cmd := command{tag: tag, name: commandName(rest)}
	cmd.status = cmd.name == "LIST" && bytes.Contains(rest, []byte("RETURN")) && bytes.Contains(rest, []byte("STATUS"))
	if cmd.name == "STATUS" {
		l.answers++
	}
	l.pending = append(l.pending, cmd)
	switch cmd.name {
	case "AUTHENTICATE":
		l.continuations++
		l.conn.loginSent()
	case "LOGIN":
		l.conn.loginSent()
	}
}

func commandName(line []byte) string {
	name, rest := word(bytes.TrimRight(line, "\r\n"))
	if string(name) == "UID" {
		name, _ = word(rest)
	}
	return strings.ToUpper(string(name))
}

// Close is called by imapclient when it cannot go on, and by WithClient.
func (l *clientConn) Close() error {
	l.conn.link.mu.Lock()
	defer l.conn.link.mu.Unlock()
	l.returned = true
	l.conn.changed.Broadcast()
	return nil
}

func (l *clientConn) SetDeadline(time.Time) error      { return nil }
func (l *clientConn) SetReadDeadline(time.Time) error  { return nil }
func (l *clientConn) SetWriteDeadline(time.Time) error { return nil }

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

// farewell is how long a loan goes on after BYE: the answer that says why may come behind it.
const farewell = 2 * time.Second

// Lend gives f an imapclient over this connection. All that f does and the answers to it may take as long as patience and cost one
// Limits.Exchange. Lend returns when every command is answered, also those f did not wait for.
//
// It returns f's error as it is, or the cause if the connection is over and f has nothing better to tell (an *imap.Error). What the server said with
// it stands in News, Dropped, Alert and Caps, which is up to date after a login.
//
// f runs on a goroutine of its own, for which Lend waits. It must read all that its commands return (Collect, Wait), must search plainly (the
// answer to SEARCH RETURN, ESEARCH, is never passed on), and must not call Idle, StartTLS, Logout, Enable or Close, nor keep the client.
func (c *Conn) Lend(patience time.Duration, f func(*imapclient.Client) error) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(patience)
	l := c.lend(until)
	client := imapclient.New(l, nil)
	var err error
	var lending sync.WaitGroup
	// On a stack of its own, for the same reason as the handshake.
	lending.Go(func() {
		// The greeting is our own.
		if err = client.WaitGreeting(); err == nil {
			err = f(client)
		}
	})
	lending.Wait()
	l.settle()
	// Close waits for imapclient to have read what it was handed.
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

// loan is the connection as imapclient sees it. Deadlines are ours, so that setting one does nothing. The fields from pending on are guarded by
// link.mu.
type loan struct {
	net.Conn // for the addresses
	conn     *Conn
	until    time.Time
	hurry    time.Time // until, or sooner after BYE
	rest     []byte    // of the response that is being handed on

	pending []command // sent and not answered
	answers int       // STATUS responses that the commands sent so far may still answer with
	sent    int       // commands so far: T1, T2 …
	inside  bool      // the last write ended within a command,
	literal int       // and that many bytes before the end of a literal
	wants   int       // continuation requests that imapclient waits for
	back    bool
}

type command struct {
	tag, name string // the name without UID
	status    bool   // LIST that is answered by STATUS too
}

func (c *Conn) lend(until time.Time) *loan {
	c.dropped.Store(0)
	kind := "OK"
	if c.isLoggedIn() {
		kind = "PREAUTH"
	}
	c.client = &loan{Conn: c.conn, conn: c, until: until, hurry: until, rest: []byte("* " + kind + " [CAPABILITY " + c.capList() + "] lent\r\n")}
	return c.client
}

// settle waits until all is answered and then ends the loan. Reading ends at the deadline at the latest, and then there is a cause.
func (l *loan) settle() {
	c := l.conn
	c.link.mu.Lock()
	for len(l.pending) > 0 && !l.back && c.cause == nil {
		c.changed.Wait()
	}
	l.back = true
	c.changed.Broadcast()
	c.link.mu.Unlock()
}

// Read hands on one response after the other, and reads none while nothing is asked: what then comes waits for its next reader.
func (l *loan) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if err := l.idle(); err != nil {
			return 0, err
		}
		r, err := l.conn.next(l.hurry)
		if err != nil {
			return 0, l.conn.late(err, l.waiting())
		}
		if l.rest, err = l.judge(r); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// idle waits until a command is sent. At the end of the loan it returns io.EOF, which is between two responses here.
func (l *loan) idle() error {
	c := l.conn
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for len(l.pending) == 0 && !l.back && c.cause == nil {
		c.changed.Wait()
	}
	switch {
	case c.cause != nil:
		return c.cause
	case l.back:
		return io.EOF
	}
	return nil
}

func (l *loan) waiting() string {
	l.conn.link.mu.Lock()
	defer l.conn.link.mu.Unlock()
	if len(l.pending) == 0 {
		return "an answer"
	}
	return "the answer to " + l.pending[0].name
}

// owed reports whether a STATUS response may be an answer, and counts it as one: each STATUS gets one, LIST RETURN (STATUS) any
// number. One more than were asked for is news.
func (l *loan) owed() bool {
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

// judge returns what imapclient gets to see of a response, if anything.
func (l *loan) judge(r *response) ([]byte, error) {
	c := l.conn
	switch r.tag {
	case "*":
		if r.kind == "BYE" {
			if soon := time.Now().Add(farewell); soon.Before(l.hurry) {
				l.hurry = soon
			}
		}
		if r.kind == "FETCH" {
			return nil, nil // Fetch alone asks for it
		}
		if digestible(r) {
			return r.raw, nil
		}
	case "+":
		if l.continued() {
			return []byte("+ " + r.text + "\r\n"), nil
		}
	case "":
	default:
		if !l.answered(r) {
			return nil, c.stray(r)
		}
		if legible(r) {
			return r.raw, nil
		}
		return []byte(r.tag + " " + r.kind + "\r\n"), nil
	}
	c.dropped.Add(1)
	return nil, nil
}

func (l *loan) continued() bool {
	l.conn.link.mu.Lock()
	defer l.conn.link.mu.Unlock()
	if l.wants == 0 {
		return false
	}
	l.wants--
	return true
}

// answered strikes the command off that r answers, if there is one.
func (l *loan) answered(r *response) bool {
	c := l.conn
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for i, cmd := range l.pending {
		if cmd.tag != r.tag || !isStatus(r.kind) {
			continue
		}
		l.pending = append(l.pending[:i], l.pending[i+1:]...)
		l.wants = 0
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

// Write counts the commands. After the loan it fails, or imapclient's own CAPABILITY would be written into an IDLE.
func (l *loan) Write(p []byte) (int, error) {
	c := l.conn
	c.link.mu.Lock()
	if err := c.cause; err != nil || l.back {
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

// count looks at what imapclient sends. A command may come in several writes, and its literals may hold anything, commands too.
func (l *loan) count(p []byte) {
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
				l.wants++
			}
		}
	}
}

// begin looks at the first line of a command, or at a step of AUTHENTICATE, which has no tag.
func (l *loan) begin(line []byte) {
	tag := "T" + strconv.Itoa(l.sent+1)
	rest, ok := bytes.CutPrefix(line, []byte(tag+" "))
	if !ok {
		l.wants++
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
		l.wants++
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

// Close is called by imapclient when it cannot go on, and by Lend.
func (l *loan) Close() error {
	l.conn.link.mu.Lock()
	defer l.conn.link.mu.Unlock()
	l.back = true
	l.conn.changed.Broadcast()
	return nil
}

func (l *loan) SetDeadline(time.Time) error      { return nil }
func (l *loan) SetReadDeadline(time.Time) error  { return nil }
func (l *loan) SetWriteDeadline(time.Time) error { return nil }

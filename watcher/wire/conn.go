package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
)

// perResponse is what each response costs beside its length, so that a flood of short ones is ended too.
const perResponse = 64

// Conn is an IMAP connection. It belongs to one goroutine, but for the methods that say otherwise. After the first failure every method returns
// its cause.
type Conn struct {
	conn  net.Conn
	raw   net.Conn // conn, or what is below its TLS: closing that ends every wait, closing a tls.Conn may take 5 s
	frame framer
	cur   response
	spent int  // of Limits.Exchange in this step
	tag   int  // own commands so far: I1, I2 …
	done  bool // a DONE was sent that crossed the server's own end of IDLE, perhaps
	beat  heartbeat
	stop  func() bool
	last  atomic.Int64 // nanoseconds since 1970

	mu      sync.Mutex // what a loan's goroutine, a cancelled context and the owner share
	changed sync.Cond  // loan or cause changed
	loan    *loan
	asks    bool // a FETCH runs: what it answers with is no news
	caps    string
	preauth bool
	login   bool // logged in, by PREAUTH or by a command
	news    News
	dropped int
	alert   string
	bye     *ByeError
	cause   error
}

// News is what the server said unasked, counted in responses since Forget.
type News struct {
	Exists   int  // EXISTS, that of an EXAMINE included
	Expunge  int  // EXPUNGE or VANISHED
	Flags    int  // FETCH that answers no command: flags changed
	Status   int  // STATUS that answers no command: another folder changed (NOTIFY, RFC 5465). A hint to look, not data
	Overflow bool // NOTIFICATIONOVERFLOW (RFC 5465 section 5.8): NOTIFY is off, send it again and look at all folders
	Ended    bool // the server ended IDLE by itself
}

// Mail reports whether there may be new mail.
func (n News) Mail() bool { return n.Exists > 0 || n.Status > 0 || n.Overflow }

// New makes a Conn of a connection on which the greeting has not been read. When ctx is cancelled the connection (the one below TLS, if it is a
// *tls.Conn) is closed, and what waits returns the context's cause at once. Close must be called.
func New(ctx context.Context, conn net.Conn, limits Limits) *Conn {
	c := &Conn{conn: conn, raw: conn, frame: framer{limits: limits}}
	if t, ok := conn.(*tls.Conn); ok {
		c.raw = t.NetConn()
	}
	c.changed.L = &c.mu
	c.last.Store(time.Now().UnixNano())
	c.stop = context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	return c
}

// Close ends the connection, without a word to the server. It never waits. It may be called from any goroutine, and more than once.
func (c *Conn) Close() {
	c.stop()
	c.fail(net.ErrClosed)
}

// fail keeps the first cause, ends the connection, and returns the cause. A BYE explains whatever came after it.
func (c *Conn) fail(err error) error {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = err
		if c.bye != nil {
			c.cause = c.bye
		}
	}
	err = c.cause
	c.changed.Broadcast()
	c.mu.Unlock()
	c.raw.Close()
	return err
}

// Cause returns why the connection is over: the first failure, or the server's BYE if it said one; nil while it works. It may be called from any
// goroutine.
func (c *Conn) Cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// LastByte returns when the last byte came from the server; before the first, when the connection was made. It may be called from any goroutine.
func (c *Conn) LastByte() time.Time { return time.Unix(0, c.last.Load()) }

// News returns what was heard since Forget. It may be called within a loan.
func (c *Conn) News() News {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.news
}

// Forget forgets the news of the folder that is open. Call it before the command that looks for mail is sent: what comes later than that is news again.
func (c *Conn) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news = News{Status: c.news.Status, Overflow: c.news.Overflow}
}

// ForgetOthers forgets the news of the other folders. Call it before the commands that look at them; an overflow is forgotten by Notify alone, or with
// overflow, where nobody wants to be told.
func (c *Conn) ForgetOthers(overflow bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news.Status, c.news.Overflow = 0, c.news.Overflow && !overflow
}

// Dropped returns how many responses the current or last loan kept from imapclient because it cannot digest them. One of them may have been
// the answer: a message not found in a loan that dropped something is not known to be gone.
func (c *Conn) Dropped() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// Alert returns the text of the last [ALERT] (RFC 3501 section 7.1), which a person should see, fit to be shown; or "". It may be called from any
// goroutine.
func (c *Conn) Alert() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alert
}

// Preauth reports whether the server greeted with PREAUTH: no login is needed.
func (c *Conn) Preauth() bool { return c.preauth }

// Caps returns the last capability list the server sent. It changes with STARTTLS and with the login.
func (c *Conn) Caps() imap.CapSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := make(imap.CapSet)
	for name := range strings.FieldsSeq(c.caps) {
		set[imap.Cap(name)] = struct{}{}
	}
	return set
}

// Has reports whether the server announces a capability, or IMAP4rev2, which contains it.
func (c *Conn) Has(name imap.Cap) bool { return c.Caps().Has(name) }

// begin starts a step with a fresh budget.
func (c *Conn) begin() error {
	c.spent = 0
	return c.Cause()
}

// next returns the next whole response, noted. The response is valid until the next call. It may be called again after os.ErrDeadlineExceeded,
// which is the only error that does not end the connection.
func (c *Conn) next(until time.Time) (*response, error) {
	for {
		raw, err := c.frame.next()
		if err != nil {
			return nil, c.fail(err)
		}
		if raw != nil {
			return c.take(raw)
		}
		n, err := c.read(until)
		c.frame.filled(n)
		if n == 0 && err != nil {
			return nil, c.broken(err)
		}
	}
}

func (c *Conn) read(until time.Time) (int, error) {
	// Whoever cannot set a deadline is closed, and Read says so.
	c.conn.SetReadDeadline(until)
	n, err := c.conn.Read(c.frame.room())
	if n > 0 {
		c.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// broken says why a read failed. A deadline is left to the caller.
func (c *Conn) broken(err error) error {
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

func (c *Conn) take(raw []byte) (*response, error) {
	c.spent += len(raw) + perResponse
	if c.spent > c.frame.limits.Exchange {
		return nil, c.fail(&LimitError{"exchange", c.frame.limits.Exchange})
	}
	c.cur = parse(raw)
	c.cur.odd = c.frame.odd
	if lent := c.note(&c.cur); c.bye != nil && !lent {
		return nil, c.fail(c.bye)
	}
	return &c.cur, nil
}

// note hears all that the server says, whoever asked, and reports whether the connection is lent.
func (c *Conn) note(r *response) (lent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lent = c.loan != nil
	switch {
	case isStatus(r.kind):
		c.noteStatus(r)
	case r.tag != "*":
	case r.kind == "CAPABILITY":
		c.setCaps(r.text)
	case r.kind == "EXISTS":
		c.news.Exists++
	case r.kind == "EXPUNGE", r.kind == "VANISHED":
		c.news.Expunge++
	case r.kind == "FETCH":
		if !c.asks {
			c.news.Flags++
		}
	case r.kind == "STATUS":
		if !lent || !c.loan.owed() {
			c.news.Status++
		}
	}
	return lent
}

func (c *Conn) setFetching(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks = on
}

// noteFlags counts FETCH responses that answered no command.
func (c *Conn) noteFlags(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news.Flags += n
}

func (c *Conn) noteStatus(r *response) {
	switch r.codeName() {
	case "ALERT", "WEBALERT": // the second is Gmail's
		c.alert = Clean(r.text)
	case "CAPABILITY":
		c.setCaps(strings.TrimPrefix(r.code, "CAPABILITY"))
	case "NOTIFICATIONOVERFLOW":
		c.news.Overflow = true
	}
	if r.kind == "BYE" && r.tag == "*" && c.bye == nil {
		c.bye = &ByeError{Code: Clean(r.codeName()), Text: Clean(r.text)}
	}
}

func (c *Conn) setCaps(list string) {
	c.caps = capabilities(list)
	if c.loan != nil {
		c.loan.stale = false
	}
}

// stray judges an answer that nobody waits for.
func (c *Conn) stray(r *response) error {
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

package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// link is the network connection below a Conn, and what ended it.
type link struct {
	conn net.Conn
	raw  net.Conn        // conn, or the one below its TLS: closing a tls.Conn may take 5 s
	poll syscall.RawConn // of raw, or nil
	stop func() bool

	mu    sync.Mutex
	last  time.Time // when the last byte came
	bye   *ByeError
	cause error
	idle  idleEnd
}

// idleEnd is when the IDLE that runs, or else the next, ends because somebody wants to know.
type idleEnd struct {
	runs  bool
	by    time.Time // zero: nobody asked
	until time.Time // the deadline of the read that runs
}

// init must be called once, before any other method. The link closes when ctx is cancelled.
func (l *link) init(ctx context.Context, conn net.Conn) {
	l.conn, l.raw = conn, conn
	if t, ok := conn.(*tls.Conn); ok {
		l.raw = t.NetConn()
	}
	if p, ok := l.raw.(syscall.Conn); ok {
		l.poll, _ = p.SyscallConn()
	}
	l.last = time.Now()
	l.stop = context.AfterFunc(ctx, func() { l.fail(context.Cause(ctx)) })
}

// Close ends the connection without LOGOUT. It does not block. It may be called from any goroutine,
// and more than once.
func (l *link) Close() {
	l.stop()
	l.fail(net.ErrClosed)
}

// fail keeps the first cause, closes the connection and returns the cause. A BYE explains any
// failure after it.
func (l *link) fail(err error) error {
	l.mu.Lock()
	if l.cause == nil {
		l.cause = err
		if l.bye != nil {
			l.cause = l.bye
		}
	}
	err = l.cause
	l.mu.Unlock()
	l.raw.Close()
	return err
}

// Cause returns why the connection is over: the first failure, or the server's BYE if it sent one;
// nil while it works. It may be called from any goroutine.
func (l *link) Cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// setBye keeps the server's first BYE.
func (l *link) setBye(bye *ByeError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bye == nil {
		l.bye = bye
	}
}

// failOnBye ends the connection if the server sent BYE, and returns the cause then.
func (l *link) failOnBye() error {
	l.mu.Lock()
	bye := l.bye
	l.mu.Unlock()
	if bye == nil {
		return nil
	}
	return l.fail(bye)
}

// LastByte returns when the last byte came from the server; before the first, when the connection
// was made. The time has a monotonic reading: differences stay true when the clock is set.
// It may be called from any goroutine.
func (l *link) LastByte() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// EndIdle ends the IDLE that runs, or else the next, at that time or sooner, as if its refresh were
// over. It may be called from any goroutine.
func (l *link) EndIdle(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle.by = sooner(at, l.idle.by)
	if l.idle.runs {
		l.conn.SetReadDeadline(sooner(l.idle.until, l.idle.by))
	}
}

// setIdle notes whether an IDLE runs. One that is over has answered who asked for its end.
func (l *link) setIdle(runs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle.runs = runs; !runs {
		l.idle.by = time.Time{}
	}
}

// isOver reports whether the IDLE that runs is to end now: at until, or when somebody has asked for
// it.
func (l *link) isOver(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !time.Now().Before(sooner(until, l.idle.by))
}

// readBy sets the deadline of the next reads.
func (l *link) readBy(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle.runs {
		until = sooner(until, l.idle.by)
	}
	l.idle.until = until
	// If the deadline cannot be set the connection is closed, and Read returns why.
	l.conn.SetReadDeadline(until)
}

// longAgo is a deadline for what need not be waited for.
var longAgo = time.Unix(1, 0)

// arrives is how long a response may take from its first byte on, before it is waited for again.
const arrives = time.Second

// await waits until there is something to read, or until then, and returns by when to read it. It
// takes less stack than a read through TLS, and no buffer. Without a socket it leaves the waiting
// to the read.
func (l *link) await(until time.Time) (by time.Time) {
	if l.poll == nil {
		return until
	}
	l.readBy(until)
	waited := false
	// The poller reports only bytes that come from now on.
	err := l.poll.Read(func(socket uintptr) (done bool) {
		done, waited = waited || readable(socket), true
		return done
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return longAgo
	}
	return time.Now().Add(arrives) // another failure shows in the read
}

// read reads once. After until it returns os.ErrDeadlineExceeded.
func (l *link) read(p []byte, until time.Time) (int, error) {
	l.readBy(until)
	n, err := l.conn.Read(p)
	if n > 0 {
		l.mu.Lock()
		l.last = time.Now()
		l.mu.Unlock()
	}
	return n, err
}

func (l *link) write(b []byte, until time.Time) error {
	l.conn.SetWriteDeadline(until)
	_, err := l.conn.Write(b)
	// TLS writes by itself now and then, long after.
	l.conn.SetWriteDeadline(time.Time{})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l.fail(&TimeoutError{"the server to read what is sent"})
	}
	return l.fail(fmt.Errorf("write to the server: %w", err))
}

//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// accountsPerHost is how many accounts share a mail server: an address of their own.
const accountsPerHost = 10

// hostOf returns the address at which the i-th account is served.
func hostOf(i int) netip.Addr {
	n := i / accountsPerHost
	return netip.AddrFrom4([4]byte{127, byte(1 + n/62500), byte(n / 250 % 250), byte(1 + n%250)})
}

// mailServer is an IMAP server that costs little: it serves all loopback addresses at one port, and
// makes its mail when it is fetched. Any password opens a mailbox.
type mailServer struct {
	port int
	tls  *tls.Config

	ready   atomic.Int64 // sessions that have come to IDLE
	idle    atomic.Int64 // those that wait in it now
	serving sync.WaitGroup

	mu    sync.Mutex
	boxes map[string]*mailbox // by user name
	conns map[net.Conn]bool
}

// oldMails is how many mails a mailbox has at the beginning. Only their numbers
// tell them from new mail.
const oldMails = 100

// mailbox is one INBOX. The UIDs of its mails are their numbers.
type mailbox struct {
	mu      sync.Mutex
	mails   int
	idles   int          // that clients have ended
	session *mailSession // the last; nil: none yet
}

func (s *mailServer) mailbox(user string) *mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.boxes[user] == nil {
		s.boxes[user] = &mailbox{mails: oldMails}
	}
	return s.boxes[user]
}

// serveMail serves until ctx ends.
func serveMail(ctx context.Context, config *tls.Config) (*mailServer, error) {
	l, err := net.Listen("tcp4", "0.0.0.0:0") // of 127.0.0.0/8 no part can be named
	if err != nil {
		return nil, err
	}
	s := &mailServer{port: l.Addr().(*net.TCPAddr).Port, tls: config, boxes: make(map[string]*mailbox), conns: make(map[net.Conn]bool)}
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && s.add(ctx, conn) {
				s.serving.Go(func() { s.serve(conn) })
			}
		}
	})
	s.serving.Go(func() {
		<-ctx.Done()
		l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for conn := range s.conns {
			conn.Close()
		}
	})
	return s, nil
}

// add notes a connection, unless the server ends or the client is not of this machine.
func (s *mailServer) add(ctx context.Context, conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil || !conn.LocalAddr().(*net.TCPAddr).IP.IsLoopback() {
		conn.Close()
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
		conn.Close()
	}()
	(&mailSession{server: s, conn: tls.Server(conn, s.tls)}).run()
}

// deliver puts a mail into each mailbox and tells the sessions there that wait; others learn of it
// in their next IDLE. It returns when it began.
func (s *mailServer) deliver(users ...string) (began time.Time) {
	boxes := make([]*mailbox, len(users))
	for i, user := range users {
		boxes[i] = s.mailbox(user)
	}
	began = time.Now()
	for _, box := range boxes {
		box.deliver()
	}
	return began
}

func (b *mailbox) deliver() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails++
	if b.session != nil && b.session.idling {
		b.tell()
	}
}

// tell tells the session how many mails there are. An error is that of its connection, which it
// finds itself.
func (b *mailbox) tell() {
	fmt.Fprintf(b.session.conn, "* %d EXISTS\r\n", b.mails)
	b.session.told = b.mails
}

// idles returns how many IDLEs the clients of the users have ended.
func (s *mailServer) idles(users []string) (n int) {
	for _, user := range users {
		box := s.mailbox(user)
		box.mu.Lock()
		n += box.idles
		box.mu.Unlock()
	}
	return n
}

// awaitReady waits until that many sessions have come to IDLE, and all others have ended.
func (s *mailServer) awaitReady(ctx context.Context, sessions int) error {
	return awaitCount(ctx, &s.ready, sessions, "have come to IDLE")
}

// awaitIdle waits until that many sessions wait in IDLE at once.
func (s *mailServer) awaitIdle(ctx context.Context, sessions int) error {
	return awaitCount(ctx, &s.idle, sessions, "wait in IDLE")
}

func awaitCount(ctx context.Context, count *atomic.Int64, sessions int, what string) error {
	for count.Load() != int64(sessions) {
		if !sleep(ctx, time.Millisecond) {
			return fmt.Errorf("%d sessions %s, not %d: %w", count.Load(), what, sessions, ctx.Err())
		}
	}
	return nil
}

// sleep waits and reports whether ctx has not ended.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

package watcher

import (
	"context"
	"sync"
	"time"
)

const (
	// stormSize is how many sessions make a storm at least, and stormShare which part of all they
	// are. It is over once none has begun for calm.
	stormSize  = 5
	stormShare = 8
	calm       = 3 * time.Second

	// maxEntering is how many logins of all hosts run at once. One that takes longer than
	// enteringSoon counts no more, so that hosts that do not answer keep no other waiting for long.
	maxEntering  = 256
	enteringSoon = 2 * time.Second
)

// storm is many sessions that begin together, as at the start of the program. Their handshakes and
// logins take several times the memory of sessions that wait, and the runtime returns it to the
// system only slowly. storm bounds how many log in at once, and tells when all have.
type storm struct {
	entering chan struct{} // one value for each login that counts
	over     *time.Timer   // fires when the storm is over

	mu       sync.Mutex
	accounts int // that are watched
	begun    int
	last     time.Time
}

func newStorm() *storm {
	s := &storm{entering: make(chan struct{}, maxEntering), over: time.NewTimer(calm)}
	s.over.Stop()
	return s
}

// enter waits until another login may run. leave must be called once it has ended.
func (s *storm) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.entering <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	once := sync.OnceFunc(func() { <-s.entering })
	late := time.AfterFunc(enteringSoon, once)
	return func() {
		late.Stop()
		once()
	}, nil
}

// begin takes in a session that begins.
func (s *storm) begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) >= calm {
		s.begun = 0
	}
	s.begun++
	if s.last = now; s.begun >= max(stormSize, s.accounts/stormShare) {
		s.over.Reset(calm)
	}
}

// watch takes in how many accounts are watched.
func (s *storm) watch(accounts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = accounts
}

package watcher

import (
	"sync"
	"time"
)

const (
	// stormSize is how many sessions make a storm, and calm how long none has begun when it is
	// over.
	stormSize = 50
	calm      = 30 * time.Second
)

// storm is many sessions that begin together, as at the start of the program. Their handshakes and
// logins take several times the memory of sessions that wait, which the runtime gives back to the
// system only slowly.
type storm struct {
	mu    sync.Mutex
	begun int
	last  time.Time
}

// begin takes in a session that begins.
func (s *storm) begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) >= calm {
		s.begun = 0
	}
	s.begun++
	s.last = now
}

// passed reports, once, whether a storm is over.
func (s *storm) passed(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun < stormSize || now.Sub(s.last) < calm {
		return false
	}
	s.begun = 0
	return true
}

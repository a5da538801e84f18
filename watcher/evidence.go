package watcher

import (
	"sync"
	"time"

	"idlepush/watcher/wire"
)

// A connection may be dead although nothing ends it: something on the way goes on acknowledging.
// Only a question shows it. When a session loses its connection, the others at the host ask: none
// that the server has just sent something, one after the other, and not over and over.
const (
	askRest   = 5 * time.Minute  // between two rounds of questions to a host
	askPace   = connectPace      // between two sessions in a round
	heardOnly = 10 * time.Second // a connection on which something came since needs no question
)

// peers are the sessions at one host that wait in IDLE or work. It may be used from several
// goroutines.
type peers struct {
	mu    sync.Mutex
	conns map[*wire.Conn]bool
	round time.Time     // when the last round of questions began, or the next begins
	beat  time.Duration // the longest time between two heartbeats; zero: the host sends none
}

// add has the connection take part until it is removed.
func (p *peers) add(conn *wire.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		p.conns = make(map[*wire.Conn]bool)
	}
	p.conns[conn] = true
}

func (p *peers) remove(conn *wire.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// count returns how many connections take part.
func (p *peers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// suspect has the others ask the server, because this connection was lost.
func (p *peers) suspect(lost *wire.Conn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := nextRound(p.round, now)
	if !ok {
		return
	}
	p.round = at
	for conn := range p.conns {
		if conn != lost && now.Sub(conn.LastByte()) > heardOnly {
			conn.EndIdle(at)
			at = at.Add(askPace)
		}
	}
}

// nextRound returns when a round of questions begins for which there is a reason now. If another is
// to begin already, ok is false.
func nextRound(last, now time.Time) (at time.Time, ok bool) {
	switch {
	case last.After(now):
		return time.Time{}, false
	case now.Sub(last) < askRest:
		return last.Add(askRest), true
	}
	return now, true
}

// heartbeat returns the longest time between two heartbeats of the host; zero: it sends none.
func (p *peers) heartbeat() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beat
}

// heard takes in the heartbeat of one connection; zero: none is known. expected: one was.
func (p *peers) heard(beat time.Duration, expected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if beat > 0 || expected {
		p.beat = beat
	}
}

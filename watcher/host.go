package watcher

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"idlepush"
	"idlepush/registry"
)

const (
	// maxConnecting is how many connections to one host are being opened at once, and connectPace
	// the time between two: a restart must not look like an attack.
	maxConnecting = 4
	connectPace   = 200 * time.Millisecond

	// minConnectPace is the shortest time between two: it halves after each quickToHasten logins in
	// a row that took no longer than quickLogin.
	minConnectPace = 50 * time.Millisecond
	quickToHasten  = 10
	quickLogin     = time.Second

	// maxConnectPace is the longest time between two while a host fails: long enough for the host,
	// and short enough for the accounts that it works for and that wait behind others.
	maxConnectPace = 6 * time.Second
)

// host is one mail server, shared by all accounts on it: its learned behaviour, and the queue of
// its new connections. It may be used from several goroutines.
type host struct {
	name     string // host and port
	provider provider
	store    registry.Mail
	log      *slog.Logger
	clock    *clock
	turns
	peers peers

	mu          sync.Mutex
	known       registry.Host
	failures    int           // of connections; each that succeeds halves it
	lastFailure time.Time     // when the last of them was noted
	quick       int           // logins in a row that were quick
	drop        bool          // it drops commands that are sent together with DONE
	down        bool          // the last could not be made
	last        time.Time     // when the last was begun
	healthy     chan struct{} // closed and replaced when down ends
}

// turns are those of the connections that are to be opened.
type turns struct {
	connecting chan struct{} // one value for each connection that is being opened
	next       chan struct{} // one value while a connection waits for its time; others wait for it
}

func newHost(address, name string, store registry.Mail, log *slog.Logger, c *clock) *host {
	h := &host{name: name, provider: providerOf(address), store: store, log: log, clock: c, healthy: make(chan struct{}),
		turns: turns{connecting: make(chan struct{}, maxConnecting), next: make(chan struct{}, 1)}}
	var err error
	if h.known, err = store.Host(name); err != nil {
		log.Error("learned behaviour of a mail server cannot be read; learning it again", "remote", name, "err", err)
	}
	// A clock that was ahead may have left times in the future: before they come, nothing would be
	// learned.
	now := c.now()
	for _, at := range []*time.Time{&h.known.Since, &h.known.LastDrop, &h.known.DistrustedSince, &h.known.DiedUnnoticed} {
		*at = earlier(*at, now)
	}
	return h
}

// learn replaces the known behaviour by what f makes of it, and saves it.
func (h *host) learn(f func(registry.Host) registry.Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.known
	h.known = f(before)
	if same(before, h.known) {
		return
	}
	was, _ := interval(h.provider, before)
	is, why := interval(h.provider, h.known)
	if was != is {
		h.log.Info("IDLE interval changed", "remote", h.name, "wait", is.Round(time.Second), "status", why.Code)
	}
	if !before.DiedUnnoticed.Equal(h.known.DiedUnnoticed) {
		h.log.Info("a connection died unnoticed, and not for its silence; asking the server more often for a while", "remote", h.name)
	}
	if err := h.store.PutHost(h.name, h.known); err != nil {
		h.log.Error("learned behaviour of a mail server cannot be saved; it is tried again at its next change", "remote", h.name, "err", err)
	}
}

func same(a, b registry.Host) bool {
	return a.Interval == b.Interval && a.Since.Equal(b.Since) && len(a.RecentDrops) == len(b.RecentDrops) && a.LastDrop.Equal(b.LastDrop) && a.FatalSilence == b.FatalSilence &&
		a.MissedNews == b.MissedNews && a.DistrustedSince.Equal(b.DistrustedSince) &&
		a.Reports == b.Reports && a.Unanswered == b.Unanswered && a.DiedUnnoticed.Equal(b.DiedUnnoticed)
}

func (h *host) droppedAfter(silence time.Duration, unanswered bool) {
	h.learn(func(k registry.Host) registry.Host {
		return droppedAfter(h.provider, k, silence, unanswered, time.Now())
	})
}

func (h *host) survivedSilence(silence time.Duration, whole bool) {
	h.learn(func(k registry.Host) registry.Host { return survivedSilence(h.provider, k, silence, whole, time.Now()) })
}

func (h *host) missedNews() {
	h.learn(func(k registry.Host) registry.Host { return missedNews(k, time.Now()) })
	if h.distrusted() {
		h.log.Warn("server does not report new mail in IDLE; polling it", "remote", h.name)
	}
}

// reportedNews learns that IDLE reported a message.
func (h *host) reportedNews() {
	h.learn(func(k registry.Host) registry.Host { return reportedNews(k, time.Now()) })
}

func (h *host) distrusted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return distrusted(h.known, time.Now())
}

// dropsCommands notes that the server drops commands that are sent together with DONE.
func (h *host) dropsCommands() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.drop {
		h.log.Info("server drops commands that are sent together with DONE; waiting for its answer first", "remote", h.name)
	}
	h.drop = true
}

// drops reports whether the server drops commands that are sent together with DONE.
func (h *host) drops() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drop
}

// interval returns how long an IDLE may last now, and why.
func (h *host) interval() (time.Duration, idlepush.Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	borne, why := interval(h.provider, h.known)
	asked, reason := doubt(h.known, h.peers.count(), time.Now())
	switch {
	case distrusted(h.known, time.Now()):
		return min(asked, borne), reason
	case asked > 0 && asked < borne:
		return asked, reason
	}
	return borne, why
}

// reports reports whether IDLE has reported mail, and missed none since.
func (h *host) reports() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known.Reports
}

// bears reports whether an IDLE may last as long as the host bears it.
func (h *host) bears() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked, _ := doubt(h.known, h.peers.count(), time.Now())
	return asked == 0
}

// enter waits for a turn to connect. leave must be called once the connection is made or has
// failed.
func (h *host) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.connecting <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = func() { <-h.connecting }
	if err := h.queue(ctx); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// hasRoom reports whether a connection that can be spared may be opened: none fails, and none waits
// for its turn.
func (h *host) hasRoom() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failures == 0 && !h.down && len(h.next) == 0 && len(h.connecting) < maxConnecting
}

// maxFailures bounds the failures that count, so that a host is soon trusted again.
const maxFailures = 8

// queue returns when enough time has passed since the last connection was begun.
func (h *host) queue(ctx context.Context) error {
	select {
	case h.next <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.next }()
	h.mu.Lock()
	wait := time.Until(h.last.Add(connectWait(h.failures, h.quick)))
	h.mu.Unlock()
	if !sleep(ctx, wait) {
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
	return nil
}

// connectWait returns the time between two connections to a host. It doubles with each failure, and
// shrinks while the host accepts all at once.
func connectWait(failures, quick int) time.Duration {
	if failures > 0 {
		return min(connectPace<<min(failures, 10), maxConnectPace)
	}
	return max(connectPace>>min(quick/quickToHasten, 10), minConnectPace)
}

// fail notes a connection that could not be made, or was lost too soon, for a reason that is not in
// its account. It has begun at a time; if others have failed since, it is one failure with them.
// down: it was not made.
func (h *host) fail(began time.Time, down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down, h.quick = h.down || down, 0
	if began.After(h.lastFailure) {
		h.failures, h.lastFailure = min(h.failures+1, maxFailures), time.Now()
	}
}

// tried notes how a login that began at a time has ended. A success halves the failures, so that a
// server that accepts and drops still counts as failing. If the host was down, the accounts that
// wait for it go on.
func (h *host) tried(began time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.quick++; err != nil || time.Since(began) > quickLogin {
		h.quick = 0
	}
	if err != nil {
		return
	}
	if h.down {
		h.down = false
		close(h.healthy)
		h.healthy = make(chan struct{})
	}
	h.failures /= 2
}

// recovered returns a channel that is closed when the host is no longer down.
func (h *host) recovered() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.healthy
}

package watcher

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"idlepush/registry"
)

const (
	// doorWidth is how many connections to one host are being opened at once, and doorPace the time between two: a restart must not look like an
	// attack.
	doorWidth = 4
	doorPace  = 200 * time.Millisecond

	// doorSlowest is the longest time between two, where a host fails: long enough for the host, and not so long that accounts for which it works wait
	// behind others for which it does not.
	doorSlowest = 6 * time.Second
)

// host is one mail server, as all accounts on it know it: what was learned of it, and the door through which their sessions come in. It may be used from
// several goroutines.
type host struct {
	name     string // host and port
	provider provider
	store    registry.Mail
	log      *slog.Logger
	clock    *clock
	door     chan struct{} // one value for each connection that is being opened
	first    chan struct{} // one value while the first of those that wait for their time waits

	mu       sync.Mutex
	known    registry.Host
	failures int           // of connections, less for each that succeeded
	down     bool          // the last could not be made
	last     time.Time     // when the last was begun
	well     chan struct{} // closed, and another one made, when down ends
}

func newHost(address, name string, store registry.Mail, log *slog.Logger, c *clock) *host {
	h := &host{name: name, provider: providerOf(address), store: store, log: log, clock: c, door: make(chan struct{}, doorWidth), first: make(chan struct{}, 1), well: make(chan struct{})}
	var err error
	if h.known, err = store.Host(name); err != nil {
		log.Error("what was learned of a mail server cannot be read: it is learned again", "remote", name, "err", err)
	}
	// A clock that was ahead may have left times in the future: before they come, nothing would be learned.
	now := c.now()
	h.known.Since, h.known.Died, h.known.Unreliable = earlier(h.known.Since, now), earlier(h.known.Died, now), earlier(h.known.Unreliable, now)
	return h
}

// learn takes in what f makes of what is known, and keeps it.
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
		h.log.Info("another interval is used", "remote", h.name, "wait", is.Round(time.Second), "status", why)
	}
	if err := h.store.PutHost(h.name, h.known); err != nil {
		h.log.Error("what was learned of a mail server cannot be kept: it is written when it changes again", "remote", h.name, "err", err)
	}
}

func same(a, b registry.Host) bool {
	return a.Interval == b.Interval && a.Since.Equal(b.Since) && len(a.Deaths) == len(b.Deaths) && a.Died.Equal(b.Died) && a.Deadly == b.Deadly &&
		a.Lies == b.Lies && a.Unreliable.Equal(b.Unreliable)
}

func (h *host) died(silence time.Duration, unanswered bool) {
	h.learn(func(k registry.Host) registry.Host { return died(h.provider, k, silence, unanswered, time.Now()) })
}

func (h *host) held(silence time.Duration, whole bool) {
	h.learn(func(k registry.Host) registry.Host { return held(h.provider, k, silence, whole, time.Now()) })
}

func (h *host) lied() {
	h.learn(func(k registry.Host) registry.Host { return lied(k, time.Now()) })
	if h.doubted() {
		h.log.Warn("the server does not tell of new mail in IDLE and is asked instead", "remote", h.name)
	}
}

// told says that IDLE told of a mail.
func (h *host) told() {
	h.learn(func(k registry.Host) registry.Host { k.Lies = 0; return k })
}

func (h *host) doubted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return doubted(h.known, time.Now())
}

// interval is how long an IDLE may last now, and why.
func (h *host) interval() (time.Duration, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if doubted(h.known, time.Now()) {
		borne, _ := interval(h.provider, h.known)
		return min(doubtInterval, borne), "mail was there several times that the server had not told of"
	}
	return interval(h.provider, h.known)
}

// enter waits for a turn at the door. leave must be called once the connection is made or has failed.
func (h *host) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.door <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = func() { <-h.door }
	if err := h.queue(ctx); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// mostFailures bounds the failures that are counted, so that they are soon made good.
const mostFailures = 8

// queue returns when enough time has passed since the last connection was begun.
func (h *host) queue(ctx context.Context) error {
	select {
	case h.first <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.first }()
	h.mu.Lock()
	wait := time.Until(h.last.Add(doorWait(h.failures)))
	h.mu.Unlock()
	if !sleep(ctx, wait) {
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
	return nil
}

// doorWait is the time between two connections to a host, doubled with each failure that was not made good.
func doorWait(failures int) time.Duration {
	return min(doorPace<<min(failures, 10), doorSlowest)
}

// failed notes a connection that was soon lost or, down, could not be made, for no reason that lies in its account.
func (h *host) failed(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = min(h.failures+1, mostFailures)
	h.down = h.down || down
}

// entered notes a login that succeeded. It counts half of the failures away, so that a server that accepts and drops is not taken for a sound one, and where
// the host was down, those that wait for it are called in.
func (h *host) entered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		h.down = false
		close(h.well)
		h.well = make(chan struct{})
	}
	h.failures /= 2
}

// recovered is closed when the host is down no more.
func (h *host) recovered() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.well
}

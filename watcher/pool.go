package watcher

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"idlepush/registry"
	"idlepush/watcher/wire"
)

const (
	// loginsPerHost is how many connections to one host are being opened at once: a restart must not look like an attack.
	loginsPerHost = 4

	retryFirst = 2 * time.Second // the wait after a first failure, doubled with each
	retryMost  = 5 * time.Minute // and never longer, unless the failure asks for it
	stable     = 5 * time.Minute // a connection that lived this long ends the doubling

	// A login that is refused without a reason is given up after unclearTries in a row over unclearTime.
	unclearTries = 3
	unclearTime  = 10 * time.Minute

	lookAgain = time.Minute // between two looks at the accounts, should a signal be lost
)

// Pool runs a session for every enabled account. Fill in the exported fields, then call Run once.
type Pool struct {
	Store  *registry.Store
	Dialer Dialer
	Log    *slog.Logger

	mu    sync.Mutex
	conns map[string]*wire.Conn // by account, while one is open
	doors map[string]chan struct{}
}

// Live tells when the last byte came on the account's connection. False: it has none. It may be called from any
// goroutine.
func (p *Pool) Live(account string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn, ok := p.conns[account]
	if !ok {
		return time.Time{}, false
	}
	return conn.LastByte(), true
}

// running is one account's supervisor.
type running struct {
	edited time.Time // of the account it runs
	stop   context.CancelFunc
}

// Run keeps what runs the same as what should run, until ctx ends; then it ends all sessions and returns. Boot, add, edit and
// remove are this one comparison.
func (p *Pool) Run(ctx context.Context) error {
	p.mu.Lock()
	p.conns, p.doors = make(map[string]*wire.Conn), make(map[string]chan struct{})
	p.mu.Unlock()
	var supervisors sync.WaitGroup
	defer supervisors.Wait()
	current := make(map[string]*running)
	ended := make(chan string)
	start := func(a registry.Account) {
		own, stop := context.WithCancel(ctx)
		current[a.ID] = &running{a.Edited, stop}
		supervisors.Go(func() {
			defer stop()
			p.supervise(own, a)
			select {
			case ended <- a.ID:
			case <-ctx.Done():
			}
		})
	}
	for {
		p.compare(current, start)
		timer := time.NewTimer(lookAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case id := <-ended:
			delete(current, id)
		case <-p.Store.AccountsChanged():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// compare stops what should not run as it does, and starts what should and does not. An account whose old session is still
// ending is started by the look that follows its end.
func (p *Pool) compare(current map[string]*running, start func(registry.Account)) {
	accounts, err := p.Store.Accounts()
	if err != nil {
		p.Log.Error("the accounts cannot be read", "err", err)
		return
	}
	wanted := make(map[string]registry.Account)
	for _, a := range accounts {
		if a.Enabled && a.Status.State != registry.Attention {
			wanted[a.ID] = a
		}
	}
	for id, r := range current {
		if a, ok := wanted[id]; !ok || !a.Edited.Equal(r.edited) {
			r.stop()
		}
	}
	for id, a := range wanted {
		if current[id] == nil {
			start(a)
		}
	}
}

// supervise keeps one account's session running until ctx ends or only a person can help.
func (p *Pool) supervise(ctx context.Context, a registry.Account) {
	log := p.Log.With("account", a.ID)
	var bad poison
	var unclear struct {
		count int
		since time.Time
	}
	// What an earlier run of the program wrote is no knowledge of this one.
	p.setState(a, registry.New, &Failure{}, log)
	for attempt := 0; ; attempt++ {
		lived, err := p.session(ctx, a, &bad, log)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) {
			// The account was edited or removed: the pool is about to end this, or has just begun it from an old row.
			if !sleep(ctx, retryFirst) {
				return
			}
			continue
		}
		if lived >= stable {
			attempt = 0
		}
		f := diagnose(a, err)
		if !f.unclear {
			unclear.count = 0
		} else if unclear.count++; unclear.count == 1 {
			unclear.since = time.Now()
		}
		if f.final || unclear.count >= unclearTries && time.Since(unclear.since) >= unclearTime {
			log.Error("a person must look at the account", "status", f.Code, "err", f.Text())
			if p.setState(a, registry.Attention, f, log) {
				return
			}
			// What is not written down would begin anew at once, and the login with it.
			f.slow = slowest
		}
		wait := backoff(attempt, f.slow)
		log.Warn("session ended, will be tried again", "status", f.Code, "err", wire.Clean(redact(err.Error(), a)), "attempt", attempt+1, "wait", wait.Round(time.Second))
		p.setState(a, registry.Retrying, f, log)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// setState writes the state and reports whether it stands; so it does where the account is another one by now.
func (p *Pool) setState(a registry.Account, state registry.State, f *Failure, log *slog.Logger) bool {
	err := p.Store.SetAccountState(a, state, f.Code, f.Text(), time.Now())
	if err == nil || errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) {
		return true
	}
	log.Error("the state of an account cannot be written", "err", err)
	return false
}

// backoff is the wait before the next try: doubled with each attempt, at least slow, less up to a half, so that what was
// lost together does not come back together.
func backoff(attempt int, slow time.Duration) time.Duration {
	wait := retryFirst << min(attempt, 20)
	wait = max(min(wait, retryMost), slow)
	return wait - rand.N(wait/2)
}

// session logs in, waiting for its turn at the host, and runs until the connection is over. It tells how long that was from
// the login on.
func (p *Pool) session(ctx context.Context, a registry.Account, bad *poison, log *slog.Logger) (lived time.Duration, err error) {
	conn, err := p.enter(ctx, a)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	defer conn.Close()
	p.mu.Lock()
	p.conns[a.ID] = conn
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, a.ID)
		p.mu.Unlock()
	}()
	log.Info("connected")
	if alert := conn.Alert(); alert != "" {
		log.Warn("the server wants this to be read", "status", redact(alert, a))
	}
	s := &session{account: a, store: p.Store, conn: conn, log: log, poison: bad}
	err = s.run(ctx)
	return time.Since(began), err
}

// enter opens a connection, at most loginsPerHost at once to one host.
func (p *Pool) enter(ctx context.Context, a registry.Account) (*wire.Conn, error) {
	p.mu.Lock()
	door, ok := p.doors[a.Host]
	if !ok {
		door = make(chan struct{}, loginsPerHost)
		p.doors[a.Host] = door
	}
	p.mu.Unlock()
	select {
	case door <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-door }()
	return p.Dialer.login(ctx, a)
}

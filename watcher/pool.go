package watcher

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"idlepush/registry"
	"idlepush/watcher/wire"
)

const (
	retryFirst = 2 * time.Second  // the longest wait after a first failure, doubled with each
	retryMost  = 15 * time.Minute // and never longer
	stable     = 5 * time.Minute  // a connection that lived this long ends the doubling

	// A login that is refused without a reason is given up after unclearTries in a row over unclearTime.
	unclearTries = 3
	unclearTime  = 10 * time.Minute

	lookAgain = time.Minute // between two looks at the accounts, should a signal be lost
)

// Pool runs a session for every enabled account. Fill in the exported fields, then call Run once.
type Pool struct {
	Store  registry.Mail
	Dialer Dialer
	Log    *slog.Logger

	wall     func() time.Time // in tests: in the place of time.Now
	families wire.Families    // by which hosts were reached, in this run of the program

	clock *clock
	mu    sync.Mutex
	conns map[string]*wire.Conn // by account, while one is open
	hosts map[string]*host      // by host and port
	known map[string]*proofs    // by account
}

// Live is what is known of an account's session beside what the store has: ages, which are not worth writing down.
type Live struct {
	Connections int           // open now
	LastByte    time.Time     // from the server, in the session that runs; zero: none does
	Confirmed   time.Time     // when the server last confirmed that there is nothing more; zero: not in this run of the program
	LastMail    time.Time     // when mail was last found to ring; zero: likewise
	Interval    time.Duration // how long the connection may be silent; zero: not known yet
	Why         string        // the interval is that
}

// Live tells of the account's session. It may be called from any goroutine.
func (p *Pool) Live(account string) (l Live) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[account]; known != nil {
		l = known.live()
	}
	if conn := p.conns[account]; conn != nil {
		l.Connections, l.LastByte = 1, conn.LastByte()
	}
	return l
}

// Check is Dialer.Check with what the pool knows of the host, to which it adds. It may be called from
// any goroutine, whether the pool runs or not.
func (p *Pool) Check(ctx context.Context, a registry.Account) (Ability, error) {
	return p.dialer().Check(ctx, a)
}

func (p *Pool) dialer() Dialer {
	d := p.Dialer
	d.families = &p.families
	return d
}

// proofs are the times at which an account was last seen to work. They outlive its sessions.
type proofs struct {
	host *host

	mu        sync.Mutex
	confirmed time.Time
	mail      time.Time
}

func (p *proofs) confirm(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.confirmed = now
}

func (p *proofs) rang(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mail = now
}

func (p *proofs) live() Live {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Live{Confirmed: p.confirmed, LastMail: p.mail}
	l.Interval, l.Why = p.host.interval()
	return l
}

// running is one account's supervisor.
type running struct {
	edited time.Time // of the account it runs
	stop   context.CancelFunc
}

// Run keeps what runs the same as what should run, until ctx ends; then it ends all sessions and returns. Boot, add, edit and
// remove are this one comparison.
func (p *Pool) Run(ctx context.Context) error {
	p.begin()
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
		case <-p.Store.Changed():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (p *Pool) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock = newClock(p.wall)
	p.conns, p.hosts, p.known = make(map[string]*wire.Conn), make(map[string]*host), make(map[string]*proofs)
}

// compare stops what should not run as it does, and starts what should and does not. An account whose old session is still
// ending is started by the look that follows its end.
func (p *Pool) compare(current map[string]*running, start func(registry.Account)) {
	accounts, err := p.Store.Accounts()
	if err != nil {
		p.Log.Error("the accounts cannot be read: what runs goes on, and they are read again within a minute", "err", err)
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
	home := p.host(a)
	proved := &proofs{host: home}
	p.mu.Lock()
	if before := p.known[a.ID]; before != nil && before.host == home {
		proved = before
	}
	p.known[a.ID] = proved
	p.mu.Unlock()
	var bad poison
	var unclear struct {
		count int
		since time.Time
	}
	// What an earlier run of the program wrote is no knowledge of this one.
	p.setState(a, registry.Status{State: registry.New}, log)
	for attempt := 0; ; attempt++ {
		lived, err := p.session(ctx, a, home, &bad, proved, log)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRenewed) {
			log.Info("session renewed")
			attempt = -1
			continue
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
		st := registry.Status{State: registry.Retrying, Code: f.Code, Reason: f.Text(), Proof: proved.live().Confirmed}
		if f.final || unclear.count >= unclearTries && time.Since(unclear.since) >= unclearTime {
			log.Error("a person must look at the account", "status", f.Code, "err", f.Text())
			st.State = registry.Attention
			if p.setState(a, st, log) {
				return
			}
			// What is not written down would begin anew at once, and the login with it.
			f.slow = slowest
		}
		if !f.personal && lived < stable {
			home.failed(lived == 0)
		}
		wait := backoff(attempt, f.slow)
		level := slog.LevelWarn
		if _, ours := errors.AsType[*storeError](err); ours {
			level = slog.LevelError
		}
		log.Log(ctx, level, "session ended, will be tried again", "status", f.Code, "err", wire.Clean(redact(err.Error(), a)), "attempt", attempt+1, "wait", wait.Round(time.Second))
		st.State = registry.Retrying
		p.setState(a, st, log)
		if !p.pause(ctx, home, wait, f) {
			return
		}
	}
}

// pause waits before the next try. Where it was the host that failed, the wait ends when another account gets in there.
func (p *Pool) pause(ctx context.Context, home *host, wait time.Duration, f *Failure) bool {
	if f.personal || f.slow > 0 {
		return sleep(ctx, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-home.recovered():
	}
	return true
}

// setState writes the state and reports whether it stands; so it does where the account is another one by now.
func (p *Pool) setState(a registry.Account, st registry.Status, log *slog.Logger) bool {
	st.Since = time.Now()
	err := p.Store.SetState(a, st)
	if err == nil || errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) {
		return true
	}
	log.Error("the state of an account cannot be written: it is shown as it was until it changes again", "err", err)
	return false
}

// backoff is the wait before the next try: any time up to a bound that doubles with each attempt (full jitter: what was lost together does not come back
// together), or somewhat less than slow, where that is longer.
func backoff(attempt int, slow time.Duration) time.Duration {
	wait := rand.N(min(retryFirst<<min(max(attempt, 0), 20), retryMost))
	if slow > 0 {
		wait = max(wait, slow-rand.N(slow/4))
	}
	return wait
}

// session logs in, waiting for its turn at the host, and runs until the connection is over. It tells how long that was from
// the login on.
func (p *Pool) session(ctx context.Context, a registry.Account, home *host, bad *poison, proved *proofs, log *slog.Logger) (lived time.Duration, err error) {
	conn, err := p.enter(ctx, a, home)
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
	err = newSession(a, p.Store, home, conn, log, bad, proved).run(ctx)
	return max(time.Since(began), 1), err
}

// enter opens a connection when it is the account's turn at its host.
func (p *Pool) enter(ctx context.Context, a registry.Account, home *host) (*wire.Conn, error) {
	leave, err := home.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	conn, err := p.dialer().login(ctx, a)
	if err == nil {
		home.entered()
	}
	return conn, err
}

// host gives what is known of an account's host, the same to all accounts on it.
func (p *Pool) host(a registry.Account) *host {
	name := strings.ToLower(net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.hosts[name]
	if !ok {
		h = newHost(a.Host, name, p.Store, p.Log, p.clock)
		p.hosts[name] = h
	}
	return h
}

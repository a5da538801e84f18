package watcher

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher/wire"
)

const (
	firstRetryWait = 2 * time.Second  // the longest wait after a first failure, doubled with each
	maxRetryWait   = 15 * time.Minute // and never longer
	stable         = 5 * time.Minute  // a connection that lived this long ends the doubling

	// A login that is refused without a reason is given up after unclearTries in a row over
	// unclearTime.
	unclearTries = 3
	unclearTime  = 10 * time.Minute
)

// watched is an account and its state from one session to the next.
type watched struct {
	account  *idlepush.Account
	store    registry.Mail
	host     *host
	log      *slog.Logger
	proofs   *proofs
	failures *failures
}

// supervisor keeps one account's session running. It lives on the heap, and its methods return
// before a session waits, because the stack of a waiting session is most of its memory.
type supervisor struct {
	watched
	pool    *Pool
	attempt int // tries since the last session that was stable
	unclear unclearLogins
}

// unclearLogins are the logins in a row that were refused without a reason.
type unclearLogins struct {
	count int
	since time.Time
}

// add counts one more, and reports whether to give up.
func (u *unclearLogins) add(now time.Time) (giveUp bool) {
	if u.count++; u.count == 1 {
		u.since = now
	}
	return u.count >= unclearTries && now.Sub(u.since) >= unclearTime
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

func (p *proofs) notified(now time.Time) {
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

func (p *Pool) newSupervisor(a *idlepush.Account) *supervisor {
	h := p.host(a)
	known := &proofs{host: h}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.known[a.ID]; before != nil && before.host == h {
		known = before
	}
	p.known[a.ID] = known
	return &supervisor{pool: p, watched: watched{account: a, store: p.Store, host: h, log: p.Log.With("account", a.ID), proofs: known, failures: new(failures)}}
}

// supervise keeps one account's session running until ctx ends or only a person can help.
func (p *Pool) supervise(ctx context.Context, a *idlepush.Account) {
	s := p.newSupervisor(a)
	// The status in the store is from an earlier run of the program.
	s.setState(idlepush.Status{State: idlepush.StateNew})
	for {
		lived, err := s.session(ctx)
		if ctx.Err() != nil || !s.retry(ctx, lived, err) {
			return
		}
	}
}

// session logs in, waiting for its turn at the host, and runs until the connection is over. It
// returns how long that was from the login on.
func (s *supervisor) session(ctx context.Context) (lived time.Duration, err error) {
	conn, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	defer conn.Close()
	s.pool.setConn(s.account.ID, conn)
	defer s.pool.setConn(s.account.ID, nil)
	s.log.Info("connected")
	if alert := conn.Alert(); alert != "" {
		s.log.Warn("server sent an IMAP ALERT", "status", redact(alert, s.account))
	}
	err = newSession(&s.watched, conn).run(ctx)
	return max(time.Since(began), 1), err
}

// enter opens a connection when it is the account's turn at its host.
func (s *supervisor) enter(ctx context.Context) (*wire.Conn, error) {
	leave, err := s.host.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	conn, err := s.pool.dialer().login(ctx, s.account)
	if err == nil {
		s.host.entered()
	}
	return conn, err
}

// retry waits before the next session after one that ended with err and lived so long. It reports
// whether there is to be one.
func (s *supervisor) retry(ctx context.Context, lived time.Duration, err error) bool {
	if errors.Is(err, errRenewed) {
		s.log.Info("session renewed")
		s.attempt = 0
		return true
	}
	attempt := s.attempt
	s.attempt++
	if errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) {
		// The account was edited or removed: the pool is about to end this, or has just begun it
		// from an old row.
		return sleep(ctx, firstRetryWait)
	}
	if lived >= stable {
		attempt, s.attempt = 0, 1
	}
	f := diagnose(s.account, err)
	giveUp := f.final
	if !f.unclear {
		s.unclear.count = 0
	} else if s.unclear.add(time.Now()) {
		giveUp = true
	}
	st := idlepush.Status{State: idlepush.StateRetrying, Reason: f.Told(), Proof: s.proofs.live().Confirmed}
	if giveUp {
		s.log.Error("account needs attention", "status", f.Code, "err", f.Text())
		st.State = idlepush.StateAttention
		if s.setState(st) {
			return false
		}
		// Without the state in the store the pool would start the session again at once, and log
		// in.
		f.minWait = personWait
	}
	if !f.personal && lived < stable {
		s.host.failed(lived == 0)
	}
	wait := backoff(attempt, f.minWait)
	level := slog.LevelWarn
	if _, ours := errors.AsType[*storeError](err); ours {
		level = slog.LevelError
	}
	s.log.Log(ctx, level, "session ended, will be tried again", "status", f.Code, "err", wire.Clean(redact(err.Error(), s.account)),
		"attempt", attempt+1, "wait", wait.Round(time.Second))
	st.State = idlepush.StateRetrying
	s.setState(st)
	return s.pause(ctx, wait, f)
}

// pause waits before the next try. If the host failed, the wait ends when another account gets in
// there.
func (s *supervisor) pause(ctx context.Context, wait time.Duration, f *Failure) bool {
	if f.personal || f.minWait > 0 {
		return sleep(ctx, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-s.host.recovered():
	}
	return true
}

// setState writes the state and reports whether it is in effect. It is also if the account was
// edited or removed meanwhile.
func (s *supervisor) setState(st idlepush.Status) bool {
	st.Since = time.Now()
	err := s.store.SetState(*s.account, st)
	if err == nil || errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) {
		return true
	}
	s.log.Error("state of an account cannot be written; the old one is shown until it changes again", "err", err)
	return false
}

// backoff returns the wait before the next try: a random time up to a bound that doubles with each
// attempt. With full jitter, connections that were lost together do not come back together. If
// somewhat less than minWait is longer, it returns that.
func backoff(attempt int, minWait time.Duration) time.Duration {
	wait := rand.N(min(firstRetryWait<<min(max(attempt, 0), 20), maxRetryWait))
	if minWait > 0 {
		wait = max(wait, minWait-rand.N(minWait/4))
	}
	return wait
}

package watcher

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"idlepush"
	"idlepush/clocks"
	"idlepush/registry"
	"idlepush/watcher/oauth"
	"idlepush/watcher/wire"
)

const (
	firstRetryWait = 2 * time.Second  // the longest wait after a first failure, doubled with each
	maxRetryWait   = 15 * time.Minute // and never longer

	// maxShort is how many sessions in a row may be confirmed and then end within pollInterval.
	// After that, one begins at most every pollInterval: it is as good as polling.
	maxShort = 3
)

// watched is an account and its state from one session to the next.
type watched struct {
	account  *idlepush.Account
	store    registry.Mail
	host     *host
	log      *slog.Logger
	proofs   *proofs
	asker    *asker
	failures *failures
	access   *access // nil: a password opens the account
	workers  *workers
	due      time.Time // when its access token is to be renewed
}

// supervisor keeps one account's session running. It lives on the heap, and its methods return
// before a session waits, because the stack of a waiting session is most of its memory.
type supervisor struct {
	watched
	pool     *Pool
	attempt  int // sessions in a row that were not confirmed
	short    int // sessions in a row that were confirmed and ended within pollInterval
	refusals refusals
	awake    time.Time // when the tries began: with the program, or after a sleep
	end      ended     // of the last session
}

// ended is how a session ended.
type ended struct {
	began     time.Time     // when it was its turn to connect
	lived     time.Duration // from the login on; 0: it did not log in
	confirmed bool          // it got as far as a look that the server confirmed
	err       error
}

// proofs are the times at which an account was last seen to work. They outlive its sessions.
type proofs struct {
	host *host

	mu        sync.Mutex
	confirmed time.Time
	mail      time.Time
	tour      time.Duration // as Live.Tour
	polls     bool          // it does not wait in IDLE
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

func (p *proofs) toured(again time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tour = again
}

// polled sets whether the account is polled instead of waited for in IDLE.
func (p *proofs) polled(polls bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.polls = polls
}

func (p *proofs) live() Live {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Live{Confirmed: p.confirmed, LastMail: p.mail, Tour: p.tour}
	l.Interval, l.Why = p.host.interval()
	if p.polls {
		l.Interval, l.Why = min(pollInterval, l.Interval), idlepush.Reason{Code: "interval_polled"}
	}
	return l
}

func (p *Pool) newSupervisor(a *idlepush.Account) *supervisor {
	h := p.host(a)
	known, opened := &proofs{host: h}, p.access(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.known[a.ID]; before != nil && before.host == h {
		known = before
	}
	p.known[a.ID], p.askers[a.ID] = known, newAsker(a.OAuth)
	return &supervisor{pool: p, watched: watched{account: a, store: p.Store, host: h, log: p.Log.With("account", a.ID), proofs: known, asker: p.askers[a.ID], failures: new(failures), access: opened, workers: p.workers},
		refusals: refusalsOf(a), awake: h.clock.read().Wall}
}

// supervise keeps one account's session running until ctx ends or only a person can help.
func (p *Pool) supervise(ctx context.Context, a *idlepush.Account) {
	var s *supervisor
	p.workers.do(func() { s = p.newSupervisor(a) })
	for more := s.begin(ctx); more; {
		s.session(ctx)
		more = ctx.Err() == nil && s.retry(ctx)
	}
}

// begin waits until the first session may begin, and reports whether there is to be one.
func (s *supervisor) begin(ctx context.Context) bool {
	if s.refusals.count == 0 {
		// The status in the store is from an earlier run of the program.
		s.workers.do(func() { s.setState(idlepush.Status{State: idlepush.StateNew}) })
		return true
	}
	return s.access != nil || s.awaitLogin(ctx)
}

// session logs in, waiting for its turn at the host, and runs until the connection is over.
func (s *supervisor) session(ctx context.Context) {
	conn, began, err := s.enter(ctx)
	if s.end = (ended{began: began, err: err}); err != nil {
		return
	}
	var work *session
	s.workers.do(func() { work = s.open(conn) })
	s.close(work, work.run(ctx))
}

// open begins a session on a connection that is logged in.
func (s *supervisor) open(conn *wire.Conn) *session {
	s.account.Status.LoggedIn = time.Now()
	s.pool.storm.begin(s.account.Status.LoggedIn)
	s.asker.set(conn)
	s.host.peers.add(conn)
	s.log.Info("connected")
	if alert := conn.Alert(); alert != "" {
		s.log.Warn("server sent an IMAP ALERT", "status", redact(alert, s.account))
	}
	return newSession(&s.watched, conn)
}

// close ends a session because of err.
func (s *supervisor) close(work *session, err error) {
	s.end.lived, s.end.confirmed, s.end.err = max(time.Since(s.account.Status.LoggedIn), 1), work.confirmed, err
	s.host.peers.remove(work.conn)
	s.asker.set(nil)
	work.conn.Close()
}

// enter opens a connection. It began when it was the account's turn at its host.
func (s *supervisor) enter(ctx context.Context) (conn *wire.Conn, began time.Time, err error) {
	if s.access == nil {
		return s.connect(ctx)
	}
	s.due, err = s.access.open(ctx, s.account, func() (err error) {
		conn, began, err = s.connect(ctx)
		return err
	})
	return conn, began, err
}

// connect opens a connection when it is the account's turn at its host, which is when it began.
func (s *supervisor) connect(ctx context.Context) (conn *wire.Conn, began time.Time, err error) {
	leave, err := s.host.enter(ctx)
	if err != nil {
		return nil, time.Now(), err
	}
	defer leave()
	leaveStorm, err := s.pool.storm.enter(ctx)
	if err != nil {
		return nil, time.Now(), err
	}
	defer leaveStorm()
	began = time.Now()
	s.workers.do(func() { conn, err = s.pool.dialer().login(ctx, s.account) })
	s.host.tried(began, err)
	return conn, began, err
}

// retry waits before the next session after one that has ended. It reports whether there is to be
// one.
func (s *supervisor) retry(ctx context.Context) bool {
	end, err := s.end, s.end.err
	if end.confirmed {
		s.attempt, s.refusals = 0, refusals{}
	}
	if errors.Is(err, errRenewed) {
		s.log.Info("session renewed")
		return true
	}
	if errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) {
		// The account was edited or removed: the pool is about to end this, or has just begun it
		// from an old row. It will have looked at the accounts by then.
		return sleep(ctx, cmp.Or(s.pool.rest, lookAgain))
	}
	f := diagnose(s.account, err)
	if s.pool.Ended != nil {
		s.pool.Ended(s.account.Host, f.Code)
	}
	attention := idlepush.Status{State: idlepush.StateAttention, Reason: f.Told(), LoggedIn: s.account.Status.LoggedIn}
	refused := !attention.Ended() && (f.final || s.refusals.count > 0 && limitsLogin(f))
	if f.final && !refused {
		if s.giveUp(f, attention) {
			return false
		}
		// Without the state in the store the pool would start the session again at once, and log
		// in.
		f.minWait = personWait
	}
	if _, noToken := errors.AsType[*oauth.Error](err); !noToken && !end.confirmed && (refused || !f.personal) {
		s.host.fail(end.began, end.lived == 0 && !refused)
	}
	wait := s.wait(end, f, refused)
	level := slog.LevelWarn
	if _, ours := errors.AsType[*storeError](err); ours {
		level = slog.LevelError
	}
	s.log.Log(ctx, level, "session ended, will be tried again", "status", f.Code, "err", wire.Clean(redact(err.Error(), s.account)),
		"attempt", s.attempt, "wait", wait.Round(time.Second))
	if refused || end.lived == 0 {
		s.tell(refused)
	}
	s.setState(s.refusals.status(f.Told()))
	if refused {
		return s.awaitLogin(ctx)
	}
	return s.pause(ctx, wait, f)
}

// giveUp writes that only a person can help, and reports whether that is in effect.
func (s *supervisor) giveUp(f *Failure, attention idlepush.Status) bool {
	s.log.Error("account needs attention", "status", f.Code, "err", f.Text())
	return s.setState(attention)
}

// refuse counts the refusal of a password that has worked before, and returns how long to wait.
func (s *supervisor) refuse(f *Failure) time.Duration {
	now := s.wall()
	s.attempt++
	s.refusals.add(now)
	if f.maxWait > 0 {
		s.refusals.again = earlier(s.refusals.again, now.Round(0).Add(f.maxWait))
	}
	if f.final {
		f.Reason = afterSuccess(f.Reason)
		s.refusals.reason, s.refusals.soon = f.Told(), f.tellFrom > 0 && s.refusals.count >= f.tellFrom
	}
	return s.refusals.wait(now)
}

// wait counts a session that has ended, and returns how long to wait before the next. A login that
// works ends the refusals.
func (s *supervisor) wait(end ended, f *Failure, refused bool) time.Duration {
	if refused {
		return s.refuse(f)
	}
	s.refusals.again = time.Time{}
	if end.lived > 0 {
		s.refusals = refusals{}
	}
	wait := s.backoff(end, f.minWait)
	if f.maxWait > 0 {
		wait = min(wait, early(f.maxWait))
	}
	return wait
}

// tell sets the state that a person must act, if the server has refused the login for long without
// accepting one since, or if the refusal is one to tell soon. Other trouble soon after the start or
// a sleep does not show that.
func (s *supervisor) tell(refused bool) {
	if !refused && s.wall().Sub(s.awake) < tellAfter {
		return
	}
	if s.refusals.tell(s.wall()) {
		said := s.refusals.reason
		s.log.Error("account needs attention, and is still tried", "status", said.Code, "err", sentences.Sentence(said.Code, said.Params))
	}
}

// awaitLogin waits until a refused login is to be tried again, or has worked elsewhere. With OAuth,
// somebody who asks ends the wait: nobody is locked out for asking a provider.
func (s *supervisor) awaitLogin(ctx context.Context) bool {
	began := s.host.clock.read()
	for wait := s.refusals.wait(s.wall()); wait > 0; wait = s.refusals.wait(s.wall()) {
		if !s.asker.sleep(ctx, wait) {
			return false
		}
		if s.access != nil || s.asker.worked() {
			break
		}
	}
	s.resume(began)
	return true
}

// resume begins the backoff anew if the machine slept since: now it is the network that may take a
// while.
func (s *supervisor) resume(since clocks.Reading) {
	if now := s.host.clock.read(); clocks.Jumped(since, now) {
		s.attempt, s.awake = 0, now.Wall
	}
}

func (s *supervisor) wall() time.Time { return s.host.clock.read().Wall }

// backoff counts a session that has ended, and returns how long to wait before the next.
func (s *supervisor) backoff(end ended, minWait time.Duration) time.Duration {
	if !end.confirmed {
		s.attempt++
		return backoff(s.attempt-1, minWait)
	}
	if s.short++; end.lived >= pollInterval {
		s.short = 0
	}
	if s.short > maxShort {
		minWait = max(minWait, pollInterval-end.lived)
	}
	return backoff(0, minWait)
}

// pause waits before the next try. If the host failed, the wait ends when another account gets in
// there, or when somebody asks. A wait that the failure demands ends early only if the login has
// worked elsewhere, or the machine slept through the rest of it.
func (s *supervisor) pause(ctx context.Context, wait time.Duration, f *Failure) bool {
	began, demanded, recovered := s.host.clock.read(), f.personal || f.minWait > 0, s.host.recovered()
	if demanded {
		recovered = nil
	}
	defer s.resume(began)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-recovered:
			return true
		case <-s.asker.again:
		}
		if s.asker.worked() || !demanded {
			return true
		}
		timer.Reset(wait - clocks.Elapsed(began, s.host.clock.read()))
	}
}

// setState writes the state and reports whether it is in effect. It is also if the account was
// edited or removed meanwhile.
func (s *supervisor) setState(st idlepush.Status) bool {
	st.Since, st.Proof, st.LoggedIn = time.Now(), s.proofs.live().Confirmed, s.account.Status.LoggedIn
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
		wait = max(wait, minWait-rand.N(minWait/4+1))
	}
	return wait
}

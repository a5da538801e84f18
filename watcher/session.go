package watcher

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/watcher/oauth"
	"idlepush/watcher/wire"
)

const (
	// timeout is how long one step may take: the server's answer to a command, or a handshake.
	timeout = 30 * time.Second

	// touchAfter is how old Cursor.Seen may become in a folder without news.
	touchAfter = 24 * time.Hour

	// openAnew is after which time a folder is opened anew where IDLE reports its mail.
	openAnew = time.Hour

	// quickTour is how often the other folders are looked at if their STATUS takes up to
	// quickStatus, and slowTour how often otherwise, or if the server reports their changes.
	quickTour   = 30 * time.Second
	slowTour    = 2 * time.Minute
	quickStatus = 500 * time.Millisecond
)

// session is one connection's work for one account.
type session struct {
	*watched
	conn    *wire.Conn
	reader  *reader
	fetcher *fetcher
	folders folders
	waiter  *waiter
	ahead   *ahead // fetched with the end of the last IDLE; nil: nothing was

	renew   time.Time // when to make way for another session, before the provider cuts it; or zero
	denied  int       // times in a row that the provider gave no access token for that
	counted int       // unread messages of the account, as last written; -1: not written yet

	tours
	confirmed bool           // it got as far as a look that the server confirmed
	reported  idlepush.State // as last written; empty: with a reason, or not written yet
	unshown   int            // messages that the last look found only by opening the folder anew
}

// tours are the looks at the other folders.
type tours struct {
	tour       time.Time     // when all of them are to be looked at again
	turn       int           // the folder that the next tour begins with
	subscribed bool          // NOTIFY was sent, if the server knows it
	live       bool          // and accepted: the server reports their changes
	unreported int           // looks in a row that found messages it had not reported
	statusTook time.Duration // the last STATUS of them
}

// maxWithoutContent is how many messages in a row may be notified without content before the
// account's status says so.
const maxWithoutContent = 2

// errRenewed ends a session that makes way for another of the same account.
var errRenewed = errors.New("the session is renewed before its provider cuts it")

func newSession(w *watched, conn *wire.Conn) *session {
	r := &reader{conn: conn, failures: w.failures}
	s := &session{watched: w, conn: conn, reader: r, fetcher: &fetcher{watched: w, reader: r},
		folders: newFolders(w.account.Folders), waiter: &waiter{watched: w, conn: conn, flagDelay: minFlagDelay, read: w.host.clock.read()}, counted: -1}
	s.waiter.then = s.fetchAhead
	if life := w.host.provider.life; life > 0 {
		s.renew = time.Now().Add(early(life))
	}
	if !w.due.IsZero() {
		// A server may cut a session when its access token expires.
		s.renew = sooner(s.renew, time.Now().Add(max(time.Until(w.due), minTokenSession)))
	}
	return s
}

// run catches up and waits until the connection is over or ctx ends, and returns why. A session
// spends its life below it: the frames from here to Conn.Idle are kept small.
func (s *session) run(ctx context.Context) error {
	// The program may have ended in the middle of a look.
	var err error
	s.workers.do(func() { err = s.endLooks() })
	for err == nil {
		if s.workers.do(func() { err = s.work(ctx) }); err == nil {
			err = s.wait(ctx)
		}
	}
	s.leave()
	return err
}

// leave hands over what the session has begun.
func (s *session) leave() {
	if err := s.endLooks(); err != nil {
		s.log.Error("cannot hand over old mail; the next session tries again", "err", err)
	}
}

// work does all there is to do before the next wait.
func (s *session) work(ctx context.Context) error {
	if s.waiter.slept() {
		s.tour = time.Time{}
	}
	s.waiter.read = s.host.clock.read()
	found, err := s.catchUp()
	if err == nil && s.lend() {
		found, err = s.catchUp()
	}
	if err != nil {
		return err
	}
	if err := s.report(); err != nil {
		return err
	}
	s.confirmed = true
	if err := s.makeWay(ctx); err != nil {
		return err
	}
	if !sleep(ctx, s.waiter.pause(found)) {
		return ctx.Err()
	}
	return nil
}

// lend lends the connection to those who wait for it, and reports whether it did. They may have
// opened any folder: the next look opens its own anew, and finds the mail since.
func (s *session) lend() bool {
	loans := s.asker.takeLoans()
	for _, use := range loans {
		use(s.conn)
	}
	if len(loans) > 0 {
		s.reader.close()
		s.waiter.last = idleResult{} // whose news is not to be judged by what the next look finds
	}
	return len(loans) > 0
}

// makeWay returns errRenewed when another session is to take over. With OAuth it first gets the
// access token for that one: while the provider gives none, this session goes on.
func (s *session) makeWay(ctx context.Context) error {
	if s.renew.IsZero() || time.Now().Before(s.renew) {
		return nil
	}
	if s.access == nil {
		return errRenewed
	}
	_, _, err := s.access.get(ctx, s.account, "")
	failed, noToken := errors.AsType[*oauth.Error](err)
	switch {
	case noToken && failed.Remedy == oauth.Retry:
		s.denied++
		wait := backoff(s.denied, max(noTokenFailure(failed).minWait, time.Minute))
		s.renew = time.Now().Add(wait)
		s.log.Warn("no new access token; the session goes on, and asks again", "status", failed.Code, "wait", wait.Round(time.Second))
		return nil
	case err != nil:
		return err
	}
	return errRenewed
}

// endLooks has push decide on the old mail of looks that nobody goes on with.
func (w *watched) endLooks() error {
	if err := w.store.EndLooks(w.account.ID); err != nil {
		return &storeError{err}
	}
	return nil
}

// catchUp looks at the folder that the session waits in, and at the others if that is due or the
// server reports them. Then it retries missing content and looks for messages read elsewhere. The
// first folder is looked at before the others, so that none of them can delay its mail. It is
// looked at again after them, so that it is open while the session waits.
func (s *session) catchUp() (found int, err error) {
	for _, f := range s.folders {
		f.cursorRead = false
	}
	if err := s.recall(); err != nil {
		return 0, err
	}
	news, unread := s.conn.News(), s.folders.home().unread
	early, err := s.recordAhead()
	if err != nil {
		return early, err
	}
	home, found, err := s.lookHome()
	if found += early; err != nil {
		return found, err
	}
	s.judgeIdle(found)
	n, err := s.others(home, false)
	if found += n; err != nil {
		return found, err
	}
	n, err = s.fillIn(home)
	if found += n; err != nil {
		return found, err
	}
	// The server reports no change of a folder that was not open.
	if s.reader.reopened || news.Flags+news.Expunge > 0 || home.unread < unread {
		n, err = s.clearHome(home)
		if found += n; err != nil {
			return found, err
		}
		s.reader.reopened = false
	}
	s.proofs.confirm(time.Now())
	return found, s.count()
}

// lookHome looks at the folder that will be waited in: the first of those that can be opened.
func (s *session) lookHome() (home *folder, found int, err error) {
	for {
		home, s.fetcher.late, s.unshown = s.folders.home(), 0, 0
		if home.early.last() {
			s.reader.close()
		}
		found, err = s.lookOpen(home)
		refused, ok := errors.AsType[*folderError](err)
		if !ok || s.conn.Cause() != nil || len(s.folders.missing())+1 >= len(s.folders) {
			return home, found, err
		}
		if said, ok := errors.AsType[*imap.Error](refused); ok && temporary(said) {
			return home, found, err
		}
		s.log.Warn("folder cannot be opened; waiting in another", "folder", home.name, "err", wire.Clean(refused.Error()))
		home.missing = true
	}
}

// lookOpen looks at the folder that is waited in. If its STATUS has more messages than the server
// shows in it, it is opened anew: some servers show new messages only then.
func (s *session) lookOpen(home *folder) (found int, err error) {
	found, err = s.look(home)
	if err != nil || found > 0 || home.told.messages <= s.conn.Messages() || home.told.messages == home.told.untrue {
		return found, err
	}
	s.reader.close()
	if found, err = s.look(home); found == 0 {
		home.told.untrue = home.told.messages
	}
	s.unshown = found
	return found, err
}

// judgeIdle learns whether IDLE reports new mail, from what a look at the folder that was waited in
// has found. Where IDLE has reported before, it may still report young mail that only STATUS shows.
// News that comes only with the answer to DONE shows nothing.
func (s *session) judgeIdle(found int) {
	last := s.waiter.last
	switch {
	case last.idled && !last.news.Mail() && (s.unshown > 0 && !s.host.reports() || last.long && s.fetcher.late > 0):
		s.host.missedNews()
	case last.idled && last.news.Unasked && found > 0:
		s.host.reportedNews()
	}
}

func (s *session) report() error {
	now := time.Now()
	st := idlepush.Status{State: idlepush.StateWatching, Since: now, Proof: now, LoggedIn: s.account.Status.LoggedIn}
	polls := !s.waiter.idles() || s.waiter.refused || s.failures.idle.useless()
	if s.proofs.polled(polls); polls {
		st.State = idlepush.StatePolling
	}
	missing := s.folders.missing()
	switch {
	case s.failures.withoutContent >= maxWithoutContent:
		st.Code = "mail_unreadable"
	case len(missing) > 0:
		st.Reason = idlepush.Reason{Code: "folder_unavailable"}.With(codes.Case, oneOfSeveral).With("folder", missing[0])
	case s.failures.idle.useless():
		st.Reason = idlepush.Reason{Code: "idle_unreliable"}.With(codes.Case, idleBreaks)
	case s.host.distrusted():
		st.State, st.Code = idlepush.StatePolling, "idle_unreliable"
	}
	// The store would find nothing to write, at the cost of reading the account.
	if s.reported == st.State && st.Code == "" {
		return nil
	}
	if err := s.store.SetState(*s.account, st); err != nil {
		return &storeError{err}
	}
	if s.reported = ""; st.Code == "" {
		s.reported = st.State
	}
	return nil
}

// wait returns when there may be something new: the server says so, the refresh or the tour is due,
// or it is time to poll.
func (s *session) wait(ctx context.Context) error {
	if !s.planIdle() {
		return s.poll(ctx)
	}
	return s.waited(ctx, s.waiter.idle())
}

// planIdle decides how long to wait in IDLE, and reports whether there is use in it.
func (s *session) planIdle() bool {
	if !s.waiter.idles() {
		return false
	}
	s.waiter.plan(s.folders.again(), s.tour, s.renew)
	return true
}

// waited takes in how an IDLE ended. If it was refused, it polls.
func (s *session) waited(ctx context.Context, err error) error {
	if s.ahead != nil && s.conn.Cause() != nil {
		// Perhaps the connection ended over it. The next session looks for the mail by itself.
		s.failures.ahead.abandon()
	}
	if s.asker.asked() || s.waiter.last.expired && s.stale() {
		s.reader.close()
	}
	if !s.waiter.refused {
		return err
	}
	s.log.Info("IDLE refused; polling this time", "err", err)
	if err := s.report(); err != nil {
		return err
	}
	return s.poll(ctx)
}

// stale reports whether a folder in which IDLE has reported nothing is to be opened anew: some
// servers show new messages only then. If IDLE has reported mail, and never missed any since, a
// look in the open folder is enough.
func (s *session) stale() bool {
	age := time.Since(s.reader.opened)
	return s.host.distrusted() || age >= s.waiter.longest*9/10 && (!s.host.reports() || age >= openAnew)
}

// poll waits without IDLE.
func (s *session) poll(ctx context.Context) error {
	if s.waiter.skipIdle() {
		return nil
	}
	s.reader.close()
	if !s.asker.sleep(ctx, s.waiter.pollWait(s.folders.again(), s.tour)) {
		return ctx.Err()
	}
	return nil
}

// count writes how many messages are unread, if that is not the number last written.
func (s *session) count() error {
	unread := s.folders.unread()
	if unread == nil || *unread == s.counted {
		return nil
	}
	if err := s.store.SetUnread(s.account.ID, *unread); err != nil {
		return &storeError{err}
	}
	s.counted = *unread
	return nil
}

// lost reports whether the connection was lost, and not ended by anybody here.
func lost(err error) bool {
	_, bye := errors.AsType[*wire.ByeError](err)
	_, silent := errors.AsType[*wire.TimeoutError](err)
	_, broken := errors.AsType[*net.OpError](err)
	return bye || silent || broken || errors.Is(err, io.ErrUnexpectedEOF)
}

func sleep(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// storeError means that the store failed, not the mail server.
type storeError struct{ Err error }

func (e *storeError) Error() string { return e.Err.Error() }
func (e *storeError) Unwrap() error { return e.Err }

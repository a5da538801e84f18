package watcher

import (
	"cmp"
	"context"
	"errors"
	"time"

	"idlepush"
	"idlepush/ring"
	"idlepush/watcher/wire"
)

const (
	// recentTime is how long Recent takes at most, and lentTime how long it keeps a session from
	// looking for mail.
	recentTime = 30 * time.Second
	lentTime   = 10 * time.Second
)

var (
	// errNoRoom: a host is not to be bothered with a connection that can be spared.
	errNoRoom = errors.New("the host has no room for another connection")

	// errNotLent: the session ended before it could lend its connection.
	errNotLent = errors.New("the session has ended")
)

// Recent returns the newest mails of the last 7 days in the watched folders of an account of the
// store, at most 200, oldest first. Each has its facts, and why it would notify nobody. It goes by
// how a mail came: \Seen and \Deleted that were set later do not count. Of copies in several
// folders one notifies. What the store knows of a mail is true, also when it was found.
//
// It changes nothing in the mailbox, and stores nothing. It opens a connection of its own. If the
// host has no room for one, or refuses it, the session that runs lends its own between two waits:
// then it avoids commands that might end the session, and may have to guess whether a mail has an
// attachment.
// It takes at most 30 s; an error is a *Failure. Recent may be called from any goroutine.
func (p *Pool) Recent(ctx context.Context, a idlepush.Account) (mails []ring.Mail, err error) {
	if a.Status.Ended() {
		return nil, &Failure{Reason: a.Status.Reason} // it would only be refused once more
	}
	ctx, cancel := context.WithTimeout(ctx, recentTime)
	defer cancel()
	w := &watched{account: &a, store: p.Store, log: p.Log.With("account", a.ID), failures: new(failures), access: p.access(&a)}
	p.mu.Lock()
	lender, h := p.askers[a.ID], p.hosts[hostOf(&a)]
	p.mu.Unlock()
	lends := lender != nil && lender.connection() != nil
	var conn *wire.Conn
	if err = errNoRoom; !lends || h == nil || h.hasRoom() {
		conn, err = p.connectBeside(ctx, w, h)
	}
	switch {
	case err == nil:
		defer conn.Close()
		mails, err = w.recent(ctx, conn, false)
	case lends && ctx.Err() == nil:
		mails, err = w.recentLent(ctx, lender)
	}
	if err != nil {
		return nil, diagnoseCheck(&a, cmp.Or(ctx.Err(), err))
	}
	return mails, nil
}

// connectBeside opens another connection for an account, at its turn at the host; nil: no account
// there is watched.
func (p *Pool) connectBeside(ctx context.Context, w *watched, h *host) (conn *wire.Conn, err error) {
	connect := func() error {
		if h != nil {
			leave, err := h.enter(ctx)
			if err != nil {
				return err
			}
			defer leave()
		}
		conn, err = p.dialer().login(ctx, w.account)
		return err
	}
	if w.access == nil {
		return conn, connect()
	}
	_, err = w.access.open(ctx, w.account, connect)
	return conn, err
}

// recentLent is recent over the connection of the session that runs.
func (w *watched) recentLent(ctx context.Context, lender *asker) ([]ring.Mail, error) {
	ctx, cancel := context.WithTimeout(ctx, lentTime)
	defer cancel()
	type found struct {
		mails []ring.Mail
		err   error
	}
	done := make(chan found, 1)
	lent := lender.lend(func(conn *wire.Conn) {
		got := found{err: errNotLent}
		if conn != nil {
			got.mails, got.err = w.recent(ctx, conn, true)
		}
		done <- got
	})
	if !lent {
		return nil, errNotLent
	}
	select {
	case got := <-done:
		return got.mails, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

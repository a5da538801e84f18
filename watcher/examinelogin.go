package watcher

import (
	"context"
	"time"

	"idlepush"
	"idlepush/watcher/wire"
)

// token returns an access token for the account, other than the refused one, or "".
func (x *examination) token(ctx context.Context, refused idlepush.Secret) idlepush.Secret {
	began := time.Now()
	token, _, err := x.access.get(ctx, x.account, refused)
	if err != nil {
		x.failed(err, time.Since(began))
		return ""
	}
	x.found(idlepush.VerdictOK, "examined_token", time.Since(began))
	return token
}

// login logs in as a session does, and reports whether that worked: if the server refuses the
// access token, it does so once more with a new one, by another connection. It returns the
// connection that is open then.
func (x *examination) login(ctx context.Context, conn *wire.Conn) (_ *wire.Conn, in bool) {
	began := time.Now()
	if x.account.OAuth != "" {
		if err := x.mayShowToken(x.account); err != nil {
			x.failed(err, 0)
			return conn, false
		}
	}
	err := x.authenticate(conn, x.account)
	if err != nil {
		err = &loginError{err, conn.Alert()}
	}
	if err != nil && x.access != nil && diagnose(x.account, err).refusesToken() {
		x.found(idlepush.VerdictLook, "examined_token_refused", time.Since(began))
		if x.account.Password = x.token(ctx, x.account.Password); x.account.Password == "" {
			return conn, false
		}
		began = time.Now()
		var another *wire.Conn
		if another, err = x.Dialer.login(ctx, x.account); err == nil {
			conn.Close()
			conn = another
		}
	}
	if err != nil {
		x.failed(err, time.Since(began))
		return conn, false
	}
	x.found(idlepush.VerdictOK, "examined_login", time.Since(began))
	return conn, true
}

package registry

import (
	"crypto/rand"
	"errors"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Token is a bearer token or a session. Only the SHA-256 of its secret is stored: a secret has at
// least 128 random bits, so a plain hash is enough.
type Token struct {
	ID      string
	User    string // user id
	By      string // id of the session, token or passkey by which it was made; empty: none
	Name    string // what it is for; of a session, which browser has it
	Scope   idlepush.Scope
	Created time.Time
	Expires time.Time // zero: never

	Session bool      // it is for the page's cookie
	Proved  time.Time // when the person last gave the password or a passkey for it; zero: never
	Stay    bool      // the person wants to stay signed in there
	Used    time.Time // about when it was last used; zero: not yet
}

// tokenPrefix shows what a token is to somebody who finds it.
const tokenPrefix = "idlepush_"

// newToken returns a token with 128 random bits.
func newToken() string { return tokenPrefix + rand.Text() }

func tokenOf(row tokenRow) Token {
	return Token{ID: row.ID, User: row.User, By: row.By, Name: row.Name, Scope: row.Scope, Created: row.Created, Expires: row.Expires,
		Session: row.Session, Proved: row.Proved, Stay: row.Stay, Used: row.Used}
}

// Authenticate returns the user of a token or session, and the token. It returns ErrDenied if the
// token is unknown or has ended. It writes only if it was not used for a while.
func (s Logins) Authenticate(token string, now time.Time) (idlepush.User, Token, error) {
	var u userRow
	var t tokenRow
	err := s.db.View(func(tx *table.Tx) (err error) {
		t, u, err = liveToken(tx, digestOf(token), now)
		return err
	})
	// A use that is long ago, or from the future, before the clock was set back.
	if err == nil && now.Sub(t.Used).Abs() >= usedStep {
		// A disk that is full must lock nobody out.
		if use := s.markUsed(digestOf(token), now); errors.Is(use, ErrDenied) {
			err = use
		} else if use == nil {
			t.Used = now
		}
	}
	if err != nil {
		return idlepush.User{}, Token{}, err
	}
	return u.user(id(t.User)), tokenOf(t), nil
}

// liveToken returns the row of a token that has not ended and of its user, or ErrDenied.
func liveToken(tx *table.Tx, k digest, now time.Time) (tokenRow, userRow, error) {
	t, found, err := tokens.Get(tx, k)
	if err == nil && !found {
		err = ErrDenied
	}
	if err != nil {
		return t, userRow{}, err
	}
	u, found, err := users.Get(tx, id(t.User))
	if err == nil && (!found || t.hasEnded(u, now)) {
		err = ErrDenied
	}
	return t, u, err
}

// AddToken creates a bearer token for the user and returns its secret, which cannot be read again.
// by is the session or token by which it is made, or empty. AddToken returns ErrNotFound if there
// is no such user, ErrDenied if by has ended, and a FullError if the user has as many as one may
// have.
func (s Logins) AddToken(user, name string, scope idlepush.Scope, by string, now time.Time) (Token, string, error) {
	secret := newToken()
	row := tokenRow{ID: newID(), User: user, By: by, Name: name, Scope: scope, Created: now}
	err := s.db.Update(func(tx *table.Tx) error { return s.addToken(tx, secret, &row, now) })
	return tokenOf(row), secret, err
}

// AddTokenByAdmin is AddToken for a token of device scope that the admin token makes. It tells the
// user's devices, or adds a notice for the user.
func (s Logins) AddTokenByAdmin(user, name string, now time.Time) (Token, string, error) {
	secret := newToken()
	row := tokenRow{ID: newID(), User: user, Name: name, Scope: idlepush.ScopeDevice, Created: now}
	err := s.updateQueues(now, func(set *queueSet) error {
		if err := s.addToken(set.tx, secret, &row, now); err != nil {
			return err
		}
		return tellUser(set, id(user), idlepush.Reason{Code: codeTokenByAdmin}.With("token", name), row.ID)
	})
	return tokenOf(row), secret, err
}

func (c *core) addToken(tx *table.Tx, secret string, row *tokenRow, now time.Time) error {
	u, _, err := checkMaker(tx, row.User, row.By, now)
	if err != nil {
		return err
	}
	if err := checkBound(tx, c.bounds.tokens, row.User, countTokens); err != nil {
		return err
	}
	row.Era = u.Era
	return tokens.Put(tx, digestOf(secret), *row)
}

// Tokens returns the user's bearer tokens, without sessions, in no order.
func (s Logins) Tokens(user string) (list []Token, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		rows, err := tokensOf.Rows(tx, table.Under(id(user)), table.NoLimit)
		for _, t := range rows {
			if !t.Value.Session {
				list = append(list, tokenOf(t.Value))
			}
		}
		return err
	})
	return list, err
}

// RemoveToken ends the user's bearer token of that id and what it has made: sessions, tokens,
// invites and devices. It spares keep, the session or token that asks, which may be empty. It
// returns ErrNotFound if the user has no such token.
func (s Logins) RemoveToken(user, token, keep string) error {
	return s.removeToken(user, token, keep, false)
}

// RemoveSession is RemoveToken for a session.
func (s Logins) RemoveSession(user, session, keep string) error {
	return s.removeToken(user, session, keep, true)
}

// removeToken takes several transactions for what does not fit one.
func (c *core) removeToken(user, token, keep string, session bool) error {
	return c.inSteps(func(tx *table.Tx) (done bool, err error) {
		t, err := tokenOfUser(tx, id(user), token)
		if err == nil && t.Value.Session != session {
			err = ErrNotFound
		}
		if err != nil {
			return false, err
		}
		return endToken(tx, t, keep)
	})
}

// LogOut ends the user's session of that id, and the invites and devices that were made by it: a
// browser that is logged out gets no notifications. Sessions, tokens and passkeys that were made by
// it live on: a phone must not fall silent because a laptop is logged out. They count as made by
// what made the session. LogOut returns ErrNotFound if the user has no such session.
func (s Logins) LogOut(user, session string) error {
	return s.inSteps(func(tx *table.Tx) (done bool, err error) {
		t, err := tokenOfUser(tx, id(user), session)
		if err == nil && !t.Value.Session {
			err = ErrNotFound
		}
		if err != nil {
			return false, err
		}
		if done, err := removeMade(tx, t.Value); err != nil || !done {
			return false, err
		}
		if err := handDownPasskeys(tx, t.Value); err != nil {
			return false, err
		}
		if done, err := handDown(tx, tx.Left, t.Value, t.Value.By); err != nil || !done {
			return false, err
		}
		return true, tokens.Delete(tx, t.Key)
	})
}

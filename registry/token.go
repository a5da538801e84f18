package registry

import (
	"crypto/rand"
	"errors"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Scope is what a token permits.
type Scope string

// ScopeFull permits all that the user may do. ScopeDevice permits own devices, own notifications
// and account names.
const (
	ScopeFull   Scope = "full"
	ScopeDevice Scope = "device"
)

// Token is a bearer token or a session. Only the SHA-256 of its secret is stored: a secret has at
// least 128 random bits, so a plain hash is enough.
type Token struct {
	ID      string
	User    string // user id
	Name    string // what it is for; of a session, which browser has it
	Scope   Scope
	Created time.Time
	Expires time.Time // zero: never

	Session bool      // it is for the page's cookie
	Stay    bool      // the person wants to stay signed in there
	Used    time.Time // of a session: about when it was last used
}

// tokenPrefix shows what a token is to somebody who finds it.
const tokenPrefix = "idlepush_"

// newToken returns a token with 128 random bits.
func newToken() string { return tokenPrefix + rand.Text() }

func tokenOf(row tokenRow) Token {
	return Token{ID: row.ID, User: row.User, Name: row.Name, Scope: row.Scope, Created: row.Created, Expires: row.Expires,
		Session: row.Session, Stay: row.Stay, Used: row.Used}
}

// Authenticate returns the user of a token or session, and the token. It returns ErrDenied if the
// token is unknown or has ended. It writes only if a session was not used for a while.
func (s Users) Authenticate(token string, now time.Time) (idlepush.User, Token, error) {
	var u userRow
	var t tokenRow
	err := s.db.View(func(tx *table.Tx) (err error) {
		t, u, err = liveToken(tx, digestOf(token), now)
		return err
	})
	// A use that is long ago, or from the future, before the clock was set back.
	if err == nil && t.Session && now.Sub(t.Used).Abs() >= usedStep {
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
// It returns ErrNotFound if there is no such user, ErrDenied if session is not empty and has ended,
// and a FullError if the user has as many as one may have.
func (s Users) AddToken(user, name string, scope Scope, session string, now time.Time) (Token, string, error) {
	secret := newToken()
	row := tokenRow{ID: newID(), User: user, Name: name, Scope: scope, Created: now}
	err := s.db.Update(func(tx *table.Tx) error {
		if _, err := checkCreator(tx, user, session, now); err != nil {
			return err
		}
		if err := checkBound(tx, s.bounds.tokens, user, countTokens); err != nil {
			return err
		}
		return tokens.Put(tx, digestOf(secret), row)
	})
	return tokenOf(row), secret, err
}

// Tokens returns the user's bearer tokens, without sessions, in no order.
func (s Users) Tokens(user string) (list []Token, err error) {
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

// RemoveToken removes the user's bearer token of that id. It returns ErrNotFound if the user has no
// such token.
func (s Users) RemoveToken(user, token string) error {
	return s.db.Update(func(tx *table.Tx) error {
		t, found, err := tokensID.Row(tx, id(token))
		if err == nil && (!found || t.Value.User != user || t.Value.Session) {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return tokens.Delete(tx, t.Key)
	})
}

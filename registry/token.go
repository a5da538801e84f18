package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Scope is what a token may do.
type Scope string

// FullScope is all that the user may do; DeviceScope is own devices, own notifications and account names.
const (
	FullScope   Scope = "full"
	DeviceScope Scope = "device"
)

// Token is a bearer token or a session. Only its SHA-256 is stored: it is 128 random bits or more, which a plain hash keeps.
type Token struct {
	ID      string
	User    string // user id
	Name    string // what it is for; of a session, which browser has it
	Scope   Scope
	Created time.Time
	Expires time.Time // zero: never

	Session bool      // it is for the page's cookie
	Stay    bool      `json:",omitempty"` // the person wants to stay signed in there
	Used    time.Time `json:",omitzero"`  // of a session: about when it was last used
}

// newToken makes a token of 128 random bits; the prefix makes it known for what it is where it turns up.
func newToken() string { return "idlepush_" + rand.Text() }

func tokenHash(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// Authenticate gives the user of a token or session and the token's row. ErrDenied: there is none, or it has expired. It writes only when a session
// was not used for a while.
func (s *Store) Authenticate(token string, now time.Time) (User, Token, error) {
	var u userRow
	var t Token
	hash := tokenHash(token)
	err := s.view(func(tx *bolt.Tx) error {
		if found, err := get(tx.Bucket(tokens), hash, &t); err != nil {
			return err
		} else if !found || t.ended(now) {
			return ErrDenied
		}
		found, err := get(tx.Bucket(users), []byte(t.User), &u)
		if err == nil && !found {
			err = ErrDenied
		}
		return err
	})
	if err == nil && t.Session && now.Sub(t.Used) >= usedStep {
		// A disk that is full must lock nobody out.
		if use := s.used(hash, &t, now); errors.Is(use, ErrDenied) {
			err = use
		}
	}
	if err != nil {
		return User{}, Token{}, err
	}
	return u.User, t, nil
}

// AddToken makes a bearer token for the user; it can be read only now.
func (s *Store) AddToken(user, name string, scope Scope, now time.Time) (Token, string, error) {
	secret := newToken()
	t := Token{ID: newID(), User: user, Name: name, Scope: scope, Created: now}
	err := s.update(func(tx *bolt.Tx) error {
		if tx.Bucket(users).Get([]byte(user)) == nil {
			return ErrNotFound
		}
		put(tx.Bucket(tokens), tokenHash(secret), t)
		return nil
	})
	return t, secret, err
}

// Tokens gives the user's bearer tokens, without sessions, in no order.
func (s *Store) Tokens(user string) ([]Token, error) {
	var list []Token
	err := s.view(func(tx *bolt.Tx) error {
		_, err := tokensWhere(tx, func(t Token) bool {
			if t.User == user && !t.Session {
				list = append(list, t)
			}
			return false
		})
		return err
	})
	return list, err
}

// RemoveToken ends the user's bearer token of that id; ErrNotFound: the user has none such.
func (s *Store) RemoveToken(user, id string) error {
	return s.update(func(tx *bolt.Tx) error {
		hashes, err := tokensWhere(tx, func(t Token) bool { return t.User == user && t.ID == id && !t.Session })
		if err != nil {
			return err
		}
		if len(hashes) == 0 {
			return ErrNotFound
		}
		must(tx.Bucket(tokens).Delete(hashes[0]))
		return nil
	})
}

// tokensWhere gives the keys of the tokens that match.
func tokensWhere(tx *bolt.Tx, match func(Token) bool) (hashes [][]byte, err error) {
	b := tx.Bucket(tokens)
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		var t Token
		if _, err := get(b, k, &t); err != nil {
			return nil, err
		}
		if match(t) {
			hashes = append(hashes, k)
		}
	}
	return hashes, nil
}

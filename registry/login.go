package registry

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"idlepush"
	"idlepush/registry/table"
	"time"

	"golang.org/x/crypto/argon2"
)

// Logins is the part of the store about how people get in: passwords and their links, passkeys,
// sessions and tokens.
type Logins struct{ *core }

// password is an argon2id hash (RFC 9106) with its parameters.
type password struct {
	Salt, Hash   []byte
	Time, Memory uint32 // passes; KiB
	Given        bool   `json:",omitempty"` // an admin chose it
}

// The argon2id parameters that OWASP's password storage cheat sheet asks for at least: 19 MiB, two
// passes, one lane.
const (
	argonTime   = 2
	argonMemory = 19 * 1024
	argonSize   = 32
)

// hash returns the argon2id hash of a password. At most one per processor runs at a time, because
// each takes 19 MiB.
func (c *core) hash(plain string, p password) []byte {
	c.hashes <- struct{}{}
	defer func() { <-c.hashes }()
	return argon2.IDKey([]byte(plain), p.Salt, p.Time, p.Memory, 1, argonSize)
}

func (c *core) newPassword(plain string) password {
	p := password{Salt: make([]byte, 16), Time: argonTime, Memory: c.hashMemory}
	rand.Read(p.Salt)
	p.Hash = c.hash(plain, p)
	return p
}

// Login checks a name and password and begins a session of that user. It returns ErrDenied if they
// do not fit. For an unknown name it takes just as long. If an admin chose the password, Login
// returns ErrNotTold until the user's devices were notified.
func (s Logins) Login(name, plain string, v Visit, now time.Time) (idlepush.User, string, error) {
	var k id
	var row userRow
	err := s.db.View(func(tx *table.Tx) (err error) {
		k, row, err = userNamed(tx, name)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		row.Password = password{Salt: make([]byte, 16), Hash: []byte{0}, Time: argonTime, Memory: s.hashMemory}
	} else if err != nil {
		return idlepush.User{}, "", err
	}
	if subtle.ConstantTimeCompare(s.hash(plain, row.Password), row.Password.Hash) != 1 {
		return idlepush.User{}, "", ErrDenied
	}
	if row.Password.Given {
		if err := s.tellOfGiven(k, row.Password, now); err != nil {
			return idlepush.User{}, "", err
		}
	}
	session := newToken()
	err = s.db.Update(func(tx *table.Tx) error {
		again, found, err := users.Get(tx, k)
		if err != nil {
			return err
		}
		if !found || again.passwordOff() || !bytes.Equal(again.Password.Hash, row.Password.Hash) {
			return ErrDenied
		}
		return beginSession(tx, session, k, again, v, "", now, now)
	})
	if err != nil {
		return idlepush.User{}, "", err
	}
	return row.user(k), session, nil
}

func userNamed(tx *table.Tx, name string) (id, userRow, error) {
	row, found, err := usersNamed.Row(tx, nameKey(name))
	if err == nil && !found {
		err = ErrNotFound
	}
	return row.Key, row.Value, err
}

// Prove notes that the user gave a proof for the session or token. It returns ErrDenied if the
// proof is wrong, or if the token has ended.
func (s Logins) Prove(user, token string, p Proof, now time.Time) error {
	checked, err := s.checkProof(user, p)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *table.Tx) error {
		t, err := tokenOfUser(tx, id(user), token)
		if errors.Is(err, ErrNotFound) {
			return ErrDenied
		}
		if err != nil {
			return err
		}
		u, err := getUser(tx, user)
		if err == nil && t.Value.hasEnded(u, now) {
			err = ErrDenied
		}
		if err != nil {
			return err
		}
		passkey, err := u.confirm(p, checked, now)
		if err == nil && passkey != "" {
			err = users.Put(tx, id(user), u)
		}
		if err != nil {
			return err
		}
		t.Value.Proved = now
		return tokens.Put(tx, t.Key, t.Value)
	})
}

// checkProof returns the hash of the user's password, if that is the proof. It returns ErrDenied if
// it is not the user's or does not count, and ErrNotFound if there is no such user. userRow.confirm
// checks a passkey.
func (c *core) checkProof(user string, p Proof) ([]byte, error) {
	if p.Passkey != nil {
		return nil, nil
	}
	var row userRow
	err := c.db.View(func(tx *table.Tx) (err error) {
		row, err = getUser(tx, user)
		return err
	})
	if err == nil && (row.passwordOff() || subtle.ConstantTimeCompare(c.hash(p.Password, row.Password), row.Password.Hash) != 1) {
		err = ErrDenied
	}
	return row.Password.Hash, err
}

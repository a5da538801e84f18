package registry

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/argon2"
)

// userRow is a user with the hash of the password.
type userRow struct {
	User
	Password password
}

// password is an argon2id hash (RFC 9106) with what it was made with.
type password struct {
	Salt, Hash   []byte
	Time, Memory uint32 // passes; KiB
}

// The argon2id parameters that OWASP's password storage cheat sheet asks for at least: 19 MiB, two passes, one lane.
const (
	argonTime   = 2
	argonMemory = 19 * 1024
	argonSize   = 32
)

// hash makes the argon2id hash of a password; at most one per processor runs at a time, since each takes 19 MiB.
func (s *Store) hash(plain string, p password) []byte {
	s.hashes <- struct{}{}
	defer func() { <-s.hashes }()
	return argon2.IDKey([]byte(plain), p.Salt, p.Time, p.Memory, 1, argonSize)
}

func (s *Store) newPassword(plain string) password {
	p := password{Salt: make([]byte, 16), Time: argonTime, Memory: argonMemory}
	rand.Read(p.Salt)
	p.Hash = s.hash(plain, p)
	return p
}

// SetupToken makes a new one-time token for Setup and writes it to the file setup-token in the data folder, mode 0600.
// Where a user exists it returns "" and removes such a file.
func (s *Store) SetupToken() (string, error) {
	token, path := rand.Text(), filepath.Join(s.dir, setupFile)
	err := s.update(func(tx *bolt.Tx) error {
		if k, _ := tx.Bucket(users).Cursor().First(); k != nil {
			return ErrSetupDone
		}
		must(tx.Bucket(meta).Put(metaSetup, tokenHash(token)))
		return nil
	})
	if errors.Is(err, ErrSetupDone) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("remove the used setup token: %w", err)
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return token, writeFile(path, token+"\n")
}

// Setup makes the first admin and a bearer token of full scope for it, and keeps publicURL, if any, as how phones
// reach this server. ErrDenied: the token is not the setup token; ErrSetupDone: there is a user already.
func (s *Store) Setup(token, name, plain, publicURL string, now time.Time) (User, string, error) {
	hashed := s.newPassword(plain)
	u := User{ID: newID(), Name: name, Admin: true, Created: now}
	bearer := newToken()
	err := s.update(func(tx *bolt.Tx) error {
		if k, _ := tx.Bucket(users).Cursor().First(); k != nil {
			return ErrSetupDone
		}
		m := tx.Bucket(meta)
		if want := m.Get(metaSetup); want == nil || subtle.ConstantTimeCompare(want, tokenHash(token)) != 1 {
			return ErrDenied
		}
		put(tx.Bucket(users), []byte(u.ID), userRow{u, hashed})
		put(tx.Bucket(tokens), tokenHash(bearer), Token{ID: newID(), User: u.ID, Name: "setup", Scope: FullScope, Created: now})
		must(m.Delete(metaSetup))
		if publicURL != "" {
			must(m.Put(metaPublicURL, []byte(publicURL)))
		}
		return nil
	})
	if err != nil {
		return User{}, "", err
	}
	if err := os.Remove(filepath.Join(s.dir, setupFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return User{}, "", fmt.Errorf("remove the used setup token: %w", err)
	}
	return u, bearer, nil
}

// PublicURL is the origin that the admin used at setup; empty before, or where that was no https origin.
func (s *Store) PublicURL() (string, error) {
	var u string
	err := s.view(func(tx *bolt.Tx) error {
		u = string(tx.Bucket(meta).Get(metaPublicURL))
		return nil
	})
	return u, err
}

// Login checks a name and password and makes a session token for that user, which lasts for SessionLifetime.
// ErrDenied says no more than that they do not fit. It takes as long for an unknown name.
func (s *Store) Login(name, plain string, now time.Time) (User, string, error) {
	var row userRow
	err := s.view(func(tx *bolt.Tx) (err error) {
		row, err = userNamed(tx, name)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		row.Password = password{Salt: make([]byte, 16), Hash: []byte{0}, Time: argonTime, Memory: argonMemory}
	} else if err != nil {
		return User{}, "", err
	}
	if subtle.ConstantTimeCompare(s.hash(plain, row.Password), row.Password.Hash) != 1 {
		return User{}, "", ErrDenied
	}
	session := newToken()
	err = s.update(func(tx *bolt.Tx) error {
		var again userRow
		found, err := get(tx.Bucket(users), []byte(row.ID), &again)
		if err != nil {
			return err
		}
		if !found || !bytes.Equal(again.Password.Hash, row.Password.Hash) {
			return ErrDenied
		}
		put(tx.Bucket(tokens), tokenHash(session), Token{
			ID: newID(), User: row.ID, Scope: FullScope, Session: true, Created: now, Expires: now.Add(SessionLifetime)})
		return nil
	})
	return row.User, session, err
}

func userNamed(tx *bolt.Tx, name string) (userRow, error) {
	c := tx.Bucket(users).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		var row userRow
		if _, err := get(tx.Bucket(users), k, &row); err != nil {
			return userRow{}, err
		}
		if strings.EqualFold(row.Name, name) {
			return row, nil
		}
	}
	return userRow{}, ErrNotFound
}

// User gives the user of that id, or ErrNotFound.
func (s *Store) User(id string) (User, error) {
	var row userRow
	err := s.view(func(tx *bolt.Tx) error {
		found, err := get(tx.Bucket(users), []byte(id), &row)
		if err == nil && !found {
			err = ErrNotFound
		}
		return err
	})
	return row.User, err
}

// UpdateUser gives the user another name or password; empty keeps it. ErrTaken: another user has that name; ErrDenied: a
// new password needs the current one. A new password ends the user's sessions.
func (s *Store) UpdateUser(id, name, current, plain string) (User, error) {
	var row userRow
	find := func(tx *bolt.Tx) error {
		row = userRow{}
		found, err := get(tx.Bucket(users), []byte(id), &row)
		if err == nil && !found {
			err = ErrNotFound
		}
		return err
	}
	if err := s.view(find); err != nil {
		return User{}, err
	}
	var fresh password
	if plain != "" {
		if subtle.ConstantTimeCompare(s.hash(current, row.Password), row.Password.Hash) != 1 {
			return User{}, ErrDenied
		}
		fresh = s.newPassword(plain)
	}
	checked := row.Password.Hash
	err := s.update(func(tx *bolt.Tx) error {
		if err := find(tx); err != nil {
			return err
		}
		if plain != "" && !bytes.Equal(row.Password.Hash, checked) {
			return ErrDenied
		}
		if name != "" {
			if other, err := userNamed(tx, name); err == nil && other.ID != id {
				return ErrTaken
			} else if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			row.Name = name
		}
		if plain != "" {
			ended, err := tokensWhere(tx, func(t Token) bool { return t.User == id && t.Session })
			if err != nil {
				return err
			}
			for _, hash := range ended {
				must(tx.Bucket(tokens).Delete(hash))
			}
			row.Password = fresh
		}
		put(tx.Bucket(users), []byte(id), row)
		return nil
	})
	if err != nil {
		return User{}, err
	}
	return row.User, nil
}

package registry

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

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

// Setup makes the first admin, and a session for the visit or, where that is nil, a bearer token of full scope, and keeps publicURL, if any, as how phones
// reach this server. ErrDenied: the token is not the setup token; ErrSetupDone: there is a user already.
func (s *Store) Setup(token, name, plain, publicURL string, v *Visit, now time.Time) (User, string, error) {
	hashed := s.newPassword(plain)
	u := User{ID: newID(), Name: name, Admin: true, Created: now}
	secret := newToken()
	err := s.update(func(tx *bolt.Tx) error {
		if k, _ := tx.Bucket(users).Cursor().First(); k != nil {
			return ErrSetupDone
		}
		m := tx.Bucket(meta)
		if want := m.Get(metaSetup); want == nil || subtle.ConstantTimeCompare(want, tokenHash(token)) != 1 {
			return ErrDenied
		}
		put(tx.Bucket(users), []byte(u.ID), userRow{u, hashed})
		if v != nil {
			secret = s.begin(tx, u.ID, *v, now)
		} else {
			put(tx.Bucket(tokens), tokenHash(secret), Token{ID: newID(), User: u.ID, Name: "setup", Scope: FullScope, Created: now})
		}
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
	return u, secret, nil
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

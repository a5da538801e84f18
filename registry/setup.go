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

	"idlepush"
	"idlepush/registry/table"
)

// NeedsSetup reports whether there is no user yet.
func (s Users) NeedsSetup() (bool, error) {
	err := s.db.View(checkNoUser)
	if errors.Is(err, ErrSetupDone) {
		return false, nil
	}
	return err == nil, err
}

// SetupToken creates a new one-time token for Setup and writes it to the file setup-token in the
// data folder, with mode 0600. If a user exists, it returns "" and removes the file.
func (s Users) SetupToken() (string, error) {
	token, path := rand.Text(), filepath.Join(s.dir, setupFile)
	err := s.db.Update(func(tx *table.Tx) error {
		if err := checkNoUser(tx); err != nil {
			return err
		}
		return sealMeta(tx, metaSetup, digestOf(token))
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

// checkNoUser returns ErrSetupDone if a user exists.
func checkNoUser(tx *table.Tx) error {
	keys, err := users.Keys(tx, table.Range{}, 1)
	if err == nil && len(keys) > 0 {
		err = ErrSetupDone
	}
	return err
}

// checkSetup returns ErrDenied if token is not the setup token, and ErrSetupDone if a user exists.
func checkSetup(tx *table.Tx, token string) error {
	if err := checkNoUser(tx); err != nil {
		return err
	}
	want, got := digest{}, digestOf(token)
	found, err := openMeta(tx, metaSetup, &want)
	if err != nil {
		return err
	}
	if !found || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return ErrDenied
	}
	return nil
}

// Setup creates the first admin, and a session for the visit, or a bearer token of full scope if v
// is nil. It stores publicURL, unless it is empty: the address at which phones reach this server.
// It returns ErrDenied if token is not the setup token, and ErrSetupDone if a user exists.
func (s Users) Setup(token, name, plain, publicURL string, v *Visit, now time.Time) (idlepush.User, string, error) {
	if err := s.db.View(func(tx *table.Tx) error { return checkSetup(tx, token) }); err != nil {
		return idlepush.User{}, "", err
	}
	hashed := s.newPassword(plain) // only for a caller who has the token: it takes long
	u, secret := idlepush.User{ID: newID(), Name: name, Admin: true, Created: now}, newToken()
	err := s.db.Update(func(tx *table.Tx) error {
		if err := checkSetup(tx, token); err != nil {
			return err
		}
		err := addUser(tx, u, hashed)
		if err != nil {
			return err
		}
		if v != nil {
			err = beginSession(tx, secret, id(u.ID), userRow{}, *v, "", now, now)
		} else {
			err = tokens.Put(tx, digestOf(secret), tokenRow{ID: newID(), User: u.ID, Name: "setup", Scope: idlepush.ScopeFull, Created: now, Proved: now})
		}
		if err != nil {
			return err
		}
		if err := metas.Delete(tx, metaSetup); err != nil || publicURL == "" {
			return err
		}
		return sealMeta(tx, metaPublicURL, publicURL)
	})
	if err != nil {
		return idlepush.User{}, "", err
	}
	_ = os.Remove(filepath.Join(s.dir, setupFile)) // SetupToken tries again
	return u, secret, nil
}

// PublicURL returns the origin that the admin used at setup. It is empty before setup, or if that
// was no https origin.
func (s Users) PublicURL() (u string, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		_, err := openMeta(tx, metaPublicURL, &u)
		return err
	})
	return u, err
}

func sealMeta(tx *table.Tx, k table.Text, value any) error {
	sealed, err := metas.Place(tx, k).Seal(value)
	if err != nil {
		return err
	}
	return metas.Put(tx, k, metaRow{Sealed: sealed})
}

// openMeta opens a sealed row of metas, and reports whether there is one.
func openMeta(tx *table.Tx, k table.Text, value any) (found bool, err error) {
	row, found, err := metas.Get(tx, k)
	if err != nil || !found {
		return false, err
	}
	return true, metas.Place(tx, k).Open(row.Sealed, value)
}

package registry

import (
	"errors"
	"slices"

	"idlepush"
	"idlepush/registry/table"
)

// grantPlace returns the place of the refresh token, which opens for this provider and this login
// alone.
func (row accountRow) grantPlace(tx *table.Tx, k id) table.Place {
	return grants.Place(tx, k).With(row.OAuth).With(row.login()...)
}

// sealGrant writes the refresh token of an account.
func sealGrant(tx *table.Tx, k id, row accountRow, refresh idlepush.Secret) error {
	sealed, err := row.grantPlace(tx, k).Seal(string(refresh))
	if err != nil {
		return err
	}
	return grants.Put(tx, k, grantRow{sealed})
}

// isFor reports whether the grant of the account is for the provider and the login of a.
func (row accountRow) isFor(a idlepush.Account) bool {
	other := accountRow{Host: a.Host, Port: a.Port, Security: a.Security, Pin: a.Pin, Username: a.Username}
	return row.OAuth == a.OAuth && slices.Equal(row.login(), other.login())
}

// openGrant returns the refresh token of an account, or ErrNotFound.
func openGrant(tx *table.Tx, k id, row accountRow) (refresh idlepush.Secret, err error) {
	grant, found, err := grants.Get(tx, k)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err == nil {
		err = row.grantPlace(tx, k).Open(grant.Refresh, (*string)(&refresh))
	}
	return refresh, err
}

// putGrant writes the refresh token that a brings. If it brings none, the one that is there stays,
// unless it opens nothing any more.
func putGrant(tx *table.Tx, k id, a idlepush.Account, before, row accountRow) error {
	switch {
	case a.OAuth != "" && a.Password != "":
		return sealGrant(tx, k, row, a.Password)
	case before.OAuth != "" && !before.isFor(a):
		return grants.Delete(tx, k)
	}
	return nil
}

// withoutGrant returns the account as callers see it.
func withoutGrant(a idlepush.Account) idlepush.Account {
	if a.OAuth != "" {
		a.Password = ""
	}
	return a
}

// Grant returns the refresh token of an account with OAuth. It is for the provider and the login of
// seen alone: Grant returns ErrStale if they are others, or a person has edited or removed the
// account since seen was read. It returns ErrNotFound if the token is not there, which takes a new
// consent.
func (m Mail) Grant(seen idlepush.Account) (refresh idlepush.Secret, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, seen.ID)
		if errors.Is(err, ErrNotFound) || err == nil && (!row.Edited.Equal(seen.Edited) || !row.isFor(seen)) {
			err = ErrStale
		}
		if err != nil {
			return err
		}
		refresh, err = openGrant(tx, id(seen.ID), row)
		return err
	})
	return refresh, err
}

// SetGrant replaces the refresh token of an account with the one that its provider gave for it. It
// returns ErrStale if old is no longer the stored one: a person has consented anew, or changed the
// account to another mailbox. Other edits do not matter, because old may be of no use any more.
func (m Mail) SetGrant(account string, old, refresh idlepush.Secret) error {
	return m.db.Update(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, account)
		if err != nil {
			return err
		}
		is, err := openGrant(tx, id(account), row)
		if errors.Is(err, ErrNotFound) || err == nil && is != old {
			err = ErrStale
		}
		if err != nil {
			return err
		}
		return sealGrant(tx, id(account), row, refresh)
	})
}

package registry

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// maxPasskeys is how many passkeys a user may have.
const maxPasskeys = 20

// Passkey is a public key with which a user logs in, a credential of WebAuthn.
type Passkey struct {
	ID      string
	By      string // as of a Token
	Name    string
	Site    string // host for which it was made, the RP ID
	Created time.Time
	Used    time.Time // zero: not yet

	Credential     []byte // its id, which the authenticator has chosen
	PublicKey      []byte // as a COSE_Key (RFC 9052 section 7)
	AAGUID         []byte // model of the authenticator
	SignCount      uint32 // of the last use; 0: the authenticator does not count
	BackupEligible bool   // it can be copied to other devices of the person
	BackedUp       bool   // it has been
}

// Proof shows that the user is there: the password, or the use of a passkey if that is not nil. Of
// a use, only Credential, SignCount and BackedUp matter. The caller has verified its signature.
type Proof struct {
	Password string
	Passkey  *Passkey
	By       string // the session or token that asks; empty: none
}

// passwordOff reports whether the password of the user neither lets in nor proves anything. Without
// a passkey it always does, so that nobody is locked out.
func (row *userRow) passwordOff() bool { return row.OnlyPasskeys && len(row.Passkeys) > 0 }

// confirm checks a proof, of which checked is the hash of the password. It notes the use of a
// passkey in the row, and returns the id of that, or "". It returns ErrDenied if there is no such
// passkey, if a copy of it may be in use, or if the password does not count.
func (row *userRow) confirm(p Proof, checked []byte, now time.Time) (passkey string, err error) {
	if p.Passkey == nil {
		if row.passwordOff() || !bytes.Equal(row.Password.Hash, checked) {
			return "", ErrDenied
		}
		return "", nil
	}
	i := slices.IndexFunc(row.Passkeys, func(k passkeyRow) bool { return bytes.Equal(k.Credential, p.Passkey.Credential) })
	if i < 0 {
		return "", ErrDenied
	}
	row.Passkeys = slices.Clone(row.Passkeys)
	k, count := &row.Passkeys[i], p.Passkey.SignCount
	// Web Authentication Level 3 section 7.2 step 22: a count that does not grow hints at a copy.
	if (count != 0 || k.SignCount != 0) && count <= k.SignCount {
		return "", ErrDenied
	}
	k.SignCount, k.BackedUp, k.Used = count, p.Passkey.BackedUp, now
	return k.ID, nil
}

// Passkeys returns the user's passkeys, oldest first, and whether the user logs in by them only. It
// returns ErrNotFound if there is no such user.
func (s Logins) Passkeys(user string) (list []Passkey, only bool, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		u, err := getUser(tx, user)
		for _, k := range u.Passkeys {
			list = append(list, Passkey(k))
		}
		only = u.passwordOff()
		return err
	})
	return list, only, err
}

// AddPasskey adds a passkey that a session or token of the user has made. It tells the user's
// devices, or adds a notice for the user if there are none. It returns a FullError if the user has
// too many, ErrTaken for one that is there, and ErrDenied if the session or token has ended.
func (s Logins) AddPasskey(user string, k Passkey, by string, now time.Time) (Passkey, error) {
	k.ID, k.By, k.Created = newID(), by, now
	err := s.updateQueues(now, func(set *queueSet) error {
		u, _, err := checkMaker(set.tx, user, by, now)
		if err != nil {
			return err
		}
		if len(u.Passkeys) >= maxPasskeys {
			return &FullError{maxPasskeys}
		}
		if slices.ContainsFunc(u.Passkeys, func(other passkeyRow) bool { return bytes.Equal(other.Credential, k.Credential) }) {
			return ErrTaken
		}
		u.Passkeys = append(u.Passkeys, passkeyRow(k))
		if err := users.Put(set.tx, id(user), u); err != nil {
			return err
		}
		return tellUser(set, id(user), idlepush.Reason{Code: codePasskeyAdded}.With("passkey", k.Name), k.ID)
	})
	return k, err
}

// LoginByPasskey begins a session by the use of a passkey. It returns ErrDenied if the user has no
// such passkey, or if it was used a second time.
func (s Logins) LoginByPasskey(user string, use Passkey, v Visit, now time.Time) (idlepush.User, string, error) {
	var row userRow
	session := newToken()
	err := s.db.Update(func(tx *table.Tx) (err error) {
		if row, err = getUser(tx, user); errors.Is(err, ErrNotFound) {
			return ErrDenied
		}
		if err != nil {
			return err
		}
		passkey, err := row.confirm(Proof{Passkey: &use}, nil, now)
		if err != nil {
			return err
		}
		if err := users.Put(tx, id(user), row); err != nil {
			return err
		}
		return beginSession(tx, session, id(user), row, v, passkey, now, now)
	})
	if err != nil {
		return idlepush.User{}, "", err
	}
	return row.user(id(user)), session, nil
}

// SetOnlyPasskeys switches the log-in by password off, or on again. If it is off, the password
// proves nothing either. Switching it off tells the user's devices, or adds a notice for the
// user. SetOnlyPasskeys returns ErrDenied if the proof is wrong or the session or token of the
// request has ended, and ErrLast if the user has no passkey.
func (s Logins) SetOnlyPasskeys(user string, only bool, p Proof, now time.Time) error {
	checked, err := s.checkProof(user, p)
	if err != nil {
		return err
	}
	return s.updateQueues(now, func(set *queueSet) error {
		u, err := getUser(set.tx, user)
		if err == nil {
			err = checkAsker(set.tx, user, p.By, now)
		}
		if err != nil {
			return err
		}
		if _, err := u.confirm(p, checked, now); err != nil {
			return err
		}
		if only && len(u.Passkeys) == 0 {
			return ErrLast
		}
		changed := u.OnlyPasskeys != only
		u.OnlyPasskeys = only
		if err := users.Put(set.tx, id(user), u); err != nil || !only || !changed {
			return err
		}
		return tellUser(set, id(user), idlepush.Reason{Code: codePasswordOff}, newID())
	})
}

// RenamePasskey gives another name to the user's passkey of that id. It returns ErrNotFound if the
// user has no such passkey.
func (s Logins) RenamePasskey(user, passkey, name string) error {
	return s.db.Update(func(tx *table.Tx) error {
		u, i, err := getPasskey(tx, user, passkey)
		if err != nil {
			return err
		}
		u.Passkeys = slices.Clone(u.Passkeys)
		u.Passkeys[i].Name = name
		return users.Put(tx, id(user), u)
	})
}

// RemovePasskey ends the user's passkey of that id, the sessions that it began, and all that was
// made in those. It spares keep, the session or token that asks, as RemoveToken does. It returns
// ErrNotFound if the user has no such passkey. It returns ErrLast if only passkeys let the user in,
// and there is no other one for the site.
func (s Logins) RemovePasskey(user, passkey, site, keep string) error {
	return s.inSteps(func(tx *table.Tx) (done bool, err error) {
		u, i, err := getPasskey(tx, user, passkey)
		if err != nil {
			return false, err
		}
		k := u.Passkeys[i]
		ending := append(passkeysBy(u, k.ID), k.ID)
		if u.OnlyPasskeys && !slices.ContainsFunc(u.Passkeys, func(other passkeyRow) bool {
			return other.Site == site && !slices.Contains(ending, other.ID)
		}) {
			return false, ErrLast
		}
		if done, err := endMade(tx, tokenRow{ID: k.ID, User: user, By: k.By}, keep); err != nil || !done {
			return false, err
		}
		if u, err = getUser(tx, user); err != nil {
			return false, err
		}
		u.Passkeys = slices.DeleteFunc(slices.Clone(u.Passkeys), func(other passkeyRow) bool { return other.ID == k.ID })
		return true, users.Put(tx, id(user), u)
	})
}

func getPasskey(tx *table.Tx, user, passkey string) (userRow, int, error) {
	u, err := getUser(tx, user)
	i := slices.IndexFunc(u.Passkeys, func(k passkeyRow) bool { return k.ID == passkey })
	if err == nil && i < 0 {
		err = ErrNotFound
	}
	return u, i, err
}

// passkeysBy returns the ids of the user's passkeys that the session, token or passkey has made, or
// one of those: a passkey counts as made by another once the session in which it was made is logged
// out.
func passkeysBy(u userRow, by string) (ids []string) {
	for _, k := range u.Passkeys {
		if k.By == by {
			ids = append(append(ids, k.ID), passkeysBy(u, k.ID)...)
		}
	}
	return ids
}

// endPasskeysBy removes the passkeys that were made by the session, token or passkey. The sessions
// that began by one of them count as made by heir afterwards.
func endPasskeysBy(tx *table.Tx, t tokenRow, heir string) (done bool, err error) {
	u, found, err := users.Get(tx, id(t.User))
	if err != nil || !found {
		return err == nil, err
	}
	made := passkeysBy(u, t.ID)
	if len(made) == 0 {
		return true, nil
	}
	if tx.Left() < 2*removalCost {
		return false, nil
	}
	for _, k := range made {
		if done, err := handDown(tx, tx.Left, tokenRow{ID: k, User: t.User}, heir); err != nil || !done {
			return false, err
		}
	}
	u.Passkeys = slices.DeleteFunc(slices.Clone(u.Passkeys), func(k passkeyRow) bool { return slices.Contains(made, k.ID) })
	return true, users.Put(tx, id(t.User), u)
}

// handDownPasskeys changes what made the passkeys that were made by the session: to what made that.
func handDownPasskeys(tx *table.Tx, t tokenRow) error {
	u, found, err := users.Get(tx, id(t.User))
	if err != nil || !found || !slices.ContainsFunc(u.Passkeys, func(k passkeyRow) bool { return k.By == t.ID }) {
		return err
	}
	u.Passkeys = slices.Clone(u.Passkeys)
	for i := range u.Passkeys {
		if u.Passkeys[i].By == t.ID {
			u.Passkeys[i].By = t.By
		}
	}
	return users.Put(tx, id(t.User), u)
}

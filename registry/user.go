package registry

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"time"

	"golang.org/x/crypto/argon2"

	"idlepush"
	"idlepush/cleantext"
	"idlepush/registry/table"
)

// Users is the part of the store about people and how they log in: passwords, sessions, tokens and
// invites.
type Users struct{ *core }

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
func (s Users) Login(name, plain string, v Visit, now time.Time) (idlepush.User, string, error) {
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

// getUser returns the row of the user of that id, or ErrNotFound.
func getUser(tx *table.Tx, user string) (userRow, error) {
	row, found, err := users.Get(tx, id(user))
	if err == nil && !found {
		err = ErrNotFound
	}
	return row, err
}

// Get returns the user of that id, or ErrNotFound.
func (s Users) Get(user string) (u idlepush.User, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		row, err := getUser(tx, user)
		u = row.user(id(user))
		return err
	})
	if err != nil {
		return idlepush.User{}, err
	}
	return u, nil
}

// List returns all users, in no order.
func (s Users) List() (list []idlepush.User, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		rows, err := users.First(tx, table.Range{}, table.NoLimit)
		for _, row := range rows {
			list = append(list, row.Value.user(row.Key))
		}
		return err
	})
	return list, err
}

// nameKey is by which a user is found, however the name is typed.
func nameKey(name string) table.Text { return table.Text("name " + cleantext.NameKey(name)) }

// nameKeys returns the keys that only one user can have: by the name, and by what it looks like.
func nameKeys(name string) []string {
	looks := cleantext.Looks(name)
	return []string{string(nameKey(name)), "look " + looks[0], "small " + looks[1]}
}

// setName writes the name into the row of a user. It returns ErrTaken if another user has it, and
// ErrLooksTaken if another user has one that looks like it.
func (row *userRow) setName(tx *table.Tx, name, user string) error {
	row.Name, row.NameKeys = name, nameKeys(name)
	for i, key := range row.NameKeys {
		other, found, err := usersNamed.Row(tx, table.Text(key))
		if err == nil && found && string(other.Key) != user {
			if err = ErrTaken; i > 0 {
				err = ErrLooksTaken
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Add creates a user with a password that an admin has chosen. It returns ErrTaken if another user
// has that name, and ErrLooksTaken if another user has one that looks like it.
func (s Users) Add(name, plain string, admin bool, now time.Time) (idlepush.User, error) {
	u, hashed := idlepush.User{ID: newID(), Name: name, Admin: admin, Created: now, PasswordGiven: true}, s.newPassword(plain)
	hashed.Given = true
	err := s.db.Update(func(tx *table.Tx) error { return addUser(tx, u, hashed) })
	if err != nil {
		return idlepush.User{}, err
	}
	return u, nil
}

func addUser(tx *table.Tx, u idlepush.User, p password) error {
	row := userRow{Admin: u.Admin, Created: u.Created, Password: p}
	if err := row.setName(tx, u.Name, u.ID); err != nil {
		return err
	}
	return users.Put(tx, id(u.ID), row)
}

// UpdateOwn changes the user's name or password; an empty one stays. A new password needs a proof.
// It ends the user's sessions, tokens of full scope, invites and password link, and tokens of
// device scope without a device. If p.Devices is set, it also ends all devices and their tokens,
// and if p.Passkeys is set all passkeys. It lets in, also if only passkeys did. What does not
// fit one transaction takes several, but no session, token of full scope or invite is admitted
// after the first. UpdateOwn returns ErrTaken or ErrLooksTaken as Add does, and
// ErrDenied if the proof is wrong.
func (s Users) UpdateOwn(user string, proof Proof, p UserPatch, now time.Time) (idlepush.User, error) {
	p.Admin = nil
	if p.Password == "" {
		return s.update(user, p, nil)
	}
	checked, err := s.checkProof(user, proof)
	if err != nil {
		return idlepush.User{}, err
	}
	return s.update(user, p, func(row *userRow) error {
		_, err := row.confirm(proof, checked, now)
		return err
	})
}

// Prove notes that the user gave a proof for the session or token. It returns ErrDenied if the
// proof is wrong, or if the token has ended.
func (s Users) Prove(user, token string, p Proof, now time.Time) error {
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
func (s Users) checkProof(user string, p Proof) ([]byte, error) {
	if p.Passkey != nil {
		return nil, nil
	}
	var row userRow
	err := s.db.View(func(tx *table.Tx) (err error) {
		row, err = getUser(tx, user)
		return err
	})
	if err == nil && (row.passwordOff() || subtle.ConstantTimeCompare(s.hash(p.Password, row.Password), row.Password.Hash) != 1) {
		err = ErrDenied
	}
	return row.Password.Hash, err
}

// UserPatch is a change of a user. Empty fields change nothing.
type UserPatch struct {
	Name, Password string
	Devices        bool // a new password ends devices, too
	Passkeys       bool // a new password ends passkeys, too
	Admin          *bool
}

// Update changes a user for an admin: the name and the role, and never the password. It returns
// ErrTaken or ErrLooksTaken as Add does, and ErrLast if nobody else is an admin.
func (s Users) Update(user string, p UserPatch) (idlepush.User, error) {
	p.Password, p.Devices = "", false
	return s.update(user, p, nil)
}

// update changes a user. If confirm is not nil, it may prevent that, and may change the row.
func (s Users) update(user string, p UserPatch, confirm func(*userRow) error) (idlepush.User, error) {
	var hashed password
	if p.Password != "" {
		hashed = s.newPassword(p.Password)
	}
	var row userRow
	done := true
	err := s.db.Update(func(tx *table.Tx) (err error) {
		if row, err = getUser(tx, user); err != nil {
			return err
		}
		if confirm != nil {
			if err := confirm(&row); err != nil {
				return err
			}
		}
		if p.Name != "" {
			if err := row.setName(tx, p.Name, user); err != nil {
				return err
			}
		}
		if p.Admin != nil && !*p.Admin {
			if err := checkOtherAdmin(tx, user); err != nil {
				return err
			}
		}
		if p.Admin != nil {
			row.Admin = *p.Admin
		}
		if p.Password == "" {
			return users.Put(tx, id(user), row)
		}
		if p.Passkeys {
			row.Passkeys = nil
		}
		if err := putPassword(tx, id(user), &row, hashed); err != nil {
			return err
		}
		done, err = endOld(tx, tx.Left, id(user), p.Devices)
		return err
	})
	if err == nil && !done {
		err = s.inSteps(func(tx *table.Tx) (bool, error) { return endOld(tx, tx.Left, id(user), p.Devices) })
	}
	if err != nil {
		return idlepush.User{}, err
	}
	return row.user(id(user)), nil
}

// putPassword writes the row of a user with a new password, which lets in by password whatever did
// before. All that is of another era ends: sessions, tokens of full scope, invites and the password
// link.
func putPassword(tx *table.Tx, user id, row *userRow, p password) error {
	if row.Password.Given {
		row.Passkeys = nil // whoever chose the password can have made one
	}
	row.Password, row.OnlyPasskeys = p, false
	row.Era++
	return users.Put(tx, user, *row)
}

// checkOtherAdmin returns ErrLast if nobody but the user is an admin.
func checkOtherAdmin(tx *table.Tx, user string) error {
	rows, err := users.First(tx, table.Range{}, table.NoLimit)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Value.Admin && string(row.Key) != user {
			return nil
		}
	}
	return ErrLast
}

// Remove removes a user with all accounts, devices, tokens, sessions, invites and the password
// link, and from the accounts of others. It notifies each person with whom an account of the user
// is shared; see [CodeShareEnded]. If it takes several transactions, the user is removed last. The
// next Purge removes the activity. Remove returns ErrLast if nobody else is an admin.
func (s Users) Remove(user string, now time.Time) error {
	return s.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		row, found, err := users.Unverified(set.tx, id(user))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return false, err
		}
		if row.Admin {
			if err := checkOtherAdmin(set.tx, user); err != nil {
				return false, err
			}
		}
		for _, remove := range []func(*queueSet, id) (bool, error){removeTokens, removeInvites, withdrawOffers, leaveAccounts, removeDevices} {
			if done, err = remove(set, id(user)); err != nil || !done {
				return false, err
			}
		}
		return true, errors.Join(guesses.Delete(set.tx, id(user)), users.Delete(set.tx, id(user)))
	})
}

// removalCost is what the removal of one thing of a user reads and writes at most, without the
// cursors and the people of an account.
const removalCost = 16

func removeTokens(set *queueSet, user id) (done bool, err error) {
	list, err := tokensOf.First(set.tx, table.Under(user), table.NoLimit)
	for _, e := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		err = tokens.Delete(set.tx, e.Key)
	}
	return err == nil, err
}

func removeInvites(set *queueSet, user id) (done bool, err error) {
	if err := removePasswordLink(set.tx, user); err != nil {
		return false, err
	}
	list, err := invitesOf.First(set.tx, table.Under(user), table.NoLimit)
	for _, e := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		err = invites.Delete(set.tx, e.Key)
	}
	return err == nil, err
}

// leaveAccounts removes the user's accounts, and the user from those of others.
func leaveAccounts(set *queueSet, user id) (done bool, err error) {
	list, err := accountsOf.First(set.tx, table.Under(user), table.NoLimit)
	if err != nil {
		return false, err
	}
	for _, e := range list {
		if set.opsLeft() < 3*removalCost {
			return false, nil
		}
		row, found, err := accounts.Get(set.tx, e.Key)
		if err != nil {
			return false, err
		}
		switch {
		case !found:
			if done, err := removeIfDamaged(set.tx, e.Key, user); err != nil || !done {
				return false, err
			}
		case row.Owner == string(user):
			if done, err := removeAccount(set, e.Key, row); err != nil || !done {
				return false, err
			}
		default:
			row.Revision++
			row.remove(string(user))
			if err := accounts.Put(set.tx, e.Key, row); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// offersAtOnce is how many offers withdrawOffers reads in one transaction, in which it can also
// remove them.
const offersAtOnce = 3

// withdrawOffers removes the offers to the user.
func withdrawOffers(set *queueSet, user id) (done bool, err error) {
	list, err := accountsFor.Rows(set.tx, table.Under(user), offersAtOnce)
	for _, a := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		a.Value.Revision++
		a.Value.withdraw(string(user))
		err = accounts.Put(set.tx, a.Key, a.Value)
	}
	if err == nil && len(list) == offersAtOnce {
		return false, nil
	}
	return err == nil, err
}

func removeDevices(set *queueSet, user id) (done bool, err error) {
	list, err := devices.Keys(set.tx, table.Under(user), table.NoLimit)
	for _, k := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		err = removeDevice(set.tx, k)
	}
	return err == nil, err
}

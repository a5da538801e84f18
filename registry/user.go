package registry

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
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

// Login checks a name and password and begins a session of that user.
// ErrDenied says no more than that they do not fit. It takes as long for an unknown name.
func (s *Store) Login(name, plain string, v Visit, now time.Time) (User, string, error) {
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
	var session string
	err = s.update(func(tx *bolt.Tx) error {
		var again userRow
		found, err := get(tx.Bucket(users), []byte(row.ID), &again)
		if err != nil {
			return err
		}
		if !found || !bytes.Equal(again.Password.Hash, row.Password.Hash) {
			return ErrDenied
		}
		session = s.begin(tx, row.ID, v, now)
		return nil
	})
	if err != nil {
		return User{}, "", err
	}
	return row.User, session, nil
}

func userNamed(tx *bolt.Tx, name string) (userRow, error) {
	rows, err := userRows(tx)
	for _, row := range rows {
		if strings.EqualFold(row.Name, name) {
			return row, nil
		}
	}
	if err == nil {
		err = ErrNotFound
	}
	return userRow{}, err
}

// person gives the row of the user of that id, or ErrNotFound.
func person(tx *bolt.Tx, id string) (row userRow, err error) {
	found, err := get(tx.Bucket(users), []byte(id), &row)
	if err == nil && !found {
		err = ErrNotFound
	}
	return row, err
}

// User gives the user of that id, or ErrNotFound.
func (s *Store) User(id string) (User, error) {
	var row userRow
	err := s.view(func(tx *bolt.Tx) (err error) {
		row, err = person(tx, id)
		return err
	})
	return row.User, err
}

// Users gives all users, in no order.
func (s *Store) Users() (list []User, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		rows, err := userRows(tx)
		for _, row := range rows {
			list = append(list, row.User)
		}
		return err
	})
	return list, err
}

func userRows(tx *bolt.Tx) (list []userRow, err error) {
	c := tx.Bucket(users).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		row, err := person(tx, string(k))
		if err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, nil
}

// taken tells with ErrTaken that another user has the name.
func taken(tx *bolt.Tx, name, id string) error {
	other, err := userNamed(tx, name)
	if errors.Is(err, ErrNotFound) || err == nil && other.ID == id {
		return nil
	}
	if err == nil {
		err = ErrTaken
	}
	return err
}

// AddUser makes a user. ErrTaken: another has that name.
func (s *Store) AddUser(name, plain string, admin bool, now time.Time) (User, error) {
	row := userRow{User{ID: newID(), Name: name, Admin: admin, Created: now}, s.newPassword(plain)}
	err := s.update(func(tx *bolt.Tx) error {
		if err := taken(tx, name, ""); err != nil {
			return err
		}
		put(tx.Bucket(users), []byte(row.ID), row)
		s.note(UserChanged, row.ID)
		return nil
	})
	if err != nil {
		return User{}, err
	}
	return row.User, nil
}

// UpdateOwn gives the user another name or password; empty keeps it. ErrTaken: another user has that name; ErrDenied: a
// new password needs the current one. A new password ends the user's sessions.
func (s *Store) UpdateOwn(id, name, current, plain string) (User, error) {
	if plain == "" {
		return s.updateUser(id, UserPatch{Name: name}, nil)
	}
	var row userRow
	err := s.view(func(tx *bolt.Tx) (err error) {
		row, err = person(tx, id)
		return err
	})
	if err != nil {
		return User{}, err
	}
	if subtle.ConstantTimeCompare(s.hash(current, row.Password), row.Password.Hash) != 1 {
		return User{}, ErrDenied
	}
	return s.updateUser(id, UserPatch{Name: name, Password: plain}, row.Password.Hash)
}

// UserPatch changes what is not empty.
type UserPatch struct {
	Name, Password string
	Admin          *bool
}

// UpdateUser changes a user for an admin. ErrTaken: another user has that name; ErrLastAdmin: nobody else is an admin. A new password ends the user's sessions.
func (s *Store) UpdateUser(id string, p UserPatch) (User, error) { return s.updateUser(id, p, nil) }

// updateUser changes a user, if the password still has the hash checked where that is not nil; else it gives ErrDenied.
func (s *Store) updateUser(id string, p UserPatch, checked []byte) (User, error) {
	var fresh password
	if p.Password != "" {
		fresh = s.newPassword(p.Password)
	}
	var row userRow
	err := s.update(func(tx *bolt.Tx) (err error) {
		if row, err = person(tx, id); err != nil {
			return err
		}
		if checked != nil && !bytes.Equal(row.Password.Hash, checked) {
			return ErrDenied
		}
		if p.Name != "" {
			if err := taken(tx, p.Name, id); err != nil {
				return err
			}
			row.Name = p.Name
		}
		if p.Admin != nil && !*p.Admin {
			if err := otherAdmin(tx, id); err != nil {
				return err
			}
		}
		if p.Admin != nil {
			row.Admin = *p.Admin
		}
		if p.Password != "" {
			ended, err := tokensWhere(tx, func(t Token) bool { return t.User == id && t.Session })
			if err != nil {
				return err
			}
			codes, err := invitesWhere(tx, forDevicesOf(id))
			if err != nil {
				return err
			}
			for _, hash := range ended {
				must(tx.Bucket(tokens).Delete(hash))
			}
			s.takeBack(tx, codes)
			s.note(SessionChanged, "", id)
			row.Password = fresh
		}
		put(tx.Bucket(users), []byte(id), row)
		s.note(UserChanged, id)
		return nil
	})
	if err != nil {
		return User{}, err
	}
	return row.User, nil
}

// otherAdmin gives ErrLastAdmin where nobody but the user is an admin.
func otherAdmin(tx *bolt.Tx, id string) error {
	rows, err := userRows(tx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(rows, func(u userRow) bool { return u.Admin && u.ID != id }) {
		return ErrLastAdmin
	}
	return nil
}

// RemoveUser removes a user with all that is theirs: accounts, devices, tokens, sessions, invites, and their place in what others share. Activity goes with
// the next Purge. ErrLastAdmin: nobody else is an admin.
func (s *Store) RemoveUser(id string) error {
	err := s.update(func(tx *bolt.Tx) error {
		row, err := person(tx, id)
		if err != nil {
			return err
		}
		if row.Admin {
			if err := otherAdmin(tx, id); err != nil {
				return err
			}
		}
		seen, err := s.accountsWhere(tx, func(a Account) bool { return a.Visible(id) })
		if err != nil {
			return err
		}
		var own []Device
		known, err := devicesOf(tx, id)
		if err != nil {
			return err
		}
		for _, d := range known {
			if d, err = s.device(tx, d.ID); err != nil {
				return err
			}
			own = append(own, d)
		}
		hashes, err := tokensWhere(tx, func(t Token) bool { return t.User == id })
		if err != nil {
			return err
		}
		codes, err := invitesWhere(tx, func(i Invite) bool { return i.By == id })
		if err != nil {
			return err
		}
		for _, hash := range hashes {
			must(tx.Bucket(tokens).Delete(hash))
		}
		s.takeBack(tx, codes)
		for _, a := range seen {
			if a.Owner == id {
				s.removeAccount(tx, a)
				continue
			}
			a.SharedWith = slices.DeleteFunc(a.SharedWith, func(user string) bool { return user == id })
			s.putAccount(tx, a)
		}
		for _, d := range own {
			if err := s.removeDevice(tx, d); err != nil {
				return err
			}
		}
		must(tx.Bucket(users).Delete([]byte(id)))
		s.note(SessionChanged, "", id)
		s.note(UserChanged, id)
		return nil
	})
	if err == nil {
		s.accounts.raise()
	}
	return err
}

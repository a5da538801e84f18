package registry

import (
	"bytes"
	"crypto/rand"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// InviteFor is what an invite is for.
type InviteFor string

// ForPerson lets somebody become a user, ForDevice lets another browser of the one who invites in.
const (
	ForPerson InviteFor = "person"
	ForDevice InviteFor = "device"
)

// Lifetime is how long an invite can be accepted: a person finds the time, another phone lies at hand.
func (f InviteFor) Lifetime() time.Duration {
	if f == ForDevice {
		return 15 * time.Minute
	}
	return 7 * 24 * time.Hour
}

// Invite lets in whoever has its code, once. Only the code's SHA-256 is stored.
type Invite struct {
	ID      string
	By      string // user id
	For     InviteFor
	Admin   bool // for a person: to become an admin
	Created time.Time
	Expires time.Time
}

// AddInvite makes an invite by the user and gives its code, which can be read only now.
func (s *Store) AddInvite(by string, f InviteFor, admin bool, now time.Time) (Invite, string, error) {
	i := Invite{ID: newID(), By: by, For: f, Admin: admin, Created: now, Expires: now.Add(f.Lifetime())}
	code := rand.Text()
	err := s.update(func(tx *bolt.Tx) error {
		if _, err := person(tx, by); err != nil {
			return err
		}
		put(tx.Bucket(invites), tokenHash(code), i)
		s.note(InviteChanged, i.ID, by)
		return nil
	})
	return i, code, err
}

// Invites gives the invites that can be accepted, in no order.
func (s *Store) Invites(now time.Time) (list []Invite, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		_, err := invitesWhere(tx, func(i Invite) bool {
			if now.Before(i.Expires) {
				list = append(list, i)
			}
			return false
		})
		return err
	})
	return list, err
}

// RemoveInvite takes an invite back; ErrNotFound: there is none such.
func (s *Store) RemoveInvite(id string) error {
	return s.update(func(tx *bolt.Tx) error {
		codes, err := invitesWhere(tx, func(i Invite) bool { return i.ID == id })
		if err == nil && len(codes) == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		must(tx.Bucket(invites).Delete(codes[0]))
		s.note(InviteChanged, id)
		return nil
	})
}

// Invite gives the invite of a code and who invites. ErrNotFound: there is none, it was accepted or has expired, or who made it may do so no more.
func (s *Store) Invite(code string, now time.Time) (i Invite, by User, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		i, by, err = invite(tx, code, now)
		return err
	})
	return i, by, err
}

func invite(tx *bolt.Tx, code string, now time.Time) (Invite, User, error) {
	var i Invite
	found, err := get(tx.Bucket(invites), tokenHash(code), &i)
	if err == nil && (!found || !now.Before(i.Expires)) {
		err = ErrNotFound
	}
	if err != nil {
		return Invite{}, User{}, err
	}
	by, err := person(tx, i.By)
	if err == nil && i.For == ForPerson && !by.Admin {
		err = ErrNotFound
	}
	return i, by.User, err
}

// Accept uses an invite up and begins a session: of a new user of that name and password, or, where the invite is for a device, of the user who made it.
// ErrNotFound as for Invite; ErrTaken: another user has that name, and the invite can still be accepted.
func (s *Store) Accept(code, name, plain string, v Visit, now time.Time) (u User, session string, err error) {
	i, _, err := s.Invite(code, now)
	if err != nil {
		return User{}, "", err
	}
	var fresh password
	if i.For == ForPerson {
		fresh = s.newPassword(plain)
	}
	err = s.update(func(tx *bolt.Tx) error {
		i, by, err := invite(tx, code, now)
		if err != nil {
			return err
		}
		if u = by; i.For == ForPerson {
			if err := taken(tx, name, ""); err != nil {
				return err
			}
			u = User{ID: newID(), Name: name, Admin: i.Admin, Created: now}
			put(tx.Bucket(users), []byte(u.ID), userRow{u, fresh})
			s.note(UserChanged, u.ID)
		}
		must(tx.Bucket(invites).Delete(tokenHash(code)))
		s.note(InviteChanged, i.ID)
		session = s.begin(tx, u.ID, v, now)
		return nil
	})
	if err != nil {
		return User{}, "", err
	}
	return u, session, nil
}

// forDevicesOf matches the invites by which a user lets other browsers in: whoever loses a session must not come back by one that was made in it.
func forDevicesOf(user string) func(Invite) bool {
	return func(i Invite) bool { return i.By == user && i.For == ForDevice }
}

// takeBack removes invites.
func (s *Store) takeBack(tx *bolt.Tx, codes [][]byte) {
	for _, hash := range codes {
		must(tx.Bucket(invites).Delete(hash))
		s.note(InviteChanged, "")
	}
}

// invitesWhere gives the keys of the invites that match.
func invitesWhere(tx *bolt.Tx, match func(Invite) bool) (codes [][]byte, err error) {
	b := tx.Bucket(invites)
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		var i Invite
		if _, err := get(b, k, &i); err != nil {
			return nil, err
		}
		if match(i) {
			codes = append(codes, slices.Clone(k))
		}
	}
	return codes, nil
}

// expiredInvites finds the invites that nobody can accept any more.
func expiredInvites(tx *bolt.Tx, from []byte, now time.Time) (list []leftover, next []byte, err error) {
	old, err := invitesWhere(tx, func(i Invite) bool { return !now.Before(i.Expires) })
	for _, k := range old {
		if bytes.Compare(k, from) < 0 {
			continue
		}
		if len(list) == mostPurged {
			return list, k, err
		}
		list = append(list, leftover{bucket: invites, key: k})
	}
	return list, nil, err
}

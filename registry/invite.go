package registry

import (
	"crypto/rand"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// InviteFor is the purpose of an invite.
type InviteFor string

// InviteForPerson is an invite to become a user. InviteForDevice is one for another browser of the
// inviting user. InviteForPassword is a password link, by which a user chooses a new password.
const (
	InviteForPerson   InviteFor = "person"
	InviteForDevice   InviteFor = "device"
	InviteForPassword InviteFor = "password"
)

// Lifetime returns how long an invite can be accepted. A person needs time, but another phone is at
// hand.
func (f InviteFor) Lifetime() time.Duration {
	switch f {
	case InviteForDevice:
		return 15 * time.Minute
	case InviteForPassword:
		return 24 * time.Hour
	}
	return 7 * 24 * time.Hour
}

// Invite admits somebody who has its code, once. Only the code's SHA-256 is stored.
type Invite struct {
	ID      string
	User    string // id of the user who made it; empty: nobody, for some password links
	Person  string // of a password link: id of the user whose password it is for
	For     InviteFor
	Admin   bool // for a person: to become an admin
	Created time.Time
	Expires time.Time
}

func inviteOf(row inviteRow) Invite {
	return Invite{row.ID, row.User, row.Person, row.For, row.Admin, row.Created, row.Expires}
}

// hasEnded reports whether the invite can no longer be accepted. u is the user who made it, and
// found reports whether there is one. For whom a password link is may have ended it, too; see
// getPeople.
func (i inviteRow) hasEnded(u userRow, found bool, now time.Time) bool {
	if i.User == "" && i.For == InviteForPassword {
		return !now.Before(i.Expires)
	}
	return !found || !now.Before(i.Expires) || i.Era != u.Era || i.For != InviteForDevice && !u.Admin
}

// getPeople returns the user who made the invite, and the one whose password it is for. Either may
// be zero. open reports whether the invite can be accepted.
func (i inviteRow) getPeople(tx *table.Tx, now time.Time) (by, person userRow, open bool, err error) {
	by, found, err := users.Get(tx, id(i.User))
	if err != nil || i.hasEnded(by, found, now) {
		return by, person, false, err
	}
	if i.For != InviteForPassword {
		return by, person, true, nil
	}
	person, found, err = users.Get(tx, id(i.Person))
	return by, person, err == nil && found && person.Era == i.PersonEra, err
}

// AddInvite creates an invite of the user and returns its code, which cannot be read again. by is
// the session or token by which it is made, or empty. AddInvite returns ErrNotFound if there is no
// such user, and ErrDenied if by has ended. It returns a FullError if the user has as many as can
// be accepted.
func (s Users) AddInvite(user string, f InviteFor, admin bool, by string, now time.Time) (Invite, string, error) {
	row := inviteRow{ID: newID(), User: user, By: by, For: f, Admin: admin, Created: now, Expires: now.Add(f.Lifetime())}
	code := rand.Text()
	err := s.db.Update(func(tx *table.Tx) error {
		u, _, err := checkMaker(tx, user, by, now)
		if err != nil {
			return err
		}
		if err := checkBound(tx, s.bounds.invites, user, countInvites(u, now)); err != nil {
			return err
		}
		row.Era = u.Era
		return invites.Put(tx, digestOf(code), row)
	})
	return inviteOf(row), code, err
}

// Invites returns the invites that can be accepted, in no order.
func (s Users) Invites(now time.Time) (list []Invite, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		rows, err := invites.First(tx, table.Range{}, table.NoLimit)
		if err != nil {
			return err
		}
		for _, i := range rows {
			_, _, open, err := i.Value.getPeople(tx, now)
			if err != nil {
				return err
			}
			if open {
				list = append(list, inviteOf(i.Value))
			}
		}
		return nil
	})
	return list, err
}

// RemoveInvite removes an invite, or returns ErrNotFound.
func (s Users) RemoveInvite(invite string) error {
	return s.db.Update(func(tx *table.Tx) error {
		k, found, err := invitesID.Get(tx, id(invite))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return invites.Delete(tx, k)
	})
}

// Invite returns the invite of a code and the inviting user, who is zero if nobody is. It returns
// ErrNotFound if the code is unknown, the invite was accepted or has expired, or its user may not
// invite any more.
func (s Users) Invite(code string, now time.Time) (i Invite, by idlepush.User, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		row, u, _, err := invite(tx, code, now)
		i, by = inviteOf(row), u.user(id(row.User))
		return err
	})
	if err != nil {
		return Invite{}, idlepush.User{}, err
	}
	return i, by, nil
}

func invite(tx *table.Tx, code string, now time.Time) (i inviteRow, by, person userRow, err error) {
	i, found, err := invites.Get(tx, digestOf(code))
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return i, by, person, err
	}
	by, person, open, err := i.getPeople(tx, now)
	if err == nil && !open {
		err = ErrNotFound
	}
	return i, by, person, err
}

// Accept accepts an invite and begins a session. The session is of a new user with that name and
// password, or, for an invite for a device, of the user who made it. Accept returns ErrNotFound
// like Invite, and for a password link; see SetPassword. It returns ErrTaken or
// ErrLooksTaken as Add does; the invite stays.
func (s Users) Accept(code, name, plain string, v Visit, now time.Time) (u idlepush.User, session string, err error) {
	i, _, err := s.Invite(code, now)
	if err == nil && i.For == InviteForPassword {
		err = ErrNotFound
	}
	if err != nil {
		return idlepush.User{}, "", err
	}
	var hashed password
	if i.For == InviteForPerson {
		hashed = s.newPassword(plain)
	}
	session = newToken()
	err = s.db.Update(func(tx *table.Tx) error {
		i, by, _, err := invite(tx, code, now)
		if err != nil {
			return err
		}
		maker, proved, person := i.By, time.Time{}, i.For == InviteForPerson
		if u = by.user(id(i.User)); person {
			maker, proved = "", now // a person of one's own, who has chosen the password now
			u, by = idlepush.User{ID: newID(), Name: name, Admin: i.Admin, Created: now}, userRow{}
			if err := addUser(tx, u, hashed); err != nil {
				return err
			}
		}
		if err := invites.Delete(tx, digestOf(code)); err != nil {
			return err
		}
		return beginSession(tx, session, id(u.ID), by, v, maker, proved, now)
	})
	if err != nil {
		return idlepush.User{}, "", err
	}
	return u, session, nil
}

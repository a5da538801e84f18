package registry

import (
	"cmp"
	"time"

	"idlepush"
	"idlepush/cleantext"
	"idlepush/registry/table"
)

// Users is the part of the store about people: their names and roles, and how they join.
type Users struct{ *core }

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

// Add creates a user with a password that an admin has chosen. maker is the admin who does, in the
// session or token by; both are empty for the admin token. Add returns ErrTaken if another user has
// that name, ErrLooksTaken if another user has one that looks like it, and ErrDenied if by has
// ended or the maker is no admin any more.
func (s Users) Add(name, plain string, admin bool, maker, by string, now time.Time) (idlepush.User, error) {
	u, hashed := idlepush.User{ID: newID(), Name: name, Admin: admin, Created: now, PasswordGiven: true}, s.newPassword(plain)
	hashed.Given = true
	err := s.db.Update(func(tx *table.Tx) error {
		if by != "" {
			if row, _, err := checkMaker(tx, maker, by, now); err != nil || !row.Admin {
				return cmp.Or(err, ErrDenied)
			}
		}
		return addUser(tx, u, hashed)
	})
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
// ErrDenied if the proof is wrong, or if who asks has ended.
func (s Users) UpdateOwn(user string, proof Proof, p UserPatch, now time.Time) (idlepush.User, error) {
	if p.Password == "" {
		return s.update(user, p, func(tx *table.Tx, _ *userRow) error { return checkAsker(tx, user, proof.By, now) })
	}
	checked, err := s.checkProof(user, proof)
	if err != nil {
		return idlepush.User{}, err
	}
	return s.update(user, p, func(tx *table.Tx, row *userRow) error {
		if err := checkAsker(tx, user, proof.By, now); err != nil {
			return err
		}
		_, err := row.confirm(proof, checked, now)
		return err
	})
}

// UserPatch is a change of a user. Empty fields change nothing.
type UserPatch struct {
	Name  string
	Admin *bool // only Update changes it

	// Only UpdateOwn changes the password.
	Password string
	Devices  bool // a new password ends devices, too
	Passkeys bool // a new password ends passkeys, too
}

// Update changes a user for an admin: the name, of which it tells the user, and the role. It never
// changes the password. It returns ErrTaken or ErrLooksTaken as Add does, and ErrLast if nobody
// else is an admin.
func (s Users) Update(user string, p UserPatch, now time.Time) (idlepush.User, error) {
	var row userRow
	err := s.updateQueues(now, func(set *queueSet) (err error) {
		if row, err = getUser(set.tx, user); err != nil {
			return err
		}
		name := row.Name
		if p.Name != "" {
			if err := row.setName(set.tx, p.Name, user); err != nil {
				return err
			}
		}
		if p.Admin != nil && !*p.Admin {
			if err := checkOtherAdmin(set.tx, user); err != nil {
				return err
			}
		}
		if p.Admin != nil {
			row.Admin = *p.Admin
		}
		if err := users.Put(set.tx, id(user), row); err != nil || row.Name == name {
			return err
		}
		return tellUser(set, id(user), idlepush.Reason{Code: codeRenamed}.With("name", row.Name), row.Name)
	})
	if err != nil {
		return idlepush.User{}, err
	}
	return row.user(id(user)), nil
}

// update is UpdateOwn without the proof. confirm may prevent that, and may change the row.
func (s Users) update(user string, p UserPatch, confirm func(*table.Tx, *userRow) error) (idlepush.User, error) {
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
		if err := confirm(tx, &row); err != nil {
			return err
		}
		if p.Name != "" {
			if err := row.setName(tx, p.Name, user); err != nil {
				return err
			}
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
// link. No browser is recognized any more.
func putPassword(tx *table.Tx, user id, row *userRow, p password) error {
	if row.Password.Given {
		row.Passkeys = nil // whoever chose the password can have made one
	}
	row.Password, row.OnlyPasskeys, row.Browsers = p, false, nil
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

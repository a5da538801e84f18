package registry

import (
	"bytes"
	"crypto/rand"
	"errors"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// A password link is an invite by which a user chooses a new password. Whoever has it can become
// the user, so it notifies the user's devices when it is made. It admits nobody before that: an
// admin who opens it could otherwise remove a device before the device is notified.

// tellingTime is how long a link waits at most for the devices of its user: a push service that is
// down must lock nobody out.
const tellingTime = 2 * time.Minute

// givenTime is how often the devices of a user are notified at most of logins with a password that
// an admin chose.
const givenTime = 10 * time.Minute

// AddPasswordLink creates a password link for the user and returns its code, which cannot be read
// again. It replaces the user's link, if there is one. maker is the admin who makes it, in the
// session or token by, which may be empty; without a maker it is made with the admin token.
// AddPasswordLink returns ErrNotFound if there is no such user, and ErrDenied if by has ended.
func (s Logins) AddPasswordLink(user, maker, by string, now time.Time) (Invite, string, error) {
	return s.addPasswordLink(inviteRow{User: maker, By: by, Created: now}, func(tx *table.Tx) (id, userRow, error) {
		row, err := getUser(tx, user)
		return id(user), row, err
	}, byAdminToken)
}

// AddPasswordLinkOnServer is AddPasswordLink for the user of that name, by somebody who may run
// commands on the server.
func (s Logins) AddPasswordLinkOnServer(name string, now time.Time) (Invite, string, error) {
	return s.addPasswordLink(inviteRow{Created: now}, func(tx *table.Tx) (id, userRow, error) { return userNamed(tx, name) }, onServer)
}

// addPasswordLink creates the link for the user that find returns. without is the case of
// codePasswordLink if no user makes it.
func (c *core) addPasswordLink(row inviteRow, find func(*table.Tx) (id, userRow, error), without string) (Invite, string, error) {
	row.ID, row.For, row.Expires = newID(), InviteForPassword, row.Created.Add(InviteForPassword.Lifetime())
	row.Told = attentionID(row.Created, row.ID)
	code := rand.Text()
	err := c.updateQueues(row.Created, func(set *queueSet) error {
		user, u, err := find(set.tx)
		if err != nil {
			return err
		}
		reason := idlepush.Reason{Code: codePasswordLink}.With(codes.Case, without)
		if row.User != "" {
			maker, _, err := checkMaker(set.tx, row.User, row.By, row.Created)
			if err != nil {
				return err
			}
			row.Era, reason = maker.Era, idlepush.Reason{Code: codePasswordLink}.With("admin", maker.Name)
		}
		if err := removePasswordLink(set.tx, user); err != nil {
			return err
		}
		row.Person, row.PersonEra = string(user), u.Era
		if err := invites.Put(set.tx, digestOf(code), row); err != nil {
			return err
		}
		return tellUser(set, user, reason, row.ID)
	})
	if err != nil {
		return Invite{}, "", err
	}
	return inviteOf(row), code, nil
}

// removePasswordLink removes the user's password link, if there is one.
func removePasswordLink(tx *table.Tx, user id) error {
	k, found, err := passwordLinks.Get(tx, user)
	if err != nil || !found {
		return err
	}
	return invites.Delete(tx, k)
}

// SetPassword sets the password of the user whom a password link is for, and begins a session. The
// new password ends what UpdateOwn says, and devices likewise, if that is set. It notifies the
// user's devices, or adds a notice for the user if no device is left. SetPassword returns
// ErrNotFound like Invite, and for other invites. It returns ErrNotTold if the user's devices have
// not yet got the notification about the link.
func (s Logins) SetPassword(code, plain string, devices bool, v Visit, now time.Time) (u idlepush.User, session string, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		i, _, err := passwordLink(tx, code, now)
		if err != nil {
			return err
		}
		return checkTold(tx, id(i.Person), i.Told, now)
	})
	if err != nil {
		return idlepush.User{}, "", err
	}
	hashed, done := s.newPassword(plain), false
	session = newToken()
	var user id
	err = s.updateQueues(now, func(set *queueSet) error {
		i, row, err := passwordLink(set.tx, code, now)
		if err != nil {
			return err
		}
		user = id(i.Person)
		if err := invites.Delete(set.tx, digestOf(code)); err != nil {
			return err
		}
		reason := idlepush.Reason{Code: codePasswordSet}
		row.endNotices(codePasswordLink, "")
		if devices { // which are removed
			row.addNotice(notice{now, reason})
		}
		if err := putPassword(set.tx, user, &row, hashed); err != nil {
			return err
		}
		u = row.user(user)
		if err := beginSession(set.tx, session, user, row, v, "", now, now); err != nil {
			return err
		}
		if !devices {
			if err := tellUser(set, user, reason, i.ID, "set"); err != nil {
				return err
			}
		}
		done, err = endOld(set.tx, set.opsLeft, user, devices)
		return err
	})
	if err == nil && !done {
		err = s.inSteps(func(tx *table.Tx) (bool, error) { return endOld(tx, tx.Left, user, devices) })
	}
	if err != nil {
		return idlepush.User{}, "", err
	}
	return u, session, nil
}

// passwordLink returns the password link of a code, and the user whom it is for, or ErrNotFound.
func passwordLink(tx *table.Tx, code string, now time.Time) (inviteRow, userRow, error) {
	i, _, person, err := invite(tx, code, now)
	if err == nil && i.For != InviteForPassword {
		err = ErrNotFound
	}
	return i, person, err
}

// checkTold returns ErrNotTold if a device of the user has yet to get the notification. It does not
// wait for devices that are suspect, nor longer than tellingTime.
func checkTold(tx *table.Tx, user id, stable string, now time.Time) error {
	n, found, err := byStableID.Row(tx, stableKey{user, stable})
	if err != nil || !found || now.Sub(n.Value.At).Abs() >= tellingTime {
		return err
	}
	rows, err := deliveries.First(tx, table.Under(deliveryPrefix(n.Key)), table.NoLimit)
	if err != nil {
		return err
	}
	untold := n.Value.Unqueued
	for _, d := range rows {
		if d.Value.State == idlepush.DeliveryPending {
			untold = append(untold, string(d.Key.device))
		}
	}
	for _, device := range untold {
		q, found, err := queues.Get(tx, id(device))
		if err != nil {
			return err
		}
		if found && q.Status.State != idlepush.StateSuspect {
			return ErrNotTold
		}
	}
	return nil
}

// tellOfGiven notifies the user's devices that somebody logs in with a password that an admin
// chose, and returns ErrNotTold until they have got that. It does nothing for a user without
// devices.
func (c *core) tellOfGiven(user id, given password, now time.Time) error {
	stable := stableID(string(idlepush.KindAttention), string(user), string(codePasswordGiven), now.UTC().Truncate(givenTime).String())
	told := false
	err := c.db.View(func(tx *table.Tx) error {
		own, err := devices.Keys(tx, table.Under(user), 1)
		if told = len(own) == 0; err != nil || told {
			return err
		}
		if _, told, err = byStableID.Get(tx, stableKey{user, stable}); err != nil || !told {
			return err
		}
		return checkTold(tx, user, stable, now)
	})
	if err != nil || told {
		return err
	}
	err = c.updateQueues(now, func(set *queueSet) error {
		u, err := getUser(set.tx, string(user))
		if errors.Is(err, ErrNotFound) || err == nil && !bytes.Equal(u.Password.Hash, given.Hash) {
			return ErrDenied
		}
		if err != nil {
			return err
		}
		_, found, err := byStableID.Get(set.tx, stableKey{user, stable})
		if err != nil || found {
			return err
		}
		_, err = set.notifyUserOnce(user, stable, idlepush.Reason{Code: codePasswordGiven}, "")
		return err
	})
	if err != nil {
		return err
	}
	return ErrNotTold
}

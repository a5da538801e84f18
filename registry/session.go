package registry

import (
	"time"

	"idlepush/registry/table"
)

// The limits of a session: how long it may be idle, and how long it may last. If the person stays
// signed in, a browser that is opened now and then keeps its session.
const (
	sessionIdle     = 12 * time.Hour
	SessionLifetime = 7 * 24 * time.Hour
	StayIdle        = 90 * 24 * time.Hour
	StayLifetime    = 365 * 24 * time.Hour
)

// usedStep is how exact Token.Used is: each step costs a commit.
const usedStep = 10 * time.Minute

// Visit is a browser in which a session begins.
type Visit struct {
	Name string // what to call it, such as "Firefox on Android"
	Stay bool   // the person wants to stay signed in there
}

// hasEnded reports whether the token of the user is no longer valid.
func (t tokenRow) hasEnded(u userRow, now time.Time) bool {
	idle := sessionIdle
	if t.Stay {
		idle = StayIdle
	}
	used := t.Used
	if used.IsZero() {
		used = t.Created
	}
	return !t.Expires.IsZero() && !now.Before(t.Expires) || t.Session && (now.Sub(used) >= idle || t.Era != u.SessionEra)
}

// beginSession creates a session of the user. It may end one that is not used any more.
func beginSession(tx *table.Tx, session string, user id, u userRow, v Visit, now time.Time) error {
	lifetime := SessionLifetime
	if v.Stay {
		lifetime = StayLifetime
	}
	if err := endUnusedSession(tx, user); err != nil {
		return err
	}
	return tokens.Put(tx, digestOf(session), tokenRow{ID: newID(), User: string(user), Name: v.Name, Scope: ScopeFull, Created: now,
		Expires: now.Add(lifetime), Session: true, Stay: v.Stay, Used: now, Era: u.SessionEra})
}

// markUsed writes that the session is in use.
func (s Users) markUsed(k digest, now time.Time) error {
	return s.db.Update(func(tx *table.Tx) error {
		t, _, err := liveToken(tx, k, now)
		if err != nil {
			return err
		}
		t.Used = now
		return tokens.Put(tx, k, t)
	})
}

// Sessions returns the user's sessions that have not ended, in no order.
func (s Users) Sessions(user string, now time.Time) (list []Token, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		u, found, err := users.Get(tx, id(user))
		if err != nil || !found {
			return err
		}
		rows, err := tokensOf.Rows(tx, table.Under(id(user)), table.NoLimit)
		for _, t := range rows {
			if t.Value.Session && !t.Value.hasEnded(u, now) {
				list = append(list, tokenOf(t.Value))
			}
		}
		return err
	})
	return list, err
}

// checkCreator returns the user for whom something is created. It returns ErrNotFound if there is
// no such user, and ErrDenied if session is not empty and has ended.
func checkCreator(tx *table.Tx, user, session string, now time.Time) (userRow, error) {
	u, err := getUser(tx, user)
	if err != nil || session == "" {
		return u, err
	}
	t, found, err := tokensID.Row(tx, id(session))
	if err == nil && (!found || t.Value.User != user || !t.Value.Session || t.Value.hasEnded(u, now)) {
		err = ErrDenied
	}
	return u, err
}

// RemoveSession ends the user's session of that id and removes the devices that were registered in
// it: a browser that is logged out gets no notifications. What does not fit one transaction takes
// several. It returns ErrNotFound if the user has no such session.
func (s Users) RemoveSession(user, session string) error {
	return s.inSteps(func(tx *table.Tx) (done bool, err error) { return removeSession(tx, id(user), session) })
}

// removeSession removes the devices of a session and then ends it. done reports whether all of that
// fitted the transaction.
func removeSession(tx *table.Tx, user id, session string) (done bool, err error) {
	t, err := sessionOf(tx, user, session)
	if err != nil {
		return false, err
	}
	own, err := devices.First(tx, table.Under(user), table.NoLimit)
	if err != nil {
		return false, err
	}
	for _, d := range own {
		if d.Value.Session != session {
			continue
		}
		if tx.Left() < 2*removalCost {
			return false, nil
		}
		if err := removeDevice(tx, d.Key); err != nil {
			return false, err
		}
	}
	return true, endSession(tx, user, t.Key)
}

// sessionOf returns the user's session of that id, or ErrNotFound.
func sessionOf(tx *table.Tx, user id, session string) (table.Row[digest, tokenRow], error) {
	t, found, err := tokensID.Row(tx, id(session))
	if err == nil && (!found || t.Value.User != string(user) || !t.Value.Session) {
		err = ErrNotFound
	}
	return t, err
}

// endSession ends a session of the user, and the user's invites for other browsers: whoever loses a
// session must not come back by an invite that was made in it.
func endSession(tx *table.Tx, user id, session digest) error {
	if err := tokens.Delete(tx, session); err != nil {
		return err
	}
	made, err := invitesOf.First(tx, table.Under(user), 1)
	if err != nil || len(made) == 0 {
		return err
	}
	u, err := getUser(tx, string(user))
	if err != nil {
		return err
	}
	u.InviteEra++
	return users.Put(tx, user, u)
}

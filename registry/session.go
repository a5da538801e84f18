package registry

import (
	"time"

	"idlepush"

	"idlepush/registry/table"
)

// The limits of a session: how long it may be idle, and how long it may last. If the person stays
// signed in, a browser that is opened now and then keeps its session.
const (
	sessionIdle     = 12 * time.Hour
	sessionLifetime = 7 * 24 * time.Hour
	stayIdle        = 90 * 24 * time.Hour
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
		idle = stayIdle
	}
	used := t.Used
	if used.IsZero() {
		used = t.Created
	}
	return !t.Expires.IsZero() && !now.Before(t.Expires) || t.Session && now.Sub(used) >= idle || t.Scope != idlepush.ScopeDevice && t.Era != u.Era
}

// beginSession creates a session of the user. by is what made the invite by which it begins, or the
// passkey; it is empty if it begins with the password. proved is zero, or now if the person gave
// the password or a passkey. It may end a session that is not used any more.
func beginSession(tx *table.Tx, session string, user id, u userRow, v Visit, by string, proved, now time.Time) error {
	lifetime := sessionLifetime
	if v.Stay {
		lifetime = StayLifetime
	}
	if err := endUnusedSession(tx, user); err != nil {
		return err
	}
	return tokens.Put(tx, digestOf(session), tokenRow{ID: newID(), User: string(user), By: by, Name: v.Name, Scope: idlepush.ScopeFull, Created: now,
		Expires: now.Add(lifetime), Session: true, Proved: proved, Stay: v.Stay, Used: now, Era: u.Era})
}

// markUsed writes that the session or token is in use.
func (c *core) markUsed(k digest, now time.Time) error {
	return c.db.Update(func(tx *table.Tx) error {
		t, _, err := liveToken(tx, k, now)
		if err != nil {
			return err
		}
		t.Used = now
		return tokens.Put(tx, k, t)
	})
}

// Sessions returns the user's sessions that have not ended, in no order.
func (s Logins) Sessions(user string, now time.Time) (list []Token, err error) {
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

package registry

import (
	"time"

	bolt "go.etcd.io/bbolt"
)

// The limits of a session: how long it may be idle, and how long it may last at all. Where a person stays signed in, a browser that is opened
// now and then keeps its session.
const (
	SessionIdle     = 12 * time.Hour
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

// ended reports whether the token is one no more.
func (t Token) ended(now time.Time) bool {
	idle := SessionIdle
	if t.Stay {
		idle = StayIdle
	}
	used := t.Used
	if used.IsZero() {
		used = t.Created
	}
	return !t.Expires.IsZero() && !now.Before(t.Expires) || t.Session && now.Sub(used) >= idle
}

// begin makes a session of the user and gives its secret.
func (s *Store) begin(tx *bolt.Tx, user string, v Visit, now time.Time) string {
	session, lifetime := newToken(), SessionLifetime
	if v.Stay {
		lifetime = StayLifetime
	}
	t := Token{ID: newID(), User: user, Name: v.Name, Scope: FullScope, Created: now, Expires: now.Add(lifetime),
		Session: true, Stay: v.Stay, Used: now}
	put(tx.Bucket(tokens), tokenHash(session), t)
	s.note(SessionChanged, t.ID, user)
	return session
}

// used notes that the session is in use.
func (s *Store) used(hash []byte, t *Token, now time.Time) error {
	return s.update(func(tx *bolt.Tx) error {
		found, err := get(tx.Bucket(tokens), hash, t)
		if err == nil && (!found || t.ended(now)) {
			err = ErrDenied
		}
		if err != nil {
			return err
		}
		t.Used = now
		put(tx.Bucket(tokens), hash, *t)
		return nil
	})
}

// Sessions gives the user's sessions that have not ended, in no order.
func (s *Store) Sessions(user string, now time.Time) (list []Token, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		_, err := tokensWhere(tx, func(t Token) bool {
			if t.User == user && t.Session && !t.ended(now) {
				list = append(list, t)
			}
			return false
		})
		return err
	})
	return list, err
}

// RemoveSession ends the user's session of that id and removes the device that was registered in it: a browser that is logged out does not ring.
// ErrNotFound: the user has none such.
func (s *Store) RemoveSession(user, id string) error {
	return s.update(func(tx *bolt.Tx) error {
		hashes, err := tokensWhere(tx, func(t Token) bool { return t.User == user && t.ID == id && t.Session })
		if err != nil {
			return err
		}
		if len(hashes) == 0 {
			return ErrNotFound
		}
		own, err := devicesOf(tx, user)
		if err != nil {
			return err
		}
		var there []Device
		for _, d := range own {
			if d.Session == id {
				d, err := s.device(tx, d.ID)
				if err != nil {
					return err
				}
				there = append(there, d)
			}
		}
		codes, err := invitesWhere(tx, forDevicesOf(user))
		if err != nil {
			return err
		}
		must(tx.Bucket(tokens).Delete(hashes[0]))
		s.note(SessionChanged, id, user)
		s.takeBack(tx, codes)
		for _, d := range there {
			if err := s.removeDevice(tx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

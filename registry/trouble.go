package registry

import (
	"errors"
	"maps"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Trouble is something broken that concerns a user as long as it lasts, but no single account or
// device: a disk that is nearly full, a push service that is down.
type Trouble struct {
	User    string
	Key     string   // tells it from the user's other troubles, and stays the same while it lasts
	Devices []string // ids of those to notify; empty: none for now
	idlepush.Reason
}

// SetTroubles sets the troubles that last now. It notifies each user of each once, as soon as there
// is a device for it, and ends the notifications about all others; see Withdraw. If nothing has
// changed it writes nothing. Otherwise it takes one or several transactions for each user.
func (s Users) SetTroubles(list []Trouble, now time.Time) error {
	of := make(map[id][]Trouble)
	for _, t := range list {
		of[id(t.User)] = append(of[id(t.User)], t)
	}
	var changed []id
	err := s.db.View(func(tx *table.Tx) error {
		rows, err := users.First(tx, table.Range{}, table.NoLimit)
		for _, u := range rows {
			if over, fresh := u.Value.compareTroubles(of[u.Key]); len(over)+len(fresh) > 0 {
				changed = append(changed, u.Key)
			}
		}
		return err
	})
	for _, user := range changed {
		failed := s.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) { return set.setTroubles(user, of[user]) })
		err = errors.Join(err, failed) // damage at one user keeps nothing from the others
	}
	return err
}

// compareTroubles returns the keys of the troubles that the user was notified of and that are over,
// in order, and the troubles to notify of now.
func (row *userRow) compareTroubles(list []Trouble) (over []string, fresh []Trouble) {
	lasts := make(map[string]bool)
	for _, t := range list {
		lasts[t.Key] = true
		if row.Troubles[t.Key] == "" && len(t.Devices) > 0 {
			fresh = append(fresh, t)
		}
	}
	for _, about := range slices.Sorted(maps.Keys(row.Troubles)) {
		if !lasts[about] {
			over = append(over, about)
		}
	}
	return over, fresh
}

// setTroubles ends the notifications about troubles that are over, and notifies of one other
// trouble. done reports whether that was the last.
func (s *queueSet) setTroubles(user id, list []Trouble) (done bool, err error) {
	u, err := getUser(s.tx, string(user))
	if errors.Is(err, ErrNotFound) {
		return true, nil // removed since
	}
	if err != nil {
		return false, err
	}
	s.reserved = overCost
	over, fresh := u.compareTroubles(list)
	if u.Troubles = maps.Clone(u.Troubles); u.Troubles == nil {
		u.Troubles = make(map[string]string)
	}
	for _, about := range over {
		u.endTold(u.Troubles[about])
		delete(u.Troubles, about)
	}
	told := false
	for ; len(fresh) > 0 && !told; fresh = fresh[1:] {
		if told, err = s.tellTrouble(&u, fresh[0]); err != nil {
			return false, err
		}
	}
	if len(over) == 0 && !told {
		return true, nil
	}
	return len(fresh) == 0, users.Put(s.tx, user, u)
}

// tellTrouble notifies the user of a trouble, unless the devices for it are the user's no more.
func (s *queueSet) tellTrouble(u *userRow, t Trouble) (told bool, err error) {
	on, err := devices.Keys(s.tx, table.Under(id(t.User)), table.NoLimit)
	on = slices.DeleteFunc(on, func(k deviceKey) bool { return !slices.Contains(t.Devices, string(k.device)) })
	if err != nil || len(on) == 0 {
		return false, err
	}
	stable := attentionID(s.now, t.User, t.Key)
	u.Troubles[t.Key] = stable
	return true, s.notifyOn(on, id(t.User), stable, t.Reason)
}

package registry

import (
	"errors"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// A credential is a session, a token or an invite: its secret lets in. A credential
// or device that was made by a session or token keeps its id, in By. A session that began by an
// invite counts as made by what made the invite, and one that began by a passkey as made by that.
// Passkeys keep what made them, too. By is empty if something was made with a password, the setup
// token, the admin token or an invite of another person.
//
// Ending a session, token or passkey also ends all that it made, directly or not. A session that
// is too old or unused, or is logged out, ends no other session or token, and no passkey. Its row
// stays as long as something that it made lives, or that counts as made by its maker. That way
// a later end of the maker reaches all of them.

// checkMaker returns the user for whom something is created, and the session or token by which it
// is, or a zero row if by is empty. It returns ErrNotFound if there is no such user, and ErrDenied
// if by has ended.
func checkMaker(tx *table.Tx, user, by string, now time.Time) (userRow, tokenRow, error) {
	u, err := getUser(tx, user)
	if err != nil || by == "" {
		return u, tokenRow{}, err
	}
	t, found, err := tokensID.Row(tx, id(by))
	if err == nil && (!found || t.Value.User != user || t.Value.hasEnded(u, now)) {
		err = ErrDenied
	}
	return u, t.Value, err
}

// Check returns ErrNotFound if there is no such user, and ErrDenied if the session or token has
// ended.
func (s Logins) Check(user, token string, now time.Time) error {
	return s.db.View(func(tx *table.Tx) error {
		_, _, err := checkMaker(tx, user, token, now)
		return err
	})
}

// checkAsker returns ErrDenied if the session or token that asks has ended, unless it is empty.
func checkAsker(tx *table.Tx, user, by string, now time.Time) error {
	if by == "" {
		return nil
	}
	_, _, err := checkMaker(tx, user, by, now)
	return err
}

// tokenOfUser returns the user's session or token of that id, or ErrNotFound.
func tokenOfUser(tx *table.Tx, user id, token string) (table.Row[digest, tokenRow], error) {
	t, found, err := tokensID.Row(tx, id(token))
	if err == nil && (!found || t.Value.User != string(user)) {
		err = ErrNotFound
	}
	return t, err
}

// endToken removes a session or token and all that was made by it, directly or not. It spares the
// session or token keep, which may be empty, and what keep has made: removing the session by which
// one's own was made logs nobody out. keep then counts as made by what made the other. done
// reports whether all of that fitted the transaction. If not, the session or token is still there,
// and the next transaction goes on.
func endToken(tx *table.Tx, t table.Row[digest, tokenRow], keep string) (done bool, err error) {
	if done, err := endMade(tx, t.Value, keep); err != nil || !done {
		return false, err
	}
	return true, tokens.Delete(tx, t.Key)
}

// endMade ends what endToken ends, but not the session or token itself. t may also stand for a
// passkey, with its id.
func endMade(tx *table.Tx, t tokenRow, keep string) (done bool, err error) {
	if done, err := removeMade(tx, t); err != nil || !done {
		return false, err
	}
	if done, err := endPasskeysBy(tx, t, t.ID); err != nil || !done {
		return false, err
	}
	for {
		made, err := madeBy(tx, t)
		if err != nil || len(made) == 0 {
			return err == nil, err
		}
		if tx.Left() < 2*removalCost {
			return false, nil
		}
		first := made[0]
		if first.Value.ID == keep {
			first.Value.By = t.By
			if err := tokens.Put(tx, first.Key, first.Value); err != nil {
				return false, err
			}
			continue
		}
		// What it made follows it up to t, so that nothing is out of reach when it is gone.
		if done, err := removeMade(tx, first.Value); err != nil || !done {
			return false, err
		}
		if done, err := endPasskeysBy(tx, first.Value, t.ID); err != nil || !done {
			return false, err
		}
		if done, err := handDown(tx, tx.Left, first.Value, t.ID); err != nil || !done {
			return false, err
		}
		if err := tokens.Delete(tx, first.Key); err != nil {
			return false, err
		}
	}
}

// madeBy returns the first session or token that the token has made, if there is one.
// An entry of the index may lead to none, after damage.
func madeBy(tx *table.Tx, t tokenRow) ([]table.Row[digest, tokenRow], error) {
	list, err := tokensOf.First(tx, table.Under(makerKey{id(t.User), id(t.ID)}), table.NoLimit)
	for _, e := range list {
		row, found, err := tokens.Get(tx, e.Key)
		if err != nil || found && row.User == t.User && row.By == t.ID {
			return []table.Row[digest, tokenRow]{{Key: e.Key, Value: row}}, err
		}
	}
	return nil, err
}

// hasMade reports whether something that the token has made is there.
func hasMade(tx *table.Tx, t tokenRow) (bool, error) {
	made, err := madeBy(tx, t)
	if err != nil || len(made) > 0 {
		return len(made) > 0, err
	}
	own, err := devicesBy(tx, t)
	if err != nil || len(own) > 0 {
		return len(own) > 0, err
	}
	open, err := invitesOf.First(tx, table.Under(makerKey{id(t.User), id(t.ID)}), 1)
	if err != nil || len(open) > 0 {
		return len(open) > 0, err
	}
	u, _, err := users.Get(tx, id(t.User))
	return len(passkeysBy(u, t.ID)) > 0, err
}

// handDownAll changes what made all that the session or token has made: to what made that. left is
// what tx.Left is worth to the caller.
func handDownAll(tx *table.Tx, left func() int, t tokenRow) (done bool, err error) {
	own, err := devicesBy(tx, t)
	for _, k := range own {
		if err != nil || left() < 2*removalCost {
			return false, err
		}
		var d deviceRow
		if d, _, err = devices.Get(tx, k); err == nil {
			d.By = t.By
			err = devices.Put(tx, k, d)
		}
	}
	if err == nil {
		err = handDownPasskeys(tx, t)
	}
	if err != nil {
		return false, err
	}
	return handDown(tx, left, t, t.By)
}

// handDown changes what made the sessions and tokens that were made by the token: to another token,
// or to nothing if by is empty. left is what tx.Left is worth to the caller.
func handDown(tx *table.Tx, left func() int, t tokenRow, by string) (done bool, err error) {
	for {
		made, err := madeBy(tx, t)
		if err != nil || len(made) == 0 {
			return err == nil, err
		}
		if left() < 2*removalCost {
			return false, nil
		}
		made[0].Value.By = by
		if err := tokens.Put(tx, made[0].Key, made[0].Value); err != nil {
			return false, err
		}
	}
}

// removeMade removes the devices and invites that were made by the token.
func removeMade(tx *table.Tx, t tokenRow) (done bool, err error) {
	own, err := devicesBy(tx, t)
	if err != nil {
		return false, err
	}
	for _, d := range own {
		if tx.Left() < 2*removalCost {
			return false, nil
		}
		if err := removeDevice(tx, d); err != nil {
			return false, err
		}
	}
	made, err := invitesOf.First(tx, table.Under(makerKey{id(t.User), id(t.ID)}), table.NoLimit)
	for _, i := range made {
		if err != nil || tx.Left() < 2*removalCost {
			return false, err
		}
		err = invites.Delete(tx, i.Key)
	}
	return err == nil, err
}

// devicesBy returns the devices that were registered last by the session or token.
func devicesBy(tx *table.Tx, t tokenRow) (list []deviceKey, err error) {
	own, err := devices.First(tx, table.Under(id(t.User)), table.NoLimit)
	for _, d := range own {
		if d.Value.By == t.ID {
			list = append(list, d.Key)
		}
	}
	return list, err
}

// endTokenOf ends what the removal of a device of the user ends, because it was registered by that:
// a session or a token of device scope. It spares keep as endToken does. It returns the id of what
// it could not end in the transaction, or "".
func endTokenOf(tx *table.Tx, user id, by, keep string) (left string, err error) {
	if by == "" || by == keep {
		return "", nil
	}
	t, err := tokenOfUser(tx, user, by)
	if errors.Is(err, ErrNotFound) {
		return "", nil // it ended before
	}
	if err != nil || t.Value.Scope != idlepush.ScopeDevice && !t.Value.Session {
		return "", err
	}
	done, err := endToken(tx, t, keep)
	if !done {
		left = by
	}
	return left, err
}

// replaceMaker ends the token of device scope that had the device before another session or token
// of its user registered it: it could register a second one otherwise.
func replaceMaker(tx *table.Tx, d, old idlepush.Device) error {
	if old.By == "" || old.By == d.By || old.User != d.User {
		return nil
	}
	t, err := tokenOfUser(tx, id(old.User), old.By)
	if errors.Is(err, ErrNotFound) || err == nil && t.Value.Scope != idlepush.ScopeDevice {
		return nil
	}
	if err != nil {
		return err
	}
	return tokens.Delete(tx, t.Key)
}

// endOld removes what ends with a new password: the user's sessions and tokens of full scope of
// another era, and the tokens of device scope that have no device. What they have made and does not
// end counts as made by the passkey by which they began, if there is one. If all is set, it removes
// all devices and all tokens of device scope. left is what tx.Left is worth to the caller.
func endOld(tx *table.Tx, left func() int, user id, all bool) (done bool, err error) {
	u, err := getUser(tx, string(user))
	if err != nil {
		return false, err
	}
	own, err := devices.First(tx, table.Under(user), table.NoLimit)
	if err != nil {
		return false, err
	}
	used := make(map[string]bool)
	for _, d := range own {
		if used[d.Value.By] = true; !all {
			continue
		}
		if left() < 2*removalCost {
			return false, nil
		}
		if err := removeDevice(tx, d.Key); err != nil {
			return false, err
		}
	}
	list, err := tokensOf.First(tx, table.Under(user), table.NoLimit)
	for _, e := range list {
		if err != nil || left() < 2*removalCost {
			return false, err
		}
		var t tokenRow
		if t, _, err = tokens.Get(tx, e.Key); err != nil {
			return false, err
		}
		isOld := t.Era != u.Era && t.Scope != idlepush.ScopeDevice
		if isOld {
			if done, err := handDownAll(tx, left, t); err != nil || !done {
				return false, err
			}
		}
		if isOld || t.Scope == idlepush.ScopeDevice && (all || !used[t.ID]) {
			err = tokens.Delete(tx, e.Key)
		}
	}
	return err == nil, err
}

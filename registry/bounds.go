package registry

import (
	"fmt"
	"slices"
	"time"

	"idlepush/registry/table"
)

// The most that one user may have. Whatever an admin creates for a user counts for that user.
const (
	maxDevices  = 50
	maxAccounts = 50 // that the user owns
	maxTokens   = 50 // sessions do not count
	maxInvites  = 20 // that can be accepted
)

// maxLogins bounds the tokens and sessions of a user together. It is above maxTokens and maxDevices
// together, so that there is a session without a device, which can end.
const maxLogins = 150

// FullError reports that the user has as many as one may have.
type FullError struct{ Max int }

func (e *FullError) Error() string { return fmt.Sprintf("the user has %d already", e.Max) }

// bounds holds the most of each that a user may have, and how many mails of an account are kept in
// a day; 0: any number.
type bounds struct{ devices, accounts, tokens, invites, mails int }

// defaultBounds are those of every store. Only tests of large stores have others.
var defaultBounds = bounds{maxDevices, maxAccounts, maxTokens, maxInvites, maxDaily}

// checkBound returns a FullError if the user has as many as most. count returns how many the user
// has.
func checkBound(tx *table.Tx, most int, user string, count func(*table.Tx, id) (int, error)) error {
	if most == 0 {
		return nil
	}
	n, err := count(tx, id(user))
	if err == nil && n >= most {
		err = &FullError{most}
	}
	return err
}

func countDevices(tx *table.Tx, user id) (int, error) {
	keys, err := devices.Keys(tx, table.Under(user), table.NoLimit)
	return len(keys), err
}

func countAccounts(tx *table.Tx, user id) (n int, err error) {
	rows, err := accountsOf.Rows(tx, table.Under(user), table.NoLimit)
	for _, a := range rows {
		if a.Value.Owner == string(user) {
			n++
		}
	}
	return n, err
}

func countTokens(tx *table.Tx, user id) (n int, err error) {
	rows, err := tokensOf.Rows(tx, table.Under(user), table.NoLimit)
	for _, t := range rows {
		if !t.Value.Session {
			n++
		}
	}
	return n, err
}

// countInvites returns a function that counts the invites of a user that can be accepted now.
func countInvites(u userRow, now time.Time) func(*table.Tx, id) (int, error) {
	return func(tx *table.Tx, user id) (n int, err error) {
		rows, err := invitesOf.Rows(tx, table.Under(user), table.NoLimit)
		for _, i := range rows {
			// There is one password link for each user at most.
			if i.Value.For != InviteForPassword && !i.Value.hasEnded(u, true, now) {
				n++
			}
		}
		return n, err
	}
}

// endUnusedSession ends a session of the user if there are maxLogins. It is the one that was used
// the longest ago of those that have made nothing: a browser that rings stays logged in.
// Of so many that not all fit the transaction, it looks at some.
func endUnusedSession(tx *table.Tx, user id) error {
	logins, err := tokensOf.First(tx, table.Under(user), table.NoLimit)
	if err != nil || len(logins) < maxLogins {
		return err
	}
	own, err := devices.First(tx, table.Under(user), table.NoLimit)
	if err != nil {
		return err
	}
	rows, err := tokensOf.Rows(tx, table.Under(user), tx.Left()-2*removalCost)
	if err != nil {
		return err
	}
	u, _, err := users.Get(tx, user)
	if err != nil {
		return err
	}
	made := make(map[string]bool)
	for _, d := range own {
		made[d.Value.By] = true
	}
	for _, t := range rows {
		made[t.Value.By] = true
	}
	for _, k := range u.Passkeys {
		made[k.By] = true
	}
	rows = slices.DeleteFunc(rows, func(t table.Row[digest, tokenRow]) bool { return !t.Value.Session || made[t.Value.ID] })
	if len(rows) == 0 {
		return nil
	}
	unused := slices.MinFunc(rows, func(a, b table.Row[digest, tokenRow]) int { return a.Value.Used.Compare(b.Value.Used) })
	return tokens.Delete(tx, unused.Key)
}

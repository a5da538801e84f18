package registry

import (
	"time"

	"idlepush/registry/table"
)

// Guess counts a try of a user's password, so that a restart gives no new tries. paid is the time
// up to which the tries so far are paid for, or zero. spend returns that time with one more try,
// and for how long the user has to wait first; Guess keeps the one and returns the other. It
// returns ErrNotFound if there is no such user.
func (s Logins) Guess(user string, spend func(paid time.Time) (time.Time, time.Duration)) (wait time.Duration, err error) {
	err = s.db.Update(func(tx *table.Tx) error {
		if _, err := getUser(tx, user); err != nil {
			return err
		}
		row, _, err := guesses.Get(tx, id(user))
		if err != nil {
			return err
		}
		var paid time.Time
		if paid, wait = spend(row.Paid); paid.Equal(row.Paid) {
			return nil
		}
		return guesses.Put(tx, id(user), guessRow{paid})
	})
	return wait, err
}

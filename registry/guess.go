package registry

import (
	"cmp"
	"time"

	"idlepush/registry/table"
)

// strangerGuess is the key of the row for tries of names that nobody has.
const strangerGuess id = "nobody"

// Guess counts a try of a user's password, so that a restart gives no new tries. paid is the time
// up to which the tries so far are paid for, or zero. spend returns that time with one more try,
// and for how long the user has to wait first; Guess keeps the one and returns the other. It
// returns ErrNotFound if there is no such user. If user is empty, because nobody has the name that
// was given, it takes as long and keeps what counts for nobody.
func (s Logins) Guess(user string, spend func(paid time.Time) (time.Time, time.Duration)) (wait time.Duration, err error) {
	err = s.db.Update(func(tx *table.Tx) error {
		if _, err := getUser(tx, user); err != nil && user != "" {
			return err
		}
		user := cmp.Or(id(user), strangerGuess)
		row, _, err := guesses.Get(tx, user)
		if err != nil {
			return err
		}
		var paid time.Time
		if paid, wait = spend(row.Paid); paid.Equal(row.Paid) {
			return nil
		}
		return guesses.Put(tx, user, guessRow{paid})
	})
	return wait, err
}

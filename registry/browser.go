package registry

import (
	"errors"
	"slices"
	"strings"

	"idlepush/registry/table"
)

// maxBrowsers is how many browsers are remembered of one user.
const maxBrowsers = 20

// Recognize returns the id of the user with that name, or "" if nobody has it. known reports
// whether the user has logged in with the browser that has the secret.
func (s Logins) Recognize(name, browser string) (user string, known bool, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		k, row, err := userNamed(tx, name)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		user, known = string(k), browser != "" && slices.Contains(row.Browsers, digestOf(browser))
		return err
	})
	return user, known, err
}

// Remember notes that the user has logged in with the browser that has the secret, and returns the
// secret. It makes a new one if that is not of the form that it makes. Of too many browsers it
// forgets the one with which the user has not logged in for longest. It returns ErrNotFound if
// there is no such user.
func (s Logins) Remember(user, browser string) (string, error) {
	if form := newToken(); len(browser) != len(form) || !strings.HasPrefix(browser, tokenPrefix) {
		browser = form
	}
	err := s.db.Update(func(tx *table.Tx) error {
		row, err := getUser(tx, user)
		if err != nil {
			return err
		}
		known := digestOf(browser)
		others := slices.DeleteFunc(slices.Clone(row.Browsers), func(other digest) bool { return other == known })
		row.Browsers = append(others[max(0, len(others)+1-maxBrowsers):], known)
		return users.Put(tx, id(user), row)
	})
	return browser, err
}

package registry

import (
	"sync"

	"idlepush/registry/table"
)

// unreadCounts knows how many mails are unread in the accounts of users, so that a push need not
// read that. It reads the accounts of a user at the first call for them, and then follows the
// commits.
type unreadCounts struct {
	mu      sync.Mutex
	changes int                // of accounts and standings that it has followed
	users   map[id]map[id]*int // by user and account, of the enabled ones; nil: not known
	viewers map[id]map[id]bool // by account: those of the users who see it
}

func newUnreadCounts() *unreadCounts {
	return &unreadCounts{users: make(map[id]map[id]*int), viewers: make(map[id]map[id]bool)}
}

// watch follows the commits of db.
func (u *unreadCounts) watch(db *table.DB) {
	accounts.Watch(db, func(_ id, before, after *accountRow) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.changes++
		for _, row := range []*accountRow{before, after} {
			if row != nil {
				u.forget(row.viewers())
			}
		}
	})
	standings.Watch(db, func(account id, _, after *standingRow) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.changes++
		for user := range u.viewers[account] {
			if u.users[user][account] = nil; after != nil {
				u.users[user][account] = after.Unread
			}
		}
	})
}

func (u *unreadCounts) forget(users []string) {
	for _, user := range users {
		for account := range u.users[id(user)] {
			if delete(u.viewers[account], id(user)); len(u.viewers[account]) == 0 {
				delete(u.viewers, account)
			}
		}
		delete(u.users, id(user))
	}
}

// seen returns how much it has followed: what a later transaction reads is no older.
func (u *unreadCounts) seen() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changes
}

// sum returns how many mails are unread in all accounts that notify the device, or nil if that is
// not known of any. seen is of before the transaction.
func (u *unreadCounts) sum(tx *table.Tx, d table.Row[deviceKey, deviceRow], seen int) (*int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	counts, found := u.users[d.Key.user]
	if !found {
		var err error
		if counts, err = readUnread(tx, d.Key.user); err != nil {
			return nil, err
		}
		if u.changes == seen { // else the transaction may be older
			u.remember(d.Key.user, counts)
		}
	}
	return d.Value.unread(counts), nil
}

func (u *unreadCounts) remember(user id, counts map[id]*int) {
	u.users[user] = counts
	for account := range counts {
		if u.viewers[account] == nil {
			u.viewers[account] = make(map[id]bool)
		}
		u.viewers[account][user] = true
	}
}

func (row deviceRow) unread(counts map[id]*int) (sum *int) {
	for account, n := range counts {
		if n == nil || !row.isNotifiedOf(account) {
			continue
		}
		if sum == nil {
			sum = new(int)
		}
		*sum += *n
	}
	return sum
}

// readUnread returns the counts of the enabled accounts that the user sees; nil: unknown.
func readUnread(tx *table.Tx, user id) (map[id]*int, error) {
	seen, err := accountsOf.Rows(tx, table.Under(user), table.NoLimit)
	if err != nil {
		return nil, err
	}
	counts := make(map[id]*int)
	for _, a := range seen {
		if !a.Value.Enabled {
			continue
		}
		known, _, err := standings.Get(tx, a.Key)
		if err != nil {
			return nil, err
		}
		counts[a.Key] = known.Unread
	}
	return counts, nil
}

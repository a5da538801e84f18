package registry

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// Remove removes the account with its cursors and its grant, and notifies each person with whom it
// is shared; see [CodeShareEnded]. What waits for it is not sent. The next Purge removes its
// activity. What does not fit one transaction takes several, and each notifies those who stop
// seeing the account in it.
func (s Accounts) Remove(account string, now time.Time) error {
	return s.remove(account, now, nil)
}

// RemoveByAdmin is Remove for the admin token, which tells the owner first.
func (s Accounts) RemoveByAdmin(account string, now time.Time) error {
	return s.remove(account, now, tellMailboxRemoved)
}

func (s Accounts) remove(account string, now time.Time, by teller) error {
	told := false
	return s.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		row, err := accountRowOf(set.tx, account)
		if errors.Is(err, ErrNotFound) {
			if _, err = damagedAccount(set.tx, account); err == nil {
				return removeDamagedAccount(set.tx, id(account))
			}
		}
		if err != nil {
			return false, err
		}
		if !told {
			if err := by.tell(set, accountOf(id(account), row, standingRow{}), row.Owner); err != nil {
				return false, err
			}
			told = true
		}
		return removeAccount(set, id(account), row)
	})
}

// What the end of one share reads and writes at most: the devices of the person, the notification,
// which may be in one queue or in none, an index key of the account, and the end of its attention.
const shareCost = 1 + notificationCost + queueCost + deliveryCost + 2 + 1 + overCost

// removeAccount removes an account with its cursors, shares and offers. done reports whether all of
// that fitted the transaction. If not, a part is removed and the account is disabled, so that
// nothing watches it without its cursors.
func removeAccount(set *queueSet, account id, row accountRow) (done bool, err error) {
	folders, err := cursors.Keys(set.tx, table.Under(account), table.NoLimit)
	if err != nil {
		return false, err
	}
	set.reserved = removalCost + 1 + overCost
	defer func() { set.reserved = 0 }()
	for len(row.Offers) > 0 && set.opsLeft() >= 2 {
		row.Offers = row.Offers[1:]
		set.reserved += 2 // the index key
	}
	for len(row.SharedWith) > 0 && set.opsLeft() >= shareCost {
		if err := notifyShareEnded(set, account, row, row.SharedWith[0].User); err != nil {
			return false, err
		}
		row.SharedWith = row.SharedWith[1:]
		set.reserved += 2 // the index key
	}
	fit := max(0, min(len(folders), set.opsLeft()))
	for _, k := range folders[:fit] {
		if err := cursors.Delete(set.tx, k); err != nil {
			return false, err
		}
	}
	if len(row.Offers) > 0 || len(row.SharedWith) > 0 || fit < len(folders) {
		row.Enabled, row.Revision = false, row.Revision+1
		return false, accounts.Put(set.tx, account, row)
	}
	if err := endAttention(set.tx, account, row.Owner); err != nil {
		return false, err
	}
	return true, errors.Join(standings.Delete(set.tx, account), grants.Delete(set.tx, account), accounts.Delete(set.tx, account))
}

// notifySharesEnded notifies those with whom the account is shared, if they are not among the
// people who keep it. It leaves the transaction room for so many reads and writes.
func notifySharesEnded(set *queueSet, account string, row accountRow, people []string, room int) error {
	ended := slices.DeleteFunc(row.sharers(), func(user string) bool { return slices.Contains(people, user) })
	defer func() { set.reserved = 0 }()
	for i, user := range ended {
		set.reserved = room + (len(ended)-i-1)*shareCost
		if err := notifyShareEnded(set, id(account), row, user); err != nil {
			return err
		}
	}
	return nil
}

// notifyShareEnded notifies a person that an account is removed, or becomes another mailbox, which
// was shared with the person. The notification has all that it takes to add the mailbox again, but
// not its password.
func notifyShareEnded(set *queueSet, account id, row accountRow, user string) error {
	reason := idlepush.Reason{Code: CodeShareEnded}.With(codes.Account, row.Email).With("host", row.Host).With("port", strconv.Itoa(row.Port)).
		With("security", string(row.Security)).With("username", row.Username)
	if row.OAuth != "" {
		reason = reason.With(codes.Case, byConsent)
	}
	if _, err := set.notifyUser(id(user), reason, string(account), user); err != nil {
		return err
	}
	return endAttention(set.tx, account, user)
}

// endAttention ends the attention about an account for a user, who is to see the account no more.
func endAttention(tx *table.Tx, account id, user string) error {
	s, _, err := standings.Get(tx, account)
	if err != nil || s.Told == "" {
		return err
	}
	return changeUser(tx, id(user), func(u *userRow) { u.endTold(s.Told) })
}

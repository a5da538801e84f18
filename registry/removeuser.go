package registry

import (
	"errors"
	"idlepush/registry/table"
	"time"
)

// Remove removes a user with all accounts, devices, tokens, sessions, invites and the password
// link, and from the accounts of others. It notifies each person with whom an account of the user
// is shared; see [CodeShareEnded]. If it takes several transactions, the user is removed last. The
// next Purge removes the activity. Remove returns ErrLast if nobody else is an admin.
func (s Users) Remove(user string, now time.Time) error {
	return s.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		row, found, err := users.Unverified(set.tx, id(user))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return false, err
		}
		if row.Admin {
			if err := checkOtherAdmin(set.tx, user); err != nil {
				return false, err
			}
		}
		for _, remove := range []func(*queueSet, id) (bool, error){removeTokens, removeInvites, withdrawOffers, leaveAccounts, removeDevices} {
			if done, err = remove(set, id(user)); err != nil || !done {
				return false, err
			}
		}
		return true, errors.Join(guesses.Delete(set.tx, id(user)), users.Delete(set.tx, id(user)))
	})
}

// removalCost is what the removal of one thing of a user reads and writes at most, without the
// cursors and the people of an account.
const removalCost = 16

func removeTokens(set *queueSet, user id) (done bool, err error) {
	list, err := tokensOf.First(set.tx, table.Under(user), table.NoLimit)
	for _, e := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		err = tokens.Delete(set.tx, e.Key)
	}
	return err == nil, err
}

func removeInvites(set *queueSet, user id) (done bool, err error) {
	if err := removePasswordLink(set.tx, user); err != nil {
		return false, err
	}
	list, err := invitesOf.First(set.tx, table.Under(user), table.NoLimit)
	for _, e := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		err = invites.Delete(set.tx, e.Key)
	}
	return err == nil, err
}

// leaveAccounts removes the user's accounts, and the user from those of others.
func leaveAccounts(set *queueSet, user id) (done bool, err error) {
	list, err := accountsOf.First(set.tx, table.Under(user), table.NoLimit)
	if err != nil {
		return false, err
	}
	for _, e := range list {
		if set.opsLeft() < 3*removalCost {
			return false, nil
		}
		row, found, err := accounts.Get(set.tx, e.Key)
		if err != nil {
			return false, err
		}
		switch {
		case !found:
			if done, err := removeIfDamaged(set.tx, e.Key, user); err != nil || !done {
				return false, err
			}
		case row.Owner == string(user):
			if done, err := removeAccount(set, e.Key, row); err != nil || !done {
				return false, err
			}
		default:
			row.Revision++
			row.remove(string(user))
			if err := accounts.Put(set.tx, e.Key, row); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// offersAtOnce is how many offers withdrawOffers reads in one transaction, in which it can also
// remove them.
const offersAtOnce = 3

// withdrawOffers removes the offers to the user.
func withdrawOffers(set *queueSet, user id) (done bool, err error) {
	list, err := accountsFor.Rows(set.tx, table.Under(user), offersAtOnce)
	for _, a := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		a.Value.Revision++
		a.Value.withdraw(string(user))
		err = accounts.Put(set.tx, a.Key, a.Value)
	}
	if err == nil && len(list) == offersAtOnce {
		return false, nil
	}
	return err == nil, err
}

func removeDevices(set *queueSet, user id) (done bool, err error) {
	list, err := devices.Keys(set.tx, table.Under(user), table.NoLimit)
	for _, k := range list {
		if err != nil || set.opsLeft() < 2*removalCost {
			return false, err
		}
		err = removeDevice(set.tx, k)
	}
	return err == nil, err
}

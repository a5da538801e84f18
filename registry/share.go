package registry

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// askAgain is how long an owner can offer nothing to a person who has declined or left an account.
// As long, the owner's offers notify a person only once, unless one is accepted.
const askAgain = 7 * 24 * time.Hour

// RefusedError reports that a person has declined or left an account of the owner lately.
type RefusedError struct {
	User string
	From time.Time // from when the owner can make another offer
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("user %s declined or left an account of the owner lately", e.User)
}

// sharers returns the users with whom the account is shared.
func (row accountRow) sharers() (list []string) {
	for _, share := range row.SharedWith {
		list = append(list, share.User)
	}
	return list
}

// offeredTo returns the users to whom the account is offered.
func (row accountRow) offeredTo() (list []string) {
	for _, offer := range row.Offers {
		list = append(list, offer.User)
	}
	return list
}

// since returns the sequence after which the user sees the notifications of the account.
func (row accountRow) since(user string) uint64 {
	for _, share := range row.SharedWith {
		if share.User == user && row.Owner != user {
			return share.Since
		}
	}
	return 0
}

// SeenSince returns since when the user sees the mail of the account; zero: all of it. It returns
// ErrNotFound unless the user sees the account.
func (s Accounts) SeenSince(user, account string) (since time.Time, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		row, err := visibleRowOf(tx, user, account)
		if seq := row.since(user); seq > 0 {
			since = time.Unix(0, int64(seq)) // see notificationKey
		}
		return err
	})
	return since, err
}

// shareWith shares the account with these users only. Whoever is new sees the notifications from
// now on, and has no offer any more.
func (row *accountRow) shareWith(tx *table.Tx, people []string, now time.Time) error {
	before := row.SharedWith
	row.SharedWith = nil
	for _, user := range people {
		share := shareRow{User: user}
		if i := slices.IndexFunc(before, func(s shareRow) bool { return s.User == user }); i >= 0 {
			share = before[i]
		} else {
			var err error
			if share.Since, err = nextSequence(tx, now); err != nil {
				return err
			}
		}
		row.SharedWith = append(row.SharedWith, share)
		row.withdraw(user)
	}
	return nil
}

// withdraw removes the offer to the user, if there is one.
func (row *accountRow) withdraw(user string) {
	row.Offers = slices.DeleteFunc(slices.Clone(row.Offers), func(o offerRow) bool { return o.User == user })
}

// checkAsked returns a RefusedError if the owner must not ask the person yet.
func checkAsked(tx *table.Tx, owner, person string, now time.Time) (askedRow, error) {
	row, _, err := asked.Get(tx, askedKey{id(owner), id(person)})
	if err == nil && row.refuses(now) {
		err = &RefusedError{person, row.Refused.Add(askAgain)}
	}
	return row, err
}

// A time in the future is from before the clock was set back.
func (row askedRow) refuses(now time.Time) bool {
	return !row.Refused.IsZero() && now.Sub(row.Refused).Abs() < askAgain
}

func (row askedRow) wasTold(now time.Time) bool {
	return !row.Told.IsZero() && now.Sub(row.Told).Abs() < askAgain
}

// checkOffers returns a RefusedError if the owner must not make one of the new offers yet.
func (c *core) checkOffers(a idlepush.Account, now time.Time) error {
	return c.db.View(func(tx *table.Tx) error {
		row, _, err := accounts.Get(tx, id(a.ID))
		if err != nil {
			return err
		}
		for _, person := range a.OfferedTo {
			if slices.Contains(row.offeredTo(), person) && mailboxOf(row.Host, row.Username) == mailboxOf(a.Host, a.Username) || row.visible(person) {
				continue
			}
			if _, err := checkAsked(tx, a.Owner, person, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// What one offer reads and writes at most: the row of asked, an index key of the account, the
// devices of the person, and the notification in one queue or in none.
const offerCost = 3 + 2 + 1 + notificationCost + queueCost + deliveryCost

// offerTo is updateOffers for an account that was just written, and returns it with its offers. It
// returns ErrStale if it was edited since.
func offerTo(set *queueSet, a *idlepush.Account, people []string) (done bool, err error) {
	if slices.Equal(a.OfferedTo, people) {
		return true, nil
	}
	row, err := accountRowOf(set.tx, a.ID)
	if err == nil && row.Revision != a.Revision {
		err = ErrStale
	}
	if err != nil {
		return false, err
	}
	if row, done, err = updateOffers(set, a.ID, people); err == nil {
		a.Revision, a.OfferedTo = row.Revision, row.offeredTo()
	}
	return done, err
}

// updateOffers makes the offers of an account those to the given people. Those who see it already
// need none. It notifies each person with a new offer, see codeShareOffered, unless the owner has
// notified the person within askAgain, and nothing was accepted since. done reports whether all of
// that fitted the transaction.
func updateOffers(set *queueSet, account string, people []string) (row accountRow, done bool, err error) {
	if row, err = accountRowOf(set.tx, account); err != nil {
		return row, false, err
	}
	owner, err := getUser(set.tx, row.Owner)
	if err != nil {
		return row, false, err
	}
	set.reserved = accountCost
	defer func() { set.reserved = 0 }()
	done, changed := true, false
	for _, user := range row.offeredTo() {
		switch {
		case slices.Contains(people, user):
		case set.opsLeft() < 2:
			done = false
		default:
			row.withdraw(user)
			set.reserved += 2
			changed = true
		}
	}
	for _, user := range people {
		if row.visible(user) || slices.Contains(row.offeredTo(), user) {
			continue
		}
		if set.opsLeft() < offerCost {
			done = false
			break
		}
		if err := makeOffer(set, id(account), &row, owner.Name, user); err != nil {
			return row, false, err
		}
		set.reserved += 2
		changed = true
	}
	if !changed {
		return row, done, nil
	}
	row.Revision++
	return row, done, accounts.Put(set.tx, id(account), row)
}

func makeOffer(set *queueSet, account id, row *accountRow, owner, user string) error {
	before, err := checkAsked(set.tx, row.Owner, user, set.now)
	if err != nil {
		return err
	}
	row.Offers = append(row.Offers, offerRow{newID(), user, set.now})
	if before.wasTold(set.now) {
		return nil
	}
	before.Told = set.now
	if err := asked.Put(set.tx, askedKey{id(row.Owner), id(user)}, before); err != nil {
		return err
	}
	reason := idlepush.Reason{Code: codeShareOffered}.With("person", owner).With("mailbox", row.Email).With("host", row.Host)
	_, err = set.notifyUser(id(user), reason, string(reason.Code), string(account), user)
	return err
}

// Offers returns the offers to the user, in no order.
func (s Accounts) Offers(user string) (list []idlepush.Offer, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		found, err := accountsFor.Rows(tx, table.Under(id(user)), table.NoLimit)
		for _, a := range found {
			for _, o := range a.Value.Offers {
				if o.User == user {
					list = append(list, idlepush.Offer{ID: o.ID, Account: accountOf(a.Key, a.Value, standingRow{}), At: o.At})
				}
			}
		}
		return err
	})
	return list, err
}

// offered returns the account of an offer to the user, or ErrNotFound.
func offered(tx *table.Tx, user, offer string) (account id, row accountRow, err error) {
	found, err := accountsFor.Rows(tx, table.Under(id(user)), table.NoLimit)
	for _, a := range found {
		if slices.ContainsFunc(a.Value.Offers, func(o offerRow) bool { return o.ID == offer && o.User == user }) {
			return a.Key, a.Value, nil
		}
	}
	if err == nil {
		err = ErrNotFound
	}
	return "", row, err
}

// Accept shares an account with the user to whom it is offered. The user sees its notifications
// from now on, and the owner is notified; see codeShareJoined. It returns ErrNotFound if there is
// no such offer.
func (s Accounts) Accept(user, offer string, now time.Time) error {
	return s.updateQueues(now, func(set *queueSet) error {
		account, row, err := offered(set.tx, user, offer)
		if err != nil {
			return err
		}
		row.Revision++
		if err := join(set, account, &row, user, ""); err != nil {
			return err
		}
		return accounts.Put(set.tx, account, row)
	})
}

// join adds the user to those who share the account, and tells the owner. how is the case of
// codeShareJoined. The caller writes the row.
func join(set *queueSet, account id, row *accountRow, user, how string) error {
	person, err := getUser(set.tx, user)
	if err != nil {
		return err
	}
	if err := row.shareWith(set.tx, append(row.sharers(), user), set.now); err != nil {
		return err
	}
	key := askedKey{id(row.Owner), id(user)}
	before, found, err := asked.Get(set.tx, key)
	if err != nil {
		return err
	}
	if before.Told = (time.Time{}); found {
		if err := before.put(set.tx, key); err != nil {
			return err
		}
	}
	reason := idlepush.Reason{Code: codeShareJoined}.With(codes.Account, row.Email).With("person", person.Name)
	if how != "" {
		reason = reason.With(codes.Case, how)
	}
	return tellUser(set, id(row.Owner), reason, string(reason.Code), string(account), user, strconv.FormatUint(row.since(user), 10))
}

// put writes the row, or removes it if it says nothing any more.
func (row askedRow) put(tx *table.Tx, k askedKey) error {
	if row.Told.IsZero() && row.Refused.IsZero() {
		return asked.Delete(tx, k)
	}
	return asked.Put(tx, k, row)
}

// Decline removes an offer to the user. Its owner can offer the user nothing for 7 days. Decline
// returns ErrNotFound if there is no such offer.
func (s Accounts) Decline(user, offer string, now time.Time) error {
	return s.db.Update(func(tx *table.Tx) error {
		account, row, err := offered(tx, user, offer)
		if err != nil {
			return err
		}
		return refuse(tx, account, row, user, now)
	})
}

// Leave ends the share of an account with the user. Its owner can offer the user nothing for 7
// days. Leave returns ErrNotFound if the account is not shared with the user.
func (s Accounts) Leave(user, account string, now time.Time) error {
	return s.db.Update(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, account)
		if err == nil && !slices.Contains(row.sharers(), user) {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return errors.Join(refuse(tx, id(account), row, user, now), endAttention(tx, id(account), user))
	})
}

func refuse(tx *table.Tx, account id, row accountRow, user string, now time.Time) error {
	key := askedKey{id(row.Owner), id(user)}
	before, _, err := asked.Get(tx, key)
	if err != nil {
		return err
	}
	before.Refused = now
	if err := asked.Put(tx, key, before); err != nil {
		return err
	}
	row.Revision++
	row.remove(user)
	return accounts.Put(tx, account, row)
}

// remove ends the share with the user and the offer to the user.
func (row *accountRow) remove(user string) {
	row.SharedWith = slices.DeleteFunc(slices.Clone(row.SharedWith), func(s shareRow) bool { return s.User == user })
	row.withdraw(user)
}

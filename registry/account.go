package registry

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Accounts is the part of the store about users' mailboxes.
type Accounts struct{ *core }

// mailboxOf returns a digest that is the same for all accounts of one mailbox.
func mailboxOf(host, username string) digest {
	return digestOf(idlepush.Account{Host: host, Username: username}.Mailbox())
}

func (row accountRow) visible(user string) bool {
	return row.Owner == user || slices.Contains(row.sharers(), user)
}

// accountOf returns the account of a row, without its password.
func accountOf(k id, row accountRow, s standingRow) idlepush.Account {
	return idlepush.Account{ID: string(k), Revision: row.Revision, Owner: row.Owner, SharedWith: row.sharers(), OfferedTo: row.offeredTo(), Email: row.Email, Host: row.Host, Port: row.Port,
		Security: row.Security, Pin: row.Pin, Username: row.Username, OAuth: row.OAuth, Folders: slices.Clone(row.Folders), Link: row.Link, Enabled: row.Enabled, Created: row.Created,
		Edited: row.Edited, Status: s.Status.status()}
}

// accountRowOf returns the row of an account, or ErrNotFound.
func accountRowOf(tx *table.Tx, account string) (accountRow, error) {
	row, found, err := accounts.Get(tx, id(account))
	if err == nil && !found {
		err = ErrNotFound
	}
	return row, err
}

// readAccount returns an account with its password, and its row, or ErrNotFound. If the password is
// damaged, it is empty and has never logged in: only this account has to wait until its owner
// enters it again.
func readAccount(tx *table.Tx, account string) (idlepush.Account, accountRow, error) {
	row, err := accountRowOf(tx, account)
	if err != nil {
		return idlepush.Account{}, row, err
	}
	s, _, err := standings.Get(tx, id(account))
	if err != nil {
		return idlepush.Account{}, row, err
	}
	a := accountOf(id(account), row, s)
	if row.passwordPlace(tx, id(account)).Open(row.Password, (*string)(&a.Password)) != nil {
		a.Password, a.Status.LoggedIn = "", time.Time{}
	}
	return a, row, nil
}

// accountCost is what it reads and writes at most to write the row of an account, without the index
// keys of people.
const accountCost = 7

// putAccount writes the row of an account, and its grant. Those with whom it is shared, the offers
// and the mailbox are those of before, the row that it replaces.
func putAccount(tx *table.Tx, a idlepush.Account, before accountRow) error {
	row := accountRow{Revision: a.Revision, Owner: a.Owner, SharedWith: before.SharedWith, Offers: before.Offers, Email: a.Email, Host: a.Host, Port: a.Port,
		Security: a.Security, Pin: a.Pin, Username: a.Username, OAuth: a.OAuth, Folders: a.Folders, Link: a.Link, Enabled: a.Enabled, Created: a.Created,
		Edited: a.Edited, Mailbox: before.Mailbox}
	password := a.Password
	if a.OAuth != "" {
		password = ""
	}
	var err error
	if row.Password, err = row.passwordPlace(tx, id(a.ID)).Seal(string(password)); err != nil {
		return err
	}
	return errors.Join(accounts.Put(tx, id(a.ID), row), putGrant(tx, id(a.ID), a, before, row))
}

func putStatus(tx *table.Tx, account string, st idlepush.Status) error {
	s, _, err := standings.Get(tx, id(account))
	if err != nil {
		return err
	}
	s.Status = statusRowOf(st)
	return standings.Put(tx, id(account), s)
}

// Add stores a mailbox under a new id, in the state new, and offers it to the people of a.OfferedTo
// as Update does. added reports whether the account is a new one.
//
// If that mailbox exists already, Add shares it with a.Owner instead and returns it as it is: the
// caller has checked that the login of a works, at a.Status.LoggedIn. a.Owner sees its
// notifications from now on, and its owner is notified; see codeShareJoined. If the login of the
// existing account does not work, it takes that of a and starts again. A login at a server with a
// certificate that only a.Owner pins, or at an odd port, proves nothing to others: Add returns
// ErrTaken then.
//
// If a.OAuth is set, a.Password is the refresh token. No method but [Mail.Grant] returns it.
//
// It returns ErrNotFound if there is no such owner, ErrDenied if session is not empty and has
// ended, a FullError if the owner has as many as one may have, and a RefusedError as Update does.
func (s Accounts) Add(a idlepush.Account, session string, now time.Time) (out idlepush.Account, added bool, err error) {
	return s.addAndOffer(a, session, now, nil)
}

// AddByAdmin is Add for the admin token, which tells a.Owner.
func (s Accounts) AddByAdmin(a idlepush.Account, now time.Time) (out idlepush.Account, added bool, err error) {
	return s.addAndOffer(a, "", now, tellMailboxByAdmin)
}

func (s Accounts) addAndOffer(a idlepush.Account, session string, now time.Time, by teller) (out idlepush.Account, added bool, err error) {
	a.ID, a.Revision, a.Created, a.Edited, a.Status = newID(), 1, now, now, idlepush.Status{State: idlepush.StateNew, Since: now, LoggedIn: a.Status.LoggedIn}
	if err := s.checkOffers(a, now); err != nil {
		return idlepush.Account{}, false, err
	}
	stored := false
	err = s.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		if !stored {
			if out, added, err = s.add(set, a, session); err != nil {
				return false, err
			}
			if err := by.tell(set, out, a.Owner); err != nil {
				return false, err
			}
			if stored = true; !added {
				return true, nil
			}
		}
		return offerTo(set, &out, a.OfferedTo)
	})
	if err != nil {
		return idlepush.Account{}, false, err
	}
	return withoutGrant(out), added, nil
}

// add is Add without the offers.
func (c *core) add(set *queueSet, a idlepush.Account, session string) (out idlepush.Account, added bool, err error) {
	tx := set.tx
	if _, _, err := checkMaker(tx, a.Owner, session, set.now); err != nil {
		return out, false, err
	}
	at, found, err := accountsAt.Row(tx, mailboxOf(a.Host, a.Username))
	if err != nil {
		return out, false, err
	}
	if found {
		out, err = joinByPassword(set, string(at.Key), a)
		return out, false, err
	}
	if err := checkBound(tx, c.bounds.accounts, a.Owner, countAccounts); err != nil {
		return out, false, err
	}
	var row accountRow
	if err := row.shareWith(tx, a.SharedWith, set.now); err != nil {
		return out, false, err
	}
	if err := putAccount(tx, a, row); err != nil {
		return out, false, err
	}
	a.OfferedTo = nil
	return a, true, putStatus(tx, a.ID, a.Status)
}

// provesLogin reports whether a login of somebody else at the server of a is one at that of the
// account: not by a certificate that only they trust, nor at a port of the host that may be theirs.
func provesLogin(a, account idlepush.Account) bool {
	return (a.Pin == "" || a.Pin == account.Pin) && (a.Port == account.Port || a.Port == 143 || a.Port == 993)
}

// joinByPassword shares an existing account with a.Owner, for whom the login of a works.
func joinByPassword(set *queueSet, account string, a idlepush.Account) (idlepush.Account, error) {
	out, row, err := readAccount(set.tx, account)
	if err != nil {
		return out, err
	}
	if a.Owner != out.Owner && !provesLogin(a, out) {
		return out, ErrTaken
	}
	out.Revision++
	if !out.Visible(a.Owner) {
		how := byPassword
		if a.OAuth != "" {
			how = byConsent
		}
		if err := join(set, id(account), &row, a.Owner, how); err != nil {
			return out, err
		}
		out.SharedWith, out.OfferedTo = row.sharers(), row.offeredTo()
	}
	if out.Status.State == idlepush.StateAttention || out.Status.State == idlepush.StateRetrying {
		out.Host, out.Port, out.Security, out.Pin, out.OAuth, out.Password = a.Host, a.Port, a.Security, a.Pin, a.OAuth, a.Password
		out.Edited, out.Status = set.now, idlepush.Status{State: idlepush.StateNew, Since: set.now, Proof: out.Status.Proof, LoggedIn: a.Status.LoggedIn}
		if err := putStatus(set.tx, out.ID, out.Status); err != nil {
			return out, err
		}
	}
	return out, putAccount(set.tx, out, row)
}

// Get returns the account of that id, or ErrNotFound. See [idlepush.Account.Damaged] for one whose
// row is damaged.
func (s Accounts) Get(account string) (a idlepush.Account, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		a, err = accountForDisplay(tx, account)
		return err
	})
	return a, err
}

// accountForDisplay is readAccount for callers that do not write the account. They see one whose
// row is damaged, too.
func accountForDisplay(tx *table.Tx, account string) (idlepush.Account, error) {
	a, _, err := readAccount(tx, account)
	if errors.Is(err, ErrNotFound) {
		return damagedAccount(tx, account)
	}
	return a, err
}

// List returns all accounts, oldest first.
func (s Accounts) List() ([]idlepush.Account, error) { return s.allAccounts() }

// Accounts returns all accounts, oldest first.
func (m Mail) Accounts() ([]idlepush.Account, error) { return m.allAccounts() }

func (c *core) allAccounts() (list []idlepush.Account, err error) {
	err = c.db.View(func(tx *table.Tx) error {
		list, err = readAccounts(tx)
		return err
	})
	return list, err
}

func readAccounts(tx *table.Tx) (list []idlepush.Account, err error) {
	keys, err := accounts.Keys(tx, table.Range{}, table.NoLimit)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		a, err := accountForDisplay(tx, string(k))
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b idlepush.Account) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Unread returns how many mails of the account's folders are unread. known is false if no server
// has reported that yet.
func (s Accounts) Unread(account string) (count int, known bool, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		row, _, err := standings.Get(tx, id(account))
		if known = row.Unread != nil; known {
			count = *row.Unread
		}
		return err
	})
	return count, known, err
}

// SetUnread writes how many mails of the account are unread. It returns ErrNotFound if there is no
// such account.
func (m Mail) SetUnread(account string, count int) error {
	return m.db.Update(func(tx *table.Tx) error { return setUnread(tx, id(account), count) })
}

func setUnread(tx *table.Tx, account id, count int) error {
	row, found, err := standings.Get(tx, account)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	row.Unread = &count
	return standings.Put(tx, account, row)
}

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

// A row is damaged if its tag does not fit: something that has not the key of the store has changed
// or written it, or the disk has. It lets nobody in, and no secret or mail is sent by it. A whole
// row of an earlier time, as in a restored file, has the tag that it had then, and is no such row.

// Warnings returns what the admins should know of the files of the store, as it was when Open
// returned.
func (s *Store) Warnings() []idlepush.Reason { return slices.Clone(s.warnings) }

// damage holds the damaged rows of a store, and whether its public URL is.
type damage struct {
	users     []table.Row[id, userRow]
	accounts  []table.Row[id, accountRow]
	devices   []table.Row[deviceKey, deviceRow]
	tokens    []table.Row[digest, tokenRow]
	invites   []table.Row[digest, inviteRow]
	clients   []table.Row[table.Text, clientRow]
	grants    []table.Row[id, grantRow]
	wishes    []table.Row[viewerKey, wishesRow]
	onDevices []table.Row[deviceKey, deviceWishesRow] // wishes of devices
	publicURL bool
}

func findDamage(tx *table.Tx) (d damage, err error) {
	var failed [9]error
	d.users, failed[0] = users.Damaged(tx)
	d.accounts, failed[1] = accounts.Damaged(tx)
	d.devices, failed[2] = devices.Damaged(tx)
	d.tokens, failed[3] = tokens.Damaged(tx)
	d.invites, failed[4] = invites.Damaged(tx)
	d.clients, failed[5] = clients.Damaged(tx)
	d.grants, failed[6] = grants.Damaged(tx)
	d.wishes, failed[7] = wishes.Damaged(tx)
	d.onDevices, failed[8] = deviceWishes.Damaged(tx)
	_, err = openMeta(tx, metaPublicURL, new(string))
	d.publicURL = errors.Is(err, ErrCorrupt)
	if d.publicURL {
		err = nil
	}
	return d, errors.Join(append(failed[:], err)...)
}

// warnings returns the damage for admins.
func (d damage) warnings() (list []idlepush.Reason) {
	warn := func(of string) idlepush.Reason {
		return idlepush.Reason{Code: codeRowDamaged, Params: map[string]string{codes.Case: of}}
	}
	for _, row := range d.users {
		list = append(list, warn(ofPerson).With("id", string(row.Key)))
	}
	for _, row := range d.accounts {
		list = append(list, warn(ofMailbox).With("id", string(row.Key)))
	}
	for _, row := range d.devices {
		list = append(list, warn(ofDevice).With("id", string(row.Key.device)))
	}
	if n := len(d.tokens) + len(d.invites); n > 0 {
		list = append(list, warn(ofLogins).With("count", strconv.Itoa(n)))
	}
	for _, row := range d.clients {
		list = append(list, warn(ofClient).With("provider", string(row.Key)))
	}
	for _, row := range d.grants {
		list = append(list, warn(ofConsent).With("id", string(row.Key)))
	}
	if n := len(d.wishes) + len(d.onDevices); n > 0 {
		list = append(list, warn(ofWishes).With("count", strconv.Itoa(n)))
	}
	if d.publicURL {
		list = append(list, warn(ofPublicURL))
	}
	return list
}

// Damaged returns the users whose rows are damaged, in no order. What the rows say is not to be
// believed, so they have nothing but an id and a time. Remove removes such a user.
func (s Users) Damaged() (list []idlepush.User, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		rows, err := users.Damaged(tx)
		for _, row := range rows {
			list = append(list, idlepush.User{ID: string(row.Key), Created: row.Value.Created})
		}
		return err
	})
	return list, err
}

// contain keeps warnings of the rows that are damaged, and notifies the people whose device or
// mailbox it was. It removes those of devices, tokens, invites, grants, clients and wishes: a
// person registers, logs in, consents, or sets the client or the wishes again. Those of users and
// accounts stay, until somebody removes them or restores a backup.
func (c *core) contain(now time.Time) error {
	var d damage
	err := c.db.View(func(tx *table.Tx) (err error) {
		d, err = findDamage(tx)
		return err
	})
	if err != nil {
		return err
	}
	c.warnings = append(c.warnings, d.warnings()...)
	var steps []func(*queueSet) error
	for _, a := range d.accounts {
		steps = append(steps, func(set *queueSet) error { return notifyDamaged(set, a.Key, a.Value) })
	}
	for _, row := range d.devices {
		steps = append(steps, func(set *queueSet) error { return removeDamagedDevice(set, row) })
	}
	for _, step := range steps {
		// Of a queue that is damaged, too, the next start tells.
		if err := c.updateQueues(now, step); err != nil && !errors.Is(err, ErrCorrupt) {
			return err
		}
	}
	return errors.Join(removeRows(c.db, tokens, keysOf(d.tokens)), removeRows(c.db, invites, keysOf(d.invites)), removeRows(c.db, clients, keysOf(d.clients)), removeRows(c.db, grants, keysOf(d.grants)),
		removeRows(c.db, wishes, keysOf(d.wishes)), removeRows(c.db, deviceWishes, keysOf(d.onDevices)))
}

func keysOf[K, V any](rows []table.Row[K, V]) (list []K) {
	for _, row := range rows {
		list = append(list, row.Key)
	}
	return list
}

// notifyDamaged tells the person who seems to own a damaged account, but not again while the last
// notification is kept.
func notifyDamaged(set *queueSet, account id, row accountRow) error {
	owner, stable := id(row.Owner), stableID(string(idlepush.KindAttention), string(account), string(idlepush.CodeDamaged))
	exists, err := users.Has(set.tx, owner)
	if err != nil || !exists {
		return err
	}
	if _, told, err := byStableID.Row(set.tx, stableKey{owner, stable}); err != nil || told {
		return err
	}
	_, err = set.notifyUserOnce(owner, stable, idlepush.Reason{Code: idlepush.CodeDamaged}.With(codes.Account, row.Email), "")
	return err
}

func removeDamagedDevice(set *queueSet, row table.Row[deviceKey, deviceRow]) error {
	if _, err := getUser(set.tx, string(row.Key.user)); errors.Is(err, ErrNotFound) {
		return removeDevice(set.tx, row.Key)
	} else if err != nil {
		return err
	}
	return removeGoneDevice(set, &queue{device: row}, idlepush.Reason{Code: codeDeviceDamaged})
}

// damagedAccount returns what a damaged row says of an account, for display, in the state
// Attention. It is shared with nobody and has no password. It returns ErrNotFound if there is no
// row.
func damagedAccount(tx *table.Tx, account string) (idlepush.Account, error) {
	row, found, err := accounts.Unverified(tx, id(account))
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return idlepush.Account{}, err
	}
	s, _, err := standings.Get(tx, id(account))
	a := accountOf(id(account), row, s)
	a.SharedWith, a.Link, a.Folders = nil, "", append([]string{}, row.Folders...)
	a.Status = idlepush.Status{State: idlepush.StateAttention, Since: s.Status.Since, Reason: idlepush.Reason{Code: idlepush.CodeDamaged}}
	return a, err
}

// removeIfDamaged is removeDamagedAccount if there is such an account that seems to be the owner's.
func removeIfDamaged(tx *table.Tx, account, owner id) (done bool, err error) {
	row, found, err := accounts.Unverified(tx, account)
	if err != nil || !found || row.Owner != string(owner) {
		return true, err
	}
	return removeDamagedAccount(tx, account)
}

// removeDamagedAccount removes an account whose row is damaged, with its cursors. done reports
// whether all of that fitted the transaction. It notifies nobody: the row may name the wrong
// people.
func removeDamagedAccount(tx *table.Tx, account id) (done bool, err error) {
	folders, err := cursors.Keys(tx, table.Under(account), table.NoLimit)
	if err != nil {
		return false, err
	}
	for _, k := range folders {
		if tx.Left() < 2*removalCost {
			return false, nil
		}
		if err := cursors.Delete(tx, k); err != nil {
			return false, err
		}
	}
	return true, errors.Join(standings.Delete(tx, account), grants.Delete(tx, account), accounts.Delete(tx, account))
}

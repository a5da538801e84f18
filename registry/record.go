package registry

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// Mail is the watcher's part of the store: the accounts, how far their folders have been handled,
// and the new mail.
type Mail struct{ *core }

// MaxMails bounds the mails of one Arrival.
const MaxMails = 50

// Arrival is the result of one catch-up of a folder, or of one step of it.
type Arrival struct {
	Account, Folder string
	Edited          time.Time // of the account that was looked at; zero: not checked
	From            Cursor    // as it was read before the look; Seen does not matter
	To              Cursor    // with all Mails handled; its Seen is At if it is zero
	Mails           []Message // in the order of their UIDs; at most MaxMails
	Known           []string  // fingerprints of mail that was there before the first look
	More            bool      // the look goes on: more old mail may be found
	Unread          *int      // how many mails of the account are unread now; nil: not known
	At              time.Time
}

// Record stores new mail and moves the cursor. Mail that notifies is added to the queue of every
// device that it notifies. Mail that does not is stored with the reason. Old mail waits for push to
// decide; see [Outbox.OldMail]. All of that is one transaction. If it is too much for one, it takes
// several, and each moves the cursor past the mail that it has handled.
//
// A mail that is recorded already is not notified again. This is also so if its fingerprint is
// known from another place in the account: then the mail has moved here, or was copied. In the same
// folder it has only moved if the other place no longer has it. The notification stays with the
// other place; see ClearRemoved.
//
// Of the mail of an account that notifies, 2,000 a day are stored. A summary of the day counts
// those beyond. It notifies nobody until push says so; see [Outbox.Excess].
//
// It returns how many notifications are new. It returns ErrStale if the cursor is no longer at
// a.From or the account was edited, and ErrNotFound if the account is removed or disabled.
func (m Mail) Record(a Arrival) (recorded int, err error) {
	if len(a.Mails) > MaxMails {
		return 0, fmt.Errorf("record %d mails at once: at most %d", len(a.Mails), MaxMails)
	}
	if a.To.Seen.IsZero() {
		a.To.Seen = a.At
	}
	a.Mails = markCopies(a.Mails)
	for done := false; !done; {
		var r recordStep
		err := m.updateQueues(a.At, func(set *queueSet) (err error) {
			r, err = record(set, a, m.bounds.mails)
			return err
		})
		if err != nil {
			return recorded, fmt.Errorf("record new mail: %w", err)
		}
		recorded += r.recorded
		a.From, a.Mails, a.Known, done = r.cursor, a.Mails[r.taken:], a.Known[r.known:], r.done
	}
	return recorded, nil
}

// markCopies returns the mails. A copy of an old mail before it is marked as old, too. Each has the
// others with its fingerprint among its twins.
func markCopies(mails []Message) []Message {
	old, past := make(map[string]bool), make(map[string]bool) // by fingerprint
	twins := make(map[string][]uint32)
	mails = slices.Clone(mails)
	for i, m := range mails {
		if m.Fingerprint == "" {
			continue
		}
		mails[i].Twins = slices.Concat(m.Twins, twins[m.Fingerprint])
		twins[m.Fingerprint] = append(twins[m.Fingerprint], m.UID)
		old[m.Fingerprint], past[m.Fingerprint] = old[m.Fingerprint] || m.Old, past[m.Fingerprint] || m.Past
		mails[i].Old, mails[i].Past = old[m.Fingerprint], past[m.Fingerprint]
	}
	return mails
}

// recordStep is the result of one transaction of Record.
type recordStep struct {
	recorded, taken, known int
	cursor                 Cursor
	done                   bool
}

// record is one transaction of Record. dailyBound is how many mails of the account are kept one by
// one in a day; 0: all.
func record(set *queueSet, a Arrival, dailyBound int) (r recordStep, err error) {
	tx := set.tx
	account, found, err := accounts.Get(tx, id(a.Account))
	if err != nil {
		return r, err
	}
	if !found || !account.Enabled {
		return r, ErrNotFound
	}
	if !a.Edited.IsZero() && !a.Edited.Equal(account.Edited) {
		return r, ErrStale
	}
	key := folderKey{id(a.Account), a.Folder}
	at, _, err := cursors.Get(tx, key)
	if err != nil {
		return r, err
	}
	if at.UIDValidity != a.From.UIDValidity || at.Next != a.From.Next {
		return r, ErrStale
	}
	in, standing, err := newRecorder(set, a, account, dailyBound)
	if err != nil {
		return r, err
	}
	r.cursor, r.done = a.To, true
	for i, msg := range a.Mails {
		fits := set.opsLeft() >= notificationCost+factsCost(account)+max(queueCost+deliveryCost, rowCost)
		if fits {
			recorded, done, err := in.recordMail(msg)
			if err != nil {
				return r, err
			}
			r.recorded += recorded
			fits = done
		}
		if !fits {
			// The mails before this one are dealt with.
			r.done, r.cursor = false, Cursor(at)
			if i > 0 {
				r.cursor = a.To
				r.cursor.Next, r.cursor.Seen, r.cursor.Since = min(a.To.Next, a.Mails[i-1].UID+1), at.Seen, at.Since
			}
			break
		}
		r.taken++
	}
	if r.known, err = in.recordKnown(); err != nil {
		return r, err
	}
	r.done = r.done && r.known == len(a.Known)
	if err := in.writeBatch(r.done); err != nil {
		return r, err
	}
	if err := in.writeDay(standing); err != nil {
		return r, err
	}
	if err := cursors.Put(tx, key, cursorRow(r.cursor)); err != nil {
		return r, err
	}
	if err := set.trimNotRung(id(a.Account)); err != nil {
		return r, err
	}
	if r.done && a.Unread != nil {
		if err := setUnread(tx, id(a.Account), *a.Unread); err != nil {
			return r, err
		}
	}
	return r, nil
}

// recorder is the state of a transaction of Record while it handles mails.
type recorder struct {
	set        *queueSet
	arrival    Arrival
	account    accountRow
	mailbox    string // of which stable ids are made
	recipients []string
	level      idlepush.Level
	old        *batch // the batch of the folder; nil: not read yet, or no old mail
	day        dayRow
	dailyBound int    // how many mails are kept in a day; 0: all
	excess     *batch // the summary of excess mail; nil: not read yet, or no such mail
}

// newRecorder returns the recorder of an arrival, and the standing of its account. It reserves what
// the end of the transaction needs.
func newRecorder(set *queueSet, a Arrival, account accountRow, dailyBound int) (*recorder, standingRow, error) {
	// The cursor, the standing, trimNotRung, and two summaries.
	set.reserved = 4 + batchCost + excessCost
	recipients, err := recipientsOf(set.tx, id(a.Account), account)
	if err != nil {
		return nil, standingRow{}, err
	}
	standing, _, err := standings.Get(set.tx, id(a.Account))
	return &recorder{set: set, arrival: a, account: account, mailbox: cmp.Or(account.Mailbox, a.Account), recipients: idsOf(recipients), level: storedLevel(recipients), day: standing.Day, dailyBound: dailyBound}, standing, err
}

// recordMail records one mail. recorded is 1 if it is a new notification. done reports whether it
// is in all queues.
func (in *recorder) recordMail(msg Message) (recorded int, done bool, err error) {
	a, tx := in.arrival, in.set.tx
	scope := id(a.Account)
	n := idlepush.Notification{ID: StableID(in.mailbox, a.Folder, a.To.UIDValidity, msg.UID), Kind: idlepush.KindMail, Account: a.Account, Folder: a.Folder,
		UIDValidity: a.To.UIDValidity, UID: msg.UID, Fingerprint: msg.Fingerprint, Wordless: msg.Wordless, At: a.At, Expires: a.At.Add(idlepush.KindMail.Lifetime()), Content: msg.Content.At(in.level), Facts: msg.Facts}
	known, found, err := byStableID.Row(tx, stableKey{scope, n.ID})
	if err == nil && found && known.Value.Fingerprint != "" && msg.Fingerprint != "" && known.Value.Fingerprint != msg.Fingerprint {
		// A server that was restored from a backup may assign one UID to two mails.
		n.ID = stableID(n.ID, msg.Fingerprint)
		_, found, err = byStableID.Get(tx, stableKey{scope, n.ID})
	}
	if err != nil {
		return 0, false, err
	}
	if found {
		return 0, true, nil
	}
	twins, err := twinsOf(tx, scope, msg.Fingerprint)
	if err != nil {
		return 0, false, err
	}
	if recordedAt(twins, a.Folder, a.To.UIDValidity, msg.UID) {
		return 0, true, nil
	}
	if !a.From.Since.IsZero() {
		found, err := in.isKnownAt(msg)
		if err == nil && !found {
			found, err = in.findRenumbered(twins, msg)
		}
		if err != nil || found {
			return 0, true, err
		}
	}
	if msg.Past {
		return 0, true, nil
	}
	if n.Reason, err = in.whyNotRung(twins, msg); err != nil {
		return 0, false, err
	}
	return in.insertMail(n, msg)
}

// insertMail stores a mail that was not recorded before, or counts it as excess mail.
func (in *recorder) insertMail(n idlepush.Notification, msg Message) (recorded int, done bool, err error) {
	a, rings, excess := in.arrival, n.Reason.Code == "" && !msg.Old, false
	if rings {
		if excess, err = in.countDaily(); err != nil {
			return 0, false, err
		}
	}
	if excess {
		if msg.UID < a.To.Next {
			return 0, true, nil
		}
		// It is found once more, and is not to be counted again.
		n.Kind, n.Content, n.Facts, n.Wordless = kindKnown, idlepush.Content{}, ring.Facts{}, false
		return 0, true, in.set.insert(n, nil)
	}
	if n.Facts, err = storedFacts(in.set.tx, id(a.Account), in.account, n.Facts, a.At); err != nil {
		return 0, false, err
	}
	switch {
	case n.Reason.Code != "":
		n.Wordless = false
		return 0, true, in.insertNotRung(n)
	case msg.Old:
		n.Reason.Code = CodeOld
		return 0, true, in.insertOld(n)
	}
	err = in.set.insert(n, in.recipients)
	return 1, !in.set.incomplete, err
}

// recipientsOf returns the devices that mail of the account notifies, by user and id.
func recipientsOf(tx *table.Tx, account id, row accountRow) (list []table.Row[deviceKey, deviceRow], err error) {
	for _, user := range row.viewers() {
		own, err := devices.First(tx, table.Under(id(user)), table.NoLimit)
		if err != nil {
			return nil, err
		}
		for _, d := range own {
			if d.Value.isNotifiedOf(account) {
				list = append(list, d)
			}
		}
	}
	return list, nil
}

// seeing returns the devices of those who see a notification of that sequence: not of people who
// share the account only since then.
func (row accountRow) seeing(list []table.Row[deviceKey, deviceRow], seq uint64) []table.Row[deviceKey, deviceRow] {
	return slices.DeleteFunc(slices.Clone(list), func(d table.Row[deviceKey, deviceRow]) bool { return row.since(string(d.Key.user)) >= seq })
}

// storedLevel returns the highest level that one of the devices may be sent or may fetch. A device
// at LevelWake is sent nothing, but fetches sender and subject.
func storedLevel(recipients []table.Row[deviceKey, deviceRow]) idlepush.Level {
	highest := idlepush.LevelWake
	for _, d := range recipients {
		l := d.Value.Content
		if l == idlepush.LevelWake {
			l = idlepush.LevelSubject
		}
		if l.Allows(idlepush.LevelSender) && l.Allows(highest) {
			highest = l
		}
	}
	return highest
}

func idsOf(list []table.Row[deviceKey, deviceRow]) (names []string) {
	for _, d := range list {
		names = append(names, string(d.Key.device))
	}
	return names
}

// Level returns how much is stored of new mail of the account: the highest level that a device
// which it notifies may be sent or may fetch. words reports whether the facts of mail are to have
// its first words, for a rule of somebody who sees the account. Level returns ErrNotFound if there
// is no such account.
func (m Mail) Level(account string) (l idlepush.Level, words bool, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, account)
		if err != nil {
			return err
		}
		recipients, err := recipientsOf(tx, id(account), row)
		if err != nil {
			return err
		}
		l = storedLevel(recipients)
		words, err = asksWords(tx, id(account), row)
		return err
	})
	return l, words, err
}

// Cursor returns how far the folder has been handled, or the zero Cursor if it was never seen.
func (m Mail) Cursor(account, folder string) (c Cursor, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		row, _, err := cursors.Get(tx, folderKey{id(account), folder})
		c = Cursor(row)
		return err
	})
	return c, err
}

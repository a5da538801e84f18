package registry

import (
	"cmp"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Wordless returns the account's mail that was notified without content and has neither expired nor
// been cleared. The notifications have a place and a time, but no content and no deliveries.
func (m Mail) Wordless(account string, now time.Time) (list []idlepush.Notification, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		rows, err := wordless.Rows(tx, table.Under(id(account)), table.NoLimit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if !now.Before(row.Value.Expires) {
				continue
			}
			n, err := row.Value.unseal(tx, row.Key)
			if err != nil {
				return err
			}
			n.Content = idlepush.Content{}
			list = append(list, n)
		}
		return nil
	})
	return list, err
}

// FillIn adds the content to a mail that was notified without it. If the mail still waits, it is
// sent with the content, and a hold is decided again at once. If it was delivered,
// it is queued again under the same id, but only for devices whose level shows some of the content.
// If it was skipped, it is decided again.
//
// It skips a mail that was cleared or has its content, and does not queue one that has expired. If
// the fingerprint shows that the mail was notified from another place, the one without content is
// withdrawn, unless the other was cleared. The other moves here from the same folder; of another
// folder, this is a duplicate from then on.
//
// It reports whether the mail has its content now. What does not fit one transaction takes several.
// It returns ErrNotFound if the account is removed.
func (m Mail) FillIn(account, folder string, uidValidity uint32, msg Message, now time.Time) (filled bool, err error) {
	err = m.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		filled, done, err = m.fillInMail(set, placeKey{folderPrefix{id(account), digestOf(folder), uidValidity}, msg.UID}, folder, msg)
		return done, err
	})
	return filled, err
}

// fillInMail fills in the mail at a place. done reports whether all of that fitted the transaction.
func (m Mail) fillInMail(set *queueSet, at placeKey, folder string, msg Message) (filled, done bool, err error) {
	tx := set.tx
	a, err := accountRowOf(tx, string(at.account))
	if err != nil {
		return false, false, err
	}
	n, found, err := announced.Row(tx, at)
	if err != nil || !found || !n.Value.Wordless || n.Value.ID != StableID(cmp.Or(a.Mailbox, string(at.account)), folder, at.validity, at.uid) {
		return false, true, err // in the last case the account was turned into another mailbox
	}
	twins, err := twinsOf(tx, at.account, msg.Fingerprint)
	if err != nil {
		return false, false, err
	}
	twins = slices.DeleteFunc(twins, func(t table.Row[notificationKey, notificationRow]) bool { return t.Key == n.Key })
	twin, rang, err := originalThatRang(tx, twins, folder, at.validity, msg)
	if err != nil {
		return false, false, err
	}
	if !rang || !twin.Value.Cleared.IsZero() {
		return true, true, writeContent(set, n, a, msg, !rang && set.now.Before(n.Value.Expires))
	}
	moves := twin.Value.Folder == folder
	if !moves {
		if n.Value, err = asDuplicate(set, n, a, msg, twin.Value.Folder); err != nil {
			return false, false, err
		}
	}
	set.reserved = rowCost // of the twin
	t := m.newWithdrawal(set, at.account)
	if done, err = t.withdraw(n); err != nil {
		return false, false, err
	}
	if err := t.sendClears(); err != nil || !done {
		return false, false, err
	}
	if moves {
		err = move(tx, twin, folder, at.validity, at.uid)
	}
	return true, true, err
}

// writeContent writes the content of a mail. If again is true, it queues the mail once more for
// devices that got it with less content.
func writeContent(set *queueSet, n mailRow, a accountRow, msg Message, again bool) error {
	tx := set.tx
	recipients, err := recipientsOf(tx, n.Key.scope, a)
	recipients = a.seeing(recipients, n.Key.seq)
	if err != nil {
		return err
	}
	old, filled, err := fill(set, n, a, recipients, msg)
	if err != nil {
		return err
	}
	row, err := n.Value.reseal(tx, n.Key, filled)
	if err != nil {
		return err
	}
	rows, err := deliveries.First(tx, table.Under(deliveryPrefix(n.Key)), table.NoLimit)
	if err != nil {
		return err
	}
	states := make(map[id]idlepush.DeliveryState)
	var holding []id
	for _, d := range rows {
		if states[d.Key.device] = d.Value.State; d.Value.State == idlepush.DeliveryPending && d.Value.Held {
			holding = append(holding, d.Key.device)
		}
	}
	for _, d := range recipients {
		more := filled.Content.At(d.Value.Content) != old.Content.At(d.Value.Content)
		state := states[d.Key.device]
		if again && (more && state == idlepush.DeliveryDelivered || state == idlepush.DeliverySkipped) {
			row.Unqueued = append(row.Unqueued, string(d.Key.device))
		}
	}
	// Those that do not fit are decided again when their hold ends.
	if _, err := set.endHolds(holding, string(n.Key.scope)+heldBack); err != nil {
		return err
	}
	if err := set.enqueue(n.Key, &row); err != nil {
		return err
	}
	return notifications.Put(tx, n.Key, row)
}

// asDuplicate returns the row of a mail with its content, as a duplicate of one in another folder.
func asDuplicate(set *queueSet, n mailRow, a accountRow, msg Message, folder string) (row notificationRow, err error) {
	recipients, err := recipientsOf(set.tx, n.Key.scope, a)
	recipients = a.seeing(recipients, n.Key.seq)
	if err != nil {
		return row, err
	}
	_, filled, err := fill(set, n, a, recipients, msg)
	if err != nil {
		return row, err
	}
	filled.Reason = idlepush.Reason{Code: codeDuplicate}.With("folder", folder)
	return n.Value.reseal(set.tx, n.Key, filled)
}

// fill returns a mail without its content, and with its facts and as much of the content as the
// recipients may have.
func fill(set *queueSet, n mailRow, a accountRow, recipients []table.Row[deviceKey, deviceRow], msg Message) (old, filled idlepush.Notification, err error) {
	if old, err = n.Value.unseal(set.tx, n.Key); err != nil {
		return old, old, err
	}
	filled = old
	if filled.Facts, err = storedFacts(set.tx, n.Key.scope, a, msg.Facts, set.now); err != nil {
		return old, old, err
	}
	filled.Facts.First = filled.Facts.First || old.Facts.First && old.Facts.From == msg.Facts.From
	filled.Wordless, filled.Content, filled.Fingerprint = false, msg.Content.At(storedLevel(recipients)), cmp.Or(msg.Fingerprint, old.Fingerprint)
	return old, filled, err
}

package registry

import (
	"fmt"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// maxAnnounced bounds what Announced returns.
const maxAnnounced = 1000

// Announced returns the UIDs of mail of a folder that was notified and not cleared, in order. Old
// mail that waits for its decision counts, too. If there are very many, it returns the last 1,000.
func (m Mail) Announced(account, folder string, uidValidity uint32) (uids []uint32, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		within := table.Under(folderPrefix{id(account), digestOf(folder), uidValidity})
		list, err := announced.Last(tx, within, maxAnnounced)
		for _, e := range slices.Backward(list) {
			uids = append(uids, e.Index.uid)
		}
		return err
	})
	return uids, err
}

// Clear records that mail which has been notified was read on another client. It passes over
// UIDs of other mail, and returns how many mails were cleared, or an error for more than MaxMails
// UIDs.
//
// One transaction cancels the deliveries that wait, and queues a clear for each device that may
// show the mail. If a device must show something with every push, the clear goes with its next
// push. What does not fit one transaction takes several. Settle decides about a send that is in
// flight.
func (m Mail) Clear(account, folder string, uidValidity uint32, uids []uint32, now time.Time) (cleared int, err error) {
	cleared, _, err = m.clear(account, folder, uidValidity, uids, false, now)
	return cleared, err
}

// ClearRemoved is Clear for mail that its folder no longer has. If a duplicate of a mail is known
// in a folder that is watched, the notification is not cleared but moves there. moved is how many
// did.
func (m Mail) ClearRemoved(account, folder string, uidValidity uint32, uids []uint32, now time.Time) (cleared, moved int, err error) {
	return m.clear(account, folder, uidValidity, uids, true, now)
}

func (m Mail) clear(account, folder string, uidValidity uint32, uids []uint32, removed bool, now time.Time) (cleared, moved int, err error) {
	if len(uids) > MaxMails {
		return 0, 0, fmt.Errorf("clear %d mails at once: at most %d", len(uids), MaxMails)
	}
	at := folderPrefix{id(account), digestOf(folder), uidValidity}
	for len(uids) > 0 {
		var handled, withdrawn, kept int
		err := m.updateQueues(now, func(set *queueSet) (err error) {
			t := m.newWithdrawal(set, id(account))
			t.removed = removed
			if handled, withdrawn, err = t.mails(at, uids); err != nil {
				return err
			}
			kept = t.moved
			return t.sendClears()
		})
		if err != nil {
			return cleared, moved, err
		}
		cleared, moved, uids = cleared+withdrawn, moved+kept, uids[handled:]
	}
	return cleared, moved, nil
}

// withdrawal is a transaction that withdraws notifications of one account. It cancels the
// deliveries that wait, and sends clears to the devices that may show a notification.
type withdrawal struct {
	*core
	set       *queueSet
	scope     id
	withdrawn []string    // the stable ids of the withdrawn notifications
	mayShow   map[id]bool // the devices that may show one
	removed   bool        // the folder no longer has the mails
	moved     int         // notifications that moved to a duplicate instead
}

// newWithdrawal returns a withdrawal, and reserves what sendClears needs.
func (c *core) newWithdrawal(set *queueSet, scope id) *withdrawal {
	set.reserved += notificationCost
	return &withdrawal{core: c, set: set, scope: scope, mayShow: make(map[id]bool)}
}

// mails withdraws the mails at these UIDs, as many as fit the transaction. It returns how many UIDs
// are handled, and how many of them were notified mails. The first is 0 if one mail was withdrawn
// in part.
func (t *withdrawal) mails(at folderPrefix, uids []uint32) (handled, cleared int, err error) {
	need := notificationCost
	if t.removed {
		need += moveCost
	}
	for _, uid := range uids {
		if t.set.opsLeft() < need {
			break
		}
		n, found, err := announced.Row(t.set.tx, placeKey{at, uid})
		if err != nil {
			return handled, cleared, err
		}
		hasMoved := false
		if found && t.removed {
			if hasMoved, err = t.move(n); err != nil {
				return handled, cleared, err
			}
		}
		if found && !hasMoved {
			n.Value.Removed = t.removed
			done, err := t.withdraw(n)
			if err != nil {
				return handled, cleared, err
			}
			if !done {
				break
			}
			cleared++
		}
		handled++
	}
	return handled, cleared, nil
}

// moveCost is what move needs: a search, three reads for each duplicate, and two rows.
const moveCost = 1 + 3*maxTwins + 2*rowCost

// move has the notification of a removed mail move to a duplicate, if there is one.
func (t *withdrawal) move(n mailRow) (moved bool, err error) {
	place, found, err := nextPlace(t.set.tx, n)
	if err != nil || !found {
		return false, err
	}
	t.moved++
	return true, move(t.set.tx, n, place.Value.Folder, place.Value.UIDValidity, place.Value.UID)
}

// combinedCost is what the withdrawal of a combined mail needs beside its delivery: the summary
// counts one less, or is withdrawn, too.
const combinedCost = deliveryCost + rowCost + 3

// cost returns what the transaction needs to end a delivery.
func (t *withdrawal) cost(d table.Row[deliveryKey, deliveryRow]) (cost int) {
	if d.Value.waits() || d.Value.State == idlepush.DeliveryCombined {
		cost = deliveryCost
		if t.set.list[d.Key.device] == nil {
			cost += queueCost
		}
	}
	if d.Value.State == idlepush.DeliveryCombined {
		cost += combinedCost
	}
	return cost
}

// withdraw withdraws one notification. If it does not fit, the next transaction withdraws it. If it
// is the first of this transaction, it is withdrawn in part.
func (t *withdrawal) withdraw(n table.Row[notificationKey, notificationRow]) (done bool, err error) {
	rows, err := deliveries.First(t.set.tx, table.Under(deliveryPrefix(n.Key)), table.NoLimit)
	if err != nil {
		return false, err
	}
	cost := rowCost
	for _, d := range rows {
		cost += t.cost(d)
	}
	if len(t.withdrawn) > 0 && t.set.opsLeft() < cost {
		return false, nil
	}
	return t.withdrawRows(n, rows)
}

// withdrawRows ends the pending deliveries of a notification, and collects the devices that may
// show it. done reports whether all of that fitted the transaction.
func (t *withdrawal) withdrawRows(n table.Row[notificationKey, notificationRow], rows []table.Row[deliveryKey, deliveryRow]) (done bool, err error) {
	t.withdrawn = append(t.withdrawn, n.Value.ID)
	for _, d := range rows {
		if cost := t.cost(d); cost > 0 && t.set.opsLeft() < cost+rowCost {
			return false, nil
		}
		switch {
		case d.Value.waits():
			err = t.cancel(d)
		case d.Value.State == idlepush.DeliveryCombined && !d.Value.Read:
			err = t.withdrawCombined(d)
		}
		if err != nil {
			return false, err
		}
	}
	for _, d := range rows {
		if d.Value.State == idlepush.DeliveryDelivered || d.Value.State == idlepush.DeliverySkipped && d.Value.MaybeDelivered {
			t.mayShow[d.Key.device] = true
		}
	}
	n.Value.Cleared, n.Value.Unqueued = t.set.now, nil
	return true, notifications.Put(t.set.tx, n.Key, n.Value)
}

// cancel removes a pending delivery from its queue. The device may show it all the same. If its
// push may be on its way, it stays in the queue until Settle or, after a crash, Next removes it.
func (t *withdrawal) cancel(d table.Row[deliveryKey, deliveryRow]) error {
	q, err := t.set.get(d.Key.device)
	if err != nil {
		return err
	}
	if q == nil {
		return deliveries.Put(t.set.tx, d.Key, d.Value.withState(idlepush.DeliveryRemoved, t.set.now))
	}
	if t.maybeShown(d) {
		t.mayShow[d.Key.device] = true
	} else if !t.inFlight.end(t.set, d.Key) {
		d.Value.Withdrawn = t.set.now
		d.Value.MaybeDelivered = d.Value.MaybeDelivered || t.inFlight.isAccepted(d.Key)
		return deliveries.Put(t.set.tx, d.Key, d.Value)
	}
	return t.set.endDelivery(q, d.Key, d.Value.withState(idlepush.DeliveryCleared, t.set.now))
}

// withdrawCombined removes a combined mail from its summary. A summary that still waits counts
// less. A summary of which every mail was read is withdrawn, too. If no device can have shown the
// summary, the mail is as one that was cancelled.
func (t *withdrawal) withdrawCombined(of table.Row[deliveryKey, deliveryRow]) error {
	tx := t.set.tx
	sum, found, err := byStableID.Row(tx, stableKey{t.scope, of.Value.Into})
	if err != nil {
		return err
	}
	k := deliveryKey{sum.Key, of.Key.device}
	var d deliveryRow
	waits, shown := false, !found
	if found {
		if d, _, err = deliveries.Get(tx, k); err != nil {
			return err
		}
		if waits, shown, err = t.waitsOrShown(table.Row[deliveryKey, deliveryRow]{Key: k, Value: d}); err != nil {
			return err
		}
	}
	if shown {
		of.Value.Read = true
	} else {
		of.Value.State, of.Value.At, of.Value.Into, of.Value.Read = idlepush.DeliveryCleared, t.set.now, "", false
	}
	if err := deliveries.Put(tx, of.Key, of.Value); err != nil || !found || !sum.Value.Cleared.IsZero() {
		return err
	}
	if waits {
		sum.Value.Count--
	} else {
		sum.Value.Read++
	}
	if sum.Value.Read >= sum.Value.Count {
		_, err := t.withdrawRows(sum, []table.Row[deliveryKey, deliveryRow]{{Key: k, Value: d}})
		return err
	}
	return notifications.Put(tx, sum.Key, sum.Value)
}

// waitsOrShown reports whether the delivery of a summary still waits and no device can have shown
// it, or else whether one may have.
func (t *withdrawal) waitsOrShown(d table.Row[deliveryKey, deliveryRow]) (waits, shown bool, err error) {
	shown = d.Value.State == idlepush.DeliveryDelivered || d.Value.MaybeDelivered || t.inFlight.isAccepted(d.Key)
	if shown || d.Value.State != idlepush.DeliveryPending {
		return false, shown, nil
	}
	q, err := t.set.get(d.Key.device)
	if err != nil || q == nil {
		return false, shown, err
	}
	shown = t.maybeShown(d)
	return !shown, shown, nil
}

// sendClears queues clears for the devices that may show a withdrawn notification.
func (t *withdrawal) sendClears() error {
	t.set.reserved -= notificationCost
	var behind []string
	for device := range t.mayShow {
		behind = append(behind, string(device))
	}
	slices.Sort(behind)
	for len(behind) > 0 && t.set.opsLeft() > notificationCost {
		there, err := deviceExists(t.set.tx, id(behind[0]))
		if err != nil {
			return err
		}
		if there {
			break
		}
		behind = behind[1:]
	}
	if len(behind) == 0 {
		return nil
	}
	for gone := range slices.Chunk(t.withdrawn, maxCleared) {
		if err := t.set.insert(clearOf(string(t.scope), gone, t.set.now), behind); err != nil {
			return err
		}
	}
	return nil
}

func clearOf(account string, stable []string, now time.Time) idlepush.Notification {
	return idlepush.Notification{ID: stableID(append([]string{string(idlepush.KindClear), account, now.String()}, stable...)...), Kind: idlepush.KindClear, Account: account,
		At: now, Expires: now.Add(idlepush.KindClear.Lifetime()), Clear: stable}
}

// maybeShown reports whether a device may show a delivery that still waits. It may if it got the
// delivery with less content, if no answer came to a try, or if an earlier run of the program may
// have sent it.
func (c *core) maybeShown(d table.Row[deliveryKey, deliveryRow]) bool {
	return d.Value.maybeShown() || c.inFlight.isOfBefore(d.Key)
}

// maybeShown reports whether the row says that its device may show it.
func (row deliveryRow) maybeShown() bool {
	return row.MaybeDelivered || !row.DeliveredBefore.IsZero()
}

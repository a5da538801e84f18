package registry

import (
	"fmt"
	"slices"
	"time"

	"idlepush/registry/table"
)

// maxAnnounced bounds what Announced returns.
const maxAnnounced = 1000

// Announced returns the UIDs of a folder's mail that rang and was not cleared, in order; of very
// many the last.
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

// Clear records that mail which has been notified was read or removed elsewhere. It passes over UIDs
// of other mail, and returns how many mails were cleared, or an error for more than MostMails UIDs.
//
// One transaction cancels the deliveries that wait, and queues a clear for each device that may show
// the mail. If a device must show something with every push, the clear goes with its next push. What
// does not fit one transaction takes several. Settle decides about a send that is in flight.
func (m Mail) Clear(account, folder string, uidValidity uint32, uids []uint32, now time.Time) (cleared int, err error) {
	if len(uids) > MostMails {
		return 0, fmt.Errorf("clear %d mails at once: at most %d", len(uids), MostMails)
	}
	at := folderPrefix{id(account), digestOf(folder), uidValidity}
	for len(uids) > 0 {
		taken := 0
		n := 0
		err := m.updateQueues(now, func(set *queueSet) (err error) {
			t := m.newWithdrawal(set, id(account))
			taken, n, err = t.mails(at, uids)
			if err != nil {
				return err
			}
			return t.sendClears()
		})
		if err != nil {
			return cleared, err
		}
		cleared, uids = cleared+n, uids[taken:]
	}
	return cleared, nil
}

// withdrawal is a transaction that takes notifications of one account away: it cancels what waits and
// tells the devices that may show one.
type withdrawal struct {
	*core
	set       *queueSet
	scope     id
	withdrawn []string    // the stable ids of what is taken away
	mayShow   map[id]bool // the devices that may show one
}

// newWithdrawal begins to take away, and spares room for tell.
func (c *core) newWithdrawal(set *queueSet, scope id) *withdrawal {
	set.reserved += notificationCost
	return &withdrawal{c, set, scope, nil, make(map[id]bool)}
}

// mails takes away the mails at these UIDs, as many as the transaction has room for. It returns how
// many UIDs are dealt with, which may be none if one was dealt with in part, and of how many there
// was a mail.
func (t *withdrawal) mails(at folderPrefix, uids []uint32) (handled, cleared int, err error) {
	for _, uid := range uids {
		if t.set.opsLeft() < notificationCost {
			break
		}
		n, found, err := announced.Row(t.set.tx, placeKey{at, uid})
		if err != nil {
			return handled, cleared, err
		}
		if found {
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

// combinedCost is what it takes, beside a delivery that waits, to take a mail off its summary, and
// that away if need be.
const combinedCost = deliveryCost + rowCost + 3

// cost is what the transaction must have room for to end a delivery.
func (t *withdrawal) cost(d table.Row[deliveryKey, deliveryRow]) (cost int) {
	if d.Value.State == Pending || d.Value.State == Combined {
		cost = deliveryCost
		if t.set.list[d.Key.device] == nil {
			cost += queueCost
		}
	}
	if d.Value.State == Combined {
		cost += combinedCost
	}
	return cost
}

// withdraw takes one away. If it does not fit, it is left to the next transaction, or done in
// part where it is the first of this one.
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

// withdrawRows ends what waits of a notification, and notes who may show it. whole: all of it was done.
func (t *withdrawal) withdrawRows(n table.Row[notificationKey, notificationRow], rows []table.Row[deliveryKey, deliveryRow]) (done bool, err error) {
	t.withdrawn = append(t.withdrawn, n.Value.ID)
	for _, d := range rows {
		if cost := t.cost(d); cost > 0 && t.set.opsLeft() < cost+rowCost {
			return false, nil
		}
		switch {
		case d.Value.State == Pending:
			err = t.cancel(d)
		case d.Value.State == Combined && !d.Value.Read:
			err = t.withdrawCombined(d)
		}
		if err != nil {
			return false, err
		}
	}
	for _, d := range rows {
		if d.Value.State == Delivered {
			t.mayShow[d.Key.device] = true
		}
	}
	n.Value.Cleared, n.Value.Unqueued = t.set.now, nil
	return true, notifications.Put(t.set.tx, n.Key, n.Value)
}

// cancel takes a delivery that waits out of its queue. The device may show it all the same.
func (t *withdrawal) cancel(d table.Row[deliveryKey, deliveryRow]) error {
	q, err := t.set.get(d.Key.device)
	if err != nil {
		return err
	}
	if q == nil {
		return deliveries.Put(t.set.tx, d.Key, d.Value.withState(Removed, t.set.now))
	}
	if t.maybeShown(q, d) {
		t.mayShow[d.Key.device] = true
	}
	return t.set.endDelivery(q, d.Key, d.Value.withState(Cleared, t.set.now))
}

// withdrawCombined takes a mail that was combined off the summary that stands for it. One that still waits
// counts less; one of which everything is read is taken away, too.
func (t *withdrawal) withdrawCombined(of table.Row[deliveryKey, deliveryRow]) error {
	tx := t.set.tx
	of.Value.Read = true
	if err := deliveries.Put(tx, of.Key, of.Value); err != nil {
		return err
	}
	sum, found, err := byStableID.Row(tx, stableKey{t.scope, of.Value.Into})
	if err != nil || !found || !sum.Value.Cleared.IsZero() {
		return err
	}
	k := deliveryKey{sum.Key, of.Key.device}
	d, found, err := deliveries.Get(tx, k)
	if err != nil {
		return err
	}
	waits := false
	if found && d.State == Pending {
		q, err := t.set.get(of.Key.device)
		if err != nil {
			return err
		}
		waits = q != nil && !t.maybeShown(q, table.Row[deliveryKey, deliveryRow]{Key: k, Value: d})
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

// sendClears gives the devices that may show what is gone a clear behind what waits there.
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

func clearOf(account string, stable []string, now time.Time) Notification {
	return Notification{ID: stableID(append([]string{string(ClearKind), account, now.String()}, stable...)...), Kind: ClearKind, Account: account,
		At: now, Expires: now.Add(ClearKind.Lifetime()), Clear: stable}
}

// maybeShown reports whether a delivery that waits may have reached its device: it was told with
// less in it, a try went unanswered, or it was the first of its subqueue when an earlier run of the
// program ended.
func (c *core) maybeShown(q *queue, d table.Row[deliveryKey, deliveryRow]) bool {
	seq := d.Key.notification.seq
	return d.Value.Unknown || !d.Value.Before.IsZero() || seq <= c.began && q.row.Subqueues[d.Value.subqueue(d.Key).subqueue].Head == seq
}

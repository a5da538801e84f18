package registry

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Announced gives the UIDs of a folder's mail that rang and was not cleared, in order; of very many the last.
func (s *Store) Announced(account, folder string, uidValidity uint32) (uids []uint32, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		prefix := binary.BigEndian.AppendUint32(announcedIn(account, folder), uidValidity)
		keys := prefixed(tx.Bucket(announced), prefix, math.MaxInt)
		for _, k := range keys[max(0, len(keys)-mostAnnounced):] {
			uids = append(uids, binary.BigEndian.Uint32(k[len(prefix):]))
		}
		return nil
	})
	return uids, err
}

// mostAnnounced bounds what Announced gives.
const mostAnnounced = 1000

// Clear says that mail which rang was read or removed elsewhere, at most MostMails of it; other UIDs are passed over. In one transaction what waits to
// be sent is cancelled, and a device that may have been told gets a clear delivery behind it, which goes with the next push where none can come without
// showing anything. Of a send in flight Settle decides. It returns how many mails were cleared.
func (s *Store) Clear(account, folder string, uidValidity uint32, uids []uint32, now time.Time) (cleared int, err error) {
	var keys [][]byte
	for _, uid := range uids[:min(len(uids), MostMails)] {
		keys = append(keys, announcedKey(account, folder, uidValidity, uid))
	}
	err = s.update(func(tx *bolt.Tx) error {
		read, err := s.ranAt(tx, keys)
		if err != nil {
			return err
		}
		cleared = len(read)
		if err := s.clear(tx, account, read, now); err != nil {
			return err
		}
		for _, key := range keys {
			must(tx.Bucket(announced).Delete(key))
		}
		return nil
	})
	if err == nil && cleared > 0 {
		s.outbox.raise()
	}
	return cleared, err
}

// clear takes away mail of one account, and the summaries of which nothing is left. It checks all
// before it writes.
func (s *Store) clear(tx *bolt.Tx, account string, read []found, now time.Time) error {
	all, less, err := s.summed(tx, read)
	if err != nil {
		return err
	}
	if err := s.takeAway(tx, account, append(read, all...), now); err != nil {
		return err
	}
	for _, f := range less {
		s.putNotification(tx, f.key, f.Notification)
	}
	return nil
}

// takeAway cancels what waits of the notifications, which are of one account, and tells the devices that may show one, by as many clears as it takes. It
// checks all before it writes.
func (s *Store) takeAway(tx *bolt.Tx, account string, list []found, now time.Time) error {
	queues, told, err := s.concerned(tx, list, now)
	if err != nil {
		return err
	}
	var ids []string
	for _, f := range list {
		s.cancel(tx, f.key, f.Notification, now)
		ids = append(ids, f.ID)
	}
	var behind []waiting
	for _, w := range queues {
		d := Device{ID: w.device, Transport: w.transport}
		if at, _ := nextDue(tx, d, w.row, w.opens, now); at.IsZero() {
			w.row = setDue(tx, w.device, w.row, time.Time{})
		}
		if told[w.device] {
			behind = append(behind, w)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	for ids := range slices.Chunk(ids, mostCleared) {
		s.insert(tx, clearOf(account, ids, now), behind, now)
	}
	return nil
}

// ranAt gives the notifications that the announced keys lead to.
func (s *Store) ranAt(tx *bolt.Tx, keys [][]byte) (list []found, err error) {
	for _, key := range keys {
		f := found{key: slices.Clone(tx.Bucket(announced).Get(key))}
		if f.key == nil {
			continue
		}
		var there bool
		if f.Notification, there, err = s.notification(tx, f.key); err != nil {
			return nil, err
		}
		if there {
			list = append(list, f)
		}
	}
	return list, nil
}

// summed takes mail that was read off the summaries that stand for it: one that still waits counts less. all are those of which everything is read, less the
// others.
func (s *Store) summed(tx *bolt.Tx, read []found) (all, less []found, err error) {
	list := make(map[string]found)
	for _, f := range read {
		for _, d := range f.Deliveries {
			if d.State != Combined {
				continue
			}
			sum, known := list[d.Into]
			if !known {
				if sum.Notification, sum.key, err = s.under(tx, messageKey(f.Account, d.Into)); err != nil {
					return nil, nil, err
				}
			}
			if sum.key == nil {
				continue
			}
			if i := sum.delivery(d.Device); i >= 0 && sum.Deliveries[i].State == Pending && !s.maybeShown(tx, sum.Deliveries[i], sum.Notification, sum.key) {
				sum.Count--
			} else {
				sum.Read++
			}
			list[d.Into] = sum
		}
	}
	for _, sum := range list {
		if sum.Read >= sum.Count {
			all = append(all, sum)
		} else {
			less = append(less, sum)
		}
	}
	return all, less, nil
}

// concerned gives the queues in which any of the notifications waits or that are to be told, and told those that may show one.
func (s *Store) concerned(tx *bolt.Tx, read []found, now time.Time) (queues []waiting, told map[string]bool, err error) {
	shown := make(map[string]bool) // of the devices concerned: whether it may show one
	for _, f := range read {
		for _, d := range f.Deliveries {
			if d.State == Delivered || d.State == Pending {
				shown[d.Device] = shown[d.Device] || d.State == Delivered || s.maybeShown(tx, d, f.Notification, f.key)
			}
		}
	}
	var list []Device
	told = make(map[string]bool)
	for id := range shown {
		var row deviceRow
		there, err := get(tx.Bucket(devices), []byte(id), &row)
		if err != nil {
			return nil, nil, err
		}
		if there {
			list, told[id] = append(list, row.Device), shown[id]
		}
	}
	queues, err = queuesOf(tx, list, now)
	return queues, told, err
}

func clearOf(account string, ids []string, now time.Time) Notification {
	return Notification{ID: stableID(append([]string{string(ClearKind), account, now.String()}, ids...)...), Kind: ClearKind, Account: account,
		At: now, Expires: now.Add(ClearKind.Lifetime()), Clear: ids}
}

// maybeShown reports whether a delivery that waits may have reached its phone: it was told with
// less in it, a try went unanswered, or it was at the head of its line when an earlier run of the
// program ended.
func (s *Store) maybeShown(tx *bolt.Tx, d Delivery, n Notification, nkey []byte) bool {
	return d.Unknown || !d.Before.IsZero() || binary.BigEndian.Uint64(nkey) <= s.began && isFirst(tx, d.Device, n.line(), nkey)
}

// cancel notes that a mail is cleared and takes what waits of it out of the queues.
func (s *Store) cancel(tx *bolt.Tx, nkey []byte, n Notification, now time.Time) {
	n.Cleared = now
	for i, d := range n.Deliveries {
		if d.State == Pending {
			must(tx.Bucket(outbox).Delete(outboxKey(d.Device, n.line(), nkey[:8])))
			cleared := d
			cleared.State, cleared.At = Cleared, now
			n.Deliveries[i] = d.becoming(cleared)
		}
	}
	s.putNotification(tx, nkey, n)
}

// overtaken is Settle for a row that is no longer there: where the mail was cleared while its push was in flight, the phone shows it all the same, so it
// is told. It checks all before it writes.
func (s *Store) overtaken(tx *bolt.Tx, w Work, o Outcome, now time.Time) (told bool, err error) {
	n, nkey, err := s.under(tx, messageKey(w.Notification.scope(), w.Notification.ID))
	if err != nil || nkey == nil || o.Result != ResultDelivered && !o.Unknown {
		return false, err
	}
	i := n.delivery(w.Device.ID)
	if i < 0 || n.Deliveries[i].State != Cleared || n.Deliveries[i].Attempts > w.Attempts {
		return false, nil
	}
	queues, err := queuesOf(tx, []Device{w.Device}, now)
	if err != nil {
		return false, err
	}
	entry := n.Deliveries[i]
	entry.Attempts, entry.At = w.Attempts+1, now
	if o.Result == ResultDelivered {
		entry.State = Delivered
	}
	s.setDelivery(tx, nkey, n, entry)
	s.insert(tx, clearOf(n.Account, []string{n.ID}, now), queues, now)
	return true, nil
}

package registry

import (
	"slices"
	"strconv"

	"idlepush"
	"idlepush/registry/table"
)

// Twins are mails of an account with the same fingerprint: one mail that was moved or copied, or
// equal mails.

// mailRow is a mail of which the store knows.
type mailRow = table.Row[notificationKey, notificationRow]

// maxTwins bounds the mails with one fingerprint that are read.
const maxTwins = 10

// twinsOf returns the mails of the account with the fingerprint, the last first. Those from before
// a first look are not among them; see findKnown.
func twinsOf(tx *table.Tx, account id, fingerprint string) (list []mailRow, err error) {
	if fingerprint == "" {
		return nil, nil
	}
	found, err := byFingerprint.Last(tx, table.Under(fingerprintPrefix{account, digestOf(fingerprint)}), maxTwins)
	if err != nil {
		return nil, err
	}
	return rowsOf(tx, found)
}

// rowsOf returns the mails that an index leads to.
func rowsOf[I table.Key[I]](tx *table.Tx, found []table.Entry[I, notificationKey]) (list []mailRow, err error) {
	for _, e := range found {
		row, found, err := notifications.Get(tx, e.Key)
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, mailRow{Key: e.Key, Value: row})
		}
	}
	return list, nil
}

// recordedAt reports whether one of the twins is the mail at this place itself.
func recordedAt(twins []mailRow, folder string, validity, uid uint32) bool {
	return slices.ContainsFunc(twins, func(t mailRow) bool {
		return t.Value.Folder == folder && t.Value.UIDValidity == validity && t.Value.UID == uid
	})
}

// original returns the mail among the twins that rang or still may, and of which msg is a copy. A
// mail that the folder still has is another one. A notification that was not cleared goes first,
// and then one of the same folder, which no longer has the mail.
func original(twins []mailRow, folder string, validity uint32, msg Message) (twin mailRow, found bool) {
	best := 0
	for _, t := range twins {
		rank, same := 1, t.Value.Folder == folder
		if !t.Value.mayRing() || same && t.Value.UIDValidity == validity && slices.Contains(msg.Twins, t.Value.UID) {
			continue
		}
		if same {
			rank++
		}
		if t.Value.Cleared.IsZero() {
			rank += 2
		}
		if rank > best {
			twin, best = t, rank
		}
	}
	return twin, best > 0
}

// renumbered returns the twin that a mail of a renumbered folder may be. One that was found under
// the new UIDVALIDITY is another mail. Mail that rang or still may goes first.
func renumbered(twins []mailRow, folder string, validity uint32) (twin mailRow, found bool) {
	for _, t := range twins {
		before := t.Value.Folder == folder && t.Value.UIDValidity != validity
		if before && (!found || t.Value.mayRing() && !twin.Value.mayRing()) {
			twin, found = t, true
		}
	}
	return twin, found
}

// findRenumbered looks for a mail of a renumbered folder among those that were recorded or
// remembered in it. If it is there, its place is written anew, so that it stands for no other mail.
func (in *recorder) findRenumbered(twins []mailRow, msg Message) (found bool, err error) {
	a, tx := in.arrival, in.set.tx
	before, found := renumbered(twins, a.Folder, a.To.UIDValidity)
	if !found {
		// A folder that was restored may have kept its UIDVALIDITY.
		before, found = original(twins, a.Folder, a.To.UIDValidity, msg)
		found = found && before.Value.Folder == a.Folder
	}
	if !found {
		list, err := duplicatesOf(tx, id(a.Account), msg.Fingerprint)
		if err != nil {
			return false, err
		}
		before, found = renumbered(list, a.Folder, a.To.UIDValidity)
	}
	if !found {
		return in.findKnown(msg)
	}
	return true, move(tx, before, a.Folder, a.To.UIDValidity, msg.UID)
}

// findKnown is findRenumbered among the mails that were there before the first look. They may be
// many that are equal.
func (in *recorder) findKnown(msg Message) (found bool, err error) {
	if msg.Fingerprint == "" {
		return false, nil
	}
	a, tx := in.arrival, in.set.tx
	equal := table.Under(knownPrefix{id(a.Account), knownDigest(a.Folder, msg.Fingerprint)})
	first, err := known.First(tx, equal, 1)
	if err != nil || len(first) == 0 {
		return false, err
	}
	last, err := known.Last(tx, equal, 1) // they are in the order of their UIDVALIDITY
	if err != nil {
		return false, err
	}
	for _, e := range append(first, last...) {
		if e.Index.validity == a.To.UIDValidity && e.Index.uid > 0 {
			continue // it was found
		}
		row, _, err := notifications.Get(tx, e.Key)
		if err != nil {
			return false, err
		}
		return true, move(tx, mailRow{Key: e.Key, Value: row}, a.Folder, a.To.UIDValidity, msg.UID)
	}
	return false, nil
}

// isKnownAt reports whether findKnown has found the mail at this place before.
func (in *recorder) isKnownAt(msg Message) (bool, error) {
	a := in.arrival
	if msg.Fingerprint == "" {
		return false, nil
	}
	at := knownPlace{knownPrefix{id(a.Account), knownDigest(a.Folder, msg.Fingerprint)}, a.To.UIDValidity, msg.UID}
	list, err := known.First(in.set.tx, table.Under(at), 1)
	return len(list) > 0, err
}

// whyNotRung returns why a mail does not ring; zero: it does. A notification follows its mail
// within a folder; see nextPlace for other folders.
func (in *recorder) whyNotRung(twins []mailRow, msg Message) (why idlepush.Reason, err error) {
	a, tx := in.arrival, in.set.tx
	if msg.NotRung.Code != "" {
		return msg.NotRung, nil
	}
	twin, isCopy, err := originalThatRang(tx, twins, a.Folder, a.To.UIDValidity, msg)
	if err != nil || !isCopy {
		return why, err
	}
	why = idlepush.Reason{Code: codeDuplicate}.With("folder", twin.Value.Folder)
	if twin.Value.Folder != a.Folder {
		return why, nil
	}
	return why, move(tx, twin, a.Folder, a.To.UIDValidity, msg.UID)
}

// originalThatRang returns the original of msg. One that was removed before any device could show
// it does not count: its copy rings.
func originalThatRang(tx *table.Tx, twins []mailRow, folder string, validity uint32, msg Message) (twin mailRow, found bool, err error) {
	twin, found = original(twins, folder, validity, msg)
	if found && twin.Value.Removed {
		found, err = mayHaveRung(tx, twin.Key)
	}
	return twin, found, err
}

// mayHaveRung reports whether a device may have shown a mail that was withdrawn, or a summary that
// counted it then.
func mayHaveRung(tx *table.Tx, k notificationKey) (bool, error) {
	list, err := deliveries.First(tx, table.Under(deliveryPrefix(k)), table.NoLimit)
	return slices.ContainsFunc(list, func(d table.Row[deliveryKey, deliveryRow]) bool {
		shown := d.Value.State == idlepush.DeliveryDelivered || d.Value.State == idlepush.DeliveryCombined
		return shown || d.Value.MaybeDelivered || !d.Value.DeliveredBefore.IsZero()
	}), err
}

// duplicatesOf returns the last duplicates of the mail with the fingerprint, the last first.
func duplicatesOf(tx *table.Tx, account id, fingerprint string) (list []mailRow, err error) {
	if fingerprint == "" {
		return nil, nil
	}
	found, err := duplicates.Last(tx, table.Under(duplicatePrefix{account, digestOf(fingerprint)}), maxTwins)
	if err != nil {
		return nil, err
	}
	return rowsOf(tx, found)
}

// nextPlace returns the duplicate to which the notification of a removed mail moves: the last one,
// but not in a folder that is no longer watched, and not one that has a notification. A duplicate
// at the place that the notification leaves does not count any more, so it never comes back.
func nextPlace(tx *table.Tx, n mailRow) (place mailRow, found bool, err error) {
	list, err := duplicatesOf(tx, n.Key.scope, n.Value.Fingerprint)
	if err != nil {
		return place, false, err
	}
	for _, d := range list {
		at := d.Value.place(n.Key.scope)
		if at == n.Value.place(n.Key.scope) {
			d.Value.Removed = true
			if err := notifications.Put(tx, d.Key, d.Value); err != nil {
				return place, false, err
			}
			continue
		}
		cursor, _, err := cursors.Get(tx, folderKey{n.Key.scope, d.Value.Folder})
		if err != nil {
			return place, false, err
		}
		if found || cursor.UIDValidity != d.Value.UIDValidity {
			continue
		}
		_, taken, err := announced.Get(tx, at)
		if err != nil {
			return place, false, err
		}
		if !taken {
			place, found = d, true
		}
	}
	return place, found, nil
}

// Twins returns the UIDs of mails in a folder that have one of the fingerprints. All of them rang,
// or still may; old mail has rung in its summary. A new mail with the same fingerprint is another
// one if the folder still has them.
func (m Mail) Twins(account, folder string, uidValidity uint32, fingerprints []string) (uids []uint32, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		for _, f := range fingerprints {
			twins, err := twinsOf(tx, id(account), f)
			if err != nil {
				return err
			}
			for _, t := range twins {
				if t.Value.mayRing() && t.Value.Folder == folder && t.Value.UIDValidity == uidValidity {
					uids = append(uids, t.Value.UID)
				}
			}
		}
		return nil
	})
	slices.Sort(uids)
	return slices.Compact(uids), err
}

// move writes that a mail is in another place now. Old mail that push has not decided on stays in
// the batch of its folder.
func move(tx *table.Tx, n mailRow, folder string, validity, uid uint32) error {
	if n.Value.Undecided != "" && n.Value.Folder != folder {
		return nil
	}
	n.Value.Folder, n.Value.UIDValidity, n.Value.UID = folder, validity, uid
	return notifications.Put(tx, n.Key, n.Value)
}

// recordKnown stores as many fingerprints of mail that was there before the first look as fit the
// transaction. If the folder is renumbered, they tell this mail from new mail. Each stands for one
// mail, also if several are equal.
func (in *recorder) recordKnown() (stored int, err error) {
	a := in.arrival
	for i, f := range a.Known {
		if in.set.opsLeft() < notificationCost {
			return stored, nil
		}
		n := idlepush.Notification{ID: stableID(string(kindKnown), a.Account, a.Folder, f, strconv.Itoa(len(a.Known)-i)), Kind: kindKnown, Account: a.Account, Folder: a.Folder, Fingerprint: f, At: a.At, Expires: a.At}
		if err := in.set.insert(n, nil); err != nil {
			return stored, err
		}
		stored++
	}
	return stored, nil
}

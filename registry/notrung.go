package registry

import (
	"slices"

	"idlepush"
	"idlepush/registry/table"
)

// maxNotRung is how many mails that did not ring are kept for an account.
const maxNotRung = 200

// insertNotRung stores a mail that did not ring, with the reason.
func (in *recorder) insertNotRung(n idlepush.Notification) error {
	in.set.silence()
	return in.set.insert(n, nil)
}

// silence notes that a mail is stored that did not ring, and reserves what trimNotRung needs to
// remove another.
func (s *queueSet) silence() {
	s.silent++
	s.reserved += rowCost
}

// trimNotRung removes all but the last mails of an account that did not ring. No queue has them.
// Mail ahead of its folder's cursor is found once more, so it stays until the cursor has passed it.
func (s *queueSet) trimNotRung(account id) error {
	if s.silent == 0 {
		return nil
	}
	s.reserved -= rowCost * s.silent
	list, err := notRung.Keys(s.tx, table.Under(account), table.NoLimit)
	if err != nil {
		return err
	}
	for _, k := range list[:max(0, len(list)-maxNotRung)] {
		if s.opsLeft() < rowCost {
			return nil
		}
		row, _, err := notifications.Get(s.tx, k)
		if err != nil {
			return err
		}
		cursor, _, err := cursors.Get(s.tx, folderKey{account, row.Folder})
		if err != nil {
			return err
		}
		if ahead := cursor.Next > 0 && row.UID >= cursor.Next; ahead && row.UIDValidity == cursor.UIDValidity {
			continue
		}
		if err := notifications.Delete(s.tx, k); err != nil {
			return err
		}
	}
	return nil
}

// maxTwins bounds the mails with one fingerprint that are read.
const maxTwins = 10

// twinsOf returns the mails of the account with the fingerprint, the last first.
func twinsOf(tx *table.Tx, account id, fingerprint string) (list []table.Row[notificationKey, notificationRow], err error) {
	if fingerprint == "" {
		return nil, nil
	}
	found, err := byFingerprint.Last(tx, table.Under(fingerprintPrefix{account, digestOf(fingerprint)}), maxTwins)
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		row, found, err := notifications.Get(tx, e.Key)
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, table.Row[notificationKey, notificationRow]{Key: e.Key, Value: row})
		}
	}
	return list, nil
}

// original returns the mail among the twins that rang or still may, and that has moved to the
// folder as msg or was copied to it. A mail that the folder still has is another one.
func original(twins []table.Row[notificationKey, notificationRow], folder string, validity uint32, msg Message) (twin table.Row[notificationKey, notificationRow], found bool) {
	for _, t := range twins {
		there := t.Value.Folder == folder && t.Value.UIDValidity == validity && slices.Contains(msg.Twins, t.Value.UID)
		if t.Value.mayRing() && !there {
			return t, true
		}
	}
	return twin, false
}

// fromBefore returns the first of the twins that a mail of a renumbered folder may be. One that was
// found under the new UIDVALIDITY is another mail. Mail from before the first look is remembered
// once, however many equal ones there are.
func fromBefore(twins []table.Row[notificationKey, notificationRow], folder string, validity uint32) (twin table.Row[notificationKey, notificationRow], found bool) {
	for _, t := range twins {
		if t.Value.Kind == kindKnown || t.Value.Folder != folder || t.Value.UIDValidity != validity {
			return t, true
		}
	}
	return twin, false
}

// Twins returns the UIDs of mails in a folder that rang or still may, and that have one of the
// fingerprints. A new mail with the same fingerprint is another one if the folder still has them.
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
func move(tx *table.Tx, n table.Row[notificationKey, notificationRow], folder string, validity, uid uint32) error {
	if n.Value.Undecided != "" && n.Value.Folder != folder {
		return nil
	}
	n.Value.Folder, n.Value.UIDValidity, n.Value.UID = folder, validity, uid
	return notifications.Put(tx, n.Key, n.Value)
}

// recordKnown stores as many fingerprints of mail that was there before the first look as fit the
// transaction. If the folder is renumbered, they tell this mail from new mail.
func (in *recorder) recordKnown() (stored int, err error) {
	a := in.arrival
	for _, f := range a.Known {
		if in.set.opsLeft() < notificationCost {
			return stored, nil
		}
		n := idlepush.Notification{ID: stableID(string(kindKnown), a.Account, a.Folder, f), Kind: kindKnown, Account: a.Account, Folder: a.Folder, Fingerprint: f, At: a.At, Expires: a.At}
		if err := in.set.insert(n, nil); err != nil {
			return stored, err
		}
		stored++
	}
	return stored, nil
}

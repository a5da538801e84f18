package registry

import (
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
// What a call leaves behind, the next ones remove: each reads a bounded number of keys.
func (s *queueSet) trimNotRung(account id) error {
	if s.silent == 0 {
		return nil
	}
	s.reserved -= rowCost * s.silent
	list, err := notRung.Keys(s.tx, table.Under(account), maxNotRung+s.silent+MaxMails)
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

package registry

import (
	"cmp"
	"fmt"

	"idlepush"
	"idlepush/registry/table"
)

// Recorded returns what the store has of mails of a folder, by their UIDs. Of mails it takes UID
// and Fingerprint. In place of a duplicate it returns the mail that rang, which has its own place.
func (m Mail) Recorded(account, folder string, uidValidity uint32, mails []Message) (found map[uint32]idlepush.Notification, err error) {
	found = make(map[uint32]idlepush.Notification)
	err = m.db.View(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, account)
		if err != nil {
			return err
		}
		for _, msg := range mails {
			stable := StableID(cmp.Or(row.Mailbox, account), folder, uidValidity, msg.UID)
			n, known, err := recordedMail(tx, id(account), folder, uidValidity, msg, stable)
			if err == nil && known {
				found[msg.UID], err = n.Value.unseal(tx, n.Key)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for mail that is recorded: %w", err)
	}
	return found, nil
}

// recordedMail is Recorded for one mail. It has the stable id if it never was in another place.
func recordedMail(tx *table.Tx, account id, folder string, validity uint32, msg Message, stable string) (n mailRow, found bool, err error) {
	twins, err := twinsOf(tx, account, msg.Fingerprint)
	if err != nil {
		return n, false, err
	}
	copies, err := duplicatesOf(tx, account, msg.Fingerprint)
	if err != nil {
		return n, false, err
	}
	own, _, err := byStableID.Row(tx, stableKey{account, stable})
	if err != nil {
		return n, false, err
	}
	for _, n := range append(append(twins, copies...), own) {
		other := msg.Fingerprint != "" && n.Value.Fingerprint != "" && n.Value.Fingerprint != msg.Fingerprint
		if n.Value.Kind != idlepush.KindMail || other || !recordedAt([]mailRow{n}, folder, validity, msg.UID) {
			continue
		}
		if n.Value.Code == codeDuplicate {
			if rang, found := original(twins, folder, validity, Message{}); found {
				return rang, true, nil
			}
		}
		return n, true, nil
	}
	return n, false, nil
}

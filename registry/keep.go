package registry

import (
	"fmt"
	"time"

	"idlepush/registry/table"
	"idlepush/ring"
)

// Snapshot calls fn with the file of the store as it is now, while others go on using the store.
// Until fn returns, the file grows with what they write.
func (s *Store) Snapshot(fn func(table.Snapshot) error) error { return s.db.Snapshot(fn) }

// Key returns the key that seals the secrets of the store.
func (s *Store) Key() []byte { return s.key }

// MarkRestored notes that the store comes from a backup: since then, the deliveries in its queues
// may have been sent, and their mails read.
func (s *Store) MarkRestored(now time.Time) error {
	return s.db.Update(func(tx *table.Tx) (err error) {
		if s.began, err = lastSequence(tx); err != nil {
			return err
		}
		return metas.Put(tx, metaRestored, metaRow{Number: uint64(now.Unix())})
	})
}

// Restored reports whether MarkRestored was called, and ForgetRestored not since.
func (s *Store) Restored() (restored bool, err error) {
	err = s.db.View(func(tx *table.Tx) (err error) {
		restored, err = metas.Has(tx, metaRestored)
		return err
	})
	return restored, err
}

// ForgetRestored notes that every mailbox was looked at since the store was restored.
func (s *Store) ForgetRestored() error {
	return s.db.Update(func(tx *table.Tx) error { return metas.Delete(tx, metaRestored) })
}

// ReadAll reads every row of the store, with all that is sealed, and returns how many there are.
// It returns an error that wraps ErrCorrupt if one cannot be read. Of rows whose tags do not fit,
// see Warnings.
func (s *Store) ReadAll() (rows int, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		for _, read := range readers {
			n, err := read(tx)
			if rows += n; err != nil {
				return err
			}
		}
		return nil
	})
	return rows, err
}

// readers read the rows of each table, and open their sealed parts.
var readers = []func(*table.Tx) (int, error){
	plain(users), plain(guesses), plain(tokens), plain(invites), plain(asked), plain(standings), plain(cursors), plain(hosts), plain(senders), plain(queues), plain(lanes), plain(deliveries),
	readerOf(accounts, func(tx *table.Tx, k id, row accountRow) error {
		if row.OAuth != "" && len(row.Password) == 0 {
			return nil
		}
		return row.passwordPlace(tx, k).Open(row.Password, new(string))
	}),
	readerOf(clients, func(tx *table.Tx, k table.Text, row clientRow) error {
		return row.secretPlace(tx, k).Open(row.Secret, new(string))
	}),
	readerOf(grants, func(tx *table.Tx, k id, row grantRow) error {
		account, found, err := accounts.Get(tx, k)
		if err != nil || !found {
			return err
		}
		return account.grantPlace(tx, k).Open(row.Refresh, new(string))
	}),
	readerOf(devices, func(tx *table.Tx, k deviceKey, row deviceRow) error {
		return devices.Place(tx, k).Open(row.Secrets, new(deviceSecrets))
	}),
	readerOf(wishes, func(tx *table.Tx, k viewerKey, row wishesRow) error {
		return wishes.Place(tx, k).Open(row.Sealed, new(ring.Wishes))
	}),
	readerOf(deviceWishes, func(tx *table.Tx, k deviceKey, row deviceWishesRow) error {
		return deviceWishes.Place(tx, k).Open(row.Sealed, new(ring.DeviceWishes))
	}),
	readerOf(notifications, func(tx *table.Tx, k notificationKey, row notificationRow) error {
		if row.Kind == kindKnown {
			return nil
		}
		_, err := row.unseal(tx, k)
		return err
	}),
	readerOf(metas, func(tx *table.Tx, k table.Text, row metaRow) error {
		if len(row.Sealed) == 0 {
			return nil
		}
		return metas.Place(tx, k).Open(row.Sealed, new(any))
	}),
}

// plain returns the reader of a table that has nothing sealed.
func plain[K table.Key[K], V any](t *table.Table[K, V]) func(*table.Tx) (int, error) {
	return readerOf(t, func(*table.Tx, K, V) error { return nil })
}

// readAtOnce is how many rows are in memory at once when all are read.
const readAtOnce = 1000

// readerOf returns the reader of a table. open opens the sealed parts of a row.
func readerOf[K table.Key[K], V any](t *table.Table[K, V], open func(*table.Tx, K, V) error) func(*table.Tx) (int, error) {
	return func(tx *table.Tx) (count int, err error) {
		for r := (table.Range{}); ; {
			list, err := t.First(tx, r, readAtOnce)
			if err != nil || len(list) == 0 {
				return count, err
			}
			for _, row := range list {
				if err := open(tx, row.Key, row.Value); err != nil {
					return count, fmt.Errorf("a row of %s cannot be read: %w", t.Name(), err)
				}
			}
			count += len(list)
			r = r.Past(list[len(list)-1].Key)
		}
	}
}

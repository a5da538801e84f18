package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Kept is how long activity is kept.
const Kept = 7 * 24 * time.Hour

// mostPurged bounds the rows that one transaction removes.
const mostPurged = 200

// leftover is a row to remove, unless its value is another by then; nil: whatever its value is.
type leftover struct{ bucket, key, value []byte }

// find gives at most about mostPurged leftovers from the key from on, and where to go on: nil at the end.
type find func(tx *bolt.Tx, from []byte, now time.Time) (list []leftover, next []byte, err error)

// Purge removes notifications older than Kept, what the removed accounts and devices left behind, and expired tokens and invites. It looks for
// them while others write, and removes them in bounded transactions, so that new mail is never kept waiting for long. It ends early, and
// without an error, when ctx ends.
func (s *Store) Purge(ctx context.Context, now time.Time) error {
	for _, find := range []find{oldNotifications, orphanMessages, orphanAnnounced, orphanOutbox, expiredTokens, expiredInvites} {
		for from := []byte{}; from != nil && ctx.Err() == nil; {
			var list []leftover
			err := s.view(func(tx *bolt.Tx) (err error) {
				list, from, err = find(tx, from, now)
				return err
			})
			if err == nil && len(list) > 0 {
				err = s.update(func(tx *bolt.Tx) error { return remove(tx, list) })
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func remove(tx *bolt.Tx, list []leftover) error {
	for _, l := range list {
		b := tx.Bucket(l.bucket)
		if l.value == nil || bytes.Equal(b.Get(l.key), l.value) {
			must(b.Delete(l.key))
		}
	}
	return nil
}

// oldNotifications goes by the keys, which begin with the time. Those after now are of a clock that was set back, or came behind such a one: there the rows tell. A
// row that such a key leaves behind is found late, by as much as the clock was ahead.
func oldNotifications(tx *bolt.Tx, from []byte, now time.Time) (list []leftover, next []byte, err error) {
	c := tx.Bucket(notifications).Cursor()
	for k, v := c.Seek(from); k != nil; {
		at := time.Unix(0, int64(binary.BigEndian.Uint64(k)))
		ahead := at.After(now)
		if ahead {
			var row Notification
			if json.Unmarshal(v, &row) == nil {
				at = row.At
			}
		}
		switch {
		case now.Sub(at) >= Kept:
			if len(list) == mostPurged {
				return list, slices.Clone(k), nil
			}
			list = append(list, leftover{bucket: notifications, key: slices.Clone(k)})
		case !ahead:
			k, v = c.Seek(sequence(uint64(now.UnixNano()) + 1))
			continue
		}
		k, v = c.Next()
	}
	return list, nil, nil
}

// orphanMessages finds the index of notifications that are gone, and both where the account or user is.
func orphanMessages(tx *bolt.Tx, from []byte, _ time.Time) (list []leftover, next []byte, err error) {
	idLength := len(newID())
	c := tx.Bucket(messages).Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if len(list) >= mostPurged {
			return list, slices.Clone(k), nil
		}
		orphan := tx.Bucket(accounts).Get(k[:idLength]) == nil && tx.Bucket(users).Get(k[:idLength]) == nil
		if orphan {
			list = append(list, leftover{bucket: notifications, key: slices.Clone(v)})
		}
		if orphan || tx.Bucket(notifications).Get(v) == nil {
			list = append(list, leftover{messages, slices.Clone(k), slices.Clone(v)})
		}
	}
	return list, nil, nil
}

// orphanAnnounced finds the places of mail whose notification is gone.
func orphanAnnounced(tx *bolt.Tx, from []byte, _ time.Time) (list []leftover, next []byte, err error) {
	c := tx.Bucket(announced).Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if len(list) == mostPurged {
			return list, slices.Clone(k), nil
		}
		if tx.Bucket(notifications).Get(v) == nil {
			list = append(list, leftover{announced, slices.Clone(k), slices.Clone(v)})
		}
	}
	return list, nil, nil
}

// pastAll is greater than every sequence, also one that damage has made.
var pastAll = bytes.Repeat([]byte{0xff}, 9)

// orphanOutbox finds the rows of devices that are gone, and those that wait to go with another push and are too old for it.
func orphanOutbox(tx *bolt.Tx, from []byte, _ time.Time) (list []leftover, next []byte, err error) {
	idLength := len(newID())
	c := tx.Bucket(outbox).Cursor()
	for k, v := c.Seek(from); k != nil; {
		line := k[:len(k)-8]
		old := string(line[idLength:]) == clearLine && tx.Bucket(notifications).Get(v) == nil
		if tx.Bucket(devices).Get(k[:idLength]) != nil && !old {
			k, v = c.Seek(join(line, pastAll))
			continue
		}
		if len(list) == mostPurged {
			return list, slices.Clone(k), nil
		}
		list = append(list, leftover{bucket: outbox, key: slices.Clone(k)})
		k, v = c.Next()
	}
	return list, nil, nil
}

func expiredTokens(tx *bolt.Tx, from []byte, now time.Time) (list []leftover, next []byte, err error) {
	old, err := tokensWhere(tx, func(t Token) bool { return t.ended(now) })
	for _, k := range old {
		if bytes.Compare(k, from) < 0 {
			continue
		}
		if len(list) == mostPurged {
			return list, slices.Clone(k), err
		}
		list = append(list, leftover{bucket: tokens, key: slices.Clone(k)})
	}
	return list, nil, err
}

package registry

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// History is the part of the store that users read their notifications from.
type History struct{ *core }

// Get returns the notification with that stable id, of an account that the user sees or for this
// user alone. Otherwise it returns ErrNotFound.
func (h History) Get(user, stable string, now time.Time) (n idlepush.Notification, err error) {
	err = h.db.View(func(tx *table.Tx) error {
		scopes, err := scopesOf(tx, user)
		if err != nil {
			return err
		}
		row, scope, err := seenRow(tx, scopes, stable)
		if err != nil {
			return err
		}
		if n, err = h.notification(tx, row, now); err == nil {
			n.Mails, err = mailsOf(tx, scope, row)
		}
		return err
	})
	return n, err
}

// Some returns the notifications with these stable ids in their order, as Get does but without what
// summaries count. Those that Get does not find are left out.
func (h History) Some(user string, stable []string, now time.Time) (list []idlepush.Notification, err error) {
	err = h.db.View(func(tx *table.Tx) error {
		scopes, err := scopesOf(tx, user)
		if err != nil {
			return err
		}
		for _, one := range stable {
			row, _, err := seenRow(tx, scopes, one)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			n, err := h.notification(tx, row, now)
			if err != nil {
				return err
			}
			list = append(list, n)
		}
		return nil
	})
	return list, err
}

// seenRow returns the notification with that stable id, and the one of the scopes in which it is
// seen. It returns ErrNotFound if it is in none of them.
func seenRow(tx *table.Tx, scopes []seenScope, stable string) (row table.Row[notificationKey, notificationRow], scope seenScope, err error) {
	for _, scope := range scopes {
		row, found, err := byStableID.Row(tx, stableKey{scope.id, stable})
		if err != nil {
			return row, scope, err
		}
		if found && !row.Value.isHidden() && row.Key.seq > scope.since {
			return row, scope, nil
		}
	}
	return row, scope, ErrNotFound
}

// seenScope is a scope of notifications of which a user sees those after a sequence.
type seenScope struct {
	id    id
	since uint64
}

// scopesOf returns the scopes of the notifications that the user may see.
func scopesOf(tx *table.Tx, user string) ([]seenScope, error) {
	scopes := []seenScope{{id: id(user)}}
	seen, err := accountsOf.Rows(tx, table.Under(id(user)), table.NoLimit)
	for _, a := range seen {
		scopes = append(scopes, seenScope{a.Key, a.Value.since(user)})
	}
	return scopes, err
}

// List returns at most limit of the user's notifications, newest first and without clears. They are
// older than after, which is "" or a next of an earlier call. next is "" if there are no more. List
// returns ErrNotFound if after is no such value.
func (h History) List(user, after string, limit int, now time.Time) (list []idlepush.Notification, next string, err error) {
	from, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil || len(from) != 0 && len(from) != 8 {
		return nil, "", ErrNotFound
	}
	err = h.db.View(func(tx *table.Tx) error {
		scopes, err := scopesOf(tx, user)
		if err != nil {
			return err
		}
		var streams []stream
		for _, scope := range scopes {
			s := stream{within: table.Under(scope.id).From(notificationKey{scope.id, scope.since + 1})}
			if len(from) > 0 {
				s.within = s.within.Before(notificationKey{scope.id, binary.BigEndian.Uint64(from)})
			}
			if err := s.advance(tx); err != nil {
				return err
			}
			streams = append(streams, s)
		}
		for len(list) <= limit {
			newest := -1
			for i, s := range streams {
				if len(s.rows) > 0 && (newest < 0 || s.rows[0].Key.seq > streams[newest].rows[0].Key.seq) {
					newest = i
				}
			}
			if newest < 0 {
				next = ""
				return nil
			}
			s := &streams[newest]
			row := s.rows[0]
			if err := s.advance(tx); err != nil {
				return err
			}
			if row.Value.Kind == idlepush.KindClear || row.Value.isHidden() {
				continue
			}
			if len(list) == limit {
				return nil
			}
			n, err := h.notification(tx, row, now)
			if err != nil {
				return err
			}
			list = append(list, n)
			next = base64.RawURLEncoding.EncodeToString(table.AppendUint64(nil, row.Key.seq))
		}
		return nil
	})
	return list, next, err
}

// stream reads the notifications of one scope, newest first.
type stream struct {
	within table.Range // of those that were not read yet
	rows   []table.Row[notificationKey, notificationRow]
	step   int
}

// maxStep bounds the rows of a stream that are read at once. The first step reads one: most streams
// of a user with many accounts are older than the page.
const maxStep = 50

// advance drops the first row, and reads more rows if it was the last.
func (s *stream) advance(tx *table.Tx) (err error) {
	if len(s.rows) > 1 {
		s.rows = s.rows[1:]
		return nil
	}
	s.step = min(max(1, 4*s.step), maxStep)
	s.rows, err = notifications.Last(tx, s.within, s.step)
	if len(s.rows) > 0 {
		s.within = s.within.Before(s.rows[len(s.rows)-1].Key)
	}
	return err
}

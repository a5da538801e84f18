package watcher

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/registry"
)

const (
	// batch is how many mails one FETCH asks for: their headers and first words fit one exchange of the wire.
	batch = 20

	// widest is how many UIDs one SEARCH may answer with: 11 bytes each, they fit a line of the wire.
	widest = 20_000

	// skew is how far the server's clock may be behind ours where the two are compared.
	skew = 15 * time.Minute
)

// look finds what is new in a folder and records it, a bounded number of mails in each step. It returns how many UIDs were
// new, also those of mail that does not ring.
func (s *session) look(folder string) (found int, err error) {
	width := uint32(widest)
	for more := true; more && err == nil; {
		var n int
		n, more, err = s.stretch(folder, width)
		found += n
		// A jump of the UIDs is crossed in a few stretches.
		if width *= 2; n > 0 {
			width = widest
		}
	}
	if err == nil {
		s.poison.settle(folder, time.Now())
	}
	return found, err
}

// stretch is one search of a folder and what follows from it. more: it did not reach the folder's end.
func (s *session) stretch(folder string, width uint32) (found int, more bool, err error) {
	cursor, err := s.store.Cursor(s.account.ID, folder)
	if err != nil {
		return 0, false, &storeError{err}
	}
	uids, stop, cursor, err := s.search(folder, cursor, width)
	if err != nil {
		if s.conn.Cause() != nil {
			s.poison.strike(folder, []imap.UID{whole}, err)
		}
		return 0, false, fmt.Errorf("look for new mail: %w", err)
	}
	s.poison.forget(folder, []imap.UID{whole})
	left := len(uids)
	var stuck uint32 // the first mail that is to be asked for again: the cursor stays before it
	for step := range slices.Chunk(uids, batch) {
		mails, waiting, err := s.fetch(folder, step, cursor.Since)
		if err != nil {
			return found, false, fmt.Errorf("fetch new mail: %w", err)
		}
		if stuck == 0 && len(waiting) > 0 {
			stuck = uint32(waiting[0])
		}
		to := cursor
		to.Next = uint32(step[len(step)-1]) + 1
		left -= len(step)
		switch {
		case stuck > 0:
			to.Next = max(stuck, cursor.Next)
		case left == 0 && stop == 0 && cursor.Since.IsZero():
			to.Seen = s.host.clock.now()
		}
		if len(mails) > 0 || to.Next > cursor.Next {
			if err := s.record(folder, cursor, to, mails); err != nil {
				return found, false, err
			}
		}
		found += s.handled(folder, step, waiting, to.Next)
		cursor = to
	}
	to := cursor
	switch {
	case stuck > 0:
		return found, false, nil
	case stop > 0:
		to.Next = max(to.Next, stop+1)
	case !cursor.Since.IsZero():
		// What is old under the new numbers stays old, also where it stands behind the new.
		to.Next, to.Since, to.Seen = max(to.Next, s.ends[folder]), time.Time{}, s.host.clock.now()
	case s.host.clock.now().Sub(cursor.Seen) <= touchAfter:
		return found, false, nil
	default:
		to.Seen = s.host.clock.now()
	}
	return found, stop > 0, s.record(folder, cursor, to, nil)
}

// handled takes note of a step that was recorded, all but the mails that wait, and returns how many of it are new. Those that lie ahead of the cursor are not
// asked for again.
func (s *session) handled(folder string, step, waiting []imap.UID, next uint32) (found int) {
	var done []imap.UID
	for _, uid := range step {
		key := poisoned{folder, uid}
		if slices.Contains(waiting, uid) {
			continue
		}
		done = append(done, uid)
		if !s.ahead[key] {
			found++
		}
		if uint32(uid) > next {
			s.ahead[key] = true
		} else {
			delete(s.ahead, key)
		}
	}
	s.poison.forget(folder, done)
	return found
}

func (s *session) record(folder string, from, to registry.Cursor, mails []registry.Message) error {
	n, err := s.store.Record(registry.Arrival{
		Account: s.account.ID, Edited: s.account.Edited, Folder: folder, From: from, To: to, Mails: mails, Unread: s.sum(), At: time.Now()})
	if err != nil {
		return &storeError{err}
	}
	for _, m := range mails {
		if uid := imap.UID(m.UID); m.Wordless && !s.poison.blind(folder, uid) {
			s.poison.want(folder, uid, time.Now(), time.Time{})
		}
	}
	if n > 0 {
		s.proofs.rang(time.Now())
		s.log.Info("new mail", "mailbox", folder, "uidvalidity", to.UIDValidity, "uid", to.Next-1, "count", n)
	}
	return nil
}

// search opens the folder if need be and gives the UIDs from the cursor on, in order. On first sight it sets the cursor to
// the end of the folder; under another UIDVALIDITY to its beginning, with the limit that makes old mail old. Where there may be
// too many for one answer it stops width UIDs on; stop is 0 otherwise.
func (s *session) search(folder string, cursor registry.Cursor, width uint32) (uids []imap.UID, stop uint32, _ registry.Cursor, err error) {
	if s.folder != folder {
		validity, err := s.open(folder)
		if err != nil {
			return nil, 0, cursor, err
		}
		if cursor.Seen.IsZero() || s.said[folder] && cursor.Next > s.ends[folder] {
			if err := s.pastLast(folder); err != nil {
				return nil, 0, cursor, err
			}
		}
		if cursor, err = s.place(folder, cursor, validity); err != nil {
			return nil, 0, cursor, err
		}
	}
	// What is announced from here on may be missing in the answer.
	s.conn.Forget()
	if cursor.Next == 0 {
		return nil, 0, cursor, nil
	}
	var dropped int
	err = s.conn.Lend(patience, func(client *imapclient.Client) error {
		if end := s.ends[folder]; end > cursor.Next && end-cursor.Next > width {
			stop = cursor.Next + width - 1
		}
		criteria := &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: imap.UID(cursor.Next), Stop: imap.UID(stop)}}}}
		if !cursor.Since.IsZero() {
			// SINCE compares dates in the server's time zone, whatever that is.
			criteria.Since = cursor.Since.AddDate(0, 0, -1)
		}
		counted := s.askUnread(client, folder)
		before := s.conn.Dropped()
		uids, err = search(client, criteria)
		dropped = s.conn.Dropped() - before
		if unanswered := counted(); err == nil {
			err = unanswered
		}
		return err
	})
	if err != nil {
		return nil, 0, cursor, err
	}
	if dropped > 0 && len(uids) == 0 {
		if !s.mute[folder] {
			// It may be the answer to STATUS that cannot be read.
			s.mute[folder] = true
			delete(s.unread, folder)
			return s.search(folder, cursor, width)
		}
		return nil, 0, cursor, errors.New("the server's answer to SEARCH is none that can be read")
	}
	// "n:*" always names the last message, also below n (RFC 3501 section 6.4.8).
	uids = slices.DeleteFunc(uids, func(uid imap.UID) bool { return uint32(uid) < cursor.Next })
	return uids, stop, cursor, nil
}

func search(client *imapclient.Client, criteria *imap.SearchCriteria) ([]imap.UID, error) {
	data, err := client.UIDSearch(criteria, nil).Wait()
	if err != nil {
		return nil, err
	}
	// AllUIDs panics where the set holds a 0, which is how 4294967295 + 1 and "*" are kept.
	set, _ := data.All.(imap.UIDSet)
	uids, finite := set.Nums()
	if !finite {
		return nil, errors.New("the server's answer to SEARCH is no list of UIDs")
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// place compares the cursor with the folder that was just opened, and moves it where it belongs to another one.
func (s *session) place(folder string, cursor registry.Cursor, validity uint32) (registry.Cursor, error) {
	now := s.host.clock.now()
	to := registry.Cursor{UIDValidity: validity, Next: 1, Seen: now}
	switch {
	case cursor.Seen.IsZero():
		to.Next = s.ends[folder]
		s.log.Info("folder seen for the first time", "mailbox", folder, "uidvalidity", validity)
	case cursor.UIDValidity != validity, s.said[folder] && cursor.Next > s.ends[folder]:
		// A server that was restored from a backup gives UIDs again that it had given.
		to.Since = earlier(cursor.Seen, now).Add(-skew) // the clock may have been ahead
		if !cursor.Since.IsZero() {
			// It was renumbered before, and not gone through since.
			to.Since = cursor.Since
		}
		if oldest := now.Add(-registry.MailKind.Lifetime()); to.Since.Before(oldest) {
			to.Since = oldest
		}
		clear(s.ahead)
		s.log.Warn("the server has renumbered the folder, or put it back to an earlier state", "mailbox", folder, "uidvalidity", validity, "uid", s.ends[folder])
	default:
		return cursor, nil
	}
	return to, s.record(folder, cursor, to, nil)
}

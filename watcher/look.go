package watcher

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry"
)

const (
	// batch is how many messages one FETCH asks for: their headers and first words fit
	// Limits.Exchange of the wire.
	batch = 20

	// maxFound is how many UIDs one SEARCH may answer with: 11 bytes each, they fit a line of the
	// wire.
	maxFound = 20_000

	// skew is how far the server's clock may be behind ours, when the two are compared.
	skew = 15 * time.Minute

	// fingerprintsKept is how long fingerprints tell the mail of the time before a look from new
	// mail; the registry keeps them a day longer.
	fingerprintsKept = 6 * 24 * time.Hour
)

// look finds the new messages of a folder and records them, a bounded number in each step. It
// returns how many UIDs were new, also those of messages that notify nobody.
func (s *session) look(f *folder) (found int, err error) {
	width := uint32(maxFound)
	f.early.seen, s.fetcher.old = 0, 0
	for more := true; more && err == nil; {
		var n int
		n, more, err = s.stretch(f, width)
		found += n
		// A jump of the UIDs is crossed in a few stretches.
		if width *= 2; n > 0 {
			width = maxFound
		}
	}
	if err == nil {
		now := time.Now()
		s.failures.messages.settle(f.name, now)
		f.early.after(f.behind(), now)
	}
	return found, err
}

// stretch searches a part of a folder and records the messages found. more: it did not reach the
// folder's end.
func (s *session) stretch(f *folder, width uint32) (found int, more bool, err error) {
	if err := s.readCursor(f); err != nil {
		return 0, false, err
	}
	first, err := s.open(f)
	if err == nil && first {
		// If it ends the session, the folder is not to blame: the next has no first sight.
		if err := s.remember(f); err != nil {
			return 0, false, fmt.Errorf("remember mail that is there: %w", err)
		}
	}
	var uids []imap.UID
	var stop uint32
	if err == nil {
		uids, stop, err = s.search(f, width)
	}
	if err != nil {
		if s.conn.Cause() != nil {
			s.failures.folders.record(f.name, err)
		}
		return 0, false, fmt.Errorf("look for new mail: %w", err)
	}
	s.failures.folders.forget(f.name)
	left := len(uids)
	f.early.seen += left
	var stuck uint32 // the first message that is to be retried: the cursor stays before it
	for step := range slices.Chunk(uids, batch) {
		mails, waiting, err := s.fetcher.fetch(f, step)
		if err != nil {
			return found, false, fmt.Errorf("fetch new mail: %w", err)
		}
		if stuck == 0 && len(waiting) > 0 {
			stuck = uint32(waiting[0])
		}
		if err := s.fetcher.markTwins(f, mails); err != nil {
			return found, false, err
		}
		to := f.cursor
		to.Next = uint32(step[len(step)-1]) + 1
		left -= len(step)
		switch {
		case stuck > 0:
			to.Next = max(stuck, f.cursor.Next)
		case left == 0 && stop == 0 && f.cursor.Since.IsZero():
			to.Seen = s.host.clock.now()
		}
		if len(mails) > 0 || to.Next > f.cursor.Next {
			if err := s.record(f, registry.Arrival{To: to, Mails: mails, More: left > 0 || stop > 0 && stuck == 0}); err != nil {
				return found, false, err
			}
		}
		found += s.recorded(f, step, waiting, to.Next)
	}
	to := f.cursor
	switch {
	case stuck > 0 && !f.oldMail:
		return found, false, nil
	case stuck > 0:
		stop = 0
	case stop > 0:
		to.Next = max(to.Next, stop+1)
	case !f.cursor.Since.IsZero():
		// Old messages stay old under the new numbers, also those behind new ones.
		to.Next, to.Since, to.Seen = max(to.Next, f.end), time.Time{}, s.host.clock.now()
	case s.host.clock.now().Sub(f.cursor.Seen) <= touchAfter && !f.oldMail:
		return found, false, nil
	default:
		to.Seen = s.host.clock.now()
	}
	return found, stop > 0, s.record(f, registry.Arrival{To: to, More: stop > 0})
}

// readCursor reads the folder's cursor, once in each catch-up.
func (s *session) readCursor(f *folder) error {
	if f.cursorRead {
		return nil
	}
	cursor, err := s.store.Cursor(s.account.ID, f.name)
	if err != nil {
		return &storeError{err}
	}
	f.cursor, f.cursorRead = cursor, true
	return nil
}

// recorded takes note of a step that was recorded, all but the messages that wait, and returns how
// many of it are new. Those that lie ahead of the cursor are not fetched again.
func (s *session) recorded(f *folder, step, waiting []imap.UID, next uint32) (found int) {
	var done []imap.UID
	for _, uid := range step {
		if slices.Contains(waiting, uid) {
			continue
		}
		done = append(done, uid)
		if !f.ahead[uid] {
			found++
		}
		if uint32(uid) <= next {
			delete(f.ahead, uid)
			continue
		}
		if f.ahead == nil {
			f.ahead = make(map[imap.UID]bool)
		}
		f.ahead[uid] = true
	}
	s.failures.messages.forget(f.ids(done))
	return found
}

// record stores the messages of an arrival and moves the cursor.
func (s *session) record(f *folder, a registry.Arrival) error {
	a.Account, a.Edited, a.Folder, a.From, a.Unread, a.At = s.account.ID, s.account.Edited, f.name, f.cursor, s.folders.unread(), time.Now()
	n, err := s.store.Record(a)
	if err != nil {
		return &storeError{err}
	}
	if f.cursor = a.To; a.Unread != nil {
		s.counted = *a.Unread
	}
	silent := 0
	for _, m := range a.Mails {
		if id := f.id(imap.UID(m.UID)); m.Wordless && !s.failures.messages.contentUnavailable(id) {
			s.failures.incomplete.add(id, time.Now(), time.Time{})
		}
		if m.NotRung.Code != "" {
			silent++
		}
		f.oldMail = f.oldMail || m.Old
	}
	f.oldMail = f.oldMail && a.More
	if n > 0 {
		s.proofs.notified(time.Now())
		s.log.Info("new mail", "folder", f.name, "uidvalidity", a.To.UIDValidity, "uid", a.To.Next-1, "count", n)
	}
	if silent > 0 {
		s.log.Info("mail that does not ring", "folder", f.name, "uidvalidity", a.To.UIDValidity, "uid", a.To.Next-1, "count", silent)
	}
	return nil
}

// open opens the folder if need be and places its cursor. It reports whether this is the first
// sight of the folder.
func (s *session) open(f *folder) (first bool, err error) {
	if s.reader.selected == f {
		f.early.removed(s.conn.News().Expunge)
		return false, nil
	}
	if err := s.reader.open(f); err != nil {
		return false, err
	}
	first = f.cursor.Seen.IsZero()
	if first || f.uidNext && f.cursor.Next > f.end {
		if err := s.reader.pastLast(f); err != nil {
			return false, err
		}
	}
	return first, s.place(f)
}

// remember records what mail a folder has that is seen for the first time.
func (s *session) remember(f *folder) error {
	known, err := s.fetcher.recent(f)
	if err != nil || len(known) == 0 {
		return err
	}
	return s.record(f, registry.Arrival{To: f.cursor, Known: known})
}

// search returns the UIDs of the open folder from the cursor on, in order, and stop of
// reader.search.
func (s *session) search(f *folder, width uint32) (uids []imap.UID, stop uint32, err error) {
	// What is announced from here on may be missing in the answer.
	s.conn.Forget()
	f.early.announced = s.conn.Messages()
	if f.cursor.Next == 0 {
		return nil, 0, nil
	}
	uids, stop, err = s.reader.search(f, width)
	if err != nil || len(uids) > 0 || stop > 0 || s.reader.noStar || !f.early.expects(f.behind(), time.Now()) {
		return uids, stop, err
	}
	// GNU mailutils finds nothing by "n:*".
	s.reader.noStar = true
	uids, stop, err = s.reader.search(f, width)
	s.reader.noStar = len(uids) > 0
	if _, refused := errors.AsType[*imap.Error](err); refused && s.conn.Cause() == nil {
		return nil, 0, nil
	}
	return uids, stop, err
}

// place compares the cursor with the folder that was just opened, and moves it if it belongs to
// another one. On first sight it goes to the end of the folder; under another UIDVALIDITY to its
// beginning, with the limit that makes old mail old.
func (s *session) place(f *folder) error {
	now := s.host.clock.now()
	to := registry.Cursor{UIDValidity: f.validity, Next: 1, Seen: now}
	switch {
	case f.cursor.Seen.IsZero():
		to.Next = f.end
		s.log.Info("folder opened for the first time", "folder", f.name, "uidvalidity", f.validity)
	case f.cursor.UIDValidity != f.validity, f.uidNext && f.cursor.Next > f.end:
		// A server that was restored from a backup gives UIDs again that it had given.
		to.Since = earlier(f.cursor.Seen, now) // the clock may have been ahead
		if now.Sub(to.Since) < fingerprintsKept {
			to.Since = to.Since.Add(-skew)
		}
		if !f.cursor.Since.IsZero() {
			// It was renumbered before, and not gone through since.
			to.Since = f.cursor.Since
		}
		clear(f.ahead)
		f.early = earlyNews{}
		s.failures.renumbered(f.name, f.validity)
		s.log.Warn("folder was renumbered, or restored to an earlier state", "folder", f.name, "uidvalidity", f.validity, "uid", f.end)
	default:
		return nil
	}
	return s.record(f, registry.Arrival{To: to})
}

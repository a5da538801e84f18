package watcher

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/registry"
)

// incomplete are the messages that were notified without content. They are retried while their
// notifications live, ever more rarely, and filled in when the server sends them.
type incomplete struct {
	messages map[messageID]incompleteMessage
	recalled bool // those of an earlier run of the program are among them
}

type incompleteMessage struct {
	notified time.Time
	next     time.Time // retry
}

// askNext returns when a message that was notified without content is retried next: after a minute,
// then 10 min, 1 h and each 6 h later. asked is the time of the last retry; zero if it is not
// known. The result is zero if the notification does not live that long.
func askNext(notified, asked time.Time) (next time.Time) {
	switch age := asked.Sub(notified); {
	case asked.IsZero():
		next = notified.Add(time.Minute)
	case age < 10*time.Minute:
		next = asked.Add(10 * time.Minute)
	case age < time.Hour:
		next = asked.Add(time.Hour)
	default:
		next = asked.Add(6 * time.Hour)
	}
	if next.Sub(notified) >= idlepush.KindMail.Lifetime() {
		return time.Time{}
	}
	return next
}

// add has a message retried at the time that askNext returns.
func (l *incomplete) add(id messageID, notified, asked time.Time) {
	next := askNext(notified, asked)
	if next.IsZero() {
		delete(l.messages, id)
		return
	}
	if l.messages == nil {
		l.messages = make(map[messageID]incompleteMessage)
	}
	l.messages[id] = incompleteMessage{notified, next}
}

// due returns the messages whose retry is due, by the name of their folder, in order.
func (l *incomplete) due(now time.Time) map[string][]messageID {
	due := make(map[string][]messageID)
	for id, m := range l.messages {
		if !now.Before(m.next) {
			due[id.folder] = append(due[id.folder], id)
		}
	}
	for _, ids := range due {
		slices.SortFunc(ids, func(a, b messageID) int { return cmp.Compare(a.uid, b.uid) })
	}
	return due
}

// recall adds the messages that were notified without content in an earlier run of the program.
func (s *session) recall() error {
	if s.failures.incomplete.recalled {
		return nil
	}
	now := time.Now()
	list, err := s.store.Wordless(s.account.ID, now)
	if err != nil {
		return &storeError{err}
	}
	for _, n := range list {
		if s.folders.named(n.Folder) != nil {
			// The clock may have been ahead.
			s.failures.incomplete.add(messageID{n.Folder, n.UIDValidity, imap.UID(n.UID)}, earlier(n.At, now), time.Time{})
		}
	}
	s.failures.incomplete.recalled = true
	return nil
}

// fillIn retries the messages that were notified without content, if that is due, and leaves home
// open. It fetches no more than one batch of each folder: the rest comes after the next look for
// new mail.
func (s *session) fillIn(home *folder) (found int, err error) {
	due := s.failures.incomplete.due(time.Now())
	if err := s.fillInOf(home, due[home.name]); err != nil {
		return 0, err
	}
	delete(due, home.name)
	for _, name := range slices.Sorted(maps.Keys(due)) {
		f := s.folders.named(name)
		if f == nil {
			continue
		}
		if !s.failures.folders.skipped(name, time.Now()) {
			n, _, err := s.lookAside(f)
			if found += n; err != nil {
				return found, err
			}
		}
		if err := s.fillInOf(f, due[name]); err != nil {
			return found, err
		}
	}
	if s.reader.selected == home {
		return found, nil
	}
	n, err := s.look(home)
	return found + n, err
}

// fillInOf fetches messages of the folder, if it is open. It drops those that were read or removed
// meanwhile, and those that have ended sessions.
func (s *session) fillInOf(f *folder, ids []messageID) error {
	if len(ids) == 0 {
		return nil
	}
	announced, err := s.store.Announced(s.account.ID, f.name, f.validity)
	if err != nil {
		return &storeError{err}
	}
	if err := s.readCursor(f); err != nil {
		return err
	}
	t, err := s.fetcher.terms(f)
	if err != nil {
		return err
	}
	known := &s.failures.incomplete
	for _, id := range ids[:min(len(ids), batch)] {
		open := s.reader.selected == f
		if s.failures.messages.contentUnavailable(id) || open && (id.validity != f.validity || !slices.Contains(announced, uint32(id.uid))) {
			delete(known.messages, id)
			continue
		}
		// The next time is set first: a FETCH that ends the session is not sent again at once.
		known.add(id, known.messages[id].notified, time.Now())
		if !open {
			continue
		}
		done, err := s.fillInOne(t, id.uid)
		if err != nil {
			return fmt.Errorf("ask for the content of a message: %w", err)
		}
		if done {
			delete(known.messages, id)
			s.failures.messages.forget([]messageID{id})
		}
	}
	return nil
}

// fillInOne fetches one message and fills it in. done: it needs no other retry.
func (s *session) fillInOne(t terms, uid imap.UID) (done bool, err error) {
	got, missing, err := s.fetcher.fetchGroup(t, []imap.UID{uid})
	if err != nil {
		return false, err
	}
	answers := append(got, missing...)
	if len(answers) == 0 || header(answers[0]) == nil && flagged(answers[0].Flags) == "" {
		return false, nil
	}
	described, err := s.fetcher.describe(answers[0], t)
	if err != nil {
		return false, err
	}
	if described.NotRung.Code != "" {
		return true, s.clear(handled{folder: t.folder.name, validity: t.folder.validity, read: []uint32{uint32(uid)}})
	}
	list := []registry.Message{described}
	if err := s.fetcher.markTwins(t.folder, list); err != nil {
		return false, err
	}
	filled, err := s.store.FillIn(s.account.ID, t.folder.name, t.folder.validity, list[0], time.Now())
	if err != nil {
		return false, &storeError{err}
	}
	if filled {
		s.log.Info("content of an incomplete notification filled in", "folder", t.folder.name, "uid", uid)
	}
	return true, nil
}

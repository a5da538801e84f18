package watcher

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry"
)

// Mail that rang without words is asked for again while its notification lives, ever more rarely,
// and filled in when the server gives it.

// wanting is a mail that rang without words.
type wanting struct {
	rang time.Time
	next time.Time // when it is asked for again
}

// askNext is when a mail that rang without words is asked for next: a minute after it rang, then
// 10 min, 1 h and each 6 h later. asked is when that was done last; where it was not, as far as is
// known, it is zero. The result is zero where the notification does not live that long.
func askNext(rang, asked time.Time) (next time.Time) {
	switch age := asked.Sub(rang); {
	case asked.IsZero():
		next = rang.Add(time.Minute)
	case age < 10*time.Minute:
		next = asked.Add(10 * time.Minute)
	case age < time.Hour:
		next = asked.Add(time.Hour)
	default:
		next = asked.Add(6 * time.Hour)
	}
	if next.Sub(rang) >= registry.MailKind.Lifetime() {
		return time.Time{}
	}
	return next
}

// want has a mail asked for again that rang without words.
func (p *poison) want(folder string, uid imap.UID, rang, asked time.Time) {
	if p.wanting == nil {
		p.wanting = make(map[poisoned]wanting)
	}
	key := poisoned{folder, uid}
	if p.wanting[key] = (wanting{rang, askNext(rang, asked)}); p.wanting[key].next.IsZero() {
		delete(p.wanting, key)
	}
}

// wanted gives the mails that rang without words and are to be asked for by now, by folder, in
// order.
func (p *poison) wanted(now time.Time) map[string][]imap.UID {
	due := make(map[string][]imap.UID)
	for key, w := range p.wanting {
		if !now.Before(w.next) {
			due[key.folder] = append(due[key.folder], key.uid)
		}
	}
	for _, uids := range due {
		slices.Sort(uids)
	}
	return due
}

// recall takes up the mails that rang without words in an earlier run of the program: they are
// asked for at once.
func (s *session) recall() error {
	if s.poison.recalled {
		return nil
	}
	now := time.Now()
	list, err := s.store.Wordless(s.account.ID, now)
	if err != nil {
		return &storeError{err}
	}
	for _, n := range list {
		if slices.Contains(s.account.Folders, n.Folder) {
			s.poison.want(n.Folder, imap.UID(n.UID), earlier(n.At, now), time.Time{}) // the clock may have been ahead
		}
	}
	s.poison.recalled = true
	return nil
}

// fillIn asks again for the mails that rang without words, where that is due, and leaves home open.
// Of each folder it asks for no more than one batch: the rest comes after the next look for new
// mail.
func (s *session) fillIn(home string) (found int, err error) {
	due := s.poison.wanted(time.Now())
	if err := s.fillInOf(home, due[home]); err != nil {
		return 0, err
	}
	delete(due, home)
	for _, folder := range slices.Sorted(maps.Keys(due)) {
		if !s.poison.avoids(folder) {
			n, _, err := s.lookAside(folder)
			if found += n; err != nil {
				return found, err
			}
		}
		if err := s.fillInOf(folder, due[folder]); err != nil {
			return found, err
		}
	}
	if s.folder == home {
		return found, nil
	}
	n, err := s.look(home)
	return found + n, err
}

// fillInOf asks for mails of the folder, if it is open. What was read or removed meanwhile, and
// what has ended sessions, is not asked for again.
func (s *session) fillInOf(folder string, uids []imap.UID) error {
	if len(uids) == 0 {
		return nil
	}
	announced, err := s.store.Announced(s.account.ID, folder, s.validity[folder])
	if err != nil {
		return &storeError{err}
	}
	t, err := s.terms(folder, time.Time{})
	if err != nil {
		return err
	}
	for _, uid := range uids[:min(len(uids), batch)] {
		key := poisoned{folder, uid}
		open := s.folder == folder
		if s.poison.blind(folder, uid) || open && !slices.Contains(announced, uint32(uid)) {
			delete(s.poison.wanting, key)
			continue
		}
		// The next time is set first: a FETCH that ends the session is not sent again at once.
		s.poison.want(folder, uid, s.poison.wanting[key].rang, time.Now())
		if !open {
			continue
		}
		done, err := s.askWords(t, uid)
		if err != nil {
			return fmt.Errorf("ask for the words of a mail: %w", err)
		}
		if done {
			delete(s.poison.wanting, key)
			s.poison.forget(folder, []imap.UID{uid})
		}
	}
	return nil
}

// askWords asks for one mail and fills it in. done: it need not be asked for again.
func (s *session) askWords(t terms, uid imap.UID) (done bool, err error) {
	got, missing, err := s.fetchGroup(t, []imap.UID{uid})
	if err != nil {
		return false, err
	}
	answers := append(got, missing...)
	if len(answers) == 0 || header(answers[0]) == nil && !dealtWith(answers[0].Flags) {
		return false, nil
	}
	mail, rings, err := s.describe(answers[0], t)
	if err != nil {
		return false, err
	}
	if header(answers[0]) != nil {
		s.poison.wordless = 0
	}
	validity := s.validity[t.folder]
	if !rings {
		return true, s.clearAll([]leavings{{t.folder, validity, []uint32{uint32(uid)}}})
	}
	filled, err := s.store.FillIn(s.account.ID, t.folder, validity, mail, time.Now())
	if err != nil {
		return false, &storeError{err}
	}
	if filled {
		s.log.Info("a mail that rang without words has them now", "mailbox", t.folder, "uid", uid)
	}
	return true, nil
}

package watcher

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/registry"
	"idlepush/watcher/wire"
)

const (
	// mostRounds bounds the rounds of others, should a server's STATUS never agree with what it shows.
	mostRounds = 4

	// mostStatus is how many folders one tour asks for their STATUS; where there are more they take turns.
	mostStatus = 25
)

// mark is what STATUS says of a folder as far as it tells that something was read or removed there.
type mark struct {
	modSeq           uint64 // HIGHESTMODSEQ (RFC 7162); 0: the server has none
	messages, unseen uint32
}

// others looks at those of the other folders that hold what is new or was read elsewhere: all of them in turn once in tourEvery, and all at once where
// the server tells that there is something (NOTIFY, RFC 5465) or with all. It asks for their STATUS until none has any, with home open: what comes after
// the last answer is told. toured: all were asked.
func (s *session) others(home string, all bool) (found int, toured bool, err error) {
	news, due := s.conn.News(), !time.Now().Before(s.tour)
	if len(s.account.Folders) < 2 {
		s.conn.ForgetOthers(true)
		s.tour = time.Time{}
		return 0, true, nil
	}
	if s.asked && !due && !all && news.Status == 0 && !news.Overflow {
		return 0, false, nil
	}
	// The server gives up telling when there is too much to tell, and is asked again.
	if first := !s.asked; first || news.Overflow {
		all = true
		if err := s.subscribe(); err != nil {
			return 0, false, err
		}
	}
	all = all || news.Status > 0
	asking := s.asking(home, all, due)
	if due {
		s.tour = time.Now().Add(early(tourEvery))
	}
	for range mostRounds {
		folders, err := s.behind(asking)
		if err != nil || len(folders) == 0 {
			return found, all, err
		}
		for _, f := range folders {
			n, err := s.lookAside(f)
			if found += n; err != nil {
				return found, false, err
			}
		}
		n, err := s.look(home)
		if found += n; err != nil {
			return found, false, err
		}
	}
	return found, all, nil
}

// asking gives the folders beside home that are to be asked: all, or those whose turn it is. One that could not be opened is tried again where a tour is due.
func (s *session) asking(home string, all, due bool) (folders []string) {
	for _, f := range s.account.Folders {
		if f != home && (due || !s.missing[f]) {
			folders = append(folders, f)
		}
	}
	if !all && len(folders) > mostStatus {
		s.turn %= len(folders)
		folders = append(folders[s.turn:], folders[:s.turn]...)[:mostStatus]
		s.turn += mostStatus
	}
	for _, f := range folders {
		delete(s.missing, f)
	}
	return folders
}

// lookAside looks at a folder that the session does not depend on, for what is new and for what was read: a refusal is noted and passed over.
func (s *session) lookAside(folder string) (found int, err error) {
	if s.poison.avoids(folder) {
		s.missing[folder] = true
		return 0, nil
	}
	if found, err = s.look(folder); err == nil {
		err = s.clear(folder)
	}
	if refused, ok := errors.AsType[*imap.Error](err); ok && s.conn.Cause() == nil {
		s.log.Warn("folder cannot be looked at", "mailbox", folder, "err", wire.Clean(refused.Error()))
		s.missing[folder] = true
		return found, nil
	}
	return found, err
}

// subscribe asks a server that can to tell of new mail in the other folders while the session waits in one.
func (s *session) subscribe() error {
	s.asked, s.told = true, false
	if !s.conn.Has("NOTIFY") {
		s.conn.ForgetOthers(true)
		return nil
	}
	err := s.conn.Notify(s.account.Folders, patience)
	if refused, ok := errors.AsType[*imap.Error](err); ok {
		s.log.Info("NOTIFY refused, the other folders are asked now and then", "err", wire.Clean(refused.Error()))
		s.conn.ForgetOthers(true)
		return nil
	}
	s.told = err == nil
	return err
}

// behind gives those of the folders that are to be looked at, by their STATUS. One that the server refuses is taken for missing.
func (s *session) behind(folders []string) (behind []string, err error) {
	if len(folders) == 0 {
		return nil, nil
	}
	s.conn.ForgetOthers(false)
	items := &imap.StatusOptions{UIDNext: true, UIDValidity: true, NumMessages: true, NumUnseen: true, HighestModSeq: s.conn.Has(imap.CapCondStore)}
	err = s.conn.Lend(patience, func(client *imapclient.Client) error {
		commands := make([]*imapclient.StatusCommand, len(folders))
		for i, f := range folders {
			commands[i] = client.Status(f, items)
		}
		for i, f := range folders {
			data, err := commands[i].Wait()
			if _, refused := errors.AsType[*imap.Error](err); refused {
				s.missing[f] = true
				continue
			}
			if err != nil {
				return err
			}
			wanted, err := s.wanted(f, data)
			if err != nil {
				return err
			}
			if wanted {
				behind = append(behind, f)
			}
		}
		return nil
	})
	return behind, err
}

// wanted reports whether a folder is to be looked at, by its STATUS.
func (s *session) wanted(folder string, data *imap.StatusData) (bool, error) {
	now := mark{modSeq: data.HighestModSeq}
	if data.NumUnseen != nil {
		s.unread[folder], now.unseen = int(*data.NumUnseen), *data.NumUnseen
	}
	if data.NumMessages != nil {
		now.messages = *data.NumMessages
	}
	before, known := s.marks[folder]
	s.marks[folder] = now
	cursor, err := s.store.Cursor(s.account.ID, folder)
	if err != nil {
		return false, &storeError{err}
	}
	next := uint32(data.UIDNext)
	switch {
	case cursor.Seen.IsZero(), time.Since(cursor.Seen) > touchAfter, !cursor.Since.IsZero():
		return true, nil
	case data.UIDValidity != cursor.UIDValidity:
		return true, nil
	case next > 0 && cursor.Next > 0 && next > max(cursor.Next, s.ends[folder]):
		return true, nil
	case next > 0 && next < cursor.Next && s.ends[folder] == 0:
		// It may have been put back to an earlier state; EXAMINE tells.
		return true, nil
	case known && before == now:
		return false, nil
	}
	announced, err := s.store.Announced(s.account.ID, folder, cursor.UIDValidity)
	if err != nil {
		return false, &storeError{err}
	}
	return len(announced) > 0, nil
}

// clearHome clears what was read or removed of the folder that is waited in. What was removed may have been moved to another watched folder, and then it is
// found there first: it did not ring for nothing.
func (s *session) clearHome(home string, toured bool) (found int, err error) {
	gone, err := s.gone(home)
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	if !toured {
		if found, _, err = s.others(home, true); err != nil {
			return found, err
		}
	}
	return found, s.clear(home)
}

// clear clears the mail of the folder that is open which rang and was read or removed since.
func (s *session) clear(folder string) error {
	gone, err := s.gone(folder)
	if err != nil {
		return err
	}
	for step := range slices.Chunk(gone, registry.MostMails) {
		n, err := s.store.Clear(s.account.ID, folder, s.validity[folder], step, time.Now())
		if err != nil {
			return &storeError{err}
		}
		if n > 0 {
			s.log.Info("mail was read or removed elsewhere", "mailbox", folder, "count", n)
		}
	}
	return nil
}

// gone gives the UIDs of what rang in the folder that is open and is not unread in it any more. One SEARCH over just these is all it takes.
func (s *session) gone(folder string) (gone []uint32, err error) {
	announced, err := s.store.Announced(s.account.ID, folder, s.validity[folder])
	if err != nil {
		return nil, &storeError{err}
	}
	if len(announced) == 0 {
		return nil, nil
	}
	var set imap.UIDSet
	for _, uid := range announced {
		set.AddNum(imap.UID(uid))
	}
	var left []imap.UID
	var dropped int
	err = s.conn.Lend(patience, func(client *imapclient.Client) (err error) {
		before := s.conn.Dropped()
		left, err = search(client, &imap.SearchCriteria{UID: []imap.UIDSet{set}, NotFlag: []imap.Flag{imap.FlagSeen, imap.FlagDeleted}})
		dropped = s.conn.Dropped() - before
		return err
	})
	if err != nil || dropped > 0 {
		return nil, err
	}
	return slices.DeleteFunc(announced, func(uid uint32) bool { return slices.Contains(left, imap.UID(uid)) }), nil
}

// askUnread asks how many mails of the folder that is open are unread, and gives what takes the answer. A server that refuses is not asked again (RFC 3501
// section 6.3.10 does not want it asked of the folder that is open, but most answer).
func (s *session) askUnread(client *imapclient.Client, folder string) (take func() error) {
	if s.mute {
		return func() error { return nil }
	}
	command := client.Status(folder, &imap.StatusOptions{NumUnseen: true})
	return func() error {
		data, err := command.Wait()
		if _, refused := errors.AsType[*imap.Error](err); refused {
			s.mute = true
			return nil
		}
		if err == nil && data.NumUnseen != nil {
			s.unread[folder] = int(*data.NumUnseen)
		}
		return err
	}
}

// sum is how many mails of the account are unread; nil: not known.
func (s *session) sum() *int {
	sum := 0
	for _, f := range s.account.Folders {
		n, known := s.unread[f]
		if !known && !s.missing[f] {
			return nil
		}
		sum += n
	}
	s.counted = sum
	return &sum
}

// count writes how many mails are unread, where that is another number than the last one written.
func (s *session) count() error {
	before := s.counted
	if sum := s.sum(); sum != nil && *sum != before {
		if err := s.store.SetUnread(s.account.ID, *sum); err != nil {
			return &storeError{err}
		}
	}
	return nil
}

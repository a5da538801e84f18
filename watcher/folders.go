package watcher

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

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
// the last answer is told.
func (s *session) others(home string, all bool) (found int, err error) {
	news, due := s.conn.News(), !time.Now().Before(s.tour)
	if len(s.account.Folders) < 2 {
		s.conn.ForgetOthers(true)
		s.tour = time.Time{}
		return 0, nil
	}
	if found, err = s.retry(home); err != nil {
		return found, err
	}
	if s.asked && !due && !all && news.Status == 0 && !news.Overflow {
		return found, nil
	}
	// The server gives up telling when there is too much to tell, and is asked again.
	if first := !s.asked; first || news.Overflow {
		all = true
		if err := s.subscribe(); err != nil {
			return found, err
		}
	}
	if due {
		s.tour = time.Now().Add(early(tourEvery))
	}
	all = all || s.conn.News().Status > 0
	asking := s.asking(home, all, due)
	var gone []leavings
	for range mostRounds {
		// Told of something, or with something gone that may have been moved, it asks all.
		if wide := s.conn.News().Status > 0 || len(gone) > 0; wide && !all {
			all, asking = true, s.asking(home, true, false)
		}
		folders, err := s.behind(asking)
		if err != nil {
			return found, err
		}
		if len(folders) == 0 {
			return found, s.clearAll(gone)
		}
		for _, f := range folders {
			n, left, err := s.lookAside(f)
			if found += n; err != nil {
				return found, err
			}
			if len(left.uids) > 0 {
				gone = append(gone, left)
			}
		}
		asking = slices.DeleteFunc(asking, func(f string) bool { return s.missing[f] })
		n, err := s.look(home)
		if found += n; err != nil {
			return found, err
		}
	}
	return found, s.clearAll(gone)
}

// retry looks again at the other folders that hold a mail which the server did not give, if it is
// time. One that has ended sessions is passed over, and its mail found by the tour that opens it.
func (s *session) retry(home string) (found int, err error) {
	for _, f := range s.poison.ripe(time.Now()) {
		if f != home && slices.Contains(s.account.Folders, f) && !s.poison.avoids(f) {
			n, _, err := s.lookAside(f)
			if found += n; err != nil {
				return found, err
			}
		}
		s.poison.settle(f, time.Now())
	}
	if s.folder == home {
		return found, nil
	}
	n, err := s.look(home)
	return found + n, err
}

// asking gives the folders beside home that are to be asked: all, or those whose turn it is. One that could not be opened is tried again where a tour is
// due; one that has ended sessions is passed over for a while.
func (s *session) asking(home string, all, due bool) (folders []string) {
	for _, f := range s.account.Folders {
		switch {
		case f == home:
		case s.poison.avoids(f):
			s.missing[f] = true
		case due || !s.missing[f]:
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
func (s *session) lookAside(folder string) (found int, left leavings, err error) {
	if found, err = s.look(folder); err == nil {
		left, err = s.leavings(folder)
	}
	if _, refused := errors.AsType[*imap.Error](err); (refused || errors.Is(err, errNoEnd)) && s.conn.Cause() == nil {
		s.log.Warn("folder cannot be looked at", "mailbox", folder, "err", wire.Clean(err.Error()))
		s.missing[folder] = true
		// The next tour must not take it for looked through.
		delete(s.ends, folder)
		delete(s.marks, folder)
		return found, left, nil
	}
	return found, left, err
}

// subscribe asks a server that can to tell of new mail in the other folders while the session waits in one.
func (s *session) subscribe() error {
	s.asked = true
	if !s.conn.Has("NOTIFY") || s.poison.avoids(notifying) {
		s.conn.ForgetOthers(true)
		return nil
	}
	err := s.conn.Notify(s.account.Folders, patience)
	if refused, ok := errors.AsType[*imap.Error](err); ok {
		s.log.Info("NOTIFY refused, the other folders are asked now and then", "err", wire.Clean(refused.Error()))
		s.conn.ForgetOthers(true)
		return nil
	}
	if err != nil {
		s.poison.strike(notifying, []imap.UID{whole}, err)
		return err
	}
	s.poison.forget(notifying, []imap.UID{whole})
	return nil
}

// behind gives those of the folders that are to be looked at, by their STATUS. One that the server refuses is taken for missing. Where asking has ended a
// session, each is asked alone from then on, and one that ends it again is passed over.
func (s *session) behind(folders []string) (behind []string, err error) {
	s.conn.ForgetOthers(false)
	step := max(len(folders), 1)
	if s.poison.careful {
		step = 1
	}
	for group := range slices.Chunk(folders, step) {
		wanted, err := s.ask(group)
		if err != nil && s.conn.Cause() != nil {
			if s.poison.careful {
				s.poison.strike(group[0], []imap.UID{whole}, err)
			}
			s.poison.careful = true
		}
		if err != nil {
			return nil, err
		}
		behind = append(behind, wanted...)
	}
	return behind, nil
}

func (s *session) ask(folders []string) (behind []string, err error) {
	items := &imap.StatusOptions{UIDNext: true, UIDValidity: true, NumMessages: true, NumUnseen: true, HighestModSeq: s.conn.Has(imap.CapCondStore) && !s.noModSeq}
	lied := false
	err = s.conn.Lend(patience, func(client *imapclient.Client) error {
		commands := make([]*imapclient.StatusCommand, len(folders))
		for i, f := range folders {
			commands[i] = client.Status(f, items)
		}
		for i, f := range folders {
			data, err := commands[i].Wait()
			if said, refused := errors.AsType[*imap.Error](err); refused {
				lied = lied || items.HighestModSeq && said.Type == imap.StatusResponseTypeBad
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
	if err == nil && lied {
		// The server announces CONDSTORE (RFC 7162) and does not take what belongs to it.
		s.noModSeq = true
		for _, folder := range folders {
			delete(s.missing, folder)
		}
		return s.ask(folders)
	}
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
	case cursor.Seen.IsZero(), s.host.clock.now().Sub(cursor.Seen) > touchAfter, !cursor.Since.IsZero():
		return true, nil
	case data.UIDValidity != cursor.UIDValidity:
		return true, nil
	case next > 0 && cursor.Next > 0 && next > max(cursor.Next, s.ends[folder]):
		return true, nil
	case next > 0 && next < cursor.Next && (s.ends[folder] == 0 || next < s.ends[folder]):
		// It may have been put back to an earlier state; EXAMINE tells.
		return true, nil
	case known && before == now:
		return false, nil
	case known && now.messages > before.messages:
		// More mail than there was, though the UIDNEXT may be stale.
		return true, nil
	case next == 0:
		// The server does not say where the folder ends.
		return true, nil
	}
	announced, err := s.store.Announced(s.account.ID, folder, cursor.UIDValidity)
	if err != nil {
		return false, &storeError{err}
	}
	return len(announced) > 0, nil
}

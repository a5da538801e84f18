package watcher

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/registry"
)

// What a person did on another client: which of the mails that rang were read or removed there, and how many are unread.

// leavings are UIDs of a folder that rang and are read or gone.
type leavings struct {
	folder   string
	validity uint32
	uids     []uint32
}

// clearHome clears what was read or removed of the folder that is waited in. What was removed may have been moved to another watched folder, and then it is
// found there first: it did not ring for nothing.
func (s *session) clearHome(home string) (found int, err error) {
	gone, err := s.leavings(home)
	if err != nil || len(gone.uids) == 0 {
		return 0, err
	}
	if found, err = s.others(home, true); err != nil {
		return found, err
	}
	return found, s.clearAll([]leavings{gone})
}

// clearAll clears them; what was found in another place meanwhile is there now, and is passed over.
func (s *session) clearAll(gone []leavings) error {
	for _, left := range gone {
		for step := range slices.Chunk(left.uids, registry.MostMails) {
			n, err := s.store.Clear(s.account.ID, left.folder, left.validity, step, time.Now())
			if err != nil {
				return &storeError{err}
			}
			if n > 0 {
				s.log.Info("mail was read or removed elsewhere", "mailbox", left.folder, "count", n)
			}
		}
	}
	return nil
}

// mostSought is how many UIDs one SEARCH asks for: their list fits the shortest line that servers take.
const mostSought = 100

// leavings gives what rang in the folder that is open and is not unread in it any more. A SEARCH over just these is all it takes; a server that refuses it
// is not asked.
func (s *session) leavings(folder string) (leavings, error) {
	left := leavings{folder: folder, validity: s.validity[folder]}
	announced, err := s.store.Announced(s.account.ID, folder, left.validity)
	if err != nil {
		return left, &storeError{err}
	}
	for step := range slices.Chunk(announced, mostSought) {
		var set imap.UIDSet
		for _, uid := range step {
			set.AddNum(imap.UID(uid))
		}
		var still []imap.UID
		var dropped int
		err = s.conn.Lend(patience, func(client *imapclient.Client) (err error) {
			before := s.conn.Dropped()
			still, err = search(client, &imap.SearchCriteria{UID: []imap.UIDSet{set}, NotFlag: []imap.Flag{imap.FlagSeen, imap.FlagDeleted}})
			dropped = s.conn.Dropped() - before
			return err
		})
		if _, refused := errors.AsType[*imap.Error](err); refused && s.conn.Cause() == nil || dropped > 0 {
			delete(s.marks, folder)
			return left, nil
		}
		if err != nil {
			return left, err
		}
		for _, uid := range step {
			if !slices.Contains(still, imap.UID(uid)) {
				left.uids = append(left.uids, uid)
			}
		}
	}
	return left, nil
}

// askUnread asks how many mails of the folder that is open are unread, and gives what takes the answer. A server that refuses for good, or ends the connection
// over it twice in a row, is not asked again: RFC 3501 section 6.3.10 does not want it asked of the folder that is open, but most answer.
func (s *session) askUnread(client *imapclient.Client, folder string) (take func() error) {
	if s.mute[folder] || s.poison.muted >= 2 {
		return func() error { return nil }
	}
	command := client.Status(folder, &imap.StatusOptions{NumUnseen: true})
	return func() error {
		data, err := command.Wait()
		if said, refused := errors.AsType[*imap.Error](err); refused {
			s.mute[folder] = !temporary(said)
			delete(s.unread, folder)
			return nil
		}
		if err != nil {
			s.poison.muted++
			return err
		}
		s.poison.muted = 0
		if data.NumUnseen != nil {
			s.unread[folder] = int(*data.NumUnseen)
		}
		return nil
	}
}

// sum is how many mails of the account are unread; nil: not known.
func (s *session) sum() *int {
	sum := 0
	for _, f := range s.account.Folders {
		if s.missing[f] {
			continue
		}
		n, known := s.unread[f]
		if !known {
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

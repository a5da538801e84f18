package watcher

import (
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry"
)

// handled are messages of a folder that were notified, and then read or removed on another client.
type handled struct {
	folder   string
	validity uint32
	uids     []uint32
}

// clearHome clears the messages that were read or removed of the folder that the session waits in.
// A removed message may have been moved to another watched folder, and is looked for there first:
// then it stays notified.
func (s *session) clearHome(home *folder) (found int, err error) {
	gone, err := s.handledElsewhere(home)
	if err != nil || len(gone.uids) == 0 {
		return 0, err
	}
	if found, err = s.others(home, true); err != nil {
		return found, err
	}
	return found, s.clear(gone)
}

// clear clears the messages, but not those that the store knows in another folder by now.
func (s *session) clear(list ...handled) error {
	for _, gone := range list {
		for step := range slices.Chunk(gone.uids, registry.MaxMails) {
			n, err := s.store.Clear(s.account.ID, gone.folder, gone.validity, step, time.Now())
			if err != nil {
				return &storeError{err}
			}
			if n > 0 {
				s.log.Info("mail was read or removed elsewhere", "folder", gone.folder, "count", n)
			}
		}
	}
	return nil
}

// maxSought is how many UIDs one SEARCH asks for: their list fits the shortest line that servers
// take.
const maxSought = 100

// handledElsewhere returns the messages of the open folder that were notified and are not unread in
// it any more. If the server refuses the SEARCH of just these UIDs, the rest is left out.
func (s *session) handledElsewhere(f *folder) (handled, error) {
	gone := handled{folder: f.name, validity: f.validity}
	announced, err := s.store.Announced(s.account.ID, f.name, f.validity)
	if err != nil {
		return gone, &storeError{err}
	}
	for step := range slices.Chunk(announced, maxSought) {
		still, known, err := s.reader.stillUnread(step)
		if err != nil {
			return gone, err
		}
		if !known {
			f.statusKnown = false
			return gone, nil
		}
		for _, uid := range step {
			if !slices.Contains(still, imap.UID(uid)) {
				gone.uids = append(gone.uids, uid)
			}
		}
	}
	return gone, nil
}

package watcher

import (
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry"
)

// handled are messages of a folder that were notified, and then handled on another client.
type handled struct {
	folder   string
	validity uint32
	read     []uint32
	removed  []uint32
}

func (h handled) empty() bool { return len(h.read)+len(h.removed) == 0 }

// clearHome clears the messages that were read or removed of the folder that the session waits in.
// A removed message may have been moved to another watched folder, and is looked for there first:
// then it stays notified.
func (s *session) clearHome(home *folder) (found int, err error) {
	gone, err := s.handledElsewhere(home)
	if err != nil || gone.empty() {
		return 0, err
	}
	if found, err = s.others(home, true); err != nil {
		return found, err
	}
	return found, s.clear(gone)
}

// clear clears the messages. One that was removed, and that the store knows in another folder by
// now, stays notified there.
func (s *session) clear(list ...handled) error {
	for _, gone := range list {
		cleared := 0
		for step := range slices.Chunk(gone.read, registry.MaxMails) {
			n, err := s.store.Clear(s.account.ID, gone.folder, gone.validity, step, time.Now())
			if err != nil {
				return &storeError{err}
			}
			cleared += n
		}
		for step := range slices.Chunk(gone.removed, registry.MaxMails) {
			n, moved, err := s.store.ClearRemoved(s.account.ID, gone.folder, gone.validity, step, time.Now())
			if err != nil {
				return &storeError{err}
			}
			cleared += n
			for _, f := range s.folders {
				// The message may have been read or removed there, too.
				f.statusKnown = f.statusKnown && moved == 0
			}
		}
		if cleared > 0 {
			s.log.Info("mail was read or removed elsewhere", "folder", gone.folder, "count", cleared)
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
		step = slices.DeleteFunc(slices.Clone(step), func(uid uint32) bool { return slices.Contains(still, imap.UID(uid)) })
		if len(step) == 0 {
			continue
		}
		// If the server does not say, they may have been removed.
		if still, _, err = s.reader.notDeleted(step); err != nil {
			return gone, err
		}
		for _, uid := range step {
			if slices.Contains(still, imap.UID(uid)) {
				gone.read = append(gone.read, uid)
			} else {
				gone.removed = append(gone.removed, uid)
			}
		}
	}
	return gone, nil
}

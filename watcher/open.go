package watcher

import (
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// folderError says that the server does not open one folder; the others are none the worse.
type folderError struct{ Err error }

func (e *folderError) Error() string { return "open the folder: " + e.Err.Error() }
func (e *folderError) Unwrap() error { return e.Err }

// open opens the folder, read-only, notes where it ends, and gives its UIDVALIDITY.
func (s *session) open(client *imapclient.Client, folder string) (validity uint32, err error) {
	s.folder = ""
	data, err := client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return 0, &folderError{err}
	}
	if err != nil {
		return 0, err
	}
	next, err := end(client, data)
	if err != nil {
		return 0, err
	}
	s.folder, s.reopened, s.ends[folder], s.validity[folder] = folder, true, next, data.UIDValidity
	// Where the server does not say it, the end of the folder may lie before UIDs that were given and are gone.
	s.said[folder] = data.UIDNext > 0
	return data.UIDValidity, nil
}

// pastLast moves the end of the folder that is open behind its last mail: a UIDNEXT may be stale, and at first sight old mail would ring.
func (s *session) pastLast(client *imapclient.Client, folder string) error {
	last, err := search(client, &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: imap.UID(s.ends[folder])}}}})
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return nil
	}
	for _, uid := range last {
		s.ends[folder] = max(s.ends[folder], uint32(uid)+1)
	}
	return err
}

// end is the UID after the last of the folder.
func end(client *imapclient.Client, data *imap.SelectData) (uint32, error) {
	if data.UIDNext > 0 || data.NumMessages == 0 {
		return max(uint32(data.UIDNext), 1), nil
	}
	last, err := search(client, &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{}}}})
	if err == nil && len(last) == 0 {
		err = errors.New("the server does not say where the folder ends")
	}
	if err != nil {
		return 0, err
	}
	return uint32(last[len(last)-1]) + 1, nil
}

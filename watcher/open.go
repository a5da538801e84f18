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

// errNoEnd is a server that says in no way where a folder ends.
var errNoEnd = errors.New("the server does not say where the folder ends")

// open opens the folder, read-only, notes where it ends, and gives its UIDVALIDITY.
func (s *session) open(folder string) (validity uint32, err error) {
	s.folder = ""
	var data *imap.SelectData
	err = s.conn.Lend(patience, func(client *imapclient.Client) (err error) {
		data, err = client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return 0, &folderError{err}
	}
	if err != nil {
		return 0, err
	}
	next, said := max(uint32(data.UIDNext), 1), data.UIDNext > 0
	if !said && data.NumMessages > 0 {
		if next, said, err = s.end(folder, data.NumMessages); err != nil {
			return 0, err
		}
	}
	s.folder, s.reopened, s.ends[folder], s.validity[folder] = folder, true, next, data.UIDValidity
	// Where the server does not say it, the end of the folder may lie before UIDs that were given and are gone.
	s.said[folder] = said
	return data.UIDValidity, nil
}

// pastLast moves the end of the folder that is open behind its last mail: a UIDNEXT may be stale.
// At first sight old mail would ring, and later the folder would be taken for one that was put back.
func (s *session) pastLast(folder string) error {
	var last []imap.UID
	err := s.conn.Lend(patience, func(client *imapclient.Client) (err error) {
		last, err = search(client, &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: imap.UID(s.ends[folder])}}}})
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); refused && s.conn.Cause() == nil {
		return nil
	}
	for _, uid := range last {
		s.ends[folder] = max(s.ends[folder], uint32(uid)+1)
	}
	return err
}

// end asks for the UID after the last of the folder that was just opened and holds so many mails,
// in one way after the other until an answer is of use. said: it is the UIDNEXT. No UID is less
// than the number of mails up to it.
func (s *session) end(folder string, mails uint32) (next uint32, said bool, err error) {
	for i, ask := range []func(folder string) (uint32, error){s.statusNext, s.afterFetched, s.afterFound} {
		next, err := ask(folder)
		if cause := s.conn.Cause(); cause != nil {
			return 0, false, cause
		}
		if err == nil && next > mails {
			return next, i == 0, nil
		}
	}
	return 0, false, &folderError{errNoEnd}
}

// statusNext asks for the UIDNEXT by STATUS; 0: it is not said. RFC 3501 section 6.3.10 does not
// want it asked of the folder that is open, but Courier answers nothing better.
func (s *session) statusNext(folder string) (next uint32, err error) {
	if s.poison.muted >= 2 {
		return 0, nil
	}
	err = s.conn.Lend(patience, func(client *imapclient.Client) error {
		data, err := client.Status(folder, &imap.StatusOptions{UIDNext: true}).Wait()
		if err == nil {
			next = uint32(data.UIDNext)
		}
		return err
	})
	if s.conn.Cause() != nil {
		s.poison.muted++
	}
	return next, err
}

// afterFetched gives the UID after that of the last message, as FETCH says it; 0: it does not.
func (s *session) afterFetched(string) (next uint32, err error) {
	last, err := s.conn.LastUID(patience)
	if last == 0 {
		return 0, err
	}
	return uint32(last) + 1, err // 0 after the last UID there is
}

// afterFound gives the UID after that of the last message, as SEARCH says it; 0: it does not.
func (s *session) afterFound(string) (next uint32, err error) {
	err = s.conn.Lend(patience, func(client *imapclient.Client) error {
		last, err := search(client, &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{}}}})
		if len(last) > 0 {
			next = uint32(last[len(last)-1]) + 1
		}
		return err
	})
	return next, err
}

package watcher

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/watcher/wire"
)

// reader asks the server about folders. It decides nothing and stores nothing.
type reader struct {
	conn     *wire.Conn
	failures *failures
	selected *folder           // the folder that is open; nil: none
	reopened bool              // a folder was opened since the last look for messages read
	opened   time.Time         // when the last folder was opened
	noStar   bool              // the server finds nothing by "n:*"
	noModSeq bool              // it has CONDSTORE, but takes no STATUS (HIGHESTMODSEQ)
	uses     map[string]string // the special uses of folders, by name; nil: not known yet
}

// folderError means that the server does not open one folder; the others are not affected.
type folderError struct{ Err error }

func (e *folderError) Error() string { return "open the folder: " + e.Err.Error() }
func (e *folderError) Unwrap() error { return e.Err }

// errNoEnd means that no answer of the server has the end of a folder.
var errNoEnd = errors.New("the server does not report the end of the folder")

// errUnreadable is an answer to SEARCH that imapclient cannot read.
var errUnreadable = errors.New("the server's answer to SEARCH cannot be read")

// open opens the folder, read-only, and notes its UIDVALIDITY and its end.
func (r *reader) open(f *folder) error {
	r.close()
	var data *imap.SelectData
	err := r.conn.WithClient(timeout, func(client *imapclient.Client) (err error) {
		data, err = client.Select(f.name, &imap.SelectOptions{ReadOnly: true}).Wait()
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return &folderError{err}
	}
	if err != nil {
		return err
	}
	next, uidNext := max(uint32(data.UIDNext), 1), data.UIDNext > 0
	if !uidNext && data.NumMessages > 0 {
		if next, uidNext, err = r.end(f.name, data.NumMessages); err != nil {
			return err
		}
	}
	r.selected, r.reopened, r.opened = f, true, time.Now()
	f.validity, f.end, f.uidNext = data.UIDValidity, next, uidNext
	return nil
}

// close makes the next look open its folder anew. It sends nothing.
func (r *reader) close() { r.selected = nil }

// pastLast moves the end of the open folder behind its last message, because a UIDNEXT may be
// stale. At first sight old mail would be taken for new, and later the folder for one that was put
// back.
func (r *reader) pastLast(f *folder) error {
	var last []imap.UID
	err := r.conn.WithClient(timeout, func(client *imapclient.Client) (err error) {
		last, err = search(client, &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: imap.UID(f.end)}}}})
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); refused && r.conn.Cause() == nil {
		return nil
	}
	for _, uid := range last {
		f.end = max(f.end, uint32(uid)+1)
	}
	return err
}

// end returns the UID after the last of the folder that was just opened and holds so many messages.
// It asks in one way after the other until an answer is of use. uidNext: it is the UIDNEXT. No UID
// is less than the number of messages up to it.
func (r *reader) end(folder string, messages uint32) (next uint32, uidNext bool, err error) {
	for i, ask := range []func(folder string) (uint32, error){r.statusNext, r.afterFetched, r.afterFound} {
		next, err := ask(folder)
		if cause := r.conn.Cause(); cause != nil {
			return 0, false, cause
		}
		if err == nil && next > messages {
			return next, i == 0, nil
		}
	}
	return 0, false, &folderError{errNoEnd}
}

// statusNext asks for the UIDNEXT by STATUS; 0: the server does not send it. RFC 3501 section
// 6.3.10 advises against STATUS of the open folder, but Courier answers nothing better.
func (r *reader) statusNext(folder string) (next uint32, err error) {
	if r.failures.openStatusFails() {
		return 0, nil
	}
	err = r.conn.WithClient(timeout, func(client *imapclient.Client) error {
		data, err := client.Status(folder, &imap.StatusOptions{UIDNext: true}).Wait()
		if err == nil {
			next = uint32(data.UIDNext)
		}
		return err
	})
	if r.conn.Cause() != nil {
		r.failures.openStatus++
	}
	return next, err
}

// afterFetched returns the UID after that of the last message, from a FETCH of it; 0: not known.
func (r *reader) afterFetched(string) (next uint32, err error) {
	last, err := r.conn.LastUID(timeout)
	if last == 0 {
		return 0, err
	}
	return uint32(last) + 1, err // 0 after the last UID there is
}

// afterFound returns the UID after that of the last message, from a SEARCH for it; 0: not known.
func (r *reader) afterFound(string) (next uint32, err error) {
	err = r.conn.WithClient(timeout, func(client *imapclient.Client) error {
		last, err := search(client, &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{}}}})
		if len(last) > 0 {
			next = uint32(last[len(last)-1]) + 1
		}
		return err
	})
	return next, err
}

// search returns the UIDs of the open folder from its cursor on, in order, and asks how many
// messages are unread. If there may be too many for one answer it stops width UIDs on; stop is 0
// otherwise.
func (r *reader) search(f *folder, width uint32) (uids []imap.UID, stop uint32, err error) {
	var dropped int
	err = r.conn.WithClient(timeout, func(client *imapclient.Client) error {
		if f.end > f.cursor.Next && f.end-f.cursor.Next > width {
			stop = f.cursor.Next + width - 1
		}
		last := stop // 0: "*"
		if stop == 0 && r.noStar {
			last = math.MaxUint32
		}
		criteria := &imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: imap.UID(f.cursor.Next), Stop: imap.UID(last)}}}}
		if !f.cursor.Since.IsZero() {
			// SINCE compares dates in the server's time zone, whatever that is.
			criteria.Since = f.cursor.Since.AddDate(0, 0, -1)
		}
		before := r.conn.Dropped()
		found := client.UIDSearch(criteria, nil)
		// It comes second, so that it counts all that is found.
		takeUnread := f.askUnread(client, r.failures)
		uids, err = foundUIDs(found)
		dropped = r.conn.Dropped() - before
		if unreadErr := takeUnread(); err == nil {
			err = unreadErr
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if dropped > 0 && len(uids) == 0 {
		if f.mute {
			return nil, 0, errUnreadable
		}
		// It may be the answer to STATUS that cannot be read.
		f.muted()
		r.conn.Forget()
		return r.search(f, width)
	}
	// "n:*" always names the last message, also below n (RFC 3501 section 6.4.8).
	uids = slices.DeleteFunc(uids, func(uid imap.UID) bool { return uint32(uid) < f.cursor.Next })
	return uids, stop, nil
}

// stillUnread returns those of the messages that are in the open folder and not read or deleted. If
// the server refuses to say or cannot be understood, known is false.
func (r *reader) stillUnread(uids []uint32) (still []imap.UID, known bool, err error) {
	var set imap.UIDSet
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return r.filter(&imap.SearchCriteria{UID: []imap.UIDSet{set}, NotFlag: []imap.Flag{imap.FlagSeen, imap.FlagDeleted}})
}

// notDeleted returns those of the messages that the open folder still has. If the server refuses to
// say or cannot be understood, known is false.
func (r *reader) notDeleted(uids []uint32) (still []imap.UID, known bool, err error) {
	var set imap.UIDSet
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return r.filter(&imap.SearchCriteria{UID: []imap.UIDSet{set}, NotFlag: []imap.Flag{imap.FlagDeleted}})
}

// receivedSince returns the messages of the open folder that the server received on the day of a
// time or later, from among its last maxFound UIDs. If it refuses to say, there are none.
func (r *reader) receivedSince(f *folder, t time.Time) ([]imap.UID, error) {
	last := f.end - 1 // the highest UID there is if end is 0
	if last == 0 {
		return nil, nil
	}
	recent := imap.UIDRange{Start: imap.UID(last - min(last-1, maxFound-1)), Stop: imap.UID(last)}
	uids, _, err := r.filter(&imap.SearchCriteria{UID: []imap.UIDSet{{recent}}, Since: t})
	return uids, err
}

// use returns the special use of a folder (RFC 6154), in lower case; empty: none, or not known.
func (r *reader) use(folder string) (string, error) {
	if r.uses == nil {
		list, _, err := listFolders(r.conn)
		if _, refused := errors.AsType[*imap.Error](err); err != nil && (!refused || r.conn.Cause() != nil) {
			return "", err
		}
		r.uses = make(map[string]string)
		for _, l := range list {
			r.uses[l.Name] = useOf(l.Attributes)
		}
	}
	return r.uses[folder], nil
}

// existing returns those of the messages that the server still has. If it refuses to say or cannot
// be understood, known is false.
func (r *reader) existing(messages []wire.Mail) (found []imap.UID, known bool, err error) {
	var set imap.UIDSet
	for _, m := range messages {
		set.AddNum(m.UID)
	}
	return r.filter(&imap.SearchCriteria{UID: []imap.UIDSet{set}})
}

// filter searches for messages that may be gone. Without an answer that can be relied on, known is
// false: a message that is not found is not known to be gone then.
func (r *reader) filter(criteria *imap.SearchCriteria) (found []imap.UID, known bool, err error) {
	err = r.conn.WithClient(timeout, func(client *imapclient.Client) (err error) {
		found, err = search(client, criteria)
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); (refused || r.conn.Dropped() > 0) && r.conn.Cause() == nil {
		return nil, false, nil
	}
	return found, true, err
}

// status asks for the STATUS of the folders. The data of one that the server refuses is nil.
func (r *reader) status(list []*folder) ([]*imap.StatusData, error) {
	items := &imap.StatusOptions{UIDNext: true, UIDValidity: true, NumMessages: true, NumUnseen: true,
		HighestModSeq: r.conn.Has(imap.CapCondStore) && !r.noModSeq}
	answers := make([]*imap.StatusData, len(list))
	badModSeq := false
	err := r.conn.WithClient(timeout, func(client *imapclient.Client) error {
		commands := make([]*imapclient.StatusCommand, len(list))
		for i, f := range list {
			commands[i] = client.Status(f.name, items)
		}
		for i := range list {
			data, err := commands[i].Wait()
			if said, refused := errors.AsType[*imap.Error](err); refused {
				badModSeq = badModSeq || items.HighestModSeq && said.Type == imap.StatusResponseTypeBad
				continue
			}
			if err != nil {
				return err
			}
			answers[i] = data
		}
		return nil
	})
	if err == nil && badModSeq {
		// The server announces CONDSTORE (RFC 7162) and does not take what belongs to it.
		r.noModSeq = true
		return r.status(list)
	}
	return answers, err
}

// search returns the UIDs that match, in order, each once.
func search(client *imapclient.Client, criteria *imap.SearchCriteria) ([]imap.UID, error) {
	return foundUIDs(client.UIDSearch(criteria, nil))
}

// foundUIDs waits for the answer to a SEARCH and returns its UIDs, in order, each once.
func foundUIDs(command *imapclient.SearchCommand) ([]imap.UID, error) {
	data, err := command.Wait()
	if err != nil {
		return nil, err
	}
	// AllUIDs panics if the set holds a 0, which is how 4294967295 + 1 and "*" are kept.
	set, _ := data.All.(imap.UIDSet)
	uids, finite := set.Nums()
	if !finite {
		return nil, errors.New("the server's answer to SEARCH is no list of UIDs")
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

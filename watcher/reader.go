package watcher

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

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

// errUnreadable is an answer to SEARCH that cannot be read.
var errUnreadable = errors.New("the server's answer to SEARCH cannot be read")

// open opens the folder, read-only, and notes its UIDVALIDITY and its end.
func (r *reader) open(f *folder) error {
	r.close()
	var data imap.SelectData
	err := r.conn.Run(timeout, wire.Examine(f.name, &data))
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
	err := r.conn.Run(timeout, wire.Search(fmt.Sprintf("UID %d:*", f.end), &last))
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
	var data imap.StatusData
	err = r.conn.Run(timeout, wire.Status(folder, "UIDNEXT", &data))
	if r.conn.Cause() != nil {
		r.failures.openStatus++
	}
	return uint32(data.UIDNext), err
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
	var last []imap.UID
	err = r.conn.Run(timeout, wire.Search("UID *", &last))
	if len(last) > 0 {
		next = uint32(last[len(last)-1]) + 1
	}
	return next, err
}

// search returns the UIDs of the open folder from its cursor on, in order, and asks how many
// messages are unread. If there may be too many for one answer it stops width UIDs on; stop is 0
// otherwise.
func (r *reader) search(f *folder, width uint32) (uids []imap.UID, stop uint32, err error) {
	last := "*"
	switch {
	case f.end > f.cursor.Next && f.end-f.cursor.Next > width:
		stop = f.cursor.Next + width - 1
		last = fmt.Sprint(stop)
	case r.noStar:
		last = fmt.Sprint(uint32(math.MaxUint32))
	}
	criteria := fmt.Sprintf("UID %d:%s", f.cursor.Next, last)
	if !f.cursor.Since.IsZero() {
		// SINCE compares dates in the server's time zone, whatever that is.
		criteria += since(f.cursor.Since.AddDate(0, 0, -1))
	}
	var status imap.StatusData
	found, unread := wire.Search(criteria, &uids), wire.Status(f.name, "MESSAGES UNSEEN", &status)
	if f.mayAskUnread(r.failures) {
		// It comes second, so that it counts all that is found.
		r.conn.Run(timeout, found, unread)
		f.toldUnread(status, unread.Err, r.failures)
	} else {
		r.conn.Run(timeout, found)
	}
	if err := r.failed(found); err != nil {
		return nil, 0, err
	}
	if dropped := r.conn.Dropped(); dropped > 0 && len(uids) == 0 {
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
	return r.filter("UID " + setOf(uids) + " UNSEEN UNDELETED")
}

// notDeleted returns those of the messages that the open folder still has. If the server refuses to
// say or cannot be understood, known is false.
func (r *reader) notDeleted(uids []uint32) (still []imap.UID, known bool, err error) {
	return r.filter("UID " + setOf(uids) + " UNDELETED")
}

// receivedSince returns the messages of the open folder that the server received on the day of a
// time or later, from among its last maxFound UIDs. If the server refuses to say or cannot be
// understood, known is false.
func (r *reader) receivedSince(f *folder, t time.Time) (uids []imap.UID, known bool, err error) {
	last := f.end - 1 // the highest UID there is if end is 0
	if last == 0 {
		return nil, true, nil
	}
	return r.filter(fmt.Sprintf("UID %d:%d", last-min(last-1, maxFound-1), last) + since(t))
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
	var uids []uint32
	for _, m := range messages {
		uids = append(uids, uint32(m.UID))
	}
	return r.filter("UID " + setOf(uids))
}

// filter searches for messages that may be gone. Without an answer that can be relied on, known is
// false: a message that is not found is not known to be gone then.
func (r *reader) filter(criteria string) (found []imap.UID, known bool, err error) {
	err = r.conn.Run(timeout, wire.Search(criteria, &found))
	if _, refused := errors.AsType[*imap.Error](err); (refused || r.conn.Dropped() > 0) && r.conn.Cause() == nil {
		return nil, false, nil
	}
	return found, true, err
}

// status asks for the STATUS of the folders. The data of one that the server refuses is nil.
func (r *reader) status(list []*folder) ([]*imap.StatusData, error) {
	items, withModSeq := "UIDNEXT UIDVALIDITY MESSAGES UNSEEN", r.conn.Has(imap.CapCondStore) && !r.noModSeq
	if withModSeq {
		items += " HIGHESTMODSEQ"
	}
	answers, commands := make([]*imap.StatusData, len(list)), make([]*wire.Command, len(list))
	for i, f := range list {
		answers[i] = new(imap.StatusData)
		commands[i] = wire.Status(f.name, items, answers[i])
	}
	r.conn.Run(timeout, commands...)
	if cause := r.conn.Cause(); cause != nil {
		return nil, cause
	}
	for i, cmd := range commands {
		said, refused := errors.AsType[*imap.Error](cmd.Err)
		if refused && withModSeq && said.Type == imap.StatusResponseTypeBad {
			// The server announces CONDSTORE (RFC 7162) and does not take what belongs to it.
			r.noModSeq = true
			return r.status(list)
		}
		if refused {
			answers[i] = nil
		}
	}
	return answers, nil
}

// failed returns why a command was refused, or else why the connection is over.
func (r *reader) failed(cmd *wire.Command) error {
	if _, refused := errors.AsType[*imap.Error](cmd.Err); refused {
		return cmd.Err
	}
	return r.conn.Cause()
}

// setOf returns UIDs as a command has them.
func setOf(uids []uint32) string {
	var set imap.UIDSet
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return set.String()
}

// since returns the criterion of a SEARCH for what the server received on the day of a time or
// later.
func since(t time.Time) string { return t.Format(` SINCE "2-Jan-2006"`) }

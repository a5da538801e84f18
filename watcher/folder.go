package watcher

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry"
)

// folder is a watched folder as a session knows it.
type folder struct {
	name    string
	missing bool // it cannot be opened

	validity uint32 // UIDVALIDITY when it was last opened
	end      uint32 // the UID after its last, when it was last opened; 0: not known
	uidNext  bool   // end is the server's UIDNEXT; otherwise it may be less

	cursor      registry.Cursor
	cursorRead  bool              // cursor was read in this catch-up
	ahead       map[imap.UID]bool // recorded already; the cursor is at one that waits
	oldMail     bool              // the look has recorded old mail, and goes on
	status      folderStatus      // at the last look for messages read elsewhere
	statusKnown bool              // status is known
	unread      int               // messages; -1: not known
	early       earlyNews         // messages that are announced and not found yet
	told        told              // by STATUS, while it was open
	mute        bool              // the server does not count its unread messages while it is open
}

// folderStatus is the part of STATUS that changes if something was read or removed.
type folderStatus struct {
	modSeq           uint64 // HIGHESTMODSEQ (RFC 7162); 0: not supported
	messages, unseen uint32
}

// messageID names a message in an account for as long as its folder keeps its UIDVALIDITY.
type messageID struct {
	folder   string
	validity uint32
	uid      imap.UID
}

// id returns the name of a message in the folder as it was last opened.
func (f *folder) id(uid imap.UID) messageID { return messageID{f.name, f.validity, uid} }

func (f *folder) ids(uids []imap.UID) []messageID {
	ids := make([]messageID, len(uids))
	for i, uid := range uids {
		ids[i] = f.id(uid)
	}
	return ids
}

// mayAskUnread reports whether to ask by STATUS for the number of unread messages while the folder
// is open. If the server refuses for good, or ends the connection over it twice in a row, it is not
// asked again: RFC 3501 section 6.3.10 advises against it, but most servers answer.
func (f *folder) mayAskUnread(failures *failures) bool {
	return !f.mute && !failures.openStatusFails()
}

// toldUnread takes in the answer to STATUS of the open folder. err: it was refused, or did not
// come.
func (f *folder) toldUnread(data imap.StatusData, err error, failures *failures) {
	f.told.messages = 0
	if said, refused := errors.AsType[*imap.Error](err); refused {
		f.mute, f.unread = !temporary(said), -1
		return
	}
	if err != nil {
		failures.openStatus++
		return
	}
	failures.openStatus = 0
	if data.NumUnseen != nil {
		f.unread = int(*data.NumUnseen)
	}
	if data.NumMessages != nil {
		f.told.messages = *data.NumMessages
	}
}

// behind reports whether the folder ended behind the cursor when it was opened.
func (f *folder) behind() bool { return f.uidNext && f.end > f.cursor.Next }

// told is how many messages STATUS has told of.
type told struct {
	messages uint32 // 0: not told
	untrue   uint32 // as many as opening the folder anew did not bear out
}

// earlyNews is about messages that a server announces before they can be found, as one does whose
// index lags behind.
type earlyNews struct {
	announced uint32 // messages of the folder, before the last search
	seen      int    // messages past the cursor, in the look that runs

	known    bool
	messages uint32    // of the folder, that are announced and found, or believed not to be there
	sought   uint32    // as many as are announced while some are not found
	untrue   uint32    // a sought that opening the folder anew did not bear out
	looks    int       // in a row, after which something was still missing
	next     time.Time // the next look; zero: all was found
}

// after takes in a look. behind: the folder ends behind the cursor. At first sight one more look
// follows, after the longest wait: most often the last message was removed before anybody looked.
func (e *earlyNews) after(behind bool, now time.Time) {
	missing := int64(e.announced) - int64(e.messages) - int64(e.seen)
	last := len(retryWaits) - 1
	switch {
	case e.seen == 0 && now.Before(e.next):
		// Something else was the reason to look.
	case !e.known && behind && e.seen == 0:
		*e = earlyNews{known: true, messages: e.announced, looks: last + 1, next: now.Add(retryWaits[last])}
	case e.looks > last && e.seen == 0:
		*e = earlyNews{known: true, messages: e.announced, untrue: e.sought}
	case !e.known, missing <= 0, e.looks > last, e.announced == e.untrue:
		*e = earlyNews{known: true, messages: e.announced, untrue: e.untrue}
	default:
		e.messages, e.sought = e.messages+uint32(e.seen), e.announced
		e.next = now.Add(retryWaits[e.looks])
		e.looks++
	}
}

// counted takes in how many messages a folder has that is not open. Messages may have been removed
// there unseen.
func (e *earlyNews) counted(messages uint32) {
	switch {
	case !e.known:
		*e = earlyNews{known: true, messages: messages}
	case e.next.IsZero():
		e.messages = min(e.messages, messages)
	}
}

// removed takes in how many messages were removed of the open folder since the last search.
func (e *earlyNews) removed(count int) {
	e.messages -= min(e.messages, uint32(count))
}

// expects reports whether there are messages to be found, in the look that runs.
func (e *earlyNews) expects(behind bool, now time.Time) bool {
	if !e.known {
		return behind && e.seen == 0
	}
	return !now.Before(e.next) && e.announced != e.untrue && int64(e.announced) > int64(e.messages)+int64(e.seen)
}

// due reports whether it is time to look again.
func (e *earlyNews) due(now time.Time) bool { return !e.next.IsZero() && !now.Before(e.next) }

// last reports whether no look is to follow the next.
func (e *earlyNews) last() bool { return e.looks == len(retryWaits) }

// muted notes that the server gives no number of unread messages while the folder is open.
func (f *folder) muted() { f.mute, f.unread = true, -1 }

// folders are those of an account, in its order.
type folders []*folder

func newFolders(names []string) folders {
	var list folders
	for _, name := range names {
		if list.named(name) == nil {
			list = append(list, &folder{name: name, unread: -1})
		}
	}
	return list
}

// named returns the folder of that name; nil: it is not watched.
func (l folders) named(name string) *folder {
	if i := slices.IndexFunc(l, func(f *folder) bool { return f.name == name }); i >= 0 {
		return l[i]
	}
	return nil
}

// home returns the folder to wait in: INBOX if it is watched, otherwise the first that is not
// missing.
func (l folders) home() *folder {
	if inbox := l.named("INBOX"); inbox != nil && !inbox.missing {
		return inbox
	}
	for _, f := range l {
		if !f.missing {
			return f
		}
	}
	return l[0]
}

// again returns when a folder is to be looked at again for messages that were announced; zero: none
// is.
func (l folders) again() (at time.Time) {
	for _, f := range l {
		if !f.missing {
			at = sooner(at, f.early.next)
		}
	}
	return at
}

// missing returns the names of the folders that cannot be opened, sorted.
func (l folders) missing() (names []string) {
	for _, f := range l {
		if f.missing {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return names
}

// unread returns how many messages of the folders that can be opened are unread; nil: not known.
func (l folders) unread() *int {
	sum := 0
	for _, f := range l {
		if f.missing {
			continue
		}
		if f.unread < 0 {
			return nil
		}
		sum += f.unread
	}
	return &sum
}

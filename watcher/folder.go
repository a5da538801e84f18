package watcher

import (
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

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

// askUnread sends STATUS for the number of unread messages of the open folder. The returned
// function takes the answer. If the server refuses for good, or ends the connection over it twice
// in a row, it is not asked again: RFC 3501 section 6.3.10 advises against STATUS of the open
// folder, but most servers answer.
func (f *folder) askUnread(client *imapclient.Client, failures *failures) (take func() error) {
	if f.mute || failures.openStatusFails() {
		return func() error { return nil }
	}
	command := client.Status(f.name, &imap.StatusOptions{NumUnseen: true})
	return func() error {
		data, err := command.Wait()
		if said, refused := errors.AsType[*imap.Error](err); refused {
			f.mute, f.unread = !temporary(said), -1
			return nil
		}
		if err != nil {
			failures.openStatus++
			return err
		}
		failures.openStatus = 0
		if data.NumUnseen != nil {
			f.unread = int(*data.NumUnseen)
		}
		return nil
	}
}

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

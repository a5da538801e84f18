package watcher

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/registry"
	"idlepush/ring"
	"idlepush/watcher/message"
	"idlepush/watcher/wire"
)

// maxDated bounds from how many messages at the end of a folder the dates are fetched: the newest
// may lie before others that were moved there.
const maxDated = 1000

// recentMail is a mail of the last days while its facts are sought.
type recentMail struct {
	ring.Mail
	folder      *folder
	fingerprint string
	recorded    string // the stable id under which the store knows it; empty: it does not
	copied      bool   // that is of another place
	mixed       bool   // as Description.Mixed
	there       bool   // the server sent its header, or the store has it
}

// lookback finds the mail of the last days over a connection of which nothing else is known. It
// changes nothing: it opens folders read-only, and stores nothing.
type lookback struct {
	*fetcher
	lent bool // the connection is that of the session
}

// recent returns the newest mails of the last days in the watched folders, oldest first, as
// Pool.Recent does. Between two commands it looks whether ctx has ended. lent: the connection is
// that of the session.
func (w *watched) recent(ctx context.Context, conn *wire.Conn, lent bool) ([]ring.Mail, error) {
	l := lookback{&fetcher{watched: w, reader: &reader{conn: conn, failures: w.failures}}, lent}
	list, err := l.received(ctx, time.Now().Add(-ring.RecentAge))
	if err != nil {
		return nil, err
	}
	l.sort(list)
	list = list[max(0, len(list)-ring.MaxRecent):]
	if err := l.describe(ctx, list); err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(m *recentMail) bool { return !m.there })
	l.sort(list) // the store may know better when one came
	markDuplicates(list)
	if err := l.markFirst(list); err != nil {
		return nil, err
	}
	mails := make([]ring.Mail, len(list))
	for i, m := range list {
		mails[i] = m.Mail
	}
	return mails, nil
}

// sort sorts mails by age, the oldest first.
func (l lookback) sort(list []*recentMail) {
	slices.SortFunc(list, func(a, b *recentMail) int {
		folders := cmp.Compare(slices.Index(l.account.Folders, a.Folder), slices.Index(l.account.Folders, b.Folder))
		return cmp.Or(a.At.Compare(b.At), folders, cmp.Compare(a.UID, b.UID))
	})
}

// received returns what the server has received since then. A folder that cannot be opened is
// passed over, unless all are.
func (l lookback) received(ctx context.Context, since time.Time) (list []*recentMail, err error) {
	var refused error
	opened := false
	for _, f := range newFolders(l.account.Folders) {
		found, err := l.receivedIn(ctx, f, since)
		if _, ok := errors.AsType[*folderError](err); ok && l.reader.conn.Cause() == nil {
			refused = err
			continue
		}
		if err != nil {
			return nil, err
		}
		opened, list = true, append(list, found...)
	}
	if !opened {
		return nil, refused
	}
	return list, nil
}

// receivedIn is received for one folder, which it opens.
func (l lookback) receivedIn(ctx context.Context, f *folder, since time.Time) (list []*recentMail, err error) {
	if err := l.open(ctx, f); err != nil {
		return nil, err
	}
	dayBefore := since.AddDate(0, 0, -1) // for the server's time zone
	uids, known, err := l.reader.receivedSince(f, dayBefore)
	if err != nil {
		return nil, err
	}
	if !known {
		// Any of the last may be there.
		for uid := max(f.end, maxDated+1) - maxDated; uid < f.end; uid++ {
			uids = append(uids, imap.UID(uid))
		}
	}
	dates, err := l.ask(ctx, uids[max(0, len(uids)-maxDated):], "UID INTERNALDATE")
	for _, m := range dates {
		if !m.Date.Before(since) {
			list = append(list, &recentMail{Mail: ring.Mail{Folder: f.name, UID: uint32(m.UID), At: m.Date}, folder: f})
		}
	}
	return list, err
}

// open opens a folder while ctx lasts.
func (l lookback) open(ctx context.Context, f *folder) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.reader.open(f)
}

// ask sends one FETCH while ctx lasts. What the server refuses is left out.
func (l lookback) ask(ctx context.Context, uids []imap.UID, items string) ([]wire.Mail, error) {
	if err := ctx.Err(); err != nil || len(uids) == 0 {
		return nil, err
	}
	return l.fetchRefusable(uids, items)
}

// describe sets the facts of mails, and why they would notify nobody.
func (l lookback) describe(ctx context.Context, list []*recentMail) error {
	err := l.eachStep(ctx, list, l.readHeaders)
	if err != nil || l.lent {
		return err
	}
	// Last, because a list of parts that is broken may end the connection: then the guess stands,
	// as it does if reading them would end the session.
	doubted := slices.DeleteFunc(slices.Clone(list), func(m *recentMail) bool { return !m.mixed || m.recorded != "" })
	if err := l.eachStep(ctx, doubted, l.readStructures); l.reader.conn.Cause() == nil {
		return err
	}
	return ctx.Err()
}

// eachStep opens the folders of mails, and calls f with some of them at a time.
func (l lookback) eachStep(ctx context.Context, list []*recentMail, f func(context.Context, []*recentMail) error) error {
	byFolder := make(map[*folder][]*recentMail)
	var folders []*folder
	for _, m := range list {
		if byFolder[m.folder] == nil {
			folders = append(folders, m.folder)
		}
		byFolder[m.folder] = append(byFolder[m.folder], m)
	}
	for _, in := range folders {
		validity := in.validity
		if l.reader.selected != in {
			if err := l.open(ctx, in); err != nil {
				return err
			}
		}
		if in.validity != validity {
			continue // these are other messages by now
		}
		for step := range slices.Chunk(byFolder[in], batch) {
			if err := f(ctx, step); err != nil {
				return err
			}
		}
	}
	return nil
}

// readHeaders sets what the headers and beginnings of mails of the open folder say. What the store
// knows is true.
func (l lookback) readHeaders(ctx context.Context, list []*recentMail) error {
	answers, err := l.headers(ctx, uidsOf(list))
	if err != nil {
		return err
	}
	for _, m := range list {
		if answer, ok := answers[imap.UID(m.UID)]; ok {
			if err := l.read(m, answer); err != nil {
				return err
			}
		}
	}
	return l.recall(list[0].folder, list)
}

// readStructures finds out whether mails of the open folder have attachments.
func (l lookback) readStructures(ctx context.Context, list []*recentMail) error {
	answers, err := l.ask(ctx, uidsOf(list), "UID BODYSTRUCTURE")
	for _, answer := range answers {
		for _, m := range list {
			if imap.UID(m.UID) == answer.UID && len(answer.Structure) > 0 {
				m.Facts.Attachment = wire.HasAttachment(answer.Structure)
			}
		}
	}
	return err
}

func uidsOf(list []*recentMail) []imap.UID {
	uids := make([]imap.UID, len(list))
	for i, m := range list {
		uids[i] = imap.UID(m.UID)
	}
	return uids
}

// headers fetches the headers and the beginnings of messages, and returns those that came.
func (l lookback) headers(ctx context.Context, uids []imap.UID) (map[imap.UID]wire.Mail, error) {
	said, blank := make(map[imap.UID]wire.Mail), true
	answers, err := l.ask(ctx, uids, l.items(terms{level: idlepush.LevelPreview}))
	if err == nil {
		err = fetchCut(answers, func(uids []imap.UID, items string) ([]wire.Mail, error) { return l.ask(ctx, uids, items) })
	}
	for _, m := range answers {
		if fields := header(m); fields != nil {
			said[m.UID] = m
			blank = blank && len(bytes.TrimSpace(fields)) == 0
		}
	}
	if err == nil && blank && !l.wholeHeaders {
		l.wholeHeaders = true
		return l.headers(ctx, uids)
	}
	return said, err
}

// read describes a mail by its header and beginning. Flags that have been set since it came say
// nothing of how it would have rung: \Seen and \Deleted. \Draft is set as it comes, and so is $Junk
// most often.
func (l lookback) read(m *recentMail, answer wire.Mail) error {
	fields := header(answer)
	d := message.Describe(fields, answer.Sections["TEXT"])
	m.there, m.mixed, m.fingerprint = true, d.Mixed, message.Fingerprint(fields, answer.Size, answer.Date)
	m.Facts = l.facts(d, answer.Size, true)
	flag := flagged(slices.DeleteFunc(answer.Flags, func(f string) bool {
		return strings.EqualFold(f, `\Seen`) || strings.EqualFold(f, `\Deleted`)
	}))
	own, use := strings.EqualFold(d.Address, l.account.Email), ""
	if own && flag == "" {
		var err error
		if use, err = l.useOf(m.folder, answer.UID); err != nil {
			return err
		}
	}
	why := whyNotRung(flag, own, use)
	m.Code, m.Params = why.Code, why.Params
	return nil
}

// recall takes over what the store knows of mails: when they were found, their facts, and why they
// notified nobody. Of a copy it knows the mail that rang.
func (l lookback) recall(f *folder, list []*recentMail) error {
	places := make([]registry.Message, len(list))
	for i, m := range list {
		places[i] = registry.Message{UID: m.UID, Fingerprint: m.fingerprint}
	}
	recorded, err := l.store.Recorded(l.account.ID, f.name, f.validity, places)
	if err != nil {
		return &storeError{err}
	}
	for _, m := range list {
		n, ok := recorded[m.UID]
		if !ok {
			continue
		}
		m.recorded, m.copied = n.ID, n.Folder != f.name || n.UIDValidity != f.validity || n.UID != m.UID
		m.there, m.At, m.Code, m.Params = true, n.At, n.Reason.Code, n.Reason.Params
		first := n.Facts.First
		if n.Wordless {
			m.Facts.First = first
			continue
		}
		words := cmp.Or(n.Facts.Words, m.Facts.Words)
		m.Facts = n.Facts
		m.Facts.Words = words
	}
	return nil
}

// markDuplicates finds copies in several folders among the mails: all but one of them notify
// nobody. That is the one of which the store knows that it rang. If it is gone, or unknown, it is
// the oldest.
func markDuplicates(list []*recentMail) {
	original := make(map[string]*recentMail) // by stable id, and by fingerprint
	for rank := range 3 {
		for _, m := range list {
			for _, key := range []string{m.recorded, m.fingerprint} {
				if m.Code == "" && m.rank() == rank && original[key] == nil {
					original[key] = m
				}
			}
		}
	}
	for _, m := range list {
		first := original[cmp.Or(m.recorded, m.fingerprint)]
		if m.Code != "" || first == nil || first == m || m.recorded == "" && (m.fingerprint == "" || first.folder == m.folder) {
			continue
		}
		why := idlepush.Reason{Code: notRungDuplicate}.With("folder", first.Folder)
		m.Code, m.Params = why.Code, why.Params
	}
}

// rank returns 0 for a mail that rang at its place, 1 for a copy of one, and 2 for one that is not
// known.
func (m *recentMail) rank() int {
	switch {
	case m.recorded == "":
		return 2
	case m.copied:
		return 1
	}
	return 0
}

// markFirst finds the first mail of each sender among the mails that the store does not know. A
// sender whom the store knows wrote before, unless a later mail of theirs was the first that it
// saw.
func (l lookback) markFirst(list []*recentMail) error {
	later := make(map[string]bool)
	for _, m := range list {
		later[m.Facts.From] = later[m.Facts.From] || m.recorded != "" && m.Facts.First
	}
	seen := map[string]bool{"": true}
	for _, m := range list {
		from := m.Facts.From
		if seen[from] || m.recorded != "" {
			seen[from] = true
			continue
		}
		seen[from] = true
		before, err := l.store.KnowsSender(l.account.ID, from)
		if err != nil {
			return &storeError{err}
		}
		m.Facts.First = !before || later[from]
	}
	return nil
}

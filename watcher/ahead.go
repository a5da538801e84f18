package watcher

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry"
	"idlepush/watcher/wire"
)

// ahead is new mail that is fetched together with the end of the IDLE that announced it, before
// anything is searched for: it saves a mail two answers of the server.
type ahead struct {
	*wire.Ahead
	terms    terms
	count    int    // messages that are new
	messages uint32 // of the folder, as announced
	err      error  // why nothing was fetched
}

// answers reports whether it has the answer to a FETCH of these items of messages.
func (a *ahead) answers(uids []imap.UID, items string) bool {
	if a == nil || a.Ahead == nil || items != a.Items {
		return false
	}
	_, refused := errors.AsType[*imap.Error](a.Err)
	missing := func(uid imap.UID) bool {
		return !slices.ContainsFunc(a.Mails, func(m wire.Mail) bool { return m.UID == uid })
	}
	return refused && len(uids) == a.count || a.Err == nil && !slices.ContainsFunc(uids, missing)
}

// fetchAhead decides what to fetch with the end of an IDLE. It is nothing unless it is certain
// which messages are new: the look that follows finds all others.
func (s *session) fetchAhead(news wire.News) *wire.Ahead {
	f := s.folders.home()
	count := int(s.conn.Messages()) - int(f.early.messages) + news.Expunge
	if news.Exists == 0 || s.reader.selected != f || f.cursor.Next == 0 || !f.cursor.Since.IsZero() || f.oldMail || count < 1 || count > batch ||
		!f.early.known || !f.early.next.IsZero() || len(f.ahead)+len(s.failures.messages) > 0 || s.fetcher.wholeHeaders ||
		s.host.drops() || s.failures.ahead.skipped(time.Now()) {
		return nil
	}
	t, err := s.fetcher.terms(f)
	if err != nil {
		s.ahead = &ahead{err: err}
		return nil
	}
	s.ahead = &ahead{&wire.Ahead{From: imap.UID(f.cursor.Next), Items: s.fetcher.items(t)}, t, count, s.conn.Messages(), nil}
	return s.ahead.Ahead
}

// recordAhead records what fetchAhead has fetched, if that is all that was announced and each came
// whole. It returns how many it recorded. What it does not record the look may use.
func (s *session) recordAhead() (found int, err error) {
	got := s.ahead
	s.ahead, s.fetcher.ahead = nil, nil
	switch {
	case got == nil:
		return 0, nil
	case got.err != nil:
		return 0, got.err
	}
	if errors.Is(got.Err, wire.ErrDropped) {
		s.host.dropsCommands()
	}
	f := got.terms.folder
	mails := slices.SortedFunc(slices.Values(got.Mails), func(a, b wire.Mail) int { return int(a.UID) - int(b.UID) })
	whole := func(m wire.Mail) bool { return header(m) != nil || flagged(m.Flags) != "" }
	if got.Err != nil || len(mails) != got.count || s.conn.Messages() != got.messages || slices.ContainsFunc(mails, func(m wire.Mail) bool { return !whole(m) }) {
		s.fetcher.ahead = got
		return 0, nil
	}
	var list []registry.Message
	var uids []imap.UID
	for _, m := range mails {
		if f.unread >= 0 && flagged(m.Flags) != notRungSeen {
			f.unread++ // until the look asks for it
		}
		described, err := s.fetcher.describe(m, got.terms)
		if err != nil {
			return 0, err
		}
		list, uids = append(list, described), append(uids, m.UID)
	}
	if err := s.fetcher.markTwins(f, list); err != nil {
		return 0, err
	}
	to := f.cursor
	to.Next, to.Seen = uint32(uids[len(uids)-1])+1, s.host.clock.now()
	if err := s.record(f, registry.Arrival{To: to, Mails: list}); err != nil {
		return 0, err
	}
	f.early.messages += uint32(len(uids))
	return s.recorded(f, uids, nil, to.Next), nil
}

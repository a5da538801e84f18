package watcher

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/wire"
)

const (
	// maxRounds bounds the rounds of others, should a server's STATUS never agree with what it
	// shows.
	maxRounds = 4

	// maxStatus is how many folders one tour asks for their STATUS; if there are more they take
	// turns.
	maxStatus = 25
)

// others looks at those of the other folders that have new messages or messages read elsewhere.
// When a tour is due (quickTour, slowTour) it asks for the STATUS of all of them in turn. It asks
// for all at once if the server reports news (NOTIFY, RFC 5465) or with all. It goes on until no
// folder has changed, with home open: later news is reported.
func (s *session) others(home *folder, all bool) (found int, err error) {
	news, due := s.conn.News(), !time.Now().Before(s.tour)
	if len(s.folders) < 2 {
		s.conn.ForgetOthers(true)
		s.tour = time.Time{}
		s.proofs.toured(0)
		return 0, nil
	}
	if found, err = s.retryOthers(home); err != nil {
		return found, err
	}
	if s.subscribed && !due && !all && !news.Others() {
		return found, nil
	}
	silent := s.live && !news.Others()
	// The server stops reporting when there is too much to report.
	if !s.subscribed || news.Overflow {
		all = true
		if err := s.subscribe(); err != nil {
			return found, err
		}
	}
	all = all || s.conn.News().Others()
	asking := s.toAsk(s.folders, home, s.failures.folders, all, due)
	var gone []handled
	aside := 0 // found in other folders than home
	for range maxRounds {
		// After a report, or if a message is gone that may have been moved, it asks all.
		if wide := s.conn.News().Others() || len(gone) > 0; wide && !all {
			all, asking = true, s.toAsk(s.folders, home, s.failures.folders, true, false)
		}
		changed, err := s.changed(asking)
		if err != nil {
			return found, err
		}
		if len(changed) == 0 {
			break
		}
		for _, f := range changed {
			n, left, err := s.lookAside(f)
			if aside += n; err != nil {
				return found + aside, err
			}
			if !left.empty() {
				gone = append(gone, left)
			}
		}
		asking = slices.DeleteFunc(asking, func(f *folder) bool { return f.missing })
		n, err := s.look(home)
		if found += n; err != nil {
			return found + aside, err
		}
	}
	if s.judge(silent, aside) {
		s.log.Warn("server does not report new mail of other folders, though it takes NOTIFY; asking it more often")
	}
	if due {
		s.proofs.toured(s.plan(time.Now()))
	}
	return found + aside, s.clear(gone...)
}

// judge learns whether the server reports new mail of the other folders, from how many messages
// were found there. silent: it had reported nothing. It reports whether to stop believing it.
func (t *tours) judge(silent bool, found int) (distrust bool) {
	switch {
	case found == 0:
	case !silent:
		t.unreported = 0
	default:
		t.unreported++
		distrust = t.unreported == missesToDistrust
		t.live = t.live && !distrust
	}
	return distrust
}

// plan sets the time of the next tour, and returns how long changes may stay unseen until then;
// zero if the server reports them. If it does, or its STATUS takes long, tours are less frequent.
func (t *tours) plan(now time.Time) (unseen time.Duration) {
	var every time.Duration = slowTour
	if !t.live && t.statusTook <= quickStatus {
		every = quickTour
	}
	t.tour = now.Add(early(every))
	if t.live {
		return 0
	}
	return every
}

// retryOthers looks again at the other folders with a message whose retry is due. A folder that has
// ended sessions is passed over, and its message found by the tour that opens it.
func (s *session) retryOthers(home *folder) (found int, err error) {
	again := s.failures.messages.due(time.Now())
	for _, f := range s.folders {
		if f.early.due(time.Now()) && !slices.Contains(again, f.name) {
			again = append(again, f.name)
		}
	}
	for _, name := range again {
		switch f := s.folders.named(name); {
		case f == nil, f == home:
		case s.failures.folders.skipped(name, time.Now()):
			f.early.next = time.Time{}
		default:
			n, _, err := s.lookAside(f)
			if found += n; err != nil {
				return found, err
			}
		}
		s.failures.messages.settle(name, time.Now())
	}
	if s.reader.selected == home {
		return found, nil
	}
	n, err := s.look(home)
	return found + n, err
}

// toAsk returns the folders beside home whose STATUS is due: all, or those whose turn it is. One
// that could not be opened is tried again if a tour is due; one that has ended sessions is passed
// over for a while.
func (t *tours) toAsk(l folders, home *folder, skip skippedFolders, all, due bool) (list []*folder) {
	for _, f := range l {
		switch {
		case f == home:
		case skip.skipped(f.name, time.Now()):
			f.missing = true
		case due || !f.missing:
			list = append(list, f)
		}
	}
	if !all && len(list) > maxStatus {
		t.turn %= len(list)
		list = append(list[t.turn:], list[:t.turn]...)[:maxStatus]
		t.turn += maxStatus
	}
	for _, f := range list {
		f.missing = false
	}
	return list
}

// lookAside looks at a folder that the session does not depend on, for new messages and for those
// read elsewhere. If the server refuses, the folder is missing from then on.
func (s *session) lookAside(f *folder) (found int, gone handled, err error) {
	if found, err = s.look(f); err == nil {
		gone, err = s.handledElsewhere(f)
	}
	if _, refused := errors.AsType[*imap.Error](err); (refused || errors.Is(err, errNoEnd)) && s.conn.Cause() == nil {
		s.log.Warn("folder cannot be read", "folder", f.name, "err", wire.Clean(err.Error()))
		f.missing = true
		// The next tour must not take it for looked through.
		f.end, f.statusKnown, f.oldMail = 0, false, false
		return found, gone, s.endLooks()
	}
	return found, gone, err
}

// subscribe asks a server that can to report new mail in the other folders while the session waits
// in one.
func (s *session) subscribe() error {
	s.subscribed, s.live = true, false
	if !s.conn.Has("NOTIFY") || s.failures.notify.skipped(time.Now()) {
		s.conn.ForgetOthers(true)
		return nil
	}
	err := s.conn.Notify(s.account.Folders, timeout)
	if refused, ok := errors.AsType[*imap.Error](err); ok {
		s.log.Info("NOTIFY refused; polling the other folders", "err", wire.Clean(refused.Error()))
		s.conn.ForgetOthers(true)
		return nil
	}
	if err != nil {
		s.failures.notify.record(err)
		return err
	}
	s.failures.notify.forget()
	s.live = true
	return nil
}

// changed returns those of the folders that are to be looked at, by their STATUS. One that the
// server refuses is missing. After a session has ended over STATUS, each folder gets its own
// exchange, and one that ends a session again is passed over.
func (s *session) changed(list []*folder) (changed []*folder, err error) {
	s.conn.ForgetOthers(false)
	began := time.Now()
	defer func() { s.statusTook = time.Since(began) }()
	step := max(len(list), 1)
	if s.failures.statusSingly {
		step = 1
	}
	for group := range slices.Chunk(list, step) {
		answers, err := s.reader.status(group)
		if err != nil && s.conn.Cause() != nil {
			if s.failures.statusSingly {
				s.failures.folders.record(group[0].name, err)
			}
			s.failures.statusSingly = true
		}
		if err != nil {
			return nil, err
		}
		for i, f := range group {
			if answers[i] == nil {
				f.missing = true
				continue
			}
			wanted, err := s.hasChanged(f, answers[i])
			if err != nil {
				return nil, err
			}
			if wanted {
				changed = append(changed, f)
			}
		}
	}
	return changed, nil
}

// hasChanged reports whether a folder is to be looked at, by its STATUS.
func (s *session) hasChanged(f *folder, data *imap.StatusData) (bool, error) {
	status := folderStatus{modSeq: data.HighestModSeq}
	if data.NumUnseen != nil {
		f.unread, status.unseen = int(*data.NumUnseen), *data.NumUnseen
	}
	if data.NumMessages != nil {
		status.messages = *data.NumMessages
	}
	before, known := f.status, f.statusKnown
	f.status, f.statusKnown = status, true
	if known && data.NumMessages != nil {
		f.early.counted(min(before.messages, status.messages))
	}
	if err := s.readCursor(f); err != nil {
		return false, err
	}
	cursor, next := f.cursor, uint32(data.UIDNext)
	switch {
	case cursor.Seen.IsZero(), s.host.clock.now().Sub(cursor.Seen) > touchAfter, !cursor.Since.IsZero():
		return true, nil
	case data.UIDValidity != cursor.UIDValidity:
		return true, nil
	case next > 0 && cursor.Next > 0 && next > max(cursor.Next, f.end):
		return true, nil
	case next > 0 && next < cursor.Next && (f.end == 0 || next < f.end):
		// It may have been put back to an earlier state; EXAMINE tells.
		return true, nil
	case known && before == status:
		return false, nil
	case known && status.messages > before.messages:
		// More mail than there was, though the UIDNEXT may be stale.
		return true, nil
	case next == 0:
		// The server does not report the end of the folder.
		return true, nil
	}
	announced, err := s.store.Announced(s.account.ID, f.name, cursor.UIDValidity)
	if err != nil {
		return false, &storeError{err}
	}
	return len(announced) > 0, nil
}

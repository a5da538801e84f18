package watcher

import (
	"errors"
	"maps"
	"slices"
	"time"

	"idlepush/watcher/wire"
)

// failures remembers, from one session of an account to the next, which questions ended a session
// or were not answered. A message that cannot be fetched is notified without its content: it must
// not hold up the messages behind it.
type failures struct {
	messages   fetchFailures
	folders    skippedFolders
	notify     skip // of NOTIFY
	ahead      skip // of fetching new mail with the end of IDLE
	idle       badIdles
	incomplete incomplete // messages notified without content

	openStatus     int  // sessions in a row that ended over STATUS of the open folder
	statusSingly   bool // a session ended over STATUS of several folders: they get one each
	withoutContent int  // messages in a row that were notified without content
}

// maxOpenStatus is how many sessions in a row may end over STATUS of the open folder. After that it
// is not sent any more.
const maxOpenStatus = 2

// openStatusFails reports whether STATUS of the open folder is not sent any more.
func (f *failures) openStatusFails() bool { return f.openStatus >= maxOpenStatus }

// renumbered forgets the messages that the folder had under another UIDVALIDITY, but not that they
// failed.
func (f *failures) renumbered(folder string, validity uint32) {
	f.messages.renumbered(folder, validity)
	for id := range f.incomplete.messages {
		if id.folder == folder && id.validity != validity {
			delete(f.incomplete.messages, id)
		}
	}
}

// again returns the time of the next retry of a message; zero if no message is to be retried.
func (f *failures) again() (at time.Time) {
	for _, m := range f.messages {
		at = sooner(at, m.next)
	}
	for _, m := range f.incomplete.messages {
		at = sooner(at, m.next)
	}
	return at
}

// sooner returns the earlier of two times, either of which may be zero: none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// maxLostSessions is how many sessions may end over a message, a folder or NOTIFY before it counts
// as the reason. An answer that breaks the protocol or a limit needs no second time.
const maxLostSessions = 3

// breaksProtocol reports whether a server's answer itself is why the connection is over.
func breaksProtocol(err error) bool {
	_, protocol := errors.AsType[*wire.ProtocolError](err)
	_, limit := errors.AsType[*wire.LimitError](err)
	return protocol || limit
}

// fetchFailures are the messages whose FETCH failed. The zero value is empty, but only record,
// suspect, refused and skipMore may be called with a message that is not in it.
type fetchFailures map[messageID]*fetchFailure

// fetchFailure is what happened when a message was fetched.
type fetchFailure struct {
	sessions int       // that ended over it
	refused  int       // how often the server did not send it although the connection works
	next     time.Time // the next retry after that; zero: it was not refused
	skipMore bool      // a session ended over its further items
	inferred bool      // it was taken from a message of an earlier UIDVALIDITY
}

// of returns the failure of a message, and adds one if it has no failure yet.
func (l *fetchFailures) of(id messageID) *fetchFailure {
	if *l == nil {
		*l = make(fetchFailures)
	}
	f := (*l)[id]
	if f == nil {
		f = new(fetchFailure)
		(*l)[id] = f
	}
	return f
}

// renumbered moves the failures of a folder's messages to those that have their UIDs under another
// UIDVALIDITY. Most likely these are other messages, so at first it leaves them one failure, with
// which they are fetched alone. But some servers change the UIDVALIDITY with each session, and then
// the failures must add up.
func (l fetchFailures) renumbered(folder string, validity uint32) {
	for id, f := range maps.Clone(l) {
		if id.folder != folder || id.validity == validity {
			continue
		}
		delete(l, id)
		if !f.inferred {
			*f = fetchFailure{sessions: min(f.sessions, 1), refused: min(f.refused, 1), next: f.next, inferred: true}
		}
		if id.validity = validity; l[id] == nil {
			l[id] = f
		}
	}
}

// record notes a FETCH of these messages that ended a session with err: of several, any may have
// been the reason.
func (l *fetchFailures) record(ids []messageID, err error) {
	if len(ids) > 1 {
		l.suspect(ids)
		return
	}
	for _, id := range ids {
		if f := l.of(id); breaksProtocol(err) {
			f.sessions = maxLostSessions
		} else {
			f.sessions++
		}
	}
}

// suspect has the messages fetched one by one.
func (l *fetchFailures) suspect(ids []messageID) {
	for _, id := range ids {
		f := l.of(id)
		f.sessions = max(f.sessions, 1)
	}
}

// contentUnavailable reports whether the message is not fetched any more.
func (l fetchFailures) contentUnavailable(id messageID) bool {
	f := l[id]
	return f != nil && f.sessions >= maxLostSessions
}

// singly reports whether the message is fetched alone: it failed before, by itself or with others.
func (l fetchFailures) singly(id messageID) bool {
	f := l[id]
	return f != nil && (f.sessions > 0 || f.refused > 0)
}

// retryWaits are the waits before the retries of a message that the server did not send. After the
// last it is notified with what there is.
var retryWaits = []time.Duration{time.Second, 4 * time.Second, 15 * time.Second}

// refused notes that the server did not send a message, and reports whether to give up.
func (l *fetchFailures) refused(id messageID, now time.Time) (giveUp bool) {
	f := l.of(id)
	if f.refused == len(retryWaits) {
		return true
	}
	f.next = now.Add(retryWaits[f.refused])
	f.refused++
	return false
}

// wasRefused reports whether the server has not sent the message before.
func (l fetchFailures) wasRefused(id messageID) bool {
	f := l[id]
	return f != nil && f.refused > 0
}

// waits reports whether the retry of a message is still to come.
func (l fetchFailures) waits(id messageID, now time.Time) bool {
	f := l[id]
	return f != nil && now.Before(f.next)
}

// due returns the names of the folders with a message whose retry is due, sorted.
func (l fetchFailures) due(now time.Time) (folders []string) {
	for id, f := range l {
		if f.refused > 0 && !now.Before(f.next) && !slices.Contains(folders, id.folder) {
			folders = append(folders, id.folder)
		}
	}
	slices.Sort(folders)
	return folders
}

// settle ends the waits of a folder that are over by now: it was looked at, and the messages are
// dealt with or gone.
func (l fetchFailures) settle(folder string, now time.Time) {
	for id, f := range l {
		if id.folder != folder || f.refused == 0 || now.Before(f.next) {
			continue
		}
		if f.refused, f.next = 0, (time.Time{}); *f == (fetchFailure{inferred: f.inferred}) {
			delete(l, id)
		}
	}
}

// skipMore has nothing more asked of a message than its basic items.
func (l *fetchFailures) skipMore(id messageID) { l.of(id).skipMore = true }

// skipsMore reports whether skipMore was called for the message.
func (l fetchFailures) skipsMore(id messageID) bool {
	f := l[id]
	return f != nil && f.skipMore
}

func (l fetchFailures) forget(ids []messageID) {
	for _, id := range ids {
		delete(l, id)
	}
}

// skip counts the sessions that ended over one question, which is then not asked for a while.
type skip struct {
	sessions int
	until    time.Time
}

// skipFor is how long a question is not asked; then it is tried once more.
const skipFor = time.Hour

// record notes that asking ended a session with err.
func (s *skip) record(err error) {
	if s.sessions++; breaksProtocol(err) {
		s.sessions = maxLostSessions
	}
}

func (s *skip) forget() { s.sessions = 0 }

// abandon has the question not asked for a while.
func (s *skip) abandon() { s.sessions = maxLostSessions }

// skipped reports whether the question is not asked now.
func (s *skip) skipped(now time.Time) bool {
	if s.sessions >= maxLostSessions {
		s.sessions--
		s.until = now.Add(skipFor)
	}
	return now.Before(s.until)
}

// skippedFolders are the folders, by name, whose search or STATUS ended a session.
type skippedFolders map[string]*skip

func (l *skippedFolders) record(folder string, err error) {
	if *l == nil {
		*l = make(skippedFolders)
	}
	s := (*l)[folder]
	if s == nil {
		s = new(skip)
		(*l)[folder] = s
	}
	s.record(err)
}

func (l skippedFolders) forget(folder string) {
	if s := l[folder]; s != nil {
		s.forget()
	}
}

// skipped reports whether the folder is passed over now.
func (l skippedFolders) skipped(folder string, now time.Time) bool {
	s := l[folder]
	return s != nil && s.skipped(now)
}

// Package watcher holds the IMAP sessions and decides what is new mail. It knows only registry; the connection itself is
// the package wire below.
//
// A Pool runs one session per enabled account. A session's loop is "catch up; wait" and nothing else: start, reconnect,
// EXISTS, refresh and poll all take the same path, so there is one place where new mail is found (look), and none can fall
// between two paths. Nothing in a mailbox ever changes: folders are opened with EXAMINE, bodies read with PEEK.
//
// New is what has a UID at or past the folder's cursor and is not flagged \Seen, \Deleted, \Draft, $Junk or Junk: what a
// person or a filter has dealt with already does not ring. The first sight of a folder sets its cursor and rings nothing.
package watcher

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/registry"
	"idlepush/watcher/wire"
)

const (
	// patience is how long one step may take: the server's answer to a command, or a handshake.
	patience = 30 * time.Second

	// refresh is the longest IDLE. Mailtraq closes at 600 s and many NAT gateways forget at 15 min.
	refresh = 9 * time.Minute

	// pollInterval is the wait where the server has no IDLE; Coremail wants a command every minute.
	pollInterval = 55 * time.Second

	// A look that news asked for and that finds nothing is one of barrenBurst that may follow each other at once; each is one again after
	// barrenEvery.
	barrenBurst = 20
	barrenEvery = 20 * time.Second

	// touchAfter is how old Cursor.Seen may become in a folder without news.
	touchAfter = 24 * time.Hour
)

// session is one connection's work for one account.
type session struct {
	account registry.Account
	store   *registry.Store
	conn    *wire.Conn
	log     *slog.Logger
	poison  *poison

	folder  string            // the folder that is open; "": none
	round   time.Time         // when all folders are to be looked at again
	barren  time.Time         // when the looks that found nothing are forgotten (calm)
	told    bool              // the server tells of new mail in the other folders
	ends    map[string]uint32 // by folder: the UID after its last, when it was last opened
	refused bool              // the server announces IDLE and does not let it begin
	missing string            // a folder that cannot be opened; "": none
}

// run catches up and waits until the connection is over or ctx ends, and says why.
func (s *session) run(ctx context.Context) error {
	for {
		found, err := s.catchUp()
		if err != nil {
			return err
		}
		if err := s.report(s.conn.Has(imap.CapIdle) && !s.refused); err != nil {
			return err
		}
		if !s.calm(ctx, found) {
			return ctx.Err()
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// catchUp looks at the folder that will be waited in, and, once in a refresh, at the others. Then it is looked at before them,
// so that none of them can keep its mail from ringing, and after them, so that it is open and what the server announces of it from
// here on is heard.
func (s *session) catchUp() (found int, err error) {
	home, news := s.home(), s.conn.News()
	if found, err = s.look(home); err != nil {
		return found, err
	}
	n := 0
	if !time.Now().Before(s.round) {
		if n, err = s.tour(home); err != nil {
			return found + n, err
		}
		found += n
	} else if news.Status == 0 && !news.Overflow {
		return found, nil
	}
	n, err = s.stirred(home, news.Overflow)
	return found + n, err
}

// tour looks at all the other folders, and leaves home open.
func (s *session) tour(home string) (found int, err error) {
	s.missing = ""
	for _, f := range s.account.Folders {
		if f == home {
			continue
		}
		if s.poison.avoids(f) {
			s.missing = f
			continue
		}
		n, err := s.lookAside(f)
		if found += n; err != nil {
			return found, err
		}
	}
	s.round = time.Now().Add(refresh - rand.N(refresh/10))
	if s.folder == home {
		return found, nil
	}
	n, err := s.look(home)
	return found + n, err
}

// lookAside is look for a folder that the session does not depend on: a refusal is noted and passed over.
func (s *session) lookAside(folder string) (found int, err error) {
	found, err = s.look(folder)
	if refused, ok := errors.AsType[*imap.Error](err); ok && s.conn.Cause() == nil {
		s.log.Warn("folder cannot be looked at", "mailbox", folder, "err", wire.Clean(refused.Error()))
		s.missing = folder
		return found, nil
	}
	return found, err
}

// home is the folder that the session waits in: INBOX if it is watched.
func (s *session) home() string {
	if slices.Contains(s.account.Folders, "INBOX") {
		return "INBOX"
	}
	return s.account.Folders[0]
}

func (s *session) report(idle bool) error {
	state, code, reason := registry.Watching, "", ""
	if !idle {
		state = registry.Polling
	}
	if s.missing != "" {
		code, reason = "folder_unavailable", "the folder "+s.missing+" cannot be opened: check that it still exists and is still wanted"
	}
	if err := s.store.SetAccountState(s.account, state, code, reason, time.Now()); err != nil {
		return &storeError{err}
	}
	return nil
}

// calm slows down for a server that announces news over and over when there is none. It reports whether to go on.
func (s *session) calm(ctx context.Context, found int) bool {
	if found > 0 {
		return true
	}
	if now := time.Now(); s.barren.Before(now) {
		s.barren = now
	}
	s.barren = s.barren.Add(barrenEvery)
	return sleep(ctx, time.Until(s.barren)-barrenBurst*barrenEvery)
}

// wait returns when there may be something new: the server says so, the refresh is due, or it is time to poll.
func (s *session) wait(ctx context.Context) error {
	if s.conn.Has(imap.CapIdle) {
		_, err := s.conn.Idle(time.Until(s.round), patience)
		if _, s.refused = errors.AsType[*imap.Error](err); !s.refused {
			return err
		}
		s.log.Info("IDLE refused, polling this once", "err", err)
		if err := s.report(false); err != nil {
			return err
		}
	}
	// Some servers show what is new only to a folder that is opened anew.
	s.folder = ""
	if !sleep(ctx, pollInterval-rand.N(pollInterval/10)) {
		return ctx.Err()
	}
	return nil
}

func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// storeError says that the fault is not the mail server's: what was found cannot be kept.
type storeError struct{ Err error }

func (e *storeError) Error() string { return e.Err.Error() }
func (e *storeError) Unwrap() error { return e.Err }

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
	if s.ends == nil {
		s.ends = make(map[string]uint32)
	}
	s.folder, s.ends[folder] = folder, next
	return data.UIDValidity, nil
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

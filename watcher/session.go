package watcher

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/registry"
	"idlepush/watcher/wire"
)

const (
	// patience is how long one step may take: the server's answer to a command, or a handshake.
	patience = 30 * time.Second

	// touchAfter is how old Cursor.Seen may become in a folder without news.
	touchAfter = 24 * time.Hour

	// gather is how long flags that change may go on changing before they are looked at, at first; where they never end, up to gatherMost.
	gather     = 2 * time.Second
	gatherMost = time.Minute

	// tourEvery is how often the other folders are looked at, those that the server tells of as well: it does not tell of what was read there.
	tourEvery = 2 * time.Minute
)

// session is one connection's work for one account.
type session struct {
	account registry.Account
	store   registry.Mail
	host    *host
	conn    *wire.Conn
	log     *slog.Logger
	poison  *poison
	proofs  *proofs

	renew time.Time // when the session makes place for another, before its provider cuts it; zero: it need not
	pace  pace

	folder   string            // the folder that is open; "": none
	reopened bool              // a folder was opened since what was read elsewhere was looked for
	validity map[string]uint32 // by folder, when it was last opened
	ends     map[string]uint32 // by folder: the UID after its last, when it was last opened
	said     map[string]bool   // by folder: whether the server said so itself
	refused  bool              // the server announces IDLE and does not let it begin
	whole    bool              // the server finds no single fields of a header, so all of it is asked for
	ahead    map[poisoned]bool // mails that are recorded although the cursor stands before one that waits
	idled    bool              // the look is after an IDLE
	news     wire.News         // by which that ended before its time; zero: it did not
	hasty    bool              // it ended before its time, and not for flags
	heed     time.Duration     // how long flags that change may go on changing before they are looked at
	hush     time.Duration     // how long other folders may go on telling before they are looked at
	late     int               // mails that the last look found, not for the second time, and that had lain there for a while

	tour    time.Time       // when all other folders are to be looked at again
	turn    int             // the folder that the next tour begins with
	asked   bool            // NOTIFY was asked for
	marks   map[string]mark // by folder: how it was when it was last looked through for what was read
	missing map[string]bool // folders that cannot be opened

	noModSeq bool // the server announces CONDSTORE and does not take STATUS (HIGHESTMODSEQ)

	unread  map[string]int  // by folder, as far as it is known
	counted int             // their sum, as it was last written; -1: it was not
	mute    map[string]bool // folders whose unread mails the server does not count while they are open
}

// mostWordless is how many mails in a row may ring without words before the account's status says so.
const mostWordless = 2

// errRenewed ends a session that makes place for another of the same account.
var errRenewed = errors.New("the session is renewed before its provider cuts it")

func newSession(a registry.Account, store registry.Mail, h *host, conn *wire.Conn, log *slog.Logger, bad *poison, p *proofs) *session {
	s := &session{account: a, store: store, host: h, conn: conn, log: log, poison: bad, proofs: p,
		validity: make(map[string]uint32), ends: make(map[string]uint32), said: make(map[string]bool), marks: make(map[string]mark), missing: make(map[string]bool),
		ahead: make(map[poisoned]bool), unread: make(map[string]int), mute: make(map[string]bool), counted: -1, heed: gather}
	if life := h.provider.life; life > 0 {
		s.renew = time.Now().Add(early(life))
	}
	return s
}

// run catches up and waits until the connection is over or ctx ends, and says why.
func (s *session) run(ctx context.Context) error {
	for {
		found, err := s.catchUp()
		if err != nil {
			return err
		}
		if err := s.report(); err != nil {
			return err
		}
		if !s.renew.IsZero() && !time.Now().Before(s.renew) {
			return errRenewed
		}
		slow := s.pace.after(found, s.hasty, s.news.Expunge > 0, time.Now())
		if s.hush = 0; s.news.Status > 0 && s.news.Exists == 0 {
			// Of the folder that is waited in it goes on hearing at once.
			s.hush, slow = slow, 0
		}
		if !sleep(ctx, slow) {
			return ctx.Err()
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// catchUp looks at the folder that will be waited in, then at the others where that is due or the
// server tells of them, then for the words of mail that had none, and last for what was read
// elsewhere. The first is looked at before the others, so that none of them can keep its mail from
// ringing, and after them, so that it is open and what the server announces of it from here on is
// heard.
func (s *session) catchUp() (found int, err error) {
	if err := s.recall(); err != nil {
		return 0, err
	}
	news := s.conn.News()
	home, found, err := s.lookHome()
	if err != nil {
		return found, err
	}
	s.judge(found)
	n, err := s.others(home, false)
	if found += n; err != nil {
		return found, err
	}
	n, err = s.fillIn(home)
	if found += n; err != nil {
		return found, err
	}
	// What changed while a folder was not open is never told.
	if s.reopened || news.Flags+news.Expunge > 0 {
		n, err = s.clearHome(home)
		if found += n; err != nil {
			return found, err
		}
		s.reopened = false
	}
	s.proofs.confirm(time.Now())
	return found, s.count()
}

// lookHome looks at the folder that will be waited in: the first of those that can be opened.
func (s *session) lookHome() (home string, found int, err error) {
	for {
		home, s.late = s.home(), 0
		found, err = s.look(home)
		refused, ok := errors.AsType[*folderError](err)
		if !ok || s.conn.Cause() != nil || len(s.missing)+1 >= len(s.account.Folders) {
			return home, found, err
		}
		if said, ok := errors.AsType[*imap.Error](refused); ok && temporary(said) {
			return home, found, err
		}
		s.log.Warn("folder cannot be opened, another is waited in", "mailbox", home, "err", wire.Clean(refused.Error()))
		s.missing[home] = true
	}
}

// judge learns whether IDLE tells of new mail, from what a look at the folder that was waited in has found.
func (s *session) judge(found int) {
	switch {
	case s.idled && !s.news.Mail() && s.late > 0:
		s.host.lied()
	case s.idled && s.news.Mail() && found > 0:
		s.host.told()
	}
}

// home is the folder that the session waits in: INBOX if it is watched, else the first that is there.
func (s *session) home() string {
	if slices.Contains(s.account.Folders, "INBOX") && !s.missing["INBOX"] {
		return "INBOX"
	}
	for _, f := range s.account.Folders {
		if !s.missing[f] {
			return f
		}
	}
	return s.account.Folders[0]
}

// idles reports whether there is use in IDLE.
func (s *session) idles() bool { return s.conn.Has(imap.CapIdle) && !s.host.provider.polled }

func (s *session) report() error {
	now := time.Now()
	st := registry.Status{State: registry.Watching, Since: now, Proof: now}
	if !s.idles() || s.refused {
		st.State = registry.Polling
	}
	switch {
	case s.poison.wordless >= mostWordless:
		st.Code = "mail_unreadable"
		st.Reason = "the mail server does not give what new mail says, so it rings without words: try another program on this mailbox, and tell the server's admin if it fails too"
	case len(s.missing) > 0:
		names := slices.Sorted(maps.Keys(s.missing))
		st.Code, st.Reason = "folder_unavailable", "the folder "+names[0]+" cannot be opened: check that it still exists and is still wanted"
	case s.host.doubted():
		st.State, st.Code = registry.Polling, "idle_unreliable"
		st.Reason = "the server did not tell of new mail several times, so it is asked every minute or two: nothing to do, but mail may ring that much later"
	}
	if err := s.store.SetState(s.account, st); err != nil {
		return &storeError{err}
	}
	return nil
}

// wait returns when there may be something new: the server says so, the refresh or the tour is due, or it is time to poll.
func (s *session) wait(ctx context.Context) error {
	if s.idles() {
		err := s.idle()
		if _, s.refused = errors.AsType[*imap.Error](err); !s.refused {
			return err
		}
		s.log.Info("IDLE refused, polling this once", "err", err)
		if err := s.report(); err != nil {
			return err
		}
	}
	s.idled, s.news, s.hasty = false, wire.News{}, s.conn.News().Mail()
	if s.hasty {
		return nil
	}
	s.folder = ""
	wait := early(pollInterval)
	if again := s.poison.again(); !again.IsZero() {
		wait = min(wait, time.Until(again))
	}
	if !sleep(ctx, wait) {
		return ctx.Err()
	}
	return nil
}

// idle waits in IDLE, and learns from how that ends.
func (s *session) idle() error {
	longest, _ := s.host.interval()
	wait, whole := early(longest), !s.host.doubted()
	for _, due := range []time.Time{s.tour, s.renew, s.poison.again()} {
		if rest := time.Until(due); !due.IsZero() && rest < wait {
			wait, whole = max(rest, 0), false
		}
	}
	began := time.Now()
	news, err := s.conn.Idle(wait, patience, wire.Gather{Flags: s.heed, Others: s.hush})
	s.idled, s.news = err == nil, news
	s.hasty = time.Since(began) < wait && (news.Mail() || news.Ended || news.Flags+news.Expunge == 0)
	if s.heed = min(s.heed*5/4, gatherMost); news.Flags+news.Expunge == 0 || time.Since(began) > gatherMost {
		s.heed = gather
	}
	switch {
	case err == nil && time.Since(began) >= wait:
		s.news = wire.News{}
		s.host.held(wait, whole)
		// Some servers show what is new only to a folder that is opened anew.
		s.folder = ""
	case lost(err):
		// A server counts from our last command, and its BYE is no sign of life; a NAT counts from the last byte.
		silence, unanswered := time.Since(began), false
		if _, unanswered = errors.AsType[*wire.TimeoutError](err); unanswered {
			silence = time.Since(s.conn.LastByte()) - patience
		}
		s.host.died(silence, unanswered)
	}
	return err
}

// lost reports whether the connection was lost, and not ended by anybody here.
func lost(err error) bool {
	_, bye := errors.AsType[*wire.ByeError](err)
	_, silent := errors.AsType[*wire.TimeoutError](err)
	_, broken := errors.AsType[*net.OpError](err)
	return bye || silent || broken || errors.Is(err, io.ErrUnexpectedEOF)
}

// pace slows down the looks of a server that announces news over and over when there is none: some follow one another at once, then there is a wait
// before each, which doubles with every paceStep more.
type pace struct {
	barren int // looks that news asked for and that found nothing, in a row, counted double
	last   time.Time
}

const (
	paceFree  = 2 * 20 // looks that may follow one another at once
	paceStep  = 2 * 10
	paceFirst = time.Second
	paceMost  = 40 * time.Second
	paceCalm  = time.Minute // a time without such looks that ends the row
)

// after gives the wait after a look. News of flags alone do not count: they were gathered. Those of what was removed count half: where mail is cleared away one
// by one, some servers tell of it as Gmail does, by EXPUNGE and EXISTS.
func (p *pace) after(found int, hasty, expunged bool, now time.Time) time.Duration {
	if found > 0 || now.Sub(p.last) >= paceCalm {
		p.barren = 0
	}
	switch {
	case found > 0 || !hasty:
		return 0
	case expunged:
		p.barren++
	default:
		p.barren += 2
	}
	if p.last = now; p.barren <= paceFree {
		return 0
	}
	return min(paceFirst<<min((p.barren-paceFree-1)/paceStep, 10), paceMost)
}

func sleep(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
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

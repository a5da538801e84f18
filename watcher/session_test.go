package watcher

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

func TestSession(t *testing.T) {
	t.Parallel()
	t.Run("a folder opened for the first time notifies nothing until its next mail", firstOpen)
	t.Run("mail announced at any moment is notified", announcedAnyMoment)
	t.Run("mail that a person or a filter has dealt with is not notified", mailDealtWith)
	t.Run("the account's own mail rings: many a device at home mails as its owner", ownMail)
	t.Run("a server without IDLE is polled", polledWithoutIdle)
	t.Run("every refresh asks a server that does not report new mail", unreportedMail)
	t.Run("a server that refuses the IDLE it announces is shown as polled", idleRefused)
	t.Run("mail announced with a NO to IDLE is notified at once", newsWithIdleRefused)
	t.Run("an answer to SEARCH that is no list of UIDs ends only the session", searchWithoutUIDs)
	t.Run("no server makes a session busy or ends the process", hostileServers)
	t.Run("a session is renewed before its provider cuts it, and misses nothing", renewedSession)
	t.Run("a new message reads its cursor once", cursorReadOnce)
}

func ownMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{Messages: []imaptest.Message{
			{UID: 1, Header: "From: Anna <ANNA@example.org>\r\nSubject: mine\r\n\r\n"},
			{UID: 2, Header: "From: \"anna@example.org\" <evil@example.com>\r\nSubject: not mine\r\n\r\n"}}}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"mine", "not mine"}) {
			t.Errorf("notified %q", got)
		}
	})
}

func renewedSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account := scriptedAccount
		account.Host, account.Security = "imap.gmail.com", idlepush.SecurityPlain
		h := newHarness(t, account)
		s := &server{script: &imaptest.Script{}}
		w := &memoryNet{servers: map[string]*server{"imap.gmail.com:993": s}}
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(time.Minute)
		var want []string
		for n := range 3 * 24 {
			time.Sleep(time.Hour)
			want = append(want, fmt.Sprint("mail ", n))
			s.script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: time.Now()})
		}
		synctest.Wait()
		stop()
		w.serving.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, want) {
			t.Errorf("notified %q", got)
		}
		for i := range s.dials[1:] {
			if lived := s.dials[i+1].Sub(s.dials[i]); lived > 24*time.Hour || lived < 20*time.Hour {
				t.Errorf("a session lived %v", lived)
			}
		}
		if len(s.dials) < 4 || strings.Contains(h.logged.String(), "will be tried again") {
			t.Errorf("%d sessions in three days", len(s.dials))
		}
	})
}

func cursorReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fault{fails: func(string, int) bool { return false }}
		h := newFailingHarness(t, scriptedAccount, f.next)
		h.from(t, 1)
		h.trustIdle(t)
		script := &imaptest.Script{}
		defer h.live(t, script)()
		synctest.Wait()
		for _, name := range []string{"first", "second"} {
			f.counts = nil
			f.arm(true)
			script.Deliver(imaptest.Message{Header: subject(name)})
			synctest.Wait()
			f.arm(false)
			if want := map[string]int{"Cursor": 1, "Level": 1, "Record": 1, "Twins": 1}; !maps.Equal(f.counts, want) {
				t.Errorf("the %s mail costs the transactions %v, want %v", name, f.counts, want)
			}
		}
		if got := subjects(h.mails(t)); strings.Join(got, " ") != "first second" {
			t.Errorf("notified %q", got)
		}
		if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.State != idlepush.StateWatching {
			t.Errorf("the account is %+v, %v", a.Status, err)
		}
	})
}

func idleRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		script := &imaptest.Script{}
		imaptest.Hostile["idle-no"](script)
		defer h.live(t, script)()
		synctest.Wait()
		first, err := h.store.Accounts.Get(h.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * pollInterval)
		synctest.Wait()
		last, err := h.store.Accounts.Get(h.account.ID)
		if err != nil || last.Status.State != idlepush.StatePolling || !last.Status.Since.Equal(first.Status.Since) {
			t.Errorf("the status was %+v and is %+v, %v", first.Status, last.Status, err)
		}
	})
}

func newsWithIdleRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		refused := time.Time{}
		s.refuse = func(_, command, _ string) string {
			if command != "IDLE" || !refused.IsZero() {
				return ""
			}
			refused = time.Now()
			s.deliver("INBOX", subject("new"), refused)
			return "* 1 EXISTS\r\nTAG NO not now\r\n"
		}
		h, stop := s.watched(t, "INBOX")
		defer stop()
		synctest.Wait()
		if got := h.mails(t); len(got) != 1 || got[0].At.Sub(refused) > time.Second {
			t.Errorf("%q were notified", subjects(got))
		}
	})
}

var scriptedAccount = idlepush.Account{Host: "mail.example.org", Port: 993, Security: idlepush.SecurityTLS, Username: "anna", Password: "planted-password"}

// from sets the folder's cursor, as an earlier run has left it.
func (h *harness) from(t testing.TB, next uint32) {
	t.Helper()
	_, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "INBOX", At: time.Now(),
		To: registry.Cursor{UIDValidity: 1000, Next: next}})
	if err != nil {
		t.Fatal(err)
	}
}

// live runs a session against the script until the test's bubble is left, and returns how to end
// it.
func (h *harness) live(t *testing.T, script *imaptest.Script) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, end, err := h.scripted(ctx, t, script, new(failures))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	return func() {
		cancel()
		running.Wait()
		end()
	}
}

func subjects(list []idlepush.Notification) (all []string) {
	for _, n := range list {
		all = append(all, n.Content.Subject)
	}
	return all
}

func firstOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}, {UID: 2}, {UID: 3}}}
		stop := h.live(t, script)
		defer stop()
		synctest.Wait()
		if got := h.mails(t); len(got) != 0 {
			t.Fatalf("%d old messages were notified", len(got))
		}
		began := time.Now()
		script.Deliver(imaptest.Message{Header: "Subject: new\r\n\r\n"})
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"new"}) {
			t.Fatalf("notified %q", got)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it was notified after %v", waited)
		}
	})
}

func announcedAnyMoment(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"before EXAMINE", "within EXAMINE", "after EXAMINE", "before UID SEARCH", "within UID SEARCH", "after UID SEARCH",
		"before UID FETCH", "within UID FETCH", "after UID FETCH", "before IDLE", "within IDLE", "within DONE", "after DONE"} {
		t.Run(moment, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.from(t, 1)
				said := false
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: "Subject: first\r\n\r\n"}}}
				script.At = func(talk *imaptest.Talk, at string) {
					if at == moment && !said {
						said = true
						talk.Deliver(imaptest.Message{Header: "Subject: second\r\n\r\n"})
					}
				}
				stop := h.live(t, script)
				defer stop()
				// DONE is sent at the refresh at the latest.
				time.Sleep(usualInterval)
				synctest.Wait()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"first", "second"}) || !said {
					t.Errorf("notified %q", got)
				}
			})
		})
	}
}

func mailDealtWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{}
		for _, flags := range []string{`\Seen`, `\Deleted`, `\Draft`, "$Junk", "Junk", `\Flagged \Recent`, `\Answered $NotJunk`, ""} {
			script.Messages = append(script.Messages, imaptest.Message{UID: uint32(len(script.Messages) + 1), Flags: flags, Header: "Subject: " + flags + ".\r\n\r\n"})
		}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{`\Flagged \Recent.`, `\Answered $NotJunk.`, "."}) {
			t.Errorf("notified %q", got)
		}
	})
}

func polledWithoutIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{Caps: "IMAP4rev1"}
		defer h.live(t, script)()
		synctest.Wait()
		script.Deliver(imaptest.Message{})
		time.Sleep(pollInterval)
		synctest.Wait()
		if got := h.mails(t); len(got) != 1 {
			t.Errorf("%d messages were notified", len(got))
		}
		if a, _ := h.store.Accounts.Get(h.account.ID); a.Status.State != idlepush.StatePolling {
			t.Errorf("the account is %s", a.Status.State)
		}
	})
}

func unreportedMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{}
		imaptest.Hostile["idle-talks"](script)
		defer h.live(t, script)()
		synctest.Wait()
		script.Deliver(imaptest.Message{})
		time.Sleep(usualInterval)
		synctest.Wait()
		if got := h.mails(t); len(got) != 1 {
			t.Errorf("%d messages were notified", len(got))
		}
	})
}

// sessions runs sessions against the script, one after the other as they end, for at most a
// simulated time and count.
func (h *harness) sessions(t *testing.T, script *imaptest.Script, atMost int, each time.Duration) (count int) {
	return h.sessionsWith(t, new(failures), script, atMost, each)
}

// sessionsWith is sessions with the failures of earlier ones.
func (h *harness) sessionsWith(t *testing.T, known *failures, script *imaptest.Script, atMost int, each time.Duration) (count int) {
	for ; count < atMost; count++ {
		ctx, cancel := context.WithTimeout(t.Context(), each)
		s, end, err := h.scripted(ctx, t, script, known)
		if err == nil {
			s.run(ctx)
		}
		timedOut := ctx.Err() != nil
		cancel()
		end()
		if timedOut {
			return count + 1
		}
	}
	return count
}

func searchWithoutUIDs(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"* SEARCH 0", "* SEARCH 4294967295 0 1"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, scriptedAccount)
			h.from(t, 1)
			script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID SEARCH": func(talk *imaptest.Talk, _ string) {
				talk.Say("%s\r\n", answer)
				talk.OK("done")
			}}}
			if n := h.sessions(t, script, 1, time.Hour); n != 1 || len(h.mails(t)) != 0 {
				t.Errorf("%q were notified %d mails", answer, len(h.mails(t)))
			}
		})
	}
}

func hostileServers(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(imaptest.Hostile)) {
		if strings.HasPrefix(name, "flood-") && !strings.HasSuffix(name, "-idling") {
			continue // the wire ends these, and its tests show it
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.from(t, 1)
				script := &imaptest.Script{}
				imaptest.Hostile[name](script)
				var searches atomic.Int32
				at := script.At
				script.At = func(talk *imaptest.Talk, moment string) {
					if moment == "before UID SEARCH" {
						searches.Add(1)
					}
					if at != nil {
						at(talk, moment)
					}
				}
				began := time.Now()
				h.sessions(t, script, 2, time.Hour)
				hours := max(time.Since(began).Hours(), 0.05)
				if busy := float64(searches.Load()) / hours; busy > 240 {
					t.Errorf("%.0f searches an hour", busy)
				}
			})
		})
	}
}

package watcher

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

func TestOtherFolders(t *testing.T) {
	t.Parallel()
	t.Run("mail that the server reports is notified at once, and other mail at the next tour", reportedAtOnce)
	t.Run("a server that refuses NOTIFY is watched all the same", notifyRefused)
	t.Run("the tour is as quick as the server's STATUS", tourAsQuickAsStatus)
	t.Run("a server that takes NOTIFY and reports nothing is asked more often", notifySilent)
	t.Run("flags that NOTIFY reports of another folder are looked at within seconds", flagsElsewhereReported)
	t.Run("an overflow reported while folders are switched is not forgotten", overflowKept)
	t.Run("many folders take turns and none is forgotten", foldersTakeTurns)
	t.Run("every tour asks a server that does not report UIDNEXT", noUIDNEXTAtTour)
	t.Run("a folder restored to an earlier state is gone through again", otherFolderRestored)
	t.Run("folders that are not watched hide no mail", foldersNotWatched)
}

func overflowKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := many(t)
		var asked, overflows atomic.Int32
		script := &imaptest.Script{Caps: "IMAP4rev1 IDLE NOTIFY", At: func(talk *imaptest.Talk, moment string) {
			switch moment {
			case "before NOTIFY":
				asked.Add(1)
			case "within UID SEARCH":
				if overflows.Add(1) == 4 {
					talk.Say("* OK [NOTIFICATIONOVERFLOW] too much\r\n")
				}
			}
		}}
		defer h.live(t, script)()
		time.Sleep(time.Hour)
		if n := asked.Load(); n != 2 || overflows.Load() < 4 {
			t.Errorf("NOTIFY was sent %d times, with an overflow after %d searches", n, overflows.Load())
		}
	})
}

func foldersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account := scriptedAccount
		for i := range 50 {
			account.Folders = append(account.Folders, fmt.Sprint("List-", i))
		}
		account.Folders[0] = "INBOX"
		h := newHarness(t, account)
		var since, most atomic.Int32 // the last IDLE; between two
		script := &imaptest.Script{Caps: "IMAP4rev1 IDLE", Messages: []imaptest.Message{{UID: 1}}, At: func(_ *imaptest.Talk, moment string) {
			switch moment {
			case "before STATUS":
				most.Store(max(most.Load(), since.Add(1)))
			case "before IDLE":
				since.Store(0)
			}
		}}
		defer h.live(t, script)()
		time.Sleep(time.Minute)
		most.Store(0)
		script.Deliver(imaptest.Message{Header: "Subject: in %FOLDER%\r\nMessage-ID: <%FOLDER%>\r\n\r\n"})
		time.Sleep(3 * quickTour)
		synctest.Wait()
		if got := h.mails(t); len(got) != 50 {
			t.Errorf("new mail was notified in %d of 50 folders", len(got))
		}
		if n := most.Load(); n > 4*maxStatus {
			t.Errorf("%d STATUS between two waits", n)
		}
	})
}

func noUIDNEXTAtTour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		s.noNext = true
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		if late := s.delays(t, h, "B", 3, 10*time.Minute); late > quickTour {
			t.Errorf("a mail was notified after %v", late)
		}
	})
}

func otherFolderRestored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		s.delays(t, h, "B", 5, 10*time.Minute)
		s.mu.Lock()
		s.folders["B"] = &serverFolder{validity: 1000, next: 1}
		s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		began := time.Now()
		s.deliver("B", subject("after"), began)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := h.mails(t); len(got) != 6 || got[5].Content.Subject != "after" {
			t.Errorf("%q", subjects(got))
		}
	})
}

func foldersNotWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE NOTIFY", "INBOX", "B", "Junk")
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		for n := range 10 {
			for range 100 {
				s.deliver("Junk", subject("spam"), time.Now())
				time.Sleep(5 * time.Second)
			}
			if late := s.delays(t, h, "INBOX", 1, time.Second); late > time.Second {
				t.Errorf("mail %d were notified after %v", n, late)
			}
		}
		if n := s.asked("STATUS"); n > 1500 {
			t.Errorf("%d STATUS in 83 minutes", n)
		}
	})
}

// many has an account with INBOX and two other folders. A script shows the same mailbox as each.
func many(t *testing.T) *harness {
	a := scriptedAccount
	a.Folders = []string{"INBOX", "One", "Two"}
	h := newHarness(t, a)
	for _, f := range a.Folders {
		_, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: f, At: time.Now(), To: registry.Cursor{UIDValidity: 1000, Next: 1}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func reportedAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		caps     string
		notified []string // before the tour
	}{
		{"IMAP4rev1 IDLE NOTIFY", []string{"INBOX", "One", "Two"}},
		{"IMAP4rev1 IDLE", []string{"INBOX"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := many(t)
			script := &imaptest.Script{Caps: c.caps, At: func(talk *imaptest.Talk, moment string) {
				if moment == "within DONE" && strings.Contains(c.caps, "NOTIFY") {
					talk.Say("* STATUS One (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 1000)\r\n")
				}
			}}
			defer h.live(t, script)()
			synctest.Wait()
			script.Deliver(imaptest.Message{Header: "Subject: new in %FOLDER%\r\n\r\n"})
			synctest.Wait()
			folders := func() (all []string) {
				for _, n := range h.mails(t) {
					all = append(all, n.Folder)
				}
				slices.Sort(all)
				return all
			}
			if got := folders(); !slices.Equal(got, c.notified) {
				t.Errorf("%s: notified at once in %q, want %q", c.caps, got, c.notified)
			}
			time.Sleep(quickTour)
			synctest.Wait()
			if got := folders(); !slices.Equal(got, []string{"INBOX", "One", "Two"}) {
				t.Errorf("%s: notified after the tour in %q", c.caps, got)
			}
		})
	}
}

func notifyRefused(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"NO", "BAD"} {
		synctest.Test(t, func(t *testing.T) {
			h := many(t)
			script := &imaptest.Script{Caps: "IMAP4rev1 IDLE NOTIFY", On: map[string]func(*imaptest.Talk, string){
				"NOTIFY": func(talk *imaptest.Talk, _ string) {
					talk.Say("%s", fmt.Sprintf("%s %s not here\r\n", talk.Tag, answer))
				}}}
			defer h.live(t, script)()
			synctest.Wait()
			script.Deliver(imaptest.Message{})
			synctest.Wait()
			if got := h.mails(t); len(got) != 1 {
				t.Errorf("%s: %d messages were notified", answer, len(got))
			}
		})
	}
}

func tourAsQuickAsStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		caps  string
		takes time.Duration // STATUS of another folder
		every time.Duration
		live  bool
	}{
		"quick":  {"IMAP4rev1 IDLE", quickStatus, quickTour, false},
		"slow":   {"IMAP4rev1 IDLE", quickStatus + 1, slowTour, false},
		"polled": {"IMAP4rev1", quickStatus, quickTour, false},
		"NOTIFY": {"IMAP4rev1 IDLE NOTIFY", 0, slowTour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFolderServer(c.caps, "INBOX", "B")
				s.refuse = func(_, command, args string) string {
					if asksFor("B", command, args) {
						time.Sleep(c.takes)
					}
					return ""
				}
				a := scriptedAccount
				a.Folders, a.Security = []string{"INBOX", "B"}, idlepush.SecurityPlain
				h := newHarness(t, a)
				pool, stop := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
				time.Sleep(time.Minute)
				synctest.Wait()
				want := c.every
				if c.live {
					want = 0
				}
				if got := pool.Live(h.account.ID).Tour; got != want {
					t.Errorf("Live has a tour of %v, want %v", got, want)
				}
				before := s.asked(`STATUS "B"`) + s.asked("STATUS B")
				time.Sleep(time.Hour)
				synctest.Wait()
				tours := s.asked(`STATUS "B"`) + s.asked("STATUS B") - before
				if least := int(time.Hour / (c.every + 2*c.takes)); tours < least-1 || tours > least*10/9+1 {
					t.Errorf("%d tours in an hour", tours)
				}
				stop()
				s.serving.Wait()
			})
		})
	}
}

func flagsElsewhereReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE NOTIFY", "INBOX", "B")
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		s.deliver("B", subject("read elsewhere"), time.Now())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		h.deliverAll(t)
		s.mu.Lock()
		s.folders["B"].seen = true
		s.tell("INBOX", "* STATUS B (UNSEEN 0)\r\n")
		s.mu.Unlock()
		time.Sleep(minFlagDelay)
		synctest.Wait()
		if got := h.cleared(t); !slices.Equal(got, []string{"read elsewhere"}) {
			t.Errorf("cleared are %q", got)
		}
	})
}

func notifySilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE NOTIFY", "INBOX", "B")
		s.refuse = func(_, command, _ string) string {
			if command == "NOTIFY" {
				return "TAG OK done\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		if late := s.delays(t, h, "B", missesToDistrust, 10*time.Minute); late > slowTour {
			t.Errorf("a mail was notified after %v", late)
		}
		if late := s.delays(t, h, "B", 5, 10*time.Minute); late > quickTour {
			t.Errorf("after three that were not reported a mail was notified after %v", late)
		}
	})
}

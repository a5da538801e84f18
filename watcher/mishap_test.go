package watcher

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
)

// once makes the server answer so to the next command that fits, each time it is armed.
func (s *folderServer) once(armed *atomic.Bool, answer string, fits func(folder, command, args string) bool) {
	s.refuse = func(folder, command, args string) string {
		if fits(folder, command, args) && armed.CompareAndSwap(true, false) {
			return answer
		}
		return ""
	}
}

// asksFor reports whether a command is the STATUS of a folder.
func asksFor(folder, command, args string) bool {
	return command == "STATUS" && strings.HasPrefix(strings.TrimPrefix(args, `"`), folder)
}

func TestARefusalThatPassesInAnotherFolderCostsItsMailNoMoreThanTwoTours(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"UID SEARCH", "UID FETCH"} {
		synctest.Test(t, func(t *testing.T) {
			s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
			var armed atomic.Bool
			s.once(&armed, "TAG NO [UNAVAILABLE] try again\r\n", func(folder, command, _ string) bool { return folder == "B" && command == verb })
			h, stop := s.watched(t, "INBOX", "B")
			defer stop()
			armed.Store(true)
			if late := s.delays(t, h, "B", 1, time.Hour); armed.Load() || late > 2*tourEvery {
				t.Errorf("%s: it rang after %v, refused %v", verb, late, !armed.Load())
			}
		})
	}
}

func TestAConnectionLostOverNOTIFYOnceDoesNotEndNOTIFY(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE NOTIFY", "INBOX", "B")
		var armed atomic.Bool
		armed.Store(true)
		s.once(&armed, "* BYE Server shutting down.\r\n", func(_, command, _ string) bool { return command == "NOTIFY" })
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		time.Sleep(24 * time.Hour)
		if late := s.delays(t, h, "B", 5, 7*time.Minute); armed.Load() || late > time.Second {
			t.Errorf("a mail rang after %v", late)
		}
	})
}

func TestConnectionsLostOverSTATUSNowAndThenShutNoFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		var armed atomic.Bool
		s.once(&armed, "* BYE Server shutting down.\r\n", func(_, command, args string) bool { return asksFor("B", command, args) })
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		for range 3 {
			armed.Store(true)
			time.Sleep(12 * time.Hour)
		}
		armed.Store(true)
		time.Sleep(3 * time.Minute)
		if late := s.delays(t, h, "B", 1, 2*time.Hour); armed.Load() || late > tourEvery {
			t.Errorf("a mail rang after %v", late)
		}
	})
}

func TestAnAnswerToSTATUSThatCannotBeReadEndsNoSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "Sent Items")
		s.refuse = func(_, command, args string) string {
			if asksFor("Sent Items", command, args) {
				return "* STATUS Sent Items (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1000 UNSEEN 0)\r\nTAG OK done\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX", "Sent Items")
		defer stop()
		time.Sleep(2 * time.Hour)
		logins := s.asked("LOGIN")
		if late := s.delays(t, h, "INBOX", 5, time.Hour); late > time.Second {
			t.Errorf("a mail rang after %v", late)
		}
		if n := s.asked("LOGIN") - logins; n > 0 {
			t.Errorf("%d more logins in five hours", n)
		}
	})
}

func TestMailThatRangLongAgoAndIsMovedIsNotCleared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		s.deliver("INBOX", subject("moved"), time.Now())
		time.Sleep(70 * time.Hour)
		m := s.remove("INBOX", 1)
		s.deliver("B", m.Header, m.Date)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := h.mails(t); len(got) != 1 || !got[0].Cleared.IsZero() || got[0].Folder != "B" {
			t.Errorf("%+v", got)
		}
	})
}

func TestMailThatIsMovedWhileTheOthersAreAskedIsNotCleared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE NOTIFY", "INBOX", "B")
		var armed, asked atomic.Bool
		move := func(uid uint32) {
			m := s.remove("INBOX", uid)
			s.deliver("B", m.Header, m.Date)
		}
		s.refuse = func(folder, command, args string) string {
			if armed.Load() && asksFor("B", command, args) {
				asked.Store(true)
			}
			if asked.Load() && folder == "INBOX" && command == "UID SEARCH" && strings.Contains(args, "UNSEEN") && armed.CompareAndSwap(true, false) {
				move(2)
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		s.deliver("INBOX", subject("one"), time.Now())
		s.deliver("INBOX", subject("two"), time.Now())
		time.Sleep(10*time.Minute + 7*time.Second)
		armed.Store(true)
		move(1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		got := h.mails(t)
		for _, n := range got {
			if !n.Cleared.IsZero() || n.Folder != "B" {
				t.Errorf("%s is in %s and cleared %v", n.Content.Subject, n.Folder, n.Cleared)
			}
		}
		if armed.Load() || len(got) != 2 {
			t.Errorf("%d rang, the second was not moved: %v", len(got), armed.Load())
		}
	})
}

func TestAServerThatTellsOfFlagsAndEndsIDLEIsSlowedDownFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		count := 0
		s.refuse = func(_, command, _ string) string {
			if command != "IDLE" {
				return ""
			}
			if count++; count > 5000 {
				panic("5000 IDLE")
			}
			return "+ idling\r\n* 1 FETCH (FLAGS (\\Seen))\r\nTAG OK done\r\n"
		}
		_, stop := s.watched(t, "INBOX")
		defer stop()
		time.Sleep(time.Hour)
		if n := s.asked("IDLE"); n < 30 || n > 300 {
			t.Errorf("%d IDLE in an hour", n)
		}
	})
}

func TestMailRingsAfterOurClockWasAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		stop()
		cursor, err := h.store.Mail.Cursor(h.account.ID, "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		to := cursor
		to.Seen = time.Now().AddDate(0, 0, 30)
		if _, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "INBOX", From: cursor, To: to, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		_, end := h.watch(t, Dialer{Permit: permitAll, dial: s.dial})
		time.Sleep(time.Minute)
		if late := s.delays(t, h, "INBOX", 1, time.Hour); late > time.Second {
			t.Errorf("it rang after %v", late)
		}
		end()
		s.serving.Wait()
	})
}

func TestWhatWasLearnedOfAHostHoldsWhileItIsDoubted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		known registry.Host
		cut   time.Duration
	}{
		{"it bears less than doubt asks", registry.Host{Interval: time.Minute, Deadly: 75 * time.Second}, 75 * time.Second},
		{"doubt proves no longer silence", registry.Host{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
				s.cut = c.cut
				h, stop := s.watched(t, "INBOX")
				stop()
				name := net.JoinHostPort(h.account.Host, strconv.Itoa(h.account.Port))
				c.known.Unreliable, c.known.Since = time.Now(), time.Now().AddDate(0, 0, -6)
				if err := h.store.Mail.PutHost(name, c.known); err != nil {
					t.Fatal(err)
				}
				_, end := h.watch(t, Dialer{Permit: permitAll, dial: s.dial})
				time.Sleep(12 * time.Hour)
				if late := s.delays(t, h, "INBOX", 12, 3*time.Hour+11*time.Second); late > distrustInterval {
					t.Errorf("a mail rang after %v", late)
				}
				learned, err := h.store.Mail.Host(name)
				if err != nil || learned.Interval != c.known.Interval {
					t.Errorf("learned %+v, %v", learned, err)
				}
				end()
				s.serving.Wait()
			})
		})
	}
}

func TestMailThatIsMovedIsNotClearedWhereTheConnectionIsLostBeforeItIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B", "C")
		var armed, dying atomic.Bool
		s.refuse = func(folder, command, args string) string {
			switch {
			case folder == "B" && command == "UID SEARCH" && strings.Contains(args, "UNSEEN") && armed.CompareAndSwap(true, false):
				m := s.remove("B", 1)
				s.deliver("C", m.Header, m.Date)
				dying.Store(true)
			case asksFor("B", command, args) && dying.CompareAndSwap(true, false):
				return "* BYE Server shutting down.\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX", "B", "C")
		defer stop()
		s.deliver("B", subject("moved"), time.Now())
		time.Sleep(10 * time.Minute)
		armed.Store(true)
		s.deliver("B", subject("another"), time.Now())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		got := h.mails(t)
		if len(got) != 2 || !got[0].Cleared.IsZero() || got[0].Folder != "C" || armed.Load() || dying.Load() {
			t.Errorf("%+v", got)
		}
	})
}

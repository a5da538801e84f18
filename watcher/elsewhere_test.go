package watcher

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

func TestReadElsewhere(t *testing.T) {
	t.Parallel()
	t.Run("mail that was read or removed is cleared, and other mail is not", clearReadOrRemoved)
	t.Run("mail that was read between two sessions is cleared at the next login", clearAtLogin)
	t.Run("mail moved between folders is not cleared, whatever their order", movedBetweenFolders)
	t.Run("mail moved long after it was notified is not cleared", movedLongAfter)
	t.Run("mail moved while the other folders are looked at is not cleared", movedDuringTour)
	t.Run("mail that was moved is not cleared if the connection is lost before it is found", movedConnectionLost)
	t.Run("of two equal mails only the one that is removed is cleared", duplicateRemoved)
	t.Run("old mail moved into a watched folder is not notified", oldMailMoved)
}

func clearReadOrRemoved(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"IDLE": "IMAP4rev1 IDLE", "polled": "IMAP4rev1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.from(t, 1)
				script := &imaptest.Script{Caps: caps, Messages: []imaptest.Message{{UID: 1, Flags: `\Seen`}}}
				for uid := range uint32(4) {
					script.Messages = append(script.Messages, imaptest.Message{UID: uid + 2, Header: subject(fmt.Sprint("mail ", uid+2))})
				}
				defer h.live(t, script)()
				synctest.Wait()
				h.deliverAll(t)
				for uid, change := range map[uint32]func(){
					2: func() { script.Flag(2, `\Seen`) },
					3: func() { script.Remove(3) },
					4: func() { script.Flag(4, `\Flagged`) },
				} {
					change()
					time.Sleep(pollInterval + minFlagDelay)
					synctest.Wait()
					if got := slices.Contains(h.cleared(t), fmt.Sprint("mail ", uid)); got != (uid != 4) {
						t.Errorf("mail %d is cleared: %v", uid, got)
					}
				}
				if got := h.cleared(t); len(got) != 2 {
					t.Errorf("cleared are %q", got)
				}
				if n, known, err := h.store.Accounts.Unread(h.account.ID); err != nil || !known || n != 2 {
					t.Errorf("unread are %d (%v, %v), want 2", n, known, err)
				}
			})
		})
	}
}

func clearAtLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("one")}, {UID: 2, Header: subject("two")}}}
		h.sessions(t, script, 1, time.Minute)
		h.deliverAll(t)
		script.Flag(1, `\Seen`)
		h.sessions(t, script, 1, time.Minute)
		if got := h.cleared(t); !slices.Equal(got, []string{"one"}) {
			t.Errorf("cleared are %q", got)
		}
	})
}

func movedLongAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		s.refuse = func(_, command, _ string) string {
			if command == "STATUS" {
				time.Sleep(quickStatus + 1) // so that it is asked less often in three days
			}
			return ""
		}
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

func movedDuringTour(t *testing.T) {
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
			t.Errorf("%d were notified, the second was not moved: %v", len(got), armed.Load())
		}
	})
}

func movedConnectionLost(t *testing.T) {
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

func movedBetweenFolders(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1 IDLE", "IMAP4rev1 IDLE NOTIFY"} {
		for _, way := range [][2]string{{"B", "C"}, {"C", "B"}, {"INBOX", "B"}, {"B", "INBOX"}} {
			synctest.Test(t, func(t *testing.T) {
				s := newFolderServer(caps, "INBOX", "B", "C")
				h, stop := s.watched(t, "INBOX", "B", "C")
				defer stop()
				s.deliver(way[0], subject("moved"), time.Now())
				time.Sleep(3 * time.Minute)
				m := s.remove(way[0], 1)
				s.deliver(way[1], m.Header, m.Date)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if got := h.mails(t); len(got) != 1 || !got[0].Cleared.IsZero() || got[0].Folder != way[1] {
					t.Errorf("%s, %v: %+v", caps, way, got)
				}
			})
		}
	}
}

// The second is no copy of the first that moved: both are there.
func duplicateRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		defer stop()
		for range 2 {
			s.deliver("INBOX", subject("from the list and to me"), time.Now())
			time.Sleep(time.Minute)
		}
		s.remove("INBOX", 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := h.mails(t); len(got) != 2 || !got[0].Cleared.IsZero() || got[1].Cleared.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

func oldMailMoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(3 * 365 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		for n := range 5 {
			s.deliver([]string{"INBOX", "B"}[n%2], subject(fmt.Sprint("of last year ", n)), time.Now().AddDate(-1, 0, 0))
			time.Sleep(3 * time.Minute)
		}
		s.deliver("INBOX", subject("an hour on its way"), time.Now().Add(-time.Hour))
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"an hour on its way"}) {
			t.Errorf("notified %q", got)
		}
		list, err := h.store.Outbox.OldMail()
		if err != nil || len(list) != 2 || list[0].Count+list[1].Count != 5 {
			t.Errorf("push is to decide on %+v, %v", list, err)
		}
	})
}

package watcher

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

func TestPace(t *testing.T) {
	t.Parallel()
	t.Run("mail that is not notified delays none that is", mailNotNotified)
	t.Run("IDLE begins less often if the server reports flags and ends it", flagsEndIdle)
	t.Run("heartbeats that come together make no session busy", heartbeatsTogether)
	t.Run("a STATUS that never agrees with its folder makes no session busy", statusNeverAgrees)
}

func mailNotNotified(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]imaptest.Message{"junk": {Flags: "$Junk"}, "news without a mail": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.from(t, 1)
				var deleted atomic.Int32
				script := &imaptest.Script{At: func(talk *imaptest.Talk, moment string) {
					// As Gmail reports a message that is removed.
					if name != "junk" && moment == "within IDLE" && deleted.Load() < 15 {
						deleted.Add(1)
						talk.Say("* 1 EXPUNGE\r\n* 7 EXISTS\r\n")
					}
				}}
				defer h.live(t, script)()
				for range 15 {
					synctest.Wait()
					if name == "junk" {
						script.Deliver(message)
					}
					time.Sleep(2 * time.Second)
				}
				script.Deliver(imaptest.Message{Header: "Subject: notified\r\n\r\n"})
				synctest.Wait()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"notified"}) {
					t.Errorf("notified %q at once", got)
				}
			})
		})
	}
}

func flagsEndIdle(t *testing.T) {
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

func heartbeatsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		defer stop()
		s.deliver("INBOX", subject("IDLE is trusted"), time.Now())
		time.Sleep(time.Minute)
		for range 3 {
			s.mu.Lock()
			s.tell("INBOX", "* OK Still here\r\n")
			s.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		before := s.asked("IDLE")
		time.Sleep(time.Hour)
		if n := s.asked("IDLE") - before; n > 10 {
			t.Errorf("%d IDLEs in an hour", n)
		}
		if late := s.delays(t, h, "INBOX", 5, time.Minute); late > time.Second {
			t.Errorf("a mail was notified after %v", late)
		}
	})
}

func statusNeverAgrees(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := many(t)
		h.trustIdle(t)
		var asked atomic.Int32
		script := &imaptest.Script{Caps: "IMAP4rev1 IDLE NOTIFY", On: map[string]func(*imaptest.Talk, string){
			"STATUS": func(talk *imaptest.Talk, args string) {
				name, _, _ := strings.Cut(args, " ")
				talk.Say("* STATUS %s (UIDNEXT %d UIDVALIDITY 1000)\r\n", name, 100+asked.Add(1))
				talk.OK("done")
			}}}
		defer h.live(t, script)()
		time.Sleep(time.Hour)
		if n := asked.Load(); n > 35*maxRounds*5 {
			t.Errorf("asked %d times in an hour", n)
		}
		if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.State != idlepush.StateWatching {
			t.Errorf("the account is %+v, %v", a.Status, err)
		}
	})
}

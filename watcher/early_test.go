package watcher

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

func TestEarlyNews(t *testing.T) {
	t.Parallel()
	t.Run("mail that is announced before it can be found is looked for after 1, 4 and 15 s", announcedTooEarly)
	t.Run("mail of another folder that is announced before it can be found is looked for again", announcedTooEarlyAside)
	t.Run("mail that is announced too early just after others were removed is looked for again", announcedTooEarlyAfterRemoval)
	t.Run("mail of another folder that is announced too early after others were removed is looked for again", announcedTooEarlyAsideAfterRemoval)
	t.Run("RECENT is a hint to look", recentAlone)
	t.Run("an announcement that is never true costs three looks", announcementNeverTrue)
	t.Run("mail at a server as GNU mailutils is found, and its IDLE not trusted", asMailutils)
	t.Run("mail that only STATUS shows is found by opening the folder anew", onlyStatusShows)
	t.Run("IDLE that has reported mail may do so later than STATUS shows it", statusBeforeIdle)
}

// lateIndex returns a server that finds a message only so long after it was delivered.
func lateIndex(folders []string, lag time.Duration) *folderServer {
	s := newFolderServer("IMAP4rev1 IDLE NOTIFY", folders...)
	s.refuse = func(folder, command, args string) string {
		if command == "UID FETCH" && strings.Contains(args, ":*") {
			return "TAG OK none\r\n"
		}
		if command != "UID SEARCH" {
			return ""
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		answer := "* SEARCH"
		for _, m := range s.in(folder, args) {
			if time.Since(m.Date) >= lag {
				answer += fmt.Sprint(" ", m.UID)
			}
		}
		return answer + "\r\nTAG OK done\r\n"
	}
	return s
}

func announcedTooEarly(t *testing.T) {
	t.Parallel()
	for lag, want := range map[time.Duration]time.Duration{0: 0, 500 * time.Millisecond: time.Second, 3 * time.Second: 5 * time.Second, 19 * time.Second: 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := lateIndex([]string{"INBOX"}, lag)
			h, stop := s.watched(t, "INBOX")
			defer stop()
			if late := s.delays(t, h, "INBOX", 3, time.Minute); late != want {
				t.Errorf("with a lag of %v a mail was notified after %v, want %v", lag, late, want)
			}
			if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.Code != "" {
				t.Errorf("the account is %+v, %v", a.Status, err)
			}
		})
	}
}

func announcedTooEarlyAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := lateIndex([]string{"INBOX", "B"}, 3*time.Second)
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		if late := s.delays(t, h, "B", 3, time.Minute); late > 6*time.Second {
			t.Errorf("a mail was notified after %v", late)
		}
	})
}

func announcedTooEarlyAfterRemoval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := lateIndex([]string{"INBOX"}, 3*time.Second)
		h, stop := s.watched(t, "INBOX")
		defer stop()
		s.delays(t, h, "INBOX", 3, time.Minute)
		s.remove("INBOX", 1)
		if late := s.delays(t, h, "INBOX", 1, 15*time.Minute); late > 5*time.Second {
			t.Errorf("in INBOX a mail was notified after %v", late)
		}
	})
}

func announcedTooEarlyAsideAfterRemoval(t *testing.T) {
	t.Parallel()
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			// Most times the mail comes so short before a tour that it does not find it.
			s := lateIndex([]string{"INBOX", "B"}, 19*time.Second)
			s.caps = "IMAP4rev1 IDLE"
			h, stop := s.watched(t, "INBOX", "B")
			defer stop()
			for range 3 {
				s.put("B", imaptest.Message{Flags: `\Seen`, Header: subject("read"), Date: time.Now()})
			}
			time.Sleep(2 * quickTour)
			s.remove("B", 1)
			s.remove("B", 2)
			time.Sleep(2 * quickTour)
			if late := s.delays(t, h, "B", 1, 2*time.Minute); late > quickTour+20*time.Second {
				t.Errorf("in another folder a mail was notified after %v", late)
			}
		})
	}
}

// recentAlone has a server that announces by RECENT and without EXISTS, one that counts on and one
// that repeats itself.
func recentAlone(t *testing.T) {
	t.Parallel()
	for _, counts := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			recent := 0
			script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, On: map[string]func(*imaptest.Talk, string){"EXISTS": func(talk *imaptest.Talk, _ string) {
				if recent++; !counts {
					recent = 1
				}
				talk.Say("* %d RECENT\r\n", recent)
			}}}
			h := newHarness(t, scriptedAccount)
			h.from(t, 2)
			defer h.live(t, script)()
			for n := range 3 {
				time.Sleep(time.Minute)
				script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: time.Now()})
				synctest.Wait()
				if got := h.mails(t); len(got) != n+1 {
					t.Errorf("counting on: %v: %d of %d were notified at once", counts, len(got), n+1)
				}
			}
		})
	}
}

func announcementNeverTrue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var searches atomic.Int32
		script := &imaptest.Script{Beat: imaptest.Beat{Every: time.Minute, Do: func(talk *imaptest.Talk, _ int) { talk.Say("* 9 EXISTS\r\n") }},
			At: func(_ *imaptest.Talk, moment string) {
				if moment == "before UID SEARCH" {
					searches.Add(1)
				}
			}}
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		defer h.live(t, script)()
		time.Sleep(time.Minute - time.Second)
		before := searches.Load()
		time.Sleep(time.Hour)
		if n := searches.Load() - before; n < 63 || n > 70 {
			t.Errorf("%d searches in an hour with 60 announcements", n)
		}
	})
}

func onlyStatusShows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// As GNU mailutils: a folder that is open does not show that it grows.
		script := &imaptest.Script{Mute: true, Messages: []imaptest.Message{{UID: 1}}}
		a := scriptedAccount
		a.Folders = []string{"INBOX", "B"}
		h := newHarness(t, a)
		h.from(t, 2)
		defer h.live(t, script)()
		time.Sleep(time.Minute)
		for n := range 4 {
			script.Deliver(imaptest.Message{Header: "Subject: %FOLDER%\r\nMessage-ID: <" + strings.Repeat("x", n+1) + "@%FOLDER%>\r\n\r\n", Date: time.Now()})
			time.Sleep(quickTour)
			synctest.Wait()
			if got := h.mails(t); len(got) != 2*(n+1) {
				t.Fatalf("after mail %d, %q were notified", n, subjects(got))
			}
		}
		if st, err := h.store.Accounts.Get(h.account.ID); err != nil || st.Status.Code != "idle_unreliable" {
			t.Errorf("after four mails that IDLE did not report the account is %+v, %v", st.Status, err)
		}
	})
}

func statusBeforeIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Mute: true, Messages: []imaptest.Message{{UID: 1}}}
		a := scriptedAccount
		a.Folders = []string{"INBOX", "B"}
		h := newHarness(t, a)
		h.trustIdle(t)
		h.from(t, 2)
		defer h.live(t, script)()
		time.Sleep(time.Minute)
		for n := range 4 {
			script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: time.Now()})
			time.Sleep(quickTour)
			synctest.Wait()
		}
		if known, err := h.store.Mail.Host(h.account.Host); err != nil || !known.Reports || known.MissedNews > 0 || len(h.mails(t)) < 4 {
			t.Errorf("after four mails that STATUS showed first, the host is %+v, %v", known, err)
		}
	})
}

// asMailutils has a server that reports in IDLE nothing before DONE, and finds nothing by "n:*".
func asMailutils(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		untold := "" // written and read by the one connection there is
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, On: map[string]func(*imaptest.Talk, string){
			"EXISTS": func(_ *imaptest.Talk, count string) { untold = count },
			"DONE": func(talk *imaptest.Talk, _ string) {
				if untold != "" {
					talk.Say("* %s EXISTS\r\n* %s RECENT\r\n", untold, untold)
				}
				untold = ""
				talk.OK("IDLE terminated")
			},
			"UID SEARCH": func(talk *imaptest.Talk, args string) {
				if strings.Contains(args, ":*") {
					talk.Say("* SEARCH\r\n")
					talk.OK("done")
					return
				}
				talk.Answer("UID SEARCH", args)
			},
		}}
		h, pool, _, stop := pooled(t, script)
		defer stop()
		for n, within := range []time.Duration{usualInterval, doubtInterval, doubtInterval, doubtInterval} {
			time.Sleep(10 * time.Minute)
			afterLook(pool, h.account.ID)
			script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: time.Now()})
			time.Sleep(within)
			synctest.Wait()
			if got := h.mails(t); len(got) != n+1 {
				t.Fatalf("%d mails after the delivery of number %d, %q were notified", n+1, n, subjects(got))
			}
		}
		if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.State != idlepush.StatePolling || a.Status.Code != "idle_unreliable" {
			t.Errorf("the account is %+v, %v", a.Status, err)
		}
	})
}

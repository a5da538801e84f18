package watcher

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/registry/registrytest"
)

func TestClock(t *testing.T) {
	t.Parallel()
	t.Run("mail is notified however the clock is set meanwhile", clockSetMeanwhile)
	t.Run("mail is notified after the clock was ahead", clockWasAhead)
	t.Run("mail since the last look is notified after a renumbering though the clock was ahead then", renumberClockAhead)
	t.Run("a server is learned again though the clock was ahead", learnClockAhead)
	t.Run("mail is notified once a clock that was ahead from the start is right", clockAheadAtStart)
	t.Run("a clock that was behind at the start is believed", clockBehindAtStart)
}

func clockSetMeanwhile(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1000 * day) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		h, stop := s.watched(t, "INBOX", "B")
		stop()
		clock := new(registrytest.Clock)
		_, end := h.watchBy(t, Dialer{Permit: permitAll, Dial: s.dial}, clock.Now)
		time.Sleep(time.Minute)
		cursors := func() (list [2]registry.Cursor) {
			t.Helper()
			for i, folder := range []string{"INBOX", "B"} {
				var err error
				if list[i], err = h.store.Mail.Cursor(h.account.ID, folder); err != nil {
					t.Fatal(err)
				}
			}
			return list
		}
		for _, by := range []time.Duration{0, 30 * day, -29 * day, -400 * day, 399 * day} {
			clock.Move(by)
			for _, folder := range []string{"INBOX", "B", "INBOX", "B"} {
				if late := s.delays(t, h, folder, 1, 10*time.Minute); late > 2*time.Minute {
					t.Errorf("set by %v, a mail to %s was notified after %v", by, folder, late)
				}
			}
			before := len(h.mails(t))
			s.deliver("INBOX", subject(fmt.Sprint("old mail ", by)), time.Now().Add(-500*day))
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if got := h.mails(t); len(got) != before {
				t.Errorf("set by %v, %q were notified", by, got[before].Content.Subject)
			}
			// A folder without news is not written at each look, and another than INBOX not looked
			// at.
			written, opened := cursors(), s.asked(`EXAMINE "B"`)+s.asked("EXAMINE B")
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			if again, n := cursors(), s.asked(`EXAMINE "B"`)+s.asked("EXAMINE B")-opened; again != written || n > 0 {
				t.Errorf("set by %v, the cursors were %+v and are %+v after %d looks", by, written, again, n)
			}
		}
		end()
		s.serving.Wait()
	})
}

func renumberClockAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		_, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "INBOX", At: time.Now(),
			To: registry.Cursor{UIDValidity: 1000, Next: 700, Seen: time.Now().AddDate(0, 1, 0)}})
		if err != nil {
			t.Fatal(err)
		}
		script := renumbered()
		script.UIDValidity = 2000
		script.Messages = append(script.Messages[:0], script.Messages[0])
		script.Messages[0].Header, script.Messages[0].Date = subject("of now"), time.Now()
		delete(script.On, "UID SEARCH")
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"of now"}) {
			t.Errorf("notified %q", got)
		}
	})
}

// Times that a clock has left in the future must not stop learning about a host until they come.
func learnClockAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		stop()
		const name = "mail.example.org:993"
		ahead := time.Now().AddDate(1, 0, 0)
		if err := h.store.Mail.PutHost(name, registry.Host{Since: ahead, LastDrop: ahead, DistrustedSince: ahead, DiedUnnoticed: ahead}); err != nil {
			t.Fatal(err)
		}
		if known := newHost(h.account.Host, name, h.store.Mail, h.log, newClock(nil)).known; distrusted(known, time.Now().Add(7*24*time.Hour)) || diesUnnoticed(known, time.Now().Add(7*24*time.Hour)) {
			t.Errorf("it is not believed for longer than a week: %+v", known)
		}
		if err := h.store.Mail.PutHost(name, registry.Host{Since: ahead, LastDrop: ahead, Reports: true}); err != nil {
			t.Fatal(err)
		}
		s.cut = 5 * time.Minute
		_, end := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
		time.Sleep(time.Hour)
		synctest.Wait()
		end()
		s.serving.Wait()
		if learned, err := h.store.Mail.Host(name); err != nil || learned.Interval != 4*time.Minute || learned.LastDrop.After(time.Now()) {
			t.Errorf("after an hour it is %+v, %v", learned, err)
		}
	})
}

func clockAheadAtStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		stop()
		clock := new(registrytest.Clock)
		clock.Move(30 * 24 * time.Hour)
		_, end := h.watchBy(t, Dialer{Permit: permitAll, Dial: s.dial}, clock.Now)
		time.Sleep(time.Hour)
		clock.Move(-30 * 24 * time.Hour)
		if late := s.delays(t, h, "INBOX", 3, time.Hour); late > time.Second {
			t.Errorf("it was notified after %v", late)
		}
		end()
		s.serving.Wait()
	})
}

// A clock that was behind at the start, as on a machine without a battery for it, is right as soon
// as it is set: at once, or after a day if it was far behind.
func clockBehindAtStart(t *testing.T) {
	t.Parallel()
	for behind, wrongFor := range map[time.Duration]time.Duration{10 * time.Minute: 0, 23 * time.Hour: 0, 10 * 24 * time.Hour: 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			wall := new(registrytest.Clock)
			wall.Move(-behind)
			c := newClock(wall.Now)
			time.Sleep(time.Minute)
			wall.Move(behind)
			began := time.Now()
			for !c.now().Equal(wall.Now()) {
				time.Sleep(time.Minute)
			}
			if took := time.Since(began); took != wrongFor {
				t.Errorf("%v behind: it is right after %v, want %v", behind, took, wrongFor)
			}
		})
	}
}

func clockWasAhead(t *testing.T) {
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
		_, end := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
		time.Sleep(time.Minute)
		if late := s.delays(t, h, "INBOX", 1, time.Hour); late > time.Second {
			t.Errorf("it was notified after %v", late)
		}
		end()
		s.serving.Wait()
	})
}

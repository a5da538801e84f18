package watcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
)

// delays is how long after their delivery the mails of a folder rang, each a while after the one
// before.
func (s *folderServer) delays(t *testing.T, h *house, folder string, count int, every time.Duration) (worst time.Duration) {
	t.Helper()
	for n := range count {
		began, before := time.Now(), len(h.mails(t))
		s.deliver(folder, subject(fmt.Sprint("measured ", folder, began.UnixNano())), began)
		time.Sleep(every)
		synctest.Wait()
		got := h.mails(t)
		if len(got) != before+1 {
			t.Fatalf("mail %d of %d has not rung after %v", n+1, count, every)
		}
		worst = max(worst, got[len(got)-1].At.Sub(began))
	}
	return worst
}

func TestAFolderThatIsGoneKeepsNoOtherFromBeingWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "There")
		h, stop := s.watched(t, "Gone", "There")
		defer stop()
		if late := s.delays(t, h, "There", 3, time.Hour); late > time.Second {
			t.Errorf("a mail rang after %v", late)
		}
		if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.State != registry.Watching || a.Status.Code != "folder_unavailable" {
			t.Errorf("%+v, %v", a.Status, err)
		}
	})
}

func TestMailThatIsMovedBetweenFoldersIsNotClearedWhateverTheirOrder(t *testing.T) {
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

func TestAServerThatDoesNotSayUIDNEXTIsAskedAtEveryTour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		s.noNext = true
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		if late := s.delays(t, h, "B", 3, 10*time.Minute); late > tourEvery {
			t.Errorf("a mail rang after %v", late)
		}
	})
}

func TestAnotherFolderThatWasPutBackIsGoneThroughAnew(t *testing.T) {
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

// TestWhatIsNotNeededCostsINBOXNothing: whichever of the commands beside EXAMINE, SEARCH and FETCH
// a server refuses or dies of.
func TestWhatIsNotNeededCostsINBOXNothing(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"STATUS B", "STATUS INBOX", "NOTIFY", "UID SEARCH UNSEEN"} {
		for _, answer := range []string{"TAG NO [INUSE] busy\r\n", "TAG BAD what\r\n", "* BYE internal error\r\n"} {
			if strings.HasPrefix(command, "UID SEARCH") && strings.Contains(answer, "BYE") {
				continue // it dies of the search for new mail as well
			}
			t.Run(command+" "+strings.TrimSpace(answer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newFolderServer("IMAP4rev1 IDLE NOTIFY", "INBOX", "B")
					verb, argument, _ := strings.Cut(command, " ")
					if verb == "UID" {
						verb, argument = "UID SEARCH", "UNSEEN"
					}
					s.refuse = func(_, command, args string) string {
						if command == verb && strings.Contains(args, argument) {
							return answer
						}
						return ""
					}
					h, stop := s.watched(t, "INBOX", "B")
					defer stop()
					time.Sleep(2 * time.Hour)
					logins := s.asked("LOGIN")
					if late := s.delays(t, h, "INBOX", 8, time.Hour); late > time.Second {
						t.Errorf("a mail rang after %v", late)
					}
					// A folder that was passed over is tried again once an hour.
					if more := s.asked("LOGIN") - logins; more > 8 {
						t.Errorf("%d logins in eight hours", more)
					}
				})
			})
		}
	}
}

func TestFoldersThatAreNotWatchedMakeNobodyDeaf(t *testing.T) {
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
				t.Errorf("mail %d rang after %v", n, late)
			}
		}
		if n := s.asked("STATUS"); n > 1500 {
			t.Errorf("%d STATUS in 83 minutes", n)
		}
	})
}

func TestMailThatIsAnnouncedWithANoToIDLERingsAtOnce(t *testing.T) {
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
			t.Errorf("%q rang", subjects(got))
		}
	})
}

func TestHeartbeatsInOneBreathMakeNoSessionBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		defer stop()
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
			t.Errorf("a mail rang after %v", late)
		}
	})
}

func TestADuplicateThatIsRemovedClearsNothing(t *testing.T) {
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
		if got := h.mails(t); len(got) != 1 || !got[0].Cleared.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

func TestOldMailThatIsMovedIntoAWatchedFolderDoesNotRing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
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
			t.Errorf("rang %q", got)
		}
	})
}

func TestTheUnreadCountIsTrueAgainAfterARefusalAndWithoutWhatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		count := 0
		s.refuse = func(_, command, args string) string {
			if command == "STATUS" && strings.Contains(args, "INBOX") {
				if count++; count == 2 {
					return "TAG NO [INUSE] try again\r\n"
				}
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		for n := range 7 {
			s.deliver("INBOX", subject(fmt.Sprint("inbox ", n)), time.Now())
			s.deliver("B", subject(fmt.Sprint("b ", n)), time.Now())
			time.Sleep(5 * time.Minute)
		}
		unread := func(want int) {
			t.Helper()
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			if n, known, err := h.store.Accounts.Unread(h.account.ID); err != nil || !known || n != want {
				t.Errorf("unread are %d, %v, %v; want %d", n, known, err, want)
			}
		}
		unread(14)
		s.mu.Lock()
		delete(s.folders, "B")
		s.mu.Unlock()
		unread(7)
	})
}

func TestAFewAccountsThatAlwaysFailKeepNoOtherFromItsHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		s.refuse = func(_, command, args string) string {
			if command == "LOGIN" && strings.Contains(args, "broken") {
				return "* BYE not you\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX")
		defer stop()
		for n := range 40 {
			a := scriptedAccount
			a.Security, a.Username, a.Email = registry.Plain, fmt.Sprint("broken", n), fmt.Sprint("broken", n, "@example.org")
			h.add(t, a)
		}
		time.Sleep(24 * time.Hour)
		began := time.Now()
		healthy := registry.Account{Host: h.account.Host, Port: h.account.Port, Security: registry.Plain, Username: "new", Email: "new@example.org", Password: "p"}
		healthy = h.add(t, healthy)
		for {
			time.Sleep(time.Second)
			synctest.Wait()
			a, err := h.store.Accounts.Get(healthy.ID)
			if err != nil {
				t.Fatal(err)
			}
			if a.Status.State == registry.Watching {
				break
			}
			if time.Since(began) > time.Hour {
				t.Fatal("it does not get in")
			}
		}
		if waited := time.Since(began); waited > time.Minute {
			t.Errorf("it got in after %v", waited)
		}
	})
}

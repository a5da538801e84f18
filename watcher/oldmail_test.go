package watcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

func TestOldMail(t *testing.T) {
	t.Parallel()
	t.Run("old mail of one look is counted across its steps", oldMailSteps)
	t.Run("old mail of a look that was cut off is counted", oldMailCutOff)
	t.Run("old mail of a session that has ended is counted at once", oldMailEnded)
	t.Run("old mail of a folder that the server refuses in between is counted", oldMailRefused)
	t.Run("the further words of only the first old mails of a look are read", oldMailWords)
	t.Run("old mail behind a message that is stuck is counted once, whatever ends the session", oldMailBehindStuck)
	t.Run("old mail that is read while it waits does not ring", oldMailReadMeanwhile)
}

// imported puts n mails of a week ago into a folder, and announces nothing.
func (s *folderServer) imported(folder string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[folder]
	for range n {
		f.mails = append(f.mails, imaptest.Message{UID: f.next, Header: subject(fmt.Sprint("imported ", f.next)), Date: time.Now().AddDate(0, 0, -7)})
		f.next++
	}
}

func oldMailSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		defer stop()
		s.imported("INBOX", 3*batch+1)
		s.deliver("INBOX", subject("new"), time.Now())
		time.Sleep(time.Minute)
		list, err := h.store.Outbox.OldMail()
		if err != nil || len(list) != 1 || list[0].Count != 3*batch+1 {
			t.Errorf("push is to decide on %+v, %v", list, err)
		}
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"new"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func oldMailCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		fetches := 0
		s.refuse = func(_, command, _ string) string {
			if command != "UID FETCH" {
				return ""
			}
			if fetches++; fetches == 2 {
				s.remove("INBOX", batch+1)
				return "* BYE no\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX")
		defer stop()
		s.imported("INBOX", batch)
		s.deliver("INBOX", subject("removed meanwhile"), time.Now())
		time.Sleep(5 * time.Minute)
		list, err := h.store.Outbox.OldMail()
		if err != nil || len(list) != 1 || list[0].Count != batch {
			t.Errorf("push is to decide on %+v, %v", list, err)
		}
	})
}

func oldMailEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		fetches := 0
		s.refuse = func(_, command, _ string) string {
			if command == "UID FETCH" {
				fetches++
			}
			if fetches > 1 {
				return "* BYE no\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX")
		defer stop()
		s.imported("INBOX", 2*batch-1)
		s.deliver("INBOX", subject("new"), time.Now())
		time.Sleep(time.Minute)
		list, err := h.store.Outbox.OldMail()
		if err != nil || len(list) != 1 || list[0].Count != batch {
			t.Errorf("push is to decide on %+v, %v", list, err)
		}
	})
}

func oldMailRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "Family")
		fetches := 0
		s.refuse = func(folder, command, _ string) string {
			if command != "UID FETCH" || folder != "Family" {
				return ""
			}
			if fetches++; fetches > 1 {
				return "TAG NO [UNAVAILABLE] later\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX", "Family")
		defer stop()
		s.imported("Family", 2*batch)
		time.Sleep(time.Minute)
		list, err := h.store.Outbox.OldMail()
		if err != nil || len(list) != 1 || list[0].Count != batch {
			t.Errorf("push is to decide on %+v, %v", list, err)
		}
	})
}

func oldMailWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		s.refuse = func(folder, command, args string) (answer string) {
			if command != "UID FETCH" || !strings.Contains(args, "[TEXT]") {
				return ""
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			words := strings.Repeat("x", 4096)
			for _, m := range s.in(folder, "UID "+args) {
				header := "Content-Type: multipart/mixed; boundary=y\r\n" + m.Header
				answer += fmt.Sprintf("* 1 FETCH (UID %d FLAGS () INTERNALDATE \"%s\" BODY[HEADER.FIELDS (X)] {%d}\r\n%s BODY[TEXT]<0> {%d}\r\n%s)\r\n", m.UID,
					m.Date.Format("02-Jan-2006 15:04:05 -0700"), len(header), header, len(words), words)
			}
			return answer + "TAG OK done\r\n"
		}
		_, stop := s.watched(t, "INBOX")
		defer stop()
		const old = 10 * batch
		s.imported("INBOX", old)
		before := s.asked("UID FETCH")
		s.deliver("INBOX", subject("new"), time.Now())
		time.Sleep(time.Minute)
		// Each whose words are read takes one more.
		if n := s.asked("UID FETCH") - before - old/batch - 1; n != maxOldWords {
			t.Errorf("of %d old mails the words of %d were read", old, n)
		}
	})
}

func oldMailBehindStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		alone := 0 // FETCH of UID 1 by itself
		s.refuse = func(_, command, args string) string {
			if command == "UID FETCH" && strings.HasPrefix(args, "1 ") {
				switch alone++; alone {
				case 1, 3:
					return "TAG OK done\r\n"
				case 2:
					return "* BYE restart\r\n"
				}
			}
			if command == "UID FETCH" && strings.HasPrefix(args, "1:") && alone < 4 {
				return strings.Replace(s.answer(new("INBOX"), "TAG", command, strings.Replace(args, "1:", "2:", 1)), "* 1", "* 2", 1)
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX")
		defer stop()
		s.imported("INBOX", 400)
		s.deliver("INBOX", subject("new"), time.Now())
		counted := 0
		for range 120 {
			time.Sleep(time.Second)
			list, err := h.store.Outbox.OldMail()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				counted += m.Count
				if err := h.store.Outbox.SumUpOld(m, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		if counted != 400 || alone != 4 {
			t.Errorf("counted are %d of 400, after %d FETCH of the first", counted, alone)
		}
	})
}

func oldMailReadMeanwhile(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"INBOX", "Family"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
				s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "Family")
				h, stop := s.watched(t, "INBOX", "Family")
				defer stop()
				s.imported(folder, 1)
				s.announce(folder)
				time.Sleep(5 * time.Minute)
				s.mu.Lock()
				s.folders[folder].seen = true
				s.tell(folder, "* 1 FETCH (FLAGS (\\Seen))\r\n")
				s.mu.Unlock()
				time.Sleep(2 * time.Minute)
				list, err := h.store.Outbox.OldMail()
				if err != nil || len(list) != 1 {
					t.Fatal(list, err)
				}
				if err := h.store.Outbox.RingOld(list[0], time.Now()); err != nil {
					t.Fatal(err)
				}
				h.deliverAll(t)
				for _, n := range h.all(t) {
					if len(n.Deliveries) > 0 || n.Cleared.IsZero() {
						t.Errorf("of the mail that was read the store says %+v", n)
					}
				}
			})
		})
	}
}

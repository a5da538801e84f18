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
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestBrokenFolder(t *testing.T) {
	t.Parallel()
	t.Run("a folder that cannot be searched holds up no mail of INBOX", unsearchableFolder)
	t.Run("two broken folders keep no session from waiting", twoBrokenFolders)
	t.Run("a folder that is gone keeps no other from being watched", folderGone)
	t.Run("a refusal that passes delays the folder's mail by no more than two tours", refusalThatPasses)
	t.Run("a connection lost once over NOTIFY does not end NOTIFY", lostOnceOverNotify)
	t.Run("connections lost over STATUS now and then have no folder skipped", lostOverStatus)
	t.Run("an answer to STATUS that cannot be read ends no session", unreadableStatus)
	t.Run("commands that are not needed cost INBOX nothing", unneededCommands)
	t.Run("the unread count is true again after a refusal, and without folders that are gone", unreadAfterRefusal)
}

func twoBrokenFolders(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1 IDLE NOTIFY", "IMAP4rev1 IDLE"} {
		synctest.Test(t, func(t *testing.T) {
			account := scriptedAccount
			account.Folders = []string{"INBOX", "Bad", "Gone"}
			h := newHarness(t, account)
			var idles atomic.Int32
			open := ""
			script := &imaptest.Script{Caps: caps, Messages: []imaptest.Message{{UID: 1}}, On: map[string]func(*imaptest.Talk, string){
				"EXAMINE": func(talk *imaptest.Talk, folder string) {
					if open = folder; strings.Contains(folder, "Gone") {
						talk.Say("%s NO [NONEXISTENT] no such folder\r\n", talk.Tag)
						return
					}
					talk.Answer("EXAMINE", folder)
				},
				"STATUS": func(talk *imaptest.Talk, args string) {
					if strings.Contains(args, "Gone") {
						talk.Say("%s NO [NONEXISTENT] no such folder\r\n", talk.Tag)
						return
					}
					talk.Answer("STATUS", args)
				},
				"UID SEARCH": func(talk *imaptest.Talk, args string) {
					if strings.Contains(open, "Bad") {
						talk.Close()
						return
					}
					talk.Answer("UID SEARCH", args)
				},
				"idling": func(*imaptest.Talk, string) { idles.Add(1) },
			}}
			for _, f := range account.Folders {
				if _, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: f, At: time.Now(), To: registry.Cursor{UIDValidity: 1000, Next: 1}}); err != nil {
					t.Fatal(err)
				}
			}
			sessions := h.sessions(t, script, 30, 50*time.Minute)
			if sessions > 5 || idles.Load() < 5 {
				t.Errorf("%s: in %d sessions it waited %d times", caps, sessions, idles.Load())
			}
		})
	}
}

func unsearchableFolder(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(*imaptest.Talk){
		"refused": func(talk *imaptest.Talk) { talk.Say("%s NO [SERVERBUG] cannot\r\n", talk.Tag) },
		"silent":  func(talk *imaptest.Talk) { talk.Silence() },
		"closed":  func(talk *imaptest.Talk) { talk.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				account := scriptedAccount
				account.Folders = []string{"Work", "INBOX"}
				h := newHarness(t, account)
				h.from(t, 1)
				open := ""
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: "Subject: first\r\n\r\n"}}, On: map[string]func(*imaptest.Talk, string){
					"EXAMINE":   func(talk *imaptest.Talk, folder string) { open = folder; talk.Answer("EXAMINE", folder) },
					"UID FETCH": func(talk *imaptest.Talk, args string) { talk.Answer("UID FETCH", args) },
					"UID SEARCH": func(talk *imaptest.Talk, args string) {
						if strings.Contains(open, "Work") {
							broken(talk)
							return
						}
						talk.Answer("UID SEARCH", args)
					}}}
				sessions := h.sessions(t, script, 12, usualInterval/2)
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"first"}) || sessions == 12 {
					t.Errorf("in %d sessions %q were notified", sessions, got)
				}
			})
		})
	}
}

// once sends answer to the next command that fits, each time it is armed.
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

func refusalThatPasses(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"UID SEARCH", "UID FETCH"} {
		synctest.Test(t, func(t *testing.T) {
			s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
			var armed atomic.Bool
			s.once(&armed, "TAG NO [UNAVAILABLE] try again\r\n", func(folder, command, _ string) bool { return folder == "B" && command == verb })
			h, stop := s.watched(t, "INBOX", "B")
			defer stop()
			armed.Store(true)
			if late := s.delays(t, h, "B", 1, time.Hour); armed.Load() || late > 2*quickTour {
				t.Errorf("%s: it was notified after %v, refused %v", verb, late, !armed.Load())
			}
		})
	}
}

func lostOnceOverNotify(t *testing.T) {
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
			t.Errorf("a mail was notified after %v", late)
		}
	})
}

func lostOverStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		var armed atomic.Bool
		s.once(&armed, "* BYE Server shutting down.\r\n", func(_, command, args string) bool { return asksFor("B", command, args) })
		s.proven = true
		h, stop := s.watched(t, "INBOX", "B")
		defer stop()
		for range 3 {
			armed.Store(true)
			time.Sleep(12 * time.Hour)
		}
		armed.Store(true)
		time.Sleep(3 * time.Minute)
		if late := s.delays(t, h, "B", 1, 2*time.Hour); armed.Load() || late > quickTour {
			t.Errorf("a mail was notified after %v", late)
		}
	})
}

func unreadableStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "Sent Items")
		s.refuse = func(_, command, args string) string {
			if asksFor("Sent Items", command, args) {
				return "* STATUS Sent Items (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1000 UNSEEN 0)\r\nTAG OK done\r\n"
			}
			return ""
		}
		s.proven = true
		h, stop := s.watched(t, "INBOX", "Sent Items")
		defer stop()
		time.Sleep(2 * time.Hour)
		logins := s.asked("LOGIN")
		hours := testenv.Tenth(20)
		if late := s.delays(t, h, "INBOX", hours, time.Hour); late > time.Second {
			t.Errorf("a mail was notified after %v", late)
		}
		if n := s.asked("LOGIN") - logins; n > 0 {
			t.Errorf("%d more logins in %d hours", n, hours)
		}
	})
}

func folderGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "There")
		h, stop := s.watched(t, "Gone", "There")
		defer stop()
		if late := s.delays(t, h, "There", 3, time.Hour); late > time.Second {
			t.Errorf("a mail was notified after %v", late)
		}
		if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.State != idlepush.StateWatching || a.Status.Code != "folder_unavailable" {
			t.Errorf("%+v, %v", a.Status, err)
		}
	})
}

// unneededCommands has a server refuse each command but EXAMINE, SEARCH and FETCH, or close the
// connection over it.
func unneededCommands(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"STATUS B", "STATUS INBOX", "NOTIFY", "UID SEARCH UNSEEN"} {
		for _, answer := range []string{"TAG NO [INUSE] busy\r\n", "TAG BAD what\r\n", "* BYE internal error\r\n"} {
			if strings.HasPrefix(command, "UID SEARCH") && strings.Contains(answer, "BYE") {
				continue // it closes over the search for new mail as well
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
					s.proven = true
					h, stop := s.watched(t, "INBOX", "B")
					defer stop()
					time.Sleep(2 * time.Hour)
					hours := testenv.Tenth(30)
					logins := s.asked("LOGIN")
					if late := s.delays(t, h, "INBOX", hours, time.Hour); late > time.Second {
						t.Errorf("a mail was notified after %v", late)
					}
					// A folder that is skipped is tried again once an hour.
					if more := s.asked("LOGIN") - logins; more > hours {
						t.Errorf("%d logins in %d hours", more, hours)
					}
				})
			})
		}
	}
}

func unreadAfterRefusal(t *testing.T) {
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

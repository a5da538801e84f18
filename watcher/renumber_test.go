package watcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

func TestRenumber(t *testing.T) {
	t.Parallel()
	t.Run("old mail of a renumbered folder is never notified", renumberOldMail)
	t.Run("mail before a second renumbering is not forgotten", renumberTwice)
	t.Run("after a long outage the mail since the last look is old or new, and none is lost", renumberAfterOutage)
	t.Run("what is remembered at first sight is bounded, and delays no mail if the server fails over it", rememberMany)
	t.Run("a backlog that is cut short does not count as seen", backlogCutShort)
	t.Run("a folder restored from a backup misses no mail", restoredFolder)
	t.Run("a UIDVALIDITY that is 0 or missing rings nothing twice, and misses no mail", renumberToNothing)
}

func restoredFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		old := imaptest.Message{UID: 1, Header: subject("notified before"), Date: time.Now()}
		script := &imaptest.Script{Messages: []imaptest.Message{old, {UID: 2, Header: subject("lost"), Date: time.Now()}, {UID: 3, Header: subject("lost too"), Date: time.Now()}}}
		h.sessions(t, script, 1, time.Minute)
		// UIDs 2 and 3 are given again.
		script.Messages = []imaptest.Message{old, {UID: 2, Header: subject("after the backup"), Date: time.Now()}}
		h.sessions(t, script, 1, time.Minute)
		script.Messages = append(script.Messages, imaptest.Message{UID: 3, Header: subject("and later"), Date: time.Now()})
		h.sessions(t, script, 1, time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"notified before", "lost", "lost too", "after the backup", "and later"}) {
			t.Errorf("notified %q", got)
		}
	})
}

// renumbered is a server whose folder has another UIDVALIDITY than at the last success, ten old
// unread messages, and those that it received since.
func renumbered(recent ...imaptest.Message) *imaptest.Script {
	script := &imaptest.Script{UIDValidity: 2000, On: map[string]func(*imaptest.Talk, string){}}
	var found strings.Builder
	for _, m := range recent {
		script.Messages = append(script.Messages, m)
		fmt.Fprintf(&found, " %d", m.UID)
	}
	for range 10 {
		script.Messages = append(script.Messages, imaptest.Message{UID: uint32(len(script.Messages) + 1), Header: "Subject: old\r\n\r\n"})
	}
	script.On["UID SEARCH"] = func(talk *imaptest.Talk, args string) {
		if !strings.Contains(args, "SINCE") {
			talk.Answer("UID SEARCH", args)
			return
		}
		talk.Say("* SEARCH%s\r\n", found.String())
		talk.OK("done")
	}
	return script
}

func renumberOldMail(t *testing.T) {
	t.Parallel()
	for name, recent := range map[string][]imaptest.Message{
		"no mail since": nil, "mail since, numbered before the old": {{UID: 1, Header: "Subject: since\r\n\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.from(t, 700)
				script := renumbered(recent...)
				defer h.live(t, script)()
				time.Sleep(2 * usualInterval)
				script.Deliver(imaptest.Message{Header: "Subject: new\r\n\r\n"})
				synctest.Wait()
				want := append(slices.Repeat([]string{"since"}, len(recent)), "new")
				if got := subjects(h.mails(t)); !slices.Equal(got, want) {
					t.Errorf("notified %q, want %q", got, want)
				}
			})
		})
	}
}

func renumberTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		// A session that ended while it went through the renumbered folder has left this.
		since := time.Now().Add(-6 * time.Hour)
		_, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "INBOX", At: time.Now(),
			To: registry.Cursor{UIDValidity: 1500, Next: 1, Since: since}})
		if err != nil {
			t.Fatal(err)
		}
		arrived := time.Now().Add(-3 * time.Hour)
		script := renumbered(imaptest.Message{UID: 1, Header: "Subject: three hours ago\r\n\r\n"})
		script.On["UID FETCH"] = func(talk *imaptest.Talk, _ string) {
			header := script.Messages[0].Header
			talk.Say("* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"%s\" BODY[HEADER.FIELDS (SUBJECT)] {%d}\r\n%s)\r\n",
				arrived.Format("02-Jan-2006 15:04:05 -0700"), len(header), header)
			talk.OK("done")
		}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"three hours ago"}) {
			t.Errorf("notified %q", got)
		}
	})
}

func renumberAfterOutage(t *testing.T) {
	t.Parallel()
	for _, days := range []int{1, 5, 30} {
		t.Run(fmt.Sprint(days, " days"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
				s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
				h, stop := s.watched(t, "INBOX")
				s.deliver("INBOX", subject("before"), time.Now().Add(-time.Second))
				time.Sleep(time.Minute)
				stop()
				var want []string
				for day := range days {
					time.Sleep(23 * time.Hour)
					s.deliver("INBOX", subject(fmt.Sprint("day ", day)), time.Now())
					time.Sleep(time.Hour)
					want = append(want, fmt.Sprint("day ", day))
				}
				if err := h.store.Purge(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				s.renumber("INBOX")
				before := len(h.all(t))
				_, stop = h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
				time.Sleep(10 * time.Minute)
				stop()
				s.serving.Wait()
				if got := subjects(h.all(t))[before:]; !slices.Equal(got, want) {
					t.Errorf("listed are %q, want %q", got, want)
				}
				list, err := h.store.Outbox.OldMail()
				old := 0
				for _, m := range list {
					old += m.Count
				}
				if new := min(days, 2); err != nil || old != days-new {
					t.Errorf("old are %d of %d, %v", old, days, err)
				}
			})
		})
	}
}

func backlogCutShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		before := time.Now()
		time.Sleep(time.Hour)
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if strings.HasPrefix(args, fmt.Sprint(batch+1)) {
				talk.Close()
				return
			}
			talk.Answer("UID FETCH", args)
		}}}
		for uid := range uint32(batch + 5) {
			script.Messages = append(script.Messages, imaptest.Message{UID: uid + 1})
		}
		h.sessions(t, script, 1, time.Hour)
		cursor, err := h.store.Mail.Cursor(h.account.ID, "INBOX")
		if err != nil || cursor.Next != batch+1 || !cursor.Seen.Equal(before) {
			t.Errorf("the cursor is %+v, %v; want it at %d, seen at %v", cursor, err, batch+1, before)
		}
		delete(script.On, "UID FETCH")
		h.sessions(t, script, 1, time.Minute)
		if cursor, err = h.store.Mail.Cursor(h.account.ID, "INBOX"); err != nil || cursor.Next != batch+6 || cursor.Seen.Equal(before) {
			t.Errorf("the cursor is %+v, %v", cursor, err)
		}
	})
}

func rememberMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
		s.folders["B"].next = 200_000
		asked := ""
		s.refuse = func(folder, command, args string) string {
			if command != "UID SEARCH" || folder != "B" || !strings.Contains(args, "SINCE") {
				return ""
			}
			asked = args
			// More than a line may hold.
			return "* SEARCH" + strings.Repeat(" 100000", 40_000) + "\r\nTAG OK done\r\n"
		}
		a := scriptedAccount
		a.Folders, a.Security = []string{"INBOX", "B"}, idlepush.SecurityPlain
		h := newHarness(t, a)
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
		defer s.serving.Wait()
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := "UID 180000:199999 SINCE"; !strings.HasPrefix(asked, want) {
			t.Errorf("the search was %q, want %q", asked, want)
		}
		if late := s.delays(t, h, "B", 1, time.Minute); late > time.Minute {
			t.Errorf("notified after %v", late)
		}
	})
}

func renumberToNothing(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{"0": "UIDVALIDITY 0", "missing": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B")
				lacks := false
				s.refuse = func(folder, command, args string) (answer string) {
					if !lacks || command != "EXAMINE" && command != "STATUS" {
						return ""
					}
					answer = s.answer(new(folder), "TAG", command, args)
					if command == "EXAMINE" && said == "" {
						return strings.Replace(answer, "* OK [UIDVALIDITY 1000] valid\r\n", "", 1)
					}
					return strings.Replace(answer, "UIDVALIDITY 1000", said, 1)
				}
				h, stop := s.watched(t, "INBOX", "B")
				want := []string{}
				for i := range 5 {
					for _, f := range []string{"INBOX", "B"} {
						want = append(want, fmt.Sprint(f, " ", i))
						s.deliver(f, subject(want[len(want)-1]), time.Now())
					}
					time.Sleep(2 * time.Hour)
					stop()
					s.serving.Wait()
					lacks = i%2 == 0
					_, stop = h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
					time.Sleep(time.Minute)
				}
				stop()
				s.serving.Wait()
				got := subjects(h.all(t))
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("listed are %q, want %q", got, want)
				}
			})
		})
	}
}

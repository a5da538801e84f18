package watcher

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/ring"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/imaptest/servers"
)

func TestNotRung(t *testing.T) {
	t.Parallel()
	t.Run("folder, flags, date and sender decide, in each combination", notRungTable)
	t.Run("on a real server each reason is found", notRungDovecot)
	t.Run("on a real server a notification moves to a copy once the mail is removed", duplicateDovecot)
	t.Run("the special uses of folders are asked for once, and only for the sake of own mail", notRungUses)
	t.Run("a server that ends the connection over LIST delays own mail once", notRungListEnds)
	t.Run("two equal mails in one folder ring twice, and one that moved rings once", notRungTwins)
	t.Run("an equal mail that came before the folder was renumbered rings, too", notRungTwinRenumbered)
	t.Run("if the server does not say whether the first is there, the second rings", notRungTwinsUnknown)
}

// What the parts of a mail say of it.
var (
	flagsTable = map[string]codes.Code{
		"": "", `\Flagged`: "", `\Answered $NotJunk`: "", `\Seen`: "seen", `\Deleted`: "deleted", `\Draft`: "draft", "$Junk": "junk", "Junk": "junk",
		`\Seen \Deleted`: "deleted", `\Seen \Draft`: "draft", `\seen $junk`: "junk",
	}
	usesTable  = map[string]string{"INBOX": "", "Family": "", "Archive": `\Archive`, "Sent Items": `\HasNoChildren \Sent`, "Drafts": `\Drafts`}
	ownTable   = map[string]bool{"Anna <ANNA@example.org>": true, `"anna@example.org" <evil@example.com>`: false}
	datesTable = []struct {
		received, sent string // of dates
		old            bool
	}{
		{"now", "now", false}, {"now", "a week ago", false}, {"a week ago", "now", false}, {"a week ago", "a week ago", true},
		{"a week ago", "", true}, {"", "a week ago", true}, {"", "", false}, {"", "now", false},
		{"1970", "a week ago", true}, {"1970", "1999", false}, {"1970", "", false}, {"1970", "now", false},
		{"a week ago", "1970", true}, {"a week ago", "in two days", true}, {"in two days", "in two days", false}, {"in two days", "a week ago", true},
		{"49 hours ago", "", true}, {"47 hours ago", "", false}, {"in an hour", "a week ago", false},
	}
)

// dates are the dates of datesTable, seen from now.
func dates(now time.Time) map[string]time.Time {
	return map[string]time.Time{
		"": {}, "1970": time.Unix(0, 0).UTC(), "1999": time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC),
		"a week ago": now.AddDate(0, 0, -7), "49 hours ago": now.Add(-49 * time.Hour), "47 hours ago": now.Add(-47 * time.Hour),
		"now": now, "in an hour": now.Add(time.Hour), "in two days": now.AddDate(0, 0, 2),
	}
}

// reasonOf is why a mail does not ring, by the tables.
func reasonOf(flags string, own, filed, old bool) codes.Code {
	switch reason := flagsTable[flags]; {
	case reason == "seen" && own, reason == "" && own && filed:
		return "sent"
	case reason != "":
		return reason
	case old:
		return registry.CodeOld
	}
	return ""
}

// listed answers LIST with the folders of usesTable.
func listed(_, command, _ string) (answer string) {
	if command != "LIST" {
		return ""
	}
	for name, use := range usesTable {
		answer += fmt.Sprintf("* LIST (%s) \"/\" %q\r\n", use, name)
	}
	return answer + "TAG OK done\r\n"
}

func notRungTable(t *testing.T) {
	t.Parallel()
	for folder, use := range usesTable {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(2 * 365 * 24 * time.Hour) // dates before 2000 say nothing
				s := newFolderServer("IMAP4rev1 IDLE", folder)
				s.refuse = listed
				h, stop := s.watched(t, folder)
				defer stop()
				filed := strings.Contains(use, `\Sent`) || strings.Contains(use, `\Drafts`)
				want := make(map[uint32]codes.Code)
				what := make(map[uint32]string)
				at, f := dates(time.Now()), s.folders[folder]
				s.mu.Lock()
				for flags := range flagsTable {
					for sender, own := range ownTable {
						for _, d := range datesTable {
							header := fmt.Sprintf("From: %s\r\n", sender)
							if d.sent != "" {
								header += "Date: " + at[d.sent].Format(time.RFC1123Z) + "\r\n"
							}
							f.mails = append(f.mails, imaptest.Message{UID: f.next, Flags: flags, Header: header + subject(fmt.Sprint(f.next)), Date: at[d.received]})
							want[f.next], what[f.next] = reasonOf(flags, own, filed, d.old), fmt.Sprintf("flags %q from %s, received %q, sent %q", flags, sender, d.received, d.sent)
							f.next++
						}
					}
				}
				s.mu.Unlock()
				s.deliver(folder, subject("the last"), time.Now())
				time.Sleep(10 * time.Minute)
				got := make(map[uint32]codes.Code)
				for _, n := range h.all(t) {
					got[n.UID] = n.Code
				}
				// Of what does not ring the last 200 are kept.
				if rings := len(h.mails(t)) - 1; rings != len(slices.DeleteFunc(slices.Collect(maps.Values(want)), func(c codes.Code) bool { return c != "" })) {
					t.Errorf("%d ring", rings)
				}
				for uid, code := range got {
					if code != want[uid] {
						t.Errorf("%s: %q, want %q", what[uid], code, want[uid])
					}
				}
			})
		})
	}
}

// anna is the address of the harness's account.
const anna = "Anna <anna@example.org>"

func notRungDovecot(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t, "namespace inbox {\n inbox = yes\n mailbox Sent {\n special_use = \\Sent\n auto = create\n }\n mailbox Family {\n auto = create\n }\n}")
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Sent", "Family"}
	h := newHarness(t, account)
	_, stop := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	s.Deliver(t, s.User, "INBOX", mail("Berta <b@example.org>", "moves", ""))
	h.waitMails(t, 1)
	stop()

	client := s.Client(t)
	defer client.Close()
	put := func(folder, from, subject string, received time.Time, flags ...imap.Flag) {
		t.Helper()
		text := []byte("From: " + from + "\r\nSubject: " + subject + "\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", ".") + "@example.org>\r\n\r\nWords.\r\n")
		append := client.Append(folder, int64(len(text)), &imap.AppendOptions{Flags: flags, Time: received})
		if _, err := append.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := append.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := append.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	now, week := time.Now(), time.Now().AddDate(0, 0, -7)
	want := map[string]codes.Code{"read": "seen", "spam": "junk", "unfinished": "draft", "struck out": "deleted", "my answer": "sent", "my other answer": "sent", "moves": "duplicate"}
	put("INBOX", "Berta <b@example.org>", "read", now, imap.FlagSeen)
	put("INBOX", "Berta <b@example.org>", "spam", now, "$Junk")
	put("INBOX", "Berta <b@example.org>", "unfinished", now, imap.FlagDraft)
	put("INBOX", "Berta <b@example.org>", "struck out", now, imap.FlagDeleted)
	put("INBOX", anna, "my answer", now, imap.FlagSeen)
	put("Sent", anna, "my other answer", now)
	put("INBOX", anna, "Disk 2 has failed", now)
	put("INBOX", "Berta <b@example.org>", "of 1970", time.Unix(0, 0))
	for n := range 6 {
		name := fmt.Sprint("imported ", n)
		put("Family", "Berta <b@example.org>", name, week)
		want[name] = registry.CodeOld
	}
	s.Move(t, "moves", "Family")

	h.watch(t, dialerTo(s.Endpoint))
	testenv.Await(t, "each mail is listed", func() error {
		got := make(map[string]codes.Code)
		for _, n := range h.notRung(t) {
			got[n.Content.Subject] = n.Code
		}
		if rang := subjects(h.mails(t)); !maps.Equal(got, want) || !slices.Equal(rang, []string{"moves", "Disk 2 has failed", "of 1970"}) {
			return fmt.Errorf("rang %q, and not %v", rang, got)
		}
		return nil
	})
	if list, err := h.store.Outbox.OldMail(); err != nil || len(list) != 1 || list[0].Count != 6 || list[0].Folder != "Family" {
		t.Errorf("push is to decide on %+v, %v", list, err)
	}
}

func duplicateDovecot(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Work"}
	s.CreateFolder(t, s.User, "Work")
	h := newHarness(t, account)
	h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	s.Deliver(t, s.User, "INBOX", mail("Berta <b@example.org>", "copied", ""))
	h.waitMails(t, 1)
	await := func(what, folder string, copies int, cleared bool) {
		t.Helper()
		testenv.Await(t, what, func() error {
			list, silent := h.mails(t), h.notRung(t)
			if len(list) != 1 || list[0].Folder != folder || list[0].Cleared.IsZero() == cleared || len(silent) != copies {
				return fmt.Errorf("%+v, and %d did not ring", list, len(silent))
			}
			return nil
		})
	}
	await("the mail rings", "INBOX", 0, false)
	s.Doveadm(t, s.User, "copy", "Work", "mailbox", "INBOX", "all")
	await("its copy does not", "INBOX", 1, false)
	s.Doveadm(t, s.User, "expunge", "mailbox", "Work", "all")
	s.Doveadm(t, s.User, "copy", "Work", "mailbox", "INBOX", "all")
	await("nor does the next, after the first was removed", "INBOX", 2, false)
	s.Doveadm(t, s.User, "expunge", "mailbox", "INBOX", "all")
	await("the notification moves to the copy", "Work", 2, false)
	s.Doveadm(t, s.User, "flags", "add", `\Seen`, "mailbox", "Work", "all")
	await("it is cleared once the copy is read", "Work", 2, true)
}

func notRungUses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "Sent Items", "Family")
		s.refuse = listed
		h, stop := s.watched(t, "INBOX", "Sent Items", "Family")
		defer stop()
		s.deliver("INBOX", "From: "+anna+"\r\n"+subject("from the printer"), time.Now())
		s.deliver("Family", subject("from others"), time.Now())
		time.Sleep(5 * time.Minute)
		if n := s.asked("LIST"); n != 0 {
			t.Errorf("LIST was sent %d times", n)
		}
		for _, name := range []string{"one", "two"} {
			s.deliver("Sent Items", "From: "+anna+"\r\n"+subject(name), time.Now())
			s.deliver("Family", "From: "+anna+"\r\n"+subject(name+" for the family"), time.Now())
			time.Sleep(5 * time.Minute)
		}
		if n := s.asked("LIST"); n != 1 {
			t.Errorf("LIST was sent %d times", n)
		}
		rang, silent := subjects(h.mails(t)), h.notRung(t)
		slices.Sort(rang)
		if want := []string{"from others", "from the printer", "one for the family", "two for the family"}; !slices.Equal(rang, want) {
			t.Errorf("rang %q, want %q", rang, want)
		}
		if got := subjects(silent); !slices.Equal(got, []string{"one", "two"}) || silent[0].Code != notRungSent || silent[0].Params[codes.Case] != filed {
			t.Errorf("%q did not ring, the first by %v %v", got, silent[0].Code, silent[0].Params)
		}
	})
}

func notRungListEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "Family")
		s.refuse = func(_, command, _ string) string {
			if command == "LIST" {
				return "* BYE no\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "Family")
		defer stop()
		s.deliver("Family", "From: "+anna+"\r\n"+subject("own"), time.Now())
		time.Sleep(5 * time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"own"}) || s.asked("LIST") != 1 {
			t.Errorf("rang %q, with %d LIST", got, s.asked("LIST"))
		}
	})
}

// alarm is a mail of a camera without a clock: only its place tells it from the next.
const alarm = "From: Camera <cam@example.org>\r\nSubject: motion\r\nDate: Sat, 01 Jan 2000 00:00:00 +0000\r\n\r\n"

func notRungTwins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		defer stop()
		for range 3 {
			s.deliver("INBOX", alarm, time.Now())
			time.Sleep(time.Minute)
		}
		s.deliver("INBOX", alarm, time.Now())
		s.deliver("INBOX", alarm, time.Now())
		time.Sleep(time.Minute)
		if n := len(h.mails(t)); n != 5 || len(h.notRung(t)) != 0 {
			t.Fatalf("%d ring", n)
		}
		s.remove("INBOX", 2)
		s.deliver("INBOX", alarm, time.Now())
		time.Sleep(time.Minute)
		if n, silent := len(h.mails(t)), h.notRung(t); n != 5 || len(silent) != 1 || silent[0].Code != "duplicate" || silent[0].UID != 6 {
			t.Errorf("%d ring, and not %+v", n, silent)
		}
	})
}

func notRungTwinRenumbered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		s.deliver("INBOX", alarm, time.Now())
		time.Sleep(time.Minute)
		stop()
		time.Sleep(time.Minute)
		s.deliver("INBOX", alarm, time.Now())
		s.renumber("INBOX")
		_, stop = h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
		time.Sleep(10 * time.Minute)
		stop()
		s.serving.Wait()
		if n := len(h.mails(t)); n != 2 {
			t.Errorf("%d ring", n)
		}
	})
}

// renumber gives a folder another UIDVALIDITY.
func (s *folderServer) renumber(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders[folder].validity++
}

func notRungTwinsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		s.refuse = func(_, command, args string) string {
			if command == "UID SEARCH" && strings.Contains(args, "UNDELETED") {
				return "TAG NO no\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX")
		defer stop()
		for range 2 {
			s.deliver("INBOX", alarm, time.Now())
			time.Sleep(time.Minute)
		}
		if n := len(h.mails(t)); n != 2 {
			t.Errorf("%d ring", n)
		}
	})
}

// A mail may come between the two: it must not be told of with a number that leaves it out. A
// summary is told of with the number of its own time.
func TestUnreadOfLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		defer stop()
		told := func(kind idlepush.Kind, unread int) registry.Work {
			t.Helper()
			s.deliver("INBOX", subject(fmt.Sprint("new ", unread)), time.Now())
			time.Sleep(time.Minute)
			w, ok, err := h.store.Outbox.Next(h.device.ID, time.Now())
			if err != nil || !ok || w.Notification.Kind != kind || w.Unread == nil || *w.Unread != unread {
				t.Fatalf("of %d unread mails it is told with %+v, %v", unread, w, err)
			}
			return w
		}
		told(idlepush.KindMail, 1)
		w := told(idlepush.KindMail, 2)
		by := ring.Decision{Verdict: ring.Held, Until: time.Now()}
		w.Decision = by
		if err := h.store.Outbox.Decide(w, time.Now(), func(registry.Work) ring.Decision { return by }); err != nil {
			t.Fatal(err)
		}
		if w, _, err := h.store.Outbox.Next(h.device.ID, time.Now()); err != nil || !w.HoldEnded {
			t.Fatal(w.HoldEnded, err)
		} else if _, err := h.store.Outbox.Combine(w, time.Now(), func(registry.Work) ring.Decision { return ring.Decision{Verdict: ring.Now} }); err != nil {
			t.Fatal(err)
		}
		told(idlepush.KindSummary, 3)
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, command := range s.commands {
			if strings.HasPrefix(command, "STATUS") && !strings.HasPrefix(s.commands[i-1], "UID SEARCH") {
				t.Errorf("the unread mails are counted before the new ones are searched: %q", s.commands)
			}
		}
	})
}

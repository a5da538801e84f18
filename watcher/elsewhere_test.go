package watcher

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

// deliverAll delivers everything queued for the device, as a push service would.
func (h *house) deliverAll(t *testing.T) {
	t.Helper()
	for {
		w, ok, err := h.store.Outbox.Next(h.device.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		if _, err := h.store.Outbox.Settle(w, registry.Outcome{Result: registry.ResultDelivered}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// cleared are the subjects of mail that was cleared.
func (h *house) cleared(t *testing.T) (list []string) {
	t.Helper()
	for _, n := range h.mails(t) {
		if !n.Cleared.IsZero() {
			list = append(list, n.Content.Subject)
		}
	}
	return list
}

func subject(words string) string {
	return "Subject: " + words + "\r\nMessage-ID: <" + strings.ReplaceAll(words, " ", ".") + "@example.org>\r\n\r\n"
}

func TestMailThatWasReadOrRemovedElsewhereIsClearedAndOtherMailIsNot(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"IDLE": "IMAP4rev1 IDLE", "polled": "IMAP4rev1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, scriptedAccount)
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

func TestMailThatWasReadWhileNobodyLookedIsClearedAtTheNextLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
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

func TestOwnMailDoesNotRing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{Messages: []imaptest.Message{
			{UID: 1, Header: "From: Anna <ANNA@example.org>\r\nSubject: mine\r\n\r\n"},
			{UID: 2, Header: "From: \"anna@example.org\" <evil@example.com>\r\nSubject: not mine\r\n\r\n"}}}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"not mine"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestAFolderThatWasRestoredFromABackupMissesNoMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		old := imaptest.Message{UID: 1, Header: subject("rang before"), Date: time.Now()}
		script := &imaptest.Script{Messages: []imaptest.Message{old, {UID: 2, Header: subject("lost"), Date: time.Now()}, {UID: 3, Header: subject("lost too"), Date: time.Now()}}}
		h.sessions(t, script, 1, time.Minute)
		// UIDs 2 and 3 are given again.
		script.Messages = []imaptest.Message{old, {UID: 2, Header: subject("after the backup"), Date: time.Now()}}
		h.sessions(t, script, 1, time.Minute)
		script.Messages = append(script.Messages, imaptest.Message{UID: 3, Header: subject("and later"), Date: time.Now()})
		h.sessions(t, script, 1, time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"rang before", "lost", "lost too", "after the backup", "and later"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestAnOverflowThatIsHeardWhileFoldersAreSwitchedIsNotForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := many(t)
		var asked, overflows atomic.Int32
		script := &imaptest.Script{Caps: "IMAP4rev1 IDLE NOTIFY", At: func(talk *imaptest.Talk, moment string) {
			switch moment {
			case "before NOTIFY":
				asked.Add(1)
			case "within UID SEARCH":
				if overflows.Add(1) == 4 {
					talk.Say("* OK [NOTIFICATIONOVERFLOW] too much\r\n")
				}
			}
		}}
		defer h.live(t, script)()
		time.Sleep(time.Hour)
		if n := asked.Load(); n != 2 || overflows.Load() < 4 {
			t.Errorf("NOTIFY was sent %d times, with an overflow after %d searches", n, overflows.Load())
		}
	})
}

func TestTwoBadFoldersKeepNoSessionFromWaiting(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1 IDLE NOTIFY", "IMAP4rev1 IDLE"} {
		synctest.Test(t, func(t *testing.T) {
			account := scriptedAccount
			account.Folders = []string{"INBOX", "Bad", "Gone"}
			h := newHouse(t, account)
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

func TestALoneMailRingsWithItsWordsAlsoWhenItsFlagsAreToldFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		first := true
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: "Subject: whole\r\n\r\n"}}}
		script.At = func(talk *imaptest.Talk, moment string) {
			if moment == "before UID FETCH" && first {
				first = false
				talk.Say("* 1 FETCH (UID 1 FLAGS (NonJunk))\r\n")
			}
		}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"whole"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestADateThatCannotBeReadCostsNoMailItsWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if strings.Contains(args, "INTERNALDATE") {
				talk.Say("* 1 FETCH (UID 1 FLAGS () INTERNALDATE NIL RFC822.SIZE 9 BODY[HEADER.FIELDS (SUBJECT)] {16}\r\nSubject: whole\r\n)\r\n")
				talk.OK("done")
				return
			}
			talk.Answer("UID FETCH", args)
		}}, Messages: []imaptest.Message{{UID: 1, Header: "Subject: whole\r\n\r\n"}}}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"whole"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestManyFoldersTakeTurnsAndNoneIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account := scriptedAccount
		for i := range 50 {
			account.Folders = append(account.Folders, fmt.Sprint("List-", i))
		}
		account.Folders[0] = "INBOX"
		h := newHouse(t, account)
		var since, most atomic.Int32 // the last IDLE; between two
		script := &imaptest.Script{Caps: "IMAP4rev1 IDLE", Messages: []imaptest.Message{{UID: 1}}, At: func(_ *imaptest.Talk, moment string) {
			switch moment {
			case "before STATUS":
				most.Store(max(most.Load(), since.Add(1)))
			case "before IDLE":
				since.Store(0)
			}
		}}
		defer h.live(t, script)()
		time.Sleep(time.Minute)
		most.Store(0)
		script.Deliver(imaptest.Message{Header: "Subject: in %FOLDER%\r\nMessage-ID: <%FOLDER%>\r\n\r\n"})
		time.Sleep(3 * tourEvery)
		synctest.Wait()
		if got := h.mails(t); len(got) != 50 {
			t.Errorf("%d of 50 folders rang", len(got))
		}
		if n := most.Load(); n > 4*maxStatus {
			t.Errorf("%d STATUS between two waits", n)
		}
	})
}

func TestASessionThatItsProviderWouldCutIsRenewedBeforeAndMissesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account := scriptedAccount
		account.Host, account.Security = "imap.gmail.com", registry.Plain
		h := newHouse(t, account)
		s := &server{script: &imaptest.Script{}}
		w := &world{servers: map[string]*server{"imap.gmail.com:993": s}}
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(time.Minute)
		var want []string
		for n := range 3 * 24 {
			time.Sleep(time.Hour)
			want = append(want, fmt.Sprint("mail ", n))
			s.script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: time.Now()})
		}
		synctest.Wait()
		stop()
		w.serving.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, want) {
			t.Errorf("rang %q", got)
		}
		for i := range s.dials[1:] {
			if lived := s.dials[i+1].Sub(s.dials[i]); lived > 24*time.Hour || lived < 20*time.Hour {
				t.Errorf("a session lived %v", lived)
			}
		}
		if len(s.dials) < 4 || strings.Contains(h.logged.String(), "will be tried again") {
			t.Errorf("%d sessions in three days", len(s.dials))
		}
	})
}

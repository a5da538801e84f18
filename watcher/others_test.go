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

// many is an account with INBOX and two other folders; a script shows the same mailbox as each.
func many(t *testing.T) *house {
	a := scriptedAccount
	a.Folders = []string{"INBOX", "One", "Two"}
	h := newHouse(t, a)
	for _, f := range a.Folders {
		_, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: f, At: time.Now(), To: registry.Cursor{UIDValidity: 1000, Next: 1}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestAFolderThatTheServerTellsOfRingsAtOnceAndOneThatItDoesNotTellOfAtTheNextTour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		caps  string
		rings []string // before the tour
	}{
		{"IMAP4rev1 IDLE NOTIFY", []string{"INBOX", "One", "Two"}},
		{"IMAP4rev1 IDLE", []string{"INBOX"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := many(t)
			script := &imaptest.Script{Caps: c.caps, At: func(talk *imaptest.Talk, moment string) {
				if moment == "within DONE" && strings.Contains(c.caps, "NOTIFY") {
					talk.Say("* STATUS One (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 1000)\r\n")
				}
			}}
			defer h.live(t, script)()
			synctest.Wait()
			script.Deliver(imaptest.Message{Header: "Subject: new in %FOLDER%\r\n\r\n"})
			synctest.Wait()
			folders := func() (all []string) {
				for _, n := range h.mails(t) {
					all = append(all, n.Folder)
				}
				slices.Sort(all)
				return all
			}
			if got := folders(); !slices.Equal(got, c.rings) {
				t.Errorf("%s: rang at once in %q, want %q", c.caps, got, c.rings)
			}
			time.Sleep(tourEvery)
			synctest.Wait()
			if got := folders(); !slices.Equal(got, []string{"INBOX", "One", "Two"}) {
				t.Errorf("%s: rang after the tour in %q", c.caps, got)
			}
		})
	}
}

func TestASTATUSThatNeverAgreesWithTheFolderMakesNoSessionBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := many(t)
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
		if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.State != registry.Watching {
			t.Errorf("the account is %+v, %v", a.Status, err)
		}
	})
}

func TestAServerThatRefusesNOTIFYIsWatchedAllTheSame(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"NO", "BAD"} {
		synctest.Test(t, func(t *testing.T) {
			h := many(t)
			script := &imaptest.Script{Caps: "IMAP4rev1 IDLE NOTIFY", On: map[string]func(*imaptest.Talk, string){
				"NOTIFY": func(talk *imaptest.Talk, _ string) {
					talk.Say("%s", fmt.Sprintf("%s %s not here\r\n", talk.Tag, answer))
				}}}
			defer h.live(t, script)()
			synctest.Wait()
			script.Deliver(imaptest.Message{})
			synctest.Wait()
			if got := h.mails(t); len(got) != 1 {
				t.Errorf("%s: %d mails rang", answer, len(got))
			}
		})
	}
}

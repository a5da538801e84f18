package watcher

import (
	"context"
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

func TestAFolderThatCannotBeSearchedKeepsNoMailOfINBOXFromRinging(t *testing.T) {
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
				h := newHouse(t, account)
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
					t.Errorf("in %d sessions %q rang", sessions, got)
				}
			})
		})
	}
}

func TestFlagsThatNobodyCanReadEndNoSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		script := &imaptest.Script{At: func(talk *imaptest.Talk, moment string) {
			if moment == "within EXAMINE" {
				talk.Say("* FLAGS (\\Seen [odd] NonJunk )\r\n")
			}
		}}
		defer h.live(t, script)()
		time.Sleep(2 * usualInterval)
		script.Deliver(imaptest.Message{Header: "Subject: new\r\n\r\n"})
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"new"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestMailThatDoesNotRingSlowsNoneDownThatDoes(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]imaptest.Message{"junk": {Flags: "$Junk"}, "news without a mail": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, scriptedAccount)
				h.from(t, 1)
				var deleted atomic.Int32
				script := &imaptest.Script{At: func(talk *imaptest.Talk, moment string) {
					// As Gmail tells of a mail that is taken away.
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
				script.Deliver(imaptest.Message{Header: "Subject: rings\r\n\r\n"})
				synctest.Wait()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"rings"}) {
					t.Errorf("rang %q at once", got)
				}
			})
		})
	}
}

func TestAServerThatIsBusyIsLeftAloneAndItsMailDoesNotRingBlind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		fetches, limited := 0, true
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if fetches++; limited {
				talk.Say("%s NO [LIMIT] slow down\r\n", talk.Tag)
				return
			}
			talk.Answer("UID FETCH", args)
		}}}
		for uid := range uint32(10) {
			script.Messages = append(script.Messages, imaptest.Message{UID: uid + 1, Header: fmt.Sprintf("Subject: %d\r\n\r\n", uid+1)})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s, end, err := h.scripted(ctx, t, script, new(failures))
		if err != nil {
			t.Fatal(err)
		}
		err = s.run(ctx)
		end()
		if f := diagnose(&h.account, err); fetches != 1 || f.Code != "too_many_connections" || f.minWait == 0 {
			t.Errorf("after %d FETCHes: %+v", fetches, f)
		}
		limited = false
		h.sessions(t, script, 1, time.Hour)
		if got := h.mails(t); len(got) != 10 || slices.Contains(subjects(got), "") {
			t.Errorf("rang %q", subjects(got))
		}
	})
}

func TestAMailThatIsRefusedEndsNoSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if strings.HasPrefix(args, "1") {
				talk.Say("%s NO [SERVERBUG] cannot\r\n", talk.Tag)
				return
			}
			talk.Answer("UID FETCH", args)
		}}, Messages: []imaptest.Message{{UID: 1, Header: subject("refused")}, {UID: 2, Header: subject("two")}}}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"two"}) {
			t.Errorf("at once %q rang", got)
		}
		// It is retried after about 1, 4 and 15 s, and then notified without content.
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if got := subjects(h.mails(t)); len(got) != 1 {
			t.Errorf("after 19 s %q rang", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"two", ""}) {
			t.Errorf("in one session %q rang", got)
		}
	})
}

func TestAConnectionThatIsLostOverAMailOnceCostsNoWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		first := true
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if first {
				first = false
				talk.Close()
				return
			}
			talk.Answer("UID FETCH", args)
		}}, Messages: []imaptest.Message{{UID: 1, Header: subject("one")}, {UID: 2, Header: subject("two")}}}
		h.sessions(t, script, 2, time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestAFlagToldDuringAFetchIsNotTakenForTheMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		first := true
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: "Subject: whole\r\n\r\n"}}}
		script.At = func(talk *imaptest.Talk, moment string) {
			if moment == "before UID FETCH" && first {
				first = false
				talk.Say("* 1 FETCH (UID 1 FLAGS (\\Recent))\r\n")
			}
		}
		script.Messages = append(script.Messages, imaptest.Message{UID: 2, Header: "Subject: other\r\n\r\n"})
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"whole", "other"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestAnyNumberOfMailsAndAnyJumpOfUIDsIsGoneThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1_000_000_000)
		// More than one SEARCH may answer with, which are all gone when they are fetched, and one
		// far behind them.
		const many, last = 30_000, "4000000000"
		script := &imaptest.Script{}
		for n := range uint32(many) {
			script.Messages = append(script.Messages, imaptest.Message{UID: 1_000_000_000 + n})
		}
		script.Messages = append(script.Messages, imaptest.Message{UID: 4_000_000_000, Header: "Subject: last\r\n\r\n"})
		searches, gone := 0, false
		script.On = map[string]func(*imaptest.Talk, string){
			"UID FETCH": func(talk *imaptest.Talk, args string) {
				if strings.HasPrefix(args, last) {
					talk.Answer("UID FETCH", args)
					return
				}
				gone = true
				talk.OK("nothing there")
			},
			"UID SEARCH": func(talk *imaptest.Talk, args string) {
				if gone { // asked for those that FETCH did not show
					gone = false
					talk.Say("* SEARCH\r\n")
					talk.OK("nothing there")
					return
				}
				searches++
				talk.Answer("UID SEARCH", args)
			}}
		h.sessions(t, script, 1, usualInterval/2)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"last"}) || searches > 60 {
			t.Errorf("after %d searches %q rang", searches, got)
		}
	})
}

func TestAServerThatRefusesTheIDLEItAnnouncesIsShownAsPolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		script := &imaptest.Script{}
		imaptest.Hostile["idle-no"](script)
		defer h.live(t, script)()
		synctest.Wait()
		first, err := h.store.Accounts.Get(h.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * pollInterval)
		synctest.Wait()
		last, err := h.store.Accounts.Get(h.account.ID)
		if err != nil || last.Status.State != registry.Polling || !last.Status.Since.Equal(first.Status.Since) {
			t.Errorf("the status was %+v and is %+v, %v", first.Status, last.Status, err)
		}
	})
}

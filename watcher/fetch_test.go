package watcher

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	t.Run("a message that cannot be fetched is notified without content, and holds up no other", unfetchableMessage)
	t.Run("a message whose flags are reported first is notified with its content", flagsBeforeFetch)
	t.Run("flags reported during a FETCH are not taken for the message", flagsDuringFetch)
	t.Run("a date that cannot be read costs no message its content", unreadableDate)
	t.Run("flags that cannot be read end no session", unreadableFlags)
	t.Run("a busy server is left alone, and its mail is notified with content", busyServer)
	t.Run("a refused message ends no session", refusedMessage)
	t.Run("a connection lost once over a message costs no content", lostOnceOverMessage)
	t.Run("a FETCH that meets an EXPUNGE goes on with the rest", fetchMeetsExpunge)
	t.Run("any number of messages and any jump of UIDs is gone through", anyNumberOfMessages)
}

func flagsBeforeFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("notified %q", got)
		}
	})
}

func unreadableDate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("notified %q", got)
		}
	})
}

func unreadableFlags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("notified %q", got)
		}
	})
}

func busyServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("notified %q", subjects(got))
		}
	})
}

func refusedMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("at once %q were notified", got)
		}
		// It is retried after about 1, 4 and 15 s, and then notified without content.
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if got := subjects(h.mails(t)); len(got) != 1 {
			t.Errorf("after 19 s %q were notified", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"two", ""}) {
			t.Errorf("in one session %q were notified", got)
		}
	})
}

func lostOnceOverMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("notified %q", got)
		}
	})
}

func flagsDuringFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("notified %q", got)
		}
	})
}

func anyNumberOfMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
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
			t.Errorf("after %d searches %q were notified", searches, got)
		}
	})
}

func fetchMeetsExpunge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("one")}, {UID: 2, Header: subject("two")}, {UID: 3, Header: subject("three")}}}
		issued := false
		script.On = map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if !issued {
				issued = true
				script.Remove(2)
				talk.Say("%s NO [EXPUNGEISSUED] some are gone\r\n", talk.Tag)
				return
			}
			talk.Answer("UID FETCH", args)
		}}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"one", "three"}) {
			t.Errorf("notified %q", got)
		}
	})
}

func unfetchableMessage(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(imaptest.Hostile)) {
		if !strings.HasPrefix(name, "malformed-fetch-") && !slices.Contains([]string{"fetch-no", "fetch-other", "fetch-empty", "open-quote", "closed-list",
			"open-list", "silent-uid-fetch", "half-literal", "overflowing-literal", "bye-uid-fetch", "close-uid-fetch"}, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.from(t, 1)
				script := &imaptest.Script{}
				imaptest.Hostile[name](script)
				script.Messages = []imaptest.Message{{UID: 1}, {UID: 2, Header: "Subject: two\r\n\r\n"}, {UID: 3, Header: "Subject: three\r\n\r\n"}}
				broken := script.On["UID FETCH"]
				script.On["UID FETCH"] = func(talk *imaptest.Talk, args string) {
					if set, _, _ := strings.Cut(args, " "); strings.HasPrefix(set, "1") {
						broken(talk, args)
						return
					}
					talk.Answer("UID FETCH", args)
				}
				h.sessions(t, script, 8, 3*time.Minute)
				got := subjects(h.mails(t))
				slices.Sort(got)
				if !slices.Equal(got, []string{"", "three", "two"}) {
					t.Fatalf("notified %q", got)
				}
			})
		})
	}
}

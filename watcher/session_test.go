package watcher

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

var scriptedAccount = registry.Account{Host: "mail.example.org", Port: 993, Security: registry.TLS, Username: "anna", Password: "planted-password"}

// from sets the folder's cursor, as an earlier run has left it.
func (h *house) from(t testing.TB, next uint32) {
	t.Helper()
	_, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "INBOX", At: time.Now(),
		To: registry.Cursor{UIDValidity: 1000, Next: next}})
	if err != nil {
		t.Fatal(err)
	}
}

// live runs a session against the script until the test's bubble is left, and returns how to end
// it.
func (h *house) live(t *testing.T, script *imaptest.Script) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, end, err := h.scripted(ctx, t, script, new(failures))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	return func() {
		cancel()
		running.Wait()
		end()
	}
}

func subjects(list []registry.Notification) (all []string) {
	for _, n := range list {
		all = append(all, n.Content.Subject)
	}
	return all
}

func TestTheFirstSightOfAFolderRingsNothingAndTheNextMailDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}, {UID: 2}, {UID: 3}}}
		stop := h.live(t, script)
		defer stop()
		synctest.Wait()
		if got := h.mails(t); len(got) != 0 {
			t.Fatalf("%d old mails rang", len(got))
		}
		began := time.Now()
		script.Deliver(imaptest.Message{Header: "Subject: new\r\n\r\n"})
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"new"}) {
			t.Fatalf("rang %q", got)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it rang after %v", waited)
		}
	})
}

func TestMailAnnouncedAtAnyMomentRings(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"before EXAMINE", "within EXAMINE", "after EXAMINE", "before UID SEARCH", "within UID SEARCH", "after UID SEARCH",
		"before UID FETCH", "within UID FETCH", "after UID FETCH", "before IDLE", "within IDLE", "within DONE", "after DONE"} {
		t.Run(moment, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, scriptedAccount)
				h.from(t, 1)
				said := false
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: "Subject: first\r\n\r\n"}}}
				script.At = func(talk *imaptest.Talk, at string) {
					if at == moment && !said {
						said = true
						talk.Deliver(imaptest.Message{Header: "Subject: second\r\n\r\n"})
					}
				}
				stop := h.live(t, script)
				defer stop()
				// DONE is sent at the refresh at the latest.
				time.Sleep(usualInterval)
				synctest.Wait()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"first", "second"}) || !said {
					t.Errorf("rang %q", got)
				}
			})
		})
	}
}

func TestWhatAPersonOrAFilterHasDealtWithDoesNotRing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{}
		for _, flags := range []string{`\Seen`, `\Deleted`, `\Draft`, "$Junk", "Junk", `\Flagged \Recent`, `\Answered $NotJunk`, ""} {
			script.Messages = append(script.Messages, imaptest.Message{UID: uint32(len(script.Messages) + 1), Flags: flags, Header: "Subject: " + flags + ".\r\n\r\n"})
		}
		defer h.live(t, script)()
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{`\Flagged \Recent.`, `\Answered $NotJunk.`, "."}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestAServerWithoutIDLEIsPolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{Caps: "IMAP4rev1"}
		defer h.live(t, script)()
		synctest.Wait()
		script.Deliver(imaptest.Message{})
		time.Sleep(pollInterval)
		synctest.Wait()
		if got := h.mails(t); len(got) != 1 {
			t.Errorf("%d mails rang", len(got))
		}
		if a, _ := h.store.Accounts.Get(h.account.ID); a.Status.State != registry.Polling {
			t.Errorf("the account is %s", a.Status.State)
		}
	})
}

func TestAServerThatKeepsMailToItselfIsAskedAtEveryRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		h.from(t, 1)
		script := &imaptest.Script{}
		imaptest.Hostile["idle-talks"](script)
		defer h.live(t, script)()
		synctest.Wait()
		script.Deliver(imaptest.Message{})
		time.Sleep(usualInterval)
		synctest.Wait()
		if got := h.mails(t); len(got) != 1 {
			t.Errorf("%d mails rang", len(got))
		}
	})
}

// sessions runs sessions against the script, one after the other as they end, for at most a
// simulated time and count.
func (h *house) sessions(t *testing.T, script *imaptest.Script, atMost int, each time.Duration) (count int) {
	return h.sessionsWith(t, new(failures), script, atMost, each)
}

// sessionsWith is sessions with the failures of earlier ones.
func (h *house) sessionsWith(t *testing.T, known *failures, script *imaptest.Script, atMost int, each time.Duration) (count int) {
	for ; count < atMost; count++ {
		ctx, cancel := context.WithTimeout(t.Context(), each)
		s, end, err := h.scripted(ctx, t, script, known)
		if err == nil {
			s.run(ctx)
		}
		timedOut := ctx.Err() != nil
		cancel()
		end()
		if timedOut {
			return count + 1
		}
	}
	return count
}

func TestAMailThatCannotBeFetchedRingsBlindAndKeepsNoOtherFromRinging(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(imaptest.Hostile)) {
		if !strings.HasPrefix(name, "malformed-fetch-") && !slices.Contains([]string{"fetch-no", "fetch-other", "fetch-empty", "open-quote", "closed-list",
			"open-list", "silent-uid-fetch", "half-literal", "overflowing-literal", "bye-uid-fetch", "close-uid-fetch"}, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, scriptedAccount)
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
					t.Fatalf("rang %q", got)
				}
			})
		})
	}
}

func TestASearchAnswerThatIsNoListOfUIDsEndsOnlyTheSession(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"* SEARCH 0", "* SEARCH 4294967295 0 1"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, scriptedAccount)
			h.from(t, 1)
			script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID SEARCH": func(talk *imaptest.Talk, _ string) {
				talk.Say("%s\r\n", answer)
				talk.OK("done")
			}}}
			if n := h.sessions(t, script, 1, time.Hour); n != 1 || len(h.mails(t)) != 0 {
				t.Errorf("%q rang %d mails", answer, len(h.mails(t)))
			}
		})
	}
}

func TestNoServerMakesASessionBusyOrEndsTheProcess(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(imaptest.Hostile)) {
		if strings.HasPrefix(name, "flood-") && !strings.HasSuffix(name, "-idling") {
			continue // the wire ends these, and its tests show it
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, scriptedAccount)
				h.from(t, 1)
				script := &imaptest.Script{}
				imaptest.Hostile[name](script)
				var searches atomic.Int32
				at := script.At
				script.At = func(talk *imaptest.Talk, moment string) {
					if moment == "before UID SEARCH" {
						searches.Add(1)
					}
					if at != nil {
						at(talk, moment)
					}
				}
				began := time.Now()
				h.sessions(t, script, 2, time.Hour)
				hours := max(time.Since(began).Hours(), 0.05)
				if busy := float64(searches.Load()) / hours; busy > 240 {
					t.Errorf("%.0f searches an hour", busy)
				}
			})
		})
	}
}

package watcher

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
	"idlepush/watcher/wire"
)

func TestFailuresRenumbered(t *testing.T) {
	t.Parallel()
	t.Run("a message that has the UID of one that failed is fetched", uidOfOneThatFailed)
	t.Run("a message that ends sessions holds up no other though the UIDVALIDITY changes", uidValidityChanges)
}

func TestFetchFailures(t *testing.T) {
	t.Parallel()
	one, two := messageID{"INBOX", 7, 1}, messageID{"INBOX", 7, 2}
	lost, broken := errors.New("connection lost"), error(&wire.ProtocolError{What: "an open quote"})
	for _, c := range []struct {
		name        string
		failures    func(l *fetchFailures)
		singly      []messageID
		unavailable []messageID
	}{
		{"one lost session", func(l *fetchFailures) { l.record([]messageID{one}, lost) }, []messageID{one}, nil},
		{"three lost sessions", func(l *fetchFailures) {
			for range 3 {
				l.record([]messageID{one}, lost)
			}
		}, []messageID{one}, []messageID{one}},
		{"an answer that breaks the protocol", func(l *fetchFailures) { l.record([]messageID{one}, broken) }, []messageID{one}, []messageID{one}},
		{"any of several", func(l *fetchFailures) {
			for range 3 {
				l.record([]messageID{one, two}, broken)
			}
		}, []messageID{one, two}, nil},
		{"forgotten", func(l *fetchFailures) {
			l.record([]messageID{one}, broken)
			l.forget([]messageID{one})
		}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l fetchFailures
			c.failures(&l)
			for _, id := range []messageID{one, two, {"INBOX", 8, 1}, {"Work", 7, 1}} {
				if got := l.singly(id); got != slices.Contains(c.singly, id) {
					t.Errorf("%v is fetched alone: %v", id, got)
				}
				if got := l.contentUnavailable(id); got != slices.Contains(c.unavailable, id) {
					t.Errorf("the content of %v is unavailable: %v", id, got)
				}
			}
		})
	}
}

func TestSkippedFolders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l skippedFolders
		lost := errors.New("connection lost")
		for i := range 3 {
			if l.skipped("Work", time.Now()) {
				t.Fatalf("skipped after %d sessions", i)
			}
			l.record("Work", lost)
		}
		for range 2 {
			if !l.skipped("Work", time.Now()) || l.skipped("INBOX", time.Now()) {
				t.Fatal("after three sessions the folder is not skipped, or another one is")
			}
			time.Sleep(skipFor)
			if l.skipped("Work", time.Now()) {
				t.Fatal("it is not tried again after an hour")
			}
			l.record("Work", lost)
		}
		time.Sleep(skipFor)
		l.forget("Work")
		l.record("Work", lost)
		if l.skipped("Work", time.Now()) {
			t.Error("it is skipped after one session that ended and one that did not")
		}
	})
}

func uidOfOneThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		lost := 0 // FETCHes that are still to end their session
		script := &imaptest.Script{UIDValidity: 1000, Messages: []imaptest.Message{{UID: 1, Header: subject("old"), Date: time.Now()}},
			On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
				if lost--; lost >= 0 {
					talk.Close()
					return
				}
				talk.Answer("UID FETCH", args)
			}}}
		known := new(failures)
		lost = maxLostSessions - 1
		h.sessionsWith(t, known, script, maxLostSessions-1, time.Minute)
		script.Renumber()
		script.Messages[0].Header = subject("new")
		lost = 1
		h.sessionsWith(t, known, script, 2, time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"new"}) {
			t.Errorf("notified %q", got)
		}
		if len(known.messages) != 0 {
			t.Errorf("%d failures are left", len(known.messages))
		}
	})
}

// Some servers change the UIDVALIDITY with each session.
func uidValidityChanges(t *testing.T) {
	t.Parallel()
	closed := func(talk *imaptest.Talk) { talk.Close() }
	for _, c := range []struct {
		name   string
		header string // of the first message
		fits   func(args string) bool
		fails  func(*imaptest.Talk)
	}{
		{"its FETCH ends the session", subject("one"), func(args string) bool { return strings.HasPrefix(args, "1") }, closed},
		{"its FETCH is refused", subject("one"), func(args string) bool { return strings.HasPrefix(args, "1") },
			func(talk *imaptest.Talk) { talk.Say("%s NO [LIMIT] slow down\r\n", talk.Tag) }},
		{"the FETCH of its whole header ends the session", "\r\n", func(args string) bool { return strings.Contains(args, "BODY.PEEK[HEADER]") }, closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.from(t, 1)
				script := &imaptest.Script{UIDValidity: 1000, Messages: []imaptest.Message{{UID: 1, Header: c.header}, {UID: 2, Header: subject("two")}},
					On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
						if c.fits(args) {
							c.fails(talk)
							return
						}
						talk.Answer("UID FETCH", args)
					}}}
				known := new(failures)
				for range 8 {
					h.sessionsWith(t, known, script, 1, time.Minute)
					script.Renumber()
				}
				if got := subjects(h.mails(t)); !slices.Contains(got, "two") {
					t.Errorf("notified %q", got)
				}
			})
		})
	}
}

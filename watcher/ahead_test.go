package watcher

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

func TestAhead(t *testing.T) {
	t.Parallel()
	t.Run("mail that IDLE announces is recorded before anything is searched for", recordedBeforeSearch)
	t.Run("a server that drops what comes with DONE loses no mail, and is sent it no more", droppedWithDone)
	t.Run("mail that is not sent with the end of IDLE is found by the look", foundByLook)
}

// newMail delivers mails one by one, and returns what the server was asked between each and its
// record.
func newMail(t *testing.T, script *imaptest.Script, count int) (asked []string, h *harness, end func()) {
	t.Helper()
	h = newHarness(t, scriptedAccount)
	h.from(t, 1)
	h.trustIdle(t)
	var list []string
	at := script.At
	script.At = func(talk *imaptest.Talk, moment string) {
		if name, ok := strings.CutPrefix(moment, "before "); ok {
			list = append(list, fmt.Sprint(name, " ", len(h.mails(t))))
		}
		if at != nil {
			at(talk, moment)
		}
	}
	end = h.live(t, script)
	synctest.Wait()
	list = nil
	for n := range count {
		script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n))})
		time.Sleep(time.Minute)
		synctest.Wait()
	}
	return list, h, end
}

func recordedBeforeSearch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, h, end := newMail(t, &imaptest.Script{}, 2)
		defer end()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"mail 0", "mail 1"}) {
			t.Errorf("notified %q", got)
		}
		want := []string{"UID FETCH 0", "UID SEARCH 1", "STATUS 1", "IDLE 1", "UID FETCH 1", "UID SEARCH 2", "STATUS 2", "IDLE 2"}
		if !slices.Equal(asked, want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
	})
}

func droppedWithDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var drops atomic.Int32
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if strings.Contains(args, ":*") {
				drops.Add(1)
				return
			}
			talk.Answer("UID FETCH", args)
		}}}
		_, h, end := newMail(t, script, 3)
		defer end()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"mail 0", "mail 1", "mail 2"}) {
			t.Errorf("notified %q", got)
		}
		if n := drops.Load(); n != 1 {
			t.Errorf("it was sent %d commands with DONE", n)
		}
		if strings.Contains(h.logged.String(), "session ended") {
			t.Error("a session ended over it")
		}
	})
}

func foundByLook(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"refused": "%s NO not now\r\n", "left out": "%s OK done\r\n", "without content": "* 1 FETCH (UID 1 FLAGS ())\r\n%s OK done\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
					if strings.Contains(args, ":*") {
						talk.Say(answer, talk.Tag)
						return
					}
					talk.Answer("UID FETCH", args)
				}}}
				_, h, end := newMail(t, script, 3)
				defer end()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"mail 0", "mail 1", "mail 2"}) {
					t.Errorf("notified %q", got)
				}
			})
		})
	}
}

package watcher

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	t.Run("news uses up no retries of a message", newsDuringRetries)
	t.Run("mail that was dealt with is not notified though its content is unavailable", dealtWithMeanwhile)
	t.Run("a message to be retried keeps no folder from being skipped", retryInSkippedFolder)
	t.Run("a message that was not sent is not gone because of an answer without meaning", emptySearchAnswer)
	t.Run("a message sent at the second try is no sign that IDLE reports nothing", sentAtSecondTry)
}

func newsDuringRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		h.from(t, 1)
		began := time.Now()
		var tries []time.Duration
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("late")}}}
		instead("UID FETCH", func(talk *imaptest.Talk, args string) {
			if strings.HasPrefix(args, "1 ") {
				tries = append(tries, time.Since(began))
				if time.Since(began) < 18*time.Second {
					say(talk, "TAG NO [SERVERBUG] cannot\r\n")
					return
				}
			}
			talk.Answer("UID FETCH", args)
		})(t, script)
		defer h.live(t, script)()
		var want []string
		for n := range 25 {
			time.Sleep(700 * time.Millisecond)
			want = append(want, fmt.Sprint("news ", n))
			script.Deliver(imaptest.Message{Header: subject(want[n])})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, append(want, "late")) {
			t.Errorf("notified %q", got)
		}
		if due := []time.Duration{0, time.Second, 5 * time.Second, 20 * time.Second}; !slices.Equal(tries, due) {
			t.Errorf("it was fetched after %v, want %v", tries, due)
		}
	})
}

func dealtWithMeanwhile(t *testing.T) {
	t.Parallel()
	content := regexp.MustCompile(`(?s) BODY\[HEADER.*?\r\n\r\n BODY\[TEXT\]<0> \{0\}\r\n`)
	for _, end := range []string{"OK", "NO"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, scriptedAccount)
			h.from(t, 1)
			script := &imaptest.Script{}
			instead("UID FETCH", func(talk *imaptest.Talk, args string) {
				answer := content.ReplaceAllString(talk.Usual("UID FETCH", args), "")
				talk.Say("%s", strings.Replace(answer, " OK ", " "+end+" ", 1))
			})(t, script)
			defer h.live(t, script)()
			for _, flags := range []string{"", `\Seen`, "$Junk", ""} {
				script.Deliver(imaptest.Message{Flags: flags})
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			if got := subjects(h.mails(t)); !slices.Equal(got, []string{"", ""}) {
				t.Errorf("after %s %q were notified", end, got)
			}
			// Those between were no sign that mail can be read.
			if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.Code != "mail_unreadable" {
				t.Errorf("after %s the account is %+v, %v", end, a.Status, err)
			}
		})
	}
}

func retryInSkippedFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX", "B", "C")
		broken := false
		s.refuse = func(folder, command, _ string) string {
			switch {
			case folder == "B" && command == "UID FETCH":
				broken = true
				return "TAG NO [SERVERBUG] cannot\r\n"
			case folder == "B" && command == "UID SEARCH" && broken:
				return "* BYE internal error\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX", "B", "C")
		defer stop()
		s.deliver("B", subject("cannot be had"), time.Now())
		time.Sleep(20 * time.Minute)
		logins := s.asked("LOGIN")
		s.deliver("C", subject("can be had"), time.Now())
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"can be had"}) {
			t.Errorf("notified %q", got)
		}
		if n := s.asked("LOGIN") - logins; n > 4 {
			t.Errorf("%d logins in half an hour", n)
		}
	})
}

// The session asks by SEARCH whether the mail is still there.
func emptySearchAnswer(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"* SEARCH 4294967295\r\nTAG OK done\r\n", "TAG NO cannot\r\n", "* BYE internal error\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("one")}}}
			answers("UID FETCH", "TAG OK done\r\n")(t, script)
			instead("UID SEARCH", func(talk *imaptest.Talk, args string) {
				if args != "UID 1" {
					talk.Answer("UID SEARCH", args)
					return
				}
				say(talk, answer)
				if strings.Contains(answer, "BYE") {
					talk.Close()
				}
			})(t, script)
			h, dialer, w := harnessAt(t, script, "INBOX")
			h.from(t, 1)
			_, stop := h.watch(t, dialer)
			defer w.serving.Wait()
			defer stop()
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			if got := subjects(h.mails(t)); !slices.Equal(got, []string{""}) {
				t.Errorf("after %q %q were notified", answer, got)
			}
		})
	}
}

func sentAtSecondTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{}
		refuse := true
		instead("UID FETCH", func(talk *imaptest.Talk, args string) {
			if refuse = !refuse; !refuse {
				say(talk, "TAG NO [SERVERBUG] cannot\r\n")
				return
			}
			talk.Answer("UID FETCH", args)
		})(t, script)
		h, dialer, w := harnessAt(t, script, "INBOX")
		_, stop := h.watch(t, dialer)
		defer w.serving.Wait()
		defer stop()
		for n := range 10 {
			time.Sleep(time.Minute)
			// The server's clock is behind.
			script.Deliver(imaptest.Message{Header: subject(fmt.Sprint(n)), Date: time.Now().Add(-5 * time.Minute)})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := h.mails(t); len(got) != 10 || h.code(t) != "" {
			t.Errorf("%d were notified, and the status is %q", len(got), h.code(t))
		}
	})
}

package watcher

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

// oddity is one way in which a server strays from the protocol, or from what most servers do.
// Each was met at a server in use. The test fails if there was no occasion for it.
type oddity func(*testing.T, *imaptest.Script)

// strays returns a function for the server to call when it strays.
func strays(t *testing.T) func() {
	var did atomic.Bool
	t.Cleanup(func() {
		if !did.Load() {
			t.Error("the server did nothing odd")
		}
	})
	return func() { did.Store(true) }
}

// instead answers a command in another way.
func instead(command string, answer func(talk *imaptest.Talk, args string)) oddity {
	return func(t *testing.T, s *imaptest.Script) {
		odd := strays(t)
		if s.On == nil {
			s.On = make(map[string]func(*imaptest.Talk, string))
		}
		s.On[command] = func(talk *imaptest.Talk, args string) {
			odd()
			answer(talk, args)
		}
	}
}

// say sends text, in which TAG stands for the tag.
func say(talk *imaptest.Talk, text string) {
	talk.Say("%s", strings.ReplaceAll(text, "TAG", talk.Tag))
}

// answers sends text instead of the answer to a command.
func answers(command, text string) oddity {
	return instead(command, func(talk *imaptest.Talk, _ string) { say(talk, text) })
}

// answersSome sends text instead of the answer to those commands whose arguments fit.
func answersSome(command string, fits func(args string) bool, text string) oddity {
	return instead(command, func(talk *imaptest.Talk, args string) {
		if fits(args) {
			say(talk, text)
			return
		}
		talk.Answer(command, args)
	})
}

// first fits the given number of times.
func first(times int32) func(string) bool {
	var asked atomic.Int32
	return func(string) bool { return asked.Add(1) <= times }
}

// soon fits until wait has passed since the first time.
func soon(wait time.Duration) func(string) bool {
	began := sync.OnceValue(time.Now)
	return func(string) bool { return time.Since(began()) < wait }
}

func holding(word string) func(string) bool {
	return func(args string) bool { return strings.Contains(args, word) }
}

// edited changes what the pattern finds in the usual answer to a command, tagged line and all.
func edited(command, pattern, to string) oddity {
	return func(t *testing.T, s *imaptest.Script) {
		odd := strays(t)
		found := regexp.MustCompile(pattern)
		instead(command, func(talk *imaptest.Talk, args string) {
			usual := talk.Usual(command, args)
			answer := found.ReplaceAllString(usual, to)
			if answer != usual {
				odd()
			}
			talk.Say("%s", answer)
		})(t, s)
	}
}

// interjects sends text at a moment of Script.At.
func interjects(at, text string) oddity {
	return func(t *testing.T, s *imaptest.Script) {
		odd := strays(t)
		s.At = func(talk *imaptest.Talk, moment string) {
			if moment == at {
				odd()
				say(talk, text)
			}
		}
	}
}

func announces(caps string) oddity {
	return func(_ *testing.T, s *imaptest.Script) { s.Caps = caps }
}

// lists answers LIST with these lines, each behind "* LIST ".
func lists(lines ...string) oddity {
	return answers("LIST", "* LIST "+strings.Join(lines, "\r\n* LIST ")+"\r\nTAG OK done\r\n")
}

func all(odd ...oddity) oddity {
	return func(t *testing.T, s *imaptest.Script) {
		for _, o := range odd {
			o(t, s)
		}
	}
}

// letter is the new message at an odd server. A script shows it in every folder.
var letter = imaptest.Message{Header: "From: Ada Lovelace <ada@example.org>\r\nSubject: tea at five\r\nMessage-ID: <%FOLDER%@example.org>\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n\r\n", Text: "Bring the engine.\r\n"}

// letterContent is the content of letter.
var letterContent = idlepush.Content{From: "Ada Lovelace", Subject: "tea at five", Preview: "Bring the engine."}

// oddServer is an odd server, and what it must notify of a new message.
type oddServer struct {
	odd    oddity
	mail   imaptest.Message // its header and text; none: those of letter
	want   idlepush.Content // From, Subject and Preview; zero: letterContent
	folder string           // watched beside INBOX; empty: none
	within time.Duration    // zero: it is notified at once
}

// harnessAt returns a harness with an account at a server that plays the script, and the way there.
func harnessAt(t *testing.T, script *imaptest.Script, folders ...string) (*harness, Dialer, *memoryNet) {
	t.Helper()
	a := scriptedAccount
	a.Security, a.Folders = idlepush.SecurityPlain, folders
	w := &memoryNet{servers: map[string]*server{"mail.example.org:993": {script: script}}}
	return newHarness(t, a), Dialer{Permit: permitAll, Dial: w.dial}, w
}

// run adds the account, waits until it is watched, and delivers. In each folder the new mail
// alone must be notified, once, in time and with its content, and the account's status must have no
// complaint.
func (r oddServer) run(t *testing.T) {
	script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("old"), Date: time.Now().AddDate(0, 0, -7)}}}
	folders := []string{"INBOX"}
	if r.odd != nil {
		r.odd(t, script)
	}
	if r.folder != "" {
		folders = append(folders, r.folder)
		if script.On["LIST"] == nil {
			lists(`() "/" INBOX`, fmt.Sprintf(`() "/" %q`, r.folder))(t, script)
		}
	}
	h, dialer, w := harnessAt(t, script, folders...)
	if _, err := dialer.Check(t.Context(), h.account); err != nil {
		t.Fatalf("it is not added: %v", err)
	}
	_, stop := h.watch(t, dialer)
	defer w.serving.Wait()
	defer stop()
	time.Sleep(time.Minute)
	synctest.Wait()
	if got := h.mails(t); len(got) > 0 {
		t.Errorf("before there is a new mail %q were notified", subjects(got))
	}
	began := time.Now()
	r.mail.Header, r.mail.Text = cmp.Or(r.mail.Header, letter.Header), cmp.Or(r.mail.Text, letter.Text)
	script.Deliver(r.mail)
	time.Sleep(2*usualInterval + time.Minute) // the folder is opened anew meanwhile
	synctest.Wait()

	var notified []string
	for _, n := range h.mails(t) {
		notified = append(notified, n.Folder)
		got, want := n.Content, cmp.Or(r.want, letterContent)
		if got.From != want.From || got.Subject != want.Subject || got.Preview != want.Preview {
			t.Errorf("%s was notified with %q, %q, %q", n.Folder, got.From, got.Subject, got.Preview)
		}
		if late := n.At.Sub(began); late > r.within {
			t.Errorf("%s was notified after %v", n.Folder, late)
		}
		if !n.Cleared.IsZero() {
			t.Errorf("%s was cleared", n.Folder)
		}
	}
	if !slices.Equal(notified, folders) {
		t.Errorf("it was notified in %q, want %q", notified, folders)
	}
	if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.Code != "" {
		t.Errorf("the account is %+v, %v", a.Status, err)
	}
}

// testOddServers runs each server in a bubble of its own.
func testOddServers(t *testing.T, servers map[string]oddServer) {
	t.Helper()
	t.Parallel()
	for name, r := range servers {
		t.Run(name, func(t *testing.T) { synctest.Test(t, r.run) })
	}
}

package watcher

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/imaptest/servers"
)

func TestRecent(t *testing.T) {
	t.Parallel()
	t.Run("the mail of the last days has its facts at Dovecot, where nothing changes", recentDovecot)
	t.Run("the mail of the last days has its facts at Cyrus", recentCyrus)
	t.Run("what the store knows of a mail is true", recentKnown)
	t.Run("of 10,000 mails the newest 200 are asked for", recentBounded)
	t.Run("a server that answers in an odd way is understood", recentOdd)
	t.Run("a failure says what is wrong, in time", recentFailures)
	t.Run("of copies in several folders one notifies", recentDuplicates)
}

// recentOf returns what Recent finds, as lines of subject, code and folder.
func (h *harness) recentOf(t *testing.T, pool *Pool) (lines []string, mails []ring.Mail) {
	t.Helper()
	a, err := h.store.Accounts.Get(h.account.ID)
	if err != nil {
		t.Fatal(err)
	}
	mails, err = pool.Recent(t.Context(), a)
	if err != nil {
		t.Fatalf("recent mail: %v", err)
	}
	for _, m := range mails {
		lines = append(lines, strings.TrimSpace(strings.Join([]string{m.Facts.Subject, string(m.Code), m.Params["folder"]}, " ")))
	}
	return lines, mails
}

// sentFolder has Dovecot call a folder the one for sent mail.
const sentFolder = "namespace inbox {\n inbox = yes\n mailbox Sent {\n special_use = \\Sent\n auto = create\n }\n}"

func recentDovecot(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t, sentFolder)
	for _, m := range []struct{ folder, from, subject string }{
		{"INBOX", "Ada <ada@example.org>", "one"}, {"INBOX", "Ada <ada@example.org>", "two"}, {"Work", "Ada <ada@example.org>", "two"},
		{"INBOX", "bob@example.org", "spam"}, {"INBOX", "anna@example.org", "note"}, {"Sent", "anna@example.org", "filed"},
	} {
		s.Deliver(t, s.User, m.folder, mail(m.from, m.subject, "Words of "+m.subject))
	}
	s.Deliver(t, s.User, "INBOX", []byte("From: ada@example.org\r\nSubject: plan\r\nMessage-ID: <5@x>\r\n"+withAttachment))
	s.Doveadm(t, s.User, "flags", "add", `\Seen \Deleted`, "mailbox", "INBOX", "subject", "one")
	s.Doveadm(t, s.User, "flags", "add", `$Junk`, "mailbox", "INBOX", "subject", "spam")
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Work", "Sent", "Missing"}
	h := newHarness(t, account)
	pool, _ := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	before := s.Flags(t, s.User, "INBOX")

	lines, mails := h.recentOf(t, pool)
	want := []string{"filed sent", "note", "one", "plan", "spam junk", "two", "two duplicate INBOX"}
	if slices.Sort(lines); !slices.Equal(lines, want) {
		t.Errorf("recent are %q", lines)
	}
	for _, m := range mails {
		first := m.Facts.Subject != "plan" && m.Facts.Subject != "two"
		if facts := m.Facts; facts.From == "" || facts.Size == 0 || len(facts.Thread) == 0 || facts.Words == "" || facts.Attachment != (facts.Subject == "plan") ||
			time.Since(m.At) > time.Hour || facts.Subject == "one" && !facts.First || !first && facts.First {
			t.Errorf("%s: %+v", m.Facts.Subject, m)
		}
	}
	if after := s.Flags(t, s.User, "INBOX"); fmt.Sprint(after) != fmt.Sprint(before) || !strings.Contains(fmt.Sprint(after), "Recent") {
		t.Errorf("flags were %v, and are %v", before, after)
	}
	if live := pool.Live(h.account.ID); live.Connections != 1 {
		t.Errorf("the session has %d connections", live.Connections)
	}
	s.Deliver(t, s.User, "INBOX", mail("bob@example.org", "after", ""))
	h.waitMails(t, 1)
}

func recentCyrus(t *testing.T) {
	t.Parallel()
	s := servers.Cyrus(t)
	s.Deliver(t, s.User, "INBOX", mail("Ada <ada@example.org>", "one", "1"))
	s.Deliver(t, s.User, "INBOX", []byte("From: ada@example.org\r\nSubject: plan\r\nMessage-ID: <5@x>\r\n"+withAttachment))
	h := newHarness(t, accountAt(s.Endpoint, idlepush.SecurityTLS))
	pool, _ := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	lines, mails := h.recentOf(t, pool)
	if !slices.Equal(lines, []string{"one", "plan"}) || mails[0].Facts.From != "ada@example.org" || !mails[1].Facts.Attachment {
		t.Errorf("recent are %q: %+v", lines, mails)
	}
	s.Deliver(t, s.User, "INBOX", mail("bob@example.org", "after", ""))
	h.waitMails(t, 1)
}

// Mail rings, is filed or read, and some was there before. A copy takes no other's place.
func recentKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		message := func(from, words string) imaptest.Message {
			return imaptest.Message{Header: "From: " + from + "\r\n" + subject(words), Text: "Words.\r\n", Date: time.Now()}
		}
		script := &imaptest.Script{Messages: []imaptest.Message{message("ada@example.org", "before"), message("bob@example.org", "before, too")}}
		script.Messages[0].UID, script.Messages[1].UID = 1, 2
		h, pool, _, stop := pooled(t, script)
		defer stop()
		for i, m := range []imaptest.Message{message("ada@example.org", "one"), message("ada@example.org", "two"), message("eve@example.org", "spam"), message("cy@example.org", "read")} {
			time.Sleep(time.Hour)
			m.Flags = []string{"", "", "$Junk", `\Seen`}[i]
			m.Date = time.Now().Add(-10 * time.Minute)
			script.Deliver(m)
		}
		time.Sleep(time.Hour)
		script.Flag(3, `\Seen \Deleted`)
		time.Sleep(time.Hour)
		synctest.Wait()
		lines, mails := h.recentOf(t, pool)
		if want := []string{"before", "before, too", "one", "two", "spam junk", "read seen"}; !slices.Equal(lines, want) {
			t.Fatalf("recent are %q", lines)
		}
		for i, n := range h.all(t) {
			got := mails[i+2]
			if got.Facts.Words != "Words." {
				t.Errorf("%s has the words %q", n.Facts.Subject, got.Facts.Words)
			}
			if got.Facts.Words = ""; !reflect.DeepEqual(got.Facts, n.Facts) || !got.At.Equal(n.At) || got.Code != n.Code {
				t.Errorf("%s: %v %s, and it really was at %v, %s", n.Facts.Subject, got.At, got.Code, n.At, n.Code)
			}
		}
		// Ada's first mail since the mailbox is watched counts as the first, too.
		if !mails[0].Facts.First || !mails[1].Facts.First || !mails[2].Facts.First || mails[3].Facts.First {
			t.Error("the first mail of a sender is another")
		}
	})
}

func recentBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{}
		for n := range 10_000 {
			header := fmt.Sprintf("From: %d@example.org\r\n%s", n, subject(fmt.Sprint(n)))
			script.Messages = append(script.Messages, imaptest.Message{UID: uint32(n + 1), Header: header, Date: time.Now().Add(time.Duration(n-10_000) * time.Minute)})
		}
		var asked []string
		script.On = map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			asked = append(asked, args)
			talk.Answer("UID FETCH", args)
		}}
		h, pool, _, stop := pooled(t, script)
		defer stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		asked = nil
		lines, mails := h.recentOf(t, pool)
		if len(lines) != ring.MaxRecent || lines[0] != "9800" || lines[ring.MaxRecent-1] != "9999" || len(asked) != 1+ring.MaxRecent/batch {
			t.Errorf("after %d FETCHes %d mails, %q to %q", len(asked), len(lines), lines[0], lines[len(lines)-1])
		}
		for i, m := range mails {
			if !m.Facts.First || m.Facts.From != fmt.Sprintf("%d@example.org", 9800+i) {
				t.Fatalf("%+v", m)
			}
		}
	})
}

func recentOdd(t *testing.T) {
	t.Parallel()
	guess := ring.Facts{From: "ada@example.org", Name: "Ada Lovelace", Subject: "tea at five", Words: "Bring the engine.", Attachment: true}
	sure := guess
	sure.Attachment = false
	const parts = `* 2 FETCH (UID 2 BODYSTRUCTURE (("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1) "MIXED"))`
	for name, c := range map[string]struct {
		odd  oddity
		want ring.Facts
	}{
		"does nothing odd":            {nil, guess},
		"lists the parts":             {partsAre(parts + "\r\nTAG OK done"), sure},
		"does not list the parts":     {partsAre("TAG NO cannot"), guess},
		"nests the parts too deep":    {partsAre("* 2 FETCH (UID 2 BODYSTRUCTURE " + strings.Repeat("(", 40)), guess},
		"takes no part of fields":     {answersSome("UID FETCH", holding(")]<"), "TAG BAD expected )\r\n"), guess},
		"finds no single fields":      {edited("UID FETCH", fieldsPart, "${1}{2}\r\n\r\n"), guess},
		"sends UID after the body":    {edited("UID FETCH", `(?s)\((UID \d+) (.*)\)\r\n`, "($2 $1)\r\n"), guess},
		"refuses to search":           {answers("UID SEARCH", "TAG NO cannot\r\n"), guess},
		"sends NO behind all":         {edited("UID FETCH", ` OK done`, " NO some of the messages no longer exist"), guess},
		"has no UIDNEXT":              {func(_ *testing.T, s *imaptest.Script) { s.NoNext = true }, guess},
		"announces a mail in between": {interjects("within UID FETCH", "* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n"), guess},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Date: time.Now().AddDate(0, 0, -9)}, {UID: 2, Header: inParts.Header, Text: inParts.Text, Date: time.Now()}}}
				if c.odd != nil {
					c.odd(t, script)
				}
				h, dialer, w := harnessAt(t, script, "INBOX")
				defer w.serving.Wait()
				pool := &Pool{Store: h.store.Mail, Dialer: dialer, Log: h.log}
				_, mails := h.recentOf(t, pool)
				if len(mails) != 1 {
					t.Fatalf("%d mails", len(mails))
				}
				facts := mails[0].Facts
				if facts.Size == 0 || len(facts.Thread) != 1 || !facts.First {
					t.Errorf("%d bytes, thread %q, first %v", facts.Size, facts.Thread, facts.First)
				}
				if facts.Size, facts.Thread, facts.First = 0, nil, false; !reflect.DeepEqual(facts, c.want) {
					t.Errorf("%q %q %q %q %v", facts.From, facts.Name, facts.Subject, facts.Words, facts.Attachment)
				}
			})
		})
	}
}

func recentFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		odd   oddity
		code  codes.Code
		field string
	}{
		"the password is refused":           {answers("LOGIN", "TAG NO [AUTHENTICATIONFAILED] wrong\r\n"), "login_refused", "password"},
		"the server does not answer":        {instead("UID SEARCH", func(talk *imaptest.Talk, _ string) { talk.Silence() }), "server_silent", "port"},
		"the folder cannot be opened":       {answers("EXAMINE", "TAG NO no such mailbox\r\n"), "folder_unavailable", "folders"},
		"the connection ends in the middle": {instead("UID FETCH", func(talk *imaptest.Talk, _ string) { talk.Close() }), "connection_lost", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Date: time.Now()}}}
				c.odd(t, script)
				h, dialer, w := harnessAt(t, script, "INBOX")
				defer w.serving.Wait()
				pool := &Pool{Store: h.store.Mail, Dialer: dialer, Log: h.log}
				began := time.Now()
				_, err := pool.Recent(t.Context(), h.account)
				f, ok := errors.AsType[*Failure](err)
				if !ok || f.Code != c.code || f.Field != c.field || time.Since(began) > recentTime {
					t.Errorf("after %v: %v, %+v", time.Since(began), err, f)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		h, dialer, w := harnessAt(t, &imaptest.Script{}, "INBOX")
		pool := &Pool{Store: h.store.Mail, Dialer: dialer, Log: h.log}
		h.account.Status = idlepush.Status{State: idlepush.StateAttention, Reason: idlepush.Reason{Code: "login_refused"}}
		f, ok := errors.AsType[*Failure](errOf(pool.Recent(t.Context(), h.account)))
		if !ok || f.Code != "login_refused" || len(w.dialsOf(w.servers["mail.example.org:993"])) > 0 {
			t.Errorf("of an account that is given up: %+v", f)
		}
		h.account.Status = idlepush.Status{}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := pool.Recent(ctx, h.account); err == nil {
			t.Error("it goes on when nobody waits")
		}
		w.serving.Wait()
	})
}

func errOf(_ []ring.Mail, err error) error { return err }

func recentDuplicates(t *testing.T) {
	t.Parallel()
	inbox, work := &folder{name: "INBOX"}, &folder{name: "Work"}
	made := func(f *folder, print string, code codes.Code) *recentMail {
		return &recentMail{Mail: ring.Mail{Folder: f.name, Code: code}, folder: f, fingerprint: print}
	}
	recorded := func(f *folder, id string, copied bool) *recentMail {
		m := made(f, "a", "")
		m.recorded, m.copied = id, copied
		return m
	}
	for name, c := range map[string]struct {
		mails []*recentMail
		want  string
	}{
		"two folders":               {[]*recentMail{made(inbox, "a", ""), made(work, "a", "")}, ", duplicate"},
		"the store knows which":     {[]*recentMail{made(inbox, "a", ""), recorded(work, "1", false)}, "duplicate, "},
		"the store knows two mails": {[]*recentMail{recorded(inbox, "1", false), recorded(work, "2", false)}, ", "},
		"the store knows the copy":  {[]*recentMail{recorded(work, "1", true), recorded(inbox, "1", false)}, "duplicate, "},
		"the one that rang is gone": {[]*recentMail{recorded(work, "1", true), recorded(inbox, "1", true)}, ", duplicate"},
		"a copy, and one not known": {[]*recentMail{made(inbox, "a", ""), recorded(work, "1", true)}, "duplicate, "},
		"one folder":                {[]*recentMail{made(inbox, "a", ""), made(inbox, "a", "")}, ", "},
		"other mail":                {[]*recentMail{made(inbox, "a", ""), made(work, "b", "")}, ", "},
		"nothing identifies them":   {[]*recentMail{made(inbox, "", ""), made(work, "", "")}, ", "},
		"the other is junk":         {[]*recentMail{made(inbox, "a", "junk"), made(work, "a", "")}, "junk, "},
	} {
		markDuplicates(c.mails)
		if got := fmt.Sprintf("%s, %s", c.mails[0].Code, c.mails[1].Code); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

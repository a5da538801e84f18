package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/imaptest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("commands go out together, and one refusal leaves the others their answers", severalCommands)
	t.Run("a STATUS response is an answer only if STATUS was sent", statusOnlyIfAsked)
	t.Run("a SEARCH answer is sorted, in however many responses it comes", searchInPieces)
}

func severalCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}, {UID: 7}}, On: map[string]func(*imaptest.Talk, string){
			"STATUS": func(talk *imaptest.Talk, args string) {
				if strings.HasPrefix(args, `"gone"`) {
					talk.Say("%s NO no such mailbox\r\n", talk.Tag)
					return
				}
				talk.Answer("STATUS", args)
			}}}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		var found []imap.UID
		var gone, inbox imap.StatusData
		search, refused, status := Search("UID 1:*", &found), Status("gone", "MESSAGES", &gone), Status("INBOX", "MESSAGES UIDNEXT", &inbox)
		err := c.Run(testTimeout, search, refused, status)
		if said, ok := errors.AsType[*imap.Error](err); !ok || refused.Err != err || said.Type != imap.StatusResponseTypeNo {
			t.Errorf("it returned %v, and the command %v", err, refused.Err)
		}
		if search.Err != nil || !slices.Equal(found, []imap.UID{1, 7}) {
			t.Errorf("SEARCH: %v, %v", found, search.Err)
		}
		if status.Err != nil || inbox.UIDNext != 8 || inbox.NumMessages == nil || *inbox.NumMessages != 2 || gone.NumMessages != nil {
			t.Errorf("STATUS: %+v, %v; of the other %+v", inbox, status.Err, gone)
		}
		if c.Cause() != nil || c.News().Status != 0 || c.Dropped() != 0 {
			t.Errorf("cause %v, news %+v, dropped %d", c.Cause(), c.News(), c.Dropped())
		}
	})
}

func statusOnlyIfAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		script.At = func(talk *imaptest.Talk, moment string) {
			if moment == "within UID SEARCH" {
				talk.Say("* STATUS other (MESSAGES 5 UIDNEXT 6)\r\n* 1 FETCH (FLAGS (\\Seen))\r\n")
			}
		}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		if err := f.look(); err != nil {
			t.Fatal(err)
		}
		if got, want := c.News(), (News{Status: 1, Flags: 1}); got != want {
			t.Errorf("SEARCH: news %+v, want %+v", got, want)
		}
		c.Forget()
		if got, want := c.News(), (News{Status: 1}); got != want {
			t.Errorf("of other folders it is forgotten with them: %+v", got)
		}
		c.ForgetOthers(false)
		var data imap.StatusData
		err := c.Run(testTimeout, Status("INBOX", "UIDNEXT", &data))
		if err != nil || c.News() != (News{}) || data.UIDNext != 2 {
			t.Errorf("STATUS: %v, news %+v, UIDNEXT %d", err, c.News(), data.UIDNext)
		}
	})
}

func searchInPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"UID SEARCH": func(talk *imaptest.Talk, _ string) {
			talk.Say("* SEARCH 9 3 \r\n* SEARCH\r\n* SEARCH 5 3 (MODSEQ 7)\r\n")
			talk.OK("done")
		}}}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		var found []imap.UID
		if err := c.Run(testTimeout, Search("ALL", &found)); err != nil || !slices.Equal(found, []imap.UID{3, 5, 9}) || c.Dropped() != 0 {
			t.Errorf("%v, %v, dropped %d", found, err, c.Dropped())
		}
	})
}

func TestLogin(t *testing.T) {
	t.Parallel()
	t.Run("a password may look like a command", passwordLikeCommand)
	t.Run("it asks for the capabilities after a login", capabilitiesAfterLogin)
	t.Run("a server that refuses before the literal is understood", refusedBeforeLiteral)
}

func passwordLikeCommand(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 LITERAL+", "IMAP4rev1 LITERAL-"} {
		for _, password := range []string{`" \"`, "I1 ü", "I1 LOGOUT\r\nü", "ü\r\nI1 NOOP", "ü {3}", "ü {3}\r\n", "T1 ü\r\n", strings.Repeat("ü", 5000)} {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{Caps: caps}
				got := ""
				script.On = map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, args string) {
					got = args
					talk.Say("+ nobody asked\r\n")
					talk.OK("in")
				}}
				c, stop := pipe(t, script, DefaultLimits, nil)
				defer stop()
				if err := c.Greet(testTimeout); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(logIn(c, password, testTimeout), c.Do("NOOP", testTimeout), c.Do("NOOP", testTimeout)); err != nil {
					t.Errorf("%s, %.20q: %v", caps, password, err)
				}
				if sent := strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(got); !strings.Contains(got, password) && !strings.Contains(sent, password) {
					t.Errorf("%s, %.20q: got %.60q", caps, password, got)
				}
			})
		}
	}
}

func capabilitiesAfterLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Caps: "IMAP4rev1 XBEFORE"}
		script.At = func(_ *imaptest.Talk, moment string) {
			if moment == "before LOGIN" {
				script.Caps = "IMAP4rev1 XAFTER"
			}
		}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		if err := c.Greet(testTimeout); err != nil || !c.Has("XBEFORE") {
			t.Fatalf("%v, %v", err, c.Caps())
		}
		if err := logIn(c, "secret", testTimeout); err != nil || c.Has("XBEFORE") || !c.Has("XAFTER") {
			t.Errorf("%v, %v", err, c.Caps())
		}
	})
}

func refusedBeforeLiteral(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, stop := pipeLines(t, "* OK [CAPABILITY IMAP4rev1] hello\r\n", "* OK wait\r\nT1 NO [AUTHENTICATIONFAILED] no literals\r\n", "I1 OK done\r\n")
		defer stop()
		if err := c.Greet(testTimeout); err != nil {
			t.Fatal(err)
		}
		err := logIn(c, "ü", testTimeout)
		if said, ok := errors.AsType[*imap.Error](err); !ok || said.Code != imap.ResponseCodeAuthenticationFailed {
			t.Errorf("refused with %v", err)
		}
		if err := c.Do("NOOP", testTimeout); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestEncodeFolder(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"inbox": "INBOX", "Lists/go-nuts": `"Lists/go-nuts"`, "this & that": `"this &- that"`, `a"b\c`: `"a\"b\\c"`,
		// RFC 3501 section 5.1.3
		"~peter/mail/台北/日本語": `"~peter/mail/&U,BTFw-/&ZeVnLIqe-"`, "Büro 😀!": `"B&APw-ro &2D3eAA-!"`, "a\r\nb": `"a&AA0ACg-b"`,
	} {
		got := encodeFolder(name)
		if got != want {
			t.Errorf("%q is sent as %s, want %s", name, got, want)
		}
		value, _ := cutValue([]byte(got))
		if back := folderName(string(value)); back != name && back != strings.ToUpper(name) {
			t.Errorf("%s is read as %q, want %q", got, back, name)
		}
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"* STATUS INBOX (MESSAGES 2 UNSEEN 1 UIDNEXT 8 UIDVALIDITY 5)": "INBOX 2 1 8 5 0 true",
		`* STATUS "a (b)" (MESSAGES 2 HIGHESTMODSEQ 99999999999 )`:     "a (b) 2 - 0 0 99999999999 true",
		"* STATUS Deleted Items (UNSEEN 3) ":                           "Deleted Items - 3 0 0 0 true",
		"* STATUS {5}\r\nLists (UNSEEN 3)":                             "Lists - 3 0 0 0 true",
		"* STATUS other ()":                                            "other - - 0 0 0 true",
		"* STATUS other (MESSAGES)":                                    "other - - 0 0 0 false",
		"* STATUS other (UIDNEXT 4294967296)":                          "other - - 0 0 0 false",
		"* STATUS other (UIDNEXT (1))":                                 "other (UIDNEXT - - 0 0 0 false",
		"* STATUS":                                                     " - - 0 0 0 false",
	} {
		r := parse([]byte(line + "\r\n"))
		data, ok := statusOf(&r)
		count := func(n *uint32) string {
			if n == nil {
				return "-"
			}
			return fmt.Sprint(*n)
		}
		if got := fmt.Sprint(data.Mailbox, " ", count(data.NumMessages), " ", count(data.NumUnseen), " ", data.UIDNext, " ", data.UIDValidity, " ", data.HighestModSeq, " ", ok); got != want {
			t.Errorf("%q is read as %s, want %s", line, got, want)
		}
	}
}

package watcher

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"idlepush/watcher/imaptest"
)

func TestOddMailbox(t *testing.T) {
	t.Run("mail is notified however a server greets and opens a folder", oddGreeting)
	t.Run("mail is notified however a server reports it", oddNews)
}

func oddGreeting(t *testing.T) {
	testOddServers(t, map[string]oddServer{
		"greets twice":                           {odd: answers("greeting", "* OK welcome\r\n* OK second line [x] {12}\r\n")},
		"greets without its capabilities":        {odd: answers("greeting", "* OK Domino IMAP4 Server Release 10.0 ready\r\n")},
		"needs no login":                         {odd: all(answers("greeting", "* PREAUTH [CAPABILITY IMAP4rev1 IDLE] you are in\r\n"), refusesLogins)},
		"names its capabilities in lower case":   {odd: announces("imap4rev1 idle id")},
		"is IMAP4rev2 and nothing else":          {odd: announces("IMAP4rev2")},
		"has a space behind its capabilities":    {odd: answers("LOGIN", "* CAPABILITY IMAP4rev1 IDLE ID \r\nTAG OK Success login ok\r\n")},
		"warns at the login":                     {odd: answers("LOGIN", "* OK [ALERT] Your mailbox is 99% full\r\nTAG OK done\r\n")},
		"knows a keyword with a quote mark":      {odd: interjects("before EXAMINE", "* FLAGS (\\Answered \\Seen ab\"cd)\r\n")},
		"knows keywords with brackets":           {odd: interjects("within EXAMINE", bracketed)},
		"reports more of a folder than needed":   {odd: interjects("before EXAMINE", talkative)},
		"sends UIDNEXT 0":                        {odd: edited("EXAMINE", `UIDNEXT \d+`, "UIDNEXT 0")},
		"sends a UIDNEXT that is one too low":    {odd: stale},
		"always sends a UIDNEXT too low":         {odd: lagging("EXAMINE")},
		"sends it too low of another folder too": {odd: all(lagging("EXAMINE"), lagging("STATUS")), folder: "Family", within: quickTour},
		"has a UIDVALIDITY of 64 bits":           {odd: edited("EXAMINE", `UIDVALIDITY \d+`, "UIDVALIDITY 1732774800123")},
		"sends nothing if SEARCH finds nothing":  {odd: all(empty, edited("UID SEARCH", `\* SEARCH\r\n`, ""))},
		"has a space behind what SEARCH finds":   {odd: edited("UID SEARCH", `(\* SEARCH.*)\r\n`, "$1 \r\n")},
		"refuses a SEARCH with a charset":        {odd: answersSome("UID SEARCH", holding("CHARSET"), "TAG NO [BADCHARSET (US-ASCII)] no\r\n")},
	})
}

const (
	bracketed = "* FLAGS (\\Answered OIB-Seen-[Gmail]/Trash OIB-Seen-[Gmail]/All Mail)\r\n" +
		"* OK [PERMANENTFLAGS (\\Answered OIB-Seen-[Gmail]/Trash \\*)] Flags permitted.\r\n"
	talkative = "* OK [CLOSED] previous\r\n* LIST () \"/\" INBOX (\"OLDNAME\" (\"inbox\"))\r\n* OK [MAILBOXID (abc-1)] id\r\n" +
		"* NO [ALERT] mailbox is 95% full\r\n* FLAGS ()\r\n* OK [HIGHESTMODSEQ 18446744073709551615] x\r\n"
)

// refusesLogins refuses every login.
func refusesLogins(_ *testing.T, s *imaptest.Script) { s.Password = "nobody's" }

func empty(_ *testing.T, s *imaptest.Script) { s.Messages = nil }

// stale sends a UIDNEXT that an old message has already.
func stale(t *testing.T, s *imaptest.Script) {
	s.Messages = append(s.Messages, imaptest.Message{UID: 2, Header: subject("old too")})
	edited("EXAMINE", `UIDNEXT 3`, "UIDNEXT 2")(t, s)
}

// lagging always sends a UIDNEXT that is one too low.
func lagging(command string) oddity {
	next := regexp.MustCompile(`UIDNEXT \d+`)
	return instead(command, func(talk *imaptest.Talk, args string) {
		talk.Say("%s", next.ReplaceAllStringFunc(talk.Usual(command, args), func(said string) string {
			n, _ := strconv.Atoi(strings.TrimPrefix(said, "UIDNEXT "))
			return fmt.Sprint("UIDNEXT ", n-1)
		}))
	})
}

func oddNews(t *testing.T) {
	testOddServers(t, map[string]oddServer{
		"counts from nothing again": {odd: instead("EXISTS", func(talk *imaptest.Talk, n string) {
			talk.Say("* 0 EXISTS\r\n")
			talk.Answer("EXISTS", n)
		})},
		"sends BYE instead": {odd: instead("EXISTS", func(talk *imaptest.Talk, _ string) {
			talk.Bye("Session expired, please log in again")
		}), within: 15 * time.Second},
		"ends IDLE every second": {odd: func(_ *testing.T, s *imaptest.Script) {
			s.Beat = imaptest.Beat{Every: time.Second, Do: func(talk *imaptest.Talk, _ int) {
				talk.OK("IDLE done")
				talk.EndIdle()
			}}
		}, within: time.Minute},
		"refuses IDLE after it has begun": {odd: instead("idling", func(talk *imaptest.Talk, _ string) {
			time.Sleep(500 * time.Millisecond)
			say(talk, "TAG NO [INUSE] idle is over\r\n")
			talk.EndIdle()
		}), within: time.Minute},
	})
}

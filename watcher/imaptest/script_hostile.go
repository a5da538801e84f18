package imaptest

import (
	"fmt"
	"maps"
	"strings"
)

// Hostile holds the oddities of broken and malicious servers by name; each changes a Script before
// it serves. They were seen at real servers, or end a client that trusts its parser.
var Hostile = hostile()

func hostile() map[string]func(*Script) {
	all := map[string]func(*Script){}
	maps.Copy(all, silences())
	maps.Copy(all, floods())
	maps.Copy(all, farewells())
	maps.Copy(all, lies())
	maps.Copy(all, idles())
	for i, items := range malformedItems {
		all[fmt.Sprintf("malformed-fetch-%02d", i+1)] = fetches("* 1 FETCH " + items + "\r\n")
	}
	for name, line := range oddLines {
		all["odd-"+name] = func(s *Script) {
			s.At = func(t *Talk, moment string) {
				if moment == "within UID SEARCH" || moment == "within IDLE" {
					t.Say("%s", line)
				}
			}
		}
	}
	return all
}

// on replaces the answer to one command.
func on(name string, f func(t *Talk, args string)) func(*Script) {
	return func(s *Script) {
		if s.On == nil {
			s.On = make(map[string]func(*Talk, string))
		}
		s.On[name] = f
	}
}

// says answers one command with text, in which $T stands for the tag.
func says(name, text string) func(*Script) {
	return on(name, func(t *Talk, _ string) { t.Say("%s", strings.ReplaceAll(text, "$T", t.Tag)) })
}

// fetches has one mail and answers UID FETCH with response before the tagged OK.
func fetches(response string) func(*Script) {
	return func(s *Script) {
		s.Messages = []Message{{UID: 1}}
		says("UID FETCH", response+"$T OK done\r\n")(s)
	}
}

// endless repeats text until the client goes.
func endless(name, first, text string) func(*Script) {
	text = strings.Repeat(text, 1+4096/len(text))
	return func(s *Script) {
		s.Messages = []Message{{UID: 1}}
		on(name, func(t *Talk, _ string) {
			for t.Say("%s", first); t.Say("%s", text); {
			}
		})(s)
	}
}

func silences() map[string]func(*Script) {
	all := map[string]func(*Script){}
	for _, name := range []string{"greeting", "LOGIN", "EXAMINE", "UID SEARCH", "UID FETCH", "IDLE", "DONE"} {
		all["silent-"+dashed(name)] = func(s *Script) {
			s.Messages = []Message{{UID: 1}}
			on(name, func(t *Talk, _ string) { t.Silence() })(s)
		}
	}
	all["half-greeting"] = on("greeting", func(t *Talk, _ string) {
		t.Say("* OK [CAPABI")
		t.Silence()
	})
	all["half-literal"] = func(s *Script) {
		s.Messages = []Message{{UID: 1}}
		on("UID FETCH", func(t *Talk, _ string) {
			t.Say("* 1 FETCH (UID 1 BODY[TEXT] {100}\r\nhalf of it")
			t.Silence()
		})(s)
	}
	return all
}

func dashed(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "-")) }

func floods() map[string]func(*Script) {
	all := map[string]func(*Script){
		"deep-parentheses": on("UID SEARCH", func(t *Talk, _ string) {
			t.Say("* 1 FETCH (BODYSTRUCTURE %s", strings.Repeat("(", 2_500_000))
			t.Silence()
		}),
		"deep-parentheses-many-lines": on("UID SEARCH", func(t *Talk, _ string) {
			t.Say("* 1 FETCH (X")
			for t.Say("((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((( {1}\r\nx") {
			}
		}),
		"huge-literal": on("UID SEARCH", func(t *Talk, _ string) {
			t.Say("* 1 FETCH (UID 1 BODY[TEXT] {999999999999}\r\n")
			for t.Say("%s", strings.Repeat("x", 4096)) {
			}
		}),
		"overflowing-literal": fetches("* 1 FETCH (UID 1 BODY[TEXT] {99999999999999999999999999}\r\nx)\r\n"),
		"many-literals": on("UID SEARCH", func(t *Talk, _ string) {
			t.Say("* 1 FETCH (UID 1")
			for t.Say(" BODY[TEXT] {4096}\r\n%s", strings.Repeat("x", 4096)) {
			}
		}),
		"endless-greeting": endless("greeting", "* OK ", "aaaaaaaaaaaaaaaa"),
		"endless-caps":     endless("greeting", "* OK [CAPABILITY", " AAAAAAAAAAAAAAAA"),
		"endless-idle":     endless("idling", "", "no end "),
		"many-caps": func(s *Script) {
			s.Caps = "IMAP4rev1 IDLE" + strings.Repeat(" XSOMETHING-OR-OTHER", 10_000)
		},
	}
	for kind, text := range map[string]string{
		"ok":     "* OK still here\r\n",
		"exists": "* 7 EXISTS\r\n",
		"fetch":  "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n",
		"status": "* STATUS other (MESSAGES 5 UIDNEXT 6)\r\n",
		"plus":   "+ go on\r\n",
		"empty":  "\r\n",
		"search": "* SEARCH 9 8 7 6 5 4 3 2 1\r\n",
	} {
		for _, step := range []string{"greeting", "LOGIN", "UID SEARCH", "UID FETCH", "idling", "DONE"} {
			all["flood-"+kind+"-"+dashed(step)] = endless(step, "", text)
		}
	}
	all["unsorted-search"] = on("UID SEARCH", func(t *Talk, _ string) {
		var numbers strings.Builder
		for n := 30_000; n > 0; n-- {
			fmt.Fprintf(&numbers, " %d", 2*n)
		}
		for range 4 {
			t.Say("* SEARCH%s\r\n", numbers.String())
		}
		t.OK("done")
	})
	return all
}

func farewells() map[string]func(*Script) {
	all := map[string]func(*Script){}
	for _, step := range []string{"greeting", "LOGIN", "EXAMINE", "UID SEARCH", "UID FETCH", "IDLE", "idling", "DONE"} {
		all["bye-"+dashed(step)] = func(s *Script) {
			s.Messages = []Message{{UID: 1}}
			on(step, func(t *Talk, _ string) { t.Bye("[UNAVAILABLE] going down") })(s)
		}
		all["close-"+dashed(step)] = func(s *Script) {
			s.Messages = []Message{{UID: 1}}
			on(step, func(t *Talk, _ string) { t.Close() })(s)
		}
		all["bye-and-stay-"+dashed(step)] = func(s *Script) {
			s.Messages = []Message{{UID: 1}}
			on(step, func(t *Talk, _ string) {
				t.Say("* BYE [UNAVAILABLE] going down\r\n")
				t.Silence()
			})(s)
		}
	}
	all["login-bye-then-no"] = says("LOGIN", "* BYE too many attempts\r\n$T NO [AUTHENTICATIONFAILED] wrong\r\n")
	return all
}

func lies() map[string]func(*Script) {
	return map[string]func(*Script){
		"not-imap":           says("greeting", "220 mail.example ESMTP\r\n"),
		"http":               says("greeting", "HTTP/1.1 400 Bad Request\r\n\r\n"),
		"preauth":            says("greeting", "* PREAUTH [CAPABILITY IMAP4rev1 IDLE] hello\r\n"),
		"greeting-no-caps":   says("greeting", "* OK hello\r\n"),
		"greeting-no-text":   says("greeting", "* OK\r\n"),
		"caps-space":         says("greeting", "* OK [CAPABILITY IMAP4rev1 IDLE  ID ] hello\r\n"),
		"caps-refused":       func(s *Script) { says("greeting", "* OK hello\r\n")(s); says("CAPABILITY", "$T BAD what\r\n")(s) },
		"login-disabled":     func(s *Script) { s.Caps = "IMAP4rev1 IDLE LOGINDISABLED" },
		"login-no":           says("LOGIN", "$T NO [AUTHENTICATIONFAILED] wrong\r\n"),
		"login-caps":         says("LOGIN", "$T OK [CAPABILITY IMAP4rev1 IDLE XNEW] in\r\n"),
		"login-broken-code":  says("LOGIN", "$T OK [CAPABILITY IMAP4rev1 IDLE in\r\n"),
		"login-alert":        says("LOGIN", "* OK [ALERT] quota \x1b[31m\u202enearly full\r\n$T OK in\r\n"),
		"double-tag":         says("LOGIN", "$T OK in\r\n$T OK in\r\n"),
		"double-tag-search":  says("UID SEARCH", "* SEARCH\r\n$T OK done\r\n$T OK done\r\n"),
		"unknown-tag":        says("UID SEARCH", "* SEARCH\r\nX99 OK done\r\n$T OK done\r\n"),
		"junk-line":          says("UID SEARCH", "just words\r\n$T OK done\r\n"),
		"tagged-text":        says("UID SEARCH", "* SEARCH\r\n$T FINE done\r\n"),
		"bare-lf":            says("UID SEARCH", "* SEARCH\n$T OK done\n"),
		"literal-like-text":  says("UID SEARCH", "* OK see {12}\r\n* SEARCH\r\n$T OK (\" done {5}\r\n"),
		"open-quote":         fetches("* 1 FETCH (UID 1 ENVELOPE (\"He said \" hi\" NIL))\r\n"),
		"open-list":          fetches("* 1 FETCH (UID 1 FLAGS (\r\n"),
		"closed-list":        fetches("* 1 FETCH (UID 1))\r\n"),
		"huge-range":         says("UID SEARCH", "* ESEARCH (TAG \"$T\") UID ALL 1:4294967295\r\n$T OK done\r\n"),
		"last-uid":           says("UID SEARCH", "* SEARCH 4294967295\r\n$T OK done\r\n"),
		"fetch-last-uid":     fetches("* 1 FETCH (UID 4294967295 FLAGS ())\r\n"),
		"fetch-empty":        fetches(""),
		"fetch-no":           func(s *Script) { fetches("")(s); says("UID FETCH", "$T NO [SERVERBUG] cannot\r\n")(s) },
		"fetch-other":        fetches("* 1 FETCH (UID 77 FLAGS ())\r\n"),
		"search-no":          says("UID SEARCH", "$T NO [SERVERBUG] cannot\r\n"),
		"search-missing":     says("UID SEARCH", "$T OK done\r\n"),
		"examine-no":         says("EXAMINE", "$T NO [NONEXISTENT] no such mailbox\r\n"),
		"uidvalidity-absent": says("EXAMINE", "* 0 EXISTS\r\n$T OK done\r\n"),
		"uidvalidity-zero":   says("EXAMINE", "* 0 EXISTS\r\n* OK [UIDVALIDITY 0] x\r\n$T OK done\r\n"),
		"uidvalidity-huge":   says("EXAMINE", "* 0 EXISTS\r\n* OK [UIDVALIDITY 99999999999] x\r\n$T OK done\r\n"),
		"uidnext-last":       says("EXAMINE", "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 4294967295] x\r\n$T OK done\r\n"),
	}
}

func idles() map[string]func(*Script) {
	return map[string]func(*Script){
		"no-idle": func(s *Script) { s.Caps = "IMAP4rev1"; says("IDLE", "$T BAD unknown command\r\n")(s) },
		"idle-no": says("IDLE", "$T NO [INUSE] not now\r\n"),
		"idle-ok": says("IDLE", "$T OK done already\r\n"),
		"idle-ends": on("idling", func(t *Talk, _ string) {
			t.OK("enough")
			t.EndIdle()
		}),
		"idle-talks":      says("idling", "* NO nothing\r\n* BAD nothing\r\n* OK nothing\r\n+ nothing\r\n"),
		"idle-overflow":   says("idling", "* OK [NOTIFICATIONOVERFLOW] lost count\r\n"),
		"exists-up-down":  on("idling", func(t *Talk, _ string) { t.Say("* 5 EXISTS\r\n* 1 EXPUNGE\r\n* 4 EXISTS\r\n") }),
		"exists-too-many": says("idling", "* 99999999999999999999 EXISTS\r\n"),
		"vanished":        says("idling", "* VANISHED 1:4294967295\r\n* 3 EXPUNGE\r\n* 0 EXPUNGE\r\n"),
		"done-bad": on("DONE", func(t *Talk, _ string) {
			t.OK("done")
			t.Say("DONE BAD unknown command\r\n")
		}),
		"done-no":       says("DONE", "$T NO not done\r\n"),
		"double-done":   says("DONE", "$T OK done\r\n$T OK done\r\n"),
		"done-for-done": says("DONE", "DONE OK done\r\n"),
	}
}

// oddLines are what servers say between two answers.
var oddLines = map[string]string{
	"vanished":      "* VANISHED (EARLIER) 5:9\r\n",
	"unknown":       "* XFOO bar\r\n",
	"language":      "* LANGUAGE (\"de\")\r\n",
	"empty":         "\r\n",
	"two-spaces":    "*  4 EXPUNGE\r\n",
	"trailing":      "* 4 EXPUNGE and more\r\n",
	"plus":          "+ unasked\r\n",
	"star":          "*\r\n",
	"id-nil":        "* ID (\"name\" NIL)\r\n",
	"esearch":       "* ESEARCH (TAG \"A1\") UID ALL 1:9\r\n",
	"flags-nil":     "* FLAGS NIL\r\n",
	"status":        "* STATUS \"other\" (MESSAGES 5 UIDNEXT 6)\r\n",
	"status-broken": "* STATUS other (MESSAGES)\r\n",
	"list-delim":    "* LIST () \"ab\" INBOX\r\n",
	"list-utf7":     "* LIST () \"/\" \"&&&\"\r\n",
	"code-open":     "* OK [HIGHESTMODSEQ\r\n",
	"code-number":   "* OK [UIDNEXT x] y\r\n",
	"no-text":       "* OK\r\n",
	"nul":           "* OK a\x00b\r\n",
}

// malformedItems are the answers to FETCH that end a client of go-imap, or come near it.
var malformedItems = []string{
	`()`,
	`(UID 1 PREVIEW "hello")`,
	`(UID 1 EMAILID (M1))`,
	`(UID 1 X-GM-MSGID 1278455344230334865)`,
	`(UID 1 X-GM-LABELS ("\\Inbox" foo))`,
	`(UID 1 RFC822.HEADER "Subject: x")`,
	`(UID 1 FLAGS NIL)`,
	`(UID 1 FLAGS (a]b))`,
	`(UID 1 FLAGS (\ ))`,
	`(UID 1 MODSEQ 12)`,
	`(UID 1 MODSEQ (NIL))`,
	`(UID 0)`,
	`(UID 4294967296)`,
	`(UID -1)`,
	`(UID NIL)`,
	`(UID 1 INTERNALDATE NIL)`,
	`(UID 1 INTERNALDATE "17-Jul-2026 02:44:25")`,
	`(UID 1 INTERNALDATE "yesterday")`,
	`(UID 1 ENVELOPE ("x" "y" NIL NIL NIL NIL NIL NIL NIL))`,
	`(UID 1 ENVELOPE nil)`,
	`(UID 1 BODYSTRUCTURE NIL)`,
	`(UID 1 BODYSTRUCTURE ())`,
	`(UID 1 BODYSTRUCTURE ("text" "plain" ("boundary" NIL) NIL NIL "7bit" 1 1))`,
	`(UID 1 BODYSTRUCTURE ("text" NIL NIL NIL NIL "7bit" 1 1))`,
	`(UID 1 BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" NIL 1))`,
	`(UID 1 BODYSTRUCTURE ("ALTERNATIVE"))`,
	`(UID 1 RFC822.SIZE NIL)`,
	`(UID 1 RFC822.SIZE 99999999999999999999)`,
	`(UID 1 BODY[HEADER]"no space")`,
	"(UID 1 BODY[HEADER]{3}\r\nabc)",
	"(UID 1 BODY[HEADER] {3} \r\nabc)",
	`(UID 1 BODY[HEADER)`,
	`(UID 1 BODY[HEADER.FIELDS] "")`,
	`(UID 1 BODY[1.] "")`,
	`(FLAGS () BODY[TEXT] "late" UID 1)`,
	"(FLAGS () BODY[TEXT] {4}\r\nlate UID 1)",
	`(UID 1 UID 2)`,
	`UID 1`,
	`NIL`,
	``,
	`(UID 1) (UID 2)`,
	`(UID 1  FLAGS ())`,
	`( UID 1)`,
	`(UID 1 )`,
	`(UID 1 FLAGS () "`,
}

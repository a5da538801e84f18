package watcher

import (
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

// Patterns for the answers to FETCH: the name of an item, and its value.
const (
	headerPart = `(?s)(BODY\[HEADER[^\]]*\](?:<0>)? )\{\d+\}\r\n.*?\r\n\r\n`
	fieldsPart = `(?s)(BODY\[HEADER\.FIELDS[^\]]*\](?:<0>)? )\{\d+\}\r\n.*?\r\n\r\n`
	textPart   = `(?s)(BODY\[TEXT\]<0> )\{\d+\}\r\nBring the engine.\r\n`
)

// headerIs replaces the value of a header.
func headerIs(value string) oddity { return edited("UID FETCH", headerPart, "${1}"+value) }

// textIs replaces the value of a text.
func textIs(value string) oddity { return edited("UID FETCH", textPart, "${1}"+value) }

// headless is the content of letter without its header.
var headless = idlepush.Content{Preview: letterContent.Preview}

// textless is the content of letter without its text.
var textless = idlepush.Content{From: letterContent.From, Subject: letterContent.Subject}

// Mail is notified with its content however a server answers FETCH.
func TestOddFetch(t *testing.T) {
	testOddServers(t, map[string]oddServer{
		"does nothing odd":                        {},
		"sends UID after the body":                {odd: edited("UID FETCH", `(?s)\((UID \d+) (.*)\)\r\n`, "($2 $1)\r\n")},
		"sends flags and date after the body":     {odd: edited("UID FETCH", `(?s)(FLAGS .* RFC822.SIZE \d+) (.*)\)\r\n`, "$2 $1)\r\n")},
		"reports flags before, and of no UID":     {odd: interjects("before UID FETCH", "* 2 FETCH (FLAGS ($NotJunk))\r\n")},
		"reports flags behind":                    {odd: interjects("within UID FETCH", "* 2 FETCH (UID 2 FLAGS ($NotJunk))\r\n")},
		"reports a fetched message as read":       {odd: interjects("within UID FETCH", "* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n")},
		"sends a mail again without its body":     {odd: interjects("within UID FETCH", "* 2 FETCH (UID 2 FLAGS () RFC822.SIZE 1 )\r\n")},
		"has a keyword with a quote mark":         {mail: imaptest.Message{Flags: `ab"cd`}},
		"has a keyword beyond ASCII":              {mail: imaptest.Message{Flags: "Café Perso/Travail"}},
		"sends NO behind all that it was to send": {odd: edited("UID FETCH", ` OK done`, " NO some of the messages no longer exist")},
		"finds no field whose name is quoted":     {odd: answersSome("UID FETCH", holding(`FIELDS ("`), "TAG OK done\r\n")},
		"takes no part of single fields":          {odd: answersSome("UID FETCH", holding(")]<"), "TAG BAD expected )\r\n")},
		"finds no single fields":                  {odd: edited("UID FETCH", fieldsPart, "${1}{2}\r\n\r\n")},
		"sends NIL for the header":                {odd: headerIs("NIL"), want: headless},
		"has an empty header":                     {odd: headerIs("{0}\r\n"), want: headless},
		"quotes a header beyond ASCII":            {odd: headerIs(`"From: Jürgen <j@example.org>"`), want: idlepush.Content{From: "Jürgen", Preview: letterContent.Preview}},
		"sends NIL for the text":                  {odd: textIs("NIL"), want: textless},
		"has an empty text in quotes":             {odd: textIs(`""`), want: textless},
		"has a NUL in a subject":                  {mail: imaptest.Message{Header: "From: Ada Lovelace <a@example.org>\r\nSubject: tea\x00 at five\r\n\r\n"}},
		"numbers beyond 2^31": {odd: func(_ *testing.T, s *imaptest.Script) {
			s.UIDValidity, s.Messages[0].UID = 4_294_967_294, 4_294_967_000
		}},
		"refuses the first FETCH":                  {odd: answersSome("UID FETCH", first(1), "TAG NO FETCH Server error while fetching messages\r\n"), within: time.Second},
		"refuses two FETCHes, for now":             {odd: answersSome("UID FETCH", first(2), "TAG NO [TEMPFAIL] UID FETCH Temporary failure on server\r\n"), within: 5 * time.Second},
		"refuses two FETCHes for a fault":          {odd: answersSome("UID FETCH", first(2), "TAG NO [SERVERBUG] Internal error occurred\r\n"), within: 5 * time.Second},
		"is not there for two FETCHes":             {odd: answersSome("UID FETCH", first(2), "TAG NO [UNAVAILABLE] UID FETCH Server error - Please try again later\r\n"), within: 40 * time.Second},
		"announces a mail before it can be had":    {odd: answersSome("UID FETCH", soon(2*time.Second), "TAG OK Success\r\n"), within: 5 * time.Second},
		"loses a mail at FETCH, and gets the next": {odd: losesOne},
		"does not list the parts of a mail":        {odd: partsAre("TAG NO cannot\r\n"), mail: inParts},
		"nests the parts of a mail too deep":       {odd: partsAre("* 2 FETCH (UID 2 BODYSTRUCTURE " + strings.Repeat("(", 40)), mail: inParts, within: time.Minute},
		"ends a list of parts before its time":     {odd: partsAre("* 2 FETCH (UID 2 BODYSTRUCTURE (((\r\nTAG OK done\r\n"), mail: inParts},
	})
}

// inParts is letter, with parts that may be attachments.
var inParts = imaptest.Message{Header: strings.Replace(letter.Header, "text/plain; charset=utf-8", "multipart/mixed; boundary=b", 1), Text: "--b\r\n\r\n" + letter.Text + "--b--\r\n"}

// partsAre answers BODYSTRUCTURE.
func partsAre(text string) oddity {
	return answersSome("UID FETCH", holding("BODYSTRUCTURE"), text+"\r\n")
}

// losesOne removes the message that is fetched first, and delivers another.
func losesOne(t *testing.T, s *imaptest.Script) {
	lost := false
	instead("UID FETCH", func(talk *imaptest.Talk, args string) {
		if !lost {
			lost = true
			s.Remove(2)
			s.Deliver(imaptest.Message{UID: 3, Header: letter.Header, Text: letter.Text})
		}
		talk.Answer("UID FETCH", args)
	})(t, s)
}

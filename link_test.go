package idlepush

import (
	"strings"
	"testing"
)

func TestLink(t *testing.T) {
	t.Parallel()
	t.Run("a link leads to the mail", linkToMail)
	t.Run("a link cannot run anything", linkRunsNothing)
}

func linkToMail(t *testing.T) {
	t.Parallel()
	mail := Notification{Kind: KindMail, Folder: "Schule & Sport/München", Content: Content{MessageID: "a+b/c%d?e@example.org"}}
	for template, want := range map[string]string{
		"":                             "",
		"message:%3C{message_id}%3E":   "message:%3Ca%2Bb%2Fc%25d%3Fe%40example.org%3E",
		"https://mail.example.org/":    "https://mail.example.org/",
		"https://m.example/{folder}/x": "https://m.example/Schule%20%26%20Sport%2FM%C3%BCnchen/x",
		"https://mail.google.com/mail/u/?authuser={email}#search/rfc822msgid:{message_id}": "https://mail.google.com/mail/u/?authuser=ann%40example.org#search/rfc822msgid:a%2Bb%2Fc%25d%3Fe%40example.org",
	} {
		a := Account{Email: "ann@example.org", Link: template}
		if err := (Account{Link: template}).CheckLink(); err.Code != "" {
			t.Errorf("%s: %v", template, err)
		}
		if got := a.LinkTo(mail); got != want {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
	a := Account{Link: "message:{message_id}"}
	if got := a.LinkTo(Notification{Kind: KindMail}); got != "" {
		t.Errorf("a mail without Message-ID leads to %s", got)
	}
	a.Link = "https://mail.example.org/"
	if got := a.LinkTo(Notification{Kind: KindSummary}); got != "" {
		t.Errorf("a summary leads to %s", got)
	}
}

func linkRunsNothing(t *testing.T) {
	t.Parallel()
	for _, template := range []string{"javascript:alert(1)", "ms-msdt:/id", "intent://x#Intent;end", "tel:110", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://x", "view-source:https://x",
		"mail.example.org", "//mail.example.org/", "https:///x", "https://{email}/", "https://ann:pw@example.org/", "https://x.example/{uid}", "https://x.example/{email", "https://x.example/}",
		"https://x.example/ y", "https://x.example/\n", "https://x.example/\u202ey", "https://x.example/\u200b", "https://x.example/\"", "https://x.example/<b>", "https://x.example/" + strings.Repeat("x", 500), "https://x.example/%zz"} {
		if (Account{Link: template}).CheckLink().Code == "" {
			t.Errorf("%q is taken", template)
		}
	}
}

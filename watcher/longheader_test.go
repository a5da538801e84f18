package watcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/ring"
	"idlepush/watcher/imaptest/servers"
)

// No field of a header, however long, costs a mail its sender, its subject, or its place in a trial
// of rules.
func TestLongHeader(t *testing.T) {
	t.Parallel()
	t.Run("at Dovecot", func(t *testing.T) {
		t.Parallel()
		s := servers.Dovecot(t)
		longHeaders(t, s, s.Endpoint)
	})
	t.Run("at Cyrus", func(t *testing.T) {
		t.Parallel()
		s := servers.Cyrus(t)
		longHeaders(t, s, s.Endpoint)
	})
	t.Run("at Courier", func(t *testing.T) {
		t.Parallel()
		s := servers.Courier(t)
		longHeaders(t, s, s.Endpoint)
	})
}

// megabyte repeats a text, with its number, until it has a million bytes.
func megabyte(text string) string {
	var b strings.Builder
	for n := 0; b.Len() < 1_000_000; n++ {
		fmt.Fprintf(&b, text, n)
	}
	return b.String()
}

// long is as much of a line as any server keeps. Cyrus keeps 1,000 fields.
var long = strings.Repeat("x", 2000)

// longFields are fields of a megabyte, by their names in the subjects of mails, and how many
// recipients and Message-IDs of such a mail are facts.
var longFields = []struct {
	name, fields string
	to, thread   int
}{
	{"To", "To: " + megabyte("Guest <guest%d@example.org>,\r\n ") + "last@example.org\r\n", ring.MaxTo, 1},
	{"Cc", "To: anna@example.org\r\nCc: " + megabyte("guest%d@example.org,\r\n ") + "last@example.org\r\n", ring.MaxTo, 1},
	{"manyTo", megabyte("To: guest%d@example.org (" + long + ")\r\n"), 1, 1},
	{"References", "References: " + megabyte("<%d@example.org>\r\n ") + "<last@example.org>\r\n", 0, ring.MaxThread},
	{"ListID", "List-Id: " + megabyte("list%d\r\n ") + "<list.example.org>\r\n", 0, 1},
	{"Unsubscribe", "List-Unsubscribe: " + megabyte("<https://example.org/%d>,\r\n ") + "<mailto:u@example.org>\r\n", 0, 1},
	{"others", megabyte("X-Field-%d: " + long + "\r\n"), 0, 1},
}

func longHeaders(t *testing.T, s mailServer, at servers.Endpoint) {
	h := newHarness(t, accountAt(at, idlepush.SecurityTLS))
	pool, _ := h.watch(t, dialerTo(at))
	h.waitState(t, idlepush.StateWatching)
	var names []string
	for i, m := range longFields {
		s.Deliver(t, at.User, "INBOX", []byte("Date: "+time.Now().Format(time.RFC1123Z)+"\r\n"+m.fields+
			"From: Ada <ada@example.org>\r\nSubject: "+m.name+"\r\nMessage-ID: <"+m.name+"@example.org>\r\n\r\nWords.\r\n"))
		n := h.waitMails(t, i+1)[i]
		want := idlepush.Content{From: "Ada", Subject: m.name, MessageID: m.name + "@example.org", Preview: "Words."}
		facts := n.Facts
		if n.Content != want || len(facts.To) != m.to || len(facts.Thread) != m.thread || facts.From != "ada@example.org" {
			t.Errorf("%s: %q %q %q %q, %d recipients, a thread of %d", m.name, n.Content.From, n.Content.Subject, n.Content.MessageID, n.Content.Preview,
				len(facts.To), len(facts.Thread))
		}
		names = append(names, m.name)
	}
	lines, _ := h.recentOf(t, pool)
	slices.Sort(lines)
	if slices.Sort(names); !slices.Equal(lines, names) {
		t.Errorf("recent are %q", lines)
	}
}

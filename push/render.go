package push

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"idlepush/registry"
)

// payload is what a phone receives, whatever the transport. Unknown fields and kinds are to be ignored by apps.
type payload struct {
	V       int           `json:"v"`
	Kind    registry.Kind `json:"kind"`
	ID      string        `json:"id"`
	Account string        `json:"account,omitempty"`
	Folder  string        `json:"folder,omitempty"`
	At      time.Time     `json:"at"`
	Title   string        `json:"title,omitempty"`
	Body    string        `json:"body,omitempty"`
	From    string        `json:"from,omitempty"`
	Subject string        `json:"subject,omitempty"`
	Preview string        `json:"preview,omitempty"`
	Count   int           `json:"count,omitempty"`
	Unread  *int          `json:"unread,omitempty"`
	Code    string        `json:"code,omitempty"`
	Clear   []string      `json:"clear,omitempty"`
}

// What may be shown in the clear, whatever the level.
const (
	newMail   = "New mail"
	attention = "idlepush needs attention"
	testTitle = "idlepush"
	testBody  = "This device rings when mail arrives."
)

// maxURL is how long a URL to click on may be, in bytes: the name of a host has at most 253. A longer one is not sent.
const maxURL = 500

// Render says what the device may see of its work, at its level now. home is where the page is; empty: not known.
func Render(w registry.Work, home string) Message { return renderIn(0, w, home) }

// click is where a click leads: to the mail itself where the device may know what that takes, else to the page, which says more of it. Without a page
// there is nowhere to lead to: Declarative Web Push counts on one.
func click(w registry.Work, home string) string {
	switch n := w.Notification; {
	case home == "" || len(home)+len("#/mail/")+len(n.ID) > maxURL:
		return ""
	case w.Link != "" && len(w.Link) <= maxURL && w.Device.Content.Allows(registry.Subject):
		return w.Link
	case n.Kind == registry.MailKind:
		return home + "#/mail/" + n.ID
	}
	return home
}

// rooms say how many runes each part of a text may take, and how many ids to clear ride along with it, most generous first. Each
// service has a size of its own, so the senders ask for the next one (Smaller) until what they make of it fits. The first words
// go before the ids do, and the ids before sender and subject are cut to where they tell little. The last always fits, also at 6 bytes
// for each rune.
var rooms = []room{
	{folder: 60, from: 100, subject: 250, preview: 200, text: 300, clear: mostClear},
	{folder: 60, from: 100, subject: 250, preview: 100, text: 300, clear: mostClear},
	{folder: 60, from: 100, subject: 200, preview: 0, text: 200, clear: mostClear},
	{folder: 60, from: 60, subject: 120, preview: 0, text: 120, clear: mostClear},
	{folder: 60, from: 60, subject: 120, preview: 0, text: 120, clear: 25},
	{folder: 60, from: 60, subject: 120, preview: 0, text: 120, clear: 10},
	{folder: 60, from: 60, subject: 120, preview: 0, text: 120, clear: 0},
	{folder: 30, from: 30, subject: 50, preview: 0, text: 100, clear: 0},
}

// room is one of rooms. from is also for the mailbox of a summary, text is for what needs attention.
type room struct{ folder, from, subject, preview, text, clear int }

// mostClear is how many ids to clear one message holds: those of one clear notification, which fit any service.
const mostClear = registry.MostMails

// Smaller is the same message with less in it, the next of what its text can be shortened to. Where nothing is left to
// take it is false.
func (m Message) Smaller() (Message, bool) {
	for i := m.room + 1; m.work != nil && i < len(rooms); i++ {
		if s := renderIn(i, *m.work, m.home); len(s.Payload) < len(m.Payload) {
			return s, true
		}
	}
	return m, false
}

// Smallest is the last of what Smaller gives. Where nothing is left to take it is false.
func (m Message) Smallest() (Message, bool) {
	smallest, shrunk := m.Smaller()
	for s, ok := smallest.Smaller(); ok; s, ok = s.Smaller() {
		smallest = s
	}
	return smallest, shrunk
}

func renderIn(i int, w registry.Work, home string) Message {
	n, level, r := w.Notification, w.Device.Content, rooms[i]
	m := Message{ID: n.ID, Kind: n.Kind, Thread: n.Account, Expires: n.Expires, URL: click(w, home), work: &w, home: home, room: i}
	p := payload{V: 1, Kind: n.Kind, ID: n.ID, Account: n.Account, At: n.At.UTC()}
	told := level.Allows(registry.Sender)
	switch n.Kind {
	case registry.AttentionKind:
		m.Neutral, m.Title = attention, attention
		if told {
			m.Body, p.Code = shorten(n.Text, r.text), n.Code
		}
	case registry.ClearKind:
		m.Silent = true
		if told {
			p.Clear, p.Unread = newest(n.Clear, mostClear), badge(w.Unread)
		}
	case registry.TestKind:
		m.Neutral, m.Title, m.Body = testTitle, testTitle, testBody
	case registry.SummaryKind:
		m.Neutral, m.Title = newMail, newMail
		if told {
			m.Title = summaryText(n.Count, shorten(w.Mailbox, r.from))
			p.Count, p.Unread = n.Count, badge(w.Unread)
		}
	default:
		m.Neutral, m.Title = newMail, newMail
		if told {
			c := n.Content.At(level)
			p.Folder, p.From, p.Subject, p.Preview = shorten(n.Folder, r.folder), shorten(c.From, r.from), shorten(c.Subject, r.subject), shorten(c.Preview, r.preview)
			m.Title, m.Body = mailText(p, level)
			p.Unread = badge(w.Unread)
		}
	}
	if told && !m.Silent {
		p.Title, p.Body, p.Clear = m.Title, m.Body, newest(w.Clear, r.clear)
	}
	m.Unread, m.Payload = p.Unread, encode(p)
	return m
}

// newest are the last of ids, which are oldest first, as many as most.
func newest(ids []string, most int) []string {
	return ids[max(0, len(ids)-most):]
}

// badge is a number that every phone takes, whatever a mail server counts: Safari shows no notification whose badge does not fit into
// 32 bits.
func badge(unread *int) *int {
	if unread == nil {
		return nil
	}
	return new(min(max(0, *unread), math.MaxInt32))
}

// summaryText stands for so many mails. mailbox may be empty.
func summaryText(count int, mailbox string) string {
	switch {
	case mailbox != "":
		return fmt.Sprintf("%d new in %s", count, mailbox)
	case count == 1:
		return "1 new mail"
	}
	return fmt.Sprintf("%d new mails", count)
}

// mailText is what the phone shows: the sender above, subject and first words below. Of a mail of which nothing is known
// it says only that there is one.
func mailText(p payload, level registry.Level) (title, body string) {
	title = cmp.Or(p.From, newMail)
	switch {
	case p.Subject != "" || p.Preview != "":
		body = strings.Trim(p.Subject+"\n"+p.Preview, "\n")
	case p.From == "":
	case level.Allows(registry.Subject):
		body = "(no subject)"
	default:
		body = newMail
	}
	return title, body
}

func encode(p payload) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		panic(err) // strings and times always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// shorten cuts text to at most limit runes, the last an ellipsis where something is missing.
func shorten(text string, limit int) string {
	if limit == 0 {
		return ""
	}
	runes := 0
	cut := 0
	for i := range text {
		if runes == limit-1 {
			cut = i
		}
		if runes++; runes > limit {
			return text[:cut] + "…"
		}
	}
	return text
}

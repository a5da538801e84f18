package push

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/ring"
)

// payload is the JSON that a phone receives through any transport. Apps must ignore unknown fields
// and kinds.
type payload struct {
	V       int           `json:"v"`
	Kind    idlepush.Kind `json:"kind"`
	ID      string        `json:"id"`
	Account string        `json:"account,omitempty"`
	Silent  bool          `json:"silent,omitempty"`
	Loud    bool          `json:"loud,omitempty"`
	Folder  string        `json:"folder,omitempty"`
	At      time.Time     `json:"at"`
	Title   string        `json:"title,omitempty"`
	Body    string        `json:"body,omitempty"`
	From    string        `json:"from,omitempty"`
	Subject string        `json:"subject,omitempty"`
	Preview string        `json:"preview,omitempty"`
	OneTime string        `json:"one_time_code,omitempty"`
	Count   int           `json:"count,omitempty"`
	Unread  *int          `json:"unread,omitempty"`
	payloadMailbox
	payloadReason
	Clear   []string `json:"clear,omitempty"`
	Receipt string   `json:"receipt,omitempty"` // the path at the server to report to
}

// payloadMailbox is what the person wishes of the mailbox.
type payloadMailbox struct {
	Mailbox string `json:"mailbox,omitempty"` // name or address; empty: there is no other
	Color   string `json:"color,omitempty"`
	Sound   string `json:"sound,omitempty"`
}

// payloadReason says what needs attention.
type payloadReason struct {
	Code   codes.Code        `json:"code,omitempty"`
	Params map[string]string `json:"params,omitempty"`
}

// Texts that may be sent in the clear at any level.
const (
	newMail   = "New mail"
	attention = "idlepush needs attention"
	allWorks  = "idlepush works"
	testTitle = "idlepush"
	testBody  = "This device rings when mail arrives."
)

// maxURL bounds the URL of a click, in bytes. A longer one is not sent. The name of a host has at
// most 253 bytes.
const maxURL = 500

// Render returns the message for the work, with no more than the device's level allows now. page is
// the URL of the page, or empty if it is unknown. texts has the codes of an attention and of a
// summary.
func Render(w registry.Work, page string, texts codes.Table) Message {
	if most := idlepush.Level(w.Decision.Content); w.Device.Content.Allows(most) {
		w.Device.Content = most
	}
	return renderSize(0, w, page, texts.Sentence(w.Notification.Code, w.Notification.Params))
}

// clickURL returns the URL that a click opens: the account's link to the mail if the device's level
// allows it, or the page, which opens the mail in the way that the person has chosen on the device.
// If another user chose the link, it is the page, which asks before it opens that. For an attention
// about a mailbox it is the page with what ends that. Without a page it is empty, even if there is
// a link.
func clickURL(w registry.Work, page string) string {
	link := w.Account.LinkTo(w.Notification)
	if !w.Device.Content.Allows(idlepush.LevelSubject) {
		link = ""
	}
	switch n := w.Notification; {
	case page == "" || len(page)+len("#/open/")+len(n.ID) > maxURL:
		return ""
	case link != "" && w.Account.Owner != w.Device.User:
		return page + "#/open/" + n.ID
	case link != "" && len(link) <= maxURL:
		return link
	case n.Kind == idlepush.KindMail:
		return page + "#/open/" + n.ID
	case n.Kind == idlepush.KindAttention && n.Account != "":
		return page + "#/attention/" + n.Account
	case n.Code == registry.CodeShareEnded && w.Device.Content.Allows(idlepush.LevelSender):
		return page + "#/add/" + n.ID // which adds the mailbox again
	}
	return page
}

// sizes are the sizes of a message, largest first. Each service has its own limit, so transports
// try the next size (Smaller) until the message fits. First the preview goes, then the ids to
// clear, and last the sender and subject are cut short. The last size always fits, even at 6 bytes
// per rune.
var sizes = []messageSize{
	{folder: 60, mailbox: 60, from: 100, subject: 250, preview: 200, text: 300, param: 300, clear: maxClear},
	{folder: 60, mailbox: 60, from: 100, subject: 250, preview: 100, text: 300, param: 300, clear: maxClear},
	{folder: 60, mailbox: 60, from: 100, subject: 200, preview: 0, text: 200, param: 200, clear: maxClear},
	{folder: 60, mailbox: 60, from: 60, subject: 120, preview: 0, text: 120, param: 120, clear: maxClear},
	{folder: 60, mailbox: 60, from: 60, subject: 120, preview: 0, text: 120, param: 120, clear: 25},
	{folder: 60, mailbox: 60, from: 60, subject: 120, preview: 0, text: 120, param: 120, clear: 10},
	{folder: 60, mailbox: 60, from: 60, subject: 120, preview: 0, text: 120, param: 120, clear: 0},
	{folder: 25, mailbox: 0, from: 25, subject: 40, preview: 0, text: 85, param: 0, clear: 0},
}

// A messageSize bounds the parts of a message: texts in runes, and the number of ids to clear. from
// also bounds the mailbox of a summary. mailbox bounds its name in requests about it, text the text
// of an attention, and param each of its parameters. 0 leaves the part out.
type messageSize struct{ folder, mailbox, from, subject, preview, text, param, clear int }

// maxClear bounds the ids to clear in one message. Those of one clear notification fit any service.
const maxClear = registry.MaxMails

// Smaller returns the message in the next smaller size, or false if this is the smallest.
func (m Message) Smaller() (Message, bool) {
	for i := m.size + 1; m.work != nil && i < len(sizes); i++ {
		if s := renderSize(i, *m.work, m.page, m.text); len(s.Payload) < len(m.Payload) {
			return s, true
		}
	}
	return m, false
}

// Smallest returns the message in the smallest size, or false if Smaller would.
func (m Message) Smallest() (Message, bool) {
	smallest, shrunk := m.Smaller()
	for s, ok := smallest.Smaller(); ok; s, ok = s.Smaller() {
		smallest = s
	}
	return smallest, shrunk
}

func renderSize(i int, w registry.Work, page, text string) Message {
	n, level, limit := w.Notification, w.Device.Content, sizes[i]
	m := Message{ID: n.ID, Kind: n.Kind, Thread: n.Account, Expires: n.Expires, URL: clickURL(w, page), source: source{&w, page, text, i},
		Silent: w.Decision.Verdict == ring.Silent, Loud: w.Decision.Loud}
	p := payload{V: 1, Kind: n.Kind, ID: n.ID, Account: n.Account, At: n.At.UTC(), Silent: m.Silent, Loud: m.Loud}
	if w.Receipt != "" {
		p.Receipt = receipt.Path + string(w.Receipt)
	}
	showsSender := level.Allows(idlepush.LevelSender)
	if showsSender && n.Kind.IsOfMail() {
		p.payloadMailbox, p.Unread = mailboxOf(w, limit), badge(w.Unread)
	}
	switch n.Kind {
	case idlepush.KindAttention:
		m.Neutral, m.Title = attention, attention
		m.Body, p.payloadReason = said(n, level, text, limit)
	case ring.KindHeartbeat:
		m.Neutral, m.Title = allWorks, allWorks
		m.Body, p.payloadReason = said(n, level, text, limit)
	case idlepush.KindClear:
		if showsSender {
			p.Clear, p.Unread = newest(n.Clear, maxClear), badge(w.Unread)
		}
	case idlepush.KindTest:
		m.Neutral, m.Title, m.Body = testTitle, testTitle, testBody
	case idlepush.KindSummary:
		m.Neutral, m.Title = newMail, newMail
		if showsSender {
			name := shorten(cmp.Or(w.Wishes.Name, w.Account.Email), limit.from)
			m.Title, p.Count = summaryText(n.Count, name), n.Count
			if n.Code == registry.CodeOld {
				p.Folder = shorten(n.Folder, limit.folder)
				m.Title, m.Mailbox = olderText(n.Count, p.Folder), p.Mailbox
			} else if n.Code == registry.CodeExcess {
				m.Title, m.Body = moreText(n.Count, name), shorten(text, limit.text)
			}
		}
	default:
		m.Neutral, m.Title = newMail, newMail
		if showsSender {
			c := n.Content.At(level)
			p.Folder, p.From, p.Subject, p.Preview = shorten(n.Folder, limit.folder), shorten(c.From, limit.from), shorten(c.Subject, limit.subject), shorten(c.Preview, limit.preview)
			p.OneTime, m.Mailbox = c.OneTimeCode, p.Mailbox
			m.Title, m.Body = mailText(p, level)
		}
	}
	if m.Sound = p.Sound; m.Silent || n.Kind.IsOfMail() && w.Wishes.Sound == NoSound {
		m.Sound = NoSound
	}
	if showsSender && !m.OnlyClears() {
		p.Title, p.Body, p.Clear = m.Title, m.Body, newest(w.Clear, limit.clear)
	}
	m.Unread, m.Payload = p.Unread, encode(p)
	return m
}

// said returns what an attention or a heartbeat says, from LevelSender on.
func said(n idlepush.Notification, level idlepush.Level, text string, limit messageSize) (body string, r payloadReason) {
	if !level.Allows(idlepush.LevelSender) {
		return "", r
	}
	return shorten(text, limit.text), payloadReason{n.Code, shortenEach(n.Params, limit.param)}
}

// mailboxOf returns what the payload says of the mailbox of the work, from LevelSender on.
func mailboxOf(w registry.Work, limit messageSize) payloadMailbox {
	if limit.mailbox == 0 {
		return payloadMailbox{}
	}
	p := payloadMailbox{Color: w.Wishes.Color, Sound: shorten(w.Wishes.Sound, limit.mailbox)}
	if w.Several {
		p.Mailbox = shorten(cmp.Or(w.Wishes.Name, w.Account.Email), limit.mailbox)
	}
	return p
}

// newest returns the last n of ids, which are oldest first.
func newest(ids []string, n int) []string {
	return ids[max(0, len(ids)-n):]
}

// badge returns the number of unread mails in a range that every phone accepts. Safari does not
// show a notification with a badge of more than 32 bits.
func badge(unread *int) *int {
	if unread == nil {
		return nil
	}
	return new(min(max(0, *unread), math.MaxInt32))
}

// summaryText returns the title of a summary. mailbox may be empty.
func summaryText(count int, mailbox string) string {
	switch {
	case mailbox != "":
		return fmt.Sprintf("%d new in %s", count, mailbox)
	case count == 1:
		return "1 new mail"
	}
	return fmt.Sprintf("%d new mails", count)
}

// olderText returns the title of a summary of old mail.
func olderText(count int, folder string) string {
	if count == 1 {
		return "1 older mail in " + folder
	}
	return fmt.Sprintf("%d older mails in %s", count, folder)
}

// moreText returns the title of a summary of excess mail. mailbox may be empty.
func moreText(count int, mailbox string) string {
	if mailbox == "" {
		return fmt.Sprintf("%d more mails", count)
	}
	return fmt.Sprintf("%d more in %s", count, mailbox)
}

// mailText returns the text that the phone shows: the sender as title, subject and preview below.
// If nothing is known of the mail, it says only that there is one. A one-time code stands before
// both.
func mailText(p payload, level idlepush.Level) (title, body string) {
	title = cmp.Or(p.From, newMail)
	switch {
	case p.Subject != "" || p.Preview != "":
		body = strings.Trim(p.Subject+"\n"+p.Preview, "\n")
	case p.From == "":
	case level.Allows(idlepush.LevelSubject):
		body = "(no subject)"
	default:
		body = newMail
	}
	if p.OneTime != "" {
		title = p.OneTime + " · " + title
		if !strings.HasPrefix(body, p.OneTime) {
			body = strings.TrimSuffix(p.OneTime+" · "+body, " · ")
		}
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

// shortenEach shortens every value, or returns nil if limit is 0.
func shortenEach(params map[string]string, limit int) map[string]string {
	if limit == 0 {
		return nil
	}
	short := make(map[string]string, len(params))
	for name, value := range params {
		short[name] = shorten(value, limit)
	}
	return short
}

// shorten cuts text to at most limit runes. If something is missing, the last is an ellipsis.
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

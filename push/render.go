package push

import (
	"bytes"
	"cmp"
	"encoding/json"
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

// render says what the device may see of its work, at its level now. url is where a click leads.
func render(w registry.Work, url string) Message {
	n, d := w.Notification, w.Device
	m := Message{ID: n.ID, Kind: n.Kind, Thread: n.Account, Expires: n.Expires, URL: url}
	p := payload{V: 1, Kind: n.Kind, ID: n.ID, Account: n.Account, At: n.At.UTC()}
	switch n.Kind {
	case registry.AttentionKind:
		m.Neutral, m.Title = attention, attention
		if d.Content.Allows(registry.Sender) {
			m.Body = shorten(n.Text, 300)
			p.Title, p.Body, p.Code = m.Title, m.Body, n.Code
		}
	case registry.ClearKind:
		m.Silent = true
		if d.Content.Allows(registry.Sender) {
			p.Clear = n.Clear
		}
	case registry.TestKind:
		m.Neutral, m.Title, m.Body = testTitle, testTitle, testBody
		if d.Content.Allows(registry.Sender) {
			p.Title, p.Body = m.Title, m.Body
		}
	default:
		m.Neutral = newMail
		return renderMail(m, p, n, d.Content)
	}
	m.Payload = encode(p)
	return m
}

// room is how many runes each part of a mail may take, most generous first: the first that fits MaxPayload is used.
// The last always fits: 30 + 50 runes stand twice, at no more than 6 bytes each.
var room = []struct{ from, subject, preview int }{
	{100, 250, 200}, {100, 250, 100}, {100, 200, 0}, {60, 120, 0}, {30, 50, 0},
}

func renderMail(m Message, p payload, n registry.Notification, level registry.Level) Message {
	if !level.Allows(registry.Sender) {
		m.Title, m.Payload = newMail, encode(p)
		return m
	}
	p.Folder = shorten(n.Folder, 60)
	c := n.Content.At(level)
	for _, r := range room {
		p.From, p.Subject, p.Preview = shorten(c.From, r.from), shorten(c.Subject, r.subject), shorten(c.Preview, r.preview)
		p.Title, p.Body = mailText(p, level)
		if m.Payload = encode(p); len(m.Payload) <= MaxPayload {
			break
		}
	}
	m.Title, m.Body = p.Title, p.Body
	return m
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

package push

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"idlepush/registry"
)

var updateGolden = flag.Bool("update", false, "write testdata anew")

var everyLevel = []registry.Level{registry.Wake, registry.Sender, registry.Subject, registry.Preview}

// planted is a notification whose words can be told apart.
func planted(kind registry.Kind) registry.Notification {
	at := time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	n := registry.Notification{ID: registry.StableID("family", "INBOX", 1, 1), Kind: kind, Account: "family", At: at, Expires: at.Add(kind.Lifetime())}
	switch kind {
	case registry.MailKind:
		n.Folder = "Planted/Folder"
		n.Content = registry.Content{From: "Planted From", Subject: "Planted <Subject> & \"more\"", Preview: "Planted preview, first words"}
	case registry.ClearKind:
		n.Clear = []string{registry.StableID("family", "INBOX", 1, 2), registry.StableID("family", "INBOX", 1, 3)}
	case registry.AttentionKind:
		n.Code, n.Text = "imap_password", "ann@example.org: the server refuses the password. Enter it again."
	}
	return n
}

func at(l registry.Level) registry.Device { return registry.Device{Content: l} }

// TestWhatAPhoneReceivesIsTheContractToTheByte: the files are what apps are built against.
func TestWhatAPhoneReceivesIsTheContractToTheByte(t *testing.T) {
	for _, kind := range []registry.Kind{registry.MailKind, registry.ClearKind, registry.AttentionKind, registry.TestKind} {
		for _, level := range everyLevel {
			name := filepath.Join("testdata", "render", fmt.Sprintf("%s-%s.json", kind, level))
			m := render(registry.Work{Notification: planted(kind), Device: at(level)}, "https://push.example.org/")
			var got bytes.Buffer
			e := json.NewEncoder(&got)
			e.SetEscapeHTML(false)
			e.SetIndent("", "\t")
			if err := e.Encode(map[string]any{"title": m.Title, "body": m.Body, "neutral": m.Neutral, "thread": m.Thread,
				"url": m.URL, "ttl": m.TTL(planted(kind).At).String(), "payload": json.RawMessage(m.Payload)}); err != nil {
				t.Fatal(err)
			}
			if *updateGolden {
				if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s is now\n%s", name, got.Bytes())
			}
		}
	}
}

func TestWakeCarriesVersionKindIDAccountAndTimeAndNothingElse(t *testing.T) {
	for _, kind := range []registry.Kind{registry.MailKind, registry.ClearKind, registry.AttentionKind, registry.TestKind} {
		n := planted(kind)
		m := render(registry.Work{Notification: n, Device: at(registry.Wake)}, "")
		var fields map[string]any
		if err := json.Unmarshal(m.Payload, &fields); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"v": 1.0, "kind": string(kind), "id": n.ID, "account": "family", "at": "2026-03-01T12:00:00Z"}
		if !maps.Equal(fields, want) {
			t.Errorf("%s: %v, want %v", kind, fields, want)
		}
	}
}

// TestNoLevelLetsOutMoreThanItAllows looks for each part of a mail in everything that can leave the house.
func TestNoLevelLetsOutMoreThanItAllows(t *testing.T) {
	full := registry.Content{From: "Wfrom", Subject: "Wsubject", Preview: "Wpreview"}
	allowed := map[string]registry.Level{full.From: registry.Sender, full.Subject: registry.Subject, full.Preview: registry.Preview, "Wfolder": registry.Sender}
	for _, level := range append([]registry.Level{"", "everything"}, everyLevel...) {
		for part := range 8 { // also mails that lack parts
			c := full
			if part&1 != 0 {
				c.From = ""
			}
			if part&2 != 0 {
				c.Subject = ""
			}
			if part&4 != 0 {
				c.Preview = ""
			}
			n := planted(registry.MailKind)
			n.Folder, n.Content = "Wfolder", c
			m := render(registry.Work{Notification: n, Device: at(level)}, "")
			shown := strings.Join([]string{m.Title, m.Body, m.Neutral, string(m.Payload)}, "\n")
			for word, least := range allowed {
				if !level.Allows(least) && strings.Contains(shown, word) {
					t.Errorf("level %q lets out %s:\n%s", level, word, shown)
				}
				if strings.Contains(m.Neutral, word) {
					t.Errorf("what is shown in the clear has %s: %s", word, m.Neutral)
				}
			}
			if level.Allows(registry.Sender) && !strings.Contains(shown, "Wfolder") {
				t.Errorf("level %q leaves out the folder:\n%s", level, shown)
			}
			for word, is := range map[string]string{full.From: c.From, full.Subject: c.Subject, full.Preview: c.Preview} {
				if is != "" && level.Allows(allowed[word]) && !strings.Contains(shown, word) {
					t.Errorf("level %q leaves out %s:\n%s", level, word, shown)
				}
			}
		}
	}
	attention := render(registry.Work{Notification: planted(registry.AttentionKind), Device: at(registry.Wake)}, "")
	if shown := attention.Title + attention.Body + string(attention.Payload); strings.Contains(shown, "example.org") || strings.Contains(shown, "password") {
		t.Errorf("wake lets out what needs attention: %s", shown)
	}
}

// hostile is text that takes more room than it looks, or that JSON or a parser of it stumbles over.
var hostile = map[string]string{
	"4-byte runes":       strings.Repeat("𝄞", 400),
	"quotes":             strings.Repeat(`"`, 400),
	"backslashes":        strings.Repeat(`\`, 400),
	"control characters": strings.Repeat("\x00\x1f", 200),
	"line separators":    strings.Repeat("\u2028\u2029", 200),
	"markup":             strings.Repeat("</script>&", 40),
	"not UTF-8":          strings.Repeat("\xff\xc3", 200),
	"combining":          "e" + strings.Repeat("\u0301", 1000),
	"100 KB":             strings.Repeat("long ", 20_000),
	"100 KB of escapes":  strings.Repeat("\x01", 100_000),
	"one rune":           "é",
	"nothing":            "",
}

func TestEveryPayloadFitsAndIsValidJSONWhateverTheMailSays(t *testing.T) {
	for name, text := range hostile {
		for other, short := range map[string]string{"the same": text, "little": "x"} {
			for _, level := range everyLevel {
				n := planted(registry.MailKind)
				n.ID, n.Account = strings.Repeat("i", 32), strings.Repeat("a", 26)
				n.Folder, n.Content = text, registry.Content{From: short, Subject: text, Preview: short}
				checkPayload(t, fmt.Sprintf("%s, else %s, %s", name, other, level), n, render(registry.Work{Notification: n, Device: at(level)}, ""))
			}
		}
		n := planted(registry.AttentionKind)
		n.Text = text
		checkPayload(t, name+", attention", n, render(registry.Work{Notification: n, Device: at(registry.Preview)}, ""))
	}
}

func checkPayload(t testing.TB, name string, n registry.Notification, m Message) {
	t.Helper()
	if len(m.Payload) > MaxPayload {
		t.Errorf("%s: the payload has %d bytes", name, len(m.Payload))
	}
	if !utf8.Valid(m.Payload) || bytes.ContainsAny(m.Payload, "\n\u2028\u2029\x00") {
		t.Errorf("%s: the payload is not one line of UTF-8: %q", name, m.Payload)
	}
	var p payload
	if err := json.Unmarshal(m.Payload, &p); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if p.ID != n.ID || p.Account != n.Account || p.Kind != n.Kind {
		t.Errorf("%s: the payload is about %q %q %q", name, p.Kind, p.ID, p.Account)
	}
	if m.Title == "" || m.Neutral == "" {
		t.Errorf("%s: title %q, neutral %q", name, m.Title, m.Neutral)
	}
}

// TestTheLastRoomFitsTheWorstMail: 6 bytes a rune in every field.
func TestTheLastRoomFitsTheWorstMail(t *testing.T) {
	worst := strings.Repeat("\x01", 1000)
	n := planted(registry.MailKind)
	n.ID, n.Account, n.Folder = strings.Repeat("i", 32), strings.Repeat("a", 26), worst
	n.Content = registry.Content{From: worst, Subject: worst, Preview: worst}
	m := render(registry.Work{Notification: n, Device: at(registry.Preview)}, "")
	checkPayload(t, "the worst mail", n, m)
	last := room[len(room)-1]
	if from, subject := utf8.RuneCountInString(m.Title), utf8.RuneCountInString(m.Body); from != last.from || subject != last.subject {
		t.Errorf("it has %d runes of sender and %d of subject, so this is not the last room", from, subject)
	}
}

// TestAMailThatFitsIsNotShortened: what is cut away is cut for room, not by habit.
func TestAMailThatFitsIsNotShortened(t *testing.T) {
	n := planted(registry.MailKind)
	n.Content = registry.Content{From: strings.Repeat("f", 100), Subject: strings.Repeat("s", 250), Preview: strings.Repeat("p", 200)}
	if m := render(registry.Work{Notification: n, Device: at(registry.Preview)}, ""); m.Title != n.Content.From || m.Body != n.Content.Subject+"\n"+n.Content.Preview {
		t.Errorf("shortened to %q and %q", m.Title, m.Body)
	}
	n.Content.Subject = strings.Repeat("\x01", 250)
	m := render(registry.Work{Notification: n, Device: at(registry.Preview)}, "")
	if m.Title == "" || !strings.HasPrefix(m.Body, "\x01") || !strings.HasSuffix(m.Body, "…") {
		t.Errorf("a subject that takes too much room became %q", m.Body)
	}
}

func TestWhatThePhoneShows(t *testing.T) {
	ann := registry.Content{From: "Ann", Subject: "Dinner", Preview: "At eight?"}
	for _, c := range []struct {
		name        string
		level       registry.Level
		content     registry.Content
		title, body string
	}{
		{"wake", registry.Wake, ann, "New mail", ""},
		{"sender", registry.Sender, ann, "Ann", "New mail"},
		{"subject", registry.Subject, ann, "Ann", "Dinner"},
		{"preview", registry.Preview, ann, "Ann", "Dinner\nAt eight?"},
		{"no sender, at sender", registry.Sender, registry.Content{Subject: "Dinner"}, "New mail", ""},
		{"no sender", registry.Subject, registry.Content{Subject: "Dinner"}, "New mail", "Dinner"},
		{"no subject", registry.Subject, registry.Content{From: "Ann"}, "Ann", "(no subject)"},
		{"no subject, with words", registry.Preview, registry.Content{From: "Ann", Preview: "At eight?"}, "Ann", "At eight?"},
		{"no words", registry.Preview, registry.Content{From: "Ann", Subject: "Dinner"}, "Ann", "Dinner"},
		{"blind", registry.Preview, registry.Content{}, "New mail", ""},
		{"blind, at sender", registry.Sender, registry.Content{}, "New mail", ""},
		{"a sender of our words", registry.Sender, registry.Content{From: "New mail"}, "New mail", "New mail"},
	} {
		n := planted(registry.MailKind)
		n.Content = c.content
		m := render(registry.Work{Notification: n, Device: at(c.level)}, "")
		if m.Title != c.title || m.Body != c.body {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, m.Title, m.Body, c.title, c.body)
		}
		if m.Neutral != "New mail" {
			t.Errorf("%s: neutral %q", c.name, m.Neutral)
		}
	}
}

func TestTheLaterRoomsAreNeverMoreGenerous(t *testing.T) {
	for i := 1; i < len(room); i++ {
		a, b := room[i-1], room[i]
		if b.from > a.from || b.subject > a.subject || b.preview > a.preview || a == b {
			t.Errorf("after %v comes %v", a, b)
		}
	}
}

func FuzzShorten(f *testing.F) {
	for _, text := range slices.Sorted(maps.Values(hostile)) {
		f.Add(text[:min(len(text), 500)], 10)
	}
	f.Add("New mail", 8)
	f.Add("𝄞𝄞𝄞", 2)
	f.Add("é", 1)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit %= 1000
		if limit < 0 {
			limit = -limit
		}
		got := shorten(text, limit)
		if n := utf8.RuneCountInString(got); n > limit {
			t.Errorf("shorten(%q, %d) is %q, %d runes", text, limit, got, n)
		}
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("shorten(%q, %d) cuts a rune: %q", text, limit, got)
		}
		whole := utf8.RuneCountInString(text) <= limit
		if whole && got != text {
			t.Errorf("shorten(%q, %d) is %q, though all fits", text, limit, got)
		}
		if rest, cut := strings.CutSuffix(got, "…"); !whole && limit > 0 && (!cut || !strings.HasPrefix(text, rest) || utf8.RuneCountInString(got) != limit) {
			t.Errorf("shorten(%q, %d) is %q", text, limit, got)
		}
	})
}

func FuzzRender(f *testing.F) {
	for _, text := range slices.Sorted(maps.Values(hostile)) {
		text = text[:min(len(text), 2000)]
		f.Add(text, text, text, text)
	}
	f.Add("Ann", "Dinner", "At eight?", "INBOX")
	f.Fuzz(func(t *testing.T, from, subject, preview, folder string) {
		n := planted(registry.MailKind)
		n.Folder, n.Content = folder, registry.Content{From: from, Subject: subject, Preview: preview}
		for _, level := range everyLevel {
			checkPayload(t, string(level), n, render(registry.Work{Notification: n, Device: at(level)}, ""))
		}
	})
}

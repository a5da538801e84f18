package push

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"idlepush"
	"idlepush/codes"
	"idlepush/push/pushtest"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/ring"
)

var updateGolden = flag.Bool("update", false, "write testdata anew")

func at(l idlepush.Level) idlepush.Device { return idlepush.Device{Content: l} }

func TestRender(t *testing.T) {
	t.Run("a phone receives exactly the bytes in testdata", renderBytes)
	t.Run("a wake has version, kind, id, account, time and receipt, and nothing else", renderWake)
	t.Run("no level reveals more than it allows", renderLevels)
	t.Run("every payload is valid JSON, whatever the mail contains", renderHostile)
	t.Run("a summary has the number of mails and their account", renderSummary)
	t.Run("every phone accepts the badge", renderBadge)
	t.Run("the phone shows sender, subject and preview", renderText)
	t.Run("docs/apps.md has every field and kind", renderDocs)
}

// Apps are built against these files.
func renderBytes(t *testing.T) {
	for _, level := range pushtest.EveryLevel {
		for work, w := range pushtest.Works(at(level)) {
			name := filepath.Join("testdata", "render", fmt.Sprintf("%s-%s.json", work, level))
			m := Render(w, "https://push.example.org/", pushtest.Sentences)
			var got bytes.Buffer
			e := json.NewEncoder(&got)
			e.SetEscapeHTML(false)
			e.SetIndent("", "\t")
			if err := e.Encode(map[string]any{"title": m.Title, "body": m.Body, "neutral": m.Neutral, "thread": m.Thread,
				"url": m.URL, "badge": m.Unread, "ttl": m.TTL(w.Notification.At).String(),
				"mailbox": m.Mailbox, "silent": m.Silent, "loud": m.Loud, "sound": m.Sound, "payload": json.RawMessage(m.Payload)}); err != nil {
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

func renderWake(t *testing.T) {
	for _, kind := range pushtest.EveryKind {
		n := pushtest.Planted(kind)
		w := pushtest.Work(kind, at(idlepush.LevelWake))
		m := Render(w, "", pushtest.Sentences)
		if m.Unread != nil || strings.Contains(m.Title+m.Body+m.Neutral, "planted") || strings.Contains(m.Title, "12") {
			t.Errorf("%s: shows %q, %q, and badge %v", kind, m.Title, m.Body, m.Unread)
		}
		var fields map[string]any
		if err := json.Unmarshal(m.Payload, &fields); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"v": 1.0, "kind": string(kind), "id": n.ID, "account": "family", "at": "2026-03-01T12:00:00Z", "receipt": receipt.Path + string(w.Receipt)}
		if !maps.Equal(fields, want) {
			t.Errorf("%s: %v, want %v", kind, fields, want)
		}
	}
}

// It looks for each part of a mail in everything that can be sent.
func renderLevels(t *testing.T) {
	full := idlepush.Content{From: "Wfrom", Subject: "Wsubject", Preview: "Wpreview", OneTimeCode: "W482913"}
	allowed := map[string]idlepush.Level{full.From: idlepush.LevelSender, full.Subject: idlepush.LevelSubject, full.Preview: idlepush.LevelPreview, full.OneTimeCode: idlepush.LevelPreview, "Wfolder": idlepush.LevelSender,
		"Wmailbox": idlepush.LevelSender, "Wsound": idlepush.LevelSender, "#abcdef": idlepush.LevelSender}
	for _, level := range append([]idlepush.Level{"", "everything"}, pushtest.EveryLevel...) {
		for part := range 16 { // also mails that lack parts
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
			if part&8 != 0 {
				c.OneTimeCode = ""
			}
			n := pushtest.Planted(idlepush.KindMail)
			n.Folder, n.Content = "Wfolder", c
			w := registry.Work{Notification: n, Device: at(level)}
			w.Several, w.Wishes = true, ring.Wishes{Name: "Wmailbox", Sound: "Wsound", Color: "#abcdef"}
			m := Render(w, "", pushtest.Sentences)
			shown := strings.Join([]string{m.Title, m.Mailbox, m.Body, m.Neutral, m.Sound, string(m.Payload)}, "\n")
			for word, least := range allowed {
				if !level.Allows(least) && strings.Contains(shown, word) {
					t.Errorf("level %q lets out %s:\n%s", level, word, shown)
				}
				if strings.Contains(m.Neutral, word) {
					t.Errorf("what is shown in the clear has %s: %s", word, m.Neutral)
				}
			}
			for _, word := range []string{"Wfolder", "Wmailbox", "Wsound", "#abcdef"} {
				if level.Allows(idlepush.LevelSender) && !strings.Contains(shown, word) {
					t.Errorf("level %q leaves out %s:\n%s", level, word, shown)
				}
			}
			for word, is := range map[string]string{full.From: c.From, full.Subject: c.Subject, full.Preview: c.Preview, full.OneTimeCode: c.OneTimeCode} {
				if is != "" && level.Allows(allowed[word]) && !strings.Contains(shown, word) {
					t.Errorf("level %q leaves out %s:\n%s", level, word, shown)
				}
			}
		}
	}
	attention := Render(registry.Work{Notification: pushtest.Planted(idlepush.KindAttention), Device: at(idlepush.LevelWake)}, "", pushtest.Sentences)
	if shown := attention.Title + attention.Body + string(attention.Payload); strings.Contains(shown, "example.org") || strings.Contains(shown, "password") {
		t.Errorf("wake lets out what needs attention: %s", shown)
	}
}

func renderHostile(t *testing.T) {
	for name, text := range pushtest.Hostile() {
		for other, short := range map[string]string{"the same": text, "little": "x"} {
			for _, level := range pushtest.EveryLevel {
				n := pushtest.Planted(idlepush.KindMail)
				n.ID, n.Account = strings.Repeat("i", 32), strings.Repeat("a", 26)
				n.Folder, n.Content = text, idlepush.Content{From: short, Subject: text, Preview: short}
				checkPayload(t, fmt.Sprintf("%s, else %s, %s", name, other, level), n, Render(registry.Work{Notification: n, Device: at(level)}, "", pushtest.Sentences))
			}
		}
		n := pushtest.Planted(idlepush.KindAttention)
		n.Reason = pushtest.Saying(text)
		checkPayload(t, name+", attention", n, Render(registry.Work{Notification: n, Device: at(idlepush.LevelPreview)}, "", pushtest.Sentences))
	}
}

func checkPayload(t testing.TB, name string, n idlepush.Notification, m Message) {
	t.Helper()
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

func TestSmaller(t *testing.T) {
	t.Run("a mail is not shortened at first", smallerFirst)
	t.Run("first the preview is cut, then ids, then the rest of the text", smallerOrder)
	t.Run("if nothing can be cut, there is no smaller message", smallerNone)
	t.Run("no size is larger than the one before it", smallerSizes)
}

// Texts are cut only if a message is too large.
func smallerFirst(t *testing.T) {
	n := pushtest.Planted(idlepush.KindMail)
	n.Content = idlepush.Content{From: strings.Repeat("f", 100), Subject: strings.Repeat("s", 250), Preview: strings.Repeat("p", 200)}
	if m := Render(registry.Work{Notification: n, Device: at(idlepush.LevelPreview)}, "", pushtest.Sentences); m.Title != n.Content.From || m.Body != n.Content.Subject+"\n"+n.Content.Preview {
		t.Errorf("shortened to %q and %q", m.Title, m.Body)
	}
}

// smallers returns the message and all its smaller versions.
func smallers(m Message) []Message {
	all := []Message{m}
	for s, ok := m.Smaller(); ok; s, ok = s.Smaller() {
		all = append(all, s)
	}
	return all
}

func smallerOrder(t *testing.T) {
	w := pushtest.Work(idlepush.KindMail, at(idlepush.LevelPreview))
	w.Notification.Content = idlepush.Content{From: strings.Repeat("f", 100), Subject: strings.Repeat("s", 250), Preview: strings.Repeat("p", 200)}
	w.Wishes.Name, w.Several, w.Clear = strings.Repeat("n", 60), true, nil
	for i := range uint32(80) {
		w.Clear = append(w.Clear, registry.StableID("family", "INBOX", 1, 100+i))
	}
	var got []messageSize
	for _, m := range smallers(Render(w, "https://push.example.org/", pushtest.Sentences)) {
		var p payload
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			t.Fatal(err)
		}
		got = append(got, messageSize{60, utf8.RuneCountInString(p.Mailbox), utf8.RuneCountInString(p.From), utf8.RuneCountInString(p.Subject), utf8.RuneCountInString(p.Preview), 0, 0, len(p.Clear)})
		if m.ID != w.Notification.ID || m.URL == "" || *m.Unread != 7 || !strings.HasPrefix(m.Title, "fff") || p.Title != m.Title {
			t.Errorf("it is another message: %+v", m)
		}
		if len(p.Clear) > 0 && p.Clear[len(p.Clear)-1] != w.Clear[79] {
			t.Error("the newest id is not among those that are kept")
		}
	}
	want := []messageSize{{60, 60, 100, 250, 200, 0, 0, 50}, {60, 60, 100, 250, 100, 0, 0, 50}, {60, 60, 100, 200, 0, 0, 0, 50}, {60, 60, 60, 120, 0, 0, 0, 50}, {60, 60, 60, 120, 0, 0, 0, 25},
		{60, 60, 60, 120, 0, 0, 0, 10}, {60, 60, 60, 120, 0, 0, 0, 0}, {60, 0, 25, 40, 0, 0, 0, 0}}
	if !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

func smallerNone(t *testing.T) {
	short := pushtest.Work(idlepush.KindMail, at(idlepush.LevelSubject))
	short.Notification.Content, short.Clear = idlepush.Content{From: "Ann", Subject: "Dinner"}, nil
	for name, m := range map[string]Message{
		"wake": Render(pushtest.Work(idlepush.KindMail, at(idlepush.LevelWake)), "", pushtest.Sentences), "little text": Render(short, "", pushtest.Sentences), "a message of a test's own": {Payload: []byte("{}")},
		"clear": Render(pushtest.Work(idlepush.KindClear, at(idlepush.LevelPreview)), "", pushtest.Sentences), "test": Render(pushtest.Work(idlepush.KindTest, at(idlepush.LevelPreview)), "", pushtest.Sentences),
	} {
		if s, ok := m.Smaller(); ok {
			t.Errorf("%s: %s became %s", name, m.Payload, s.Payload)
		}
		if _, ok := m.Smallest(); ok {
			t.Errorf("%s: it has a smallest", name)
		}
	}
	long := pushtest.Work(idlepush.KindAttention, at(idlepush.LevelSender))
	long.Notification.Reason = pushtest.Saying(strings.Repeat("Do this. ", 100))
	m := Render(long, "", pushtest.Sentences)
	all := smallers(m)
	smallest, ok := m.Smallest()
	if !ok || !bytes.Equal(smallest.Payload, all[len(all)-1].Payload) || utf8.RuneCountInString(smallest.Body) != 85 || bytes.Contains(smallest.Payload, []byte("params")) {
		t.Errorf("the smallest is %s", smallest.Payload)
	}
	for i := 1; i < len(all); i++ {
		if len(all[i].Payload) >= len(all[i-1].Payload) {
			t.Errorf("after %d bytes come %d", len(all[i-1].Payload), len(all[i].Payload))
		}
	}
}

func renderSummary(t *testing.T) {
	for _, c := range []struct {
		count          int
		mailbox, title string
	}{{12, "ann@example.org", "12 new in ann@example.org"}, {12, "", "12 new mails"}, {1, "", "1 new mail"}, {37, "", "37 older mails in Family"}, {1, "older", "1 older mail in Family"},
		{99, "ann@example.org", "99 more in ann@example.org"}, {99, "", "99 more mails"}} {
		w := pushtest.Work(idlepush.KindSummary, at(idlepush.LevelSender))
		w.Notification.Count, w.Account.Email = c.count, c.mailbox
		if strings.Contains(c.title, "older") {
			w.Notification.Code, w.Notification.Folder = registry.CodeOld, "Family"
		}
		body := ""
		if c.count == 99 {
			w.Notification.Reason = idlepush.Reason{Code: registry.CodeExcess}.With("limit", "2000")
			body = codes.Join(registry.Codes).Sentence(registry.CodeExcess, w.Notification.Params)
		}
		m := Render(w, "", codes.Join(registry.Codes))
		var p payload
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			t.Fatal(err)
		}
		if m.Title != c.title || p.Title != c.title || m.Body != body || p.Body != body || p.Count != c.count || m.Neutral != "New mail" {
			t.Errorf("%q, %q, %s; want %q", m.Title, m.Body, m.Payload, c.title)
		}
	}
}

// 0 is a valid badge, and an unknown number is not sent.
func renderBadge(t *testing.T) {
	for _, c := range []struct{ unread, want int }{{0, 0}, {1, 1}, {-1, 0}, {1 << 31, 1<<31 - 1}, {1 << 62, 1<<31 - 1}} {
		for _, kind := range []idlepush.Kind{idlepush.KindMail, idlepush.KindSummary, idlepush.KindClear} {
			w := pushtest.Work(kind, at(idlepush.LevelSender))
			w.Unread = new(c.unread)
			m := Render(w, "", pushtest.Sentences)
			if m.Unread == nil || *m.Unread != c.want || !strings.Contains(string(m.Payload), fmt.Sprintf(`"unread":%d`, c.want)) {
				t.Errorf("%s of %d: badge %v, %s", kind, c.unread, m.Unread, m.Payload)
			}
			w.Unread = nil
			if m := Render(w, "", pushtest.Sentences); m.Unread != nil || strings.Contains(string(m.Payload), "unread") {
				t.Errorf("%s: what is not known is told: %s", kind, m.Payload)
			}
		}
	}
}

func renderText(t *testing.T) {
	ann := idlepush.Content{From: "Ann", Subject: "Dinner", Preview: "At eight?"}
	for _, c := range []struct {
		name        string
		level       idlepush.Level
		content     idlepush.Content
		title, body string
	}{
		{"wake", idlepush.LevelWake, ann, "New mail", ""},
		{"sender", idlepush.LevelSender, ann, "Ann", "New mail"},
		{"subject", idlepush.LevelSubject, ann, "Ann", "Dinner"},
		{"preview", idlepush.LevelPreview, ann, "Ann", "Dinner\nAt eight?"},
		{"no sender, at sender", idlepush.LevelSender, idlepush.Content{Subject: "Dinner"}, "New mail", ""},
		{"no sender", idlepush.LevelSubject, idlepush.Content{Subject: "Dinner"}, "New mail", "Dinner"},
		{"no subject", idlepush.LevelSubject, idlepush.Content{From: "Ann"}, "Ann", "(no subject)"},
		{"no subject, with words", idlepush.LevelPreview, idlepush.Content{From: "Ann", Preview: "At eight?"}, "Ann", "At eight?"},
		{"no words", idlepush.LevelPreview, idlepush.Content{From: "Ann", Subject: "Dinner"}, "Ann", "Dinner"},
		{"blind", idlepush.LevelPreview, idlepush.Content{}, "New mail", ""},
		{"blind, at sender", idlepush.LevelSender, idlepush.Content{}, "New mail", ""},
		{"a code", idlepush.LevelPreview, idlepush.Content{From: "Shop", Subject: "Your code", Preview: "Enter 4829", OneTimeCode: "4829"}, "4829 · Shop", "4829 · Your code\nEnter 4829"},
		{"a code in front already", idlepush.LevelPreview, idlepush.Content{From: "Shop", Subject: "4829 is your code", OneTimeCode: "4829"}, "4829 · Shop", "4829 is your code"},
		{"a code, at subject", idlepush.LevelSubject, idlepush.Content{From: "Shop", Subject: "Your code", OneTimeCode: "4829"}, "Shop", "Your code"},
		{"a code alone", idlepush.LevelPreview, idlepush.Content{OneTimeCode: "4829"}, "4829 · New mail", "4829"},
		{"a sender of our words", idlepush.LevelSender, idlepush.Content{From: "New mail"}, "New mail", "New mail"},
	} {
		n := pushtest.Planted(idlepush.KindMail)
		n.Content = c.content
		m := Render(registry.Work{Notification: n, Device: at(c.level)}, "", pushtest.Sentences)
		if m.Title != c.title || m.Body != c.body {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, m.Title, m.Body, c.title, c.body)
		}
		if m.Neutral != "New mail" {
			t.Errorf("%s: neutral %q", c.name, m.Neutral)
		}
	}
}

func smallerSizes(t *testing.T) {
	for i := 1; i < len(sizes); i++ {
		a, b := sizes[i-1], sizes[i]
		if b.folder > a.folder || b.mailbox > a.mailbox || b.from > a.from || b.subject > a.subject || b.preview > a.preview || b.text > a.text || b.clear > a.clear || a == b {
			t.Errorf("after %v comes %v", a, b)
		}
	}
}

func FuzzShorten(f *testing.F) {
	for _, text := range slices.Sorted(maps.Values(pushtest.Hostile())) {
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

// There the author of an app finds all that a phone can receive.
func renderDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/apps.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[payload]()) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			words = append(words, name)
		}
	}
	for _, kind := range pushtest.EveryKind {
		words = append(words, string(kind))
	}
	for _, word := range words {
		if !bytes.Contains(page, []byte("`"+word+"`")) {
			t.Errorf("docs/apps.md does not tell of %s", word)
		}
	}
}

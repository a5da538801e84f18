package services_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
	"idlepush/ring"
)

func TestSize(t *testing.T) {
	t.Run("a message that a service finds too large is sent once more, as small as possible", sizeTooLarge)
	t.Run("the smallest version of a message fits every service, with any text", sizeWorst)
}

func sizeTooLarge(t *testing.T) {
	st := servedSetup(t, nil)
	code := map[idlepush.Transport]codes.Code{fcm.Name: "fcm_too_large", apns.Name: "apns_payload_too_large",
		webpush.Browser: "webpush_too_large", webpush.UnifiedPush: "webpush_too_large"}
	requests := func() int { return st.fcm.Requests() + st.apns.Requests() + st.web.Requests() }
	for name, d := range st.devices {
		long := st.work(idlepush.KindMail, name, idlepush.LevelPreview)
		long.Notification.Expires = time.Now().Add(time.Hour)
		long.Notification.Content = idlepush.Content{From: "Ann", Subject: strings.Repeat("Dinner ", 40), Preview: strings.Repeat("At eight. ", 40)}
		bare := st.work(idlepush.KindMail, name, idlepush.LevelWake)
		bare.Notification.Expires = long.Notification.Expires
		for _, c := range []struct {
			what             string
			work             registry.Work
			refusals, expect int
			result           registry.Result
		}{
			{"once", long, 1, 2, registry.ResultDelivered},
			{"twice", long, 2, 2, registry.ResultRefused},
			{"with nothing to take away", bare, 1, 1, registry.ResultRefused},
		} {
			before := requests()
			fault := pushtest.Fault{Status: http.StatusRequestEntityTooLarge, Times: c.refusals}
			if d.Transport == apns.Name {
				fault.Reason = "PayloadTooLarge"
			}
			st.fcm.Fail("", fault)
			st.apns.Fail("", fault)
			st.web.Fail("", fault)
			m := push.Render(c.work, home, pushtest.Sentences)
			o := st.sender(d).Send(t.Context(), d, m)
			st.fcm.ClearFaults()
			st.apns.ClearFaults()
			st.web.ClearFaults()
			if o.Result != c.result || o.Result == registry.ResultRefused && o.Code != code[d.Transport] || requests()-before != c.expect {
				t.Errorf("%s, too large %s: %+v after %d requests", name, c.what, o, requests()-before)
			}
			if o.Result != registry.ResultDelivered {
				continue
			}
			smallest, _ := m.Smallest()
			if _, payload := st.last(d.Transport); !bytes.Contains(payload, smallest.Payload) {
				t.Errorf("%s: it was sent as %s", name, payload)
			}
		}
	}
}

// sizes checks the size of the request to a service, and that its JSON is complete and in UTF-8.
func sizes(t testing.TB, name string, r push.Request) {
	t.Helper()
	text := r.Body
	switch {
	case strings.HasPrefix(name, "fcm"):
		var m struct {
			Message struct{ Data map[string]string }
		}
		if err := json.Unmarshal(r.Body, &m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		size := 0
		for key, value := range m.Message.Data {
			size += len(key) + len(value)
			if key == "idlepush" {
				text = []byte(value)
			}
		}
		if size > 4096 {
			t.Errorf("%s: %d bytes of keys and values", name, size)
		}
	case strings.HasPrefix(name, "apns"):
		if len(r.Body) > 4096 {
			t.Errorf("%s: a payload of %d bytes", name, len(r.Body))
		}
	default:
		if len(r.Plaintext) > 2500 || len(r.Body) > 2744 {
			t.Errorf("%s: a plaintext of %d bytes, %d encrypted", name, len(r.Plaintext), len(r.Body))
		}
	}
	if r.Plaintext != nil {
		text = r.Plaintext
	}
	if !json.Valid(text) || !utf8.Valid(text) {
		t.Errorf("%s: no JSON in UTF-8: %q", name, text)
	}
}

// The text has 6 bytes for each rune in each field, the longest URL, and the largest numbers.
func sizeWorst(t *testing.T) {
	st := offlineSetup(t)
	worst := strings.Repeat("\x01", 1000)
	longest := codes.Entry{Code: codes.Code(strings.Repeat("c", 60)), Text: "{text}"}
	for _, url := range []string{"", "https://" + strings.Repeat("h", 253) + "/"} {
		for name := range st.devices {
			for _, kind := range pushtest.EveryKind {
				w := st.work(kind, name, idlepush.LevelPreview)
				n := &w.Notification
				n.ID, n.Account, n.At = strings.Repeat("i", 32), strings.Repeat("a", 32), time.Date(2026, 12, 12, 23, 59, 59, 123456789, time.UTC)
				n.Reason, n.Folder, n.Count = idlepush.Reason{Code: longest.Code}.With("text", worst), worst, 1<<62
				n.Content = idlepush.Content{From: worst, Subject: worst, Preview: worst, OneTimeCode: "48291307"}
				w.Account.Email, w.Unread = worst, new(1<<62)
				w.Decision, w.Several, w.Wishes = ring.Decision{Verdict: ring.Silent}, true, ring.Wishes{Name: worst, Color: "#123456", Sound: worst}
				n.Clear, w.Clear = nil, nil
				for i := range uint32(200) {
					n.Clear = append(n.Clear, registry.StableID("a", "b", 1, i))
				}
				w.Clear, w.Account.Link = n.Clear, "https://"+strings.Repeat("l", 492)
				m := push.Render(w, url, codes.Join([]codes.Entry{longest}))
				if url != "" && m.URL == "" {
					t.Fatal("the URL is too long for this test")
				}
				sizes(t, name, st.preview(t, name, m)) // the senders find a size that fits
				smallest, _ := m.Smallest()
				sizes(t, name, st.preview(t, name, smallest))
			}
		}
	}
}

// FuzzSizing checks requests with arbitrary texts and numbers of ids to clear. Every service must
// accept them, texts must be cut between runes, and no level may reveal more than it allows.
func FuzzSizing(f *testing.F) {
	st := offlineSetup(f)
	type form struct {
		device string
		level  idlepush.Level
		kind   idlepush.Kind
	}
	var forms []form
	for _, device := range slices.Sorted(maps.Keys(st.devices)) {
		for _, level := range pushtest.EveryLevel {
			for _, kind := range pushtest.EveryKind {
				forms = append(forms, form{device, level, kind})
			}
		}
	}
	texts := slices.Sorted(maps.Values(pushtest.Hostile()))
	for i := range forms { // not all pairs: a short run must reach texts of its own
		text := texts[i%len(texts)]
		text = text[:min(len(text), 2000)]
		f.Add(uint(i), text, text, text, text, text, uint8(200), 1<<40)
	}
	f.Add(uint(0), "Ann", "Dinner", "At eight?", "INBOX", "ann@example.org", uint8(3), 0)
	f.Fuzz(func(t *testing.T, i uint, from, subject, preview, folder, mailbox string, clear uint8, unread int) {
		one := forms[i%uint(len(forms))]
		w := st.work(one.kind, one.device, one.level)
		w.Notification.Folder, w.Notification.Reason = folder, pushtest.Saying(preview)
		w.Notification.Content = idlepush.Content{From: from, Subject: subject, Preview: preview}
		w.Account.Email, w.Unread, w.Clear = mailbox, &unread, nil
		for i := range uint32(clear) {
			w.Clear = append(w.Clear, registry.StableID("a", "b", 1, i))
		}
		if one.kind == idlepush.KindClear {
			w.Notification.Clear = w.Clear
		}
		r := st.preview(t, one.device, push.Render(w, home, pushtest.Sentences))
		sizes(t, one.device, r)
		if one.level == idlepush.LevelWake {
			checkWake(t, one.device, r)
		}
		if one.kind == idlepush.KindMail {
			checkMail(t, one.device, w, r)
		}
	})
}

// told returns the payload in a request, as the app reads it.
func told(t testing.TB, r push.Request) map[string]any {
	t.Helper()
	var p struct {
		Idlepush json.RawMessage
		Message  struct{ Data struct{ Idlepush string } }
	}
	text := r.Body
	if r.Plaintext != nil {
		text = r.Plaintext
	}
	fatal(t, json.Unmarshal(text, &p))
	switch {
	case p.Idlepush != nil:
		text = p.Idlepush
	case p.Message.Data.Idlepush != "":
		text = []byte(p.Message.Data.Idlepush)
	}
	var fields map[string]any
	fatal(t, json.Unmarshal(text, &fields))
	return fields
}

func checkWake(t testing.TB, name string, r push.Request) {
	t.Helper()
	fields := told(t, r)
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, []string{"account", "at", "id", "kind", "receipt", "v"}) {
		t.Errorf("%s at wake: %v", name, got)
	}
	if bytes.Contains(r.Body, []byte("badge")) || bytes.Contains(r.Plaintext, []byte("badge")) {
		t.Errorf("%s at wake has a badge", name)
	}
}

// checkMail fails the test if the level does not allow a field, or if a rune was cut.
func checkMail(t testing.TB, name string, w registry.Work, r push.Request) {
	t.Helper()
	fields := told(t, r)
	level, c := w.Device.Content, w.Notification.Content
	for field, f := range map[string]struct {
		least idlepush.Level
		text  string
	}{"from": {idlepush.LevelSender, c.From}, "subject": {idlepush.LevelSubject, c.Subject}, "preview": {idlepush.LevelPreview, c.Preview}, "folder": {idlepush.LevelSender, w.Notification.Folder}} {
		got, _ := fields[field].(string)
		if got != "" && !level.Allows(f.least) {
			t.Errorf("%s at %s lets out the %s %q", name, level, field, got)
		}
		if part := strings.TrimSuffix(got, "…"); utf8.ValidString(f.text) && !strings.HasPrefix(f.text, part) {
			t.Errorf("%s: %s %q is no part of %q", name, field, got, f.text)
		}
	}
	if !level.Allows(idlepush.LevelSender) {
		return
	}
	shown := fmt.Sprint(fields["title"], "\n", fields["body"])
	for _, f := range []string{"from", "subject", "preview"} {
		if part, _ := fields[f].(string); !strings.Contains(shown, strings.Trim(part, "\n")) {
			t.Errorf("%s shows %q without the %s %q", name, shown, f, part)
		}
	}
}

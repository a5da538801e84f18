package push_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

const home = "https://push.example.org/"

// town is a stand-in of each service, a sender that knows it, and a device of each form.
type town struct {
	fcm     *pushtest.FCM
	apns    *pushtest.APNs
	web     *pushtest.WebPush
	senders map[registry.Transport]push.Sender
	devices map[string]registry.Device
}

// newTown makes a town whose services are at the origins.
func newTown(t testing.TB, fcmAt, apnsAt, webAt string, f *pushtest.FCM, a *pushtest.APNs, w *pushtest.WebPush) *town {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	google, err := fcm.New(fcm.Config{Credentials: f.Credentials(fcmAt), Endpoint: fcmAt + "/v1"})
	fatal(t, err)
	apple, err := apns.New(apns.Config{Key: a.Key, KeyID: a.KeyID, TeamID: a.TeamID, Topic: a.Topic, Endpoint: apnsAt})
	fatal(t, err)
	browsers := webpush.New(webpush.Config{VAPID: key, Subject: func() string { return "mailto:admin@example.org" },
		Permit: func(netip.Addr, bool) error { return nil }})
	receiver := newReceiver(t)
	keys := receiver.Keys()
	sub, err := w.Subscribe(webAt, "")
	fatal(t, err)
	return &town{fcm: f, apns: a, web: w,
		senders: map[registry.Transport]push.Sender{registry.FCM: google, registry.APNs: apple, registry.WebPush: browsers, registry.UnifiedPush: browsers},
		devices: map[string]registry.Device{
			"fcm":            {ID: "d1", Transport: registry.FCM, Token: registry.Secret(f.Register(nil))},
			"fcm-encrypted":  {ID: "d2", Transport: registry.FCM, Token: registry.Secret(f.Register(receiver)), Encryption: &keys},
			"apns":           {ID: "d3", Transport: registry.APNs, Environment: registry.Production, Token: registry.Secret(a.Register(nil))},
			"apns-encrypted": {ID: "d4", Transport: registry.APNs, Environment: registry.Sandbox, Token: registry.Secret(a.Register(receiver)), Encryption: &keys},
			"webpush":        {ID: "d5", Transport: registry.WebPush, Subscription: &sub},
			"unifiedpush":    {ID: "d6", Transport: registry.UnifiedPush, Subscription: &sub},
		}}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func standIns(t testing.TB) (*pushtest.FCM, *pushtest.APNs, *pushtest.WebPush) {
	t.Helper()
	f, err := pushtest.NewFCM("family-mail")
	fatal(t, err)
	a, err := pushtest.NewAPNs("org.example.mail")
	fatal(t, err)
	return f, a, pushtest.NewWebPush()
}

// quietTown is one where nobody serves: it is for what touches no network.
func quietTown(t testing.TB) *town {
	t.Helper()
	f, a, w := standIns(t)
	return newTown(t, "https://fcm.example", "https://apns.example", "https://web.example", f, a, w)
}

// servedTown is one whose services listen. Each request that they get is handed to seen first; nil: to nobody.
func servedTown(t *testing.T, seen func(*http.Request)) *town {
	t.Helper()
	f, a, w := standIns(t)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		serving.Wait()
	})
	serve := func(h http.Handler) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		fatal(t, err)
		serving.Go(func() {
			if err := pushtest.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if seen != nil {
					seen(r)
				}
				h.ServeHTTP(w, r)
			})); err != nil {
				t.Error(err)
			}
		})
		return "http://" + l.Addr().String()
	}
	return newTown(t, serve(f), serve(a), serve(w), f, a, w)
}

func (tn *town) preview(t testing.TB, name string, m push.Message) push.Request {
	t.Helper()
	d := tn.devices[name]
	r, refusal := tn.senders[d.Transport].Preview(d, m)
	if refusal != nil {
		t.Fatalf("%s: %+v", name, *refusal)
	}
	return r
}

// work is a planted notification for the device.
func (tn *town) work(kind registry.Kind, name string, level registry.Level) registry.Work {
	d := tn.devices[name]
	d.Content = level
	return push.Planted(kind, d)
}

var (
	versions   = regexp.MustCompile(`/[0-9]\S*`)
	ciphertext = regexp.MustCompile(`"encrypted":"([A-Za-z0-9_-]+)"`)
	vapidKey   = regexp.MustCompile(`, k=[A-Za-z0-9_-]+`)
)

// TestWhatEachServiceReceivesIsKnownToTheByte: the files show each request as the service gets it, with secrets hidden and what is
// encrypted shown as only the device reads it.
func TestWhatEachServiceReceivesIsKnownToTheByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the time is always the same
		tn := quietTown(t)
		files := make(map[string][]byte)
		for name, d := range tn.devices {
			for _, kind := range push.EveryKind {
				if kind == registry.ClearKind && d.Transport == registry.WebPush {
					continue // never alone
				}
				var text bytes.Buffer
				for _, level := range push.EveryLevel {
					w := tn.work(kind, name, level)
					w.Notification.Expires = time.Now().Add(kind.Lifetime())
					fmt.Fprintf(&text, "== %s\n\n", level)
					writeRequest(&text, tn.preview(t, name, push.Render(w, home)))
				}
				files[name+"-"+string(kind)+".txt"] = text.Bytes()
			}
		}
		dir := filepath.Join("testdata", "requests")
		if *push.UpdateGolden {
			for name, text := range files {
				fatal(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
			}
		}
		for name, text := range files {
			want, err := os.ReadFile(filepath.Join(dir, name))
			fatal(t, err)
			if !bytes.Equal(text, want) {
				t.Errorf("%s is now\n%s", name, text)
			}
		}
	})
}

// writeRequest writes a request without what differs each time.
func writeRequest(text *bytes.Buffer, r push.Request) {
	fmt.Fprintf(text, "%s %s\n", r.Method, r.URL)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		value := r.Header.Get(name)
		if strings.HasPrefix(name, "X-") {
			value = versions.ReplaceAllString(value, "/(version)")
		}
		fmt.Fprintf(text, "%s: %s\n", name, vapidKey.ReplaceAllString(value, ", k=(key)"))
	}
	if r.Header.Get("Content-Encoding") != "" {
		fmt.Fprintf(text, "\n(%d bytes of ciphertext)\n", len(r.Body))
	} else {
		fmt.Fprintf(text, "\n%s\n", ciphertext.ReplaceAllStringFunc(string(r.Body), func(found string) string {
			return fmt.Sprintf(`"encrypted":"(%d characters)"`, len(found)-len(`"encrypted":""`))
		}))
	}
	if r.Plaintext != nil {
		fmt.Fprintf(text, "\nfor the device alone: %s\n", r.Plaintext)
	}
	text.WriteString("\n")
}

// TestAPreviewIsWhatTheServiceThenReceives: the same headers and the same bytes, but for secrets, randomness, and the second that passed.
func TestAPreviewIsWhatTheServiceThenReceives(t *testing.T) {
	var received *http.Request
	var mu sync.Mutex
	tn := servedTown(t, func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		received = r
	})
	for name, d := range tn.devices {
		for _, kind := range []registry.Kind{registry.MailKind, registry.SummaryKind} {
			w := tn.work(kind, name, registry.Preview)
			w.Notification.Expires = time.Now().Add(time.Hour)
			m := push.Render(w, home)
			want := tn.preview(t, name, m)
			if o := tn.senders[d.Transport].Send(t.Context(), d, m); o.Result != registry.ResultDelivered {
				t.Fatalf("%s: %+v", name, o)
			}
			mu.Lock()
			got := received
			mu.Unlock()
			secret := string(d.Token)
			if d.Subscription != nil {
				_, secret, _ = strings.Cut(strings.TrimPrefix(string(d.Subscription.Endpoint), "http://"), "/")
			}
			if url := "http://" + got.Host + strings.Replace(got.URL.Path, secret, push.Hidden, 1); url != want.URL || got.Method != want.Method {
				t.Errorf("%s: %s %s, want %s %s", name, got.Method, url, want.Method, want.URL)
			}
			for _, added := range []string{"Content-Length", "Accept-Encoding"} {
				got.Header.Del(added)
			}
			scheme, _, _ := strings.Cut(got.Header.Get("Authorization"), " ")
			if hidden := want.Header.Get("Authorization"); !strings.HasPrefix(hidden, scheme+" ") || !strings.Contains(hidden, push.Hidden) {
				t.Errorf("%s: Authorization is %q", name, hidden)
			}
			got.Header.Del("Authorization")
			want.Header.Del("Authorization")
			want.Header["Ttl"], got.Header["Ttl"] = nil, nil
			if !maps.EqualFunc(got.Header, want.Header, slices.Equal) {
				t.Errorf("%s: headers %v, want %v", name, got.Header, want.Header)
			}
			raw, payload := tn.last(d.Transport)
			if d.Transport == registry.WebPush || d.Transport == registry.UnifiedPush {
				if !bytes.Equal(payload, want.Plaintext) || len(raw) != 0 {
					t.Errorf("%s: the device reads %s, want %s", name, payload, want.Plaintext)
				}
				continue
			}
			same := func(text []byte) string {
				text = bytes.Replace(text, []byte(secret), []byte(push.Hidden), 1)
				return regexp.MustCompile(`"ttl":"[^"]*"`).ReplaceAllString(ciphertext.ReplaceAllString(string(text), ""), "")
			}
			if same(raw) != same(want.Body) {
				t.Errorf("%s: body %s\nwant %s", name, raw, want.Body)
			}
			if d.Encryption != nil && !bytes.Equal(payload, want.Plaintext) {
				t.Errorf("%s: the device reads %s, want %s", name, payload, want.Plaintext)
			}
			if strings.Contains(fmt.Sprintf("%s %s %v", want.Body, want.URL, want.Header), secret) {
				t.Errorf("%s: the preview tells the device's address", name)
			}
		}
	}
	for _, v := range [][]string{tn.fcm.Violations(), tn.apns.Violations(), tn.web.Violations()} {
		if len(v) > 0 {
			t.Error(v)
		}
	}
}

// last is the last body that the service accepted, where it is no ciphertext as a whole, and what the device read in it.
func (tn *town) last(transport registry.Transport) (raw, payload []byte) {
	switch transport {
	case registry.FCM:
		all := tn.fcm.Messages()
		return all[len(all)-1].Raw, all[len(all)-1].Payload
	case registry.APNs:
		all := tn.apns.Messages()
		return all[len(all)-1].Raw, all[len(all)-1].Payload
	}
	all := tn.web.Messages()
	return nil, all[len(all)-1].Body
}

// TestAMessageThatAServiceFindsTooLargeIsSentOnceMoreAndSmall.
func TestAMessageThatAServiceFindsTooLargeIsSentOnceMoreAndSmall(t *testing.T) {
	tn := servedTown(t, nil)
	code := map[registry.Transport]string{registry.FCM: "fcm_too_large", registry.APNs: "apns_payload_too_large",
		registry.WebPush: "webpush_too_large", registry.UnifiedPush: "webpush_too_large"}
	requests := func() int { return tn.fcm.Requests() + tn.apns.Requests() + tn.web.Requests() }
	for name, d := range tn.devices {
		long := tn.work(registry.MailKind, name, registry.Preview)
		long.Notification.Expires = time.Now().Add(time.Hour)
		long.Notification.Content = registry.Content{From: "Ann", Subject: strings.Repeat("Dinner ", 40), Preview: strings.Repeat("At eight. ", 40)}
		bare := tn.work(registry.MailKind, name, registry.Wake)
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
			if d.Transport == registry.APNs {
				fault.Reason = "PayloadTooLarge"
			}
			tn.fcm.Fail("", fault)
			tn.apns.Fail("", fault)
			tn.web.Fail("", fault)
			m := push.Render(c.work, home)
			o := tn.senders[d.Transport].Send(t.Context(), d, m)
			tn.fcm.Heal()
			tn.apns.Heal()
			tn.web.Heal()
			if o.Result != c.result || o.Result == registry.ResultRefused && o.Code != code[d.Transport] || requests()-before != c.expect {
				t.Errorf("%s, too large %s: %+v after %d requests", name, c.what, o, requests()-before)
			}
			if o.Result != registry.ResultDelivered {
				continue
			}
			smallest, _ := m.Smallest()
			if _, payload := tn.last(d.Transport); !bytes.Contains(payload, smallest.Payload) {
				t.Errorf("%s: it was sent as %s", name, payload)
			}
		}
	}
}

// sizes holds what a service would receive to that service's limit, and to being whole JSON in UTF-8.
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

// TestTheLastRoomFitsEveryServiceWithTheWorstText: 6 bytes for each rune in each field, the longest URL, and the largest numbers.
func TestTheLastRoomFitsEveryServiceWithTheWorstText(t *testing.T) {
	tn := quietTown(t)
	worst := strings.Repeat("\x01", 1000)
	for _, url := range []string{"", "https://" + strings.Repeat("h", 253) + "/"} {
		for name := range tn.devices {
			for _, kind := range push.EveryKind {
				w := tn.work(kind, name, registry.Preview)
				n := &w.Notification
				n.ID, n.Account, n.At = strings.Repeat("i", 32), strings.Repeat("a", 32), time.Date(2026, 12, 12, 23, 59, 59, 123456789, time.UTC)
				n.Code, n.Text, n.Folder, n.Count = strings.Repeat("c", 60), worst, worst, 1<<62
				n.Content = registry.Content{From: worst, Subject: worst, Preview: worst}
				w.Mailbox, w.Unread = worst, new(1<<62)
				n.Clear, w.Clear = nil, nil
				for i := range uint32(200) {
					n.Clear = append(n.Clear, registry.StableID("a", "b", 1, i))
				}
				w.Clear, w.Link = n.Clear, "https://"+strings.Repeat("l", 492)
				m := push.Render(w, url)
				if url != "" && m.URL == "" {
					t.Fatal("the URL is too long for this test")
				}
				sizes(t, name, tn.preview(t, name, m)) // the senders find a size that fits
				smallest, _ := m.Smallest()
				sizes(t, name, tn.preview(t, name, smallest))
			}
		}
	}
}

// TestWhatCannotBeSentToADeviceSaysNothingOfItsService: it must not end the pause of a lane.
func TestWhatCannotBeSentToADeviceSaysNothingOfItsService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tn := servedTown(t, nil)
		for name, d := range tn.devices {
			w := tn.work(registry.MailKind, name, registry.Subject)
			m := push.Render(w, home)
			if o := tn.senders[d.Transport].Send(t.Context(), d, m); o.Result != registry.ResultDelivered || o.Unasked {
				t.Errorf("%s: %+v", name, o)
			}
			if d.Subscription != nil {
				sub := *d.Subscription
				sub.Keys.P256dh = "no key"
				d.Subscription = &sub
			} else {
				d.Token = "no token / at all"
			}
			if o := tn.senders[d.Transport].Send(t.Context(), d, m); !o.Suspect || !o.Unasked {
				t.Errorf("%s, with a bad address: %+v", name, o)
			}
		}
	})
}

func TestAClickLeadsToTheMail(t *testing.T) {
	tn := quietTown(t)
	const link = "https://mail.example.org/x"
	id := tn.work(registry.MailKind, "webpush", registry.Subject).Notification.ID
	for name, row := range map[string]struct {
		kind             registry.Kind
		level            registry.Level
		home, link, want string
	}{
		"by the template":                      {registry.MailKind, registry.Subject, home, link, link},
		"to the page without one":              {registry.MailKind, registry.Subject, home, "", home + "#/mail/" + id},
		"to the page where less may be known":  {registry.MailKind, registry.Sender, home, link, home + "#/mail/" + id},
		"to the page where nothing may":        {registry.MailKind, registry.Wake, home, link, home + "#/mail/" + id},
		"to the page where it is too long":     {registry.MailKind, registry.Subject, home, link + strings.Repeat("x", 500), home + "#/mail/" + id},
		"nowhere, for the page is not known":   {registry.MailKind, registry.Subject, "", link, ""},
		"nowhere, for no host has such a name": {registry.MailKind, registry.Subject, "https://" + strings.Repeat("h", 600) + "/", link, ""},
		"to the page, if it is no mail":        {registry.AttentionKind, registry.Subject, home, "", home},
	} {
		w := tn.work(row.kind, "webpush", row.level)
		w.Link = row.link
		if m := push.Render(w, row.home); m.URL != row.want {
			t.Errorf("%s: %q, want %q", name, m.URL, row.want)
		}
	}
}

// FuzzSizing: whatever a mail, a folder or a mailbox is called and however much there is to clear, every service takes what it is
// sent, the text is cut between runes, and no level lets out more than it allows.
func FuzzSizing(f *testing.F) {
	tn := quietTown(f)
	type form struct {
		device string
		level  registry.Level
		kind   registry.Kind
	}
	var forms []form
	for _, device := range slices.Sorted(maps.Keys(tn.devices)) {
		for _, level := range push.EveryLevel {
			for _, kind := range push.EveryKind {
				forms = append(forms, form{device, level, kind})
			}
		}
	}
	texts := slices.Sorted(maps.Values(push.Hostile))
	for i := range forms { // not each with each: a run of some seconds is to come to texts of its own
		text := texts[i%len(texts)]
		text = text[:min(len(text), 2000)]
		f.Add(uint(i), text, text, text, text, text, uint8(200), 1<<40)
	}
	f.Add(uint(0), "Ann", "Dinner", "At eight?", "INBOX", "ann@example.org", uint8(3), 0)
	f.Fuzz(func(t *testing.T, i uint, from, subject, preview, folder, mailbox string, clear uint8, unread int) {
		one := forms[i%uint(len(forms))]
		w := tn.work(one.kind, one.device, one.level)
		w.Notification.Folder, w.Notification.Text = folder, preview
		w.Notification.Content = registry.Content{From: from, Subject: subject, Preview: preview}
		w.Mailbox, w.Unread, w.Clear = mailbox, &unread, nil
		for i := range uint32(clear) {
			w.Clear = append(w.Clear, registry.StableID("a", "b", 1, i))
		}
		if one.kind == registry.ClearKind {
			w.Notification.Clear = w.Clear
		}
		r := tn.preview(t, one.device, push.Render(w, home))
		sizes(t, one.device, r)
		if one.level == registry.Wake {
			checkWake(t, one.device, r)
		}
		if one.kind == registry.MailKind {
			checkMail(t, one.device, w, r)
		}
	})
}

// told is the payload in a request, as the app reads it.
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
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, []string{"account", "at", "id", "kind", "v"}) {
		t.Errorf("%s at wake: %v", name, got)
	}
	if bytes.Contains(r.Body, []byte("badge")) || bytes.Contains(r.Plaintext, []byte("badge")) {
		t.Errorf("%s at wake has a badge", name)
	}
}

// checkMail looks for each field where its level does not allow it, and for a cut within a rune.
func checkMail(t testing.TB, name string, w registry.Work, r push.Request) {
	t.Helper()
	fields := told(t, r)
	level, c := w.Device.Content, w.Notification.Content
	for field, f := range map[string]struct {
		least registry.Level
		text  string
	}{"from": {registry.Sender, c.From}, "subject": {registry.Subject, c.Subject}, "preview": {registry.Preview, c.Preview}, "folder": {registry.Sender, w.Notification.Folder}} {
		got, _ := fields[field].(string)
		if got != "" && !level.Allows(f.least) {
			t.Errorf("%s at %s lets out the %s %q", name, level, field, got)
		}
		if part := strings.TrimSuffix(got, "…"); utf8.ValidString(f.text) && !strings.HasPrefix(f.text, part) {
			t.Errorf("%s: %s %q is no part of %q", name, field, got, f.text)
		}
	}
	if !level.Allows(registry.Sender) {
		return
	}
	shown := fmt.Sprint(fields["title"], "\n", fields["body"])
	for _, f := range []string{"from", "subject", "preview"} {
		if part, _ := fields[f].(string); !strings.Contains(shown, strings.Trim(part, "\n")) {
			t.Errorf("%s shows %q without the %s %q", name, shown, f, part)
		}
	}
}

// TestOfWhatIsEncryptedNoWordIsInTheClear: of no kind, at no level, the body of the request, its URL and its headers alike.
func TestOfWhatIsEncryptedNoWordIsInTheClear(t *testing.T) {
	tn := quietTown(t)
	for name, d := range tn.devices {
		for _, kind := range push.EveryKind {
			for _, level := range push.EveryLevel {
				w := tn.work(kind, name, level)
				w.Notification.Content = registry.Content{From: "Zwetschge", Subject: "Quittenbrot", Preview: "Rosinenschnecke"}
				w.Notification.Folder, w.Mailbox, w.Notification.Text = "Obstgarten", "kirsche@example.org", "Holunderbeere"
				r := tn.preview(t, name, push.Render(w, home))
				sent, clear := fmt.Sprint(r.URL, r.Header, string(r.Body)), d.Encryption == nil && d.Subscription == nil
				for _, word := range []string{"Zwetschge", "Quittenbrot", "Rosinenschnecke", "Obstgarten", "kirsche", "Holunderbeere"} {
					if !clear && strings.Contains(sent, word) {
						t.Errorf("%s, %s at %s: %q is in the clear", name, kind, level, word)
					}
				}
				if clear && kind == registry.MailKind && level == registry.Preview && !strings.Contains(sent, "Quittenbrot") {
					t.Errorf("%s: this test sees nothing", name)
				}
			}
		}
	}
}

// TestEncryptedDataIsBase64URLWithoutPadding.
func TestEncryptedDataIsBase64URLWithoutPadding(t *testing.T) {
	tn := quietTown(t)
	for _, name := range []string{"fcm-encrypted", "apns-encrypted"} {
		r := tn.preview(t, name, push.Render(tn.work(registry.MailKind, name, registry.Preview), home))
		found := ciphertext.FindSubmatch(r.Body)
		if found == nil {
			t.Fatalf("%s: %s", name, r.Body)
		}
		if _, err := base64.RawURLEncoding.Strict().DecodeString(string(found[1])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

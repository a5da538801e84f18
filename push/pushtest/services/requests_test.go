package services_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

var update = flag.Bool("update", false, "write testdata anew")

var (
	versions   = regexp.MustCompile(`/[0-9]\S*`)
	ciphertext = regexp.MustCompile(`"encrypted":"([A-Za-z0-9_-]+)"`)
	vapidKey   = regexp.MustCompile(`, k=[A-Za-z0-9_-]+`)
)

func TestRequest(t *testing.T) {
	t.Run("each service receives exactly the bytes in testdata", requestBytes)
	t.Run("a preview is what the service then receives", requestPreview)
	t.Run("no word of an encrypted message is in the clear", requestEncrypted)
	t.Run("encrypted data is base64url without padding", requestBase64)
	t.Run("a message that cannot be sent to a device blames no service", requestNotSent)
}

// The files show each request as the service gets it, with secrets hidden, and with the plaintext
// of everything that is encrypted.
func requestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the time is always the same
		st := offlineSetup(t)
		files := make(map[string][]byte)
		for name, d := range st.devices {
			for work := range pushtest.Works(d) {
				if work == string(idlepush.KindClear) && d.Transport == webpush.Browser {
					continue // never alone
				}
				var text bytes.Buffer
				for _, level := range pushtest.EveryLevel {
					d.Content = level
					w := pushtest.Works(d)[work]
					w.Notification.Expires = time.Now().Add(w.Notification.Kind.Lifetime())
					fmt.Fprintf(&text, "== %s\n\n", level)
					writeRequest(&text, st.preview(t, name, push.Render(w, home, pushtest.Sentences)))
				}
				files[name+"-"+work+".txt"] = text.Bytes()
			}
		}
		dir := filepath.Join("testdata", "requests")
		if *update {
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

// writeRequest writes a request without the parts that differ each time.
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

// The headers and the body are the same, except for secrets, randomness and the time.
func requestPreview(t *testing.T) {
	var received *http.Request
	var mu sync.Mutex
	st := servedSetup(t, func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		received = r
	})
	for name, d := range st.devices {
		for _, kind := range []idlepush.Kind{idlepush.KindMail, idlepush.KindSummary} {
			w := st.work(kind, name, idlepush.LevelPreview)
			w.Notification.Expires = time.Now().Add(time.Hour)
			m := push.Render(w, home, pushtest.Sentences)
			want := st.preview(t, name, m)
			if o := st.sender(d).Send(t.Context(), d, m); o.Result != registry.ResultDelivered {
				t.Fatalf("%s: %+v", name, o)
			}
			mu.Lock()
			got := received
			mu.Unlock()
			secret := string(d.Address)
			if st.sender(d).Traits().Subscription {
				_, secret, _ = strings.Cut(strings.TrimPrefix(secret, "http://"), "/")
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
			raw, payload := st.last(d.Transport)
			if d.Transport == webpush.Browser || d.Transport == webpush.UnifiedPush {
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
			if d.Keys != nil && !bytes.Equal(payload, want.Plaintext) {
				t.Errorf("%s: the device reads %s, want %s", name, payload, want.Plaintext)
			}
			if strings.Contains(fmt.Sprintf("%s %s %v", want.Body, want.URL, want.Header), secret) {
				t.Errorf("%s: the preview tells the device's address", name)
			}
		}
	}
	for _, v := range [][]string{st.fcm.Violations(), st.apns.Violations(), st.web.Violations()} {
		if len(v) > 0 {
			t.Error(v)
		}
	}
}

// That holds for every kind, at every level, in the body, the URL and the headers.
func requestEncrypted(t *testing.T) {
	st := offlineSetup(t)
	for name, d := range st.devices {
		for work := range pushtest.Works(d) {
			for _, level := range pushtest.EveryLevel {
				d.Content = level
				w := pushtest.Works(d)[work]
				w.Wishes.Name, w.Wishes.Color, w.Wishes.Sound, w.Several = "Pflaumenbaum", "#b07c3e", "Glockenspiel", true
				w.Notification.Content = idlepush.Content{From: "Zwetschge", Subject: "Quittenbrot", Preview: "Rosinenschnecke"}
				w.Notification.Folder, w.Account.Email, w.Notification.Reason = "Obstgarten", "kirsche@example.org", pushtest.Saying("Holunderbeere")
				r := st.preview(t, name, push.Render(w, home, pushtest.Sentences))
				sent, clear := fmt.Sprint(r.URL, r.Header, string(r.Body)), d.Keys == nil
				for _, word := range []string{"Zwetschge", "Quittenbrot", "Rosinenschnecke", "Obstgarten", "kirsche", "Holunderbeere", "Pflaumenbaum", "#b07c3e", "Glockenspiel"} {
					if !clear && strings.Contains(sent, word) {
						t.Errorf("%s, %s at %s: %q is in the clear", name, work, level, word)
					}
				}
				if clear && work == "mail" && level == idlepush.LevelPreview && !(strings.Contains(sent, "Quittenbrot") && strings.Contains(sent, "Pflaumenbaum") && strings.Contains(sent, "Glockenspiel")) {
					t.Errorf("%s: this test sees nothing", name)
				}
			}
		}
	}
}

func requestBase64(t *testing.T) {
	st := offlineSetup(t)
	for _, name := range []string{"fcm-encrypted", "apns-encrypted"} {
		r := st.preview(t, name, push.Render(st.work(idlepush.KindMail, name, idlepush.LevelPreview), home, pushtest.Sentences))
		found := ciphertext.FindSubmatch(r.Body)
		if found == nil {
			t.Fatalf("%s: %s", name, r.Body)
		}
		if _, err := base64.RawURLEncoding.Strict().DecodeString(string(found[1])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// It must not end the pause of a lane.
func requestNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := servedSetup(t, nil)
		for name, d := range st.devices {
			w := st.work(idlepush.KindMail, name, idlepush.LevelSubject)
			m := push.Render(w, home, pushtest.Sentences)
			if o := st.sender(d).Send(t.Context(), d, m); o.Result != registry.ResultDelivered || o.NotSent {
				t.Errorf("%s: %+v", name, o)
			}
			if st.sender(d).Traits().Subscription {
				d.Keys = &idlepush.Keys{P256dh: "no key", Auth: d.Keys.Auth}
			} else {
				d.Address = "no token / at all"
			}
			if o := st.sender(d).Send(t.Context(), d, m); !o.Suspect || !o.NotSent {
				t.Errorf("%s, with a bad address: %+v", name, o)
			}
		}
	})
}

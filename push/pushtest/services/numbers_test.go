package services_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

// holds fails the test unless the words are in the page of the docs. Page and test must change
// together.
func holds(t *testing.T, page string, words ...string) {
	t.Helper()
	text, err := os.ReadFile("../../../" + page)
	fatal(t, err)
	joined := strings.Join(strings.Fields(string(text)), " ") // however its lines are broken
	for _, w := range words {
		if !strings.Contains(joined, w) {
			t.Errorf("%s no longer says %q", page, w)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Run("a message is too large from the byte that the docs name", numbersSize)
	t.Run("a service sees a size in steps of 256 bytes", numbersPadding)
	t.Run("an id has 32 characters, and every service collapses by it", numbersID)
	t.Run("every service keeps a mail for three days", numbersLifetime)
	t.Run("the keys of a device have 65 and 16 bytes", numbersKeys)
}

// A message of the maximum size is sent as it is. One that is a byte larger cannot be sent, because
// it cannot be shortened.
func numbersSize(t *testing.T) {
	holds(t, "docs/api.md", "2500 bytes for Web Push before it is encrypted, 4096 for FCM and APNs")
	st := offlineSetup(t)
	for name, c := range map[string]struct {
		most int
		size func(push.Request) int
		code codes.Code
	}{
		"webpush":     {2500, func(r push.Request) int { return len(r.Plaintext) }, "webpush_unsendable"},
		"unifiedpush": {2500, func(r push.Request) int { return len(r.Plaintext) }, "webpush_unsendable"},
		"apns":        {4096, func(r push.Request) int { return len(r.Body) }, "apns_too_large"},
		"fcm":         {4096, fcmSize(t), "fcm_too_large"},
	} {
		d := st.devices[name]
		at := func(extra int) (push.Request, *registry.Outcome) {
			return st.sender(d).Preview(d, push.Message{ID: strings.Repeat("i", 32), Title: "t", Neutral: "n", Payload: []byte(`"` + strings.Repeat("x", extra) + `"`)})
		}
		r, refused := at(0)
		if refused != nil {
			t.Fatalf("%s: %+v", name, *refused)
		}
		room := c.most - c.size(r)
		if r, refused = at(room); refused != nil || c.size(r) != c.most {
			t.Errorf("%s: %d bytes, %+v, want %d and no refusal", name, c.size(r), refused, c.most)
		}
		if _, refused = at(room + 1); refused == nil || refused.Code != c.code {
			t.Errorf("%s: of %d bytes it is %+v, want %s", name, c.most+1, refused, c.code)
		}
	}
}

// fcmSize counts as FCM does: keys and values.
func fcmSize(t *testing.T) func(push.Request) int {
	return func(r push.Request) (size int) {
		var m struct {
			Message struct{ Data map[string]string }
		}
		fatal(t, json.Unmarshal(r.Body, &m))
		for key, value := range m.Message.Data {
			size += len(key) + len(value)
		}
		return size
	}
}

// The size does not depend on the subject of an encrypted message otherwise.
func numbersPadding(t *testing.T) {
	holds(t, "docs/security.md", "its size to the nearest 256 bytes")
	holds(t, "docs/apps.md", "it is padded to multiples of 256 bytes")
	st := offlineSetup(t)
	for _, name := range []string{"webpush", "unifiedpush", "fcm-encrypted", "apns-encrypted"} {
		sizes := make(map[int]bool)
		for n := range 240 {
			w := st.work(idlepush.KindMail, name, idlepush.LevelSubject)
			w.Notification.Content.Subject = strings.Repeat("x", n)
			body := st.preview(t, name, push.Render(w, home, pushtest.Sentences)).Body
			if found := ciphertext.FindSubmatch(body); found != nil {
				body = decode(t, string(found[1]))
			}
			record := len(body) - 86 - 16 // without header and tag
			if record%256 != 0 {
				t.Fatalf("%s: a record of %d bytes", name, record)
			}
			sizes[record] = true
		}
		if len(sizes) > 4 { // the subject is there up to three times
			t.Errorf("%s: 240 subjects have %d sizes", name, len(sizes))
		}
	}
}

// It is the Web Push Topic, the tag and the APNs collapse id.
func numbersID(t *testing.T) {
	holds(t, "docs/apps.md", "| `id` | wake | 32 characters, the same however often it is sent |")
	holds(t, "docs/api.md", "it is the Web Push `Topic`, the tag and the APNs collapse id")
	synctest.Test(t, func(t *testing.T) {
		st := offlineSetup(t)
		for name, d := range st.devices {
			w := st.work(idlepush.KindMail, name, idlepush.LevelSubject)
			id := w.Notification.ID
			if len(id) != 32 {
				t.Fatalf("%q has %d characters", id, len(id))
			}
			r := st.preview(t, name, push.Render(w, home, pushtest.Sentences))
			if said := told(t, r)["id"]; said != id {
				t.Errorf("%s: the id is %v, want %s", name, said, id)
			}
			switch d.Transport {
			case apns.Name:
				if got := r.Header.Get("Apns-Collapse-Id"); got != id {
					t.Errorf("%s: the collapse id is %q", name, got)
				}
			case webpush.Browser, webpush.UnifiedPush:
				if got := r.Header.Get("Topic"); got != id || !strings.Contains(string(r.Plaintext), `"tag":"`+id+`"`) {
					t.Errorf("%s: the topic is %q in %s", name, got, r.Plaintext)
				}
			}
		}
	})
}

// The server itself tries for the same time.
func numbersLifetime(t *testing.T) {
	holds(t, "README.md", "is sent again under the same id, for three days")
	holds(t, "docs/apps.md", "keep the old private key and `auth` for three more days")
	synctest.Test(t, func(t *testing.T) {
		st := offlineSetup(t)
		for name, d := range st.devices {
			w := st.work(idlepush.KindMail, name, idlepush.LevelSubject)
			w.Notification.Expires = time.Now().Add(30 * 24 * time.Hour) // by a fast clock
			r := st.preview(t, name, push.Render(w, home, pushtest.Sentences))
			var got, want string
			switch d.Transport {
			case fcm.Name:
				got, want = string(r.Body), `"ttl":"259200s"`
			case apns.Name:
				got, want = r.Header.Get("Apns-Expiration"), fmt.Sprint(time.Now().Add(72*time.Hour).Unix())
			default:
				got, want = r.Header.Get("Ttl"), "259200"
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	})
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	value, err := base64.RawURLEncoding.DecodeString(text)
	fatal(t, err)
	return value
}

// A registration must have keys of the sizes in the docs.
func numbersKeys(t *testing.T) {
	holds(t, "docs/api.md", "`p256dh` is a public key on P-256 (65 bytes), `auth` 16 random bytes")
	holds(t, "docs/apps.md", "`p256dh` is the public key as an uncompressed point: 65 bytes, the first of them 4", "`auth`: 16 random bytes")
	r, err := pushtest.NewReceiver()
	fatal(t, err)
	good := r.Keys()
	point, auth := decode(t, good.P256dh), decode(t, good.Auth)
	if len(point) != 65 || point[0] != 4 || len(auth) != 16 {
		t.Fatalf("a point of %d bytes that begins with %d, and auth of %d", len(point), point[0], len(auth))
	}
	for _, bad := range []idlepush.Keys{
		{P256dh: base64.RawURLEncoding.EncodeToString(point[:64]), Auth: good.Auth}, {P256dh: base64.RawURLEncoding.EncodeToString(append(point[:65:65], 0)), Auth: good.Auth},
		{P256dh: base64.RawURLEncoding.EncodeToString(append([]byte{5}, point[1:]...)), Auth: good.Auth},
		{P256dh: good.P256dh, Auth: base64.RawURLEncoding.EncodeToString(auth[:15])}, {P256dh: good.P256dh, Auth: base64.RawURLEncoding.EncodeToString(append(auth[:16:16], 0))},
	} {
		if push.CheckKeys(bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	fatal(t, push.CheckKeys(good))
}

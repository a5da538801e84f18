package web

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// FuzzRequestBodies sends any body to any route that takes one. The answer is never 5xx, and a
// refused request stores nothing.
func FuzzRequestBodies(f *testing.F) {
	routes := []struct {
		at    string
		token func(*testServer) string
		seed  object
	}{
		{"POST /setup", nobody, object{"token": "x", "name": "Eve", "password": "0123456789"}},
		{"POST /login", nobody, object{"name": "Anna", "password": "x"}},
		{"PATCH /me", annas, object{"name": "Anna", "password": "0123456789", "current_password": "x"}},
		{"POST /tokens", annas, object{"name": "x", "scope": "device"}},
		{"POST /accounts/check", annas, mailbox()},
		{"POST /accounts", annas, mailbox().with("folders", []string{"inbox"}).with("enabled", false).with("security", "none").with("port", 143)},
		{"POST /accounts", masters, mailbox().with("shared_with", []string{"x"}).with("user", "x")},
		{"PATCH /accounts/ACCOUNT", annas, mailbox().with("shared_with", []string{}).with("folders", []string{"Family"})},
		{"POST /devices", annas, fcmDevice().with("encryption", object{"p256dh": p256dh, "auth": auth}).with("accounts", []string{"x"})},
		{"POST /devices", annas, apnsDevice().with("environment", "sandbox").with("topic", "org.example.app").with("content", "preview")},
		{"POST /devices", annas, browser().with("transport", "unifiedpush")},
		{"PATCH /devices/DEVICE", annas, object{"token": "y", "name": "x", "accounts": nil, "encryption": nil, "content": "wake"}},
		{"PUT /accounts/ACCOUNT/wishes", annas, fullWishes()},
		{"POST /accounts/ACCOUNT/mutes", annas, object{"of": "sender", "sender": "oma@example.org", "until": "2090-01-02T03:04:05Z"}},
		{"PUT /devices/DEVICE/wishes", annas, quietly("people", true)},
		{"POST /accounts/ACCOUNT/rules/try", annas, fullWishes().with("revision", nil).with("name", nil).with("color", nil).with("sound", nil)},
	}
	for i, r := range routes {
		seed, err := json.Marshal(r.seed)
		fatal(f, err)
		f.Add(uint8(i), string(seed))
	}
	h := newTestServer(f)
	h.doc = nil
	h.unlimited()
	ids := furnish(h)
	f.Fuzz(func(t *testing.T, i uint8, body string) {
		h.t = t
		if shownAnyway(body) {
			return
		}
		r := routes[int(i)%len(routes)]
		method, path, _ := strings.Cut(r.at, " ")
		for name, id := range ids {
			path = strings.Replace(path, name, id, 1)
		}
		before := h.stored()
		req := h.request(r.token(h), method, path, body)
		a := h.send(req)
		if a.status >= 500 {
			t.Fatalf("%s with %q: %d", r.at, body, a.status)
		}
		if a.status >= 400 && !reflect.DeepEqual(before, h.stored()) {
			t.Fatalf("%s with %q was refused with %d, and something was stored", r.at, body, a.status)
		}
	})
}

// shownAnyway reports whether the body has the marker in a field that answers show, such as a name.
// It is no secret there.
func shownAnyway(body string) bool {
	var fields map[string]any
	if json.Unmarshal([]byte(body), &fields) != nil {
		return false
	}
	for _, secret := range []string{"password", "current_password", "token", "subscription", "encryption"} {
		delete(fields, secret)
	}
	text := fmt.Sprint(fields)
	return strings.Contains(text, marker) || strings.Contains(text, auth)
}

func nobody(*testServer) string  { return "" }
func annas(h *testServer) string { return h.anna.full }
func masters(*testServer) string { return adminToken }

package web

import (
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestInvites(t *testing.T) {
	t.Parallel()
	t.Run("an invite creates one person, once", inviteCreatesPerson)
	t.Run("an invite for a device logs in another browser of its user", inviteForDevice)
	t.Run("guessing is slowed down", inviteGuessedSlowly)
	t.Run("an invite says where its link works", inviteReach)
	t.Run("the page has a warning for each link that does not work elsewhere", inviteWarnings)
	t.Run("without a public URL the link has the origin of its creator", inviteWithoutPublicURL)
	t.Run("an invite cannot be accepted over plain http", inviteNeedsHTTPS)
}

func inviteCreatesPerson(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	made := h.call(h.anna.full, "POST", "/invites", object{"for": "person"}, 201)
	code := made.body["code"].(string)
	if url := made.body["url"]; url != "https://house.example.net/#/join/"+code {
		t.Errorf("it leads to %v", url)
	}
	rows := made.body["qr"].([]any)
	for _, row := range rows {
		if !regexp.MustCompile(`^[01]+$`).MatchString(row.(string)) || len(row.(string)) != len(rows) {
			t.Fatalf("the QR code is no square: %v", rows)
		}
	}
	if !strings.HasPrefix(rows[0].(string), "1111111") || len(rows) < 25 {
		t.Errorf("the QR code has no finder in its corner: %v", rows[0])
	}
	if list := h.call(h.anna.full, "GET", "/invites", nil, 200); strings.Contains(list.raw, code) || !strings.Contains(list.raw, made.id()) {
		t.Errorf("the list shows the code, or not the invite: %s", list.raw)
	}
	if list := h.call(h.ben.full, "GET", "/invites", nil, 200); len(list.body["items"].([]any)) != 0 {
		t.Errorf("Ben sees it: %s", list.raw)
	}
	look := h.call("", "POST", "/invites/look", object{"code": code}, 200)
	if look.body["for"] != "person" || look.body["by"] != "Anna" {
		t.Errorf("it is %s", look.raw)
	}
	accept := object{"name": "Carla", "password": password}
	h.call("", "POST", "/invites/accept", object{}.with("code", code), 422).wantFields(t, "name", "password")
	h.call("", "POST", "/invites/accept", accept.with("password", "short").with("code", code), 422).wantFields(t, "password")
	h.call("", "POST", "/invites/accept", accept.with("name", "ben").with("code", code), 422).wantFields(t, "name")
	a := h.call("", "POST", "/invites/accept", accept.with("code", code), 201)
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	fatal(t, err)
	r := h.request("", "GET", "/me", nil)
	r.AddCookie(c)
	if me := h.send(r); me.body["name"] != "Carla" || me.body["admin"] != false {
		t.Errorf("the session is %s", me.raw)
	}
	gone := h.call("", "POST", "/invites/accept", accept.with("name", "Dora").with("code", code), 404)
	never := h.call("", "POST", "/invites/accept", accept.with("name", "Dora").with("code", "NEVERWAS"), 404)
	if gone.raw != never.raw || gone.body["code"] != "invite_gone" {
		t.Errorf("a used one and one that never was differ: %s, %s", gone.raw, never.raw)
	}
	h.call("", "POST", "/invites/look", object{"code": code}, 404)
	if strings.Contains(h.log.String(), code) {
		t.Error("the log holds the code")
	}
}

func inviteForDevice(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.ben.full, "POST", "/invites", object{"for": "device", "admin": true}, 422).wantFields(t, "admin")
	h.call(h.ben.full, "POST", "/invites", object{"for": "cat"}, 422).wantFields(t, "for")
	code := h.call(h.ben.full, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	if list := h.call(h.anna.full, "GET", "/invites", nil, 200); len(list.body["items"].([]any)) != 0 {
		t.Errorf("an admin sees it: %s", list.raw)
	}
	c, err := http.ParseSetCookie(h.call("", "POST", "/invites/accept", object{}.with("code", code), 201).header.Get("Set-Cookie"))
	fatal(t, err)
	r := h.request("", "GET", "/me", nil)
	r.AddCookie(c)
	if me := h.send(r); me.body["name"] != "Ben" {
		t.Errorf("the session is %s", me.raw)
	}
}

func inviteGuessedSlowly(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		for range 5 {
			h.call("", "POST", "/invites/look", object{"code": "GUESS"}, 404)
			h.call("", "POST", "/invites/accept", object{}.with("code", "GUESS"), 404)
		}
		for range 2 {
			h.call("", "POST", "/invites/look", object{"code": "GUESS"}, 429)
			if a := h.call("", "POST", "/invites/accept", object{}.with("code", "GUESS"), 429); a.header.Get("Retry-After") != "6" {
				h.t.Errorf("to come again after %q s", a.header.Get("Retry-After"))
			}
			time.Sleep(6 * time.Second)
			h.call("", "POST", "/invites/accept", object{}.with("code", "GUESS"), 404)
		}
	})
}

func inviteReach(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		public, host, origin string // origin is that of the page, or ""
		reach                string
	}{
		"public-url":               {"https://house.example.net", "127.0.0.1:8080", "", "https"},
		"public-url, asked apart":  {"https://house.example.net", "192.168.1.4:8080", "", "https"},
		"public-url at localhost":  {"https://localhost:8443", "127.0.0.1:8080", "", "this_machine"},
		"https":                    {"", "push.example.net", "https://push.example.net", "https"},
		"localhost":                {"", "localhost:8080", "", "this_machine"},
		"127.0.0.1":                {"", "127.0.0.1:8080", "", "this_machine"},
		"::1":                      {"", "[::1]:8080", "", "this_machine"},
		"a name of this machine":   {"", "idle.localhost:8080", "", "this_machine"},
		"https at localhost":       {"", "localhost:8443", "https://localhost:8443", "this_machine"},
		"an address by plain HTTP": {"", "192.168.1.4:8080", "", "no_https"},
		"a name by plain HTTP":     {"", "nas.local:8080", "", "no_https"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestServer(t)
			h.handlers.invites.publicURL = func() string { return c.public }
			h.handlers.tokens.publicURL = h.handlers.invites.publicURL
			session := h.logIn("Anna").Value
			for kind, body := range map[string]object{"person": {"for": "person"}, "device": {"for": "device"}, "token": {"name": "Phone", "scope": "device"}} {
				path := "/invites"
				if kind == "token" {
					path = "/tokens"
				}
				// Tokens are taken by https only, but a cookie like this has come by https.
				r := h.request("", "POST", path, body)
				r.AddCookie(&http.Cookie{Name: cookieName, Value: session})
				r.Host = c.host
				if c.origin != "" {
					r.Header.Set("Origin", c.origin)
				}
				made := h.send(r)
				if made.status != 201 || made.body["reach"] != c.reach {
					t.Errorf("%s: reach is %v, want %s: %s", kind, made.body["reach"], c.reach, made.body["url"])
				}
			}
		})
	}
}

func inviteWarnings(t *testing.T) {
	t.Parallel()
	field, _ := reflect.TypeFor[madeInvite]().FieldByName("Reach")
	texts, err := os.ReadFile("page/texts.js")
	fatal(t, err)
	_, block, _ := strings.Cut(string(texts), "\treach: {\n")
	block, _, _ = strings.Cut(block, "\n\t},")
	for reach := range strings.SplitSeq(field.Tag.Get("enum"), ",") {
		if has := strings.Contains(block, "\t\t"+reach+`: "`); has != (reach != "https") {
			t.Errorf("texts.js has a warning for %s: %v", reach, has)
		}
	}
}

func inviteWithoutPublicURL(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.handlers.invites.publicURL = func() string { return "" }
	made := h.call(h.anna.full, "POST", "/invites", object{"for": "device"}, 201)
	if got, want := made.body["url"], h.url+"/#/join/"+made.body["code"].(string); got != want {
		t.Errorf("it leads to %v, want %s", got, want)
	}
	r := h.request(h.anna.full, "POST", "/invites", object{"for": "device"})
	r.Header.Set("Origin", "https://mail.example.net")
	made = h.send(r)
	if got, want := made.body["url"], "https://mail.example.net/#/join/"+made.body["code"].(string); got != want {
		t.Errorf("over https it leads to %v, want %s", got, want)
	}
}

func inviteNeedsHTTPS(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	code := h.call(h.anna.full, "POST", "/invites", object{"for": "person"}, 201).body["code"].(string)
	r := h.request("", "POST", "/invites/accept", object{"name": "Carla", "password": password}.with("code", code))
	r.Host = "192.168.1.4:8080"
	if a := h.send(r); a.status != 403 || a.body["code"] != "https_needed" {
		t.Errorf("%d, %s", a.status, a.raw)
	}
	h.call("", "POST", "/invites/look", object{"code": code}, 200)
}

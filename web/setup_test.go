package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestSetup(t *testing.T) {
	t.Parallel()
	t.Run("it creates the first admin, once", setupOnce)
	t.Run("it keeps the origin that the admin used", setupKeepsOrigin)
	t.Run("the page gets a session", setupWithSession)
}

func setupOnce(t *testing.T) {
	t.Parallel()
	h := testServerAt(t, t.TempDir())
	token, err := h.store.Users.SetupToken()
	fatal(t, err)
	setup := object{"token": token, "name": "Anna", "password": password}
	if a := h.call("", "GET", "/setup", nil, 200); a.body["needed"] != true {
		t.Errorf("before setup: %s", a.raw)
	}

	a := h.call("", "POST", "/setup", setup.with("token", "guessed"), 422)
	a.wantFields(t, "token")
	h.call("", "POST", "/setup", setup.with("password", "short "+marker[:3]), 422).wantFields(t, "password")
	h.call("", "POST", "/setup", setup.with("name", " Anna"), 422).wantFields(t, "name")
	h.call("", "POST", "/setup", setup.with("name", "An\u202ena"), 422).wantFields(t, "name")

	a = h.call("", "POST", "/setup", setup, 201)
	if u := a.body["user"].(map[string]any); u["name"] != "Anna" || u["admin"] != true {
		t.Errorf("setup made %v", u)
	}
	if a := h.call("", "GET", "/setup", nil, 200); a.body["needed"] != false {
		t.Errorf("after setup: %s", a.raw)
	}
	me := h.call(a.body["token"].(string), "GET", "/me", nil, 200)
	if me.body["name"] != "Anna" {
		t.Errorf("its token is %v's", me.body["name"])
	}
	if again := h.call("", "POST", "/setup", setup, 409); again.body["code"] != "setup_done" {
		t.Errorf("a second setup: %s", again.raw)
	}
}

func setupKeepsOrigin(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ origin, forwarded, want string }{
		"browser over https":   {"https://house.example.net", "", "https://house.example.net"},
		"browser behind proxy": {"https://house.example.net:8443", "https", "https://house.example.net:8443"},
		"curl behind proxy":    {"", "https", "https://HOST"},
		"curl behind stranger": {"", "https ", ""},
		"browser over http":    {"http://HOST", "", ""},
		"curl over http":       {"", "", ""},
		"nonsense":             {"https://", "http", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := testServerAt(t, t.TempDir())
			if !strings.HasSuffix(row.forwarded, " ") {
				h.server.guard.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}
			token, err := h.store.Users.SetupToken()
			fatal(t, err)
			host := strings.TrimPrefix(h.url, "http://")
			r := h.request("", "POST", "/setup", object{"token": token, "name": "Anna", "password": password})
			if row.origin != "" {
				r.Header.Set("Origin", strings.Replace(row.origin, "HOST", host, 1))
				r.Header.Set("Sec-Fetch-Site", "same-origin")
			}
			if row.forwarded != "" {
				r.Header.Set("X-Forwarded-Proto", strings.TrimSpace(row.forwarded))
			}
			if a := h.send(r); a.status != 201 {
				t.Fatal(a.raw)
			}
			got, err := h.store.Users.PublicURL()
			fatal(t, err)
			if want := strings.Replace(row.want, "HOST", host, 1); got != want {
				t.Errorf("it kept %q, want %q", got, want)
			}
		})
	}
}

func setupWithSession(t *testing.T) {
	t.Parallel()
	h := testServerAt(t, t.TempDir())
	token, err := h.store.Users.SetupToken()
	fatal(t, err)
	a := h.call("", "POST", "/setup", object{"token": token, "name": "Anna", "password": password, "session": true}, 201)
	if _, ok := a.body["token"]; ok {
		t.Errorf("a bearer token is left behind: %s", a.raw)
	}
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	fatal(t, err)
	r := h.request("", "GET", "/me", nil)
	r.AddCookie(c)
	if a := h.send(r); a.status != 200 || a.body["admin"] != true || c.MaxAge == 0 {
		t.Errorf("the session is %d, %s, %v", a.status, a.raw, c)
	}
	r = h.request("", "GET", "/tokens", nil)
	r.AddCookie(c)
	if a := h.send(r); len(a.body["items"].([]any)) != 0 {
		t.Errorf("there are tokens: %s", a.raw)
	}
}

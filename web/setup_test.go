package web

import (
	"net/http"
	"strings"
	"testing"

	"idlepush/registry"
)

func TestSetupMakesTheFirstAdminOnce(t *testing.T) {
	h := houseAt(t, t.TempDir())
	token, err := h.store.SetupToken()
	fatal(t, err)
	setup := object{"token": token, "name": "Anna", "password": password}

	a := h.call("", "POST", "/setup", setup.with("token", "guessed"), 422)
	a.wantFields(t, "token")
	h.call("", "POST", "/setup", setup.with("password", "short "+marker[:3]), 422).wantFields(t, "password")
	h.call("", "POST", "/setup", setup.with("name", " Anna"), 422).wantFields(t, "name")
	h.call("", "POST", "/setup", setup.with("name", "An\u202ena"), 422).wantFields(t, "name")

	a = h.call("", "POST", "/setup", setup, 201)
	if u := a.body["user"].(map[string]any); u["name"] != "Anna" || u["admin"] != true {
		t.Errorf("setup made %v", u)
	}
	me := h.call(a.body["token"].(string), "GET", "/me", nil, 200)
	if me.body["name"] != "Anna" {
		t.Errorf("its token is %v's", me.body["name"])
	}
	if again := h.call("", "POST", "/setup", setup, 409); again.body["code"] != "setup_done" {
		t.Errorf("a second setup: %s", again.raw)
	}
}

func TestSetupKeepsTheOriginThatTheAdminUsed(t *testing.T) {
	for name, row := range map[string]struct{ origin, forwarded, want string }{
		"browser over https":   {"https://house.example.net", "", "https://house.example.net"},
		"browser behind proxy": {"https://house.example.net:8443", "https", "https://house.example.net:8443"},
		"curl behind proxy":    {"", "https", "https://HOST"},
		"browser over http":    {"http://HOST", "", ""},
		"curl over http":       {"", "", ""},
		"nonsense":             {"https://", "http", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := houseAt(t, t.TempDir())
			token, err := h.store.SetupToken()
			fatal(t, err)
			host := strings.TrimPrefix(h.url, "http://")
			r := h.request("", "POST", "/setup", object{"token": token, "name": "Anna", "password": password})
			if row.origin != "" {
				r.Header.Set("Origin", strings.Replace(row.origin, "HOST", host, 1))
				r.Header.Set("Sec-Fetch-Site", "same-origin")
			}
			if row.forwarded != "" {
				r.Header.Set("X-Forwarded-Proto", row.forwarded)
			}
			if a := h.send(r); a.status != 201 {
				t.Fatal(a.raw)
			}
			got, err := h.store.PublicURL()
			fatal(t, err)
			if want := strings.Replace(row.want, "HOST", host, 1); got != want {
				t.Errorf("it kept %q, want %q", got, want)
			}
		})
	}
}

// logIn gives the cookie of a new session.
func (h *house) logIn(name string) *http.Cookie {
	h.t.Helper()
	a := h.call("", "POST", "/login", object{"name": name, "password": password}, 200)
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	fatal(h.t, err)
	return c
}

func TestASessionLivesInACookieThatOnlyHTTPSCarries(t *testing.T) {
	h := newHouse(t)
	c := h.logIn("ANNA")
	if c.Name != "__Host-idlepush" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode ||
		c.MaxAge != int(registry.SessionLifetime.Seconds()) {
		t.Errorf("the cookie is %v", c)
	}
	get := h.request("", "GET", "/me", nil)
	get.AddCookie(c)
	if a := h.send(get); a.status != 200 || a.body["name"] != "Anna" {
		t.Errorf("the session is %d, %s", a.status, a.raw)
	}
	h.call(c.Value, "GET", "/me", nil, 401)
	token := h.request("", "GET", "/me", nil)
	token.AddCookie(&http.Cookie{Name: c.Name, Value: h.anna.full})
	if a := h.send(token); a.status != 401 {
		t.Errorf("a bearer token passes for a session: %d", a.status)
	}

	end := h.request("", "DELETE", "/login", nil)
	end.AddCookie(c)
	a := h.send(end)
	gone, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if a.status != 204 || err != nil || gone.MaxAge >= 0 || gone.Value != "" {
		t.Errorf("logging out: %d, %v, %v", a.status, gone, err)
	}
	if a := h.send(get); a.status != 401 {
		t.Errorf("after logging out the session is %d", a.status)
	}
}

func TestAWrongLoginSaysNotWhatIsWrong(t *testing.T) {
	h := newHouse(t)
	a := h.call("", "POST", "/login", object{"name": "Anna", "password": wrong}, 401)
	b := h.call("", "POST", "/login", object{"name": "Nobody", "password": wrong}, 401)
	if a.raw != b.raw || a.body["code"] != "wrong_login" {
		t.Errorf("%s and %s", a.raw, b.raw)
	}
}

func TestABearerTokenGoesBeforeACookie(t *testing.T) {
	h := newHouse(t)
	r := h.request(h.ben.full, "GET", "/me", nil)
	r.AddCookie(h.logIn("Anna"))
	if a := h.send(r); a.body["name"] != "Ben" {
		t.Errorf("the caller is %v", a.body["name"])
	}
	r.Header.Set("Authorization", "Bearer nonsense")
	if a := h.send(r); a.status != 401 {
		t.Errorf("a bad token falls back to the cookie: %d", a.status)
	}
}

func TestAnotherSiteCannotUseASession(t *testing.T) {
	h := newHouse(t)
	c := h.logIn("Anna")
	for name, row := range map[string]struct {
		headers map[string]string
		want    int
	}{
		"curl":                 {nil, 200},
		"own page":             {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": h.url}, 200},
		"typed address":        {map[string]string{"Sec-Fetch-Site": "none"}, 200},
		"another site":         {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		"a sibling":            {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://evil.house.example.net"}, 403},
		"an old browser":       {map[string]string{"Origin": "https://evil.example"}, 403},
		"a sandboxed document": {map[string]string{"Origin": "null"}, 403},
	} {
		for _, request := range []struct {
			method, path string
			body         object
		}{{"PATCH", "/me", object{}}, {"POST", "/login", object{"name": "Ben", "password": password}}} {
			r := h.request("", request.method, request.path, request.body)
			r.AddCookie(c)
			for k, v := range row.headers {
				r.Header.Set(k, v)
			}
			a := h.send(r)
			if a.status != row.want || row.want == 403 && a.body["code"] != "cross_origin" {
				t.Errorf("%s: %s %s is %d: %s", name, request.method, request.path, a.status, a.raw)
			}
			if a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("another site may read answers")
			}
		}
	}
	r := h.request(h.anna.full, "PATCH", "/me", object{})
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := h.send(r); a.status != 200 {
		t.Errorf("a bearer token, which no browser adds by itself, is refused: %d", a.status)
	}
}

func TestANewPasswordNeedsTheOldAndEndsSessions(t *testing.T) {
	h := newHouse(t)
	c := h.logIn("Anna")
	fresh := "another horse " + marker
	h.call(h.anna.full, "PATCH", "/me", object{"password": fresh}, 422).wantFields(t, "current_password")
	h.call(h.anna.full, "PATCH", "/me", object{"password": fresh, "current_password": wrong}, 422).wantFields(t, "current_password")
	h.call(h.anna.full, "PATCH", "/me", object{"name": "ben"}, 422).wantFields(t, "name")
	h.call(h.anna.full, "PATCH", "/me", object{"name": "Anne", "password": fresh, "current_password": password}, 200)
	r := h.request("", "GET", "/me", nil)
	r.AddCookie(c)
	if a := h.send(r); a.status != 401 {
		t.Errorf("the old session is %d", a.status)
	}
	h.call("", "POST", "/login", object{"name": "Anna", "password": fresh}, 401)
	h.call("", "POST", "/login", object{"name": "Anne", "password": fresh}, 200)
}

func TestATokenIsShownOnceAndEnds(t *testing.T) {
	h := newHouse(t)
	made := h.call(h.anna.full, "POST", "/tokens", object{"name": "Phone", "scope": "device"}, 201)
	secret := made.body["token"].(string)
	h.call(secret, "GET", "/devices", nil, 200)
	list := h.call(h.anna.full, "GET", "/tokens", nil, 200)
	if strings.Contains(list.raw, secret) {
		t.Error("the list shows the token")
	}
	if first := list.body["items"].([]any)[0].(map[string]any); first["id"] != made.id() {
		t.Errorf("the newest is not first: %s", list.raw)
	}
	h.call(h.anna.full, "DELETE", "/tokens/"+made.id(), nil, 204)
	h.call(secret, "GET", "/devices", nil, 401)
	h.call(h.anna.full, "DELETE", "/tokens/"+made.id(), nil, 404)
	h.call(adminToken, "POST", "/tokens", object{"name": "x", "scope": "full", "user": "nobody"}, 422).wantFields(t, "user")
	if strings.Contains(h.log.String(), "idlepush_") {
		t.Error("the log holds a token")
	}
}

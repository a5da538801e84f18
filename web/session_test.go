package web

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
)

// logIn returns the cookie of a new session.
func (h *testServer) logIn(name string) *http.Cookie {
	h.t.Helper()
	a := h.call("", "POST", "/login", object{"name": name, "password": password}, 200)
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	fatal(h.t, err)
	return c
}

func TestSessions(t *testing.T) {
	t.Parallel()
	t.Run("the cookie of a session is sent over https only", sessionCookieHTTPS)
	t.Run("a cookie holds a session and nothing else", sessionCookieOnly)
	t.Run("a wrong login does not say what is wrong", sessionWrongLogin)
	t.Run("a bearer token precedes a cookie", sessionBearerFirst)
	t.Run("another site cannot use a session", sessionCrossSite)
	t.Run("a new password needs the old one and ends all sessions", sessionNewPassword)
	t.Run("a browser is named by its User-Agent", sessionBrowserName)
	t.Run("a user sees and ends only own sessions", sessionsOfOneUser)
	t.Run("a removed device is logged out", sessionDeviceRemoved)
	t.Run("nothing is created in a session that ended meanwhile", sessionEndedMeanwhile)
	t.Run("nothing is done with a token that ended meanwhile", tokenEndedMeanwhile)
	t.Run("nor with one that ended while a password waited to be hashed", tokenEndedInQueue)
	t.Run("nor with one that ended while the body came", tokenEndedInBody)
	t.Run("a login by another user ends the notifications of the previous one", sessionOfAnotherUser)
}

func sessionCookieHTTPS(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for name, row := range map[string]struct {
		host, origin, forwarded string
		stay                    bool
		want                    string // name of the cookie, or ""
	}{
		"a browser over https":             {"house.example.net", "https://house.example.net", "", true, "__Host-idlepush"},
		"a browser over https, for once":   {"house.example.net", "https://house.example.net", "", false, "__Host-idlepush"},
		"a trusted proxy says so":          {"house.example.net", "", "https", true, "__Host-idlepush"},
		"the proxy was asked over http":    {"house.example.net", "", "http", true, ""},
		"the first of two proxies says so": {"house.example.net", "", "HTTPS, http", true, "__Host-idlepush"},
		"the second of them says so":       {"house.example.net", "", "http, https", true, ""},
		"http on the own machine":          {"127.0.0.1:8080", "http://127.0.0.1:8080", "", true, "idlepush"},
		"http on the own machine, by name": {"localhost:8080", "http://localhost:8080", "", false, "idlepush"},
		"http on the own machine, by IPv6": {"[::1]:8080", "", "", true, "idlepush"},
		"http elsewhere":                   {"house.example.net", "http://house.example.net", "", true, ""},
		"http elsewhere, by address":       {"192.168.1.4:8080", "http://192.168.1.4:8080", "", false, ""},
		"a name that begins likewise":      {"localhost.example.net", "", "", false, ""},
	} {
		h.server.guard.proxies = nil
		if row.forwarded != "" {
			h.server.guard.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}
		h.server.limits.addresses = newLimiter(10, time.Minute)
		r := h.request("", "POST", "/login", object{"name": "Anna", "password": password, "stay": row.stay})
		r.Host = row.host
		if row.origin != "" {
			r.Header.Set("Origin", row.origin)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		r.Header.Set("X-Forwarded-Proto", row.forwarded)
		a := h.send(r)
		if row.want == "" {
			if a.status != 403 || a.body["code"] != "https_needed" || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d, %s", name, a.status, a.raw)
			}
			continue
		}
		c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
		if err != nil {
			t.Errorf("%s: %d, %v", name, a.status, err)
			continue
		}
		lasts := 0
		if row.stay {
			lasts = 365 * 24 * 60 * 60
		}
		if c.Name != row.want || c.Secure != (row.want == cookieName) || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.MaxAge != lasts {
			t.Errorf("%s: the cookie is %v", name, c)
		}
	}
}

func sessionCookieOnly(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	c := h.logIn("ANNA")
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

	forged := h.request("", "GET", "/me", nil)
	forged.AddCookie(&http.Cookie{Name: c.Name, Value: "idlepush_FORGED"})
	if a := h.send(forged); a.status != 401 {
		t.Errorf("a forged cookie: %d", a.status)
	}
	elsewhere := h.request("", "GET", "/me", nil)
	elsewhere.Host = "house.example.net"
	elsewhere.AddCookie(c)
	if a := h.send(elsewhere); a.status != 401 {
		t.Errorf("the cookie of the own machine serves elsewhere: %d", a.status)
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

func sessionWrongLogin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call("", "POST", "/login", object{"name": "Anna", "password": wrong}, 401)
	b := h.call("", "POST", "/login", object{"name": "Nobody", "password": wrong}, 401)
	if a.raw != b.raw || a.body["code"] != "wrong_login" {
		t.Errorf("%s and %s", a.raw, b.raw)
	}
}

func sessionBearerFirst(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
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

func sessionCrossSite(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
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
		}{{"PATCH", "/me", object{}}, {"POST", "/login", object{"name": "Anna", "password": password}}} {
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

func sessionNewPassword(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
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

func sessionBrowserName(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0":                                                                       "Firefox on Android",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                     "Firefox on Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":    "Safari on iPhone",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148":                              "Web app on iPhone",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36":                            "Chrome on Android",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36 Edg/137.0.0.0":              "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                      "Safari on Mac",
		"Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36": "Samsung Internet on Android",
		"curl/8.5.0": "Another program",
		"":           "Another program",
	} {
		if got := browserName(agent); got != want {
			t.Errorf("%s is %q, want %q", agent, got, want)
		}
	}
}

func sessionsOfOneUser(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	here, there := h.logIn("Anna"), h.logIn("Anna")
	list := func() []any {
		r := h.request("", "GET", "/sessions", nil)
		r.AddCookie(here)
		return h.send(r).body["items"].([]any)
	}
	items := list()
	if len(items) != 2 {
		t.Fatalf("there are %v", items)
	}
	current := 0
	for _, item := range items {
		s := item.(map[string]any)
		if s["name"] != "Another program" {
			t.Errorf("it is called %v", s["name"])
		}
		if s["current"] == true {
			current++
			continue
		}
		h.call(h.ben.full, "DELETE", "/sessions/"+s["id"].(string), nil, 404)
		r := h.request("", "DELETE", "/sessions/"+s["id"].(string), nil)
		r.AddCookie(here)
		if a := h.send(r); a.status != 204 {
			t.Error(a.raw)
		}
	}
	if current != 1 || len(list()) != 1 {
		t.Errorf("%d are current, then there are %v", current, list())
	}
	r := h.request("", "GET", "/me", nil)
	r.AddCookie(there)
	if a := h.send(r); a.status != 401 {
		t.Errorf("the ended session is %d", a.status)
	}
}

func sessionDeviceRemoved(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	phone := h.logIn("Anna")
	r := h.request("", "POST", "/devices", browser())
	r.AddCookie(phone)
	made := h.send(r)
	if made.status != 201 {
		t.Fatal(made.raw)
	}
	me := h.request("", "GET", "/me", nil)
	me.AddCookie(phone)
	h.call(h.anna.full, "DELETE", "/devices/"+made.id(), nil, 204)
	if a := h.send(me); a.status != 401 {
		t.Errorf("its session is %d", a.status)
	}
	// A new session that registers the same device takes it over.
	phone = h.logIn("Anna")
	r = h.request("", "POST", "/devices", browser())
	r.AddCookie(phone)
	id := h.send(r).id()
	again := h.logIn("Anna")
	r = h.request("", "PATCH", "/devices/"+id, object{"subscription": browser()["subscription"]})
	r.AddCookie(again)
	if a := h.send(r); a.status != 200 {
		t.Fatal(a.raw)
	}
	h.call(h.anna.full, "DELETE", "/devices/"+id, nil, 204)
	me = h.request("", "GET", "/me", nil)
	me.AddCookie(phone)
	if a := h.send(me); a.status != 200 {
		t.Errorf("the former session is %d", a.status)
	}
	me = h.request("", "GET", "/me", nil)
	me.AddCookie(again)
	if a := h.send(me); a.status != 401 {
		t.Errorf("the session of the removed device is %d", a.status)
	}
}

// The session ends while the mail server or the push service is slow.
func sessionEndedMeanwhile(t *testing.T) {
	t.Parallel()
	gone := map[string]func(h *testServer){
		"the user": func(h *testServer) { fatal(h.t, h.store.Users.Remove(h.ben.id, time.Now())) },
		"the session": func(h *testServer) {
			sessions, err := h.store.Logins.Sessions(h.ben.id, time.Now())
			fatal(h.t, err)
			for _, s := range sessions {
				fatal(h.t, h.store.Logins.RemoveSession(h.ben.id, s.ID, ""))
			}
		},
	}
	for name, goes := range gone {
		h := newTestServer(t)
		cookie := h.logIn("Ben")
		h.set(func() { h.during = func(idlepush.Device) { goes(h) } })
		r := h.request("", "POST", "/devices", browser())
		r.AddCookie(cookie)
		a := h.send(r)
		devices, err := h.store.Devices.List("")
		fatal(t, err)
		if a.status != 401 && a.status != 404 || len(devices) > 0 {
			t.Errorf("%s: a device is kept: %d, %s", name, a.status, a.raw)
		}
		h = newTestServer(t)
		cookie = h.logIn("Ben")
		h.set(func() {
			h.check = func(ctx context.Context, a idlepush.Account) (Check, error) { goes(h); return accept(ctx, a) }
		})
		r = h.request("", "POST", "/accounts", mailbox())
		r.AddCookie(cookie)
		a = h.send(r)
		accounts, err := h.store.Accounts.List()
		fatal(t, err)
		if a.status != 401 && a.status != 404 || len(accounts) > 0 {
			t.Errorf("%s: a mailbox is kept: %d, %s", name, a.status, a.raw)
		}
	}
}

func tokenEndedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path string
		body         object
	}{
		"adds a mailbox":                 {"POST", "/accounts", mailbox().with("username", "ben")},
		"adds a device":                  {"POST", "/devices", browser()},
		"shares a mailbox":               {"PATCH", "/accounts/ACCOUNT", object{"password": password, "shared_with": []string{"BEN"}}},
		"gives a device another address": {"PATCH", "/devices/DEVICE", object{"token": "his-" + marker}},
	} {
		h := newTestServer(t)
		account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
		phone := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
		his, secret := h.newToken(h.anna.id, idlepush.ScopeFull)
		ends := func() { fatal(t, h.store.Logins.RemoveToken(h.anna.id, his.ID, "")) }
		h.set(func() {
			h.during = func(idlepush.Device) { ends() }
			h.check = func(ctx context.Context, a idlepush.Account) (Check, error) { ends(); return accept(ctx, a) }
		})
		held := h.stored()[1:3]
		if c.body["shared_with"] != nil {
			c.body["shared_with"] = []string{h.ben.id}
		}
		a := h.send(h.request(secret, c.method, strings.NewReplacer("ACCOUNT", account, "DEVICE", phone).Replace(c.path), c.body))
		if now := h.stored()[1:3]; a.status != 401 || !reflect.DeepEqual(now, held) {
			t.Errorf("whoever had it %s: %d, %s", name, a.status, a.raw)
		}
	}
}

// everything is what a request could have made or changed.
func (h *testServer) everything() []any {
	h.t.Helper()
	people, err := h.store.Users.List()
	fatal(h.t, err)
	slices.SortFunc(people, func(a, b idlepush.User) int { return strings.Compare(a.ID, b.ID) })
	invites, err := h.store.Users.Invites(time.Now())
	fatal(h.t, err)
	return append(h.stored(), people, invites)
}

func tokenEndedInQueue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path string
		body         object
	}{
		"makes an admin":                     {"POST", "/users", object{"name": "Carla", "password": password, "admin": true}},
		"sets a password":                    {"PATCH", "/me", object{"password": other, "current_password": password}},
		"gives a proof":                      {"POST", "/proof", object{"password": password}},
		"switches the log-in by password on": {"PATCH", "/me", object{"only_passkeys": false, "current_password": password}},
	} {
		bubble(t, func(h *testServer) {
			l := h.server.limits
			l.trusted.slots, l.others.slots = make(chan struct{}, 1), make(chan struct{}, 1)
			secret := h.provedToken(h.anna.id)
			_, his, err := h.store.Logins.Authenticate(secret, time.Now())
			fatal(h.t, err)
			l.trusted.slots <- struct{}{}
			l.others.slots <- struct{}{}
			var waiting sync.WaitGroup
			var a answer
			waiting.Go(func() { a = h.send(h.request(secret, c.method, c.path, c.body)) })
			synctest.Wait()
			fatal(h.t, h.store.Logins.RemoveToken(h.anna.id, his.ID, ""))
			held := h.everything()
			<-l.trusted.slots
			<-l.others.slots
			waiting.Wait()
			if now := h.everything(); a.status < 400 || !reflect.DeepEqual(now, held) {
				h.t.Errorf("whoever had it %s: %d, %s", name, a.status, a.raw)
			}
		})
	}
}

func tokenEndedInBody(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	secret := h.provedToken(h.anna.id)
	_, his, err := h.store.Logins.Authenticate(secret, time.Now())
	fatal(t, err)
	r := h.request(secret, "PATCH", "/users/"+h.ben.id, object{"admin": true})
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"admin"`), atRead(func() {
		fatal(t, h.store.Logins.RemoveToken(h.anna.id, his.ID, ""))
	}), strings.NewReader(`:true}`)))
	r.GetBody = nil
	h.via = handlerTransport{h, "192.0.2.1:443"}
	r.Host = "localhost"
	a := h.send(r)
	if ben, err := h.store.Users.Get(h.ben.id); a.status != 401 || err != nil || ben.Admin {
		t.Errorf("%d, %+v, %v: %s", a.status, ben, err, a.raw)
	}
}

// atRead is a reader of nothing that calls a function.
type atRead func()

func (f atRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func sessionOfAnotherUser(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	annas := h.logIn("Anna")
	r := h.request("", "POST", "/devices", browser())
	r.AddCookie(annas)
	if a := h.send(r); a.status != 201 {
		t.Fatal(a.raw)
	}
	again := h.request("", "POST", "/login", object{"name": "Anna", "password": password})
	again.AddCookie(annas)
	h.send(again)
	devices, err := h.store.Devices.List(h.anna.id)
	fatal(t, err)
	if len(devices) != 1 {
		t.Error("logging in again as the same takes the device away")
	}
	bens := h.request("", "POST", "/login", object{"name": "Ben", "password": password})
	bens.AddCookie(annas)
	if a := h.send(bens); a.status != 200 {
		t.Fatal(a.raw)
	}
	devices, err = h.store.Devices.List(h.anna.id)
	fatal(t, err)
	me := h.request("", "GET", "/me", nil)
	me.AddCookie(annas)
	if a := h.send(me); len(devices) > 0 || a.status != 401 {
		t.Errorf("Anna's device: %v, her session: %d", devices, a.status)
	}
}

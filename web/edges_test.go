package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestEdges(t *testing.T) {
	t.Parallel()
	t.Run("no secret is taken over plain http from elsewhere", secretsNeedHTTPS)
	t.Run("a proxy that passes no host on makes nobody local", localBehindProxy)
	t.Run("a wrong bearer token does not switch the check of the origin off", wrongBearerCrossOrigin)
	t.Run("a body without a type is refused", bodyWithoutType)
	t.Run("browsers are told to stay with https once they have it", strictTransport)
}

func secretsNeedHTTPS(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	code := h.call(h.anna.full, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	session := h.logIn("Anna")
	for _, row := range []struct {
		token, route string
		body         any
		elsewhere    int // status over plain http from elsewhere
	}{
		{"", "POST /setup", object{"token": "x", "name": "Eve", "password": password}, 403},
		{"", "POST /login", object{"name": "Anna", "password": password}, 403},
		{"", "POST /invites/look", object{"code": code}, 403},
		{"", "POST /invites/accept", object{"code": code}, 403},
		{h.anna.full, "GET /me", nil, 403},
		{h.anna.full, "POST /accounts", mailbox(), 403},
		{h.anna.full, "POST /accounts/check", mailbox(), 403},
		{h.anna.device, "GET /devices", nil, 403},
		{adminToken, "GET /users", nil, 403},
		{wrong, "GET /me", nil, 403},
		{adminToken, "GET /vapid", nil, 403},
		{"", "GET /vapid", nil, 200},
		{"", "GET /me", nil, 401},
		{"", "POST /accounts", mailbox(), 401},
	} {
		method, path, _ := strings.Cut(row.route, " ")
		for _, from := range []struct {
			what, host, origin, proto string
			refused                   bool
		}{
			{"by address", "192.168.1.5:8080", "", "", true},
			{"by name", "house.example.net", "http://house.example.net", "", true},
			{"through a proxy, by http", "house.example.net", "", "http", true},
			{"through a proxy, by https", "house.example.net", "", "https", false},
			{"in a browser, by https", "house.example.net", "https://house.example.net", "", false},
			{"on the same machine", "localhost:8080", "", "", false},
		} {
			h.server.guard.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			h.server.limits = newLimits(h.store.Logins)
			r := h.request(row.token, method, path, row.body)
			r.Host = from.host
			if from.origin != "" {
				r.Header.Set("Origin", from.origin)
			}
			if from.proto != "" {
				r.Header.Set("X-Forwarded-Proto", from.proto)
				r.Header.Set("X-Forwarded-For", "198.51.100.7")
			}
			a := h.send(r)
			if refused := a.body["code"] == "https_needed"; refused != (from.refused && row.elsewhere == 403) || from.refused && a.status != row.elsewhere {
				t.Errorf("%s %s: %d, %s", row.route, from.what, a.status, a.raw)
			}
		}
	}
	// The cookie for http on the own machine is none elsewhere.
	r := h.request("", "GET", "/me", nil)
	r.AddCookie(session)
	r.Host = "192.168.1.5:8080"
	if a := h.send(r); a.status != 401 {
		t.Errorf("a session over plain http: %d, %s", a.status, a.raw)
	}
}

func localBehindProxy(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for name, row := range map[string]struct {
		header, value string
		old           bool // HTTP/1.0
		want          int
	}{
		"a browser here":                         {"", "", false, 200},
		"a browser here, through a proxy here":   {"X-Forwarded-For", "127.0.0.1", false, 200},
		"a browser elsewhere, through a proxy":   {"X-Forwarded-For", "192.168.1.9", false, 403},
		"the same, by another header":            {"Forwarded", "for=192.168.1.9", false, 403},
		"a proxy that hides it":                  {"X-Forwarded-For", "unknown", false, 403},
		"a browser elsewhere that says to be us": {"X-Forwarded-For", "127.0.0.1, 192.168.1.9", false, 403},
		"a proxy that says nothing":              {"", "", true, 403},
	} {
		r := h.request("", "POST", "/login", object{"name": "Anna", "password": password})
		r.RemoteAddr = "127.0.0.1:5"
		if row.header != "" {
			r.Header.Set(row.header, row.value)
		}
		if row.old {
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
		}
		h.via = handlerTransport{h, "127.0.0.1:5"}
		if a := h.send(r); a.status != row.want {
			t.Errorf("%s: %d, %s", name, a.status, a.raw)
		}
	}
}

func wrongBearerCrossOrigin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	session := h.logIn("Anna")
	for route, body := range map[string]object{
		"/login":          {"name": "Ben", "password": password},
		"/setup":          {"token": "x", "name": "Eve", "password": password},
		"/invites/look":   {"code": "x"},
		"/invites/accept": {"code": "x"},
	} {
		for _, token := range []string{"x", h.ben.full, adminToken} {
			r := h.request(token, "POST", route, body)
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.AddCookie(session)
			if a := h.send(r); a.status != 403 || a.body["code"] != "cross_origin" || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d, %s", route, a.status, a.raw)
			}
		}
	}
	r := h.request("", "GET", "/me", nil)
	r.AddCookie(session)
	if a := h.send(r); a.status != 200 {
		t.Errorf("another site has ended the session: %d", a.status)
	}
	app := h.request(h.ben.full, "PATCH", "/me", object{})
	app.Header.Set("Origin", "https://app.example")
	app.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := h.send(app); a.status != 200 {
		t.Errorf("an app with a token: %d, %s", a.status, a.raw)
	}
}

func bodyWithoutType(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for kind, want := range map[string]int{"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json": 200, "application/json; charset=utf-8": 200} {
		r := h.request(h.anna.full, "PATCH", "/me", object{})
		r.Header.Del("Content-Type")
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		if a := h.send(r); a.status != want || want == 415 && a.body["code"] != "unsupported_media_type" {
			t.Errorf("%q: %d, %s", kind, a.status, a.raw)
		}
	}
	device := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	r := h.request(h.anna.full, "POST", "/devices/"+device+"/test", nil)
	r.Header.Del("Content-Type")
	if a := h.send(r); a.status != 200 {
		t.Errorf("without a body: %d, %s", a.status, a.raw)
	}
}

func strictTransport(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.server.guard.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, row := range map[string]struct {
		host, proto string
		want        bool
	}{
		"a trusted proxy says https":  {"box.example.net", "https", true},
		"the host of the public URL":  {"house.example.net", "", true},
		"http on the same machine":    {"localhost:8080", "", false},
		"http elsewhere":              {"192.168.1.5:8080", "", false},
		"a trusted proxy says http":   {"box.example.net", "http", false},
		"https at another port":       {"house.example.net:8443", "https", true},
		"another port without https":  {"house.example.net:8080", "", false},
		"a page, by https in a proxy": {"box.example.net", "https, http", true},
	} {
		r, err := http.NewRequest("GET", h.url+"/", nil)
		fatal(t, err)
		r.Host = row.host
		if row.proto != "" {
			r.Header.Set("X-Forwarded-Proto", row.proto)
		}
		want := ""
		if row.want {
			want = "max-age=31536000"
		}
		if got := h.send(r).header.Get("Strict-Transport-Security"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

package web

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"idlepush/registry/registrytest"
)

// long returns a text of n characters with the marker.
func long(n int) string { return marker + strings.Repeat("x", n-len(marker)) }

// refusal is an invalid request, with the field for which it is refused.
type refusal struct {
	route, field string
	body         object
}

var refusals = []refusal{
	{"POST /setup", "token", object{"name": "Anna", "password": password}},
	{"POST /setup", "password", object{"token": marker, "name": "Anna", "password": long(1025)}},
	{"POST /login", "name", object{"password": password}},
	{"POST /login", "name", object{"name": long(65), "password": password}},
	{"POST /login", "password", object{"name": "Anna", "password": 17}},
	{"POST /login", "passwort", object{"name": "Anna", "password": password, "passwort": password}},
	{"POST /login", "PASSWORD", object{"name": "Anna", "password": password, "PASSWORD": password}},
	{"POST /login", "stay", object{"name": "Anna", "password": password, "stay": "yes"}},
	{"POST /invites", "for", object{}},
	{"POST /invites", "admin", object{"for": "device", "admin": true}},
	{"POST /invites", "user", object{"for": "password"}},
	{"POST /invites", "user", object{"for": "password", "user": marker}},
	{"POST /invites", "user", object{"for": "person", "user": marker}},
	{"POST /invites", "admin", object{"for": "password", "user": marker, "admin": true}},
	{"PATCH /users/USER", "password", object{"password": password}},
	{"POST /users", "name", object{"name": "Ca\nrla", "password": password}},
	{"POST /users", "password", object{"name": "Carla"}},
	{"POST /users", "admin", object{"name": "Carla", "password": password, "admin": 1}},
	{"PATCH /me", "name", object{"name": "A\nnna"}},
	{"PATCH /me", "password", object{"password": marker}},
	{"PATCH /me", "admin", object{"admin": true}},
	{"POST /tokens", "scope", object{"name": "x", "scope": marker}},
	{"POST /tokens", "scope", object{"name": "x"}},
	{"POST /tokens", "name", object{"name": " x", "scope": "full"}},
	{"POST /accounts/discover", "email", object{"email": "anna"}},
	{"POST /accounts/discover", "email", object{"email": long(255)}},
	{"POST /accounts/discover", "email", object{}},
	{"POST /accounts/discover", "host", object{"email": "anna@example.net", "host": "imap example net"}},
	{"POST /accounts", "host", mailbox().with("host", "imap.example.net:993")},
	{"POST /accounts", "host", mailbox().with("host", "imap example net")},
	{"POST /accounts", "host", mailbox().with("host", "imap.\x00example.net")},
	{"POST /accounts", "host", mailbox().with("host", "bücher.example")},
	{"POST /accounts", "host", mailbox().with("host", "-x.example")},
	{"POST /accounts", "host", mailbox().with("host", "a..b")},
	{"POST /accounts", "host", mailbox().with("host", nil)},
	{"POST /accounts", "host", mailbox().with("host", long(254))},
	{"POST /accounts", "port", mailbox().with("port", 0)},
	{"POST /accounts", "port", mailbox().with("port", 65536)},
	{"POST /accounts", "port", mailbox().with("port", "993")},
	{"POST /accounts", "port", mailbox().with("port", 993.5)},
	{"POST /accounts", "security", mailbox().with("security", "ssl")},
	{"POST /accounts", "username", mailbox().with("username", "an\r\nna")},
	{"POST /accounts", "username", mailbox().with("username", long(257))},
	{"POST /accounts", "password", mailbox().with("password", marker+"\r\nA1 LOGOUT")},
	{"POST /accounts", "password", mailbox().with("password", "")},
	{"POST /accounts", "password", mailbox().with("password", object{"x": marker})},
	{"POST /accounts", "email", mailbox().with("email", "anna")},
	{"POST /accounts", "email", mailbox().with("email", "anna @example.net")},
	{"POST /accounts", "email", mailbox().with("email", nil)},
	{"POST /accounts", "folders", mailbox().with("folders", []string{})},
	{"POST /accounts", "folders", mailbox().with("folders", make([]string, 51))},
	{"POST /accounts", "folders[0]", mailbox().with("folders", []string{""})},
	{"POST /accounts", "folders[1]", mailbox().with("folders", []string{"INBOX", "a\tb"})},
	{"POST /accounts", "folders[0]", mailbox().with("folders", []string{long(256)})},
	{"POST /accounts", "folders[0]", mailbox().with("folders", []any{1})},
	{"POST /accounts", "link", mailbox().with("link", "javascript:alert(1)")},
	{"POST /accounts", "link", mailbox().with("link", "https://mail.example.net/{uid}")},
	{"POST /accounts", "enabled", mailbox().with("enabled", "yes")},
	{"POST /accounts", "status", mailbox().with("status", object{})},
	{"POST /accounts/check", "host", mailbox().with("host", "/etc/passwd")},
	{"POST /accounts/check", "username", mailbox().with("username", nil).with("email", nil)},
	{"POST /accounts/check", "folders", mailbox().with("folders", []string{"INBOX"})},
	{"PATCH /accounts/ACCOUNT", "host", object{"host": "a b", "password": password}},
	{"PATCH /accounts/ACCOUNT", "folders", object{"folders": []string{}}},
	{"PATCH /accounts/ACCOUNT", "owner", object{"owner": marker}},
	{"POST /accounts", "password", mailbox().with("password", nil)},
	{"POST /accounts", "password", mailbox().with("consent", marker)},
	{"POST /accounts", "consent", mailbox().with("password", nil).with("consent", marker)},
	{"POST /accounts", "consent", mailbox().with("password", nil).with("consent", "")},
	{"PATCH /accounts/ACCOUNT", "consent", object{"consent": marker}},
	{"PATCH /accounts/ACCOUNT", "password", object{"consent": marker, "password": password}},
	{"POST /consents", "host", object{"oauth": "yahoo", "username": "anna"}},
	{"POST /consents", "host", object{"oauth": "yahoo", "username": "anna", "host": "a b"}},
	{"POST /consents", "username", object{"oauth": "yahoo", "host": "imap.example.net"}},
	{"POST /consents", "oauth", object{"username": "anna", "host": "imap.example.net"}},
	{"POST /consents", "account", object{"account": "ACCOUNT"}},
	{"POST /consents", "account", object{"account": marker, "oauth": "yahoo"}},
	{"POST /consents", "flow", object{"oauth": "yahoo", "username": "anna", "host": "imap.example.net", "flow": "implicit"}},
	{"POST /consents", "flow", object{"oauth": "yahoo", "username": "anna", "host": "imap.example.net", "flow": "code"}},
	{"POST /consents", "password", mailbox().with("oauth", "yahoo")},
	{"PATCH /clients/google", "client_id", object{}},
	{"PATCH /clients/google", "client_id", object{"client_id": long(501)}},
	{"PATCH /clients/google", "client_id", object{"client_id": "a\u0000b"}},
	{"PATCH /clients/google", "client_secret", object{"client_id": "x", "client_secret": marker + "\n" + marker}},
	{"PATCH /clients/google", "issuer", object{"client_id": "x", "issuer": "https://" + marker}},
	{"PATCH /clients/other", "issuer", object{"client_id": "x"}},
	{"POST /devices", "name", fcmDevice().with("name", "")},
	{"POST /devices", "name", fcmDevice().with("name", " ")},
	{"POST /devices", "name", fcmDevice().with("name", "a\u0007b")},
	{"POST /devices", "transport", fcmDevice().with("transport", "sms")},
	{"POST /devices", "token", fcmDevice().with("token", nil)},
	{"POST /devices", "token", fcmDevice().with("token", "malformed")},
	{"POST /devices", "token", fcmDevice().with("token", long(4097))},
	{"POST /devices", "subscription", fcmDevice().with("subscription", subscribed(endpoint))},
	{"POST /devices", "environment", fcmDevice().with("environment", "sandbox")},
	{"POST /devices", "topic", fcmDevice().with("topic", "org.example")},
	{"POST /devices", "environment", apnsDevice().with("environment", "test")},
	{"POST /devices", "content", fcmDevice().with("content", "all")},
	{"POST /devices", "encryption.auth", fcmDevice().with("encryption", object{"p256dh": p256dh})},
	{"POST /devices", "token", browser().with("token", fcmToken)},
	{"POST /devices", "encryption", browser().with("encryption", object{"p256dh": p256dh, "auth": auth})},
	{"POST /devices", "subscription", browser().with("subscription", nil)},
	{"POST /devices", "subscription.keys", browser().with("subscription", object{"endpoint": endpoint})},
	{"POST /devices", "subscription.endpoint", browser().with("subscription", subscribed("ftp://push.example/"+marker))},
	{"POST /devices", "subscription.endpoint", browser().with("subscription", subscribed("https://u:p@push.example/"+marker))},
	{"POST /devices", "subscription.endpoint", browser().with("subscription", subscribed("https:///"+marker))},
	{"POST /devices", "subscription.endpoint", browser().with("subscription", subscribed("push.example/"+marker))},
	{"POST /devices", "subscription.endpoint", browser().with("subscription", subscribed("https://a b/"+marker))},
	{"POST /devices", "subscription.endpoint", browser().with("subscription", subscribed(long(2049)))},
	{"POST /devices", "subscription.endpoint", browser().with("subscription", subscribed(removedEndpoint+marker))},
	{"POST /devices", "accounts[0]", fcmDevice().with("accounts", []string{marker})},
	{"PATCH /devices/DEVICE", "encryption", object{"encryption": "x"}},
	{"PATCH /devices/DEVICE", "encryption.auth", object{"encryption": object{"p256dh": p256dh}}},
	{"PATCH /devices/DEVICE", "accounts", object{"accounts": []string{}}},
	{"PATCH /devices/DEVICE", "accounts[0]", object{"accounts": []any{nil}}},
	{"PATCH /devices/DEVICE", "status", object{"status": marker}},
}

func subscribed(endpoint string) object {
	return object{"endpoint": endpoint, "keys": object{"p256dh": p256dh, "auth": auth}}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	t.Run("invalid requests are refused field by field", refusalsByField)
	t.Run("a body that is not JSON is refused without its text", refusalOfNoJSON)
	t.Run("a body of exactly the limit is accepted", bodyOfExactLimit)
	t.Run("every answer has the security headers", securityHeaders)
	t.Run("the log names routes, not paths", logNamesRoutes)
	t.Run("an internal error has no details", internalErrorHidden)
	t.Run("a refused field says what it should be", refusedFieldExplains)
}

// No answer repeats a value of the request: call looks for the marker in every answer. Nothing is
// stored.
func refusalsByField(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.server.limits.addresses = newLimiter(1000, 1)
	ids := furnish(h)
	before := h.stored()
	for _, row := range slices.Concat(refusals, wishRefusals) {
		method, path, _ := strings.Cut(row.route, " ")
		for name, id := range ids {
			path = strings.Replace(path, name, id, 1)
		}
		if row.body["account"] == "ACCOUNT" {
			row.body = row.body.with("account", ids["ACCOUNT"])
		}
		if row.body["notification"] == "NOTIFICATION" {
			row.body = row.body.with("notification", ids["NOTIFICATION"])
		}
		a := h.call(h.anna.full, method, path, row.body, 422)
		if a.body["code"] != "invalid" {
			t.Errorf("%s: the code is %v", row.route, a.body["code"])
		}
		a.wantFields(t, row.field)
	}
	if h.proved+h.tried > 0 {
		t.Errorf("%d pushes, %d logins for requests that cannot be taken", h.proved, h.tried)
	}
	if !reflect.DeepEqual(before, h.stored()) {
		t.Error("a refused request has stored something")
	}
}

// stored returns the things that Anna has.
func (h *testServer) stored() []any {
	h.t.Helper()
	tokens, err := h.store.Logins.Tokens(h.anna.id)
	fatal(h.t, err)
	accounts, err := h.store.Accounts.List()
	fatal(h.t, err)
	devices, err := h.store.Devices.List(h.anna.id)
	fatal(h.t, err)
	user, err := h.store.Users.Get(h.anna.id)
	fatal(h.t, err)
	all := []any{tokens, accounts, devices, user}
	for _, a := range accounts {
		w, err := h.store.Accounts.Wishes(h.anna.id, a.ID)
		if a.Visible(h.anna.id) {
			fatal(h.t, err)
			all = append(all, w)
		}
	}
	for _, d := range devices {
		w, err := h.store.Devices.Wishes(d.ID)
		fatal(h.t, err)
		all = append(all, w)
	}
	return all
}

func refusalOfNoJSON(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for _, at := range operations {
		method, path, _ := strings.Cut(at, "/")
		if method != "post" && method != "patch" || slices.Contains(bodiless, at) {
			continue
		}
		for name, id := range furnish(h) {
			if strings.HasPrefix(path, strings.ToLower(name)) {
				path = strings.Replace(path, "{id}", id, 1)
			}
		}
		for body, want := range map[string]int{
			"":                                 400,
			marker:                             400,
			`"` + marker + `"`:                 422,
			`[{"password":"` + marker + `"}]`:  422,
			`{"password":"` + marker:           400,
			`{"` + marker + ` 1":1}`:           422,
			`null`:                             422,
			`{"password":"` + marker + `"} {}`: 400,
			strings.Repeat("[", 20_000):        400,
			`{"name":"` + long(maxBody) + `"}`: 413,
		} {
			a := h.send(h.request(h.anna.full, strings.ToUpper(method), "/"+path, body))
			if a.status != want {
				t.Errorf("%s with %.20q: %d, want %d: %s", at, body, a.status, want, a.raw)
			}
		}
		r := h.request(h.anna.full, strings.ToUpper(method), "/"+path, `{}`)
		r.Header.Set("Content-Type", "text/plain; "+marker)
		if a := h.send(r); a.status != 415 {
			t.Errorf("%s as text: %d, %s", at, a.status, a.raw)
		}
	}
}

func bodyOfExactLimit(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	const most = 65_536
	pad := func(n int) string { return `{"name":"Anna"` + strings.Repeat(" ", n-15) + `}` }
	h.call(h.anna.full, "PATCH", "/me", pad(most), 200)
	h.call(h.anna.full, "PATCH", "/me", pad(most+1), 413)
	chunked := h.request(h.anna.full, "PATCH", "/me", pad(most+1))
	chunked.ContentLength = -1
	if a := h.send(chunked); a.status != 413 {
		t.Errorf("unannounced it is %d", a.status)
	}
}

func securityHeaders(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for _, path := range []string{"/", "/page.css", "/healthz", "/readyz", "/nothing", prefix + "/me", prefix + "/vapid", prefix + "/nothing", prefix} {
		r, err := http.NewRequest("GET", h.url+path, nil)
		fatal(t, err)
		a := h.send(r)
		if !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'self'") ||
			a.header.Get("Cross-Origin-Opener-Policy") != "same-origin" || a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" ||
			!strings.Contains(a.header.Get("Permissions-Policy"), "camera=()") ||
			a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s has %v", path, a.header)
		}
		if api := strings.HasPrefix(path, "/api/"); api != (a.header.Get("Cache-Control") == "no-store") {
			t.Errorf("%s: Cache-Control is %q", path, a.header.Get("Cache-Control"))
		}
		if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: an error is %s", path, a.header.Get("Content-Type"))
		}
	}
	if a := h.call("", "PUT", "/me", nil, 405); a.body["code"] != "method_not_allowed" || a.header.Get("Allow") != "GET, HEAD, PATCH" {
		t.Errorf("Allow is %q: %s", a.header.Get("Allow"), a.raw)
	}
}

func logNamesRoutes(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "GET", "/devices/"+marker, nil, 404)
	h.call(h.anna.full, "GET", "/notifications/"+marker+"?x="+marker, nil, 422)
	h.call("", "GET", "/vapid/"+marker, nil, 404)
	h.call("", strings.ToUpper(marker), "/vapid", nil, 405)
	h.call("", "POST", "/devices//"+marker+" /test", nil, 404)
	h.call("", "GET", "/x/../"+marker, nil, 404)
	text := h.log.String()
	for _, want := range []string{"path=/api/v1/devices/{id} status=404", "path=/api/v1/notifications/{id} status=422", `path="" status=404`, "method=other"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, strings.ToUpper(marker)) {
		t.Error("the log has the path of the request")
	}
}

func internalErrorHidden(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	c := h.config()
	closed := registrytest.Open(t, t.TempDir())
	fatal(t, closed.Close())
	c.Users, c.Accounts, c.Devices = closed.Users, closed.Accounts, closed.Devices
	s := New(c)
	for path, token := range map[string]string{"/me": h.anna.full, "/accounts": adminToken, "/devices/x": adminToken} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, h.request(token, "GET", path, nil))
		if w.Code != 500 || !strings.Contains(w.Body.String(), `"internal"`) || strings.Contains(w.Body.String(), "database") {
			t.Errorf("%s: %d, %s", path, w.Code, w.Body)
		}
	}
	if n := strings.Count(h.log.String(), "request failed"); n != 3 {
		t.Errorf("%d lines in the log for 3 failures", n)
	}
}

func refusedFieldExplains(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for _, c := range []struct {
		path, method string
		body         object
		code         string
		params       map[string]string
		want         string
	}{
		{"/devices", "POST", fcmDevice().with("transport", marker), "field_choice", map[string]string{"choices": "fcm, apns, webpush, unifiedpush"}, "This must be one of: fcm, apns, webpush, unifiedpush."},
		{"/devices", "POST", fcmDevice().with("name", ""), "field_empty", nil, "This must not be empty."},
		{"/devices", "POST", fcmDevice().with("name", strings.Repeat("x", 101)), "field_too_long", map[string]string{"limit": "100"}, "This must have at most 100 characters."},
		{"/users", "POST", object{"name": "carla", "password": "short"}, "field_too_short", map[string]string{"limit": "10"}, "This must have at least 10 characters."},
		{"/accounts/discover", "POST", object{"email": "a@"}, "field_too_short", map[string]string{"limit": "3"}, "This must have at least 3 characters."},
		{"/devices", "POST", fcmDevice().with("accounts", []string{}), "field_empty", nil, "This must not be empty."},
		{"/devices", "POST", fcmDevice().with("accounts", marker), "field_not_list", nil, "This must be a list."},
		{"/devices", "POST", fcmDevice().with("encryption", marker), "field_not_object", nil, "This must be an object."},
		{"/devices", "POST", fcmDevice().with("token", 5), "field_not_text", nil, "This must be text."},
		{"/devices", "POST", object{"name": "Phone", "token": fcmToken}, "field_required", nil, "This is required."},
		{"/accounts", "POST", mailbox().with("port", 65536), "field_too_large", map[string]string{"limit": "65535"}, "This must be 65535 or less."},
		{"/accounts", "POST", mailbox().with("port", 1.5), "field_not_integer", nil, "This must be a whole number."},
		{"/accounts", "POST", mailbox().with("enabled", marker), "field_not_boolean", nil, "This must be true or false."},
		{"/devices", "POST", fcmDevice().with("encryption", object{"p256dh": p256dh}), "field_required", nil, "This is required."},
		{"/devices", "POST", browser().with("token", fcmToken), "field_forbidden", map[string]string{"case": "transport"}, "This does not go with this transport."},
		{"/devices", "POST", browser().with("subscription", subscribed("ftp://push.example/"+marker)), "webpush_endpoint_malformed", nil,
			"This must be an https: address; at the servers of allow-push http: does too."},
		{"/accounts", "POST", mailbox().with("link", "https://mail.example.net/{uid}"), "link_placeholder", map[string]string{"known": "{message_id}, {folder}, {email}"},
			"The link may have only these placeholders: {message_id}, {folder}, {email}."},
		{"/devices?limit=x", "GET", nil, "field_not_integer", nil, "This must be a whole number."},
		{"/devices?limit=0", "GET", nil, "field_too_small", map[string]string{"limit": "1"}, "This must be 1 or more."},
	} {
		a := h.call(h.anna.full, c.method, c.path, c.body, 422)
		if list := a.body["errors"].([]any); len(list) != 1 || list[0].(map[string]any)["message"] != c.want || list[0].(map[string]any)["code"] != c.code || !sameParams(list[0].(map[string]any)["params"], c.params) {
			t.Errorf("%s %s: want %s %q, got %s", c.method, c.path, c.code, c.want, a.raw)
		}
	}
}

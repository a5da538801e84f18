package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	t.Run("nothing made in a thief's minute works after the new password", thiefsMinute)
	t.Run("a way in that lasts wants the password", proofNeeded)
	t.Run("the password counts for ten minutes", proofLasts)
	t.Run("who ends a session ends what was made by it", sessionEndsMade)
	t.Run("whoever gives a device another address has made it", addressMade)
	t.Run("a token of device scope has one device", tokenOfOneDevice)
	t.Run("a token of device scope sees what its device is told", tokenSeesAsDevice)
	t.Run("the admin token makes no full token, and the person is told", tokenByAdmin)
	t.Run("what the admin token does to a device, the person is told", deviceByAdmin)
	t.Run("a token is shown with its last use, and as a code for the app", tokenForApp)
}

// inSession sends a request with the cookie of a session.
func (h *testServer) inSession(cookie *http.Cookie, method, path string, body any, want int) answer {
	h.t.Helper()
	r := h.request("", method, path, body)
	r.AddCookie(cookie)
	a := h.send(r)
	if a.status != want {
		h.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, want, a.raw)
	}
	return a
}

// join accepts an invite for a device and returns the cookie of the session.
func (h *testServer) join(code string) *http.Cookie {
	h.t.Helper()
	c, err := http.ParseSetCookie(h.call("", "POST", "/invites/accept", object{"code": code}, 201).header.Get("Set-Cookie"))
	fatal(h.t, err)
	return c
}

func thiefsMinute(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	mine := h.logIn("Anna") // a short while ago, so that he needs no password
	full := h.inSession(mine, "POST", "/tokens", object{"name": "his", "scope": "full"}, 201).body["token"].(string)
	app := h.inSession(mine, "POST", "/tokens", object{"name": "his app", "scope": "device"}, 201).body["token"].(string)
	code := h.inSession(mine, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	door := h.inSession(mine, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	joined := h.join(door)
	inner := h.inSession(joined, "POST", "/tokens", object{"name": "inner", "scope": "device"}, 201).body["token"].(string)
	h.inSession(mine, "POST", "/devices", browser(), 201)
	h.call(app, "POST", "/devices", fcmDevice().with("content", "preview"), 201)
	h.call(full, "POST", "/devices", fcmDevice().with("token", "another-"+marker), 201)

	h.inSession(mine, "PATCH", "/me", object{"password": "another " + marker, "current_password": password, "devices": "end"}, 200)

	for _, session := range []*http.Cookie{mine, joined} {
		h.inSession(session, "GET", "/me", nil, 401)
	}
	for _, token := range []string{full, app, inner} {
		h.call(token, "GET", "/notifications", nil, 401)
	}
	h.call("", "POST", "/invites/accept", object{"code": code}, 404)
	if list, err := h.store.Devices.List(h.anna.id); err != nil || len(list) != 0 {
		t.Errorf("devices %v, %v", list, err)
	}
}

func proofNeeded(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	requests := []struct {
		method, path string
		body         object
		want         int
	}{
		{"POST", "/tokens", object{"name": "x", "scope": "full"}, 201},
		{"POST", "/invites", object{"for": "device"}, 201},
		{"POST", "/invites", object{"for": "person"}, 201},
		{"POST", "/users", object{"password": password}, 201},
		{"PATCH", "/users/" + h.ben.id, object{"admin": true}, 200},
	}
	code := h.call(h.anna.full, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	invited := h.join(code)
	_, token, err := h.store.Logins.AddToken(h.anna.id, "old", idlepush.ScopeFull, "", time.Now())
	fatal(t, err)
	for name, send := range map[string]func(method, path string, body any, want int) answer{
		"with a token": func(method, path string, body any, want int) answer { return h.call(token, method, path, body, want) },
		"in a session that was invited": func(method, path string, body any, want int) answer {
			return h.inSession(invited, method, path, body, want)
		},
	} {
		for i, r := range requests {
			if r.path == "/users" {
				requests[i].body = r.body.with("name", "Made "+name)
			}
			if a := send(r.method, r.path, requests[i].body, 403); a.body["code"] != "proof_needed" {
				t.Errorf("%s %s, %s: %s", r.method, r.path, name, a.raw)
			}
		}
		send("PATCH", "/users/"+h.ben.id, object{"admin": false}, 200)
		send("POST", "/tokens", object{"name": "x", "scope": "device"}, 201)
		send("POST", "/proof", object{"password": "not " + password}, 422).wantFields(t, "password")
		send("POST", "/tokens", object{"name": "x", "scope": "full"}, 403)
		send("POST", "/proof", object{"password": password}, 204)
		for _, r := range requests {
			send(r.method, r.path, r.body, r.want)
		}
	}
}

func proofLasts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ago  time.Duration
		want bool
	}{
		"just now":         {0, true},
		"nine minutes ago": {9 * time.Minute, true},
		"ten minutes ago":  {10 * time.Minute, false},
		"in an hour":       {-time.Hour, false},
	} {
		err := requireProof(caller{token: registry.Token{Proved: time.Now().Add(-c.ago)}})
		if (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func sessionEndsMade(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	his, mine := h.logIn("Anna"), h.logIn("Anna")
	token := h.inSession(his, "POST", "/tokens", object{"name": "his", "scope": "full"}, 201).body["token"].(string)
	h.call(token, "POST", "/devices", fcmDevice(), 201)
	h.call(token, "POST", "/proof", object{"password": password}, 204)
	code := h.call(token, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	sessions := h.inSession(mine, "GET", "/sessions", nil, 200).body["items"].([]any)
	i := slices.IndexFunc(sessions, func(s any) bool { return s.(map[string]any)["current"] == false })
	h.inSession(mine, "DELETE", "/sessions/"+sessions[i].(map[string]any)["id"].(string), nil, 204)
	h.call(token, "GET", "/me", nil, 401)
	h.call("", "POST", "/invites/look", object{"code": code}, 404)
	if items := h.inSession(mine, "GET", "/devices", nil, 200).body["items"].([]any); len(items) != 0 {
		t.Errorf("devices %v", items)
	}
}

func addressMade(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.device, "POST", "/devices", fcmDevice(), 201).id()
	his, secret := h.newToken(h.anna.id, idlepush.ScopeFull)
	h.call(secret, "PATCH", at, object{"name": "x", "content": "sender"}, 200)
	h.call(h.anna.device, "GET", at, nil, 200)
	h.call(secret, "PATCH", at, object{"token": "his-" + marker}, 200)
	h.call(h.anna.device, "GET", at, nil, 401)
	h.call(h.anna.full, "DELETE", "/tokens/"+his.ID, nil, 204)
	h.call(h.anna.full, "GET", at, nil, 404)
}

func tokenOfOneDevice(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	other := "/devices/" + h.call(h.anna.full, "POST", "/devices", browser(), 201).id()
	own := h.call(h.anna.device, "POST", "/devices", fcmDevice(), 201).id()
	h.call(h.anna.device, "POST", "/devices", fcmDevice(), 200)
	a := h.call(h.anna.device, "POST", "/devices", fcmDevice().with("token", "another-"+marker), 409)
	if a.body["code"] != "token_has_device" || a.body["params"].(map[string]any)["device"] != own || h.proved != 2 {
		t.Errorf("after %d proving pushes: %s", h.proved, a.raw)
	}
	h.call(h.anna.device, "POST", "/devices", browser(), 409)
	for _, r := range [][2]string{{"GET", other}, {"PATCH", other}, {"DELETE", other}, {"POST", other + "/test"}, {"GET", other + "/preview"}} {
		var body any
		if r[0] == "PATCH" {
			body = object{"name": "x"}
		}
		h.call(h.anna.device, r[0], r[1], body, 404)
	}
	if items := h.call(h.anna.device, "GET", "/devices", nil, 200).body["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != own {
		t.Errorf("it sees %v", items)
	}
	at := "/devices/" + own
	h.call(h.anna.full, "PATCH", at, object{"content": "subject"}, 200)
	h.call(h.anna.device, "PATCH", at, object{"content": "preview"}, 422).wantFields(t, "content")
	h.call(h.anna.device, "PATCH", at, object{"content": "sender", "name": "x"}, 200)
	if a := h.call(h.anna.device, "POST", "/devices", fcmDevice().with("content", "preview"), 200); a.body["content"] != "sender" {
		t.Errorf("it raises the level of its device: %s", a.raw)
	}
	h.call(h.anna.full, "PATCH", at, object{"content": "preview"}, 200)
	if a := h.call(h.anna.device, "POST", "/devices", fcmDevice().with("content", "preview"), 200); a.body["content"] != "preview" {
		t.Errorf("what the person has raised is lowered: %s", a.raw)
	}
	h.call(h.anna.full, "PATCH", at, object{"content": "sender"}, 200)
	h.call(h.anna.device, "DELETE", at, nil, 204)
	a = h.call(h.anna.device, "POST", "/devices", fcmDevice().with("content", "preview"), 201)
	if a.body["content"] != "sender" {
		t.Errorf("it raises the level by a new device: %s", a.raw)
	}
	h.call(h.anna.full, "DELETE", "/devices/"+a.id(), nil, 204)
	h.call(h.anna.device, "GET", "/devices", nil, 401)
}

func tokenSeesAsDevice(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h) // a mail to one of Anna's mailboxes, before the device
	other := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	h.call(h.anna.device, "GET", "/notifications/"+ids["NOTIFICATION"], nil, 404)
	if items := h.call(h.anna.device, "GET", "/notifications", nil, 200).body["items"].([]any); len(items) != 0 {
		t.Errorf("without a device it sees %v", items)
	}
	at := "/devices/" + h.call(h.anna.device, "POST", "/devices", fcmDevice(), 201).id()
	h.call(h.anna.full, "PATCH", at, object{"content": "preview"}, 200)
	h.call(h.anna.device, "GET", "/notifications/"+ids["NOTIFICATION"], nil, 404)
	if items := h.call(h.anna.device, "GET", "/notifications", nil, 200).body["items"].([]any); len(items) != 0 {
		t.Errorf("of the time before its device, it sees %v", items)
	}
	_, err := h.store.Mail.Record(registry.Arrival{Account: ids["ACCOUNT"], Folder: "INBOX", From: registry.Cursor{UIDValidity: 1, Next: 2}, To: registry.Cursor{UIDValidity: 1, Next: 3},
		Mails: []registry.Message{{UID: 2, Content: idlepush.Content{From: "Oma", Subject: furnishedSubject}}}, At: time.Now()})
	fatal(t, err)
	ids["NOTIFICATION"] = registry.StableID(ids["ACCOUNT"], "INBOX", 1, 2)
	for level, want := range map[idlepush.Level]string{"wake": "Oma Kuchen", "sender": "Oma <nil>", "subject": "Oma Kuchen"} {
		h.call(h.anna.full, "PATCH", at, object{"content": level}, 200)
		a := h.call(h.anna.device, "GET", "/notifications/"+ids["NOTIFICATION"], nil, 200)
		if got := fmt.Sprint(a.body["from"], " ", a.body["subject"]); got != want {
			t.Errorf("at %s it sees %s", level, got)
		}
	}
	h.call(h.anna.full, "PATCH", at, object{"accounts": []string{other}}, 200)
	h.call(h.anna.device, "GET", "/notifications/"+ids["NOTIFICATION"], nil, 404)
	if items := h.call(h.anna.device, "GET", "/notifications", nil, 200).body["items"].([]any); len(items) != 0 {
		t.Errorf("of a mailbox that does not ring it, it sees %v", items)
	}
}

func tokenByAdmin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	phone := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	h.call(adminToken, "POST", "/tokens", object{"name": "script", "scope": "full", "user": h.anna.id}, 422).wantFields(t, "scope")
	h.call(adminToken, "POST", "/tokens", object{"name": "script", "scope": "device", "user": h.anna.id}, 201)
	items := h.call(h.anna.full, "GET", "/notifications", nil, 200).body["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("she is told %v", items)
	}
	told := items[0].(map[string]any)
	if told["code"] != "token_by_admin" || told["deliveries"].([]any)[0].(map[string]any)["device"] != phone {
		t.Errorf("she is told %v", told)
	}
}

func deviceByAdmin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	his := browser().with("user", h.anna.id)
	h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
	for _, step := range []struct {
		what string
		do   func(at string) answer
		told bool
	}{
		{"registers one", func(string) answer { return h.call(adminToken, "POST", "/devices", his, 201) }, true},
		{"registers the same again", func(string) answer { return h.call(adminToken, "POST", "/devices", his, 200) }, false},
		{"raises its level", func(at string) answer { return h.call(adminToken, "PATCH", at, object{"content": "preview"}, 200) }, true},
		{"gives it another name", func(at string) answer { return h.call(adminToken, "PATCH", at, object{"name": "x"}, 200) }, false},
	} {
		before := len(h.call(h.anna.full, "GET", "/notifications", nil, 200).body["items"].([]any))
		at := ""
		for _, d := range h.call(h.anna.full, "GET", "/devices", nil, 200).body["items"].([]any) {
			if d := d.(map[string]any); d["transport"] == "webpush" {
				at = "/devices/" + d["id"].(string)
			}
		}
		step.do(at)
		items := h.call(h.anna.full, "GET", "/notifications", nil, 200).body["items"].([]any)
		if told := len(items) > before; told != step.told {
			t.Errorf("the admin token %s: told %v", step.what, told)
		} else if told && items[0].(map[string]any)["code"] != "device_by_admin" {
			t.Errorf("the admin token %s: %v", step.what, items[0])
		}
	}
}

func tokenForApp(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.handlers.tokens.publicURL = func() string { return "https://push.example.org" }
	a := h.call(h.anna.full, "POST", "/tokens", object{"name": "Fairphone", "scope": "device"}, 201)
	rows, err := qrRows(`{"url":"https://push.example.org","token":"` + a.body["token"].(string) + `"}`)
	fatal(t, err)
	if got := fmt.Sprint(a.body["qr"]); got != "["+strings.Join(rows, " ")+"]" || a.body["url"] != "https://push.example.org" || a.body["used"] != nil {
		t.Errorf("it is made as %s", a.raw)
	}
	h.call(a.body["token"].(string), "GET", "/devices", nil, 200)
	list := h.call(h.anna.full, "GET", "/tokens", nil, 200)
	used, err := time.Parse(time.RFC3339, list.body["items"].([]any)[0].(map[string]any)["used"].(string))
	if err != nil || time.Since(used) > time.Hour {
		t.Errorf("it was used at %v, %v", used, err)
	}
}

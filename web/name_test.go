package web

import (
	"strings"
	"testing"
	"time"

	"idlepush/registry"
)

func TestNames(t *testing.T) {
	t.Parallel()
	t.Run("a name that others could take for that of somebody else is refused", namesLookAlike)
	t.Run("a person logs in by the name however it is typed", namesTyped)
	t.Run("invisible and steering characters are taken out of labels, and refused in addresses", labelsClean)
}

func namesLookAlike(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	_, code, err := h.store.Users.AddInvite(h.anna.id, registry.InviteForPerson, false, "", time.Now())
	fatal(t, err)
	carl := h.made("Carl", false)
	for _, name := range []string{"anna", "ＡＮＮＡ", "a\u0301nna", "Ánna", "Аnna", "Αnna", "ΑΝΝΑ", "an\u200bna", "an\u202ena", "ɑnnɑ", "Ben\u0323", "Вen", "ben ", "Anna 🐱"} {
		for route, body := range map[string]object{"POST /users": {"name": name, "password": password}, "PATCH /users/" + carl: {"name": name},
			"PATCH /me": {"name": name}, "POST /invites/accept": {"code": code, "name": name, "password": password}} {
			token := h.anna.full
			if route == "PATCH /me" {
				if token = h.ben.full; strings.EqualFold(strings.TrimSpace(name), "ben") || name == "Ben\u0323" || name == "Вen" {
					continue // he may write his own name as he likes
				}
			}
			h.server.limits.addresses = newLimiter(1000, 1)
			method, path, _ := strings.Cut(route, " ")
			h.call(token, method, path, body, 422).wantFields(t, "name")
		}
	}
	if u := h.call(h.ben.full, "PATCH", "/me", object{"name": "BEN"}, 200); u.body["name"] != "BEN" {
		t.Errorf("his own name in capitals: %s", u.raw)
	}
	if p := h.call(h.anna.full, "POST", "/users", object{"name": "Аннa", "password": password}, 422); strings.Contains(p.raw, "Аннa") {
		t.Errorf("it says %s", p.raw)
	}
	if u := h.call(h.anna.full, "POST", "/users", object{"name": "Ｚoe\u0308", "password": password}, 201); u.body["name"] != "Zoë" {
		t.Errorf("she is called %s", u.raw)
	}
}

func namesTyped(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.server.limits.addresses = newLimiter(1000, 1)
	for _, name := range []string{"Anna", "ANNA", "ａｎｎａ", " anna "} {
		h.call("", "POST", "/login", object{"name": name, "password": password}, 200)
	}
	for _, name := range []string{"ánna", "аnna", "an na"} {
		h.call("", "POST", "/login", object{"name": name, "password": password}, 401)
	}
}

func labelsClean(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	const raw, clean = " \u202ePh\u2066one\u200b  of A\u0301nna ", "Phone of Ánna"
	if d := h.call(h.anna.full, "POST", "/devices", fcmDevice().with("name", raw), 201); d.body["name"] != clean {
		t.Errorf("the device is %s", d.raw)
	} else if d := h.call(h.anna.full, "PATCH", "/devices/"+d.id(), object{"name": "x\u202e"}, 200); d.body["name"] != "x" {
		t.Errorf("the device is %s", d.raw)
	}
	if a := h.call(h.anna.full, "POST", "/tokens", object{"name": strings.TrimSpace(raw), "scope": "device"}, 201); a.body["name"] != clean {
		t.Errorf("the token is %s", a.raw)
	}
	for field, value := range map[string]any{"email": "an\u202ena@example.net", "username": "an\u200bna", "link": "https://mail.example/\u202ex"} {
		h.call(h.anna.full, "POST", "/accounts", mailbox().with(field, value), 422).wantFields(t, field)
	}
	h.call(h.anna.full, "POST", "/accounts", mailbox().with("folders", []string{"a\u2066b"}), 422).wantFields(t, "folders[0]")
}

package web

import (
	"fmt"
	"strings"
	"testing"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	t.Run("an admin manages people and sees no content", userManagedByAdmin)
	t.Run("a role changes at once, and one admin always stays", userRoleChanges)
}

func userManagedByAdmin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.ben.full, "POST", "/accounts", mailbox(), 201)
	h.call(h.ben.full, "POST", "/devices", fcmDevice(), 201)
	list := h.call(h.anna.full, "GET", "/users", nil, 200)
	for _, item := range list.body["items"].([]any) {
		u := item.(map[string]any)
		want := 0.0
		if u["name"] == "Ben" {
			want = 1
		}
		if got := u["mailboxes"].(map[string]any)["total"]; got != want {
			t.Errorf("%v has %v mailboxes", u["name"], got)
		}
		if got := u["devices"].(map[string]any)["total"]; got != want {
			t.Errorf("%v has %v devices", u["name"], got)
		}
	}
	if strings.Contains(list.raw, "anna@example.net") || strings.Contains(list.raw, "Phone") {
		t.Errorf("the admin sees whose mailbox it is: %s", list.raw)
	}
	if list := h.call(h.anna.full, "GET", "/accounts", nil, 200); len(list.body["items"].([]any)) != 0 {
		t.Errorf("the admin sees Ben's mailbox: %s", list.raw)
	}

	if u := h.userNamed("Ben"); fmt.Sprint(u["mailboxes"]) != "map[attention:0 shared:0 shared_with:[] total:1]" {
		t.Errorf("Ben has %v", u["mailboxes"])
	}
	h.call(h.ben.full, "POST", "/accounts", mailbox().with("username", "other").with("email", "other@example.net").with("shared_with", []string{h.anna.id}), 201)
	if u := h.userNamed("Ben"); fmt.Sprint(u["mailboxes"]) != "map[attention:0 shared:0 shared_with:[] total:2]" {
		t.Errorf("before his offer is accepted, Ben has %v", u["mailboxes"])
	}
	h.accept(h.anna.full)
	if u := h.userNamed("Ben"); fmt.Sprint(u["mailboxes"]) != fmt.Sprintf("map[attention:0 shared:1 shared_with:[%s] total:2]", h.anna.id) {
		t.Errorf("Ben has %v", u["mailboxes"])
	}

	made := h.call(h.anna.full, "POST", "/users", object{"name": "Carla", "password": password}, 201)
	h.call(h.anna.full, "POST", "/users", object{"name": "carla", "password": password}, 422).wantFields(t, "name")
	h.call(h.anna.full, "POST", "/users", object{"name": "Dora", "password": "short"}, 422).wantFields(t, "password")
	carla := h.logIn("Carla")
	h.call(h.anna.full, "PATCH", "/users/"+made.id(), object{"name": "ben"}, 422).wantFields(t, "name")
	h.call(h.anna.full, "PATCH", "/users/"+made.id(), object{"name": "Carlotta"}, 200)
	if me := h.inSession(carla, "GET", "/me", nil, 200); me.body["name"] != "Carlotta" {
		t.Errorf("with another name she is %s", me.raw)
	}
	h.call(h.anna.full, "DELETE", "/users/"+made.id(), nil, 204)
	h.call(h.anna.full, "DELETE", "/users/"+made.id(), nil, 404)
	h.call("", "POST", "/login", object{"name": "Carlotta", "password": password}, 401)
}

// userNamed returns a user as Anna sees them.
func (h *testServer) userNamed(name string) map[string]any {
	h.t.Helper()
	for _, item := range h.call(h.anna.full, "GET", "/users", nil, 200).body["items"].([]any) {
		if u := item.(map[string]any); u["name"] == name {
			return u
		}
	}
	h.t.Fatalf("there is no %s", name)
	return nil
}

func userRoleChanges(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	if a := h.call(h.anna.full, "PATCH", "/users/"+h.anna.id, object{"admin": false}, 409); a.body["code"] != "last_admin" {
		t.Errorf("%s", a.raw)
	}
	if a := h.call(h.anna.full, "DELETE", "/users/"+h.anna.id, nil, 409); a.body["code"] != "last_admin" {
		t.Errorf("%s", a.raw)
	}
	h.call(h.ben.full, "GET", "/users", nil, 403)
	h.call(h.anna.full, "PATCH", "/users/"+h.ben.id, object{"admin": true}, 200)
	h.call(h.ben.full, "GET", "/users", nil, 200)
	h.call(h.ben.full, "PATCH", "/users/"+h.anna.id, object{"admin": false}, 200)
	h.call(h.anna.full, "GET", "/users", nil, 403)
	names := h.call(h.anna.full, "GET", "/users/names", nil, 200)
	for _, item := range names.body["items"].([]any) {
		if len(item.(map[string]any)) != 2 {
			t.Errorf("a member sees more than names: %s", names.raw)
		}
	}
}

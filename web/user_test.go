package web

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"idlepush"
	v1 "idlepush/registry/migrate/v1"
	"idlepush/registry/registrytest"
	"idlepush/registry/table"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	t.Run("an admin manages people and sees no content", userManagedByAdmin)
	t.Run("an admin sees and removes a person whose row is damaged", userDamaged)
	t.Run("an admin sees whose mailbox waits for a person", userMailboxWaits)
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

func userMailboxWaits(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	stored, err := h.store.Accounts.Get(h.call(h.ben.full, "POST", "/accounts", mailbox(), 201).id())
	fatal(t, err)
	now := time.Now()
	refused := idlepush.Status{State: idlepush.StateRetrying, Since: now, Reason: idlepush.Reason{Code: "login_refused"}, Failures: 1, Failing: now, Retry: now.Add(time.Minute)}
	fatal(t, h.store.Mail.SetState(stored, refused))
	if u := h.userNamed("Ben"); fmt.Sprint(u["mailboxes"]) != "map[attention:1 shared:0 shared_with:[] total:1]" {
		t.Errorf("Ben has %v", u["mailboxes"])
	}
	since := func(state idlepush.State, age time.Duration) idlepush.Status {
		return idlepush.Status{State: state, Since: now.Add(-age)}
	}
	for name, row := range map[string]struct {
		status idlepush.Status
		paused bool
		want   bool
	}{
		"watched":                     {since(idlepush.StateWatching, time.Hour), false, false},
		"given up":                    {since(idlepush.StateAttention, 0), false, true},
		"given up, then paused":       {since(idlepush.StateAttention, 0), true, false},
		"its password is refused":     {refused, false, true},
		"its connection was lost":     {since(idlepush.StateRetrying, time.Hour-1), false, false},
		"no connection for an hour":   {since(idlepush.StateRetrying, time.Hour), false, true},
		"no connection, then paused":  {since(idlepush.StateRetrying, time.Hour), true, false},
		"not tried yet for some time": {since(idlepush.StateNew, time.Hour), false, false},
	} {
		if got := waitsForPerson(idlepush.Account{Enabled: !row.paused, Status: row.status}, now); got != row.want {
			t.Errorf("%s: it waits for a person: %v", name, got)
		}
	}
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

// damage changes the row of a user without the key of the store.
func damage(t *testing.T, dir, user string) {
	t.Helper()
	db, err := table.Open(filepath.Join(dir, "idlepush.db"), table.Options{Key: make([]byte, 32), NoSync: true})
	fatal(t, err)
	err = db.Update(func(tx *table.Tx) error {
		row, _, err := v1.Users.Unverified(tx, v1.ID(user))
		row.Admin = !row.Admin
		return errors.Join(err, v1.Users.Put(tx, v1.ID(user), row))
	})
	fatal(t, errors.Join(err, db.Close()))
}

func userDamaged(t *testing.T) {
	t.Parallel()
	dir, anna, ben := registrytest.DirWithUsers(t)
	damage(t, dir, ben.ID)
	h := testServerAt(t, dir)
	h.anna.id = anna.ID
	token := h.provedToken(anna.ID)
	find := func() (list []map[string]any) {
		for _, item := range h.call(token, "GET", "/users", nil, 200).body["items"].([]any) {
			if p := item.(map[string]any); p["damaged"] == true {
				list = append(list, p)
			}
		}
		return list
	}
	if list := find(); len(list) != 1 || list[0]["id"] != ben.ID || list[0]["name"] != "" || list[0]["admin"] != false {
		t.Fatalf("damaged are %v", list)
	}
	h.call(token, "DELETE", "/users/"+ben.ID, nil, 204)
	if list := find(); len(list) != 0 {
		t.Errorf("it is there still: %v", list)
	}
	h.call(token, "POST", "/users", object{"name": "Ben", "password": password}, 201)
}

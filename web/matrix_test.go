package web

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

// kind is a kind of caller. sign adds its credentials to a request about a thing of Anna, and want
// returns the status of the answer.
type kind struct {
	name string
	sign func(h *testServer, r *http.Request, ids map[string]string)
	want func(row admission) int
}

// TestMatrix sends each operation of the document as each kind of caller.
func TestMatrix(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"get/events": true} // eventsNeedLogin
	for _, row := range admissions {
		seen[row.operation()] = true
		t.Run(row.route, func(t *testing.T) {
			t.Parallel()
			h := newTestServer(t)
			h.unlimited()
			for _, k := range kinds {
				ids := furnish(h)
				method, path, body := row.request(h, ids)
				r := h.request("", method, path, body)
				k.sign(h, r, ids)
				a := h.send(r)
				if want := k.want(row); a.status != want {
					t.Errorf("%s, %v: got %d, want %d: %s", k.name, row.body, a.status, want, a.raw)
				}
				if strings.Contains(a.raw, furnishedSubject) && !strings.Contains(k.name, "her") {
					t.Errorf("%s reads her mail: %s", k.name, a.raw)
				}
			}
		})
	}
	doc, err := documented()
	fatal(t, err)
	for path, operations := range doc.Paths {
		for method := range operations {
			if !seen[method+path] {
				t.Errorf("no admission says who may %s%s", method, path)
			}
		}
	}
}

// bearer returns a sign for a bearer token.
func bearer(token func(h *testServer, ids map[string]string) string) func(*testServer, *http.Request, map[string]string) {
	return func(h *testServer, r *http.Request, ids map[string]string) {
		r.Header.Set("Authorization", "Bearer "+token(h, ids))
	}
}

// inBrowser returns a sign for a session.
func inBrowser(session func(h *testServer, ids map[string]string) string) func(*testServer, *http.Request, map[string]string) {
	return func(h *testServer, r *http.Request, ids map[string]string) {
		r.AddCookie(&http.Cookie{Name: plain(cookieName), Value: session(h, ids)})
	}
}

var kinds = []kind{
	{"nobody", func(*testServer, *http.Request, map[string]string) {}, asNobody},
	{"an unknown token", bearer(func(*testServer, map[string]string) string { return wrong }), asNobody},
	{"one of her tokens that has ended", bearer(func(h *testServer, _ map[string]string) string {
		t, secret := h.newToken(h.anna.id, idlepush.ScopeFull)
		fatal(h.t, h.store.Logins.RemoveToken(h.anna.id, t.ID, ""))
		return secret
	}), asNobody},
	{"a session that has ended", inBrowser(func(h *testServer, _ map[string]string) string {
		secret, s := h.invited(h.anna.id)
		fatal(h.t, h.store.Logins.LogOut(h.anna.id, s.ID))
		return secret
	}), asNobody},
	{"a session as a bearer token", bearer(func(_ *testServer, ids map[string]string) string { return ids["COOKIE"] }), asNobody},
	{"a bearer token as a session", inBrowser(func(h *testServer, _ map[string]string) string { return h.anna.full }), asNobody},
	{"a session of hers", inBrowser(func(_ *testServer, ids map[string]string) string { return ids["COOKIE"] }), asSession},
	{"a session of hers that an invite began", inBrowser(func(h *testServer, _ map[string]string) string {
		secret, _ := h.invited(h.anna.id)
		return secret
	}), func(row admission) int {
		if row.proof {
			return http.StatusForbidden
		}
		return asSession(row)
	}},
	{"a session of hers from another site", func(_ *testServer, r *http.Request, ids map[string]string) {
		r.AddCookie(&http.Cookie{Name: plain(cookieName), Value: ids["COOKIE"]})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}, func(row admission) int {
		if method, _, _ := strings.Cut(row.route, " "); method != "GET" && row.nobody != http.StatusMethodNotAllowed {
			return http.StatusForbidden
		}
		return asSession(row)
	}},
	{"her token", bearer(func(h *testServer, _ map[string]string) string { return h.provedToken(h.anna.id) }), func(row admission) int { return row.full }},
	{"the token of her device", func(_ *testServer, r *http.Request, ids map[string]string) {
		r.Header.Set("Authorization", "Bearer "+appToken(ids, r.Method+" "+strings.TrimPrefix(r.URL.Path, prefix)))
	}, func(row admission) int { return row.device }},
	{"a member's token", bearer(func(h *testServer, _ map[string]string) string { return h.provedToken(h.ben.id) }), func(row admission) int { return row.ben }},
	{"a member's session", inBrowser(func(h *testServer, _ map[string]string) string {
		secret, s := h.invited(h.ben.id)
		fatal(h.t, h.store.Logins.Prove(h.ben.id, s.ID, registry.Proof{Password: password}, time.Now()))
		return secret
	}), func(row admission) int {
		if row.route == "DELETE /login" {
			return http.StatusNoContent
		}
		return row.ben
	}},
	{"the token of a member's device", bearer(func(h *testServer, _ map[string]string) string {
		_, secret := h.newToken(h.ben.id, idlepush.ScopeDevice)
		return secret
	}), func(row admission) int {
		if row.device < 400 && row.ben >= 400 {
			return row.ben
		}
		return row.device
	}},
	{"the token of an admin", bearer(func(h *testServer, _ map[string]string) string {
		return h.provedToken(h.made("Dora", true))
	}), func(row admission) int {
		if row.ben == http.StatusForbidden || row.body["shared_with"] != nil && row.ben != http.StatusNotFound {
			return row.full // what only admins may, or share with Ben
		}
		return row.ben
	}},
	{"the admin token", bearer(func(*testServer, map[string]string) string { return adminToken }), func(row admission) int { return row.master }},
}

func asNobody(row admission) int { return row.nobody }

func asSession(row admission) int {
	if row.route == "DELETE /login" {
		return http.StatusNoContent
	}
	return row.full
}

// newToken makes a token for the user.
func (h *testServer) newToken(user string, scope idlepush.Scope) (registry.Token, string) {
	h.t.Helper()
	t, secret, err := h.store.Logins.AddToken(user, "new", scope, "", time.Now())
	fatal(h.t, err)
	return t, secret
}

// invited begins a session of the user by an invite.
func (h *testServer) invited(user string) (secret string, s registry.Token) {
	h.t.Helper()
	now := time.Now()
	_, code, err := h.store.Users.AddInvite(user, registry.InviteForDevice, false, "", now)
	fatal(h.t, err)
	_, secret, err = h.store.Users.Accept(code, "", "", registry.Visit{}, now)
	fatal(h.t, err)
	_, s, err = h.store.Logins.Authenticate(secret, now)
	fatal(h.t, err)
	return secret, s
}

// provedToken makes a token for which the user has given the password.
func (h *testServer) provedToken(user string) string {
	h.t.Helper()
	t, secret := h.newToken(user, idlepush.ScopeFull)
	fatal(h.t, h.store.Logins.Prove(user, t.ID, registry.Proof{Password: password}, time.Now()))
	return secret
}

// made returns the id of the user of that name, who is created if there is none.
func (h *testServer) made(name string, admin bool) string {
	h.t.Helper()
	users, err := h.store.Users.List()
	fatal(h.t, err)
	if i := slices.IndexFunc(users, func(u idlepush.User) bool { return u.Name == name }); i >= 0 {
		return users[i].ID
	}
	u, err := h.store.Users.Add(name, password, admin, "", "", time.Now())
	fatal(h.t, err)
	_, err = h.store.Users.UpdateOwn(u.ID, registry.Proof{Password: password}, registry.UserPatch{Password: password}, time.Now())
	fatal(h.t, err)
	return u.ID
}

package web

import (
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/ring"
)

// admission is a route with a body that it takes. Its statuses are those for requests about a thing
// of Anna: without a token, with her token of device scope, with her token and Ben's of full scope,
// and with the admin token.
type admission struct {
	route                             string
	body                              object
	nobody, device, full, ben, master int

	proof bool // it wants proof
}

// admissions is the table of permissions.
var admissions = []admission{
	{"GET /setup", nil, 200, 200, 200, 200, 200, false},
	{"POST /setup", object{"token": "none", "name": "Eve", "password": "long enough " + marker}, 409, 409, 409, 409, 409, false},
	{"POST /login", object{"name": "anna", "password": password}, 200, 200, 200, 200, 200, false},
	{"POST /login/passkey", object{"passkey": object{}}, 422, 422, 422, 422, 422, false},
	{"DELETE /login", nil, 401, 403, 403, 403, 403, false},
	{"POST /proof", object{"password": password}, 401, 403, 204, 204, 403, false},
	{"GET /me", nil, 401, 403, 200, 200, 403, false},
	{"PATCH /me", object{}, 401, 403, 200, 200, 403, false},
	{"PATCH /me", object{"password": password, "current_password": password}, 401, 403, 200, 200, 403, false},
	{"DELETE /me/notice?since=2026-11-29T08:00:00Z", nil, 401, 403, 204, 204, 403, false},
	{"PATCH /me", object{"only_passkeys": true, "current_password": password}, 401, 403, 409, 409, 403, false},
	{"POST /passkeys/challenge", nil, 409, 409, 409, 409, 409, false}, // the address is another
	{"POST /passkeys/options", object{"password": password}, 401, 403, 409, 409, 403, false},
	{"GET /passkeys", nil, 401, 403, 200, 200, 403, false},
	{"POST /passkeys", object{"name": "x", "passkey": object{}}, 401, 403, 422, 422, 403, false},
	{"PATCH /passkeys/PASSKEY", object{"name": "x"}, 401, 403, 204, 404, 403, false},
	{"DELETE /passkeys/PASSKEY", nil, 401, 403, 204, 404, 403, true},
	{"GET /sessions", nil, 401, 403, 200, 200, 403, false},
	{"DELETE /sessions/SESSION", nil, 401, 403, 204, 404, 403, false},
	{"GET /users", nil, 401, 403, 200, 403, 200, false},
	{"GET /users/names", nil, 401, 403, 200, 200, 403, false},
	{"POST /users", object{"name": "NEW", "password": password}, 401, 403, 201, 403, 201, true},
	{"PATCH /users/USER", object{"admin": true}, 401, 403, 200, 403, 200, true},
	{"DELETE /users/USER", nil, 401, 403, 204, 403, 204, false},
	{"GET /advice", nil, 401, 403, 200, 403, 200, false},
	{"GET /state", nil, 401, 403, 200, 200, 200, false},
	{"GET /invites", nil, 401, 403, 200, 200, 403, false},
	{"POST /invites", object{"for": "person"}, 401, 403, 201, 403, 422, true},
	{"POST /invites", object{"for": "device"}, 401, 403, 201, 201, 422, true},
	{"POST /invites", object{"for": "password", "user": "ANNA"}, 401, 403, 201, 403, 201, true},
	{"DELETE /invites/INVITE", nil, 401, 403, 204, 404, 403, false},
	{"POST /invites/look", object{"code": "CODE"}, 200, 200, 200, 200, 200, false},
	{"POST /invites/accept", object{"code": "CODE"}, 201, 201, 201, 201, 201, false},
	{"GET /tokens", nil, 401, 403, 200, 200, 403, false},
	{"POST /tokens", object{"name": "x", "scope": "full"}, 401, 403, 201, 201, 422, true},
	{"POST /tokens", object{"name": "x", "scope": "device"}, 401, 403, 201, 201, 422, false},
	{"POST /tokens", object{"name": "x", "scope": "full", "user": "ANNA"}, 401, 403, 422, 422, 422, false},
	{"POST /tokens", object{"name": "x", "scope": "device", "user": "ANNA"}, 401, 403, 422, 422, 201, false},
	{"DELETE /tokens/TOKEN", nil, 401, 403, 204, 404, 403, false},
	{"POST /accounts/discover", object{"email": "anna@example.net"}, 401, 403, 200, 200, 200, false},
	{"POST /accounts/check", mailbox(), 401, 403, 200, 200, 200, false},
	{"GET /accounts", nil, 401, 200, 200, 200, 200, false},
	{"POST /accounts", mailbox(), 401, 403, 201, 201, 422, false},
	{"POST /accounts", mailbox().with("user", "ANNA"), 401, 403, 422, 422, 201, false},
	{"POST /accounts", mailbox().with("shared_with", "BEN"), 401, 403, 201, 422, 422, false},
	{"GET /accounts/ACCOUNT", nil, 401, 403, 200, 404, 200, false},
	{"GET /accounts/ACCOUNT/folders", nil, 401, 403, 200, 404, 403, false},
	{"POST /accounts/ACCOUNT/examine", nil, 401, 403, 200, 404, 403, false},
	{"PATCH /accounts/ACCOUNT", object{"enabled": false}, 401, 403, 200, 404, 200, false},
	{"PATCH /accounts/ACCOUNT", object{"password": password, "shared_with": "BEN"}, 401, 403, 200, 404, 200, false},
	{"DELETE /accounts/ACCOUNT", nil, 401, 403, 204, 404, 204, false},
	{"GET /accounts/ACCOUNT/wishes", nil, 401, 403, 200, 404, 403, false},
	{"PUT /accounts/ACCOUNT/wishes", object{"revision": 0}, 401, 403, 200, 404, 403, false},
	{"POST /accounts/ACCOUNT/rules/try", object{}, 401, 403, 200, 404, 403, false},
	{"POST /accounts/ACCOUNT/mutes", object{"of": "mailbox", "device": "DEVICE"}, 401, 201, 201, 404, 403, false},
	{"DELETE /accounts/ACCOUNT/mutes/MUTE", nil, 401, 204, 204, 404, 403, false},
	{"GET /clients", nil, 401, 403, 200, 403, 200, false},
	{"PATCH /clients/google", object{"client_id": "x"}, 401, 403, 200, 403, 200, true},
	{"POST /consents", mailbox().with("password", nil).with("oauth", "yahoo"), 401, 403, 201, 201, 403, false},
	{"GET /consents/CONSENT", nil, 401, 403, 200, 404, 403, false},
	{"DELETE /consents/CONSENT", nil, 401, 403, 204, 404, 403, false},
	{"GET /offers", nil, 401, 403, 200, 200, 403, false},
	{"POST /offers/OFFER/accept", nil, 401, 403, 204, 404, 403, false},
	{"DELETE /offers/OFFER", nil, 401, 403, 204, 404, 403, false},
	{"GET /devices", nil, 401, 200, 200, 200, 200, false},
	{"POST /devices", fcmDevice(), 401, 201, 201, 201, 422, false},
	{"POST /devices", fcmDevice().with("user", "ANNA"), 401, 422, 422, 422, 201, false},
	{"POST /devices", fcmDevice().with("accounts", "ACCOUNT"), 401, 201, 201, 422, 422, false},
	{"GET /devices/DEVICE", nil, 401, 200, 200, 404, 200, false},
	{"PATCH /devices/DEVICE", object{"name": "x"}, 401, 200, 200, 404, 200, false},
	{"PATCH /devices/DEVICE", object{"token": fcmToken, "accounts": "ACCOUNT"}, 401, 200, 200, 404, 422, false},
	{"DELETE /devices/DEVICE", nil, 401, 204, 204, 404, 403, false},
	{"POST /devices/DEVICE/test", nil, 401, 200, 200, 404, 200, false},
	{"GET /devices/DEVICE/preview", nil, 401, 200, 200, 404, 200, false},
	{"GET /devices/DEVICE/wishes", nil, 401, 200, 200, 404, 403, false},
	{"PUT /devices/DEVICE/wishes", object{"revision": 0}, 401, 200, 200, 404, 403, false},
	{"GET /notifications", nil, 401, 200, 200, 200, 403, false},
	{"GET /notifications/NOTIFICATION", nil, 401, 200, 200, 404, 403, false},
	{"POST /receipts/RECEIPT", object{"shown": "2026-11-29T08:00:00Z", "now": "2026-11-29T08:00:00Z"}, 204, 204, 204, 204, 204, false},
	{"GET /vapid", nil, 200, 200, 200, 200, 200, false},
	{"GET /openapi.json", nil, 200, 200, 200, 200, 200, false},
	{"GET /nothing", nil, 404, 404, 404, 404, 404, false},
	{"PUT /devices", nil, 405, 405, 405, 405, 405, false},
}

func TestScopes(t *testing.T) {
	t.Parallel()
	t.Run("an invalid token admits nobody", scopeInvalidToken)
	t.Run("without an admin token an empty one admits nobody", scopeEmptyAdminToken)
	t.Run("a token of device scope sees only the names of accounts", scopeDeviceAccounts)
}

// request returns the request of the row, with ids for the names in it.
func (row admission) request(h *testServer, ids map[string]string) (method, path string, body any) {
	h.t.Helper()
	method, path, _ = strings.Cut(row.route, " ")
	if strings.Contains(path, "USER") {
		ids["USER"] = h.made("Carl", false)
	}
	if strings.Contains(path, "PASSKEY") {
		k, err := h.store.Logins.AddPasskey(h.anna.id, registry.Passkey{Name: "Phone", Credential: []byte(ids["TOKEN"])}, "", time.Now())
		fatal(h.t, err)
		ids["PASSKEY"] = k.ID
	}
	if strings.Contains(path, "OFFER") {
		ids["OFFER"] = h.offer(ids["TOKEN"])
	}
	if strings.Contains(path, "CONSENT") {
		ids["CONSENT"] = h.call(h.anna.full, "POST", "/consents", mailbox().with("password", nil).with("oauth", "yahoo"), 201).id()
	}
	if strings.Contains(path, "RECEIPT") {
		ids["RECEIPT"] = string(h.store.Outbox.TestReceipt(ids["DEVICE"], time.Now()))
	}
	if strings.Contains(path, "MUTE") {
		m, err := h.store.Accounts.Mute(h.anna.id, ids["ACCOUNT"], ring.Mute{Of: ring.MuteMailbox, Device: ids["DEVICE"]}, time.Now())
		fatal(h.t, err)
		ids["MUTE"] = m.ID
	}
	for name, id := range ids {
		path = strings.Replace(path, name, id, 1)
	}
	if row.body == nil {
		return method, path, nil
	}
	b := row.body
	if b["user"] != nil {
		b = b.with("user", h.anna.id)
	}
	if b["host"] != nil {
		b = b.with("username", "u"+ids["ACCOUNT"])
	}
	if b["token"] == fcmToken {
		b = b.with("token", fcmToken+ids["DEVICE"])
	}
	if b["shared_with"] != nil {
		b = b.with("shared_with", []string{h.ben.id})
	}
	if b["accounts"] != nil {
		b = b.with("accounts", []string{ids["ACCOUNT"]})
	}
	if b["device"] != nil {
		b = b.with("device", ids["DEVICE"])
	}
	if b["code"] != nil {
		b = b.with("code", ids["CODE"])
	}
	if b["name"] == "NEW" {
		b = b.with("name", "New "+ids["TOKEN"])
	}
	return method, path, b
}

// offer returns the id of an offer of Ben to Anna, later than she could have declined another.
func (h *testServer) offer(username string) string {
	h.t.Helper()
	a, _, err := h.store.Accounts.Add(idlepush.Account{Owner: h.ben.id, OfferedTo: []string{h.anna.id}, Email: "club@example.net", Host: "imap.example.net", Port: 993,
		Security: idlepush.SecurityTLS, Username: "club " + username, Password: password, Folders: []string{"INBOX"}}, "", time.Now().AddDate(0, 1, 0))
	fatal(h.t, err)
	offers, err := h.store.Accounts.Offers(h.anna.id)
	fatal(h.t, err)
	return offers[slices.IndexFunc(offers, func(o idlepush.Offer) bool { return o.Account.ID == a.ID })].ID
}

// operation returns the route of the row as the document names it.
func (row admission) operation() string {
	method, path, _ := strings.Cut(row.route, " ")
	for _, name := range []string{"TOKEN", "ACCOUNT", "DEVICE", "NOTIFICATION", "SESSION", "USER", "INVITE", "PASSKEY", "OFFER", "CONSENT"} {
		path = strings.Replace(path, name, "{id}", 1)
	}
	path = strings.Replace(path, "/clients/google", "/clients/{provider}", 1)
	path = strings.Replace(path, "MUTE", "{mute}", 1)
	path = strings.Replace(path, "RECEIPT", "{token}", 1)
	path, _, _ = strings.Cut(path, "?")
	return strings.ToLower(method) + path
}

// appToken returns the token of device scope that makes the request of the route: the one of
// DEVICE, or to register another one that has none.
func appToken(ids map[string]string, route string) string {
	if route == "POST /devices" {
		return ids["NEW APP"]
	}
	return ids["APP"]
}

// furnishedSubject is the subject of a mail to Anna.
const furnishedSubject = "Kuchen"

// furnish creates one thing of each kind for Anna.
func furnish(h *testServer) map[string]string {
	h.t.Helper()
	now := time.Now()
	token, _, err := h.store.Logins.AddToken(h.anna.id, "old", idlepush.ScopeFull, "", now)
	fatal(h.t, err)
	a, _, err := h.store.Accounts.Add(idlepush.Account{Owner: h.anna.id, Email: "anna@example.net", Host: "imap.example.net", Port: 993,
		Security: idlepush.SecurityTLS, Username: token.ID, Password: password, Folders: []string{"INBOX"}, Enabled: true}, "", now)
	fatal(h.t, err)
	app, secret, err := h.store.Logins.AddToken(h.anna.id, "app", idlepush.ScopeDevice, "", now)
	fatal(h.t, err)
	_, bare, err := h.store.Logins.AddToken(h.anna.id, "new app", idlepush.ScopeDevice, "", now)
	fatal(h.t, err)
	for _, used := range []string{secret, bare} {
		_, _, err := h.store.Logins.Authenticate(used, now) // the first use is written
		fatal(h.t, err)
	}
	d, _, err := h.store.Devices.Register(idlepush.Device{User: h.anna.id, Name: "Phone", Transport: "fcm", Lane: "fcm", Address: idlepush.Secret(marker + token.ID),
		Content: idlepush.LevelSubject, Status: idlepush.Status{State: idlepush.StateProven, Proof: now}}, app.ID, now)
	fatal(h.t, err)
	_, err = h.store.Mail.Record(registry.Arrival{Account: a.ID, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2},
		Mails: []registry.Message{{UID: 1, Content: idlepush.Content{From: "Oma", Subject: furnishedSubject}}}, At: now})
	fatal(h.t, err)
	_, door, err := h.store.Users.AddInvite(h.anna.id, registry.InviteForDevice, false, "", now)
	fatal(h.t, err)
	_, session, err := h.store.Users.Accept(door, "", "", registry.Visit{}, now)
	fatal(h.t, err)
	_, s, err := h.store.Logins.Authenticate(session, now)
	fatal(h.t, err)
	fatal(h.t, h.store.Logins.Prove(h.anna.id, s.ID, registry.Proof{Password: password}, now))
	invite, code, err := h.store.Users.AddInvite(h.anna.id, registry.InviteForDevice, false, "", now)
	fatal(h.t, err)
	return map[string]string{"SESSION": s.ID, "COOKIE": session, "APP": secret, "NEW APP": bare, "INVITE": invite.ID, "CODE": code, "TOKEN": token.ID, "ACCOUNT": a.ID, "DEVICE": d.ID, "NOTIFICATION": registry.StableID(a.ID, "INBOX", 1, 1)}
}

func scopeInvalidToken(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for _, header := range []string{"Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", h.anna.full, "Bearer " + adminToken + "x", "bearer\t" + h.anna.full} {
		r := h.request("", "GET", "/me", nil)
		r.Header.Set("Authorization", header)
		a := h.send(r)
		if a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" || a.body["code"] != "unauthorized" {
			t.Errorf("%d, %s", a.status, a.raw)
		}
	}
	r := h.request("", "GET", "/me", nil)
	r.Header.Set("Authorization", "bearer "+h.anna.full)
	if a := h.send(r); a.status != 200 {
		t.Errorf("the scheme's case matters: %d", a.status)
	}
}

func scopeEmptyAdminToken(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	c := h.config()
	c.AdminToken = ""
	s := New(c)
	r := h.request("", "GET", "/accounts", nil)
	r.Header.Set("Authorization", "Bearer ")
	if _, err := s.guard.authenticate(r, admin); err == nil {
		t.Error("an empty bearer token has admin rights")
	}
}

func scopeDeviceAccounts(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	furnish(h)
	items := h.call(h.anna.device, "GET", "/accounts", nil, 200).body["items"].([]any)
	if got := items[0].(map[string]any); len(got) != 2 || got["email"] != "anna@example.net" || got["id"] == "" {
		t.Errorf("it sees %v", got)
	}
	if items := h.call(h.ben.device, "GET", "/accounts", nil, 200).body["items"].([]any); len(items) != 0 {
		t.Errorf("Ben's sees Anna's: %v", items)
	}
}

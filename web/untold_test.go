package web

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// untold is what an admin, or whoever has the admin token, tries in order to see the mail of Ben or
// to change where it goes. It is refused, or Ben's phone is told, with this code.
type untold struct {
	try, method, path string
	body              object
	refused           int
	told              codes.Code
	told2             codes.Code // once Anna accepts what she is offered
}

const (
	linkMadeHere = "https://evil.example/{message_id}"
	bensToken    = "ben's-" + marker
)

// byAdminToken are tries with the admin token.
var byAdminToken = []untold{
	{try: "makes a link for a new password", method: "POST", path: "/invites", body: object{"for": "password", "user": "BEN"}, told: "password_link"},
	{try: "invites a device", method: "POST", path: "/invites", body: object{"for": "device", "user": "BEN"}, refused: 422},
	{try: "sets a password", method: "PATCH", path: "/users/BEN", body: object{"password": other}, refused: 422},
	{try: "gives another name", method: "PATCH", path: "/users/BEN", body: object{"name": "Benno"}, told: "renamed"},
	{try: "makes a token for an app", method: "POST", path: "/tokens", body: object{"name": "x", "scope": "device", "user": "BEN"}, told: "token_by_admin"},
	{try: "makes a full token", method: "POST", path: "/tokens", body: object{"name": "x", "scope": "full", "user": "BEN"}, refused: 422},
	{try: "adds a device", method: "POST", path: "/devices", body: browser().with("user", "BEN").with("content", "preview"), told: "device_by_admin"},
	{try: "raises a device", method: "PATCH", path: "/devices/DEVICE", body: object{"content": "preview"}, told: "device_by_admin"},
	{try: "lowers a device", method: "PATCH", path: "/devices/DEVICE", body: object{"content": "wake"}, told: "device_by_admin"},
	{try: "raises a device by its address", method: "POST", path: "/devices", body: fcmDevice().with("token", bensToken).with("user", "BEN").with("content", "preview"), told: "device_by_admin"},
	{try: "lets a device ring for no mailbox", method: "PATCH", path: "/devices/DEVICE", body: object{"accounts": []string{"ACCOUNT"}}, told: "device_by_admin"},
	{try: "moves a device to another address", method: "PATCH", path: "/devices/DEVICE", body: object{"token": "another-" + marker}, refused: 422},
	{try: "gives a device other keys", method: "PATCH", path: "/devices/DEVICE", body: object{"encryption": object{"p256dh": p256dh, "auth": auth}}, refused: 422},
	{try: "gives a device other keys by its address", method: "POST", path: "/devices", body: fcmDevice().with("token", bensToken).with("user", "BEN").with("encryption", object{"p256dh": p256dh, "auth": auth}), refused: 422},
	{try: "gives a device to another person", method: "POST", path: "/devices", body: fcmDevice().with("token", bensToken).with("user", "ANNA"), refused: 422},
	{try: "removes a device", method: "DELETE", path: "/devices/DEVICE", refused: 403},
	{try: "reads what rang", method: "GET", path: "/notifications", refused: 403},
	{try: "reads a mail", method: "GET", path: "/notifications/MAIL", refused: 403},
	{try: "lists the folders", method: "GET", path: "/accounts/ACCOUNT/folders", refused: 403},
	{try: "reads what he wishes", method: "GET", path: "/accounts/ACCOUNT/wishes", refused: 403},
	{try: "silences a mailbox", method: "PUT", path: "/accounts/ACCOUNT/wishes", body: object{"revision": 0, "otherwise": object{"ring": "not"}}, refused: 403},
	{try: "mutes a mailbox", method: "POST", path: "/accounts/ACCOUNT/mutes", body: object{"of": "mailbox"}, refused: 403},
	{try: "reads the mail of the last days", method: "POST", path: "/accounts/ACCOUNT/rules/try", body: object{}, refused: 403},
	{try: "gives a device quiet hours", method: "PUT", path: "/devices/DEVICE/wishes", body: object{"revision": 0}, refused: 403},
	{try: "shares a mailbox", method: "PATCH", path: "/accounts/ACCOUNT", body: object{"shared_with": []string{"ANNA"}}, told: "mailbox_by_admin", told2: "share_joined"},
	{try: "changes a link", method: "PATCH", path: "/accounts/ACCOUNT", body: object{"link": linkMadeHere}, told: "mailbox_by_admin"},
	{try: "watches more folders", method: "PATCH", path: "/accounts/ACCOUNT", body: object{"folders": []string{"INBOX", "Family"}}, told: "mailbox_by_admin"},
	{try: "pauses a mailbox", method: "PATCH", path: "/accounts/ACCOUNT", body: object{"enabled": false}, told: "mailbox_by_admin"},
	{try: "watches another server", method: "PATCH", path: "/accounts/ACCOUNT", body: object{"host": "imap.evil.example", "password": password}, told: "mailbox_by_admin"},
	{try: "removes a mailbox", method: "DELETE", path: "/accounts/ACCOUNT", told: "mailbox_by_admin"},
	{try: "adds a mailbox", method: "POST", path: "/accounts", body: mailbox().with("user", "BEN").with("link", linkMadeHere), told: "mailbox_by_admin"},
	{try: "adds the mailbox to another person by its password", method: "POST", path: "/accounts", body: mailbox().with("username", "ben").with("user", "ANNA"), told: "share_joined"},
}

// byAdmin are tries of Anna, who is an admin.
var byAdmin = []untold{
	{try: "makes a link for a new password", method: "POST", path: "/invites", body: object{"for": "password", "user": "BEN"}, told: "password_link"},
	{try: "invites a device", method: "POST", path: "/invites", body: object{"for": "device", "user": "BEN"}, refused: 422},
	{try: "sets a password", method: "PATCH", path: "/users/BEN", body: object{"password": other}, refused: 422},
	{try: "gives another name", method: "PATCH", path: "/users/BEN", body: object{"name": "Benno"}, told: "renamed"},
	{try: "takes the name of another", method: "PATCH", path: "/users/ANNA", body: object{"name": "Вen"}, refused: 422},
	{try: "makes a token for an app", method: "POST", path: "/tokens", body: object{"name": "x", "scope": "device", "user": "BEN"}, refused: 422},
	{try: "adds a device", method: "POST", path: "/devices", body: browser().with("user", "BEN"), refused: 422},
	{try: "raises a device", method: "PATCH", path: "/devices/DEVICE", body: object{"content": "preview"}, refused: 404},
	{try: "removes a device", method: "DELETE", path: "/devices/DEVICE", refused: 404},
	{try: "looks at a device", method: "GET", path: "/devices/DEVICE", refused: 404},
	{try: "reads a mail", method: "GET", path: "/notifications/MAIL", refused: 404},
	{try: "looks at a mailbox", method: "GET", path: "/accounts/ACCOUNT", refused: 404},
	{try: "lists the folders", method: "GET", path: "/accounts/ACCOUNT/folders", refused: 404},
	{try: "reads what he wishes", method: "GET", path: "/accounts/ACCOUNT/wishes", refused: 404},
	{try: "silences a mailbox", method: "PUT", path: "/accounts/ACCOUNT/wishes", body: object{"revision": 0, "otherwise": object{"ring": "not"}}, refused: 404},
	{try: "mutes a mailbox", method: "POST", path: "/accounts/ACCOUNT/mutes", body: object{"of": "mailbox"}, refused: 404},
	{try: "reads the mail of the last days", method: "POST", path: "/accounts/ACCOUNT/rules/try", body: object{}, refused: 404},
	{try: "gives a device quiet hours", method: "PUT", path: "/devices/DEVICE/wishes", body: object{"revision": 0}, refused: 404},
	{try: "shares a mailbox", method: "PATCH", path: "/accounts/ACCOUNT", body: object{"shared_with": []string{"ANNA"}}, refused: 404},
	{try: "removes a mailbox", method: "DELETE", path: "/accounts/ACCOUNT", refused: 404},
	{try: "adds the mailbox by its password", method: "POST", path: "/accounts", body: mailbox().with("username", "ben"), told: "share_joined"},
}

// tried is a server on which Ben has a phone, a mailbox and a mail.
type tried struct {
	*testServer
	phone string
	ids   *strings.Replacer
}

func newTried(t *testing.T) tried {
	h := newTestServer(t)
	phone := h.call(h.ben.full, "POST", "/devices", fcmDevice().with("token", bensToken).with("content", "sender"), 201).id()
	account := h.call(h.ben.full, "POST", "/accounts", mailbox().with("username", "ben"), 201).id()
	_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2},
		Mails: []registry.Message{{UID: 1, Content: idlepush.Content{Subject: furnishedSubject}}}, At: time.Now()})
	fatal(t, err)
	h.deliver(phone)
	return tried{h, phone, strings.NewReplacer("BEN", h.ben.id, "ANNA", h.anna.id, "DEVICE", phone, "ACCOUNT", account, "MAIL", registry.StableID(account, "INBOX", 1, 1))}
}

// send tries it, and returns the answer.
func (h tried) attempt(token string, c untold) answer {
	body := maps.Clone(c.body)
	for name, value := range body {
		switch value := value.(type) {
		case string:
			body[name] = h.ids.Replace(value)
		case []string:
			list := slices.Clone(value)
			for i := range list {
				list[i] = h.ids.Replace(list[i])
			}
			body[name] = list
		}
	}
	if body == nil {
		return h.send(h.request(token, c.method, h.ids.Replace(c.path), nil))
	}
	return h.send(h.request(token, c.method, h.ids.Replace(c.path), body))
}

// told returns what the phone is to be told.
func (h tried) told() (list []codes.Code) {
	h.t.Helper()
	for {
		work, ok, err := h.store.Outbox.Next(h.phone, time.Now())
		fatal(h.t, err)
		if !ok {
			return list
		}
		list = append(list, work.Notification.Code)
		_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultDelivered}, time.Now())
		fatal(h.t, err)
	}
}

// state is all of Ben that an admin could change.
func (h tried) state() []any {
	h.t.Helper()
	accounts, err := h.store.Accounts.List()
	fatal(h.t, err)
	list, err := h.store.Devices.List("")
	fatal(h.t, err)
	for i := range list { // when each is due, and what a push has shown, is no change
		list[i] = idlepush.Device{ID: list[i].ID, User: list[i].User, Name: list[i].Name, Address: list[i].Address, Content: list[i].Content, Accounts: list[i].Accounts}
	}
	tokens, err := h.store.Logins.Tokens(h.ben.id)
	fatal(h.t, err)
	invites, err := h.store.Users.Invites(time.Now())
	fatal(h.t, err)
	ben, err := h.store.Users.Get(h.ben.id)
	fatal(h.t, err)
	return []any{accounts, list, len(tokens), invites, ben}
}

func TestAdminsSeeNothingUntold(t *testing.T) {
	t.Parallel()
	t.Run("each way is refused, or the phone is told", untoldWays)
	t.Run("nothing is changed in a transaction that does not tell", untoldHalfway)
	t.Run("without a device the page tells", untoldOnPage)
	t.Run("a password that an admin chose opens nothing but the choice of another", untoldGiven)
}

// ways calls do for each try.
func ways(t *testing.T, do func(t *testing.T, token func(h tried) string, c untold)) {
	for who, of := range map[string]struct {
		list  []untold
		token func(h tried) string
	}{
		"the admin token": {byAdminToken, func(tried) string { return adminToken }},
		"an admin":        {byAdmin, func(h tried) string { return h.anna.full }},
	} {
		for _, c := range of.list {
			t.Run(who+" "+c.try, func(t *testing.T) {
				t.Parallel()
				do(t, of.token, c)
			})
		}
	}
}

func untoldWays(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, token func(h tried) string, c untold) {
		h := newTried(t)
		before := h.state()
		a := h.attempt(token(h), c)
		if strings.Contains(a.raw, furnishedSubject) {
			t.Errorf("it shows the mail: %s", a.raw)
		}
		told := h.told()
		if c.refused != 0 {
			if a.status != c.refused || len(told) > 0 || !reflect.DeepEqual(h.state(), before) {
				t.Errorf("got %d, want %d; the phone is told %v: %s", a.status, c.refused, told, a.raw)
			}
			return
		}
		if a.status >= 300 || !slices.Equal(told, []codes.Code{c.told}) || reflect.DeepEqual(h.state(), before) {
			t.Errorf("%d, the phone is told %v, want %s: %s", a.status, told, c.told, a.raw)
		}
		if c.told2 == "" {
			return
		}
		offer := h.call(h.anna.full, "GET", "/offers", nil, 200).body["items"].([]any)[0].(map[string]any)["id"].(string)
		h.call(h.anna.full, "POST", "/offers/"+offer+"/accept", nil, 204)
		if told := h.told(); !slices.Equal(told, []codes.Code{c.told2}) {
			t.Errorf("then the phone is told %v, want %s", told, c.told2)
		}
	})
}

func untoldHalfway(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, token func(h tried) string, c untold) {
		if c.refused != 0 {
			return
		}
		for n, left := int64(1), true; left; n++ {
			h := newTried(t)
			before := h.state()
			count := h.at(n, func() error { return errDisk })
			h.attempt(token(h), c)
			left = count() >= n
			h.at(0, nil)
			if changed := !reflect.DeepEqual(h.state(), before); changed && !slices.Contains(h.told(), c.told) {
				t.Errorf("without transaction %d the phone is told nothing, and there is %+v", n, h.state())
			}
		}
	})
}

func untoldOnPage(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, token func(h tried) string, c untold) {
		if c.refused != 0 || strings.Contains(c.path, "/devices") {
			return
		}
		h := newTried(t)
		d, err := h.store.Devices.Get(h.phone)
		fatal(t, err)
		fatal(t, h.store.Devices.Remove(d, ""))
		h.loseDevice() // does not hide it
		h.attempt(token(h), c)
		var told []codes.Code
		for n := h.notice(h.ben.full); n != nil; n = h.notice(h.ben.full) {
			told = append(told, codes.Code(n["code"].(string)))
			h.dismiss(h.ben.full, n["since"])
		}
		if !slices.Equal(told, []codes.Code{"device_gone", c.told}) {
			t.Errorf("the page tells %v, want %s", told, c.told)
		}
	})
}

func untoldGiven(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "POST", "/users", object{"name": "Carla", "password": password}, 201)
	session := h.logIn("Carla")
	admitted := map[string]int{"GET /me": 200, "GET /accounts": 200, "GET /offers": 200, "GET /devices": 200, "GET /state": 200, "GET /sessions": 200, "GET /passkeys": 200,
		"GET /tokens": 200, "GET /users/names": 200, "DELETE /me/notice": 422, "GET /openapi.json": 200, "GET /vapid": 200}
	for path, operations := range h.doc.Paths {
		for method, op := range operations {
			at := strings.ToUpper(method) + " " + path
			if op.Security == nil || admitted[at] != 0 || slices.Contains([]string{"GET /events", "PATCH /me", "DELETE /login"}, at) {
				continue
			}
			if a := h.inSession(session, strings.ToUpper(method), strings.Replace(path, "{id}", "x", 1), nil, 403); a.body["code"] != "own_password_first" {
				t.Errorf("%s: %s", at, a.raw)
			}
		}
	}
	for at, want := range admitted {
		method, path, _ := strings.Cut(at, " ")
		h.inSession(session, method, path, nil, want)
	}
	h.listen("", session).res.Body.Close()
	h.inSession(session, "PATCH", "/me", object{"password": other, "current_password": password}, 200)
	own, err := http.ParseSetCookie(h.call("", "POST", "/login", object{"name": "Carla", "password": other}, 200).header.Get("Set-Cookie"))
	fatal(t, err)
	h.inSession(own, "POST", "/accounts", mailbox(), 201)
	h.inSession(own, "DELETE", "/login", nil, 204)
}

package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"idlepush"

	"idlepush/registry"
)

func TestPasswordLinks(t *testing.T) {
	t.Parallel()
	t.Run("an admin lets a person choose a new password, and never sets one", linkChoosesPassword)
	t.Run("an admin sees nothing of a person before that person's devices were told", linkTellsFirst)
	t.Run("the admin token makes one", linkByAdminToken)
	t.Run("making one wants the password", linkWantsProof)
	t.Run("admins and the person see and withdraw it, others do not", linkVisible)
	t.Run("guessing is slowed down as with invites", linkGuessedSlowly)
	t.Run("an admin cannot use the password of a new person unseen", givenPasswordTold)
}

const other = "another " + password

// link makes a password link for Ben and returns its code.
func (h *testServer) link(token string) string {
	h.t.Helper()
	return h.call(token, "POST", "/invites", object{"for": "password", "user": h.ben.id}, 201).body["code"].(string)
}

// deliver lets the device of that id get all that waits for it.
func (h *testServer) deliver(device string) (delivered int) {
	h.t.Helper()
	for ; ; delivered++ {
		work, ok, err := h.store.Outbox.Next(device, time.Now())
		fatal(h.t, err)
		if !ok {
			return delivered
		}
		_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultDelivered}, time.Now())
		fatal(h.t, err)
	}
}

func linkChoosesPassword(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.call(h.ben.full, "POST", "/accounts", mailbox(), 201).id()
	phone := h.call(h.ben.full, "POST", "/devices", fcmDevice(), 201).id()
	session := h.logIn("Ben")
	h.call(h.anna.full, "PATCH", "/users/"+h.ben.id, object{"password": other}, 422).wantFields(t, "password")
	h.inSession(session, "GET", "/me", nil, 200)

	made := h.call(h.anna.full, "POST", "/invites", object{"for": "password", "user": h.ben.id}, 201)
	code := made.body["code"].(string)
	rows, err := qrRows("https://house.example.net/#/password/" + code)
	fatal(t, err)
	if qr := made.body["qr"].([]any); made.body["url"] != "https://house.example.net/#/password/"+code || made.body["user"] != h.ben.id || len(qr) != len(rows) || qr[0] != rows[0] {
		t.Errorf("it is %s", made.raw)
	}
	if told := h.deliver(phone); told != 1 {
		t.Errorf("his phone gets %d", told)
	}
	look := h.call("", "POST", "/invites/look", object{"code": code}, 200)
	if look.body["for"] != "password" || look.body["by"] != "Anna" || look.body["name"] != "Ben" {
		t.Errorf("it is %s", look.raw)
	}
	h.call("", "POST", "/invites/accept", object{"code": code}, 422).wantFields(t, "password")
	h.call("", "POST", "/invites/accept", object{"code": code, "password": "short"}, 422).wantFields(t, "password")
	h.call("", "POST", "/invites/accept", object{"code": code, "password": other, "devices": "all"}, 422).wantFields(t, "devices")
	a := h.call("", "POST", "/invites/accept", object{"code": code, "password": other}, 201)
	fresh, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	fatal(t, err)
	if me := h.inSession(fresh, "GET", "/me", nil, 200); me.body["name"] != "Ben" {
		t.Errorf("the session is %s", me.raw)
	}
	h.inSession(fresh, "GET", "/accounts/"+account, nil, 200)
	h.inSession(fresh, "GET", "/devices/"+phone, nil, 200)
	h.inSession(fresh, "POST", "/invites", object{"for": "device"}, 201) // the password is fresh
	if told := h.deliver(phone); told != 1 {
		t.Errorf("his phone gets %d more", told)
	}
	h.inSession(session, "GET", "/me", nil, 401)
	h.call(h.ben.full, "GET", "/me", nil, 401)
	h.call("", "POST", "/login", object{"name": "Ben", "password": password}, 401)
	h.call("", "POST", "/login", object{"name": "Ben", "password": other}, 200)
	if gone := h.call("", "POST", "/invites/accept", object{"code": code, "password": other}, 404); gone.body["code"] != "invite_gone" {
		t.Errorf("again: %s", gone.raw)
	}
	if strings.Contains(h.log.String(), code) {
		t.Error("the log holds the code")
	}
}

// The admin goes as fast as programs do: the phone must not be removed before it is told.
func linkTellsFirst(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	phone := h.call(h.ben.full, "POST", "/devices", fcmDevice(), 201).id()
	code := h.link(h.anna.full)
	accept := object{"code": code, "password": other, "devices": "end"}
	a := h.call("", "POST", "/invites/accept", accept, 409)
	if a.body["code"] != "devices_first" || a.header.Get("Retry-After") != "5" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("before: %v, %s", a.header, a.raw)
	}
	h.call(h.ben.full, "GET", "/me", nil, 200)
	if told := h.deliver(phone); told != 1 {
		t.Errorf("his phone gets %d", told)
	}
	fresh, err := http.ParseSetCookie(h.call("", "POST", "/invites/accept", accept, 201).header.Get("Set-Cookie"))
	fatal(t, err)
	if items := h.inSession(fresh, "GET", "/devices", nil, 200).body["items"].([]any); len(items) != 0 {
		t.Errorf("devices %v", items)
	}
	if me := h.inSession(fresh, "GET", "/me", nil, 200); me.body["notice"].(map[string]any)["code"] != "password_set" {
		t.Errorf("the page tells %s", me.raw)
	}
}

func linkByAdminToken(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(adminToken, "POST", "/invites", object{"for": "person"}, 422).wantFields(t, "for")
	code := h.link(adminToken)
	if look := h.call("", "POST", "/invites/look", object{"code": code}, 200); look.body["by"] != nil || look.body["name"] != "Ben" {
		t.Errorf("it is %s", look.raw)
	}
	if n := h.notice(h.ben.full); n["code"] != "password_link" || !strings.HasPrefix(n["reason"].(string), "Somebody with the admin token") {
		t.Errorf("he is told %v", n)
	}
	h.call("", "POST", "/invites/accept", object{"code": code, "password": other}, 201)
}

func linkWantsProof(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	invited := h.join(h.call(h.anna.full, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string))
	for _, user := range []string{h.ben.id, h.anna.id} {
		request := object{"for": "password", "user": user}
		if a := h.inSession(invited, "POST", "/invites", request, 403); a.body["code"] != "proof_needed" {
			t.Errorf("%s", a.raw)
		}
	}
	h.inSession(invited, "POST", "/proof", object{"password": password}, 204)
	h.inSession(invited, "POST", "/invites", object{"for": "password", "user": h.ben.id}, 201)
	h.call(h.ben.full, "POST", "/invites", object{"for": "password", "user": h.ben.id}, 403)
}

func linkVisible(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	_, carla, err := h.store.Logins.AddToken(h.made("Carl", false), "x", idlepush.ScopeFull, "", time.Now())
	fatal(t, err)
	for name, c := range map[string]struct {
		token string
		sees  bool
	}{"the admin": {h.anna.full, true}, "the person": {h.ben.full, true}, "another": {carla, false}} {
		code := h.link(h.anna.full)
		items := h.call(c.token, "GET", "/invites", nil, 200).body["items"].([]any)
		if (len(items) == 1) != c.sees {
			t.Errorf("%s sees %v", name, items)
		}
		id := h.call(h.anna.full, "GET", "/invites", nil, 200).body["items"].([]any)[0].(map[string]any)["id"].(string)
		want := 404
		if c.sees {
			want = 204
		}
		h.call(c.token, "DELETE", "/invites/"+id, nil, want)
		if c.sees {
			want = 404
		} else {
			want = 200
		}
		h.call("", "POST", "/invites/look", object{"code": code}, want)
	}
}

func linkGuessedSlowly(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		for range 10 {
			h.call("", "POST", "/invites/accept", object{"code": "GUESS", "password": other}, 404)
		}
		h.call("", "POST", "/invites/accept", object{"code": "GUESS", "password": other}, 429)
	})
}

func givenPasswordTold(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	carla := h.call(h.anna.full, "POST", "/users", object{"name": "Carla", "password": password}, 201).id()
	first := h.logIn("Carla")
	if me := h.inSession(first, "GET", "/me", nil, 200); me.body["password_given"] != true {
		t.Errorf("she is asked nothing: %s", me.raw)
	}
	phone := h.call(adminToken, "POST", "/devices", fcmDevice().with("user", carla), 201).id()
	h.deliver(phone)
	if a := h.call("", "POST", "/login", object{"name": "Carla", "password": password}, 409); a.body["code"] != "devices_first" {
		t.Errorf("%s", a.raw)
	}
	if told := h.deliver(phone); told != 1 {
		t.Errorf("her phone gets %d", told)
	}
	h.logIn("Carla")
	h.inSession(first, "PATCH", "/me", object{"password": other, "current_password": password}, 200)
	h.call("", "POST", "/login", object{"name": "Carla", "password": other}, 200)
	if u, err := h.store.Users.Get(carla); err != nil || u.PasswordGiven || h.deliver(phone) != 0 {
		t.Errorf("it is still the admin's: %+v, %v", u, err)
	}
}

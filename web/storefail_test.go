package web

import (
	"errors"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

// unlimited removes the limits on tries.
func (h *testServer) unlimited() {
	h.server.limits.users.burst = math.MaxInt32
	for _, l := range []**limiter{&h.server.limits.addresses, &h.server.limits.logins, &h.server.limits.lookups, &h.server.limits.pushes, &h.server.limits.challenges, &h.server.limits.trials, &h.server.limits.receipts} {
		*l = newLimiter(math.MaxInt32, time.Nanosecond)
	}
}

// holds counts the things in the store.
func (h *testServer) holds() map[string]int {
	h.t.Helper()
	now := time.Now()
	holds := make(map[string]int)
	users, err := h.store.Users.List()
	fatal(h.t, err)
	accounts, err := h.store.Accounts.List()
	fatal(h.t, err)
	devices, err := h.store.Devices.List("")
	fatal(h.t, err)
	invites, err := h.store.Users.Invites(now)
	fatal(h.t, err)
	holds["users"], holds["accounts"], holds["devices"], holds["invites"] = len(users), len(accounts), len(devices), len(invites)
	for _, u := range users {
		tokens, err := h.store.Logins.Tokens(u.ID)
		fatal(h.t, err)
		sessions, err := h.store.Logins.Sessions(u.ID, now)
		fatal(h.t, err)
		holds["tokens"] += len(tokens)
		holds["sessions"] += len(sessions)
	}
	return holds
}

// since lists the things that were added or removed.
func (h *testServer) since(held map[string]int) map[string]int {
	h.t.Helper()
	change := make(map[string]int)
	for what, n := range h.holds() {
		if n -= held[what]; n != 0 {
			change[what] = n
		}
	}
	return change
}

// bensBrowser returns the cookie of a session of Ben that has a device.
func (h *testServer) bensBrowser(serial string) *http.Cookie {
	h.t.Helper()
	now := time.Now()
	_, code, err := h.store.Users.AddInvite(h.ben.id, registry.InviteForDevice, false, "", now)
	fatal(h.t, err)
	_, secret, err := h.store.Users.Accept(code, "", "", registry.Visit{}, now)
	fatal(h.t, err)
	_, session, err := h.store.Logins.Authenticate(secret, now)
	fatal(h.t, err)
	_, _, err = h.store.Devices.Register(idlepush.Device{User: h.ben.id, Name: "Laptop", Transport: "fcm", Lane: "fcm", Address: idlepush.Secret("ben's " + serial), Content: idlepush.LevelWake}, session.ID, now)
	fatal(h.t, err)
	return &http.Cookie{Name: plain(cookieName), Value: secret}
}

// asker adds the credentials to a request.
type asker struct {
	name string
	sign func(h *testServer, r *http.Request, ids map[string]string)
}

var (
	// inBensBrowser is for routes that take anyone.
	inBensBrowser = []asker{{"in Ben's browser", func(h *testServer, r *http.Request, ids map[string]string) { r.AddCookie(h.bensBrowser(ids["TOKEN"])) }}}

	// byName is for all others.
	byName = []asker{
		{"with a session", func(_ *testServer, r *http.Request, ids map[string]string) {
			r.AddCookie(&http.Cookie{Name: plain(cookieName), Value: ids["COOKIE"]})
		}},
		{"with a token of device scope", func(h *testServer, r *http.Request, ids map[string]string) {
			r.Header.Set("Authorization", "Bearer "+appToken(ids, r.Method+" "+strings.TrimPrefix(r.URL.Path, prefix)))
		}},
		{"with the admin token", func(_ *testServer, r *http.Request, _ map[string]string) {
			r.Header.Set("Authorization", "Bearer "+adminToken)
		}},
	}
)

var errDisk = errors.New("the disk is full")

func TestStoreFails(t *testing.T) {
	t.Parallel()
	t.Run("at any point of a request, only that request fails", storeFailsInRequest)
	t.Run("after a test push, only that request fails", storeFailsAfterTestPush)
	t.Run("a failed setup can be tried again", storeFailsInSetup)
	t.Run("a passkey can be tried again", storeFailsWithPasskey)
	t.Run("a stream ends", storeFailsInStream)
}

// If any transaction of a request fails, only that request fails, with 500 and without a reason. It
// is done completely or not at all. Everything in the store can still be listed, and the same
// request then succeeds. A login succeeds even if the browser cannot be remembered.
func storeFailsInRequest(t *testing.T) {
	t.Parallel()
	doc, err := documented()
	fatal(t, err)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			at := method + path
			switch at {
			case "post/setup", "get/events", "get/vapid", // tested below; needs no store
				"post/passkeys/challenge", "post/passkeys/options", "post/passkeys", "post/login/passkey":
				continue
			}
			t.Run(at, func(t *testing.T) {
				t.Parallel()
				h, askers, failed := newTestServer(t), byName, 0
				if op.Security == nil {
					askers = inBensBrowser
				}
				for _, row := range admissions {
					if row.operation() != at {
						continue
					}
					for _, asker := range askers {
						failed += failEach(h, asker.name, func() *http.Request {
							ids := furnish(h)
							method, path, body := row.request(h, ids)
							r := h.request("", method, path, body)
							asker.sign(h, r, ids)
							return r
						})
					}
				}
				if failed == 0 {
					t.Error("no row of the admissions says how it is used")
				}
				// A new password has ended the other.
				_, token, err := h.store.Logins.AddToken(h.anna.id, "new", idlepush.ScopeFull, "", time.Now())
				fatal(t, err)
				for _, list := range []string{"/accounts", "/devices", "/tokens", "/sessions", "/users", "/invites", "/notifications"} {
					h.call(token, "GET", list, nil, 200)
				}
			})
		}
	}
}

// failEach repeats the request once for each transaction that it takes, and fails that transaction.
// It returns the number of transactions, which is 0 if the caller is not admitted.
func failEach(h *testServer, who string, make func() *http.Request) int {
	t := h.t
	t.Helper()
	h.unlimited()
	// The body of a request can be read only once.
	send := func(r *http.Request) answer {
		body, err := r.GetBody()
		fatal(t, err)
		again := r.Clone(t.Context())
		again.Body = body
		return h.send(again)
	}
	r := make()
	held := h.holds()
	count := h.at(0, nil)
	good := send(r)
	takes := count()
	whole := h.since(held)
	if good.status >= 300 {
		return 0
	}
	for n := range takes {
		r := make()
		held := h.holds()
		logged := strings.Count(h.log.String(), errDisk.Error())
		h.at(n+1, func() error { return errDisk })
		a := send(r)
		h.at(0, nil)
		// A session begins even if the browser, which comes last, cannot be remembered.
		if n+1 == takes && len(good.header.Values("Set-Cookie")) == 2 && len(a.header.Values("Set-Cookie")) == 1 && reflect.DeepEqual(h.since(held), whole) {
			continue
		}
		if a.status != 500 || a.body["code"] != "internal" || strings.Contains(a.raw, errDisk.Error()) || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s, without transaction %d of %d: %d, %v, %s", who, n+1, takes, a.status, a.header, a.raw)
		}
		if got := strings.Count(h.log.String(), errDisk.Error()); got != logged+1 {
			t.Errorf("%s, without transaction %d of %d: the log says %d times why", who, n+1, takes, got-logged)
		}
		change := h.since(held)
		done := reflect.DeepEqual(change, whole)
		if !done && len(change) > 0 && !begunForNobody(change, whole) {
			t.Errorf("%s, without transaction %d of %d: there are %v, want none or %v", who, n+1, takes, change, whole)
		}
		// The second request may find the thing existing, or removed.
		again := send(r)
		if again.status != good.status && (len(change) == 0 || again.status != 200 && again.status != 404) {
			t.Errorf("%s, after transaction %d of %d failed: %d, want %d: %s", who, n+1, takes, again.status, good.status, again.raw)
		}
	}
	return int(takes)
}

func storeFailsWithPasskey(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.unlimited()
	p, phone := h.browse(house).enter("Anna"), newAuthenticator(t, house)
	p.addPasskey(phone)
	for path, make := range map[string]func(string) *http.Request{
		"/login/passkey": func(path string) *http.Request {
			visitor := h.browse(house)
			return visitor.with("POST", path, object{"passkey": phone.get(visitor.asked())})
		},
		"/proof":            func(path string) *http.Request { return p.with("POST", path, object{"passkey": phone.get(p.asked())}) },
		"/passkeys/options": func(path string) *http.Request { return p.with("POST", path, object{"password": password}) },
		"/passkeys": func(path string) *http.Request {
			return p.with("POST", path, object{"name": "x", "passkey": newAuthenticator(t, house).create(p.begin(object{"password": password}))})
		},
		"/me": func(path string) *http.Request {
			return p.with("PATCH", path, object{"only_passkeys": false, "current_passkey": phone.get(p.asked())})
		},
	} {
		r := make(path)
		count := h.at(0, nil)
		good := h.send(r)
		takes := count()
		if good.status >= 300 || takes < 2 {
			t.Fatalf("%s: %d after %d transactions: %s", path, good.status, takes, good.raw)
		}
		for n := range takes {
			r := make(path)
			held := h.holds()
			h.at(n+1, func() error { return errDisk })
			a := h.send(r)
			h.at(0, nil)
			// A session begins even if the browser cannot be remembered.
			if path == "/login/passkey" && n+1 == takes {
				continue
			}
			if a.status != 500 || len(h.since(held)) > 0 {
				t.Errorf("%s, without transaction %d of %d: %d, and there are %v", path, n+1, takes, a.status, h.since(held))
			}
			if again := h.send(make(path)); again.status != good.status {
				t.Errorf("%s, tried again after transaction %d of %d failed: %s", path, n+1, takes, again.raw)
			}
		}
	}
}

// begunForNobody reports whether a session was started but its cookie was not sent, because the
// previous session could not be ended. The previous session then stays.
func begunForNobody(change, whole map[string]int) bool {
	former := maps.Clone(whole)
	former["sessions"]++
	former["devices"]++
	maps.DeleteFunc(former, func(_ string, n int) bool { return n == 0 })
	return whole["devices"] == -1 && reflect.DeepEqual(change, former)
}

func storeFailsAfterTestPush(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	takes := failEach(h, "with a token", func() *http.Request {
		d, _, err := h.store.Devices.Register(idlepush.Device{User: h.anna.id, Name: "Phone", Transport: "fcm", Lane: "fcm", Address: fcmToken,
			Content: idlepush.LevelWake, Status: idlepush.Status{State: idlepush.StateUnproven}}, "", time.Now())
		fatal(h.t, err)
		return h.request(h.anna.full, "POST", "/devices/"+d.ID+"/test", nil)
	})
	if takes != 4 {
		t.Errorf("it takes %d transactions, want 4: who asks, the device, and as it is by then, and the change", takes)
	}
}

func storeFailsInSetup(t *testing.T) {
	t.Parallel()
	h := testServerAt(t, t.TempDir())
	token, err := h.store.Users.SetupToken()
	fatal(t, err)
	setup := object{"token": token, "name": "Anna", "password": password, "session": true}
	for n := range int64(2) {
		h.at(n+1, func() error { return errDisk })
		if a := h.call("", "POST", "/setup", setup, 500); a.header.Get("Set-Cookie") != "" || strings.Contains(a.raw, errDisk.Error()) {
			t.Errorf("it says %v, %s", a.header, a.raw)
		}
		if held := h.holds(); held["users"]+held["sessions"] > 0 {
			t.Errorf("there are %v", held)
		}
	}
	count := h.at(3, func() error { return errDisk })
	if a := h.call("", "POST", "/setup", setup, 201); len(a.header.Values("Set-Cookie")) != 1 {
		t.Errorf("a browser that is not remembered gets %v", a.header)
	}
	if count() != 3 {
		t.Errorf("it takes %d transactions, and each but the last was failed", count())
	}
}

func storeFailsInStream(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.at(1, func() error { return errDisk })
	h.call(h.anna.full, "GET", "/events", nil, 500)
	s := h.listen(h.anna.full, nil)
	h.set(func() { h.before = nil })
	_, _, err := h.store.Users.AddInvite(h.anna.id, registry.InviteForDevice, false, "", time.Now())
	fatal(t, err)
	if kind, _, ok := s.next(); !ok || kind != "invite" {
		t.Errorf("it heard of %q", kind)
	}
	// The change is written before the listener is authenticated again.
	h.at(2, func() error { return errDisk })
	_, _, err = h.store.Users.AddInvite(h.anna.id, registry.InviteForDevice, false, "", time.Now())
	fatal(t, err)
	if kind, id, ok := s.next(); ok {
		t.Errorf("it heard of %s %s", kind, id)
	}
	h.listen(h.anna.full, nil)
}

package web

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/registry"
)

func TestPasskeys(t *testing.T) {
	t.Parallel()
	t.Run("a person logs in by one without a name, and proves by it", passkeyLogsIn)
	t.Run("one that is used in any other way than by its owner, here and now, lets nobody in", passkeyRefused)
	t.Run("to add one wants a proof each time", passkeyWantsProof)
	t.Run("whoever has only passkeys has no use for the password", passkeysOnly)
	t.Run("the last way in stays", passkeyLast)
	t.Run("with one, what it let in ends", passkeyEnds)
	t.Run("nothing made in a thief's minute works after the new password", passkeyThief)
	t.Run("a new password ends them if the person wants that", passkeysAndPassword)
	t.Run("the devices of the person are told", passkeyTold)
	t.Run("each has a name, and there are at most twenty", passkeyNames)
	t.Run("an address where browsers have none is told so", passkeyHere)
	t.Run("a challenge is answered once, in time, by its holder", ceremoniesTaken)
	t.Run("challenges are bounded", ceremoniesBounded)
}

const house = "https://house.example.net" // the public URL of the tests

// page is a browser at an origin, with its cookies.
type page struct {
	*testServer
	origin  string
	cookies map[string]string
}

func (h *testServer) browse(origin string) *page { return &page{h, origin, map[string]string{}} }

func (p *page) send(method, path string, body any, want int) answer {
	p.t.Helper()
	a := p.testServer.send(p.with(method, path, body))
	if a.status != want {
		p.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, want, a.raw)
	}
	for _, line := range a.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		fatal(p.t, err)
		p.cookies[c.Name] = c.Value
	}
	return a
}

func (p *page) enter(name string) *page {
	p.t.Helper()
	p.send("POST", "/login", object{"name": name, "password": password}, 200)
	return p
}

// asked returns the options for the use of a passkey.
func (p *page) asked() options {
	p.t.Helper()
	return optionsIn(p.t, p.send("POST", "/passkeys/challenge", nil, 200))
}

// begin returns the options for a new passkey.
func (p *page) begin(proof object) options {
	p.t.Helper()
	return optionsIn(p.t, p.send("POST", "/passkeys/options", proof, 200))
}

// addPasskey makes a passkey and returns its id.
func (p *page) addPasskey(a *authenticator) string {
	p.t.Helper()
	return p.send("POST", "/passkeys", object{"name": "Phone", "passkey": a.create(p.begin(object{"password": password}))}, 201).id()
}

func (p *page) usePasskey(a *authenticator, want int) answer {
	p.t.Helper()
	return p.send("POST", "/login/passkey", object{"passkey": a.get(p.asked())}, want)
}

func passkeyLogsIn(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	laptop := h.browse(house).enter("Anna")
	phone := newAuthenticator(t, house)
	o := laptop.begin(object{"password": password})
	if o.RP.ID != "house.example.net" || o.AuthenticatorSelection.ResidentKey != "required" || o.AuthenticatorSelection.UserVerification != "required" || o.User.Name != "Anna" {
		t.Errorf("it is to be made as %+v", o)
	}
	made := laptop.send("POST", "/passkeys", object{"name": "Phone", "passkey": phone.create(o)}, 201)
	if o := laptop.begin(object{"password": password}); len(o.ExcludeCredentials) != 1 || o.ExcludeCredentials[0].ID != encoded(phone.id) {
		t.Errorf("another one on the same phone is not prevented: %+v", o)
	}
	if me := laptop.send("GET", "/me", nil, 200); me.body["passkeys"] != 1.0 || me.body["only_passkeys"] != false {
		t.Errorf("the page knows %s", me.raw)
	}
	other := h.browse(house)
	if o := other.asked(); o.RPID != "house.example.net" || o.UserVerification != "required" {
		t.Errorf("it is to be used as %+v", o)
	}
	if a := other.usePasskey(phone, 200); a.body["user"].(map[string]any)["name"] != "Anna" {
		t.Errorf("it lets in %s", a.raw)
	}
	if other.cookies[markName] == "" {
		t.Error("the browser will not be recognized")
	}
	other.send("POST", "/tokens", object{"name": "x", "scope": "full"}, 201) // it was a proof
	item := other.send("GET", "/passkeys", nil, 200).body["items"].([]any)[0].(map[string]any)
	if item["id"] != made.id() || item["name"] != "Phone" || item["site"] != "house.example.net" || item["used"] == nil {
		t.Errorf("it is listed as %v", item)
	}
	old := h.call(h.anna.full, "POST", "/tokens", object{"name": "old", "scope": "full"}, 201).body["token"].(string)
	h.call(old, "POST", "/invites", object{"for": "device"}, 403)
	code := laptop.send("POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	invited := h.browse(house)
	invited.send("POST", "/invites/accept", object{"code": code}, 201)
	invited.send("POST", "/invites", object{"for": "device"}, 403)
	invited.send("POST", "/proof", object{"passkey": phone.get(invited.asked())}, 204)
	invited.send("POST", "/invites", object{"for": "device"}, 201)
	invited.send("POST", "/passkeys/options", object{"passkey": phone.get(invited.asked())}, 200)
	if a := h.browse(house); a.send("POST", "/login/passkey", object{"passkey": object{"id": "x"}}, 422).body["code"] != "invalid" {
		t.Error("what is no passkey is not refused as such")
	}
}

func passkeyRefused(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	laptop := h.browse(house).enter("Anna")
	phone := newAuthenticator(t, house)
	laptop.addPasskey(phone)
	bens := newAuthenticator(t, house)
	h.browse(house).enter("Ben").addPasskey(bens)
	for name, change := range map[string]func(*authenticator){
		"nothing is changed":                   nil,
		"it is not registered":                 func(a *authenticator) { a.id = []byte("another id") },
		"it has another key":                   func(a *authenticator) { a.key = newAuthenticator(t, house).key },
		"it says that it is another person's":  func(a *authenticator) { a.user = bens.user },
		"it says that it is nobody's":          func(a *authenticator) { a.user = []byte("nobody") },
		"another site has asked for it":        func(a *authenticator) { a.origin = "https://evil.example.net" },
		"the same host without https":          func(a *authenticator) { a.origin = "http://house.example.net" },
		"it was made for another site":         func(a *authenticator) { a.site = "example.net" },
		"the person was not verified":          func(a *authenticator) { a.flags = userPresent },
		"nobody was there":                     func(a *authenticator) { a.flags = userVerified },
		"it could be copied all of a sudden":   func(a *authenticator) { a.flags |= backupEligible },
		"a copy of it has signed more already": func(a *authenticator) { a.count, a.steady = 1, true },
	} {
		odd := *phone
		odd.count = phone.count + 100
		want := 401
		if change == nil {
			want = 200
		} else {
			change(&odd)
		}
		a := h.browse(house).usePasskey(&odd, want)
		if want == 401 && a.body["code"] != "wrong_passkey" {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
	phone.count += 1000
	victim, thief := h.browse(house), h.browse(house)
	used := phone.get(victim.asked())
	thief.asked()
	if a := thief.send("POST", "/login/passkey", object{"passkey": used}, 409); a.body["code"] != "passkey_too_late" {
		t.Errorf("in another browser: %s", a.raw)
	}
	h.browse(house).send("POST", "/login/passkey", object{"passkey": used}, 409)
	victim.send("POST", "/login/passkey", object{"passkey": used}, 200)
	victim.send("POST", "/login/passkey", object{"passkey": used}, 409)
	laptop.send("POST", "/proof", object{"passkey": bens.get(laptop.asked())}, 422).wantFields(t, "passkey")
}

func passkeyWantsProof(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	fresh := h.browse(house).enter("Anna") // a moment ago, which is enough for a token
	fresh.send("POST", "/passkeys/options", object{}, 422).wantFields(t, "password")
	fresh.send("POST", "/passkeys/options", object{"password": wrong}, 422).wantFields(t, "password")
	fresh.send("POST", "/passkeys/options", object{"password": password, "passkey": object{}}, 422).wantFields(t, "password")
	phone := newAuthenticator(t, house)
	o := fresh.begin(object{"password": password})
	h.browse(house).enter("Anna").send("POST", "/passkeys", object{"name": "x", "passkey": phone.create(o)}, 409)
	h.browse(house).enter("Ben").send("POST", "/passkeys", object{"name": "x", "passkey": phone.create(o)}, 409)
	for name, change := range map[string]func(*authenticator){
		"another site": func(a *authenticator) { a.origin = "https://evil.example.net" },
		"not verified": func(a *authenticator) { a.flags = userPresent },
	} {
		odd := *phone
		change(&odd)
		if a := fresh.send("POST", "/passkeys", object{"name": "x", "passkey": odd.create(fresh.begin(object{"password": password}))}, 422); a.body["code"] != "passkey_not_made" {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
	made := phone.create(o)
	fresh.send("POST", "/passkeys", object{"name": "x", "passkey": made}, 201)
	fresh.send("POST", "/passkeys", object{"name": "x", "passkey": made}, 409)
	if a := fresh.send("POST", "/passkeys", object{"name": "x", "passkey": phone.create(fresh.begin(object{"password": password}))}, 422); a.body["code"] != "taken" {
		t.Errorf("the same once more: %s", a.raw)
	}
	fresh.send("PATCH", "/me", object{"only_passkeys": true}, 422).wantFields(t, "current_password")
}

func passkeysOnly(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	p := h.browse(house).enter("Anna")
	p.send("PATCH", "/me", object{"only_passkeys": true, "current_password": password}, 409)
	phone := newAuthenticator(t, house)
	id := p.addPasskey(phone)
	p.send("PATCH", "/me", object{"only_passkeys": true, "current_password": wrong}, 422).wantFields(t, "current_password")
	p.send("PATCH", "/me", object{"only_passkeys": true, "current_password": password, "password": "another " + marker}, 422).wantFields(t, "only_passkeys")
	p.send("PATCH", "/me", object{"only_passkeys": true, "current_password": password}, 200)
	if me := p.send("GET", "/me", nil, 200); me.body["only_passkeys"] != true {
		t.Errorf("the page knows %s", me.raw)
	}
	if a := h.browse(house).send("POST", "/login", object{"name": "Anna", "password": password}, 401); a.body["code"] != "wrong_login" {
		t.Errorf("the password: %s", a.raw)
	}
	for path, body := range map[string]object{
		"/proof": {"password": password}, "/passkeys/options": {"password": password},
	} {
		if a := p.send("POST", path, body, 422); a.body["params"].(map[string]any)["case"] != "only_passkeys" {
			t.Errorf("%s by the password: %s", path, a.raw)
		}
	}
	for _, body := range []object{{"only_passkeys": false}, {"password": "another " + marker}} {
		p.send("PATCH", "/me", body.with("current_password", password), 422).wantFields(t, "current_password")
	}
	h.browse(house).usePasskey(phone, 200)
	p.send("POST", "/passkeys/options", object{"passkey": phone.get(p.asked())}, 200)
	p.send("PATCH", "/me", object{"only_passkeys": false, "current_passkey": phone.get(p.asked())}, 200)
	h.browse(house).enter("Anna")
	p.send("PATCH", "/me", object{"only_passkeys": true, "current_passkey": phone.get(p.asked())}, 200)
	p.send("PATCH", "/me", object{"password": password, "current_passkey": phone.get(p.asked())}, 200)
	list := h.browse(house).enter("Anna").send("GET", "/passkeys", nil, 200).body["items"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["id"] != id {
		t.Errorf("after the new password there are %v", list)
	}
}

func passkeyLast(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	p := h.browse(house).enter("Anna")
	phone, stick := newAuthenticator(t, house), newAuthenticator(t, house)
	first, second := p.addPasskey(phone), p.addPasskey(stick)
	// It is for another address, as before a move.
	_, err := h.store.Logins.AddPasskey(h.anna.id, registry.Passkey{Name: "old", Site: "localhost", Credential: []byte("old")}, "", time.Now())
	fatal(t, err)
	p.send("PATCH", "/me", object{"only_passkeys": true, "current_password": password}, 200)
	p.send("DELETE", "/passkeys/"+first, nil, 204)
	if a := p.send("DELETE", "/passkeys/"+second, nil, 409); a.body["code"] != "last_way_in" {
		t.Errorf("the last: %s", a.raw)
	}
	h.browse(house).usePasskey(phone, 401)
	h.browse(house).usePasskey(stick, 200)
	p.send("PATCH", "/me", object{"only_passkeys": false, "current_passkey": stick.get(p.asked())}, 200)
	p.send("DELETE", "/passkeys/"+second, nil, 204)
	p.send("DELETE", "/passkeys/"+second, nil, 404)
}

func passkeyEnds(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	p := h.browse(house).enter("Anna")
	phone := newAuthenticator(t, house)
	id := p.addPasskey(phone)
	his := h.browse(house)
	his.usePasskey(phone, 200)
	token := his.send("POST", "/tokens", object{"name": "his", "scope": "full"}, 201).body["token"].(string)
	h.browse(house).enter("Ben").send("DELETE", "/passkeys/"+id, nil, 404)
	p.send("DELETE", "/passkeys/"+id, nil, 204)
	his.send("GET", "/me", nil, 401)
	h.call(token, "GET", "/me", nil, 401)
	h.browse(house).usePasskey(phone, 401)
	p.send("GET", "/me", nil, 200)
	// A passkey ends with the session in which it was made, and with it what it let in.
	door := h.browse(house).enter("Anna")
	door.addPasskey(phone)
	his = h.browse(house)
	his.usePasskey(phone, 200)
	for _, s := range p.send("GET", "/sessions", nil, 200).body["items"].([]any) {
		if s := s.(map[string]any); s["current"] == false {
			if a := p.testServer.send(p.with("DELETE", "/sessions/"+s["id"].(string), nil)); a.status != 204 && a.status != 404 {
				t.Error(a.raw)
			}
		}
	}
	his.send("GET", "/me", nil, 401)
	h.browse(house).usePasskey(phone, 401)
	// Who only logs out keeps it.
	door = h.browse(house).enter("Anna")
	door.addPasskey(phone)
	door.send("DELETE", "/login", nil, 204)
	h.browse(house).usePasskey(phone, 200)
}

// with returns a request with the cookies of the browser.
func (p *page) with(method, path string, body any) *http.Request {
	r := p.request("", method, path, body)
	_, r.Host, _ = strings.Cut(p.origin, "://")
	r.Header.Set("Origin", p.origin)
	for name, value := range p.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// The thief has Anna's browser, in which she has just logged in, and an authenticator of his own.
func passkeyThief(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	open := h.browse(house).enter("Anna")
	his, hers := newAuthenticator(t, house), newAuthenticator(t, house)
	for _, proof := range []object{{}, {"password": wrong}, {"passkey": his.get(open.asked())}} {
		open.send("POST", "/passkeys/options", proof, 422)
	}
	h.browse(house).enter("Ben").addPasskey(his)
	open.send("POST", "/passkeys/options", object{"passkey": his.get(open.asked())}, 422)
	open.send("PATCH", "/me", object{"only_passkeys": true, "current_passkey": his.get(open.asked())}, 422)
	open.send("PATCH", "/me", object{"password": "his " + marker, "current_passkey": his.get(open.asked())}, 422)
	safe := h.browse(house).enter("Anna")
	safe.addPasskey(hers)
	safe.send("PATCH", "/me", object{"password": "another " + marker, "current_password": password}, 200)
	open.send("GET", "/me", nil, 401)
	if a := h.browse(house).usePasskey(his, 200); a.body["user"].(map[string]any)["name"] != "Ben" {
		t.Errorf("his lets in %s", a.raw)
	}
	h.browse(house).usePasskey(hers, 200)
}

func passkeysAndPassword(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	p := h.browse(house).enter("Anna")
	phone := newAuthenticator(t, house)
	p.addPasskey(phone)
	p.send("PATCH", "/me", object{"password": password, "current_password": password}, 200)
	p.usePasskey(phone, 200)
	p.send("PATCH", "/me", object{"password": password, "current_passkey": phone.get(p.asked()), "passkeys": "end"}, 200)
	h.browse(house).usePasskey(phone, 401)
	h.browse(house).enter("Anna")
}

func passkeyTold(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	phone := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	p := h.browse(house).enter("Anna")
	p.addPasskey(newAuthenticator(t, house))
	p.send("PATCH", "/me", object{"only_passkeys": true, "current_password": password}, 200)
	var told []string
	for _, n := range p.send("GET", "/notifications", nil, 200).body["items"].([]any) {
		n := n.(map[string]any)
		told = append(told, fmt.Sprint(n["code"], " on ", n["deliveries"].([]any)[0].(map[string]any)["device"] == phone))
	}
	if want := []string{"password_off on true", "passkey_added on true"}; !slices.Equal(told, want) {
		t.Errorf("she is told %v", told)
	}
}

func passkeyNames(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	p := h.browse(house).enter("Anna")
	phone := newAuthenticator(t, house)
	made := phone.create(p.begin(object{"password": password}))
	for _, name := range []string{"", " ", "a\nb"} {
		p.send("POST", "/passkeys", object{"name": name, "passkey": made}, 422).wantFields(t, "name")
	}
	id := p.send("POST", "/passkeys", object{"name": "Phone", "passkey": made}, 201).id()
	p.send("PATCH", "/passkeys/"+id, object{"name": "a\nb"}, 422).wantFields(t, "name")
	p.send("PATCH", "/passkeys/"+id, object{"name": "Old phone"}, 204)
	h.browse(house).enter("Ben").send("PATCH", "/passkeys/"+id, object{"name": "Mine"}, 404)
	for range 19 {
		_, err := h.store.Logins.AddPasskey(h.anna.id, registry.Passkey{Name: "x", Credential: []byte(rand.Text())}, "", time.Now())
		fatal(t, err)
	}
	list := p.send("GET", "/passkeys?limit=200", nil, 200).body["items"].([]any)
	if len(list) != 20 || list[19].(map[string]any)["name"] != "Old phone" {
		t.Errorf("there are %v", list)
	}
	a := p.send("POST", "/passkeys", object{"name": "x", "passkey": newAuthenticator(t, house).create(p.begin(object{"password": password}))}, 409)
	if a.body["code"] != "too_many_passkeys" {
		t.Errorf("one more: %s", a.raw)
	}
}

func passkeyHere(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.unlimited()
	for _, row := range []struct{ public, origin, code, reason string }{
		{house, house, "", ""},
		{"", "https://other.example.net", "", ""},
		{"", "https://other.example.net:8443", "", ""},
		{"", "http://localhost:8080", "", ""},
		{"", "http://idlepush.localhost:8080", "", ""},
		{house, "http://localhost:8080", "no_passkeys_here", ""},
		{house, "https://other.example.net", "no_passkeys_here", ""},
		{house, house + ":8443", "no_passkeys_here", ""},
		{"", "http://127.0.0.1:8080", "no_passkeys_here", "ip_address"},
		{"", "https://192.168.1.4", "no_passkeys_here", "ip_address"},
		{"", "https://[fd00::1]:8443", "no_passkeys_here", "ip_address"},
		{"https://192.0.2.1", "https://192.0.2.1", "no_passkeys_here", "ip_address"},
		{"", "http://other.example.net", "https_needed", ""},
	} {
		h.handlers.passkeys.publicURL = func() string { return row.public }
		want := map[string]int{"": 200, "https_needed": 403, "no_passkeys_here": 409}[row.code]
		a := h.browse(row.origin).send("POST", "/passkeys/challenge", nil, want)
		params, _ := a.body["params"].(map[string]any)
		reason, _ := params["case"].(string)
		if code, _ := a.body["code"].(string); code != row.code || reason != row.reason {
			t.Errorf("%+v: %s", row, a.raw)
		}
		if row.code == "" {
			p := h.browse(row.origin).enter("Anna")
			key := newAuthenticator(t, row.origin)
			p.addPasskey(key)
			h.browse(row.origin).usePasskey(key, 200)
		}
	}
}

func ceremoniesTaken(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for name, row := range map[string]struct {
		challenge, holder string
		after             time.Duration
		want              bool
	}{
		"in time":             {"c", "h", 5*time.Minute - 1, true},
		"too late":            {"c", "h", 5 * time.Minute, false},
		"before it was asked": {"c", "h", -1, false},
		"another challenge":   {"d", "h", 0, false},
		"another holder":      {"c", "g", 0, false},
	} {
		var l ceremonies
		c := &ceremony{holder: "h", from: "f", begun: start}
		c.data.Challenge = "c"
		l.add(c)
		if got := l.take(row.challenge, row.holder, start.Add(row.after)); (got == c) != row.want {
			t.Errorf("%s: %v", name, got)
		}
		if row.want && l.take(row.challenge, row.holder, start) != nil {
			t.Errorf("%s: a second time", name)
		}
	}
}

func ceremoniesBounded(t *testing.T) {
	t.Parallel()
	var l ceremonies
	add := func(from string, n int) {
		c := &ceremony{holder: from, from: from, begun: time.Now()}
		c.data.Challenge = fmt.Sprint(from, " ", n)
		l.add(c)
	}
	has := func(from string, n int) bool {
		return slices.ContainsFunc(l.list, func(c *ceremony) bool { return c.data.Challenge == fmt.Sprint(from, " ", n) })
	}
	add("Anna", 0)
	for n := range maxCeremoniesOf + 5 {
		add("stranger", n)
	}
	if len(l.list) != 1+maxCeremoniesOf || !has("Anna", 0) || has("stranger", 4) || !has("stranger", 5) {
		t.Errorf("%d are kept", len(l.list))
	}
	for n := range maxCeremonies {
		add(fmt.Sprint(n), 0)
	}
	if len(l.list) != maxCeremonies || has("Anna", 0) {
		t.Errorf("%d are kept", len(l.list))
	}
}

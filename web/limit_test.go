package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPasswordIsGuessedSlowly(t *testing.T) {
	h := newHouse(t)
	guess := object{"name": "Anna", "password": wrong}
	for range 10 {
		h.call("", "POST", "/login", guess, 401)
	}
	a := h.call("", "POST", "/login", guess, 429)
	if after := a.header.Get("Retry-After"); a.body["code"] != "too_many_requests" || after < "1" || after > "6" {
		t.Errorf("Retry-After is %q: %s", after, a.raw)
	}
	h.call("", "POST", "/login", guess.with("name", "Ben"), 429)
	h.call("", "POST", "/setup", object{"token": "x", "name": "Eve", "password": password}, 429)
	h.call(h.anna.full, "PATCH", "/me", object{"password": password, "current_password": wrong}, 429)
	h.call(h.anna.full, "PATCH", "/me", object{"name": "Anne"}, 200)
}

func TestOneClientCannotLockAPersonOut(t *testing.T) {
	h := newHouse(t)
	for i := range 40 {
		err := h.server.passwordTried(caller{address: "192.0.2.1"}, "Anna")
		if (err != nil) != (i >= 10) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if err := h.server.passwordTried(caller{address: "192.0.2.2"}, "Anna"); err != nil {
		t.Errorf("another client: %v", err)
	}
}

func TestManyClientsAreSlowedByTheName(t *testing.T) {
	h := newHouse(t)
	refused := 0
	for i := range 30 {
		if h.server.passwordTried(caller{address: fmt.Sprint(i)}, []string{"Anna", "anna", "ANNA"}[i%3]) != nil {
			refused++
		}
	}
	if refused != 10 {
		t.Errorf("%d of 30 are refused, want 10", refused)
	}
}

func TestLoginsAndPushesAreBoundedPerUser(t *testing.T) {
	h := newHouse(t)
	h.server.logins, h.server.pushes = newLimiter(2, time.Hour), newLimiter(2, time.Hour)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	h.call(h.anna.full, "POST", "/accounts/check", mailbox(), 200)
	h.call(h.anna.full, "POST", "/accounts/check", mailbox(), 429)
	h.call(h.anna.full, "POST", "/accounts", mailbox(), 429)
	h.call(h.anna.full, "PATCH", "/accounts/"+account, object{"password": password}, 429)
	h.call(h.anna.full, "PATCH", "/accounts/"+account, object{"enabled": false}, 200)
	h.call(h.ben.full, "POST", "/accounts/check", mailbox(), 200)

	device := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	h.call(h.anna.full, "POST", "/devices/"+device+"/test", nil, 200)
	h.call(h.anna.full, "POST", "/devices/"+device+"/test", nil, 429)
	h.call(h.anna.full, "POST", "/devices", browser(), 429)
	h.call(h.anna.full, "PATCH", "/devices/"+device, object{"token": "new"}, 429)
	h.call(h.anna.full, "POST", "/devices", fcmDevice(), 200)
	for range 5 {
		h.call(adminToken, "POST", "/devices/"+device+"/test", nil, 200)
		h.call(adminToken, "POST", "/accounts/check", mailbox(), 200)
	}
	if h.tried != 8 || h.tested != 6 || h.proved != 1 {
		t.Errorf("%d logins, %d test pushes, %d proving pushes", h.tried, h.tested, h.proved)
	}
}

func TestABurstRefillsExactlyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(2, 10*time.Second)
		for i, step := range []struct {
			wait time.Duration
			ok   bool
		}{{0, true}, {0, true}, {0, false}, {10*time.Second - time.Millisecond, false}, {time.Millisecond, true}, {0, false}, {time.Hour, true}, {0, true}, {0, false}} {
			time.Sleep(step.wait)
			err := l.take("key", time.Now())
			if (err == nil) != step.ok {
				t.Errorf("step %d: %v", i, err)
			}
			if p, ok := errors.AsType[*Problem](err); ok && p.Status != http.StatusTooManyRequests {
				t.Errorf("step %d: %d", i, p.Status)
			}
		}
	})
}

func TestALimiterRemembersABoundedNumber(t *testing.T) {
	l := newLimiter(1, time.Minute)
	now := time.Now()
	for i := range mostBuckets {
		fatal(t, l.take(fmt.Sprint(i), now))
	}
	fatal(t, l.take("one more", now))
	if l.take("yet another", now) == nil {
		t.Error("beyond the bound each client has a bucket of its own")
	}
	if len(l.buckets) > mostBuckets+1 {
		t.Errorf("it remembers %d", len(l.buckets))
	}
	fatal(t, l.take("later", now.Add(time.Hour)))
	if len(l.buckets) > 2 {
		t.Errorf("an hour later it remembers %d", len(l.buckets))
	}
}

// A family must not be locked out by somebody who guesses at one of its passwords from everywhere.
func TestWhoGuessesFromElsewhereLocksNobodyOutAtHome(t *testing.T) {
	for name, come := range map[string]func(h *house){
		"who logged in there": func(h *house) { h.logIn("Anna") },
		"who was invited there": func(h *house) {
			code := h.call(h.anna.full, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
			h.call("", "POST", "/invites/"+code, object{}, 201)
		},
		"whose session is used there, after the server was started again": func(h *house) {
			r := h.request("", "GET", "/me", nil)
			r.AddCookie(h.logIn("Anna"))
			h.server.familiar.seen = make(map[string]time.Time)
			h.send(r)
		},
	} {
		h := newHouse(t)
		come(h)
		for i := range 100 {
			h.server.passwordTried(caller{address: fmt.Sprint(i)}, "Anna")
		}
		if h.server.passwordTried(caller{address: "elsewhere"}, "Anna") == nil {
			t.Errorf("%s: the flood is not slowed down", name)
		}
		for range 5 {
			if a := h.send(h.request("", "POST", "/login", object{"name": "anna", "password": password})); a.status != 200 {
				t.Errorf("%s: %d", name, a.status)
			}
		}
	}
}

func TestWhatAProxySaysIsBelievedOfThoseThatAreTrustedOnly(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, row := range map[string]struct {
		remote, want string
		forwarded    []string
	}{
		"no proxy":                   {"192.0.2.1:443", "192.0.2.1", nil},
		"a stranger pretends":        {"192.0.2.1:443", "192.0.2.1", []string{"198.51.100.7"}},
		"a proxy":                    {"127.0.0.1:443", "198.51.100.7", []string{"198.51.100.7"}},
		"the client pretends":        {"127.0.0.1:443", "198.51.100.7", []string{"203.0.113.9, 198.51.100.7"}},
		"two proxies":                {"127.0.0.1:443", "198.51.100.7", []string{"203.0.113.9, 198.51.100.7, 10.1.2.3"}},
		"two lines":                  {"127.0.0.1:443", "198.51.100.7", []string{"203.0.113.9", "198.51.100.7,10.1.2.3"}},
		"a proxy by IPv6":            {"[fd00::1]:443", "2001:db8:1::/48", []string{"2001:db8:1:2::3"}},
		"a proxy that says nothing":  {"127.0.0.1:443", "127.0.0.1", nil},
		"a proxy that says nonsense": {"127.0.0.1:443", "127.0.0.1", []string{"unknown"}},
		"only proxies":               {"127.0.0.1:443", "10.0.0.9", []string{"10.0.0.9"}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = row.remote
		for _, line := range row.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := (&server{Config: Config{TrustedProxies: trusted}}).clientAddress(r); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func TestAClientIsAnAddressOrANetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:443":             "192.0.2.1",
		"[::ffff:192.0.2.1]:443":    "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1::/48",
		"[fe80::1%eth0]:80":         "fe80::/48",
		"@":                         "unknown",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		if got := new(server).clientAddress(r); got != want {
			t.Errorf("%s is %s, want %s", remote, got, want)
		}
	}
}

func TestTheBoundByNameHoldsHoweverTheNameIsSpelt(t *testing.T) {
	h := newHouse(t)
	spellings := []string{"Susan K", "SUSAN K", "ſuſan K", "ſusan \u212a", "suſan k"}
	taken := 0
	for i := range 50 {
		name := spellings[i%len(spellings)]
		if !strings.EqualFold(name, spellings[0]) {
			t.Fatalf("%s is another name", name)
		}
		if h.server.passwordTried(caller{address: fmt.Sprint("client ", i)}, name) == nil {
			taken++
		}
	}
	if taken > 21 {
		t.Errorf("%d tries at one name were taken at once, want 20", taken)
	}
}

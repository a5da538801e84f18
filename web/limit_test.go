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

	"idlepush"
)

// bubble calls play in virtual time, with a new server and a client at 192.0.2.1.
func bubble(t *testing.T, play func(h *testServer)) {
	h := newTestServer(t)
	synctest.Test(t, func(t *testing.T) { play(h.inside(t, "192.0.2.1")) })
}

func TestLimits(t *testing.T) {
	t.Parallel()
	t.Run("password guessing is slowed down", limitPasswordGuessing)
	t.Run("one client cannot lock a person out", limitOneClient)
	t.Run("many clients are slowed by the name, in any spelling", limitByName)
	t.Run("logins and pushes are allowed again in time", limitRefillsForUsers)
	t.Run("logins and pushes are bounded per user", limitPerUser)
	t.Run("a burst refills exactly in time", limiterRefills)
	t.Run("a limiter remembers a bounded number of keys", limiterBounded)
	t.Run("guessing from unknown addresses does not lock out known ones", limitKnownClients)
	t.Run("a bounded number of clients is remembered", knownClientsBounded)
	t.Run("only trusted proxies are believed", clientBehindProxies)
	t.Run("a client is an IPv4 address or an IPv6 network", clientAddresses)
}

func limitPasswordGuessing(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		guess := object{"name": "Anna", "password": wrong}
		slowed := func(after string, a answer) {
			h.t.Helper()
			if a.header.Get("Retry-After") != after || a.header.Get("Content-Type") != "application/problem+json" ||
				a.body["code"] != "too_many_requests" || a.body["status"] != 429.0 || a.body["title"] != "Too Many Requests" {
				h.t.Errorf("to come again after %s s: %v, %s", after, a.header, a.raw)
			}
		}
		for range 10 {
			h.call("", "POST", "/login", guess, 401)
		}
		slowed("6", h.call("", "POST", "/login", guess, 429))
		slowed("6", h.call("", "POST", "/login", guess.with("password", password), 429))
		slowed("6", h.call("", "POST", "/login", guess.with("name", "Ben"), 429))
		slowed("6", h.call("", "POST", "/setup", object{"token": "x", "name": "Eve", "password": password}, 429))
		slowed("6", h.call("", "POST", "/invites/look", object{"code": "x"}, 429))
		slowed("6", h.call("", "POST", "/invites/x", object{}, 429))
		slowed("6", h.call(h.anna.full, "PATCH", "/me", object{"password": password, "current_password": wrong}, 429))
		h.call(h.anna.full, "PATCH", "/me", object{"name": "Anne"}, 200)

		time.Sleep(6*time.Second - time.Millisecond)
		slowed("1", h.call("", "POST", "/login", guess, 429))
		time.Sleep(time.Millisecond)
		h.call("", "POST", "/login", guess, 401)
		slowed("6", h.call("", "POST", "/login", guess, 429))
		h.inside(h.t, "192.0.2.2").call("", "POST", "/login", guess, 401)
	})
}

func limitOneClient(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		for i := range 40 {
			err := h.server.limits.allowPassword(caller{address: "192.0.2.1"}, "Anna")
			if (err != nil) != (i >= 10) {
				h.t.Fatalf("try %d: %v", i, err)
			}
		}
		if err := h.server.limits.allowPassword(caller{address: "192.0.2.2"}, "Anna"); err != nil {
			h.t.Errorf("another client: %v", err)
		}
	})
}

func limitByName(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		clients := 0
		taken := func(spellings ...string) (n int) {
			for i := range 50 {
				name := spellings[i%len(spellings)]
				if !strings.EqualFold(name, spellings[0]) {
					h.t.Fatalf("%s is another name", name)
				}
				clients++
				if h.server.limits.allowPassword(caller{address: fmt.Sprint(clients)}, name) == nil {
					n++
				}
			}
			return n
		}
		for _, spellings := range [][]string{{"Anna", "anna", "ANNA"}, {"Susan K", "SUSAN K", "ſuſan K", "ſusan \u212a", "suſan k"}} {
			for _, step := range []struct {
				wait time.Duration
				want int
			}{{0, 20}, {3*time.Second - time.Millisecond, 0}, {time.Millisecond, 1}, {time.Hour, 20}} {
				time.Sleep(step.wait)
				if n := taken(spellings...); n != step.want {
					h.t.Errorf("%s, %v later: %d tries are taken at once, want %d", spellings[0], step.wait, n, step.want)
				}
			}
		}
	})
}

func limitRefillsForUsers(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		for name, row := range map[string]struct {
			try   func(caller) error
			burst int
			every time.Duration
		}{
			"logins": {h.server.limits.allowLogin, 20, 3 * time.Second},
			"pushes": {h.server.limits.allowPush, 30, 2 * time.Second},
		} {
			anna, ben := caller{scope: full, user: idlepush.User{ID: "anna"}}, caller{scope: full, user: idlepush.User{ID: "ben"}}
			taken := func(c caller) (n int) {
				for range 100 {
					if row.try(c) == nil {
						n++
					}
				}
				return n
			}
			if n := taken(anna); n != row.burst {
				h.t.Errorf("%s: %d at once, want %d", name, n, row.burst)
			}
			time.Sleep(row.every - time.Millisecond)
			if n := taken(anna); n != 0 {
				h.t.Errorf("%s: %d come back early", name, n)
			}
			time.Sleep(time.Millisecond)
			if n := taken(anna); n != 1 {
				h.t.Errorf("%s: %d come back after %v, want 1", name, n, row.every)
			}
			if n := taken(ben); n != row.burst {
				h.t.Errorf("%s of another: %d at once, want %d", name, n, row.burst)
			}
			if n := taken(caller{scope: admin}); n != 100 {
				h.t.Errorf("%s of the admin token: %d of 100", name, n)
			}
		}
	})
}

func limitPerUser(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.server.limits.logins, h.server.limits.pushes = newLimiter(2, time.Hour), newLimiter(2, time.Hour)
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

func limiterRefills(t *testing.T) {
	t.Parallel()
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

func limiterBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter(1, time.Minute)
	now := time.Now()
	for i := range maxBuckets {
		fatal(t, l.take(fmt.Sprint(i), now))
	}
	fatal(t, l.take("one more", now))
	if l.take("yet another", now) == nil {
		t.Error("beyond the bound each client has a bucket of its own")
	}
	if len(l.buckets) > maxBuckets+1 {
		t.Errorf("it remembers %d", len(l.buckets))
	}
	fatal(t, l.take("later", now.Add(time.Hour)))
	if len(l.buckets) > 2 {
		t.Errorf("an hour later it remembers %d", len(l.buckets))
	}
}

// Password guessing from everywhere must not lock out people at addresses from which they have
// logged in.
func limitKnownClients(t *testing.T) {
	t.Parallel()
	const known = 90 * 24 * time.Hour
	for name, come := range map[string]func(h *testServer){
		"who logged in there": func(h *testServer) { h.logIn("Anna") },
		"who was invited there": func(h *testServer) {
			code := h.call(h.anna.full, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
			h.call("", "POST", "/invites/"+code, object{}, 201)
		},
		"whose session is used there, after the server was started again": func(h *testServer) {
			r := h.request("", "GET", "/me", nil)
			r.AddCookie(h.logIn("Anna"))
			h.server.limits.knownClients.seen = make(map[string]time.Time)
			h.send(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(h *testServer) {
				attacked := func() {
					h.t.Helper()
					for i := range 100 {
						h.server.limits.allowPassword(caller{address: fmt.Sprint(i)}, "Anna")
					}
					if h.server.limits.allowPassword(caller{address: "elsewhere"}, "Anna") == nil {
						h.t.Error("the flood is not slowed down")
					}
				}
				come(h)
				attacked()
				for range 5 {
					h.call("", "POST", "/login", object{"name": "anna", "password": password}, 200)
				}
				h.inside(h.t, "192.0.2.9").call("", "POST", "/login", object{"name": "anna", "password": password}, 429)
				h.inside(h.t, "192.0.2.1")

				// Only the last login counts.
				time.Sleep(known - time.Millisecond)
				attacked()
				h.call("", "POST", "/login", object{"name": "anna", "password": password}, 200)
				time.Sleep(known)
				attacked()
				h.call("", "POST", "/login", object{"name": "anna", "password": password}, 429)
			})
		})
	}
}

func knownClientsBounded(t *testing.T) {
	t.Parallel()
	f := knownClients{seen: make(map[string]time.Time)}
	const most, known = 10_000, 90 * 24 * time.Hour
	began := time.Now()
	for i := range most {
		f.add(fmt.Sprint(i), "Anna", began)
	}
	knows := func(place string, at time.Time) bool { return f.has(place, "Anna", at) }
	f.add("one more", "Anna", began)
	if knows("one more", began) || len(f.seen) != most {
		t.Errorf("beyond the bound it remembers %d places", len(f.seen))
	}
	if !knows("0", began) || !knows(fmt.Sprint(most-1), began) {
		t.Error("beyond the bound it forgets where people live")
	}
	later := began.Add(time.Hour)
	f.add("0", "Anna", later)
	if !knows("0", later.Add(known-1)) || knows("0", later.Add(known)) {
		t.Error("beyond the bound a place is not remembered from its last use")
	}
	f.add("one more", "Anna", began.Add(known-1))
	if knows("one more", began.Add(known-1)) {
		t.Error("it forgets what it still knows for the sake of another")
	}
	f.add("one more", "Anna", began.Add(known))
	if !knows("one more", began.Add(known)) || !knows("0", began.Add(known)) || len(f.seen) != 2 {
		t.Errorf("once the others are forgotten, it remembers %d places", len(f.seen))
	}
}

func clientBehindProxies(t *testing.T) {
	t.Parallel()
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
		if got := (&guard{proxies: trusted}).clientAddress(r); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func clientAddresses(t *testing.T) {
	t.Parallel()
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
		if got := new(guard).clientAddress(r); got != want {
			t.Errorf("%s is %s, want %s", remote, got, want)
		}
	}
}

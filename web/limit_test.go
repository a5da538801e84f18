package web

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
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
	t.Run("guessing does not lock out browsers with which somebody has logged in", limitKnownBrowsers)
	t.Run("names that nobody has take no places of users", limitStrangers)
	t.Run("a try takes as many transactions whether somebody has the name or not", limitTellsNobody)
	t.Run("a new name gives no new tries", limitRenames)
	t.Run("a restart gives no new tries", limitKept)
	t.Run("what is kept counts like what is not", limitersAgree)
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
		slowed("6", h.call("", "POST", "/invites/accept", object{}.with("code", "x"), 429))
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
			err := h.guess(caller{address: "192.0.2.1"}, "Anna")
			if (err != nil) != (i >= 10) {
				h.t.Fatalf("try %d: %v", i, err)
			}
		}
		if err := h.guess(caller{address: "192.0.2.2"}, "Anna"); err != nil {
			h.t.Errorf("another client: %v", err)
		}
	})
}

func limitTellsNobody(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	var took []int64
	for _, name := range []string{"Anna", "Nobody", "Anna", "Nobody"} {
		count := h.at(0, nil)
		h.call("", "POST", "/login", object{"name": name, "password": wrong}, 401)
		took = append(took, count())
	}
	if took[0] < 2 || slices.ContainsFunc(took, func(n int64) bool { return n != took[0] }) {
		t.Errorf("the tries take %v", took)
	}
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
				if h.guess(caller{address: fmt.Sprint(clients)}, name) == nil {
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
			"named":  {h.server.limits.allowHostLookup, 30, 2 * time.Second},
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
	h.server.limits.logins, h.server.limits.pushes, h.server.limits.lookups = newLimiter(2, time.Hour), newLimiter(2, time.Hour), newLimiter(2, time.Hour)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	h.call(h.anna.full, "POST", "/accounts/check", mailbox(), 200)
	h.call(h.anna.full, "POST", "/accounts/check", mailbox(), 429)
	h.call(h.anna.full, "POST", "/accounts", mailbox(), 429)
	h.call(h.anna.full, "PATCH", "/accounts/"+account, object{"password": password}, 429)
	h.call(h.anna.full, "PATCH", "/accounts/"+account, object{"enabled": false}, 200)
	h.call(h.anna.full, "POST", "/accounts/discover", object{"email": "anna@example.net"}, 429)
	named := object{"email": "anna@example.net", "host": "imap.example.org"}
	for _, status := range []int{200, 200, 429} {
		if a := h.call(h.anna.full, "POST", "/accounts/discover", named, status); status == 200 && !strings.Contains(a.raw, `"host":"imap.example.org"`) {
			t.Errorf("of a server that is named, it says %s", a.raw)
		}
	}
	h.call(h.ben.full, "POST", "/accounts/discover", named, 200)
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

// guess tries a password, and returns the error of the limits.
func (h *testServer) guess(c caller, name string) error {
	done, err := h.server.limits.allowPassword(h.t.Context(), c, name)
	if err == nil {
		done()
	}
	return err
}

// logInWith logs in as the browser with the mark, or a new one, and returns its mark.
func (h *testServer) logInWith(mark, name string, want int) string {
	h.t.Helper()
	r := h.request("", "POST", "/login", object{"name": name, "password": password})
	if mark != "" {
		r.AddCookie(&http.Cookie{Name: plain(markName), Value: mark})
	}
	a := h.send(r)
	if a.status != want {
		h.t.Fatalf("the login of %s: got %d, want %d: %s", name, a.status, want, a.raw)
	}
	return a.mark(h.t)
}

// mark returns the mark of the browser that the answer sets, or "".
func (a answer) mark(t testing.TB) string {
	t.Helper()
	for _, line := range a.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		fatal(t, err)
		if c.Name == plain(markName) {
			if !c.HttpOnly || c.Path != "/" || c.MaxAge != 400*24*60*60 {
				t.Errorf("the cookie is %v", c)
			}
			return c.Value
		}
	}
	return ""
}

// Password guessing from everywhere must not lock out people in browsers with which they have
// logged in, wherever these are.
func limitKnownBrowsers(t *testing.T) {
	t.Parallel()
	for name, come := range map[string]func(h *testServer) string{
		"who logged in": func(h *testServer) string { return h.logInWith("", "Anna", 200) },
		"who was invited": func(h *testServer) string {
			_, code, err := h.store.Users.AddInvite(h.anna.id, registry.InviteForDevice, false, "", time.Now())
			fatal(h.t, err)
			return h.call("", "POST", "/invites/accept", object{}.with("code", code), 201).mark(h.t)
		},
		"whose name has changed": func(h *testServer) string {
			mark := h.logInWith("", "Anna", 200)
			h.call(h.anna.full, "PATCH", "/me", object{"name": "Anne"}, 200)
			h.call(h.anna.full, "PATCH", "/me", object{"name": "Anna"}, 200)
			return mark
		},
		"where another person has logged in, too": func(h *testServer) string {
			mark := h.logInWith("", "Anna", 200)
			if h.logInWith(mark, "Ben", 200) != mark {
				h.t.Error("the browser has another mark now")
			}
			return mark
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(h *testServer) {
				mark := come(h)
				// The server starts again, and everybody seems to come from one address.
				h.server.limits = newLimits(h.store.Logins)
				h.handlers.sessions.limits = h.server.limits
				for i := range 100 {
					h.guess(caller{address: fmt.Sprint(i)}, "Anna")
					h.guess(caller{address: "192.0.2.1"}, "Anna")
				}
				if h.guess(caller{address: "elsewhere"}, "Anna") == nil {
					h.t.Error("the flood is not slowed down")
				}
				for range 5 {
					h.logInWith(mark, "anna", 200)
				}
				h.logInWith("", "anna", 429)
				h.logInWith("idlepush_00000000000000000000000000", "anna", 429)
				h.inside(h.t, "192.0.2.9").logInWith(mark, "anna", 200)

				// A browser with the mark in other hands guesses no faster.
				tries := 0
				for ; h.guess(caller{mark: mark}, "Anna") == nil; tries++ {
				}
				if tries != 20-6 {
					h.t.Errorf("%d tries in a known browser, want %d", tries, 20-6)
				}
			})
		})
	}
}

// Names that nobody has must not fill the places of those who live here.
func limitStrangers(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		h.server.limits.addresses = newLimiter(2*maxBuckets, time.Second)
		for i := range maxBuckets + 100 {
			h.guess(caller{address: "192.0.2.9"}, fmt.Sprint("nobody ", i))
		}
		for i := range 20 {
			if err := h.guess(caller{address: fmt.Sprint("b", i)}, "Ben"); err != nil {
				h.t.Errorf("try %d: %v", i, err)
			}
		}
		if h.guess(caller{address: "elsewhere"}, "Ben") == nil {
			h.t.Error("there is no limit")
		}
	})
}

func limitKept(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		for i := range 20 {
			fatal(h.t, h.guess(caller{address: fmt.Sprint(i)}, "Ben"))
		}
		h.server.limits = newLimits(h.store.Logins)
		if h.guess(caller{address: "elsewhere"}, "Ben") == nil {
			h.t.Error("it does")
		}
		fatal(h.t, h.guess(caller{address: "elsewhere"}, "Anna"))
		time.Sleep(3 * time.Second)
		fatal(h.t, h.guess(caller{address: "elsewhere"}, "Ben"))
	})
}

func limitersAgree(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		burst, every := 1+random.IntN(20), time.Duration(1+random.IntN(10))*time.Second
		l, kept := newLimiter(burst, every), keptLimiter{burst: burst, every: every}
		now, paid := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC), time.Time{}
		for i := range 200 {
			now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
			allowed := l.take("key", now) == nil
			var wait time.Duration
			paid, wait = kept.spend(paid, now)
			if allowed != (wait == 0) {
				t.Fatalf("try %d of a burst of %d, every %v: %v, but kept it has to wait %v", i, burst, every, allowed, wait)
			}
		}
	}
}

func limitRenames(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		for i := range 20 {
			fatal(h.t, h.guess(caller{address: fmt.Sprint(i)}, "Ben"))
		}
		h.call(h.ben.full, "PATCH", "/me", object{"name": "Benno"}, 200)
		if h.guess(caller{address: "elsewhere"}, "benno") == nil {
			h.t.Error("another name gives new tries")
		}
	})
}

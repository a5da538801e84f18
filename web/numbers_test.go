package web

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/ring"
)

// checkDocs fails the test if the page of the docs does not have the words, in any line breaks.
func checkDocs(t testing.TB, page, words string) {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	fatal(t, err)
	if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), words) {
		t.Errorf("docs/%s does not say %q", page, words)
	}
}

func TestNumbersOfTheDocs(t *testing.T) {
	t.Parallel()
	t.Run("how long a session lasts", docsSessionLifetime)
	t.Run("how browsers are recognized, and how many wait", docsBrowsers)
	t.Run("how long a challenge can be answered, and how many there are", docsCeremonies)
	t.Run("how much around a common word is not enough", docsCommon)
	t.Run("how long browsers stay with https", docsStrictTransport)
	t.Run("how many items a page of a list has", docsPageSize)
	t.Run("how long a password may be", docsPasswordLength)
	t.Run("how long a password proves who asks", docsPasswordProof)
	t.Run("how long a consent waits", docsConsent)
	t.Run("how much can be wished", docsWishes)
	t.Run("how often phones report, and what browsers keep", docsReceipts)
}

func docsReceipts(t *testing.T) {
	t.Parallel()
	checkDocs(t, "api.md", "From one address, 300 are taken at once and then ten a second.")
	if l := newLimits(registry.Logins{}).receipts; l.burst != 300 || l.every != time.Second/10 {
		t.Errorf("it takes %d, then one every %v", l.burst, l.every)
	}
	checkDocs(t, "apps.md", "Keep at most 200 of them, for 7 days.")
	checkDocs(t, "apps.md", "// at most 200, for 7 days")
	text, err := pageFiles.ReadFile("page/remember.js")
	fatal(t, err)
	for _, line := range []string{"const maxReports = 200;", "const maxReportAge = 7 * 86_400_000;"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("remember.js has no %q", line)
		}
	}
}

func docsWishes(t *testing.T) {
	t.Parallel()
	checkDocs(t, "api.md", fmt.Sprintf("- **`people`** (up to %d)", ring.MaxPeople))
	checkDocs(t, "api.md", fmt.Sprintf("- **`rules`** (up to %d)", ring.MaxRules))
	checkDocs(t, "api.md", "`until` is when it ends, within 366 days")
	checkDocs(t, "api.md", "until they end, for at most 64 hours")
	checkDocs(t, "api.md", fmt.Sprintf("One person can mute %d things", ring.MaxMutes))
	checkDocs(t, "api.md", "the newest mails of the last 7 days from the mail server, 200 at most")
	checkDocs(t, "api.md", "A person can try 10 times, then once in six seconds.") // see trialLimit
	if ring.RecentAge != 7*24*time.Hour || ring.MaxRecent != 200 {
		t.Errorf("a trial looks at %d mails of %v", ring.MaxRecent, ring.RecentAge)
	}
	if maxMuteDays != 366 || maxHold != 64 {
		t.Errorf("they are %d and %d", maxMuteDays, maxHold)
	}
}

func docsConsent(t *testing.T) {
	t.Parallel()
	checkDocs(t, "api.md", "once, from its person, within 10 minutes.")
	checkDocs(t, "security.md", "It is kept in memory, for 10 minutes.")
	checkDocs(t, "architecture.md", "with the sign-in, after 10 minutes at most")
	if consentLifetime != 10*time.Minute {
		t.Errorf("it waits for %v", consentLifetime)
	}
}

func docsPasswordProof(t *testing.T) {
	t.Parallel()
	checkDocs(t, "api.md", "The password or a passkey proves it for 10 minutes, for the session or token with which it was given")
	checkDocs(t, "security.md", "unless one was given in that session, or for that token, within the last 10 minutes")
	checkDocs(t, "codes.md", "Log-in was more than 10 minutes ago")
	bubble(t, func(h *testServer) {
		mine := h.logIn("Anna")
		for _, want := range []int{201, 403} {
			time.Sleep(10*time.Minute - time.Millisecond)
			h.inSession(mine, "POST", "/tokens", object{"name": "x", "scope": "full"}, want)
		}
	})
}

func docsSessionLifetime(t *testing.T) {
	t.Parallel()
	checkDocs(t, "phones.md", `"Stay signed in" lasts for 90 days without use and a year at most. Without it, a session ends after 12 hours without use.`)
	const day = 24 * time.Hour
	for name, row := range map[string]struct {
		stay        bool
		idle, lasts time.Duration // used once per idle, for as long as lasts
		cookie      string        // Max-Age of the cookie; empty if it ends with the browser
	}{
		"without use":                     {stay: false, idle: 12 * time.Hour},
		"without use, but stays":          {stay: true, idle: 90 * day, cookie: "31536000"},
		"with use every hour":             {stay: false, idle: time.Hour, lasts: 7 * day},
		"with use every month, and stays": {stay: true, idle: 30 * day, lasts: 365 * day, cookie: "31536000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(h *testServer) {
				a := h.call("", "POST", "/login", object{"name": "Anna", "password": password, "stay": row.stay}, 200)
				cookie, rest, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
				_, age, _ := strings.Cut(rest, "Max-Age=")
				if age, _, _ = strings.Cut(age, ";"); age != row.cookie {
					h.t.Errorf("the cookie lasts for %q s", age)
				}
				is := func(want int) {
					h.t.Helper()
					r := h.request("", "GET", "/me", nil)
					r.Header.Set("Cookie", cookie)
					if a := h.send(r); a.status != want {
						h.t.Errorf("it is %d, want %d", a.status, want)
					}
				}
				left := row.lasts
				for ; left > row.idle; left -= row.idle {
					time.Sleep(row.idle)
					is(200)
				}
				if row.lasts == 0 {
					left = row.idle
				}
				time.Sleep(left - time.Millisecond)
				if row.lasts > 0 {
					is(200)
					time.Sleep(time.Millisecond)
					is(401)
					return
				}
				is(200) // this counts as a use
				time.Sleep(row.idle)
				is(401)
			})
		})
	}
}

func docsBrowsers(t *testing.T) {
	t.Parallel()
	checkDocs(t, "security.md", "Each login leaves a cookie that lasts 400 days")
	checkDocs(t, "security.md", "At most 10 requests wait for a password to be hashed")
	if markLifetime != 400*24*time.Hour || maxWaiting != 10 {
		t.Errorf("a browser is recognized for %v, and %d wait", markLifetime, maxWaiting)
	}
}

func docsCeremonies(t *testing.T) {
	t.Parallel()
	checkDocs(t, "api.md", "A `challenge` can be answered once, within 5 minutes.")
	checkDocs(t, "security.md", "once, within 5 minutes, by the browser that has asked for it")
	checkDocs(t, "security.md", "at most 20 of a client address or session and 10,000 in all")
	if ceremonyLifetime != 5*time.Minute || maxCeremoniesOf != 20 || maxCeremonies != 10_000 {
		t.Errorf("%v, %d and %d", ceremonyLifetime, maxCeremoniesOf, maxCeremonies)
	}
}

func docsCommon(t *testing.T) {
	t.Parallel()
	checkDocs(t, "security.md", "has a list of about 4500")
	checkDocs(t, "security.md", "a common word with up to 8 digits and signs around it")
	if n := len(common()); longTail != 8 || n < 4450 || n >= 4550 {
		t.Errorf("%d and %d", longTail, n)
	}
}

func docsStrictTransport(t *testing.T) {
	t.Parallel()
	checkDocs(t, "security.md", "it is told to stay with it for a year")
	h := newTestServer(t)
	r := h.request("", "GET", "/vapid", nil)
	r.Header.Set("Origin", "https://house.example.net")
	if got := h.send(r).header.Get("Strict-Transport-Security"); got != fmt.Sprint("max-age=", 365*24*60*60) {
		t.Errorf("it is %q", got)
	}
}

func docsPageSize(t *testing.T) {
	t.Parallel()
	checkDocs(t, "api.md", "50 per page unless `limit` (up to 200) asks for another number")
	h := newTestServer(t)
	for i := range 201 {
		_, _, err := h.store.Logins.AddToken(h.anna.id, fmt.Sprint(i), idlepush.ScopeDevice, "", time.Now())
		fatal(t, err)
	}
	for query, want := range map[string]int{"": 50, "?limit=1": 1, "?limit=200": 200} {
		a := h.call(h.anna.full, "GET", "/tokens"+query, nil, 200)
		if n := len(a.body["items"].([]any)); n != want || a.body["next"] == nil {
			t.Errorf("%q gives %d, want %d, and next %v", query, n, want, a.body["next"])
		}
	}
	h.call(h.anna.full, "GET", "/tokens?limit=201", nil, 422).wantFields(t, "limit")
}

func docsPasswordLength(t *testing.T) {
	t.Parallel()
	checkDocs(t, "api.md", "Passwords have 10 to 1024 characters.")
	h := newTestServer(t)
	for n, want := range map[int]int{9: 422, 10: 201, 1024: 201, 1025: 422} {
		h.call(h.anna.full, "POST", "/users", object{"name": fmt.Sprint("Person ", n), "password": long(n)}, want)
	}
}

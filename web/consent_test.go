package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestConsents(t *testing.T) {
	t.Parallel()
	t.Run("a person signs in, comes back, and adds the mailbox", consentByCode)
	t.Run("a person without a public URL enters a code elsewhere", consentByDevice)
	t.Run("whoever comes back wrongly is told so, and nothing is ready", consentComesBackWrongly)
	t.Run("a sign-in that opens another mailbox fails", consentToOtherMailbox)
	t.Run("a mailbox that the person may open, too, works", consentToSharedMailbox)
	t.Run("it is for a server whose certificate the person trusts", consentPinned)
	t.Run("a certificate that is not trusted can be trusted for another try", consentUntrusted)
	t.Run("it is used once, by its person, for its mailbox", consentUsedOnce)
	t.Run("a use that is refused keeps it", consentKept)
	t.Run("it is renewed for an account", consentRenewed)
	t.Run("a login that crosses another edit is a conflict", consentCrossed)
	t.Run("a password ends the use of a provider", consentReplaced)
	t.Run("without a client people are told whom to ask", consentWithoutClient)
	t.Run("the browser must be able to come back", consentNoRedirect)
	t.Run("each ends after ten minutes", consentEnds)
	t.Run("a person has five at most", consentBound)
	t.Run("one that is ended stops asking the provider", consentStops)
}

// asked is a mailbox to sign in to.
func asked() object {
	return object{"email": "anna@example.net", "host": "imap.example.net", "username": "anna", "oauth": "yahoo"}
}

// window is a browser with a session, at the public URL.
type window struct {
	h      *testServer
	cookie string
}

func (h *testServer) window(user string) window {
	h.t.Helper()
	secret, _ := h.invited(user)
	return window{h, secret}
}

func (b window) call(method, path string, body any, want int) answer {
	b.h.t.Helper()
	r := b.h.request("", method, path, body)
	r.AddCookie(&http.Cookie{Name: plain(cookieName), Value: b.cookie})
	r.Header.Set("Origin", "https://house.example.net")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	a := b.h.send(r)
	if a.status != want {
		b.h.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, want, a.raw)
	}
	return a
}

// begin begins a sign-in and returns its id and the state for the redirect.
func (b window) begin(body object) (id, state string) {
	b.h.t.Helper()
	a := b.call("POST", "/consents", body, 201)
	u, err := url.Parse(a.body["url"].(string))
	fatal(b.h.t, err)
	if got := u.Query().Get("redirect_uri"); got != "https://house.example.net/oauth" || a.body["state"] != "waiting" {
		b.h.t.Errorf("the browser comes back to %q: %s", got, a.raw)
	}
	return a.id(), u.Query().Get("state")
}

// comeBack is the browser's way back from the provider.
func (b window) comeBack(query url.Values) answer {
	b.h.t.Helper()
	r, err := http.NewRequest("GET", b.h.url+"/oauth?"+query.Encode(), nil)
	fatal(b.h.t, err)
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: plain(cookieName), Value: b.cookie})
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return b.h.send(r)
}

// outcome waits until a consent waits no more.
func (b window) outcome(id string) answer {
	b.h.t.Helper()
	for {
		a := b.call("GET", "/consents/"+id, nil, 200)
		if a.body["state"] != "waiting" {
			return a
		}
	}
}

// ready is a consent that is ready, to the mailbox of that body.
func (b window) ready(body object) string {
	b.h.t.Helper()
	id, state := b.begin(body)
	b.comeBack(url.Values{"state": {state}, "code": {"anna"}})
	if a := b.outcome(id); a.body["state"] != "ready" {
		b.h.t.Fatalf("it is not ready: %s", a.raw)
	}
	return id
}

func (h *testServer) account(id string) idlepush.Account {
	h.t.Helper()
	a, err := h.store.Accounts.Get(id)
	fatal(h.t, err)
	return a
}

func consentByCode(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	id, state := b.begin(asked())
	back := b.comeBack(url.Values{"state": {state}, "code": {"anna"}})
	if back.status != 303 || back.header.Get("Location") != "/#/sign-in/"+id || back.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the browser is sent to %d, %v", back.status, back.header)
	}
	a := b.outcome(id)
	if a.body["state"] != "ready" || a.body["username"] != "anna" || a.body["provider"] != "Yahoo" || a.body["url"] != nil || !strings.Contains(a.raw, "Family") {
		t.Errorf("it is %s", a.raw)
	}
	if h.accounts() != 0 {
		t.Error("it is stored before it is used")
	}
	added := b.call("POST", "/accounts", mailbox().with("password", nil).with("consent", id).with("folders", []string{"Family"}), 201)
	if stored := h.account(added.id()); added.body["oauth"] != "yahoo" || stored.OAuth != "yahoo" || stored.Password != "" || stored.Status.LoggedIn.IsZero() {
		t.Errorf("stored is %+v: %s", stored, added.raw)
	}
	if h.tried != 0 {
		t.Errorf("%d logins by a password", h.tried)
	}
}

func consentByDevice(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	entered := make(chan struct{})
	h.set(func() {
		h.signIn = func(a idlepush.Account, redirect, state string) (SignIn, error) {
			s, err := signIn(a, redirect, state)
			finish := s.Finish
			s.Finish = func(ctx context.Context, answer url.Values) (Tokens, error) {
				<-entered
				return finish(ctx, answer)
			}
			return s, err
		}
	})
	a := h.call(h.anna.full, "POST", "/consents", asked(), 201)
	if a.body["user_code"] != "ABCD-EFGH" || a.body["verification_url"] != "https://login.example.net/device" || a.body["url"] != nil || a.body["state"] != "waiting" {
		t.Errorf("the person is told %s", a.raw)
	}
	close(entered)
	b := h.window(h.anna.id)
	if got := b.outcome(a.id()); got.body["state"] != "ready" || got.body["user_code"] != nil {
		t.Errorf("it is %s", got.raw)
	}
	b.call("POST", "/accounts", mailbox().with("password", nil).with("consent", a.id()), 201)
}

func consentComesBackWrongly(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	anna, again, ben := h.window(h.anna.id), h.window(h.anna.id), h.window(h.ben.id)
	for name, row := range map[string]struct {
		from   window
		query  func(state string) url.Values
		twice  bool
		status int
		says   string
	}{
		"from another session":    {again, func(s string) url.Values { return url.Values{"state": {s}, "code": {"anna"}} }, false, 403, "another browser"},
		"from another person":     {ben, func(s string) url.Values { return url.Values{"state": {s}, "code": {"anna"}} }, false, 403, "another browser"},
		"without a session":       {window{h, ""}, func(s string) url.Values { return url.Values{"state": {s}, "code": {"anna"}} }, false, 403, "another browser"},
		"with a forged state":     {anna, func(string) url.Values { return url.Values{"state": {marker}, "code": {"anna"}} }, false, 410, "never begun here"},
		"without a state":         {anna, func(string) url.Values { return url.Values{"code": {"anna"}} }, false, 410, "never begun here"},
		"with two states, forged": {anna, func(s string) url.Values { return url.Values{"state": {marker, s}, "code": {"anna"}} }, false, 410, "never begun here"},
		"a second time":           {anna, func(s string) url.Values { return url.Values{"state": {s}, "code": {"forged"}} }, true, 410, "used already"},
	} {
		t.Run(name, func(t *testing.T) {
			id, state := anna.begin(asked())
			query := row.query(state)
			if row.twice {
				row.from.comeBack(query)
				anna.outcome(id)
			}
			a := row.from.comeBack(query)
			if a.status != row.status || !strings.Contains(a.raw, row.says) || !strings.Contains(a.raw, "Nothing was stored.") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				t.Errorf("%d, %s", a.status, a.raw)
			}
			want := "waiting"
			if row.twice {
				want = "failed"
			}
			if got := anna.call("GET", "/consents/"+id, nil, 200); got.body["state"] != want || h.accounts() != 0 {
				t.Errorf("it is %s", got.raw)
			}
			if !row.twice { // who came wrongly has not used it up
				anna.comeBack(url.Values{"state": {state}, "code": {"anna"}})
				if got := anna.outcome(id); got.body["state"] != "ready" {
					t.Errorf("then it is %s", got.raw)
				}
			}
		})
	}
	for name, query := range map[string]url.Values{
		"with a forged or used code": {"code": {"forged"}},
		"with an error":              {"error": {"access_denied"}, "error_description": {marker}},
		"with nothing":               {},
	} {
		t.Run(name, func(t *testing.T) {
			id, state := anna.begin(asked())
			query.Set("state", state)
			anna.comeBack(query)
			if got := anna.outcome(id); got.body["state"] != "failed" || got.body["code"] != "consent_code_refused" || got.body["reason"] == "" {
				t.Errorf("it is %s", got.raw)
			}
			anna.call("POST", "/accounts", mailbox().with("password", nil).with("consent", id), 422).wantFields(t, "consent")
		})
	}
}

func consentToOtherMailbox(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	id, state := b.begin(asked())
	b.comeBack(url.Values{"state": {state}, "code": {"ben"}})
	if got := b.outcome(id); got.body["state"] != "failed" || got.body["code"] != "login_refused" || got.body["check"] != nil {
		t.Errorf("it is %s", got.raw)
	}
	b.call("POST", "/accounts", mailbox().with("password", nil).with("consent", id), 422).wantFields(t, "consent")
}

func consentToSharedMailbox(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	id, state := b.begin(asked().with("username", "office@example.net"))
	b.comeBack(url.Values{"state": {state}, "code": {"office@example.net"}}) // anna may open it
	if got := b.outcome(id); got.body["state"] != "ready" {
		t.Errorf("it is %s", got.raw)
	}
}

func consentPinned(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	use := mailbox().with("password", nil).with("consent", b.ready(asked().with("certificate", ownCertificate)))
	b.call("POST", "/accounts", use, 422).wantFields(t, "consent")
	if a := b.call("POST", "/accounts", use.with("certificate", ownCertificate), 201); a.body["certificate"] != string(ownCertificate) {
		t.Errorf("it is %s", a.raw)
	}
}

func consentUntrusted(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	refused := func(body object, shown idlepush.Fingerprint) {
		t.Helper()
		id, state := b.begin(body)
		b.comeBack(url.Values{"state": {state}, "code": {"anna"}})
		if a := b.outcome(id); a.body["state"] != "failed" || a.body["code"] != "certificate_untrusted" || !strings.Contains(a.raw, `"shown_`+shownCertificate(shown)) {
			t.Errorf("it is %s", a.raw)
		}
	}
	h.show(ownCertificate)
	refused(asked(), ownCertificate)
	use := mailbox().with("password", nil).with("certificate", ownCertificate).with("consent", b.ready(asked().with("certificate", ownCertificate)))
	account := b.call("POST", "/accounts", use, 201).id()

	h.show(otherCertificate)
	refused(object{"account": account}, otherCertificate)
	b.call("PATCH", "/accounts/"+account, object{"consent": b.ready(asked().with("certificate", otherCertificate)), "certificate": otherCertificate}, 200)
	if a := h.account(account); a.Pin != otherCertificate || a.OAuth != "yahoo" {
		t.Errorf("it is %+v", a)
	}
}

func consentUsedOnce(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b, ben := h.window(h.anna.id), h.window(h.ben.id)
	use := mailbox().with("password", nil).with("consent", b.ready(asked()))
	ben.call("POST", "/accounts", use, 422).wantFields(t, "consent")
	ben.call("GET", "/consents/"+use["consent"].(string), nil, 404)
	h.call(adminToken, "POST", "/accounts", use.with("user", h.anna.id), 422).wantFields(t, "consent")
	for field, value := range map[string]any{"host": "evil.example.net", "port": 143, "security": "starttls", "username": "ben"} {
		b.call("POST", "/accounts", use.with(field, value), 422).wantFields(t, "consent")
	}
	var group sync.WaitGroup
	statuses := make(chan int, 4)
	for range cap(statuses) {
		group.Go(func() {
			r := h.request(h.anna.full, "POST", "/accounts", use)
			statuses <- h.send(r).status
		})
	}
	group.Wait()
	close(statuses)
	count := make(map[int]int)
	for s := range statuses {
		count[s]++
	}
	if fmt.Sprint(count) != "map[201:1 422:3]" {
		t.Errorf("used at once: %v", count)
	}
}

func consentKept(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	use := mailbox().with("password", nil).with("consent", b.ready(asked()))
	b.call("POST", "/accounts", use.with("folders", []string{"Nirgends"}), 422).wantFields(t, "folders[0]")
	b.call("POST", "/accounts", use.with("shared_with", []string{"nobody"}), 422).wantFields(t, "shared_with[0]")
	b.call("POST", "/accounts", use, 201)
}

func consentRenewed(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	account := b.call("POST", "/accounts", mailbox().with("password", nil).with("consent", b.ready(asked())), 201).id()
	id := b.ready(object{"account": account})
	if got := b.call("GET", "/consents/"+id, nil, 200); got.body["account"] != account || got.body["username"] != "anna" {
		t.Errorf("it is %s", got.raw)
	}
	edited := h.account(account).Edited
	b.call("PATCH", "/accounts/"+account, object{"consent": id, "username": "ben"}, 422).wantFields(t, "consent")
	b.call("PATCH", "/accounts/"+account, object{"consent": id}, 200)
	if a := h.account(account); !a.Edited.After(edited) || a.OAuth != "yahoo" {
		t.Errorf("it is not renewed: %+v", a)
	}
	ben := h.window(h.ben.id)
	ben.call("POST", "/consents", object{"account": account}, 404)
}

func consentCrossed(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	at := "/accounts/" + b.call("POST", "/accounts", mailbox().with("password", nil).with("consent", b.ready(asked())), 201).id()
	h.set(func() {
		h.check = func(context.Context, idlepush.Account) (Check, error) {
			return Check{}, fmt.Errorf("log in: %w", registry.ErrStale)
		}
	})
	for _, a := range []answer{b.call("PATCH", at, object{"folders": []string{"Family"}}, 409), b.call("GET", at+"/folders", nil, 409)} {
		if a.body["code"] != "changed" {
			t.Errorf("it says %s", a.raw)
		}
	}
}

func consentReplaced(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	account := b.call("POST", "/accounts", mailbox().with("password", nil).with("consent", b.ready(asked())), 201).id()
	b.call("PATCH", "/accounts/"+account, object{"password": password}, 200)
	if a := h.account(account); a.OAuth != "" || a.Password != password {
		t.Errorf("it is opened by %q", a.OAuth)
	}
	b.call("PATCH", "/accounts/"+account, object{"consent": b.ready(asked())}, 200)
	if a := h.account(account); a.OAuth != "yahoo" || a.Password != "" {
		t.Errorf("then it is opened by %q", a.OAuth)
	}
}

func consentWithoutClient(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for token, says := range map[string]string{h.anna.full: "enter the client id", h.ben.full: "Ask its admin"} {
		a := h.call(token, "POST", "/consents", asked().with("oauth", "google"), 409)
		if a.body["code"] != "no_client" || !strings.Contains(a.raw, says) || !strings.Contains(a.raw, "Google") {
			t.Errorf("it says %s", a.raw)
		}
	}
	for _, provider := range []string{"other", "https://login.example.net", "https://inside.example.net"} {
		h.call(h.anna.full, "POST", "/consents", asked().with("oauth", provider), 409)
	}
	h.call(h.anna.full, "PATCH", "/clients/other", object{"client_id": "17", "issuer": "https://login.example.net"}, 200)
	if a := h.call(h.anna.full, "POST", "/consents", asked().with("oauth", "https://login.example.net"), 201); a.body["provider"] != "login.example.net" {
		t.Errorf("it is %s", a.raw)
	}
}

func consentNoRedirect(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	b := h.window(h.anna.id)
	h.call(h.anna.full, "POST", "/consents", asked().with("flow", "code"), 422).wantFields(t, "flow")
	r := h.request("", "POST", "/consents", asked().with("flow", "code"))
	r.AddCookie(&http.Cookie{Name: plain(cookieName), Value: b.cookie})
	if a := h.send(r); a.status != 409 || a.body["code"] != "no_redirect_here" || !strings.Contains(a.raw, "https://house.example.net") {
		t.Errorf("at another address: %d, %s", a.status, a.raw)
	}
	h.handlers.consents.publicURL = func() string { return "" }
	if a := b.call("POST", "/consents", asked().with("flow", "code"), 409); a.body["code"] != "no_redirect_here" || !strings.Contains(a.raw, "public-url") {
		t.Errorf("without a public URL: %s", a.raw)
	}
	if a := b.call("POST", "/consents", asked(), 201); a.body["user_code"] == nil {
		t.Errorf("without a public URL: %s", a.raw)
	}
}

func consentEnds(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		code       time.Duration // for which the user code can be entered
		back, used time.Duration // after the consent was begun
		ready      bool
		usable     bool
	}{
		"in time":                  {0, 10*time.Minute - 1, 20*time.Minute - 2, true, true},
		"who comes back too late":  {0, 10 * time.Minute, 10 * time.Minute, false, false},
		"used too late":            {0, 9 * time.Minute, 19 * time.Minute, true, false},
		"of a code that ends soon": {time.Minute, time.Minute, time.Minute, false, false},
		"of a code that ends late": {time.Hour, 10 * time.Minute, 10 * time.Minute, false, false},
	} {
		var l consents
		c := &consent{secret: "state", user: "anna", by: "session"}
		if row.code > 0 {
			c.signIn.Expires = begun.Add(row.code)
		}
		l.add(c, begun)
		_, err := l.answer("state", "session", begun.Add(row.back))
		if (err == nil) != row.ready {
			t.Errorf("%s: it comes back: %v", name, err)
		}
		if err == nil {
			l.settle(c, refreshToken, Check{}, nil, begun.Add(row.back))
		}
		if _, err := l.take(c.id, "anna", begun.Add(row.used)); (err == nil) != row.usable {
			t.Errorf("%s: it is used: %v", name, err)
		}
	}
}

func consentBound(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.unlimited()
	b, ben := h.window(h.anna.id), h.window(h.ben.id)
	other, _ := ben.begin(asked())
	var ids []string
	for range 6 {
		id, _ := b.begin(asked())
		ids = append(ids, id)
	}
	b.call("GET", "/consents/"+ids[0], nil, 404)
	b.call("GET", "/consents/"+ids[1], nil, 200)
	ben.call("GET", "/consents/"+other, nil, 200)
	b.call("DELETE", "/consents/"+ids[1], nil, 204)
	b.call("DELETE", "/consents/"+ids[1], nil, 404)
}

func consentStops(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	stopped := make(chan struct{})
	h.set(func() {
		h.signIn = func(idlepush.Account, string, string) (SignIn, error) {
			return SignIn{URL: "https://login.example.net/device", UserCode: "ABCD", Finish: func(ctx context.Context, _ url.Values) (Tokens, error) {
				<-ctx.Done()
				close(stopped)
				return Tokens{}, ctx.Err()
			}}, nil
		}
	})
	id := h.call(h.anna.full, "POST", "/consents", asked(), 201).id()
	h.call(h.anna.full, "DELETE", "/consents/"+id, nil, 204)
	<-stopped
}

package browsertest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"

	"idlepush/registry/testenv"
)

// Chromium starts a headless Chromium (Debian packages: chromium, chromium-driver). If it is not
// installed, it ends the test like [testenv.Missing]. It has no push service: to subscribe fails.
func Chromium(t testing.TB) *Browser {
	t.Helper()
	driver, program := findProgram(t, "chromedriver"), findProgram(t, "chromium", "google-chrome")
	b := newBrowser(t)
	port := ""
	for range 5 { // its port is free for IPv6, but may be in use for IPv4
		if port = b.launch(t, regexp.MustCompile(`started successfully on port (\d+)|IPv4 port not available`), driver, "--port=0"); port != "" {
			break
		}
		b.Close(t)
	}
	if port == "" {
		t.Fatal("chromedriver found no port five times")
	}
	body, err := json.Marshal(object{"capabilities": object{"alwaysMatch": object{
		"webSocketUrl":        true,
		"acceptInsecureCerts": true, // those of oauthtest
		"goog:chromeOptions": object{"binary": program, "args": []string{
			"--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--user-data-dir=" + filepath.Join(b.folder, "profile"),
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(testenv.Context(t), http.MethodPost, "http://127.0.0.1:"+port+"/session", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct {
		Value struct {
			Message      string
			Capabilities struct{ WebSocketURL string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		t.Fatal(err)
	}
	if made.Value.Capabilities.WebSocketURL == "" {
		t.Fatalf("chromedriver made no session: %s", made.Value.Message)
	}
	b.conn = dial(t, made.Value.Capabilities.WebSocketURL)
	b.collectErrors(t)
	return b
}

// Authenticator is a virtual authenticator of a tab in Chromium, which keeps passkeys and uses them
// without asking.
type Authenticator struct {
	page    *Page
	session string // of the DevTools protocol
	id      string
}

// AddAuthenticator adds an authenticator to the tab, which replaces all others. It works only in
// Chromium.
func (p *Page) AddAuthenticator(t testing.TB) *Authenticator {
	t.Helper()
	a := &Authenticator{page: p}
	var attached struct{ Session string }
	p.must(t, "goog:cdp.getSession", object{"context": p.context}, &attached)
	a.session = attached.Session
	a.send(t, "enable", object{}, nil)
	var made struct{ AuthenticatorID string }
	a.send(t, "addVirtualAuthenticator", object{"options": object{"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
		"hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true}}, &made)
	a.id = made.AuthenticatorID
	return a
}

// send runs a command of the domain WebAuthn and decodes its result into out, unless that is nil.
func (a *Authenticator) send(t testing.TB, command string, params object, out any) {
	t.Helper()
	var answer struct{ Result json.RawMessage }
	a.page.must(t, "goog:cdp.sendCommand", object{"method": "WebAuthn." + command, "params": params, "session": a.session}, &answer)
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer.Result, out); err != nil {
		t.Fatal(err)
	}
}

// Passkeys returns the passkeys of the authenticator.
func (a *Authenticator) Passkeys(t testing.TB) (list []map[string]any) {
	t.Helper()
	var all struct{ Credentials []map[string]any }
	a.send(t, "getCredentials", object{"authenticatorId": a.id}, &all)
	return all.Credentials
}

// Copy replaces the passkeys by those of another authenticator. They count their uses from
// signCount on.
func (a *Authenticator) Copy(t testing.TB, passkeys []map[string]any, signCount int) {
	t.Helper()
	a.send(t, "clearCredentials", object{"authenticatorId": a.id}, nil)
	for _, k := range passkeys {
		k["signCount"] = signCount
		a.send(t, "addCredential", object{"authenticatorId": a.id, "credential": k}, nil)
	}
}

// SetVerified sets whether the authenticator knows its owner, as by a finger.
func (a *Authenticator) SetVerified(t testing.TB, verified bool) {
	t.Helper()
	a.send(t, "setUserVerified", object{"authenticatorId": a.id, "isUserVerified": verified}, nil)
}

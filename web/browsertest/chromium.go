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
		"webSocketUrl": true,
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

package browsertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Firefox starts a headless Firefox (Debian: firefox-esr). prefs are preferences beside those made here, over which they win; such as
// "dom.push.serverURL": "ws://127.0.0.1:8000/" for a push service of the test's own, or "layout.css.prefers-color-scheme.content-override": 0 for dark. Without a
// Firefox the test is skipped, or fails if IDLEPUSH_REQUIRE_BROWSERS is set.
func Firefox(t testing.TB, prefs map[string]any) *Browser {
	t.Helper()
	program := require(t, "firefox-esr", "firefox")
	b := newBrowser(t)
	profile := filepath.Join(b.folder, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{
		"dom.push.testing.allowInsecureServerURL":    true,
		"dom.push.retryBaseInterval":                 100,   // ms; else 5 s until it connects again
		"dom.push.quotaUpdateDelay":                  0,     // ms
		"alerts.useSystemBackend":                    false, // else nothing is shown without a desktop
		"permissions.default.desktop-notification":   1,
		"app.normandy.enabled":                       false,
		"app.update.disabledForTesting":              true,
		"browser.shell.checkDefaultBrowser":          false,
		"datareporting.policy.dataSubmissionEnabled": false,
		"extensions.getAddons.discovery.api_url":     "data:,",
		"network.captive-portal-service.enabled":     false,
		"network.connectivity-service.enabled":       false,
		"remote.active-protocols":                    1, // WebDriver BiDi
	}
	for name, value := range prefs {
		all[name] = value
	}
	var text []string
	for name, value := range all {
		literal, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, fmt.Sprintf("user_pref(%q, %s);", name, literal))
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), lines(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := b.launch(t, regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`),
		program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	b.wire = dial(t, address+"/session")
	b.must(t, "session.new", object{"capabilities": object{}}, nil)
	b.watch(t)
	return b
}

package browsertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Firefox starts a headless Firefox (Debian package: firefox-esr). prefs are further preferences,
// which override those set here. For example "dom.push.serverURL": "ws://127.0.0.1:8000/" sets the
// push service, and "layout.css.prefers-color-scheme.content-override": 0 makes pages dark. If
// Firefox is not installed, it ends the test like [testenv.Missing].
func Firefox(t testing.TB, prefs map[string]any) *Browser {
	t.Helper()
	program := findProgram(t, "firefox-esr", "firefox")
	b := newBrowser(t)
	profile := filepath.Join(b.folder, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	all := maps.Clone(preferences)
	maps.Copy(all, prefs)
	var text []string
	for name, value := range all {
		literal, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, fmt.Sprintf("user_pref(%q, %s);", name, literal))
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), sortedLines(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Firefox's own notifications end with their animation after some seconds, and getNotifications
	// returns them no more. Those of a desktop stay.
	chrome := filepath.Join(profile, "chrome")
	if err := os.Mkdir(chrome, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(chrome, "userChrome.css"), []byte("#alertBox { animation: none !important; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := b.launch(t, regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`),
		program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	b.conn = dial(t, address+"/session")
	b.must(t, "session.new", object{"capabilities": object{}}, nil)
	b.collectErrors(t)
	return b
}

// preferences are those of Firefox's own RecommendedPreferences.sys.mjs that matter here, except
// the one that turns push off. Others make push work without a desktop and without TLS.
var preferences = map[string]any{
	"remote.active-protocols":  1, // WebDriver BiDi
	"remote.prefs.recommended": false,

	// One process renders all pages, and no spare one is started. To start more takes much of the
	// time of a browser that runs for seconds.
	"dom.ipc.processCount":             1,
	"dom.ipc.processPrelaunch.enabled": false,
	"fission.autostart":                false,

	"dom.push.testing.allowInsecureServerURL":             true,
	"dom.push.retryBaseInterval":                          100,   // ms until it reconnects, not 5 s
	"alerts.useSystemBackend":                             false, // no desktop
	"toolkit.legacyUserProfileCustomizations.stylesheets": true,
	"permissions.default.desktop-notification":            1, // granted

	// Input is accepted at once, and a tab in the background is as fast as one in front.
	"dom.input_events.security.minNumTicks":                   0,
	"dom.input_events.security.minTimeElapsedInMS":            0,
	"dom.ipc.processPriorityManager.enabled":                  false,
	"dom.permissions.testing.enabled":                         true,
	"focusmanager.testmode":                                   true,
	"security.notification_enable_delay":                      0,
	"threads.lower_mainthread_priority_in_background.enabled": false,

	// No dialogs and no start pages.
	"browser.sessionstore.resume_from_crash":                      false,
	"browser.shell.checkDefaultBrowser":                           false,
	"browser.startup.homepage_override.mstone":                    "ignore",
	"browser.startup.page":                                        0,
	"browser.translations.enable":                                 false,
	"datareporting.policy.dataSubmissionPolicyBypassNotification": true,
	"signon.autofillForms":                                        false,
	"signon.rememberSignons":                                      false,
	"startup.homepage_welcome_url":                                "about:blank",
	"termsofuse.bypassNotification":                               true,

	// No connections but those of the test.
	"app.normandy.api_url":                           "",
	"app.normandy.enabled":                           false,
	"app.update.disabledForTesting":                  true,
	"browser.discovery.enabled":                      false,
	"browser.newtabpage.enabled":                     false,
	"browser.region.network.url":                     "",
	"browser.safebrowsing.blockedURIs.enabled":       false,
	"browser.safebrowsing.downloads.enabled":         false,
	"browser.safebrowsing.malware.enabled":           false,
	"browser.safebrowsing.phishing.enabled":          false,
	"browser.search.update":                          false,
	"browser.topsites.contile.enabled":               false,
	"datareporting.healthreport.uploadEnabled":       false,
	"datareporting.policy.dataSubmissionEnabled":     false,
	"datareporting.usage.uploadEnabled":              false,
	"extensions.getAddons.cache.enabled":             false,
	"extensions.getAddons.discovery.api_url":         "data:,",
	"extensions.systemAddon.update.enabled":          false,
	"extensions.update.enabled":                      false,
	"media.gmp-manager.updateEnabled":                false,
	"network.captive-portal-service.enabled":         false,
	"network.connectivity-service.enabled":           false,
	"network.manage-offline-status":                  false,
	"network.prefetch-next":                          false,
	"privacy.trackingprotection.enabled":             false,
	"security.remote_settings.intermediates.enabled": false,
	"services.settings.server":                       "data:,#remote-settings-dummy/v1",
	"toolkit.telemetry.server":                       "data:,",
}

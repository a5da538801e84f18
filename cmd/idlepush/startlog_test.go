package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
	"idlepush/registry/registrytest"
)

func TestStartLog(t *testing.T) {
	t.Parallel()
	contact := push.Values{"vapid-subject": "mailto:me@example.org"}
	receiver, err := pushtest.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	keys := receiver.Keys()
	const noURL, noContact, setUp = "public-url is not set", "Apple", "no admin exists yet"
	for name, c := range map[string]struct {
		settings settings
		setupAt  string // https origin of setup; "" for plain http
		done     bool   // setup is done
		want     []string
	}{
		"nothing set":                       {settings{}, "", false, []string{noURL, noContact, setUp}},
		"nothing set, set up by http":       {settings{}, "", true, []string{noURL, noContact}},
		"set up by https":                   {settings{}, "https://push.example.org", true, nil},
		"set up by https at a private name": {settings{}, "https://nas.local", true, []string{noContact}},
		"public-url":                        {settings{publicURL: "https://push.example.org"}, "", false, []string{setUp}},
		"public-url at a private name":      {settings{publicURL: "https://nas.local"}, "", false, []string{noContact, setUp}},
		"private public-url, and a contact": {settings{publicURL: "https://nas.local", push: contact}, "", false, []string{setUp}},
		"a contact alone":                   {settings{push: contact}, "", false, []string{noURL, setUp}},
		"a contact alone, set up by http":   {settings{push: contact}, "", true, []string{noURL}},
		"everything":                        {settings{publicURL: "https://push.example.org", push: contact}, "", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.settings.data = t.TempDir()
			store := registrytest.Open(t, c.settings.data)
			token, err := store.Users.SetupToken()
			if err != nil {
				t.Fatal(err)
			}
			if c.done {
				if _, _, err := store.Users.Setup(token, "anna", "a long passphrase", c.setupAt, nil, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			log, lines := registrytest.NewLog(t)
			if err := logStart(store, c.settings, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, log); err != nil {
				t.Fatal(err)
			}
			text := lines.String()
			for _, line := range []string{noURL, noContact, setUp} {
				want := 0
				for _, w := range c.want {
					if w == line {
						want = 1
					}
				}
				if strings.Count(text, line) != want {
					t.Errorf("%q is logged %d times, want %d: %s", line, strings.Count(text, line), want, text)
				}
			}
			if strings.Contains(text, "run setup at that origin") != (strings.Contains(text, noURL) && !c.done) {
				t.Errorf("setup is proposed though it is done, or not proposed: %s", text)
			}
			// The log is true.
			mail := registry.Work{Notification: idlepush.Notification{ID: "n", Kind: idlepush.KindMail}}
			if led := push.Render(mail, c.settings.publicPage(store), nil).URL != ""; led == strings.Contains(text, noURL) {
				t.Errorf("a click in an app leads to an address: %v, and the log says %s", led, text)
			}
			transports, err := c.settings.transports(store, nil)
			if err != nil {
				t.Fatal(err)
			}
			dispatcher := push.Dispatcher{Transports: transports, URL: func() string { return "" }}
			_, refusal := dispatcher.Preview(idlepush.Device{Transport: "webpush", Address: "https://web.push.apple.com/x", Keys: &keys})
			if refused := refusal != nil && refusal.Code == "webpush_subject_missing"; refused != strings.Contains(text, noContact) {
				t.Errorf("Apple's address is refused with %+v, and the log says %s", refusal, text)
			}
		})
	}
}

package browser

import (
	"strings"
	"testing"

	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

const (
	iPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	android = "Mozilla/5.0 (Android 15; Mobile; rv:142.0) Gecko/142.0 Firefox/142.0"
)

func TestADeviceThatCannotRingIsToldTheWayOut(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := furnished(t, b)
	p.Navigate(t, s.Origin+"/#/devices")
	b.SetPermission(t, s.Origin, "notifications", "denied")
	for agent, says := range map[string]string{"": "and allow notifications. Then reload this page.", android: "then Permissions, and allow notifications."} {
		if agent != "" {
			p.SetUserAgent(t, agent)
		}
		p.Reload(t)
		p.WaitText(t, "does not let idlepush show notifications")
		p.WaitText(t, says)
		everySize(t, p)
	}

	p.SetUserAgent(t, iPhone)
	p.Reload(t)
	p.WaitText(t, "first put it on the Home Screen")
	p.Wait(t, "the pictures are there", `() => { const all = [...document.querySelectorAll(".steps img")]; return all.length === 3 && all.every(i => i.complete && i.naturalWidth > 0) }`)
	if p.Has(t, "Ring this device") {
		t.Error("it offers what cannot work there")
	}
	everySize(t, p)
	if s.Client.Get(testenv.Context(t), "/devices", nil) != nil || len(s.Web.Messages()) != 6 {
		t.Error("something was registered or sent")
	}
}

func TestWithoutAServerThePageSaysSoAndComesBack(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := furnished(t, b)
	p.Wait(t, "the service worker is there", `() => navigator.serviceWorker.ready.then(r => r.active.state === "activated")`)
	s.Stop(t)
	p.Reload(t)
	p.WaitText(t, "No connection")
	everySize(t, p)
	for _, e := range b.TakeErrors() {
		if !strings.Contains(e, "Failed to load resource") && !strings.Contains(e, "ERR_") {
			t.Errorf("a page had an error: %s", e)
		}
	}
	s.Start(t)
	p.Click(t, "Try again")
	p.WaitText(t, "anna@example.org")
}

// Chromium has no push service here, and waits for one.
func TestAPushServiceThatDoesNotAnswerIsSaidToBeOutOfReach(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := furnished(t, b)
	b.SetPermission(t, s.Origin, "notifications", "granted")
	p.Navigate(t, s.Origin+"/#/devices")
	p.WaitText(t, "Another phone") // the view before has a link of the same name
	// The page gives up after 20 s, which pass when this test says so; a drawing that is held up is tried again after half a second.
	p.Eval(t, nil, `() => {
		const real = self.setTimeout;
		self.setTimeout = (f, ms, ...args) => {
			if (ms === 500) self.heldUp = true;
			if (ms !== 20000) return real(f, ms, ...args);
			self.pass = () => f(...args);
			return 0;
		};
	}`)
	p.Click(t, "Ring this device")
	p.Wait(t, "the page waits for the push service", `() => self.pass !== undefined`)
	// What changes meanwhile has the page drawn anew; that must not take away what becomes of the click.
	say(t, p, "PATCH", "/devices/"+s.ids(t, "/devices")[0], object{"name": "renamed"}, nil)
	p.Wait(t, "the page has heard of it", `() => self.heldUp`)
	p.Eval(t, nil, `() => self.pass()`)
	p.WaitText(t, "The browser could not reach its push service.")
	var kept bool
	p.Eval(t, &kept, `async () => await remember.device() !== undefined`)
	if kept || len(s.Web.Messages()) != 6 {
		t.Error("it takes itself for a device, or something was sent")
	}
}

func TestAChangeOnTheWayToAnotherViewDoesNotHoldItUp(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := furnished(t, b)
	p.Navigate(t, s.Origin+"/#/devices")
	p.WaitText(t, "Another phone")
	// The view's own request is answered once the change has made a second one.
	p.Eval(t, nil, `() => {
		const real = self.fetch;
		let second, first = true;
		const made = new Promise(resolve => { second = resolve });
		self.fetch = async (...request) => {
			if (String(request[0]).includes("nowhere")) {
				if (first) { first = false; await made } else second();
			}
			return real(...request);
		};
		location.hash = "#/mail/nowhere";
	}`)
	say(t, p, "PATCH", "/devices/"+s.ids(t, "/devices")[0], object{"name": "renamed"}, nil)
	p.WaitText(t, "There is nothing here")
	for _, e := range b.TakeErrors() {
		if !strings.Contains(e, "404") {
			t.Errorf("a page had an error: %s", e)
		}
	}
}

// A browser makes six connections to a server over http, and each page that listens holds one.
func TestManyTabsOfOneBrowserAreAllServedAndTrueWhenTheyAreSeen(t *testing.T) {
	t.Parallel()
	s, first := furnished(t, browsertest.Firefox(t, nil))
	first.Navigate(t, s.Origin+"/#/devices")
	first.WaitText(t, "Another phone")
	for range 7 {
		first.Open(t, s.Origin+"/#/devices").WaitText(t, "Another phone")
	}
	say(t, first, "PATCH", "/devices/"+s.ids(t, "/devices")[0], object{"name": "renamed"}, nil)
	first.Activate(t)
	first.WaitText(t, "renamed")
}

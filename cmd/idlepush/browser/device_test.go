package browser

import (
	"slices"
	"strings"
	"testing"

	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

const (
	iPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	android = "Mozilla/5.0 (Android 15; Mobile; rv:142.0) Gecko/142.0 Firefox/142.0"
)

func TestThisDevice(t *testing.T) {
	t.Parallel()
	t.Run("explains what to do if it cannot show notifications", deviceBlocked)
	t.Run("reports a push service that does not answer", devicePushServiceSilent)
	t.Run("subscribes anew if its browser has ended the subscription", deviceEndpointRemoved)
}

// deviceBlocked opens the page in a Chromium that denies notifications. Later it calls itself
// Firefox for Android, and an iPhone.
func deviceBlocked(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := openFurnished(t, b)
	p.Navigate(t, s.Origin+"/#/devices")
	b.SetPermission(t, s.Origin, "notifications", "denied")
	for agent, text := range map[string]string{"": "and allow notifications. Then reload this page.", android: "then Permissions, and allow notifications."} {
		if agent != "" {
			p.SetUserAgent(t, agent)
		}
		p.Reload(t)
		p.WaitText(t, "does not let idlepush show notifications")
		p.WaitText(t, text)
		checkSizes(t, p)
	}

	p.SetUserAgent(t, iPhone)
	p.Reload(t)
	p.WaitText(t, "first put it on the Home Screen")
	p.Wait(t, "the pictures are there", `() => { const all = [...document.querySelectorAll(".steps img")]; return all.length === 3 && all.every(i => i.complete && i.naturalWidth > 0) }`)
	if p.Has(t, "Ring this device") {
		t.Error("it offers to register, which cannot work there")
	}
	checkSizes(t, p)
	if s.Client.Get(testenv.Context(t), "/devices", nil) != nil || len(s.Web.Messages()) != 6 {
		t.Error("a device was registered, or a push sent")
	}
}

// devicePushServiceSilent uses a Chromium without a push service, which waits for one.
func devicePushServiceSilent(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := openFurnished(t, b)
	b.SetPermission(t, s.Origin, "notifications", "granted")
	p.Navigate(t, s.Origin+"/#/devices")
	p.WaitText(t, "Another phone") // the previous view has a link of the same name
	// The page gives up after 20 s, which the test replaces by a call of pass. It retries a delayed
	// redraw after half a second.
	p.Eval(t, nil, `() => {
		const real = self.setTimeout;
		self.setTimeout = (f, ms, ...args) => {
			if (ms === 500) self.delayed = true;
			if (ms !== 20000) return real(f, ms, ...args);
			self.pass = () => f(...args);
			return 0;
		};
	}`)
	p.Click(t, "Ring this device")
	p.Wait(t, "the page waits for the push service", `() => self.pass !== undefined`)
	// A change redraws the page. That must not remove the result of the click.
	callAPI(t, p, "PATCH", "/devices/"+s.ids(t, "/devices")[0], object{"name": "renamed"}, nil)
	p.Wait(t, "the page has got the change", `() => self.delayed`)
	p.Eval(t, nil, `() => self.pass()`)
	p.WaitText(t, "The browser could not reach its push service.")
	var kept bool
	p.Eval(t, &kept, `async () => await remember.device() !== undefined`)
	if kept || len(s.Web.Messages()) != 6 {
		t.Error("the browser has become a device, or a push was sent")
	}
}

// deviceEndpointRemoved uses a Chromium whose subscription is over: its endpoint is at a host below
// .invalid, which Chrome and Edge give then. A new subscription has an endpoint that works.
func deviceEndpointRemoved(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := openFurnished(t, b)
	b.SetPermission(t, s.Origin, "notifications", "granted")
	before := len(s.ids(t, "/devices"))
	first, second := string(s.Web.Relay(s.WebOrigin, "")), string(s.Web.Relay(s.WebOrigin, ""))
	p.Navigate(t, s.Origin+"/#/devices")
	p.WaitText(t, "Another phone")
	p.Eval(t, nil, `async (...fresh) => {
		const { public_key: key } = await (await fetch("/api/v1/vapid")).json();
		const bytes = Uint8Array.from(atob(key.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
		const keys = { p256dh: key, auth: "BTBZMqHH6r4Tts7J_aSIgg" };
		self.endings = [];
		const subscription = (endpoint) => ({ options: { applicationServerKey: bytes.buffer }, toJSON: () => ({ endpoint, expirationTime: null, keys }),
			unsubscribe: async () => { self.endings.push(endpoint); self.have = null; return true; } });
		self.end = () => { self.have = subscription("https://permanently-removed.invalid/planted"); };
		self.end();
		PushManager.prototype.getSubscription = async () => self.have;
		PushManager.prototype.subscribe = async () => self.have = subscription(fresh.shift());
	}`, first, second)
	p.Click(t, "Ring this device")
	p.WaitText(t, "How much may be shown")
	if n := len(s.ids(t, "/devices")); n != before+1 {
		t.Errorf("there are %d devices, want one more than %d", n, before)
	}
	// The same happens to a device when the page is opened.
	p.Eval(t, nil, `async () => {
		self.end();
		const { repairDevice } = await import("/ring.js");
		await repairDevice(false);
	}`)
	var endings []string
	p.Eval(t, &endings, `() => self.endings`)
	if len(endings) != 2 || slices.ContainsFunc(endings, func(e string) bool { return !strings.Contains(e, ".invalid/") }) {
		t.Errorf("these subscriptions were ended: %q", endings)
	}
	if n := len(s.ids(t, "/devices")); n != before+1 {
		t.Errorf("repaired, there are %d devices, want %d", n, before+1)
	}
	pushed := make(map[string]int)
	for _, m := range s.Web.Messages() {
		pushed[string(m.Endpoint)]++
	}
	if pushed[first] != 1 || pushed[second] != 1 {
		t.Errorf("proving pushes: %d to the first new address, %d to the second", pushed[first], pushed[second])
	}
}

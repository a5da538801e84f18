package browser

import (
	"strings"
	"testing"

	"idlepush/web/browsertest"
)

func TestUpdates(t *testing.T) {
	t.Parallel()
	t.Run("the page reports a lost connection and recovers", updatesConnectionLost)
	t.Run("a change does not delay the view that is being opened", updatesDuringNavigation)
	t.Run("many tabs are served, and each is up to date when it is activated", updatesInManyTabs)
}

func updatesConnectionLost(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := openFurnished(t, b)
	p.Wait(t, "the service worker is there", `() => navigator.serviceWorker.ready.then(r => r.active.state === "activated")`)
	s.Stop(t)
	p.WaitText(t, "The server has been silent since ")
	p.Reload(t)
	p.WaitText(t, "No connection")
	p.WaitText(t, "The server has been silent since ")
	checkSizes(t, p)
	for _, e := range b.TakeErrors() {
		if !strings.Contains(e, "Failed to load resource") && !strings.Contains(e, "ERR_") {
			t.Errorf("a page had an error: %s", e)
		}
	}
	s.Start(t) // the page notices
	p.WaitText(t, "anna@example.org")
	p.Wait(t, "it is said no more that the server is silent", `() => document.getElementById("silence").textContent === ""`)
}

func updatesDuringNavigation(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := openFurnished(t, b)
	p.Navigate(t, s.Origin+"/#/devices")
	p.WaitText(t, "Another phone")
	// The request of the view gets its answer after the change has caused a second request.
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
	callAPI(t, p, "PATCH", "/devices/"+s.ids(t, "/devices")[0], object{"name": "renamed"}, nil)
	p.WaitText(t, "Not found. It may have been removed.")
	for _, e := range b.TakeErrors() {
		if !strings.Contains(e, "404") {
			t.Errorf("a page had an error: %s", e)
		}
	}
}

// updatesInManyTabs opens more tabs than the six connections that a browser makes to a server over
// HTTP/1.1. Each page that listens needs one of them.
func updatesInManyTabs(t *testing.T) {
	t.Parallel()
	s, first := openFurnished(t, browsertest.Firefox(t, nil))
	first.Navigate(t, s.Origin+"/#/devices")
	first.WaitText(t, "Another phone")
	for range 7 {
		first.Open(t, s.Origin+"/#/devices").WaitText(t, "Another phone")
	}
	callAPI(t, first, "PATCH", "/devices/"+s.ids(t, "/devices")[0], object{"name": "renamed"}, nil)
	first.Activate(t)
	first.WaitText(t, "renamed")
}

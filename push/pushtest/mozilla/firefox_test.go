package mozilla_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/web/browsertest"
)

const worker = `
onpush = e => {
	const n = e.data.json().notification;
	e.waitUntil(registration.showNotification(n.title, { tag: n.tag, body: n.body }));
};
onpushsubscriptionchange = e => e.waitUntil(registration.showNotification("changed", { tag: "changed" }));
skipWaiting();
onactivate = e => e.waitUntil(clients.claim());
`

// site returns a page with a service worker, in a Firefox that uses the push service.
func site(t *testing.T, address string) *browsertest.Page {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sw.js":
			w.Header().Set("Content-Type", "text/javascript")
			io.WriteString(w, worker)
		default:
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, `<!DOCTYPE html><title>t</title><link rel="icon" href="data:,">`)
		}
	}))
	t.Cleanup(server.Close)
	return browsertest.Firefox(t, map[string]any{"dom.push.serverURL": "ws://" + address + "/"}).Open(t, server.URL)
}

// join subscribes the page and makes it a device of the sender.
func (s *sender) join(t *testing.T, p *browsertest.Page, public string) {
	t.Helper()
	var sub struct {
		Endpoint string
		Keys     struct{ P256dh, Auth string }
	}
	p.Eval(t, &sub, `async key => {
		const r = await navigator.serviceWorker.register("/sw.js");
		await navigator.serviceWorker.ready;
		return r.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
	}`, public)
	s.device.Address, s.device.Keys = idlepush.Secret(sub.Endpoint), &idlepush.Keys{P256dh: sub.Keys.P256dh, Auth: sub.Keys.Auth}
}

// shown waits until the page's service worker has shown the titles, in order.
func shown(t *testing.T, p *browsertest.Page, titles ...string) {
	t.Helper()
	want, err := json.Marshal(titles)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait(t, "it shows "+strings.Join(titles, ", "), `async want => {
		const r = await navigator.serviceWorker.ready;
		return JSON.stringify((await r.getNotifications()).map(n => n.title).sort()) === want;
	}`, string(want))
}

func TestFirefox(t *testing.T) {
	service, f := start(t)
	p := site(t, f.address)
	s, public := newSender(t)
	s.join(t, p, public)
	deliver := func(n int, text string) {
		t.Helper()
		if o := s.send(t, topic(n), text, time.Hour); o.Result != registry.ResultDelivered {
			t.Fatalf("got %+v", o)
		}
	}
	deliver(0, "first")
	shown(t, p, "first")
	service.Away()
	deliver(1, "stale")
	deliver(2, "second")
	deliver(1, "third")
	service.Back()
	shown(t, p, "first", "second", "third")
	for _, a := range service.Acks() {
		if a.Code != 100 {
			t.Errorf("Firefox says %+v", a)
		}
	}
	service.ForgetBrowsers()
	shown(t, p, "changed", "first", "second", "third")
	if o := s.send(t, topic(3), "late", time.Hour); !o.Absent {
		t.Errorf("got %+v", o)
	}
	s.join(t, p, public)
	deliver(3, "after")
	shown(t, p, "after", "changed", "first", "second", "third")
	p.Eval(t, nil, `async () => (await (await navigator.serviceWorker.ready).pushManager.getSubscription()).unsubscribe()`)
	if o := s.send(t, topic(4), "late", time.Hour); !o.Absent {
		t.Errorf("once unsubscribed, got %+v", o)
	}
}

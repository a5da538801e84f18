package main

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/registry"
	"idlepush/web/browsertest"
)

// shown is a notification as the service worker shows it.
type shown struct {
	Title, Body, Tag string
	Data             struct {
		Kind   string
		Unread *int
	}
}

// notifications are those that the page's service worker shows of mail, in no order.
func notifications(t *testing.T, p *browsertest.Page) (list []shown) {
	t.Helper()
	p.Eval(t, &list, `async () => (await (await navigator.serviceWorker.ready).getNotifications()).map(({ title, body, tag, data }) => ({ title, body, tag, data }))`)
	return slices.DeleteFunc(list, func(n shown) bool { return n.Data.Kind != string(registry.MailKind) })
}

// rings waits until just the mails with these subjects are shown.
func rings(t *testing.T, p *browsertest.Page, subjects ...string) []shown {
	t.Helper()
	p.Wait(t, "what is shown is new", `async want => JSON.stringify((await (await navigator.serviceWorker.ready).getNotifications())
		.filter(({ data }) => data.kind === "mail").map(({ body }) => body).sort()) === JSON.stringify(want)`, append([]string{}, subjects...))
	return notifications(t, p)
}

// readElsewhere has another client read the mail with a subject, and waits until the server knows.
func (s *street) readElsewhere(t *testing.T, p *browsertest.Page, subject string) {
	t.Helper()
	s.mail.Doveadm(t, s.mail.User, "flags", "add", `\Seen`, "mailbox", "INBOX", "subject", subject)
	p.Wait(t, subject+" is read", `async subject => (await (await fetch("/api/v1/notifications")).json()).items.some(n => n.subject === subject && n.cleared)`, subject)
}

func TestFromTheSetupLinkToARingingFirefoxInTwoMinutes(t *testing.T) {
	s := newStreet(t)
	s.start(t)
	service, firefox := pushService(t)
	began := time.Now()
	p := firefox.Open(t, s.setupLink(t))
	p.Viewport(t, 390, 844)
	enter(t, p, "Begin", "anna", "planted-login-password")
	s.addMailbox(t, p)
	p.Click(t, "Ring this device")
	p.WaitText(t, "That is all")
	p.Wait(t, "the test push is shown", `async () => (await (await navigator.serviceWorker.ready).getNotifications()).some(n => n.data.kind === "test" && n.title !== "")`)
	p.Wait(t, "the mailbox is watched", `async () => (await (await fetch("/api/v1/accounts")).json()).items[0].status.state === "watching"`)

	s.deliver(t, "planted-one")
	one := rings(t, p, "planted-one")[0]
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it rang after %v", took)
	}
	pushed := service.Messages()
	if topic := pushed[len(pushed)-1].Topic; one.Title != "Planted Sender" || one.Tag != topic || one.Data.Unread == nil || *one.Data.Unread != 1 {
		t.Errorf("it shows %+v, under the id %s", one, topic)
	}

	// What was read elsewhere goes away with the next push …
	s.readElsewhere(t, p, "planted-one")
	if list := notifications(t, p); len(list) != 1 {
		t.Errorf("before the next push, %+v is shown", list)
	}
	s.deliver(t, "planted-two")
	rings(t, p, "planted-two")
	// … and at the next open.
	s.readElsewhere(t, p, "planted-two")
	p.Reload(t)
	rings(t, p)

	s.heals(t, p, service.Endpoints, service.Expire)
	// A subscription that the browser itself is told of is renewed without anybody opening the page.
	p.Navigate(t, "about:blank")
	before := len(service.Messages())
	service.ForgetBrowsers()
	eventually(t, "the new subscription is proven", func() bool { return len(service.Messages()) > before })
	s.deliver(t, "planted-five")
	p.Navigate(t, s.origin())
	rings(t, p, "planted-five", "planted-four")

	s.staysRemoved(t, p)
	secrets := []string{p.Cookie(t, "idlepush")}
	for _, m := range service.Messages() {
		secrets = append(secrets, path.Base(string(m.Endpoint)), m.Token)
	}
	p.Browser.Close(t)
	s.stop(t)
	s.noSecrets(t, secrets...)
}

// staysRemoved removes the device from elsewhere, and holds its browser to being logged out, and to asking before it rings again.
func (s *street) staysRemoved(t *testing.T, p *browsertest.Page) {
	t.Helper()
	s.client.token = s.bearer(t, p)
	var devices struct{ Items []struct{ ID string } }
	s.must(t, s.client.get(t.Context(), "/devices", &devices))
	s.must(t, s.client.call(t.Context(), http.MethodDelete, "/devices/"+devices.Items[0].ID, nil, nil))
	p.WaitText(t, "Stay signed in")
	var invite struct{ Code string }
	s.must(t, s.client.post(t.Context(), "/invites", object{"for": "device"}, &invite))
	p.Navigate(t, s.origin()+"/#/join/"+invite.Code)
	p.Click(t, "Join")
	p.WaitText(t, "Let it ring here") // and not that it rings
	p.Navigate(t, s.origin()+"/#/devices")
	p.WaitText(t, "No device rings yet.")
	p.Reload(t)
	p.WaitText(t, "No device rings yet.")
	for _, e := range p.Forgive() {
		if !strings.Contains(e, "/api/v1/events") { // that its session has ended is what a page is told there
			t.Errorf("a page had an error: %s", e)
		}
	}
}

// bearer is a token made as the person who is logged in on the page.
func (s *street) bearer(t *testing.T, p *browsertest.Page) (token string) {
	t.Helper()
	p.Eval(t, &token, `async () => (await (await fetch("/api/v1/tokens", { method: "POST", headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ name: "test", scope: "full" }) })).json()).token`)
	return token
}

// heals lets the subscription expire in both ways that Mozilla has, and holds the page to ringing again once it is opened.
func (s *street) heals(t *testing.T, p *browsertest.Page, endpoints func() []registry.Secret, expire func(registry.Secret, int)) {
	t.Helper()
	for subject, status := range map[string]int{"planted-three": http.StatusGone, "planted-four": http.StatusNotFound} {
		dead := endpoints()[0]
		expire(dead, status)
		s.deliver(t, "planted-lost")
		p.Wait(t, "the device is gone", `async () => (await (await fetch("/api/v1/devices")).json()).items.length === 0`)
		p.Reload(t)
		p.Wait(t, "the device is back", `async () => (await (await fetch("/api/v1/devices")).json()).items.length === 1`)
		if slices.Contains(endpoints(), dead) {
			t.Error("it goes on with the endpoint that has expired")
		}
		s.deliver(t, subject)
		p.Wait(t, subject+" is shown", `async subject => (await (await navigator.serviceWorker.ready).getNotifications()).some(({ body }) => body === subject)`, subject)
		s.readElsewhere(t, p, "planted-lost")
	}
	s.readElsewhere(t, p, "planted-three")
}

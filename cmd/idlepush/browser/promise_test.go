package browser

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/street"
	"idlepush/push/pushtest/mozilla"
	"idlepush/registry"
	"idlepush/registry/testenv"
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

// sweep takes away all that is shown, as its reader may: what one step has left is nothing to the next.
func sweep(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Eval(t, nil, `async () => (await (await navigator.serviceWorker.ready).getNotifications()).forEach(n => n.close())`)
	rings(t, p)
}

// readElsewhere has another client read the mail with a subject, and waits until the server knows.
func (s *town) readElsewhere(t *testing.T, p *browsertest.Page, subject string) {
	t.Helper()
	s.Mail.Doveadm(t, s.Mail.User, "flags", "add", `\Seen`, "mailbox", "INBOX", "subject", subject)
	p.Wait(t, subject+" is read", `async subject => (await (await fetch("/api/v1/notifications")).json()).items.some(n => n.subject === subject && n.cleared)`, subject)
}

func TestFromTheSetupLinkToARingingFirefox(t *testing.T) {
	t.Parallel()
	service, firefox := pushService(t)
	s := newTown(t)
	var p *browsertest.Page // once it rings
	// step is one of the story: it begins on the page, with nothing shown.
	step := func(name string, f func(t *testing.T)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			if p == nil {
				t.Fatal("Firefox does not ring")
			}
			p.Navigate(t, "about:blank")
			p.Navigate(t, s.Origin)
			sweep(t, p)
			f(t)
		})
	}

	t.Run("from the setup link to the first mail", func(t *testing.T) {
		began := time.Now()
		page := firefox.Open(t, s.setupLink(t))
		page.SetViewport(t, 390, 844)
		enter(t, page, "Begin", "anna", street.Password)
		page.Type(t, "Email address", "anna@example.org")
		page.Type(t, "Its password", s.Mail.Password)
		if !page.Has(t, "Mail server (IMAP)") {
			page.Click(t, "Server settings")
		}
		s.mailServer(t, page)
		page.Click(t, "Watch this mailbox")
		page.Click(t, "Ring this device")
		page.WaitText(t, "That is all")
		page.Wait(t, "the test push is shown", `async () => (await (await navigator.serviceWorker.ready).getNotifications()).some(n => n.data.kind === "test" && n.title !== "")`)
		page.Wait(t, "the mailbox is watched", `async () => (await (await fetch("/api/v1/accounts")).json()).items[0].status.state === "watching"`)
		p = page
		s.Deliver(t, "planted-one")
		one := rings(t, p, "planted-one")[0]
		t.Logf("it rang %v after the link was opened", time.Since(began).Round(time.Millisecond))
		pushed := service.Messages()
		if topic := pushed[len(pushed)-1].Topic; one.Title != "Planted Sender" || one.Tag != topic || one.Data.Unread == nil || *one.Data.Unread != 1 {
			t.Errorf("it shows %+v, under the id %s", one, topic)
		}
	})
	step("what was read elsewhere goes away with the next push", func(t *testing.T) {
		s.Deliver(t, "planted-two")
		rings(t, p, "planted-two")
		s.readElsewhere(t, p, "planted-two")
		if list := notifications(t, p); len(list) != 1 {
			t.Errorf("before the next push, %+v is shown", list)
		}
		s.Deliver(t, "planted-three")
		rings(t, p, "planted-three")
	})
	step("what was read elsewhere goes away at the next open", func(t *testing.T) {
		s.Deliver(t, "planted-four")
		rings(t, p, "planted-four")
		s.readElsewhere(t, p, "planted-four")
		p.Reload(t)
		rings(t, p)
	})
	for name, status := range map[string]int{"gone": http.StatusGone, "not found": http.StatusNotFound} { // Mozilla says either
		step("a subscription that is "+name+" is renewed at the next open", func(t *testing.T) {
			s.heals(t, p, service, status)
		})
	}
	step("a subscription that the browser is told of is renewed with no page open", func(t *testing.T) {
		s.Deliver(t, "planted-kept")
		rings(t, p, "planted-kept")
		p.Navigate(t, "about:blank")
		before := len(service.Messages())
		service.ForgetBrowsers()
		_, err := service.Wait(testenv.Context(t), before+1) // which proves the new one
		street.Must(t, err)
		s.Deliver(t, "planted-late")
		p.Navigate(t, s.Origin)
		rings(t, p, "planted-kept", "planted-late")
	})
	step("a device that was removed elsewhere stays removed", func(t *testing.T) {
		s.staysRemoved(t, p)
	})
	t.Run("no secret is logged or stored", func(t *testing.T) {
		if p == nil {
			t.Fatal("Firefox does not ring")
		}
		secrets := []string{p.Cookie(t, "idlepush")}
		for _, m := range service.Messages() {
			secrets = append(secrets, path.Base(string(m.Endpoint)), m.Token)
		}
		p.Browser.Close(t)
		s.Stop(t)
		s.NoSecrets(t, secrets...)
	})
}

// staysRemoved removes the device from elsewhere, and holds its browser to being logged out, and to asking before it rings again.
func (s *town) staysRemoved(t *testing.T, p *browsertest.Page) {
	t.Helper()
	s.Client.Token = bearer(t, p)
	ctx := testenv.Context(t)
	street.Must(t, s.Client.Call(ctx, http.MethodDelete, "/devices/"+s.ids(t, "/devices")[0], nil, nil))
	p.WaitText(t, "Stay signed in")
	var invite struct{ Code string }
	street.Must(t, s.Client.Post(ctx, "/invites", object{"for": "device"}, &invite))
	p.Navigate(t, s.Origin+"/#/join/"+invite.Code)
	p.Click(t, "Join")
	p.WaitText(t, "Let it ring here") // and not that it rings
	p.Navigate(t, s.Origin+"/#/devices")
	p.WaitText(t, "No device rings yet.")
	p.Reload(t)
	p.WaitText(t, "No device rings yet.")
	for _, e := range p.TakeErrors() {
		if !strings.Contains(e, "/api/v1/events") { // that its session has ended is what a page is told there
			t.Errorf("a page had an error: %s", e)
		}
	}
}

// bearer is a token made as the person who is logged in on the page.
func bearer(t *testing.T, p *browsertest.Page) (token string) {
	t.Helper()
	p.Eval(t, &token, `async () => (await (await fetch("/api/v1/tokens", { method: "POST", headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ name: "test", scope: "full" }) })).json()).token`)
	return token
}

// heals lets the subscription expire with this answer, and holds the page to ringing again once it is opened.
func (s *town) heals(t *testing.T, p *browsertest.Page, service *mozilla.Service, status int) {
	t.Helper()
	dead := service.Endpoints()[0]
	service.Expire(dead, status)
	s.Deliver(t, fmt.Sprint("planted-lost-", status))
	p.Wait(t, "the device is gone", `async () => (await (await fetch("/api/v1/devices")).json()).items.length === 0`)
	p.Reload(t)
	p.Wait(t, "the device is back", `async () => (await (await fetch("/api/v1/devices")).json()).items.length === 1`)
	if slices.Contains(service.Endpoints(), dead) {
		t.Error("it goes on with the endpoint that has expired")
	}
	found := fmt.Sprint("planted-found-", status)
	s.Deliver(t, found)
	p.Wait(t, found+" is shown", `async subject => (await (await navigator.serviceWorker.ready).getNotifications()).some(({ body }) => body === subject)`, found)
}

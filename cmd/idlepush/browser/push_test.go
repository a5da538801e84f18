package browser

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest/mozilla"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// shown is a notification that the service worker shows.
type shown struct {
	Title, Body, Tag string
	Data             struct {
		Kind   string
		Unread *int
	}
}

// notifications returns the notifications of mails that the service worker of the page shows, in no
// order.
func notifications(t *testing.T, p *browsertest.Page) (list []shown) {
	t.Helper()
	p.Eval(t, &list, `async () => (await (await navigator.serviceWorker.ready).getNotifications()).map(({ title, body, tag, data }) => ({ title, body, tag, data }))`)
	return slices.DeleteFunc(list, func(n shown) bool { return n.Data.Kind != string(idlepush.KindMail) })
}

// waitShown waits until exactly the mails with these subjects are shown.
func waitShown(t *testing.T, p *browsertest.Page, subjects ...string) []shown {
	t.Helper()
	p.Wait(t, "exactly these mails are shown", `async want => JSON.stringify((await (await navigator.serviceWorker.ready).getNotifications())
		.filter(({ data }) => data.kind === "mail").map(({ body }) => body).sort()) === JSON.stringify(want)`, append([]string{}, subjects...))
	return notifications(t, p)
}

// closeAll closes all notifications, so that a step starts without those of the step before.
func closeAll(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Eval(t, nil, `async () => (await (await navigator.serviceWorker.ready).getNotifications()).forEach(n => n.close())`)
	waitShown(t, p)
}

// readElsewhere marks the mail with this subject as read in another client, and waits until the
// daemon has noticed that.
func (s *system) readElsewhere(t *testing.T, p *browsertest.Page, subject string) {
	t.Helper()
	s.Mail.Doveadm(t, s.Mail.User, "flags", "add", `\Seen`, "mailbox", "INBOX", "subject", subject)
	p.Wait(t, subject+" is read", `async subject => (await (await fetch("/api/v1/notifications")).json()).items.some(n => n.subject === subject && n.cleared)`, subject)
}

// TestPush sets up the daemon in a Firefox, registers it as a device and delivers mails to it.
func TestPush(t *testing.T) {
	t.Parallel()
	service, firefox, at := pushService(t)
	s := startSystem(t, at)
	var p *browsertest.Page // nil until the first step has succeeded
	// Each step begins on the page, with no notifications shown.
	step := func(name string, f func(t *testing.T)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			if p == nil {
				t.Fatal("the first step has failed")
			}
			p.Navigate(t, "about:blank")
			p.Navigate(t, s.Origin)
			closeAll(t, p)
			f(t)
		})
	}

	t.Run("the setup link leads to the first notification", func(t *testing.T) {
		began := time.Now()
		page := firefox.Open(t, s.setupLink(t))
		page.SetViewport(t, 390, 844)
		enterLogin(t, page, "Begin", "anna", systemtest.Password)
		page.Type(t, "Email address", "anna@example.org")
		page.Type(t, "Its password", s.Mail.Password)
		if !page.Has(t, "Mail server (IMAP)") {
			page.Click(t, "Server settings")
		}
		s.enterMailServer(t, page)
		page.Click(t, "Watch this mailbox")
		page.Click(t, "Ring this device")
		page.WaitText(t, "All done")
		page.Wait(t, "the test push is shown", `async () => (await (await navigator.serviceWorker.ready).getNotifications()).some(n => n.data.kind === "test" && n.title !== "")`)
		page.Wait(t, "the mailbox is watched", `async () => (await (await fetch("/api/v1/accounts")).json()).items[0].status.state === "watching"`)
		p = page
		s.Deliver(t, "planted-one")
		one := waitShown(t, p, "planted-one")[0]
		t.Logf("it was shown %v after the link was opened", time.Since(began).Round(time.Millisecond))
		p.Wait(t, "it is reported as shown", `async id => { const [delivery] = (await (await fetch("/api/v1/notifications/" + id)).json()).deliveries; return delivery.received && delivery.shown && !delivery.opened; }`, one.Tag)
		p.Eval(t, nil, `async () => { location.hash = "#/device/" + (await (await fetch("/api/v1/devices")).json()).items[0].id; }`)
		p.WaitText(t, "Last proved")
		p.WaitText(t, ": shown.")
		p.WaitText(t, "Pushes of the last 7 days reached it")
		p.Eval(t, nil, `() => { location.hash = "#/devices"; }`)
		p.WaitText(t, "Last proved")
		p.Eval(t, nil, `id => { location.hash = "#/mail/" + id; }`, one.Tag)
		p.WaitText(t, ": received ")
		p.Eval(t, nil, `async () => { location.hash = "#/mailbox/" + (await (await fetch("/api/v1/accounts")).json()).items[0].id; }`)
		p.WaitText(t, "the server confirmed that no mail is missing")
		pushed := service.Messages()
		if topic := pushed[len(pushed)-1].Topic; one.Title != "Planted Sender" || one.Tag != topic || one.Data.Unread == nil || *one.Data.Unread != 1 {
			t.Errorf("it shows %+v, under the id %s", one, topic)
		}
	})
	step("a mail read elsewhere disappears with the next push", func(t *testing.T) {
		s.Deliver(t, "planted-two")
		waitShown(t, p, "planted-two")
		s.readElsewhere(t, p, "planted-two")
		if list := notifications(t, p); len(list) != 1 {
			t.Errorf("before the next push, %+v is shown", list)
		}
		s.Deliver(t, "planted-three")
		waitShown(t, p, "planted-three")
	})
	step("a mail read elsewhere disappears when the page is opened", func(t *testing.T) {
		s.Deliver(t, "planted-four")
		waitShown(t, p, "planted-four")
		s.readElsewhere(t, p, "planted-four")
		p.Reload(t)
		waitShown(t, p)
	})
	// Mozilla uses both.
	for name, status := range map[string]int{"gone": http.StatusGone, "not found": http.StatusNotFound} {
		step("a subscription that is "+name+" is renewed when the page is opened", func(t *testing.T) {
			s.checkRenewal(t, p, service, status)
		})
	}
	step("a subscription that the browser replaces is renewed without an open page", func(t *testing.T) {
		s.Deliver(t, "planted-kept")
		waitShown(t, p, "planted-kept")
		p.Navigate(t, "about:blank")
		before := len(service.Messages())
		service.ForgetBrowsers()
		_, err := service.Wait(testenv.Context(t), before+1) // the proving push
		systemtest.Must(t, err)
		s.Deliver(t, "planted-late")
		p.Navigate(t, s.Origin)
		waitShown(t, p, "planted-kept", "planted-late")
	})
	step("a device that was removed elsewhere stays removed", func(t *testing.T) {
		s.checkStaysRemoved(t, p)
	})
	t.Run("no secret is logged or stored", func(t *testing.T) {
		if p == nil {
			t.Fatal("the first step has failed")
		}
		secrets := []string{p.Cookie(t, "idlepush")}
		for _, m := range service.Messages() {
			secrets = append(secrets, path.Base(string(m.Endpoint)), m.Token)
		}
		p.Browser.Close(t)
		s.Stop(t)
		s.CheckNoSecrets(t, secrets...)
	})
}

// checkStaysRemoved removes the device through the API. Then its browser must be logged out, and
// must not become a device again without a question.
func (s *system) checkStaysRemoved(t *testing.T, p *browsertest.Page) {
	t.Helper()
	s.Client.Token = createToken(t, p)
	ctx := testenv.Context(t)
	systemtest.Must(t, s.Client.Call(ctx, http.MethodDelete, "/devices/"+s.ids(t, "/devices")[0], nil, nil))
	p.WaitText(t, "Stay signed in")
	var invite struct{ Code string }
	systemtest.Must(t, s.Client.Post(ctx, "/proof", object{"password": systemtest.Password}, nil))
	systemtest.Must(t, s.Client.Post(ctx, "/invites", object{"for": "device"}, &invite))
	p.Navigate(t, s.Origin+"/#/join/"+invite.Code)
	p.Click(t, "Join")
	p.WaitText(t, "Let it ring here") // so it is no device yet
	p.Navigate(t, s.Origin+"/#/devices")
	p.WaitText(t, "No device rings yet.")
	p.Reload(t)
	p.WaitText(t, "No device rings yet.")
	for _, e := range p.TakeErrors() {
		if !strings.Contains(e, "/api/v1/events") { // which refuses a page whose session has ended
			t.Errorf("a page had an error: %s", e)
		}
	}
}

// createToken creates a token of the user who is logged in on the page.
func createToken(t *testing.T, p *browsertest.Page) (token string) {
	t.Helper()
	p.Eval(t, &token, `async () => (await (await fetch("/api/v1/tokens", { method: "POST", headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ name: "test", scope: "full" }) })).json()).token`)
	return token
}

// checkRenewal lets the subscription expire with this status. The device is suspect then, because
// the service is none that is known. When the page is opened, it must subscribe again and show
// mails.
func (s *system) checkRenewal(t *testing.T, p *browsertest.Page, service *mozilla.Service, status int) {
	t.Helper()
	expired := first(t, service.Endpoints())
	service.Expire(expired, status)
	late := fmt.Sprint("planted-late-", status)
	s.Deliver(t, late)
	state := `async want => (await (await fetch("/api/v1/devices")).json()).items.map(d => d.status.state).join() === want`
	p.Wait(t, "the device is suspect", state, "suspect")
	p.Reload(t)
	p.Wait(t, "the device is proven", state, "proven")
	if slices.Contains(service.Endpoints(), expired) {
		t.Error("it still uses the expired endpoint")
	}
	found := fmt.Sprint("planted-found-", status)
	s.Deliver(t, found)
	waitShown(t, p, found, late)
}

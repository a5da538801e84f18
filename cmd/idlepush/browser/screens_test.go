package browser

import (
	"fmt"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// screen is a view of the page, with a text that only this view shows.
type screen struct{ name, hash, text string }

// openFurnished starts a daemon with a mailbox, devices, an open invite, a mail and a hostile one.
// It returns a page on which the admin is logged in.
func openFurnished(t *testing.T, b *browsertest.Browser) (*system, *browsertest.Page) {
	t.Helper()
	s := startSystem(t)
	s.Populate(t)
	s.Deliver(t, "Dinner on Sunday?")
	s.deliverHostile(t)
	_, err := s.Web.Wait(testenv.Context(t), 6)
	systemtest.Must(t, err)
	p := b.Open(t, s.Origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "anna@example.org")
	callAPI(t, p, "POST", "/invites", object{"for": "person"}, nil)
	return s, p
}

// screens returns all views that a logged-in admin can open.
func (s *system) screens(t *testing.T) []screen {
	t.Helper()
	list := []screen{
		{"mailboxes", "#/mailboxes", "anna@example.org"},
		{"add", "#/add", "Its password"},
		{"mailbox", "#/mailbox/" + s.ids(t, "/accounts")[0], "Connection details"},
		{"devices", "#/devices", "Another phone"},
		{"activity", "#/activity", ": rang "},
		{"people", "#/people", "Invite somebody"},
		{"me", "#/me", "Where you are logged in"},
		{"welcome", "#/welcome", "Let it ring here"},
		{"nowhere", "#/nowhere", "Not found. It may have been removed."},
	}
	for i, id := range s.ids(t, "/devices") {
		list = append(list, screen{fmt.Sprint("device", i), "#/device/" + id, "How much may be shown"})
	}
	for i, id := range s.ids(t, "/notifications") {
		list = append(list, screen{fmt.Sprint("mail", i), "#/mail/" + id, "INBOX"})
	}
	return list
}

// checkSizes checks that the page fits windows of different widths. It must also be accessible, on
// a phone in light colors and on a desktop in dark ones.
func checkSizes(t *testing.T, p *browsertest.Page) {
	t.Helper()
	var broken []string
	for _, width := range []int{320, 390, 1280} {
		p.SetViewport(t, width, 800)
		p.CheckOverflow(t)
		p.Eval(t, &broken, `() => [...document.querySelectorAll("nav a, button")].filter(e => {
			const line = new Range();
			line.selectNodeContents(e);
			return /^\S+$/.test(page.words(e.textContent)) && new Set([...line.getClientRects()].map(r => r.top)).size > 1;
		}).map(page.name)`)
		if len(broken) > 0 {
			t.Errorf("at %d px these words are split over two lines: %q", width, broken)
		}
		if scheme := map[int]string{320: "light", 1280: "dark"}[width]; scheme != "" {
			p.SetColorScheme(t, scheme)
			// A subtest of its own: where axe is missing, only this is skipped.
			t.Run("accessible, "+scheme, func(t *testing.T) { p.CheckAccessible(t) })
		}
	}
}

// checkLayout checks that no heading is said twice, and that nothing touches a button from below.
func checkLayout(t *testing.T, p *browsertest.Page) {
	t.Helper()
	var faults []string
	p.Eval(t, &faults, `() => {
		const shown = (selector) => [...document.querySelectorAll("main " + selector)].filter(page.shown);
		const texts = shown(":is(h1, h2, summary, legend, fieldset label)").map(e => [e.closest("fieldset, .card") ?? document.body, page.words(e.firstChild.textContent)]);
		const twice = texts.filter(([place, text], i) => texts.some(([other, same], j) => j < i && same === text && (place.contains(other) || other.contains(place)))).map(([, text]) => "twice: " + text);
		const boxes = shown(":is(p, h2, li, label, legend, summary, dl, input)").map(e => [e, e.getBoundingClientRect()]);
		const touched = shown(":is(button, a.button)").filter(b => {
			const { left, right, bottom } = b.getBoundingClientRect();
			return boxes.some(([e, box]) => !e.contains(b) && box.top > bottom - 2 && box.top < bottom + 4 && box.left < right && box.right > left);
		}).map(b => "touched: " + page.name(b));
		return [...twice, ...touched];
	}`)
	if len(faults) > 0 {
		t.Errorf("the page has %q", faults)
	}
}

// TestScreens checks every view with all widths and for accessibility.
func TestScreens(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := openFurnished(t, b)
	for _, sc := range s.screens(t) {
		t.Run(sc.name, func(t *testing.T) {
			// The previous view may have the same text.
			p.Eval(t, nil, `() => document.querySelector("main").replaceChildren()`)
			p.Navigate(t, s.Origin+"/"+sc.hash)
			p.WaitText(t, sc.text)
			checkSizes(t, p)
			p.SetViewport(t, 320, 800)
			p.Eval(t, nil, `() => document.querySelectorAll("main details").forEach(d => { d.open = true; })`)
			p.Wait(t, "the folders are there", `() => !document.querySelector("main").innerText.includes("One moment…")`)
			checkLayout(t, p)
			p.CheckOverflow(t)
		})
	}
	t.Run("codes", func(t *testing.T) {
		p.Navigate(t, s.Origin+"/#/devices")
		p.Click(t, "Show a code")
		p.Wait(t, "there is a code", `() => [...document.querySelectorAll("[role=img]")].some(page.shown)`)
		checkSizes(t, p)
	})
	t.Run("a question", func(t *testing.T) {
		p.Navigate(t, s.Origin+"/#/me")
		p.Click(t, "Log out here")
		p.WaitText(t, "This device will no longer ring")
		defer p.Click(t, "Cancel") // even if the check is skipped
		checkSizes(t, p)
	})
	t.Run("a refusal", func(t *testing.T) {
		p.Navigate(t, s.Origin+"/#/add")
		p.Type(t, "Email address", "nobody")
		p.Click(t, "Continue")
		p.Wait(t, "the field shows an error", `() => [...document.querySelectorAll(".wrong")].some(e => e.textContent !== "")`)
		checkSizes(t, p)
	})
	var invite struct{ URL string }
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/invites", object{"for": "person"}, &invite))
	for name, hash := range map[string]string{"login": "#/login", "setup": "#/setup/token", "join": invite.URL[len(s.Origin)+1:], "join gone": "#/join/gone"} {
		t.Run(name, func(t *testing.T) {
			stranger := b.OpenIsolated(t, s.Origin+"/"+hash)
			stranger.Wait(t, "the view is there", `() => document.querySelector("h1") !== null`)
			checkSizes(t, stranger)
			stranger.CloseTab(t)
		})
	}
}

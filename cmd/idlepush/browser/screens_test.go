package browser

import (
	"fmt"
	"testing"

	"idlepush/cmd/idlepush/street"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// screen is a view of the page and what says that it is there.
type screen struct{ name, hash, says string }

// furnished is a street with a mailbox, devices, mail that nobody should trust, an open invite, and its admin logged in on a page.
func furnished(t *testing.T, b *browsertest.Browser) (*town, *browsertest.Page) {
	t.Helper()
	s := newTown(t)
	s.Furnish(t)
	s.Deliver(t, "Dinner on Sunday?")
	s.deliverHostile(t)
	_, err := s.Web.Wait(testenv.Context(t), 6)
	street.Must(t, err)
	p := b.Open(t, s.Origin)
	enter(t, p, "Log in", "anna", street.Password)
	p.WaitText(t, "anna@example.org")
	say(t, p, "POST", "/invites", object{"for": "person"}, nil)
	return s, p
}

// screens are all that somebody who is logged in can open.
func (s *town) screens(t *testing.T) []screen {
	t.Helper()
	list := []screen{
		{"mailboxes", "#/mailboxes", "anna@example.org"},
		{"add", "#/add", "Its password"},
		{"mailbox", "#/mailbox/" + s.ids(t, "/accounts")[0], "How it is watched"},
		{"devices", "#/devices", "Another phone"},
		{"activity", "#/activity", "rang after"},
		{"people", "#/people", "Invite somebody"},
		{"me", "#/me", "Where you are logged in"},
		{"welcome", "#/welcome", "Let it ring here"},
		{"nowhere", "#/nowhere", "There is nothing here"},
	}
	for i, id := range s.ids(t, "/devices") {
		list = append(list, screen{fmt.Sprint("device", i), "#/device/" + id, "How much may be shown"})
	}
	for i, id := range s.ids(t, "/notifications") {
		list = append(list, screen{fmt.Sprint("mail", i), "#/mail/" + id, "INBOX"})
	}
	return list
}

// everySize holds what is shown to each width, and to being usable by everybody on a phone by day and on a desk by night.
func everySize(t *testing.T, p *browsertest.Page) {
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
			t.Errorf("at %d px these words are broken: %q", width, broken)
		}
		if scheme := map[int]string{390: "light", 1280: "dark"}[width]; scheme != "" {
			p.SetColorScheme(t, scheme)
			p.CheckAccessible(t)
		}
	}
}

func TestEveryScreenFitsEveryWidthAndCanBeUsedByEverybody(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s, p := furnished(t, b)
	for _, sc := range s.screens(t) {
		t.Run(sc.name, func(t *testing.T) {
			p.Eval(t, nil, `() => document.querySelector("main").replaceChildren()`) // else the words may be those of the view before
			p.Navigate(t, s.Origin+"/"+sc.hash)
			p.WaitText(t, sc.says)
			everySize(t, p)
		})
	}
	t.Run("codes", func(t *testing.T) {
		p.Navigate(t, s.Origin+"/#/devices")
		p.Click(t, "Show a code")
		p.Wait(t, "there is a code", `() => [...document.querySelectorAll("[role=img]")].some(page.shown)`)
		everySize(t, p)
	})
	t.Run("a question", func(t *testing.T) {
		p.Navigate(t, s.Origin+"/#/me")
		p.Click(t, "Log out here")
		p.WaitText(t, "This device will not ring any more")
		everySize(t, p)
		p.Click(t, "Cancel")
	})
	t.Run("a refusal", func(t *testing.T) {
		p.Navigate(t, s.Origin+"/#/add")
		p.Type(t, "Email address", "nobody")
		p.Click(t, "Continue")
		p.Wait(t, "it says what is wrong", `() => [...document.querySelectorAll(".wrong")].some(e => e.textContent !== "")`)
		everySize(t, p)
	})
	var invite struct{ URL string }
	street.Must(t, s.Client.Post(testenv.Context(t), "/invites", object{"for": "person"}, &invite))
	for name, hash := range map[string]string{"login": "#/login", "setup": "#/setup/token", "join": invite.URL[len(s.Origin)+1:], "join gone": "#/join/gone"} {
		t.Run(name, func(t *testing.T) {
			stranger := b.OpenIsolated(t, s.Origin+"/"+hash)
			stranger.Wait(t, "the view is there", `() => document.querySelector("h1") !== null`)
			everySize(t, stranger)
			stranger.CloseTab(t)
		})
	}
}

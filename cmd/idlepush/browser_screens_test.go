package main

import (
	"fmt"
	"testing"

	"idlepush/web/browsertest"
)

// screen is a view of the page and what says that it is there.
type screen struct{ name, hash, says string }

// furnished is a street with a mailbox, devices, mail that nobody should trust, an open invite, and its admin logged in on a page.
func furnished(t *testing.T, b *browsertest.Browser) (*street, *browsertest.Page) {
	t.Helper()
	s := newStreet(t)
	s.start(t)
	s.furnish(t)
	s.deliver(t, "Dinner on Sunday?")
	s.deliverHostile(t)
	eventually(t, "all rang", func() bool { return len(s.web.Messages()) == 6 })
	p := b.Open(t, s.origin())
	enter(t, p, "Log in", "anna", "planted-login-password")
	p.WaitText(t, "anna@example.org")
	s.say(t, p, "POST", "/invites", object{"for": "person"}, nil)
	return s, p
}

// screens are all that somebody who is logged in can open.
func (s *street) screens(t *testing.T) []screen {
	t.Helper()
	var accounts, devices, mails struct{ Items []struct{ ID string } }
	s.must(t, s.client.get(t.Context(), "/accounts", &accounts))
	s.must(t, s.client.get(t.Context(), "/devices", &devices))
	s.must(t, s.client.get(t.Context(), "/notifications", &mails))
	list := []screen{
		{"mailboxes", "#/mailboxes", "anna@example.org"},
		{"add", "#/add", "Its password"},
		{"mailbox", "#/mailbox/" + accounts.Items[0].ID, "How it is watched"},
		{"devices", "#/devices", "Another phone"},
		{"activity", "#/activity", "rang after"},
		{"people", "#/people", "Invite somebody"},
		{"me", "#/me", "Where you are logged in"},
		{"welcome", "#/welcome", "Let it ring here"},
		{"nowhere", "#/nowhere", "There is nothing here"},
	}
	for i, d := range devices.Items {
		list = append(list, screen{fmt.Sprint("device", i), "#/device/" + d.ID, "How much may be shown"})
	}
	for i, m := range mails.Items {
		list = append(list, screen{fmt.Sprint("mail", i), "#/mail/" + m.ID, "INBOX"})
	}
	return list
}

// everySize holds what is shown to each width, and to being usable by everybody on a phone by day and on a desk by night.
func everySize(t *testing.T, p *browsertest.Page) {
	t.Helper()
	var broken []string
	for _, width := range []int{320, 390, 1280} {
		p.Viewport(t, width, 800)
		p.NoOverflow(t)
		p.Eval(t, &broken, `() => [...document.querySelectorAll("nav a, button")].filter(e => {
			const line = new Range();
			line.selectNodeContents(e);
			return /^\S+$/.test(page.words(e.textContent)) && new Set([...line.getClientRects()].map(r => r.top)).size > 1;
		}).map(page.name)`)
		if len(broken) > 0 {
			t.Errorf("at %d px these words are broken: %q", width, broken)
		}
		if scheme := map[int]string{390: "light", 1280: "dark"}[width]; scheme != "" {
			p.Scheme(t, scheme)
			p.Accessible(t)
		}
	}
}

func TestEveryScreenFitsEveryWidthAndCanBeUsedByEverybody(t *testing.T) {
	b := browsertest.Chromium(t)
	s, p := furnished(t, b)
	for _, sc := range s.screens(t) {
		t.Run(sc.name, func(t *testing.T) {
			p.Navigate(t, "about:blank") // else the words may be those of the view before
			p.Navigate(t, s.origin()+"/"+sc.hash)
			p.WaitText(t, sc.says)
			everySize(t, p)
		})
	}
	t.Run("codes", func(t *testing.T) {
		p.Navigate(t, s.origin()+"/#/devices")
		p.Click(t, "Show a code")
		p.Wait(t, "there is a code", `() => [...document.querySelectorAll("[role=img]")].some(page.shown)`)
		everySize(t, p)
	})
	t.Run("a question", func(t *testing.T) {
		p.Navigate(t, s.origin()+"/#/me")
		p.Click(t, "Log out here")
		p.WaitText(t, "This device will not ring any more")
		everySize(t, p)
		p.Click(t, "Cancel")
	})
	t.Run("a refusal", func(t *testing.T) {
		p.Navigate(t, s.origin()+"/#/add")
		p.Type(t, "Email address", "nobody")
		p.Click(t, "Continue")
		p.Wait(t, "it says what is wrong", `() => [...document.querySelectorAll(".wrong")].some(e => e.textContent !== "")`)
		everySize(t, p)
	})
	var invite struct{ URL string }
	s.must(t, s.client.post(t.Context(), "/invites", object{"for": "person"}, &invite))
	for name, hash := range map[string]string{"login": "#/login", "setup": "#/setup/token", "join": invite.URL[len(s.origin())+1:], "join gone": "#/join/gone"} {
		t.Run(name, func(t *testing.T) {
			stranger := b.OpenApart(t, s.origin()+"/"+hash)
			stranger.Wait(t, "the view is there", `() => document.querySelector("h1") !== null`)
			everySize(t, stranger)
			stranger.CloseTab(t)
		})
	}
}

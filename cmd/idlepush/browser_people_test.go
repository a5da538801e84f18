package main

import (
	"strings"
	"testing"
	"time"

	"idlepush/web/browsertest"
)

// linkOf is the link that stands beside the QR code.
func linkOf(t *testing.T, p *browsertest.Page) (link string) {
	t.Helper()
	p.Wait(t, "there is a link", `() => /\/#\/join\//.test(document.querySelector("main code")?.textContent ?? "")`)
	p.Eval(t, &link, `() => document.querySelector("main code").textContent`)
	return link
}

func (s *street) open(t *testing.T, p *browsertest.Page, view, says string) {
	t.Helper()
	p.Navigate(t, s.origin()+"/#/"+view)
	p.WaitText(t, says)
}

func TestAFamilyMovesInByThePageAlone(t *testing.T) {
	s := newStreet(t)
	s.start(t)
	chromium := browsertest.Chromium(t)
	anna := chromium.Open(t, s.setupLink(t))
	enter(t, anna, "Begin", "anna", "planted-login-password")

	// A wrong password is said at its field, and nothing is watched.
	anna.Type(t, "Email address", "anna@example.org")
	anna.Type(t, "Its password", "planted-wrong-password")
	anna.WaitText(t, "The settings were not found")
	anna.Type(t, "Mail server (IMAP)", "localhost")
	anna.Type(t, "Port", s.port())
	anna.Type(t, "User name", s.mail.User)
	anna.Click(t, "Continue")
	anna.Wait(t, "the password is refused at its field", `() => document.querySelector("[name=password][aria-invalid]")?.closest(".field").querySelector(".wrong").textContent !== ""`)
	anna.Type(t, "Its password", s.mail.Password)
	anna.Click(t, "Continue")
	anna.Click(t, "Watch this mailbox")
	anna.WaitText(t, "Let it ring here")
	anna.Click(t, "Later")
	anna.Click(t, "To my mailboxes")
	anna.WaitText(t, "Watching, checked")

	// Ben comes by a link, sees nothing of Anna's, and then what she shares, as she does it.
	s.open(t, anna, "people", "Invite somebody")
	anna.Click(t, "Make an invite")
	link := linkOf(t, anna)
	s.say(t, anna, "POST", "/users", object{"name": "dora", "password": "planted-login-of-dora"}, nil)
	ben := chromium.OpenApart(t, link)
	ben.WaitText(t, "anna invites you")
	enter(t, ben, "Join", "ben", "planted-login-of-ben")
	ben.WaitText(t, "Which mail should ring?")
	ben.Click(t, "Later")
	ben.WaitText(t, "Let it ring here")
	ben.Click(t, "Later")
	ben.Click(t, "To my mailboxes")
	ben.WaitText(t, "No mailbox is watched yet.")
	if linkOf(t, anna) != link {
		t.Error("the invite vanished while its maker looked at it")
	}
	if ben.Has(t, "People") {
		t.Error("a member is offered to manage people")
	}
	var accounts struct{ Items []struct{ ID string } }
	s.say(t, anna, "GET", "/accounts", nil, &accounts)
	s.open(t, ben, "mailbox/"+accounts.Items[0].ID, "There is nothing here")
	s.open(t, ben, "mailboxes", "No mailbox is watched yet.")
	s.open(t, anna, "mailbox/"+accounts.Items[0].ID, "How it is watched")
	anna.Click(t, "Shared with")
	anna.Click(t, "ben")
	anna.Click(t, "css:details[open] button")
	ben.WaitText(t, "Shared with you")

	// The link lets nobody else in.
	eve := chromium.OpenApart(t, link)
	eve.WaitText(t, "was used already")

	// Another browser of Anna's joins by a code, and is ended from here.
	s.open(t, anna, "devices", "Another phone")
	anna.Click(t, "Show a code")
	phone := chromium.OpenApart(t, linkOf(t, anna))
	phone.WaitText(t, "This browser joins as anna.")
	phone.Click(t, "Join")
	phone.WaitText(t, "Let it ring here")
	s.open(t, anna, "me", "Where you are logged in")
	anna.Click(t, "css:main li button")
	anna.Click(t, "css:dialog .danger")
	phone.WaitText(t, "Log in")

	// A mailbox is paused, and goes on.
	s.open(t, anna, "mailbox/"+accounts.Items[0].ID, "How it is watched")
	anna.Click(t, "Pause")
	anna.WaitText(t, "Paused. Nothing rings.")
	ben.WaitText(t, "Paused. Nothing rings.")

	// Who guesses is slowed down, in words. Tries come back with time, and a slow browser types no faster than they do: others make use of them.
	slowed := false
	for end := time.Now().Add(time.Minute); !slowed && time.Now().Before(end); {
		phone.Eval(t, nil, `async () => {
			const guess = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "ben", password: "planted-guess" }) };
			while ((await fetch("/api/v1/login", guess)).status !== 429);
		}`)
		enter(t, phone, "Log in", "ben", "planted-guess")
		phone.Wait(t, "it is answered", `() => document.querySelector("form > .wrong").textContent !== ""`)
		slowed = strings.Contains(phone.Text(t), "That was tried too often")
	}
	if !slowed {
		t.Error("guesses at a password are not slowed down, or the page does not say so")
	}
	for _, e := range chromium.Forgive() {
		if !strings.Contains(e, "Failed to load resource") { // of a request that is refused Chromium says so
			t.Errorf("a page had an error: %s", e)
		}
	}
	chromium.Close(t)
	s.stop(t)
	_, code, _ := strings.Cut(link, "/#/join/")
	s.noSecrets(t, code)
}

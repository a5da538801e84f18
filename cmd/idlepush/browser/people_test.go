package browser

import (
	"strings"
	"testing"

	"idlepush/cmd/idlepush/street"
	"idlepush/web/browsertest"
)

// linkOf is the link that stands beside the QR code.
func linkOf(t *testing.T, p *browsertest.Page) (link string) {
	t.Helper()
	p.Wait(t, "there is a link", `() => /\/#\/join\//.test(document.querySelector("main code")?.textContent ?? "")`)
	p.Eval(t, &link, `() => document.querySelector("main code").textContent`)
	return link
}

// onlyRefusals holds the pages to no errors but Chromium's words for a request that was refused.
func onlyRefusals(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	for _, e := range b.TakeErrors() {
		if !strings.Contains(e, "Failed to load resource") {
			t.Errorf("a page had an error: %s", e)
		}
	}
}

func TestTheFirstPersonMovesInByThePageAlone(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := newTown(t)
	anna := chromium.Open(t, s.setupLink(t))
	enter(t, anna, "Begin", "anna", street.Password)

	// A wrong password is said at its field, and nothing is watched.
	anna.Type(t, "Email address", "anna@example.org")
	anna.Type(t, "Its password", "planted-wrong-password")
	anna.WaitText(t, "The settings were not found")
	s.mailServer(t, anna)
	anna.Wait(t, "the password is refused at its field", `() => document.querySelector("[name=password][aria-invalid]")?.closest(".field").querySelector(".wrong").textContent !== ""`)
	anna.Type(t, "Its password", s.Mail.Password)
	anna.Click(t, "Continue")
	anna.Click(t, "Watch this mailbox")
	anna.WaitText(t, "Let it ring here")
	anna.Click(t, "Later")
	anna.Click(t, "To my mailboxes")
	anna.WaitText(t, "Watching, checked")
	onlyRefusals(t, chromium)
	chromium.Close(t)
	s.Stop(t)
	s.NoSecrets(t)
}

func TestAFamilyLivesByThePage(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s, anna := furnished(t, chromium)
	mailbox := s.ids(t, "/accounts")[0]
	var link string // of the invite by which Ben came
	var ben *browsertest.Page
	joined := func(t *testing.T) {
		t.Helper()
		if ben == nil {
			t.Fatal("Ben has not joined")
		}
	}

	t.Run("somebody joins by an invite and sees nothing of others", func(t *testing.T) {
		s.open(t, anna, "people", "Invite somebody")
		anna.Click(t, "Make an invite")
		link = linkOf(t, anna)
		anna.WaitText(t, "This link works on this machine only.")
		say(t, anna, "POST", "/users", object{"name": "dora", "password": "planted-login-of-dora"}, nil)
		page := chromium.OpenIsolated(t, link)
		page.WaitText(t, "anna invites you")
		enter(t, page, "Join", "ben", "planted-login-of-ben")
		page.WaitText(t, "Which mail should ring?")
		ben = page
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
		s.open(t, ben, "mailbox/"+mailbox, "There is nothing here")
		s.open(t, ben, "mailboxes", "No mailbox is watched yet.")
	})
	t.Run("an invite lets in nobody else", func(t *testing.T) {
		joined(t)
		chromium.OpenIsolated(t, link).WaitText(t, "was used already")
	})
	t.Run("a mailbox is shared and seen at once", func(t *testing.T) {
		joined(t)
		s.open(t, anna, "mailbox/"+mailbox, "How it is watched")
		anna.Click(t, "Shared with")
		anna.Click(t, "ben")
		anna.Click(t, "css:details[open] button")
		ben.WaitText(t, "Shared with you")
	})
	t.Run("a mailbox is paused and goes on", func(t *testing.T) {
		s.open(t, anna, "mailbox/"+mailbox, "How it is watched")
		anna.Click(t, "Pause")
		anna.WaitText(t, "Paused. Nothing rings.")
		joined(t)
		ben.WaitText(t, "Paused. Nothing rings.")
		s.open(t, anna, "mailbox/"+mailbox, "How it is watched")
		anna.Click(t, "Go on watching")
		anna.WaitText(t, "Watching, checked")
		ben.WaitText(t, "Watching, checked")
	})
	t.Run("another browser joins by a code and is ended from here", func(t *testing.T) {
		s.open(t, anna, "devices", "Another phone")
		anna.Click(t, "Show a code")
		phone := chromium.OpenIsolated(t, linkOf(t, anna))
		phone.WaitText(t, "This browser joins as anna.")
		phone.Click(t, "Join")
		phone.WaitText(t, "Let it ring here")
		s.open(t, anna, "me", "Where you are logged in")
		anna.Click(t, "css:main li button")
		anna.Click(t, "css:dialog .danger")
		phone.WaitText(t, "Log in")
	})
	// That the daemon slows down who guesses is held by package web, in virtual time. Here the answer is made up, so that nobody has to guess faster than tries come back.
	t.Run("who guesses too often reads why that is refused", func(t *testing.T) {
		stranger := chromium.OpenIsolated(t, s.Origin+"/#/login")
		stranger.WaitText(t, "Stay signed in")
		stranger.Eval(t, nil, `() => {
			const real = self.fetch;
			self.fetch = async (...request) => String(request[0]).endsWith("/login")
				? new Response(JSON.stringify({ status: 429, code: "too_many_requests", detail: "That was tried too often. Wait a little, then try again." }),
					{ status: 429, headers: { "Content-Type": "application/problem+json", "Retry-After": "6" } })
				: real(...request);
		}`)
		enter(t, stranger, "Log in", "ben", "planted-guess")
		stranger.Wait(t, "the form says why", `() => document.querySelector("form > .wrong").textContent === "That was tried too often. Wait a little, then try again."`)
	})
	onlyRefusals(t, chromium)
	chromium.Close(t)
	s.Stop(t)
	_, code, _ := strings.Cut(link, "/#/join/")
	if code == "" {
		t.Fatal("there was no invite to look for")
	}
	s.NoSecrets(t, code)
}

package browser

import (
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/web/browsertest"
)

// inviteLink waits for the link beside the QR code and returns it.
func inviteLink(t *testing.T, p *browsertest.Page) (link string) {
	t.Helper()
	p.Wait(t, "there is a link", `() => /\/#\/join\//.test(document.querySelector("main code")?.textContent ?? "")`)
	p.Eval(t, &link, `() => document.querySelector("main code").textContent`)
	return link
}

// checkOnlyRefusals checks that the pages had no errors but those of Chromium about refused
// requests.
func checkOnlyRefusals(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	for _, e := range b.TakeErrors() {
		if !strings.Contains(e, "Failed to load resource") {
			t.Errorf("a page had an error: %s", e)
		}
	}
}

// TestSetup sets up the daemon and the first mailbox with the page alone.
func TestSetup(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSystem(t)
	anna := chromium.Open(t, s.Origin)
	anna.WaitText(t, "Nobody is set up yet.")
	checkSizes(t, anna)
	checkLayout(t, anna)
	anna.Navigate(t, s.setupLink(t))
	enterLogin(t, anna, "Begin", "anna", "password12")
	anna.WaitText(t, "This password is one that others guess first, or it is made like those.")
	enterLogin(t, anna, "Begin", "anna", systemtest.Password)

	// A wrong password is reported at its field, and no mailbox is added.
	anna.Type(t, "Email address", "anna@example.org")
	anna.Type(t, "Its password", "planted-wrong-password")
	anna.WaitText(t, "No settings were found")
	s.enterMailServer(t, anna)
	anna.Wait(t, "the password is refused at its field", `() => document.querySelector("[name=password][aria-invalid]")?.closest(".field").querySelector(".wrong").textContent.startsWith("The mail server refuses this user name and password: ")`)
	anna.Type(t, "Its password", s.Mail.Password)
	anna.Click(t, "Continue")
	anna.Click(t, "Watch this mailbox")
	anna.WaitText(t, "Let it ring here")
	anna.Click(t, "Later")
	anna.WaitText(t, "Now let each phone join that is to ring.")
	anna.WaitText(t, "This address works only on this machine.")
	checkSizes(t, anna)
	checkLayout(t, anna)
	anna.Click(t, "Show a code")
	inviteLink(t, anna)
	anna.Click(t, "To my mailboxes")
	anna.WaitText(t, "Watching, checked")
	checkOnlyRefusals(t, chromium)
	chromium.Close(t)
	s.Stop(t)
	s.CheckNoSecrets(t)
}

// TestPeople has two users and a stranger, each in a browser of their own.
func TestPeople(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s, anna := openFurnished(t, chromium)
	mailbox := s.ids(t, "/accounts")[0]
	var link string // of Ben's invite
	var ben *browsertest.Page
	joined := func(t *testing.T) {
		t.Helper()
		if ben == nil {
			t.Fatal("Ben has not joined")
		}
	}

	t.Run("a person joins with an invite and sees nothing of others", func(t *testing.T) {
		s.openView(t, anna, "people", "Invite somebody")
		anna.Click(t, "Make an invite")
		link = inviteLink(t, anna)
		anna.WaitText(t, "This address works only on this machine.")
		callAPI(t, anna, "POST", "/users", object{"name": "dora", "password": "planted-login-of-dora"}, nil)
		page := chromium.OpenIsolated(t, link)
		page.WaitText(t, "anna invites you")
		enterLogin(t, page, "Join", "ben", "planted-login-of-ben")
		page.WaitText(t, "Which mailbox should ring?")
		ben = page
		ben.Click(t, "Later")
		ben.WaitText(t, "Let it ring here")
		ben.Click(t, "Later")
		ben.Click(t, "To my mailboxes")
		ben.WaitText(t, "No mailbox is watched yet.")
		if inviteLink(t, anna) != link {
			t.Error("the used invite is gone from the page that shows it")
		}
		if ben.Has(t, "People") {
			t.Error("the page offers a member to manage people")
		}
		s.openView(t, ben, "mailbox/"+mailbox, "Not found. It may have been removed.")
		s.openView(t, ben, "mailboxes", "No mailbox is watched yet.")
	})
	t.Run("an invite works only once", func(t *testing.T) {
		joined(t)
		chromium.OpenIsolated(t, link).WaitText(t, "was used already")
	})
	t.Run("a mailbox is offered at once, and shared once that is accepted", func(t *testing.T) {
		joined(t)
		s.openView(t, anna, "mailbox/"+mailbox, "Connection details")
		anna.Click(t, "Shared with")
		anna.Click(t, "ben")
		anna.Click(t, "css:details[open] button")
		ben.WaitText(t, "“anna” wants to share a mailbox with you")
		checkSizes(t, ben)
		anna.WaitText(t, "has not answered yet")
		ben.Click(t, "Accept")
		ben.WaitText(t, "Shared by anna")
		s.openView(t, anna, "activity", "“ben” has accepted")
	})
	t.Run("a mailbox can be paused and resumed", func(t *testing.T) {
		s.openView(t, anna, "mailbox/"+mailbox, "Connection details")
		anna.Click(t, "Pause")
		anna.WaitText(t, "Paused. Nothing rings.")
		joined(t)
		ben.WaitText(t, "Paused. Nothing rings.")
		s.openView(t, anna, "mailbox/"+mailbox, "Connection details")
		anna.Click(t, "Resume watching")
		anna.WaitText(t, "Watching, checked")
		ben.WaitText(t, "Watching, checked")
	})
	t.Run("another browser joins with a code and can be logged out", func(t *testing.T) {
		s.openView(t, anna, "devices", "Another phone")
		anna.Click(t, "Show a code")
		phone := chromium.OpenIsolated(t, inviteLink(t, anna))
		phone.WaitText(t, "This browser joins as anna.")
		phone.Click(t, "Join")
		phone.WaitText(t, "Let it ring here")
		s.openView(t, anna, "me", "Where you are logged in")
		anna.Click(t, "css:main li button")
		anna.Click(t, "css:dialog .danger")
		phone.WaitText(t, "Log in")
	})
	t.Run("who shares a mailbox keeps it with its password when its owner removes it", func(t *testing.T) {
		joined(t)
		s.openView(t, anna, "people", "Invite somebody")
		anna.WaitText(t, "1 mailbox, ")
		s.openView(t, anna, "mailbox/"+mailbox, "Connection details")
		anna.Click(t, "Remove the mailbox")
		anna.WaitText(t, "It no longer rings for ben either. They are told, and can add it again with its password.")
		anna.Click(t, "css:dialog .danger")
		anna.WaitText(t, "No mailbox is watched yet.")
		s.openView(t, ben, "activity", "it no longer rings for you")
		ben.Click(t, "Add it again")
		ben.WaitText(t, "Enter its password to keep it.")
		ben.Type(t, "Its password", s.Mail.Password)
		ben.Click(t, "Continue")
		ben.Click(t, "Watch this mailbox")
		ben.WaitText(t, "Watching, checked")
		if ben.Has(t, "Shared by") {
			t.Error("it is not his")
		}
	})
	t.Run("an admin who removes a person reads who else loses a mailbox", func(t *testing.T) {
		joined(t)
		var list struct {
			Items []struct{ ID, Name string }
		}
		callAPI(t, ben, "GET", "/users/names", nil, &list)
		var shared []string
		for _, u := range list.Items {
			if u.Name == "anna" || u.Name == "dora" {
				shared = append(shared, u.ID)
			}
		}
		var own struct{ Items []struct{ ID string } }
		callAPI(t, ben, "GET", "/accounts", nil, &own)
		callAPI(t, ben, "PATCH", "/accounts/"+first(t, own.Items).ID, object{"shared_with": shared}, nil)
		s.openView(t, anna, "mailboxes", "“ben” wants to share a mailbox with you")
		anna.Click(t, "Accept")
		anna.WaitText(t, "Shared by ben")
		s.openView(t, anna, "people", "Invite somebody")
		anna.Eval(t, nil, `() => [...document.querySelectorAll("main li.card")].find((card) => card.querySelector("h2")?.textContent === "ben").querySelector(".danger").click()`)
		anna.WaitText(t, "ben shares a mailbox with anna. They are told, and can add it again with its password.")
		anna.Click(t, "css:dialog .danger")
		s.openView(t, anna, "activity", "Add it again")
	})
	// The answer is fake: package web has a row that is damaged.
	t.Run("a person whose row is damaged can be removed", func(t *testing.T) {
		anna.Eval(t, nil, `() => {
			const real = self.fetch;
			self.removed = false;
			self.fetch = async (...request) => {
				const path = String(request[0]).replace(/\?.*/, "");
				if (path.endsWith("/users/gone") && request[1]?.method === "DELETE") {
					self.removed = true;
					return new Response(null, { status: 204 });
				}
				const answer = await real(...request);
				if (!path.endsWith("/users")) {
					return answer;
				}
				const list = await answer.json();
				list.items.push({ id: "gone", name: "", admin: false, damaged: true, created: "2026-01-01T00:00:00Z",
					mailboxes: { total: 1, attention: 0, shared: 0, shared_with: [] }, devices: { total: 0, suspect: 0 } });
				return new Response(JSON.stringify(list), { headers: { "Content-Type": "application/json" } });
			};
			location.hash = "#/people";
		}`)
		anna.WaitText(t, "A person whose data is damaged")
		anna.WaitText(t, "Nobody can log in as this person.")
		checkSizes(t, anna)
		anna.Eval(t, nil, `() => [...document.querySelectorAll("main li.card")].find((card) => card.querySelector("h2")?.textContent === "A person whose data is damaged").querySelector("button").click()`)
		anna.WaitText(t, "Remove A person whose data is damaged with all mailboxes")
		anna.Click(t, "css:dialog .danger")
		anna.Wait(t, "they are removed", `() => self.removed`)
	})
	// Package web tests the limit itself in virtual time. Here the answer is fake, so that the test
	// need not guess faster than the limit recovers.
	t.Run("after too many guesses the form shows the reason", func(t *testing.T) {
		stranger := chromium.OpenIsolated(t, s.Origin+"/#/login")
		stranger.WaitText(t, "Stay signed in")
		stranger.Eval(t, nil, `() => {
			const real = self.fetch;
			self.fetch = async (...request) => String(request[0]).endsWith("/login")
				? new Response(JSON.stringify({ status: 429, code: "too_many_requests", detail: "That was tried too often. Wait a little, then try again." }),
					{ status: 429, headers: { "Content-Type": "application/problem+json", "Retry-After": "6" } })
				: real(...request);
		}`)
		enterLogin(t, stranger, "Log in", "ben", "planted-guess")
		stranger.Wait(t, "the form says why", `() => document.querySelector("form > .wrong").textContent === "That was tried too often. Wait a little, then try again."`)
	})
	checkOnlyRefusals(t, chromium)
	chromium.Close(t)
	s.Stop(t)
	_, code, _ := strings.Cut(link, "/#/join/")
	if code == "" {
		t.Fatal("the link has no code to look for")
	}
	s.CheckNoSecrets(t, code)
}

package browser

import (
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/web/browsertest"
)

// TestPasskeys adds, uses and removes passkeys with the page alone.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s, anna := openFurnished(t, chromium)
	t.Run("an IP address has none", func(t *testing.T) {
		s.openView(t, anna, "me", "This browser cannot use passkeys here.")
	})
	s.Origin = strings.Replace(s.Origin, "127.0.0.1", "localhost", 1)
	anna.Navigate(t, s.Origin)
	enterLogin(t, anna, "Log in", "anna", systemtest.Password)
	anna.WaitText(t, "Watching, checked")
	finger := anna.AddAuthenticator(t)
	var other *browsertest.Page
	var others *browsertest.Authenticator
	t.Run("a person adds one, with the password", func(t *testing.T) {
		s.openView(t, anna, "me", "Passkeys")
		anna.Click(t, "Add a passkey")
		anna.Type(t, "What it is called", "Laptop")
		anna.Click(t, "Make a passkey")
		anna.WaitText(t, "Who has a passkey can log in as you.")
		anna.Type(t, "Current password", systemtest.Password)
		anna.Click(t, "Go on")
		anna.WaitText(t, "The passkey was added.")
		anna.Wait(t, "it is listed", `() => [...document.querySelectorAll("main li")].some(li => /Laptop/.test(li.innerText) && /not used yet/.test(li.innerText))`)
		if n := len(finger.Passkeys(t)); n != 1 {
			t.Errorf("the authenticator has %d", n)
		}
	})
	t.Run("an authenticator has one for a person", func(t *testing.T) {
		anna.Click(t, "Add a passkey")
		anna.Type(t, "What it is called", "Again")
		anna.Click(t, "Make a passkey")
		anna.Click(t, "Use a passkey")
		anna.WaitText(t, "This device has a passkey for you already.")
		if anna.Has(t, "Remove: Again") || len(finger.Passkeys(t)) != 1 {
			t.Error("it has another one")
		}
	})
	// visit opens the log-in page in another browser, whose authenticator has the passkey if has is
	// set, and knows its owner if verified is set.
	count := 0 // a copy whose count has not grown would be refused
	passkeys := func(t *testing.T) ([]map[string]any, int) {
		count += 100
		return finger.Passkeys(t), count
	}
	visit := func(t *testing.T, has, verified bool) (*browsertest.Page, *browsertest.Authenticator) {
		p := chromium.OpenIsolated(t, s.Origin+"/#/login")
		p.WaitText(t, "Log in with a passkey")
		a := p.AddAuthenticator(t)
		if a.SetVerified(t, verified); has {
			list, count := passkeys(t)
			a.Copy(t, list, count)
		}
		p.Click(t, "Log in with a passkey")
		return p, a
	}
	t.Run("it logs in without a name", func(t *testing.T) {
		other, others = visit(t, true, true)
		other.WaitText(t, "Watching, checked")
	})
	t.Run("nobody else logs in", func(t *testing.T) {
		for _, verified := range []bool{true, false} {
			p, _ := visit(t, !verified, verified)
			p.WaitText(t, "No passkey was used.")
			p.CloseTab(t)
		}
	})
	t.Run("it is a proof", func(t *testing.T) {
		s.openView(t, anna, "devices", "Another phone")
		anna.Click(t, "Show a code")
		phone := chromium.OpenIsolated(t, inviteLink(t, anna))
		list, count := passkeys(t)
		phone.AddAuthenticator(t).Copy(t, list, count)
		phone.Click(t, "Join")
		phone.WaitText(t, "Let it ring here")
		s.openView(t, phone, "devices", "Another phone")
		phone.Click(t, "Show a code")
		phone.Click(t, "Use a passkey")
		inviteLink(t, phone)
		phone.CloseTab(t)
	})
	t.Run("the password can be switched off", func(t *testing.T) {
		s.openView(t, other, "me", "Passkeys")
		other.Click(t, "Log in with passkeys only")
		other.WaitText(t, "only your admin can help")
		other.Type(t, "Current password", systemtest.Password)
		other.Click(t, "Go on")
		other.WaitText(t, "Your password does not.")
		stranger := chromium.OpenIsolated(t, s.Origin+"/#/login")
		enterLogin(t, stranger, "Log in", "anna", systemtest.Password)
		stranger.WaitText(t, "The name or the password is wrong.")
		stranger.CloseTab(t)
		again, _ := visit(t, true, true)
		again.WaitText(t, "Watching, checked")
	})
	t.Run("the last one stays then", func(t *testing.T) {
		list, count := passkeys(t)
		others.Copy(t, list, count)
		other.Click(t, "Remove: Laptop")
		other.Click(t, "css:dialog .danger")
		other.WaitText(t, "This is your last way in.")
		other.Click(t, "Let the password in again")
		other.Wait(t, "it does not ask for the password", `() => document.querySelector("dialog") && !document.querySelector("dialog input")`)
		other.Click(t, "Use a passkey")
		other.WaitText(t, "Your password lets you in again.")
		other.Wait(t, "the view is drawn anew", `() => [...document.querySelectorAll("main button")].some(b => b.textContent === "Log in with passkeys only")`)
	})
	t.Run("a new password is set by it, and it goes if the person wants that", func(t *testing.T) {
		other.Click(t, "Change the password")
		other.Type(t, "New password", "password123")
		other.Click(t, "css:[name=passkeys]")
		other.Click(t, "css:details[open] button")
		other.Click(t, "Use a passkey")
		other.WaitText(t, "is one that others guess first")
		other.Click(t, "Cancel")
		other.Type(t, "New password", "planted-another-login")
		other.Click(t, "css:details[open] button")
		other.Click(t, "Use a passkey")
		other.WaitText(t, "Your password was changed.")
		other.Click(t, "Log in with a passkey")
		other.WaitText(t, "This passkey does not let in here.")
		enterLogin(t, other, "Log in", "anna", "planted-another-login")
		other.WaitText(t, "Watching, checked")
	})
	for _, e := range chromium.TakeErrors() {
		if !strings.Contains(e, "Failed to load resource") && !strings.Contains(e, "/api/v1/events") {
			t.Errorf("a page had an error: %s", e)
		}
	}
}

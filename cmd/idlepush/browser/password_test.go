package browser

import (
	"strings"
	"testing"

	"idlepush/web/browsertest"
)

// TestPasswordLink has an admin, and a person who has forgotten the password.
func TestPasswordLink(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s, anna := openFurnished(t, chromium)
	const label = "Let them choose a new password: dora"
	var link string
	t.Run("a person whose password an admin chose is asked to choose another", func(t *testing.T) {
		callAPI(t, anna, "POST", "/users", object{"name": "dora", "password": "planted-login-of-dora"}, nil)
		dora := chromium.OpenIsolated(t, s.Origin)
		enterLogin(t, dora, "Log in", "dora", "planted-login-of-dora")
		dora.WaitText(t, "An admin chose your password, and knows it.")
		checkSizes(t, dora)
		dora.Click(t, "Change the password")
		dora.Type(t, "Current password", "planted-login-of-dora")
		dora.Type(t, "New password", "planted-own-of-dora")
		dora.Click(t, "css:details[open] button")
		dora.WaitText(t, "Your password was changed.")
		enterLogin(t, dora, "Log in", "dora", "planted-own-of-dora")
		dora.WaitText(t, "No mailbox is watched yet.")
		if strings.Contains(dora.Text(t), "An admin chose") {
			t.Error("she is still asked")
		}
	})
	t.Run("the log-in page says whom to ask", func(t *testing.T) {
		stranger := chromium.OpenIsolated(t, s.Origin)
		stranger.WaitText(t, "Forgotten the password? Ask an admin for a link by which you choose a new one.")
		checkSizes(t, stranger)
		if text := stranger.Text(t); strings.Contains(text, "anna") || strings.Contains(text, "dora") {
			t.Errorf("it tells strangers who lives here: %s", text)
		}
	})
	t.Run("an admin makes a link for the person", func(t *testing.T) {
		s.openView(t, anna, "people", "Invite somebody")
		anna.Click(t, label)
		anna.WaitText(t, "Send this link to dora, or let them scan the code.")
		anna.Wait(t, "there is a link", `() => /\/#\/password\//.test(document.querySelector("main code")?.textContent ?? "")`)
		anna.Eval(t, &link, `() => document.querySelector("main code").textContent`)
		checkSizes(t, anna)
		anna.Reload(t)
		anna.WaitText(t, "For a new password of dora, until")
		checkSizes(t, anna)
	})
	t.Run("the person chooses a password by it, once", func(t *testing.T) {
		dora := chromium.OpenIsolated(t, link)
		dora.WaitText(t, "A new password for dora")
		checkSizes(t, dora)
		dora.Type(t, "Password", "short")
		dora.Click(t, "Save and log in")
		dora.Wait(t, "the password is refused at its field", `() => document.querySelector("[name=password][aria-invalid]")?.closest(".field").querySelector(".wrong").textContent !== ""`)
		dora.Type(t, "Password", "planted-new-of-dora")
		dora.Click(t, "css:[name=devices]")
		dora.Click(t, "Save and log in")
		dora.WaitText(t, "A new password was chosen for you")
		dora.WaitText(t, "Please note")
		dora.WaitText(t, "No mailbox is watched yet.")
		checkSizes(t, dora)
		again := chromium.OpenIsolated(t, link)
		again.WaitText(t, "was used already")
		again.Click(t, "Log in")
		enterLogin(t, again, "Log in", "dora", "planted-new-of-dora")
		again.WaitText(t, "No mailbox is watched yet.")
	})
	t.Run("a link can be withdrawn", func(t *testing.T) {
		s.openView(t, anna, "me", "Where you are logged in")
		s.openView(t, anna, "people", "Invite somebody")
		anna.Click(t, label)
		anna.Wait(t, "there is a link", `() => /\/#\/password\//.test(document.querySelector("main code")?.textContent ?? "")`)
		anna.Eval(t, &link, `() => document.querySelector("main code").textContent`)
		anna.Reload(t)
		anna.WaitText(t, "For a new password of dora, until")
		anna.Eval(t, nil, `() => [...document.querySelectorAll("main li.row")].find((li) => li.textContent.includes("dora")).querySelector("button").click()`)
		anna.Wait(t, "it is gone", `() => !document.querySelector("main").innerText.includes("new password of dora")`)
		chromium.OpenIsolated(t, link).WaitText(t, "was used already")
	})
	checkOnlyRefusals(t, chromium)
	chromium.Close(t)
	s.Stop(t)
	_, code, _ := strings.Cut(link, "/#/password/")
	if code == "" {
		t.Fatal("the link has no code to look for")
	}
	s.CheckNoSecrets(t, code)
}

package browser

import (
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/web/browsertest"
)

// TestTokens makes and ends what lets in, with the page alone.
func TestTokens(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s, anna := openFurnished(t, chromium)
	token := ""
	t.Run("an app gets a token by a code that it scans", func(t *testing.T) {
		s.openView(t, anna, "me", "Apps and programs")
		anna.Click(t, "Add an app or a program")
		anna.WaitText(t, "A program: all that you may do here")
		checkSizes(t, anna)
		anna.Type(t, "What it is called", "Fairphone")
		anna.Click(t, "Make a token")
		anna.WaitText(t, "not used yet")
		anna.Wait(t, "the form is empty", `() => document.querySelector("details [name=name]").value === ""`)
		anna.WaitText(t, "This address works only on this machine.")
		checkLayout(t, anna)
		anna.Wait(t, "there is a code to scan", `() => document.querySelector("svg.qr path")?.getAttribute("d").length > 100`)
		anna.Eval(t, &token, `() => [...document.querySelectorAll("main code")].map(c => c.textContent).find(c => c.startsWith("idlepush_")) ?? ""`)
		if token == "" {
			t.Error("the token is not shown")
		}
	})
	t.Run("the list says when it was used, and ends it", func(t *testing.T) {
		status := `async token => (await fetch("/api/v1/devices", { credentials: "omit", headers: { Authorization: "Bearer " + token } })).status`
		var before, after int
		anna.Eval(t, &before, status, token)
		anna.Reload(t)
		anna.WaitText(t, "Fairphone")
		anna.Wait(t, "it was used", `() => [...document.querySelectorAll("main li")].some(li => /Fairphone/.test(li.innerText) && /last used/.test(li.innerText))`)
		if anna.Has(t, token) {
			t.Error("the token is shown again")
		}
		anna.Click(t, `css:button[aria-label="End: Fairphone"]`)
		anna.Click(t, "css:dialog .danger")
		anna.Wait(t, "it is gone", `() => !document.querySelector("main").innerText.includes("Fairphone")`)
		anna.Eval(t, &after, status, token)
		if before != 200 || after != 401 {
			t.Errorf("it was answered with %d, and with %d after its end", before, after)
		}
	})
	t.Run("a browser that was invited gives the password before it lets others in", func(t *testing.T) {
		s.openView(t, anna, "devices", "Another phone")
		anna.Click(t, "Show a code")
		phone := chromium.OpenIsolated(t, inviteLink(t, anna))
		phone.Click(t, "Join")
		phone.WaitText(t, "Let it ring here")
		s.openView(t, phone, "devices", "Another phone")
		phone.Click(t, "Show a code")
		phone.WaitText(t, "Show that it is you.")
		phone.Type(t, "Current password", "planted-wrong-login")
		phone.Click(t, "Go on")
		phone.WaitText(t, "The current password is wrong.")
		phone.Click(t, "Cancel")
		phone.Wait(t, "nothing is shown", `() => !document.querySelector("dialog, main code")`)
		phone.Click(t, "Show a code")
		phone.Type(t, "Current password", systemtest.Password)
		phone.Click(t, "Go on")
		inviteLink(t, phone)
	})
	t.Run("a new password removes the devices too, if the person wants that", func(t *testing.T) {
		devices := len(s.ids(t, "/devices"))
		s.openView(t, anna, "me", "Change the password")
		anna.Click(t, "Change the password")
		anna.Type(t, "Current password", systemtest.Password)
		anna.Type(t, "New password", "planted-another-login")
		anna.Click(t, "css:[name=devices]")
		anna.Click(t, "css:details[open] button")
		anna.WaitText(t, "none rings now")
		enterLogin(t, anna, "Log in", "anna", "planted-another-login")
		anna.WaitText(t, "Watching, checked")
		var left int
		anna.Eval(t, &left, `async () => (await (await fetch("/api/v1/devices")).json()).items.length`)
		if devices == 0 || left != 0 {
			t.Errorf("there were %d devices, and %d are left", devices, left)
		}
	})
	for _, e := range chromium.TakeErrors() {
		if !strings.Contains(e, "Failed to load resource") && !strings.Contains(e, "/api/v1/events") {
			t.Errorf("a page had an error: %s", e)
		}
	}
}

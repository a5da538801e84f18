package browser

import (
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// TestShare has an owner and a person with whom a mailbox is shared, each in a browser.
func TestShare(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSystem(t)
	s.SetUp(t)
	ctx := testenv.Context(t)
	var made, ben struct{ ID string }
	account := s.Account()
	account["link"] = "https://mail.evil.example/?m={message_id}"
	systemtest.Must(t, s.Client.Post(ctx, "/accounts", account, &made))
	systemtest.Must(t, s.Client.Post(ctx, "/users", object{"name": "ben", "password": "planted-login-of-ben"}, &ben))
	// Without a device nothing of a mail is kept.
	systemtest.Must(t, s.Client.Post(ctx, "/devices", object{"name": "pixel", "transport": "fcm", "token": s.FCM.Register(nil), "content": "subject"}, nil))
	s.WaitWatched(t, 1)
	s.Deliver(t, "planted-before")
	p := chromium.Open(t, s.Origin)
	enterLogin(t, p, "Log in", "ben", "planted-login-of-ben")
	p.WaitText(t, "No mailbox is watched yet.")
	callAPI(t, p, "PATCH", "/me", object{"password": "planted-own-of-ben", "current_password": "planted-login-of-ben"}, nil)
	p.Reload(t)
	enterLogin(t, p, "Log in", "ben", "planted-own-of-ben")
	p.WaitText(t, "No mailbox is watched yet.")
	offer := func(t *testing.T) {
		t.Helper()
		systemtest.Must(t, s.Client.Call(ctx, "PATCH", "/accounts/"+made.ID, object{"shared_with": []string{ben.ID}}, nil))
		s.openView(t, p, "mailboxes", "“anna” wants to share a mailbox with you")
	}

	t.Run("an offer says who makes it and what is known of the mailbox", func(t *testing.T) {
		offer(t)
		p.WaitText(t, "anna@example.org")
		p.WaitText(t, "localhost")
		p.WaitText(t, s.Mail.User)
		checkSizes(t, p)
	})
	t.Run("a share shows what comes from then on", func(t *testing.T) {
		p.Click(t, "Accept")
		p.WaitText(t, "Shared by anna")
		s.Deliver(t, "planted-after")
		s.openView(t, p, "activity", "planted-after")
		p.WaitText(t, "None of your devices was registered for it.")
		if p.Has(t, "planted-before") {
			t.Error("it shows what came before")
		}
	})
	t.Run("a link that the owner chose shows its host once, and then opens at once", func(t *testing.T) {
		var list struct {
			Items []struct{ ID, Subject string }
		}
		callAPI(t, p, "GET", "/notifications?limit=1", nil, &list)
		mail := first(t, list.Items).ID
		// The pages of the link are not there.
		p.Eval(t, nil, `() => { window.opened = []; navigation.addEventListener("navigate", event => {
			if (!event.destination.url.startsWith(location.origin)) { opened.push(event.destination.url); event.preventDefault(); }
		}); }`)
		const open = `id => { location.hash = "#/open/" + id; }`
		p.Eval(t, nil, open, mail)
		p.WaitText(t, "The owner of the mailbox has chosen what a tap opens: mail.evil.example.")
		checkSizes(t, p)
		p.Click(t, "Open mail.evil.example")
		p.Wait(t, "the link is opened", `() => opened.length === 1 && opened[0].startsWith("https://mail.evil.example/?m=")`)
		p.Wait(t, "the host is remembered", `async () => await remember.allows("https://mail.evil.example/other")`)
		p.Eval(t, nil, `() => { location.hash = "#/activity"; }`)
		p.WaitText(t, "None of your devices was registered for it.")
		p.Eval(t, nil, open, mail)
		p.Wait(t, "the link is opened at once", `() => opened.length === 2`)
		// The mail is there still, and another host is not allowed.
		s.openView(t, p, "mail/"+mail, "Open mail.evil.example")
		systemtest.Must(t, s.Client.Call(ctx, "PATCH", "/accounts/"+made.ID, object{"link": "https://mail.evil.example:8443/?m={message_id}"}, nil))
		s.openView(t, p, "open/"+mail, "Open mail.evil.example:8443")
	})
	t.Run("of the hosts that were allowed, a hundred are remembered", func(t *testing.T) {
		var kept []bool
		p.Eval(t, &kept, `async () => {
			for (let i = 0; i < 100; i++) await remember.allow("https://host" + i + ".example/");
			return [await remember.allows("https://mail.evil.example/"), await remember.allows("https://host0.example/")];
		}`)
		if kept[0] || !kept[1] {
			t.Errorf("remembered: %v", kept)
		}
	})
	t.Run("who leaves is asked anew after a week, and the owner reads when", func(t *testing.T) {
		s.openView(t, p, "mailbox/"+made.ID, "Only anna can change it.")
		p.Click(t, "Leave")
		p.WaitText(t, "Its owner can offer you nothing for a week.")
		p.Click(t, "css:dialog .danger")
		p.WaitText(t, "No mailbox is watched yet.")
		anna := chromium.OpenIsolated(t, s.Origin)
		enterLogin(t, anna, "Log in", "anna", systemtest.Password)
		anna.WaitText(t, "Watching, checked")
		s.openView(t, anna, "mailbox/"+made.ID, "Connection details")
		anna.Click(t, "Shared with")
		anna.Click(t, "ben")
		anna.Click(t, "css:details[open] button")
		anna.WaitText(t, "ben has lately declined or left a mailbox of yours. You can ask again from ")
		checkSizes(t, anna)
	})
	checkOnlyRefusals(t, chromium)
}

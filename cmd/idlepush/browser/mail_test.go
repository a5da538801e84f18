package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// mailIDs returns the ids of the mails, by subject.
func (s *system) mailIDs(t *testing.T) map[string]string {
	t.Helper()
	var all struct {
		Items []struct{ ID, Kind, Subject string }
	}
	systemtest.Must(t, s.Client.Get(testenv.Context(t), "/notifications", &all))
	ids := make(map[string]string)
	for _, item := range all.Items {
		if item.Kind == "mail" {
			ids[item.Subject] = item.ID
		}
	}
	return ids
}

// TestMailPage has a mail muted, made a rule of, and opened, on its page.
func TestMailPage(t *testing.T) {
	t.Parallel()
	s, p := openFurnished(t, browsertest.Chromium(t))
	const subject = "Supper"
	s.append(t, "INBOX", "berta", subject, time.Now())
	_, err := s.Web.Wait(testenv.Context(t), 8)
	systemtest.Must(t, err)
	account, id := s.ids(t, "/accounts")[0], s.mailIDs(t)[subject]
	var sender string

	t.Run("it says where it rang", func(t *testing.T) {
		s.openView(t, p, "mail/"+id, "Where it rang")
		for _, device := range []string{"firefox", "fairphone", "pixel", "iphone"} {
			p.WaitText(t, device)
		}
		p.WaitText(t, ": rang ")
		p.Eval(t, nil, `() => document.querySelectorAll("main details").forEach((d) => { d.open = true; })`)
		checkSizes(t, p)
		p.SetViewport(t, 320, 800)
		checkLayout(t, p)
		var item struct{ Sender string }
		callAPI(t, p, "GET", "/notifications/"+id, nil, &item)
		if sender = item.Sender; !strings.Contains(sender, "@") {
			t.Fatalf("the sender is %q", sender)
		}
	})
	t.Run("it is muted, and rings again", func(t *testing.T) {
		choose(t, p, "css:main [name=of]", "conversation")
		choose(t, p, "css:main [name=for]", "ever")
		p.Click(t, "css:main details button.primary")
		p.WaitText(t, "The conversation “"+subject+"” for ever, on all your devices")
		choose(t, p, "css:main [name=of]", "mailbox")
		choose(t, p, "css:main [name=on]", s.ids(t, "/devices")[0])
		p.Click(t, "css:main details button.primary")
		p.WaitText(t, "The whole mailbox for ever, on fairphone")
		p.Click(t, "Ring again: The whole mailbox")
		p.Wait(t, "it is gone", `() => !document.querySelector("main").innerText.includes("The whole mailbox")`)
		choose(t, p, "css:main [name=on]", "")
		choose(t, p, "css:main [name=of]", "sender")
		choose(t, p, "css:main [name=for]", "morning")
		p.Click(t, "css:main details button.primary")
		p.WaitText(t, "Muted until ")
		checkSizes(t, p)
		s.openView(t, p, "mailboxes", "Add a mailbox")
		s.openView(t, p, "mail/"+id, "Mail from "+sender)
		s.appendText(t, "INBOX", "From: carla@example.org\r\nSubject: "+subject+"\r\nMessage-ID: <other@example.org>\r\n\r\nOf another conversation.\r\n", time.Now())
		s.appendText(t, "INBOX", "From: carla@example.org\r\nSubject: Wine\r\nMessage-ID: <answer@example.org>\r\nReferences: <"+subject+"@example.org>\r\n\r\nAn answer.\r\n", time.Now())
		var ids []string // newest first
		testenv.Await(t, "both are there", func() error {
			if ids = s.ids(t, "/notifications"); len(ids) < 5 {
				return fmt.Errorf("there are %q", ids)
			}
			return nil
		})
		s.openView(t, p, "mail/"+ids[0], "The conversation “"+subject+"”")
		s.openView(t, p, "mail/"+ids[1], "carla")
		p.Wait(t, "of another conversation nothing is muted", `() => document.querySelector("main details") && !document.querySelector("main").innerText.includes("The conversation “")`)
		s.openView(t, p, "mailbox/"+account, "Mute (2)")
		p.Click(t, "Mute (2)")
		p.WaitText(t, "The conversation “"+subject+"”")
		p.Click(t, "Ring again: Mail from "+sender)
		p.WaitText(t, "It rings again.")
		p.Click(t, "css:main details[open] button.primary")
		p.WaitText(t, "The whole mailbox")
		var wishes struct {
			Mutes []struct{ Of, Sender, Title, Until string }
		}
		callAPI(t, p, "GET", "/accounts/"+account+"/wishes", nil, &wishes)
		if len(wishes.Mutes) != 2 || wishes.Mutes[0].Of != "conversation" || wishes.Mutes[0].Title != subject || wishes.Mutes[0].Until != "" || wishes.Mutes[1].Of != "mailbox" || wishes.Mutes[1].Until == "" {
			t.Errorf("muted is %+v", wishes.Mutes)
		}
	})
	t.Run("its sender matters", func(t *testing.T) {
		s.openView(t, p, "mail/"+id, "Where it rang")
		p.Click(t, "Let "+sender+" break through")
		p.WaitText(t, sender+" is one of the people who matter to you.")
		s.openView(t, p, "mailbox/"+account, "People who matter (1)")
		p.Click(t, "People who matter (1)")
		p.Type(t, "An address, or a domain such as @school.example", "@School.example")
		p.Press(t, browsertest.Enter)
		p.WaitText(t, "@school.example matters to you now.")
		p.Type(t, "An address, or a domain such as @school.example", "Dora Dorn <Dora@Example.org>")
		p.Press(t, browsertest.Enter)
		p.WaitText(t, "dora@example.org matters to you now.")
		p.Click(t, "Remove: dora@example.org")
		p.Wait(t, "she is gone", `() => document.querySelector("[data-who='dora@example.org']") === null`)
		p.Click(t, "Remove: "+sender)
		p.Wait(t, "the sender is gone", `who => document.querySelector("[data-who='" + who + "']") === null`, sender)
		var wishes struct{ People []string }
		callAPI(t, p, "GET", "/accounts/"+account+"/wishes", nil, &wishes)
		if len(wishes.People) != 1 || wishes.People[0] != "@school.example" {
			t.Errorf("these people matter: %q", wishes.People)
		}
	})
	t.Run("a rule is made of it", func(t *testing.T) {
		s.openView(t, p, "mail/"+id, "Where it rang")
		p.Click(t, "Make a rule of it")
		p.WaitText(t, "If it is from "+sender+", show it without a sound.")
		p.WaitText(t, "No other rule is about this mail, so the new one stands last.")
		p.Click(t, "css:main > form button.primary")
		p.WaitText(t, "Saved.")
	})
	t.Run("a rule of a mail stands before the one that decides about it", func(t *testing.T) {
		path := "/accounts/" + account + "/wishes"
		var wishes object
		callAPI(t, p, "GET", path, nil, &wishes)
		about := func(subject string) object {
			return object{"if": object{"subject": []string{subject}}, "then": object{"ring": "not"}}
		}
		callAPI(t, p, "PUT", path, object{"revision": wishes["revision"], "people": wishes["people"], "rules": []object{about("Lunch"), about(subject), about("pp")}}, nil)
		s.openView(t, p, "mail/"+id, "Where it rang")
		p.Click(t, "Make a rule of it")
		p.WaitText(t, "The new rule stands before the one that was about this mail: “If the subject has “"+subject+"”, do not show it.”")
		var at int
		p.Eval(t, &at, `sender => [...document.querySelectorAll("ol.rules > li")].findIndex((rule) => rule.innerText.includes("it is from " + sender))`, sender)
		if at != 1 {
			t.Errorf("the rule is number %d of 4", at+1)
		}
		checkSizes(t, p)
		p.Click(t, "css:main > form button.primary")
		p.WaitText(t, "Saved.")
		callAPI(t, p, "GET", path, nil, &wishes)
		callAPI(t, p, "PUT", path, object{"revision": wishes["revision"], "people": wishes["people"], "rules": []object{about("Lunch")}}, nil)
	})
	t.Run("the mailbox gets a name and a color", func(t *testing.T) {
		s.openView(t, p, "mailbox/"+account, "Rules (1)")
		var parts []string
		p.Eval(t, &parts, `() => [...document.querySelectorAll("main > details > summary")].map((title) => title.textContent.replace(/ \(\d+\)$/, ""))`)
		if want := []string{"Rules", "People who matter", "Mute", "Name and color", "Choose folders", "A tap on a notification opens", "Shared with", "Connection details", "Examine", "Change the password"}; !slices.Equal(parts, want) {
			t.Errorf("the mailbox has %q, want %q", parts, want)
		}
		p.Click(t, "Name and color")
		p.Type(t, "Name", "Home")
		p.Click(t, "With a color")
		p.Eval(t, nil, `() => { document.querySelector("[name=color]").value = "#aa3300"; }`)
		checkSizes(t, p)
		p.Click(t, "css:main details[open] button.primary")
		p.WaitText(t, "Saved.")
		s.openView(t, p, "mailboxes", "Add a mailbox")
		p.Wait(t, "the mailbox has its name and color", `() => document.querySelector("main a.card h2")?.textContent === "Home" && document.querySelector("main .dot circle").getAttribute("fill") === "#aa3300"`)
		p.WaitText(t, "anna@example.org")
		checkSizes(t, p)
	})
	t.Run("the way in which it is opened is chosen once", func(t *testing.T) {
		s.openView(t, p, "open/"+id, "this device opens the mail in the way that you use here")
		// Nothing here opens message:.
		p.Eval(t, nil, `() => document.querySelector("main a.button.primary").addEventListener("click", (event) => event.preventDefault())`)
		p.Click(t, "Open it in the mail app")
		p.WaitText(t, "After a tap on a notification, this device opens the mail at once.")
		p.Click(t, "Show this page first")
		callAPI(t, p, "PATCH", "/accounts/"+account, object{"link": s.Origin + "/healthz?{message_id}"}, nil)
		p.Navigate(t, s.Origin+"/#/mailboxes")
		s.openView(t, p, "open/"+id, "Open the mail")
		p.Click(t, "Open the mail")
		p.WaitText(t, "ok")
		p.Navigate(t, s.Origin+"/#/mailboxes")
		p.WaitText(t, "Add a mailbox")
		p.Navigate(t, s.Origin+"/#/open/"+id)
		p.Wait(t, "the link was opened at once", `() => location.pathname === "/healthz"`)
		p.Navigate(t, s.Origin+"/#/mail/"+id)
		p.WaitText(t, "Where it rang")
	})
}

// TestWhyNotRung searches Activity for a mail.
func TestWhyNotRung(t *testing.T) {
	t.Parallel()
	s, p := openFurnished(t, browsertest.Chromium(t))
	s.openView(t, p, "activity", "Why did it not ring?")
	checkSizes(t, p)
	p.Type(t, "Why did it not ring?", "DÍNNER planted")
	p.Press(t, browsertest.Enter)
	p.WaitText(t, "1 mail")
	cards := func(t *testing.T, want int) {
		t.Helper()
		p.Wait(t, "the mails are shown", `want => [...document.querySelectorAll("main li.card")].filter(page.shown).length === want`, want)
	}
	cards(t, 1)
	s.Deliver(t, "Dinner on Monday?")
	p.SetViewport(t, 320, 800)
	checkLayout(t, p)
	for words, want := range map[string]int{`"dinner on sun"`: 1, `“Sunday dinner”`: 0, `sunday "dinner on"`: 1, `planted "sunday`: 1} {
		p.Type(t, "Why did it not ring?", words)
		p.Press(t, browsertest.Enter)
		cards(t, want)
	}
	p.Type(t, "Why did it not ring?", "nothing such")
	p.Press(t, browsertest.Enter)
	p.WaitText(t, "No mail of the last 7 days has these words in its sender or subject.")
	cards(t, 0)
	for range len("nothing such") {
		p.Press(t, browsertest.Backspace)
	}
	cards(t, 3)
}

// TestDecided asks the page about mails that do not ring, are silent or wait, and follows the way
// to where that is changed.
func TestDecided(t *testing.T) {
	t.Parallel()
	s, p := openFurnished(t, browsertest.Chromium(t))
	ctx := testenv.Context(t)
	account, device := s.ids(t, "/accounts")[0], s.ids(t, "/devices")[0]
	clock := func(after time.Duration) string { return time.Now().UTC().Add(after).Format("15:04") }
	systemtest.Must(t, s.Client.Call(ctx, "PUT", "/devices/"+device+"/wishes", object{"revision": 0, "quiet": object{"zone": "UTC", "mode": "hold", "people": true, "attention": true,
		"hours": []object{hours(clock(-time.Hour), clock(2*time.Hour), "mon", "tue", "wed", "thu", "fri", "sat", "sun")}}}, nil))
	systemtest.Must(t, s.Client.Call(ctx, "PUT", "/accounts/"+account+"/wishes", object{"revision": 0, "rules": []object{
		{"if": object{"subject": []string{"sale"}}, "then": object{"ring": "not"}}, {"if": object{"subject": []string{"letter"}}, "then": object{"ring": "silent"}}}}, nil))
	for _, subject := range []string{"Sale", "Letter", "Tea"} {
		s.append(t, "INBOX", "berta", subject, time.Now())
	}
	p.Navigate(t, s.Origin+"/#/activity")
	says := func(subject, want string) {
		t.Helper()
		p.Wait(t, subject+": "+want, `(subject, want) => [...document.querySelectorAll("main li.card")].some((card) => card.querySelector("p")?.innerText === subject && card.innerText.includes(want))`, subject, want)
	}
	says("Sale", "All 4 devices: not shown, by rule 1. Change this")
	says("Letter", ", by rule 2. Change this")
	says("Tea", ": quiet until ")
	checkSizes(t, p)
	inFocus := func(part string) {
		t.Helper()
		p.Wait(t, part+" is unfolded, and has the focus", `part => {
			const place = document.getElementById(part);
			return place?.contains(document.activeElement) && place.open !== false && place.getBoundingClientRect().top < innerHeight / 2;
		}`, part)
	}
	p.Eval(t, nil, `() => [...document.querySelectorAll("main li li a")].find((a) => a.getAttribute("href").startsWith("#/device/")).click()`)
	inFocus("quiet")
	for _, part := range []string{"mutes", "people"} {
		p.Navigate(t, s.Origin+"/#/mailbox/"+account+"/"+part)
		inFocus(part)
	}
	s.openView(t, p, "mail/"+s.mailIDs(t)["Sale"], "Why it did not ring")
	s.openView(t, p, "device/"+device+"/quiet", "Quiet hours")
	p.Click(t, "Switch them off")
	p.WaitText(t, "No quiet hours. It rings at any time.")
	p.Navigate(t, s.Origin+"/#/activity")
	p.Wait(t, "nothing is quiet any more", `() => document.querySelectorAll("main li.card").length > 4 && !document.querySelector("main").innerText.includes("quiet until")`)
}

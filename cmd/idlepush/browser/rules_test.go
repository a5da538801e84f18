package browser

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"idlepush/web/browsertest"
)

// TestRules edits the rules of a mailbox, and tries them on its mail.
func TestRules(t *testing.T) {
	t.Parallel()
	s, p := openFurnished(t, browsertest.Chromium(t))
	account := s.ids(t, "/accounts")[0]
	stored := func(t *testing.T) (wishes struct {
		Rules     []any
		Otherwise object
	}) {
		callAPI(t, p, "GET", "/accounts/"+account+"/wishes", nil, &wishes)
		return wishes
	}
	const school, letters = "If it is from @school.example and the subject has “trip”, let it ring loudly, in quiet hours too.", "If it was sent to many, or by a program, do not show it."
	says := func(t *testing.T, want ...string) {
		t.Helper()
		p.Wait(t, "the rules are as they should be", `want => JSON.stringify([...document.querySelectorAll("ol.rules > li > p:first-child")].map((e) => e.textContent)) === JSON.stringify(want)`, want)
	}
	p.SetViewport(t, 320, 800)
	s.openView(t, p, "mailbox/"+account, "Connection details")
	p.Click(t, "Rules")
	p.WaitText(t, "There is no rule yet: all mail rings.")
	p.Click(t, "Change the rules")
	p.WaitText(t, "Otherwise, let it ring.")

	t.Run("a rule reads like a sentence", func(t *testing.T) {
		p.Click(t, "Add a rule")
		p.WaitText(t, "If it is from …, show it without a sound.")
		p.Type(t, "Condition 1: what", "@school.example")
		p.Click(t, "Add a condition")
		choose(t, p, "Condition 2", "subject")
		p.Type(t, "Condition 2: what", "trip")
		choose(t, p, "Then", "loud")
		says(t, school)
		checkSizes(t, p)
		p.SetViewport(t, 320, 800)
		checkLayout(t, p)
		p.Click(t, "Done")
	})
	t.Run("a rule that says nothing is not stored", func(t *testing.T) {
		p.Click(t, "Add a rule")
		p.Click(t, "Done")
		p.WaitText(t, "A condition says nothing yet. Complete or remove it.")
		p.Click(t, "css:main > form button.primary")
		p.Wait(t, "it is said again", `() => document.querySelector("main > form .wrong").textContent !== ""`)
		choose(t, p, "Condition 1", "bulk")
		choose(t, p, "css:#rule-1 [name=ring]", "not")
		p.Click(t, "Done")
		says(t, school, letters)
	})
	t.Run("keys move a rule, and the focus goes with it", func(t *testing.T) {
		p.Wait(t, "the buttons are on one line", `() => new Set([...document.querySelectorAll("#rule-1 .buttons button")].map((b) => b.getBoundingClientRect().top)).size === 1`)
		p.Eval(t, nil, `() => document.getElementById("rule-1-up").focus()`)
		p.Press(t, browsertest.Enter)
		says(t, letters, school)
		p.Press(t, browsertest.Enter)
		says(t, school, letters)
		p.Press(t, browsertest.Enter)
		says(t, letters, school)
	})
	t.Run("what was chosen is stored", func(t *testing.T) {
		choose(t, p, "css:section [name=ring]", "silent")
		p.WaitText(t, "Otherwise, show it without a sound.")
		p.Click(t, "css:main > form button.primary")
		p.WaitText(t, "Saved.")
		w := stored(t)
		want := []any{
			object{"if": object{"bulk": true}, "then": object{"ring": "not"}},
			object{"if": object{"from": []any{"@school.example"}, "subject": []any{"trip"}}, "then": object{"ring": "loud"}},
		}
		if !reflect.DeepEqual(w.Rules, want) || w.Otherwise["ring"] != "silent" {
			t.Errorf("stored is %v, want %v", w, want)
		}
		s.openView(t, p, "mailboxes", "Add a mailbox")
		s.openView(t, p, "rules/"+account, "Otherwise, show it without a sound.")
		says(t, letters, school)
	})
	t.Run("the time machine says what would have rung", func(t *testing.T) {
		p.WaitText(t, "For the whole week it takes the rules, people who matter, mutes and quiet hours of today")
		p.Click(t, "Try it on last week")
		p.WaitText(t, "All 4 devices: It would not have rung.")
		p.WaitText(t, "Dinner on Sunday?")
		p.WaitText(t, "All 4 devices: is shown without a sound, as no rule matched.")
		checkSizes(t, p)
		p.SetViewport(t, 320, 800)
		checkLayout(t, p)
		choose(t, p, "css:section [name=ring]", "not")
		p.WaitText(t, "This has changed since. Try it again.")
		p.Click(t, "Try it on last week")
		p.WaitText(t, "All 4 devices: It would not have rung, with or without the change.")
		p.WaitText(t, "2 mails would have been treated differently:")
		p.WaitText(t, "All 4 devices: is not shown, as no rule matched. Before: is shown without a sound, as no rule matched.")
		choose(t, p, "css:section [name=ring]", "loud")
		p.Click(t, "Try it on last week")
		p.WaitText(t, "All 4 devices: It would have rung 2 times instead of 0.")
	})
	t.Run("mail that the change is about stands first, and the rest in pages", func(t *testing.T) {
		for n := range 25 {
			s.append(t, "INBOX", "berta", fmt.Sprint("Note ", n), time.Now())
		}
		choose(t, p, "css:section [name=ring]", "silent")
		p.Click(t, "Add a rule")
		p.Type(t, "Condition 1: what", "Planted Sender")
		choose(t, p, "css:#rule-2 [name=ring]", "not")
		p.Click(t, "Try it on last week")
		p.WaitText(t, "1 mail would have been treated differently:")
		tried := func(want int) {
			t.Helper()
			p.Wait(t, fmt.Sprint(want, " mails are shown, the one first"), `want => {
				const lines = [...document.querySelectorAll(".tried > li")];
				return lines.length === want && lines[0].innerText.includes("Dinner on Sunday?") && lines[0].innerText.includes("Before: ") && !lines[1].innerText.includes("Before: ");
			}`, want)
		}
		tried(21)
		p.Click(t, "More")
		tried(27)
		p.Eval(t, nil, `() => document.getElementById("rule-2-remove")?.click()`)
	})
	t.Run("somebody else's change is not lost", func(t *testing.T) {
		var wishes object
		callAPI(t, p, "GET", "/accounts/"+account+"/wishes", nil, &wishes)
		delete(wishes, "mutes")
		wishes["name"] = "Post"
		callAPI(t, p, "PUT", "/accounts/"+account+"/wishes", wishes, nil)
		p.Click(t, "css:main > form button.primary")
		p.WaitText(t, "This was changed by another request at the same time.")
		if w := stored(t); w.Otherwise["ring"] != "silent" {
			t.Errorf("stored is %v", w)
		}
	})
}

// choose selects a value in a field that is found as [browsertest.Page.Click] does.
func choose(t *testing.T, p *browsertest.Page, target, value string) {
	t.Helper()
	p.Wait(t, target+" is there", `target => page.all(target).some(page.shown)`, target)
	p.Eval(t, nil, `(target, value) => {
		const field = page.all(target).find(page.shown);
		field.value = value;
		field.dispatchEvent(new Event("change", { bubbles: true }));
	}`, target, value)
}

package browser

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/watcher"
	"idlepush/web/browsertest"
)

// TestActivity asks the page of each mail that did not ring why it did not.
func TestActivity(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Mail.CreateFolder(t, s.Mail.User, "Family")
	s.Mail.CreateFolder(t, s.Mail.User, "Sent")
	s.Populate(t)
	account := "/accounts/" + s.ids(t, "/accounts")[0]
	ctx := testenv.Context(t)
	s.Deliver(t, "Tea on Sunday")
	_, err := s.Web.Wait(ctx, 2)
	systemtest.Must(t, err)
	edit := func(fields object) { systemtest.Must(t, s.Client.Call(ctx, "PATCH", account, fields, nil)) }
	edit(object{"folders": []string{"INBOX", "Family", "Sent"}})
	edited := time.Now()
	testenv.Await(t, "the new folder was looked at", func() error {
		var a struct{ Status struct{ Confirmed time.Time } }
		if err := s.Client.Get(ctx, account, &a); err != nil || a.Status.Confirmed.After(edited) {
			return err
		}
		return fmt.Errorf("confirmed at %v", a.Status.Confirmed)
	})

	edit(object{"enabled": false})
	s.append(t, "INBOX", "berta", "read", time.Now(), imap.FlagSeen)
	s.append(t, "INBOX", "berta", "spam", time.Now(), "$Junk")
	s.append(t, "INBOX", "berta", "unfinished", time.Now(), imap.FlagDraft)
	s.append(t, "INBOX", "berta", "struck out", time.Now(), imap.FlagDeleted)
	s.append(t, "INBOX", "anna", "my answer", time.Now(), imap.FlagSeen)
	s.append(t, "Sent", "anna", "my letter", time.Now())
	for n := range 6 {
		s.append(t, "Family", "berta", fmt.Sprint("imported ", n), time.Now().AddDate(0, 0, -7))
	}
	s.Mail.Move(t, "Tea on Sunday", "Family")
	edit(object{"enabled": true})

	want := map[string]codes.Code{"read": "seen", "spam": "junk", "unfinished": "draft", "struck out": "deleted", "my answer": "sent", "my letter": "sent", "Tea on Sunday": "duplicate"}
	for n := range 6 {
		want[fmt.Sprint("imported ", n)] = registry.CodeOld
	}
	testenv.Await(t, "each mail is listed with its reason", func() error {
		var list struct {
			Items []struct {
				Kind, Subject string
				Code          codes.Code
			}
		}
		if err := s.Client.Get(ctx, "/notifications", &list); err != nil {
			return err
		}
		got := make(map[string]codes.Code)
		for _, n := range list.Items {
			if n.Kind == "mail" && n.Code != "" {
				got[n.Subject] = n.Code
			}
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("%v", got)
		}
		return nil
	})

	p := browsertest.Chromium(t).Open(t, s.Origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "anna@example.org")
	p.Navigate(t, s.Origin+"/#/activity")
	p.WaitText(t, "6 older mails in Family")
	sentences := codes.Join(registry.Codes, watcher.Codes)
	for name, code := range want {
		var card string
		p.Eval(t, &card, `subject => [...document.querySelectorAll(".card")].filter(c => c.querySelector("p")?.innerText === subject).map(c => c.innerText)[0] ?? ""`, name)
		params := map[string]string{"folder": "INBOX"}
		if name == "my letter" {
			params[codes.Case] = "filed"
		}
		sentence := sentences.Sentence(code, params)
		if name == "Tea on Sunday" {
			continue // it is listed twice
		}
		if !strings.Contains(card, sentence) || strings.Contains(card, "No device was registered") {
			t.Errorf("of %q the page says %q, want %q", name, card, sentence)
		}
	}
	p.WaitText(t, sentences.Sentence("duplicate", map[string]string{"folder": "INBOX"}))
	checkSizes(t, p)
}

// TestActivityDeliveries asks the page what was decided about mails: they wait for the end of a
// burst or of quiet hours, went into a summary, are silent or do not ring.
func TestActivityDeliveries(t *testing.T) {
	t.Parallel()
	_, p := openFurnished(t, browsertest.Chromium(t))
	until := time.Now().Add(40 * time.Second).UTC()
	mail := func(id string, delivery object) object {
		delivery["device"], delivery["name"], delivery["attempts"] = "phone", "Phone", 0
		return object{"id": id, "kind": "mail", "account": "a", "folder": "INBOX", "at": until, "expires": until, "from": id, "deliveries": []object{delivery}}
	}
	summary := object{"id": "sum", "kind": "summary", "account": "a", "at": until, "expires": until, "count": 12, "mails": []string{"counted", "other"}, "deliveries": []object{}}
	answer(t, p, object{"/notifications?limit=50": object{"items": []object{
		mail("held", object{"state": "pending", "until": until}), mail("waiting", object{"state": "pending"}), mail("counted", object{"state": "combined", "at": until, "into": "sum"}),
		mail("quiet", object{"state": "pending", "until": until, "decision": object{"verdict": "held", "until": until, "code": "quiet_hours", "params": object{"until": "07:00"}, "text": "It was held back."}}),
		mail("ruled", object{"state": "skipped", "decision": object{"verdict": "not", "code": "rule", "params": object{"case": "not", "rule": "2"}, "text": "It was not to ring.", "outdated": true}}),
		mail("muted", object{"state": "skipped", "decision": object{"verdict": "not", "code": "muted", "params": object{"case": "sender_for_ever"}, "text": "This sender was muted."}}),
		mail("silent", object{"state": "delivered", "at": until, "decision": object{"verdict": "silent", "code": "otherwise", "params": object{"case": "silent"}, "text": "It was to show without a sound."}}),
		mail("alone", object{"state": "delivered", "at": until, "decision": object{"verdict": "now", "code": "person_matters", "text": "The sender was one.", "waited": object{"code": "quiet_hours", "since": until, "until": until}}}),
		mail("summed", object{"state": "combined", "at": until, "decision": object{"verdict": "now", "waited": object{"code": "quiet_hours", "since": until, "until": until}}}),
	}}, "/notifications/sum": summary,
		"/notifications?ids=counted,other": object{"items": []object{mail("counted", object{"state": "combined", "at": until, "into": "sum"}), mail("other", object{"state": "combined", "at": until, "into": "sum"})}},
		"/devices?limit=200": object{"items": []object{{"id": "phone", "name": "Phone", "transport": "fcm", "holds": object{"until": until, "count": 4, "code": "quiet_hours"},
			"status": object{"state": "proven", "since": until, "chain": object{}}}}}})
	p.Eval(t, nil, `() => { location.hash = "#/activity"; }`)
	p.WaitText(t, "Phone: in a summary at ")
	var clock string
	p.Eval(t, &clock, `async until => (await import("/age.js")).clock(until)`, until)
	for _, want := range []string{"Phone: in a summary at " + clock + ".", "Phone: quiet until " + clock + ".", "Phone: not shown, by rule 2 (changed since).", "Phone: not shown, as the sender was muted.",
		"Phone: shown without a sound at once, as no rule matched.", "Phone: rang at once, after quiet hours until " + clock + ", as its sender matters.", "Phone: in a summary at " + clock + ", after quiet hours until " + clock + ".", "Phone: waits until " + clock + ", because it has rung often within a minute", "Phone: waiting"} {
		p.WaitText(t, want)
	}
	links := make(map[string]string)
	p.Eval(t, &links, `() => Object.fromEntries([...document.querySelectorAll("main li li a[aria-label]")].map((a) => [a.closest(".card").id, a.getAttribute("href")]))`)
	if want := map[string]string{"quiet": "#/device/phone/quiet", "ruled": "#/rules/a", "muted": "#/mailbox/a/mutes", "silent": "#/rules/a", "alone": "#/mailbox/a/people"}; !maps.Equal(links, want) {
		t.Errorf("what decided is changed at %v, want %v", links, want)
	}
	checkSizes(t, p)
	p.Click(t, "Phone: in a summary at "+clock)
	p.WaitText(t, "12 new mails")
	p.Wait(t, "the summary lists its mails, as links", `() => [...document.querySelectorAll("main li a")].some((a) => a.getAttribute("href") === "#/mail/counted" && a.textContent === "counted")`)
	p.Wait(t, "it has asked for them once", `() => self.asked.filter((path) => /other|counted/.test(path)).length === 1`)
	p.Eval(t, nil, `() => { location.hash = "#/devices"; }`)
	p.WaitText(t, "Quiet until "+clock+": 4 mails wait.")
	checkSizes(t, p)
}

// TestDevicesTogether has Activity say once what is the same on several devices, and the page of a
// mail name each of them.
func TestDevicesTogether(t *testing.T) {
	t.Parallel()
	_, p := openFurnished(t, browsertest.Chromium(t))
	at := time.Now().UTC()
	on := func(name string, after time.Duration, more object) object {
		d := object{"device": name, "name": name, "attempts": 1, "state": "delivered", "at": at.Add(after)}
		maps.Copy(d, more)
		return d
	}
	quiet := object{"state": "pending", "until": at.Add(time.Hour), "decision": object{"verdict": "held", "code": "quiet_hours", "until": at.Add(time.Hour)}}
	skipped := object{"state": "skipped", "decision": object{"verdict": "not", "code": "rule", "params": object{"case": "not", "rule": "2"}}}
	mail := func(id string, deliveries ...object) object {
		return object{"id": id, "kind": "mail", "account": "a", "folder": "INBOX", "at": at, "expires": at.Add(time.Hour), "from": id, "deliveries": deliveries}
	}
	const ms = time.Millisecond
	slow := mail("slow", on("A", 210*ms, nil), on("B", 340*ms, nil), on("C", 1200*ms, nil))
	answer(t, p, object{"/notifications?limit=50": object{"items": []object{
		mail("fast", on("A", 0, nil), on("B", 99*ms, nil)), slow, mail("none", on("A", 0, skipped), on("B", 0, skipped), on("C", 0, skipped)),
		mail("mixed", on("A", 60*ms, nil), on("B", 0, quiet), on("C", 2300*ms, nil), on("D", 0, quiet)), mail("one", on("A", 640*ms, nil)),
	}}, "/notifications/slow": slow, "/notifications/fast": mail("fast", on("A", 0, nil), on("B", 99*ms, nil))})
	p.Eval(t, nil, `() => { location.hash = "#/activity"; }`)
	p.WaitText(t, "Both devices: rang at once.")
	var said map[string][]string
	p.Eval(t, &said, `() => Object.fromEntries([...document.querySelectorAll("li.card")].map((card) => [card.id, [...card.querySelectorAll("li")].map((line) => line.innerText.replace(/quiet until .*/, "quiet."))]))`)
	want := map[string][]string{"fast": {"Both devices: rang at once."}, "slow": {"All 3 devices: rang within 1.2 s."}, "none": {"All 3 devices: not shown, by rule 2. Change this"},
		"mixed": {"A and C: rang within 2.3 s.", "B: quiet.", "D: quiet."}, "one": {"A: rang after 0.6 s."}}
	if !maps.EqualFunc(said, want, slices.Equal) {
		t.Errorf("the page says %q, want %q", said, want)
	}
	checkSizes(t, p)
	for id, want := range map[string][]string{"slow": {"A: rang after 0.2 s.", "B: rang after 0.3 s.", "C: rang after 1.2 s."}, "fast": {"A and B: rang at once."}} {
		p.Eval(t, nil, `id => { location.hash = "#/mail/" + id; }`, id)
		p.WaitText(t, want[0])
		var said []string
		p.Eval(t, &said, `() => [...document.querySelectorAll("main section li")].map((line) => line.innerText)`)
		if !slices.Equal(said, want) {
			t.Errorf("the page of the mail says %q, want %q", said, want)
		}
	}
}

// answer has the page get these answers to requests whose addresses end so.
func answer(t *testing.T, p *browsertest.Page, answers object) {
	t.Helper()
	p.Eval(t, nil, `answers => {
		const real = self.fetch;
		self.asked = [];
		self.fetch = async (...request) => {
			self.asked.push(String(request[0]));
			const path = Object.keys(answers).find((end) => String(request[0]).endsWith(end));
			return path ? Response.json(answers[path]) : real(...request);
		};
	}`, answers)
}

// TestOneTimeCode has a mail with a one-time code ring, and copies it on the page of the mail.
func TestOneTimeCode(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	ctx := testenv.Context(t)
	s.appendText(t, "INBOX", "From: Shop <shop@example.org>\r\nSubject: Log in\r\nContent-Type: text/html\r\n\r\n<p>Your login code</p><table><tr><td><b>482 913</b></td></tr></table><p>Order 739201 is on its way.</p>\r\n", time.Now())
	pushes, err := s.Web.Wait(ctx, 4)
	systemtest.Must(t, err)
	var id string
	for _, m := range pushes[2:] {
		var got struct {
			Idlepush struct {
				ID, Title, Body, Preview string
				Code                     string `json:"one_time_code"`
			}
		}
		systemtest.Must(t, json.Unmarshal(m.Body, &got))
		code := ""
		if got.Idlepush.Preview != "" {
			code = "482913"
		}
		front := strings.HasPrefix(got.Idlepush.Title, "482913 · ") && strings.HasPrefix(got.Idlepush.Body, "482913 · ")
		if id = got.Idlepush.ID; got.Idlepush.Code != code || front != (code != "") {
			t.Errorf("a phone got %+v", got)
		}
	}
	p := browsertest.Chromium(t).Open(t, s.Origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "anna@example.org")
	p.Navigate(t, s.Origin+"/#/mail/"+id)
	p.WaitText(t, "482913")
	p.Eval(t, nil, `() => { navigator.clipboard.writeText = async (text) => { self.copiedText = text; }; }`)
	p.Click(t, "Copy")
	p.WaitText(t, "Copied.")
	var copied string
	if p.Eval(t, &copied, `() => self.copiedText`); copied != "482913" {
		t.Errorf("copied %q", copied)
	}
	checkSizes(t, p)
}

// append puts a mail into a folder, as another client does.
func (s *system) append(t *testing.T, folder, from, subject string, received time.Time, flags ...imap.Flag) {
	t.Helper()
	text := fmt.Sprintf("From: %s <%s@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n\r\nWords.\r\n", from, from, subject, strings.ReplaceAll(subject, " ", "."))
	s.appendText(t, folder, text, received, flags...)
}

func (s *system) appendText(t *testing.T, folder, text string, received time.Time, flags ...imap.Flag) {
	t.Helper()
	client := s.Mail.Client(t)
	defer client.Close()
	command := client.Append(folder, int64(len(text)), &imap.AppendOptions{Flags: flags, Time: received})
	_, err := command.Write([]byte(text))
	systemtest.Must(t, err)
	systemtest.Must(t, command.Close())
	_, err = command.Wait()
	systemtest.Must(t, err)
}

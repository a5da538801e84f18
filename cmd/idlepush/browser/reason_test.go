package browser

import (
	"slices"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/oauth"
	"idlepush/web"
	"idlepush/web/browsertest"
)

// translated returns sentences as a translation of texts.js has them.
func translated(lists ...[]codes.Entry) map[string]string {
	reasons := make(map[string]string)
	for _, list := range lists {
		for _, e := range list {
			reasons[string(e.Code)] = "¡" + e.Text
			for name, text := range e.Cases {
				reasons[string(e.Code)+"/"+name] = "¡" + text
			}
		}
	}
	return reasons
}

const translate = `reasons => { self.texts.reasons = reasons }`

func TestReason(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSystem(t)
	p := chromium.Open(t, s.setupLink(t))
	all := [][]codes.Entry{receipt.Codes, registry.Codes, watcher.Codes, oauth.Codes, push.Codes, fcm.Codes, apns.Codes, webpush.Codes, web.Codes}

	t.Run("the page makes the sentence that the server makes", func(t *testing.T) {
		type answer struct {
			Code   codes.Code        `json:"code"`
			Params map[string]string `json:"params,omitempty"`
		}
		var answers []answer
		var want []string
		foreign := codes.Table{} // as the translation has it
		for _, list := range all {
			for _, e := range list {
				e.Text = "¡" + e.Text
				cases := []string{""}
				for name, text := range e.Cases {
					e.Cases = map[string]string{name: "¡" + text}
					cases = append(cases, name)
					break
				}
				foreign[e.Code] = e
				for _, name := range cases {
					params := map[string]string{codes.Account: "ann@example.org", codes.Said: `"{host}" & <b>`}
					for _, p := range e.Params() {
						params[p] = "{" + p + "} $& x"
					}
					if delete(params, codes.Case); name != "" {
						params[codes.Case] = name
					}
					if params[codes.Cause] != "" {
						params[codes.Cause] = "webpush_gone"
					}
					answers = append(answers, answer{e.Code, params})
				}
			}
		}
		for _, a := range answers {
			want = append(want, foreign.Sentence(a.Code, a.Params))
		}
		answers, want = append(answers, answer{Code: "of_a_later_version"}), append(want, "the server's own")
		var got []string
		p.Eval(t, nil, translate, translated(all...))
		p.Eval(t, &got, `async answers => {
			const { reason } = await import("/reason.js");
			return answers.map((answer) => reason(answer, "the server's own"));
		}`, answers)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%+v: the page says %q, the server %q", answers[i], got[i], want[i])
			}
		}
	})

	t.Run("a mailbox that is watched says what to expect", func(t *testing.T) {
		p.Eval(t, nil, translate, map[string]string{})
		var got []string
		p.Eval(t, &got, `async (statuses) => {
			const { mailboxState } = await import("/views/state.js");
			return statuses.map((status) => [mailboxState({ enabled: true, status })].flat().map((node) => node.textContent).join(" | "));
		}`, []map[string]any{
			{"state": "watching", "since": "2026-01-02T03:04:05Z"},
			{"state": "watching", "since": "2026-01-02T03:04:05Z", "tour": 30},
			{"state": "polling", "since": "2026-01-02T03:04:05Z", "code": "idle_unreliable", "reason": "the connection broke. No action needed."},
		})
		for i, want := range []string{"", " | Other folders are checked every 30 s.", " | The connection broke. No action needed."} {
			if _, after, _ := strings.Cut(got[i]+" | ", " | "); strings.TrimSuffix(" | "+after, " | ") != strings.TrimSuffix(want, " | ") {
				t.Errorf("it says %q", got[i])
			}
		}
	})

	t.Run("the page is in the language of its texts", func(t *testing.T) {
		var got []string
		p.Eval(t, &got, `() => [document.documentElement.lang, self.texts.language]`)
		if got[0] != "en" || got[0] != got[1] {
			t.Errorf("the page is in %q, its texts in %q", got[0], got[1])
		}
	})

	t.Run("a mailbox whose login is refused says so, and when it is tried again", func(t *testing.T) {
		var got string
		p.Eval(t, &got, `async () => {
			const { mailboxState } = await import("/views/state.js");
			const at = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
			const status = { state: "retrying", since: at(-130), reason: "the password is refused", next_try: at(3700) };
			return mailboxState({ enabled: true, status }).map((node) => node.textContent).join(" ");
		}`)
		if want := "Not watched. This began 2 minutes ago. The password is refused. Next try in 1 hour."; got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	})

	t.Run("no dot is green beside a sentence about trouble", func(t *testing.T) {
		p.Eval(t, nil, translate, map[string]string{})
		var got []string
		p.Eval(t, &got, `async (things) => {
			const { deviceState, mailboxState } = await import("/views/state.js");
			const at = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
			return things.map(({ mailbox, status }) => {
				const whole = { since: at(-7200), proof: at(-130), ...status, ...(status.waits ? { next_try: at(50) } : {}) };
				return [mailbox ? mailboxState({ enabled: true, status: whole }) : deviceState({ status: whole })].flat().map((node) =>
					node.className.replace(/^state /, "") + ": " + node.textContent).join(" | ");
			});
		}`, []object{
			{"status": object{"state": "proven"}},
			{"status": object{"state": "proven", "waits": true}},
			{"status": object{"state": "proven", "code": "down", "reason": "sink.example refused the connection.", "waits": true}},
			{"status": object{"state": "proven", "code": "down", "reason": "sink.example refused the connection."}},
			{"status": object{"state": "proven", "lane": object{"since": "2026-01-02T03:04:05Z", "code": "busy", "reason": "It is busy."}}},
			{"status": object{"state": "unproven", "code": "down", "reason": "sink.example refused the connection.", "waits": true}},
			{"status": object{"state": "suspect", "code": "denied", "reason": "it denies.", "proof": nil}},
			{"mailbox": true, "status": object{"state": "watching", "code": "folder_unavailable", "reason": "the folder Lists cannot be opened"}},
			{"mailbox": true, "status": object{"state": "polling"}},
		})
		const refused = "sink.example refused the connection."
		for i, want := range []string{
			"good: Rings. Last push accepted 2 minutes ago.",
			"good: Rings. Last push accepted 2 minutes ago.",
			"warn: Does not ring now. " + refused + " Last push accepted 2 minutes ago. | soft: Something waits for it. Next try in 50 seconds.",
			"warn: Did not ring at the last try. " + refused + " Last push accepted 2 minutes ago.",
			"warn: Its push service was paused",
			"warn: No push has reached it yet. " + refused + " | soft: Something waits for it. Next try in 50 seconds.",
			"bad: It denies. No push has reached it yet. It is tried rarely.",
			"warn: Watching, checked 2 minutes ago | soft: The folder Lists cannot be opened.",
			"good: Checked every minute or two, last 2 minutes ago",
		} {
			if !strings.HasPrefix(got[i], want) || strings.Contains(got[i][1:], "good: ") {
				t.Errorf("it says %q, want %q", got[i], want)
			}
		}
	})

	t.Run("what the server refuses is said in the page's words", func(t *testing.T) {
		p.Eval(t, nil, translate, map[string]string{})
		enterLogin(t, p, "Begin", "anna", systemtest.Password)
		p.Eval(t, nil, translate, translated(all...))
		p.Type(t, "Email address", "anna@example.org")
		p.Type(t, "Its password", "planted-wrong-password")
		p.WaitText(t, "No settings were found")
		s.enterMailServer(t, p)
		p.WaitText(t, "¡the mail server refuses")
		var messages []string
		p.Eval(t, &messages, `async () => {
			const { call } = await import("/api.js");
			try {
				await call("POST", "/accounts/check", { host: "no host", password: "" });
			} catch (problem) {
				return problem.fields.map((field) => field.message);
			}
		}`)
		if len(messages) == 0 || slices.ContainsFunc(messages, func(m string) bool { return !strings.HasPrefix(m, "¡") }) {
			t.Errorf("the fields say %q", messages)
		}
	})
	checkOnlyRefusals(t, chromium)
	chromium.Close(t)
	s.Stop(t)
	s.CheckNoSecrets(t)
}

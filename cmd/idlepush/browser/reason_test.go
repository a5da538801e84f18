package browser

import (
	"slices"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/codes"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
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
	all := [][]codes.Entry{registry.Codes, watcher.Codes, oauth.Codes, fcm.Codes, apns.Codes, webpush.Codes, web.Codes}

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

package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"idlepush/registry/testenv"
)

// runModule calls a JavaScript function with the exports of a module of the page and the input, in
// Node, and decodes what it returns. The module may use the texts, but no document.
func runModule(t *testing.T, module, function string, in, out any) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		testenv.Missing(t, "node is not installed")
	}
	text, err := json.Marshal(in)
	fatal(t, err)
	page := t.TempDir()
	fatal(t, os.CopyFS(page, os.DirFS("page")))
	fatal(t, os.WriteFile(filepath.Join(page, "package.json"), []byte(`{"type":"module"}`), 0o600))
	cmd := exec.Command(node, "--input-type=module", "-e", `
		import fs from "node:fs";
		import vm from "node:vm";
		globalThis.self = globalThis;
		vm.runInThisContext(fs.readFileSync("page/texts.js", "utf8"));
		self.speak = (language) => Object.defineProperty(globalThis, "navigator", { value: { language }, configurable: true });
		const page = await import("`+filepath.ToSlash(filepath.Join(page, module))+`");
		fs.writeSync(1, JSON.stringify(await (`+function+`)(page, JSON.parse(fs.readFileSync(0, "utf8")))));
		process.exit();`) // a timer of the page would keep it alive
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(text)), os.Stderr
	text, err = cmd.Output()
	fatal(t, err)
	fatal(t, json.Unmarshal(text, out))
}

// painted is an element of the quiet hours of a device, as the API has them.
type painted struct {
	Days []string `json:"days"`
	From string   `json:"from"`
	To   string   `json:"to"`
}

func onDays(names string) []string {
	if names == "all" {
		names = "mon tue wed thu fri sat sun"
	}
	return strings.Fields(names)
}

func TestQuietWords(t *testing.T) {
	t.Parallel()
	rows := []struct {
		hours []painted
		want  string
	}{
		{nil, "No quiet hours. It rings at any time."},
		{[]painted{{onDays("all"), "22:00", "07:00"}}, "Quiet every night from 22:00 to 07:00."},
		{[]painted{{onDays("all"), "12:30", "14:00"}}, "Quiet every day from 12:30 to 14:00."},
		{[]painted{{onDays("all"), "20:00", "00:00"}}, "Quiet every day from 20:00 to midnight."},
		{[]painted{{onDays("sun mon tue wed thu"), "22:00", "07:00"}}, "Quiet Sunday to Thursday from 22:00 to 07:00."},
		{[]painted{{onDays("mon wed"), "9:15", "09:45"}}, "Quiet on Monday and Wednesday from 09:15 to 09:45."},
		{[]painted{{onDays("sat sun"), "00:00", "00:00"}}, "Quiet all day on Saturday and Sunday."},
		{[]painted{{onDays("mon tue wed"), "00:00", "00:00"}}, "Quiet all day Monday to Wednesday."},
		{[]painted{{onDays("sat"), "08:00", "08:00"}}, "Quiet on Saturday from 08:00 to 08:00."},
		{[]painted{{onDays("fri"), "22:00", "00:00"}, {onDays("sat sun"), "00:00", "00:00"}, {onDays("mon"), "00:00", "07:00"}}, "Quiet from Friday 22:00 to Monday 07:00."},
		{[]painted{{onDays("fri"), "22:00", "00:00"}, {onDays("sat sun"), "00:00", "00:00"}}, "Quiet from Friday 22:00 to Sunday midnight."},
		{[]painted{{onDays("all"), "22:00", "07:00"}, {onDays("sat sun"), "00:00", "00:00"}}, "Quiet Monday to Thursday from 22:00 to 07:00 and from Friday 22:00 to Monday 07:00."},
		{[]painted{{onDays("sun"), "23:00", "01:00"}, {onDays("mon"), "00:30", "02:00"}}, "Quiet on Sunday from 23:00 to 02:00."},
		{[]painted{{onDays("all"), "06:00", "06:00"}}, "Always quiet."},
	}
	var hours [][]painted
	for _, row := range rows {
		hours = append(hours, row.hours)
	}
	var got []string
	runModule(t, "quiet.js", `(page, rows) => self.speak("en-GB") && rows.map((hours) => self.texts.quiet(page.groupsOf(hours ?? [])))`, hours, &got)
	for i, row := range rows {
		if got[i] != row.want {
			t.Errorf("of %v the page says %q, want %q", row.hours, got[i], row.want)
		}
	}
}

func TestQuietPainting(t *testing.T) {
	t.Parallel()
	t.Run("what is painted is what is stored", func(t *testing.T) {
		t.Parallel()
		rng := testenv.Rand(t)
		var weeks [][]bool
		for n := range 200 {
			week := make([]bool, 7*48)
			quiet := n%2 == 0
			for i := range week {
				if rng.IntN(1+n) == 0 {
					quiet = !quiet
				}
				week[i] = quiet
			}
			weeks = append(weeks, week)
		}
		var got struct {
			Again [][]bool
			Hours [][]painted
		}
		runModule(t, "quiet.js", `(page, weeks) => { const hours = weeks.map(page.hoursOf); return { hours, again: hours.map(page.slotsOf) }; }`, weeks, &got)
		if !reflect.DeepEqual(got.Again, weeks) {
			t.Error("a week is not what was painted")
		}
		for _, hours := range got.Hours {
			for _, h := range hours {
				if len(h.Days) == 0 || len(h.From) != 5 || len(h.To) != 5 {
					t.Errorf("the API would refuse %v", h)
				}
			}
		}
	})
	t.Run("equal hours of several days are one", func(t *testing.T) {
		t.Parallel()
		in := []painted{{onDays("all"), "22:00", "07:00"}}
		var got []painted
		runModule(t, "quiet.js", `(page, hours) => page.hoursOf(page.slotsOf(hours))`, in, &got)
		if !reflect.DeepEqual(got, in) {
			t.Errorf("it is %v", got)
		}
	})
	t.Run("hours that begin within a slot are painted whole", func(t *testing.T) {
		t.Parallel()
		var got []painted
		runModule(t, "quiet.js", `(page, hours) => page.hoursOf(page.slotsOf(hours))`, []painted{{onDays("tue"), "21:50", "22:01"}}, &got)
		if want := []painted{{onDays("tue"), "21:30", "22:30"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("it is %v", got)
		}
	})
	t.Run("a stroke fills the rectangle between two slots, whichever comes first", func(t *testing.T) {
		t.Parallel()
		var got [][]painted
		runModule(t, "quiet.js", `(page) => { const none = page.slotsOf([]); return [[44, 2 * 48 + 45], [2 * 48 + 44, 45]].map(([one, other]) => page.hoursOf(page.rectangle(none, one, other, true))); }`, nil, &got)
		for _, hours := range got {
			if want := []painted{{onDays("mon tue wed"), "22:00", "23:00"}}; !reflect.DeepEqual(hours, want) {
				t.Errorf("it is %v", hours)
			}
		}
	})
}

// TestClock: times have 12 or 24 hours as the browser has them, and the language of the texts.
func TestClock(t *testing.T) {
	t.Parallel()
	wants := map[string]string{"en-US": "9:05 PM", "en-GB": "21:05", "de-DE": "21:05", "pl": "21:05", "": "9:05 PM"}
	var languages []string
	for language := range wants {
		languages = append(languages, language)
	}
	var got map[string][]string
	runModule(t, "quiet.js", `(page, languages) => Object.fromEntries(languages.map((language) => {
		self.speak(language || undefined);
		const noon = new Date(2024, 0, 1, 12);
		return [language, [self.texts.quietSlot(0, 21 * 60 + 5).replace(/\s/g, " "), noon.toLocaleDateString(self.texts.locale(), { month: "long" })]];
	}))`, languages, &got)
	for language, want := range wants {
		if got[language][0] != "Monday "+want || got[language][1] != "January" {
			t.Errorf("%q: it is %q", language, got[language])
		}
	}
}

func TestRuleSentences(t *testing.T) {
	t.Parallel()
	rows := []struct {
		rule object
		want string
	}{
		{object{"if": object{}, "then": object{}}, "Whatever it is, let it ring."},
		{object{"if": object{"from": []string{""}, "subject": []string{"trip", ""}}, "then": object{"ring": "silent"}}, "If it is from … and the subject has “trip” or “…”, show it without a sound."},
		{object{"if": object{"from": []string{"@school.example"}, "subject": []string{"trip"}}, "then": object{"ring": "silent"}},
			"If it is from @school.example and the subject has “trip”, show it without a sound."},
		{object{"if": object{"from": []string{"a@b.example", "Berta", "@c.example"}}, "then": object{"ring": "loud"}},
			"If it is from a@b.example, Berta, or @c.example, let it ring loudly, in quiet hours too."},
		{object{"if": object{"bulk": true, "answer": false, "above": 2_500_000}, "then": object{"ring": "not", "content": "wake"}},
			"If it was sent to many, or by a program, it is no answer to me, and it is larger than 2.5 MB, do not show it."},
		{object{"if": object{"folder": []string{"Lists"}, "list": []string{"golang"}, "words": []string{"release", "security"}}, "then": object{"ring": "ring", "content": "sender"}},
			"If it is in the folder Lists, it is from the mailing list golang, and the subject or the first words have “release” or “security”, let it ring, with no more than who wrote."},
		{object{"if": object{"to": []string{"me@b.example"}, "attachment": true, "first": true, "below": 100_000}, "then": object{"content": "wake"}},
			"If it is to me@b.example, it has an attachment, it is the first mail from its sender, and it is smaller than 0.1 MB, let it ring, with no more than that new mail arrived."},
	}
	var rules []object
	for _, row := range rows {
		rules = append(rules, row.rule)
	}
	var got struct {
		Said  []string
		Again []object
	}
	runModule(t, "rules.js", `(page, rules) => ({ said: rules.map(page.sentence), again: rules.map((rule) => page.ruleOf(page.conditionsOf(rule), rule.then)) })`, rules, &got)
	var again []object
	runModule(t, "rules.js", `(page, rules) => rules`, rules, &again)
	for i, row := range rows {
		if got.Said[i] != row.want {
			t.Errorf("of %v the page says %q, want %q", row.rule, got.Said[i], row.want)
		}
	}
	if !reflect.DeepEqual(got.Again, again) {
		t.Errorf("edited and not changed, the rules are %v, want %v", got.Again, again)
	}
}

func TestMuteEnds(t *testing.T) {
	t.Setenv("TZ", "Europe/Berlin")
	rows := []struct {
		now  string
		want []string
	}{
		{"2026-11-30T02:00:00+01:00", []string{"2026-11-30T02:00:00.000Z", "2026-11-30T06:00:00.000Z", "2026-11-30T06:00:00.000Z", ""}},
		{"2026-11-30T07:00:00+01:00", []string{"2026-11-30T07:00:00.000Z", "2026-12-01T06:00:00.000Z", "2026-12-07T06:00:00.000Z", ""}},
		// The clocks go forward in the night to Sunday.
		{"2026-03-28T22:00:00+01:00", []string{"2026-03-28T22:00:00.000Z", "2026-03-29T05:00:00.000Z", "2026-03-30T05:00:00.000Z", ""}},
	}
	for _, row := range rows {
		var got []string
		runModule(t, "mute.js", `(page, now) => ["hour", "morning", "monday", "ever"].map((end) => page.ends[end](new Date(now))?.toISOString() ?? "")`, row.now, &got)
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("at %s they end at %v, want %v", row.now, got, row.want)
		}
	}
}

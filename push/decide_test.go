package push

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/testenv"
	"idlepush/ring"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	t.Run("each wish, and each pair of wishes that meet, is decided as the table says", decideTable)
	t.Run("the table has each pair", decidePairs)
	t.Run("what was held says what held it, since when and until when", decideAgain)
	t.Run("it names what decided, so that a later change of that shows", decideSources)
	t.Run("each code has its sentence, with its parameters", decideSentences)
	t.Run("a hold ends, and who may come through is not held, whatever is wished", decideAnything)
}

// late is a Tuesday at 23:00 in Berlin.
var late = time.Date(2026, 3, 3, 22, 0, 0, 0, time.UTC)

// aboutAnn is a question about a mail that nothing has been wished of.
func aboutAnn() question {
	return question{kind: idlepush.KindMail, account: "ann's", folder: "INBOX", device: "phone", now: late,
		facts: foldFacts(ring.Facts{From: "ann@example.org", Name: "Ann", Subject: "Lunch", Thread: []string{"first", "second", "this"}})}
}

// feature is a wish, or what else a decision depends on.
type feature struct {
	group string // of which only one can be
	set   func(q *question)
}

func muteOf(m ring.Mute) feature {
	return feature{"mute", func(q *question) { q.wishes.Mutes = append(q.wishes.Mutes, m) }}
}

func ruleOf(a ring.Action) feature {
	return feature{"rule", func(q *question) {
		q.wishes.Rules = append(q.wishes.Rules, ring.Rule{If: ring.Match{From: []string{"@example.com"}}}, ring.Rule{If: ring.Match{From: []string{"ann"}}, Then: a})
	}}
}

func elseOf(a ring.Action) feature {
	return feature{"else", func(q *question) { q.wishes.Otherwise = a }}
}

func quietOf(mode ring.QuietMode, people, attention bool) feature {
	return feature{"quiet", func(q *question) {
		q.on.Quiet = ring.Quiet{Zone: "Europe/Berlin", Hours: []ring.Hours{night}, Mode: mode, People: people, Attention: attention}
	}}
}

func kindOf(k idlepush.Kind, more ...func(q *question)) feature {
	return feature{"kind", func(q *question) {
		q.kind, q.facts, q.folder = k, foldedFacts{}, ""
		for _, set := range more {
			set(q)
		}
	}}
}

func foldersOf(account string, names ...string) feature {
	return feature{"folders", func(q *question) { q.on.Folders = map[string][]string{account: names} }}
}

var features = map[string]feature{
	"other folders":    foldersOf("ann's", "Archive"),
	"this folder":      foldersOf("ann's", "Archive", "Inbox"),
	"no folder":        foldersOf("ann's"),
	"another's folder": foldersOf("ben's", "Archive"),

	"mailbox muted":      muteOf(ring.Mute{Of: ring.MuteMailbox}),
	"sender muted":       muteOf(ring.Mute{Of: ring.MuteSender, Sender: "ann@example.org", Until: late.Add(10 * time.Hour)}),
	"thread muted":       muteOf(ring.Mute{Of: ring.MuteConversation, Thread: []string{"first", "another"}, Until: late.Add(5 * 24 * time.Hour)}),
	"muted here":         muteOf(ring.Mute{Of: ring.MuteSender, Sender: "ann@example.org", Device: "phone"}),
	"muted elsewhere":    muteOf(ring.Mute{Of: ring.MuteMailbox, Device: "tablet"}),
	"mute just ended":    muteOf(ring.Mute{Of: ring.MuteMailbox, Until: late}),
	"mute ends soon":     muteOf(ring.Mute{Of: ring.MuteMailbox, Until: late.Add(1)}),
	"mute not begun":     muteOf(ring.Mute{Of: ring.MuteMailbox, Since: late.Add(1)}),
	"mute just begun":    muteOf(ring.Mute{Of: ring.MuteConversation, Thread: []string{"this"}, Since: late}),
	"ben muted":          muteOf(ring.Mute{Of: ring.MuteSender, Sender: "ben@example.org"}),
	"other thread muted": muteOf(ring.Mute{Of: ring.MuteConversation, Thread: []string{"another"}}),

	"rule rings":          ruleOf(ring.Action{}),
	"rule loud":           ruleOf(ring.Action{Ring: ring.VolumeLoud}),
	"rule silent":         ruleOf(ring.Action{Ring: ring.VolumeSilent}),
	"rule not":            ruleOf(ring.Action{Ring: ring.VolumeNot}),
	"rule rings, sender":  ruleOf(ring.Action{Ring: ring.VolumeNormal, Content: "sender"}),
	"rule silent, sender": ruleOf(ring.Action{Ring: ring.VolumeSilent, Content: "sender"}),

	"else loud":   elseOf(ring.Action{Ring: ring.VolumeLoud}),
	"else silent": elseOf(ring.Action{Ring: ring.VolumeSilent}),
	"else not":    elseOf(ring.Action{Ring: ring.VolumeNot}),
	"else wake":   elseOf(ring.Action{Content: "wake"}),

	"person":       {"person", func(q *question) { q.wishes.People = []string{"ben@example.com", "@example.org"} }},
	"other person": {"person", func(q *question) { q.wishes.People = []string{"ben@example.org"} }},

	"hold":           quietOf(ring.QuietHold, false, false),
	"hold, people":   quietOf(ring.QuietHold, true, false),
	"hold, all pass": quietOf(ring.QuietHold, true, true),
	"hush":           quietOf(ring.QuietSilent, false, false),
	"hush, people":   quietOf(ring.QuietSilent, true, false),
	"hush, all pass": quietOf(ring.QuietSilent, true, true),
	"not quiet":      {"quiet", func(q *question) { quietOf(ring.QuietHold, false, false).set(q); q.now = late.Add(9 * time.Hour) }},

	"burst":       {"burst", func(q *question) { q.opens = late.Add(30 * time.Second) }},
	"burst ended": {"burst", func(q *question) { q.opens = late }},

	"summary":           kindOf(idlepush.KindSummary),
	"summary of folder": kindOf(idlepush.KindSummary, func(q *question) { q.folder = "INBOX" }),
	"silent summary":    kindOf(idlepush.KindSummary, func(q *question) { q.silent = true }),
	"attention":         kindOf(idlepush.KindAttention),
	"clear":             kindOf(idlepush.KindClear),
	"test":              kindOf(idlepush.KindTest),
}

// meeting are the features of which each meets each of another group in a row of decisions.
var meeting = []string{"other folders", "mailbox muted", "sender muted", "thread muted", "rule rings", "rule loud", "rule silent", "rule not", "else loud", "else silent", "else not",
	"person", "hold", "hold, people", "hush", "hush, people", "burst", "summary", "attention", "clear", "test"}

// ask returns the question with the features, which are separated by " + ".
func ask(t testing.TB, given string) question {
	q := aboutAnn()
	groups := make(map[string]bool)
	// The kind goes first, because it takes the folder away.
	names := strings.Split(given, " + ")
	slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(order(a), order(b)) })
	for _, name := range names {
		f, ok := features[name]
		if !ok && name != "" || groups[f.group] && f.group != "mute" {
			t.Fatalf("%q: %q is unknown, or cannot be with another", given, name)
		}
		if groups[f.group] = true; ok {
			f.set(&q)
		}
	}
	return q
}

func order(name string) string {
	if features[name].group == "kind" {
		return ""
	}
	return "x"
}

// brief returns a decision as the table has it.
func brief(d ring.Decision) string {
	words := []string{string(d.Verdict)}
	if d.Loud {
		words[0] += " loud"
	}
	if !d.Until.IsZero() {
		words = append(words, "for "+d.Until.Sub(late).String())
	}
	if d.Content != "" {
		words = append(words, "at most "+d.Content)
	}
	if d.Code != "" {
		code := string(d.Code)
		if which := d.Params[codes.Case]; which != "" {
			code += "/" + which
		}
		words = append(words, code)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Params)) {
		if name != codes.Case {
			words = append(words, name+" "+d.Params[name])
		}
	}
	return strings.Join(words, ", ")
}

func decideTable(t *testing.T) {
	t.Parallel()
	for _, row := range decisions {
		if got := brief(decide(ask(t, row.given))); got != row.want {
			t.Errorf("%s: %s, want %s", row.given, got, row.want)
		}
	}
}

func decidePairs(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, row := range decisions {
		if seen[row.given] {
			t.Errorf("%s is there twice", row.given)
		}
		seen[row.given] = true
	}
	for i, a := range meeting {
		for _, b := range meeting[i+1:] {
			if features[a].group != features[b].group && !seen[a+" + "+b] {
				t.Errorf("%s + %s is not there", a, b)
			}
		}
	}
	for name := range features {
		if !slices.ContainsFunc(decisions, func(row decisionRow) bool { return slices.Contains(strings.Split(row.given, " + "), name) }) {
			t.Errorf("%s is not there", name)
		}
	}
}

func decideSentences(t *testing.T) {
	t.Parallel()
	table := codes.Join(Codes)
	used := make(map[string]bool)
	for _, row := range decisions {
		d := decide(ask(t, row.given))
		if used[string(d.Code)+"/"+d.Params[codes.Case]] = true; d.Code == "" {
			continue
		}
		if err := table.Check(d.Code, d.Params); err != nil {
			t.Errorf("%s: %v", row.given, err)
		}
	}
	for _, code := range []codes.Code{codeFolder, codeMuted, codeRule, codeOtherwise, codeQuiet, codeThrough, codePerson, codeBurst, codeSilent} {
		for which := range table[code].Cases {
			if !used[string(code)+"/"+which] {
				t.Errorf("no row of the table is decided by %s/%s", code, which)
			}
		}
	}
}

// anything returns a question with random features, at a random time.
func anything(t *testing.T, r *rand.Rand) question {
	var given []string
	groups := make(map[string]bool)
	names := slices.Sorted(maps.Keys(features))
	for range r.IntN(6) {
		name := names[r.IntN(len(names))]
		if f := features[name]; f.group == "mute" || !groups[f.group] {
			groups[f.group] = true
			given = append(given, name)
		}
	}
	q := ask(t, strings.Join(given, " + "))
	if len(q.on.Quiet.Hours) > 0 && r.IntN(2) == 0 {
		q.on.Quiet.Hours = randomHours(r)
	}
	q.now = q.now.Add(time.Duration(r.IntN(365*24*60*60)) * time.Second)
	if !q.opens.IsZero() {
		q.opens = q.now.Add(time.Duration(r.IntN(90)-30) * time.Second)
	}
	return q
}

func decideAnything(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range 20000 {
		q := anything(t, r)
		d := decide(q)
		if again := decide(q); !reflect.DeepEqual(d, again) {
			t.Errorf("%+v is decided as %+v, and then as %+v", q, d, again)
		}
		held := d.Verdict == ring.Held
		ends := held || d.Verdict == ring.Silent && d.Code == codeQuiet || !d.Until.IsZero()
		if ends && !d.Until.After(q.now) || held != d.Since.Equal(q.now) || d.Loud && d.Verdict != ring.Now {
			t.Errorf("%+v: %+v", q, d)
		}
		if d.Verdict == ring.Held {
			checkHoldEnds(t, q, d)
		}
		calm := q
		calm.on.Quiet, calm.opens = ring.Quiet{}, time.Time{}
		wanted := decide(calm)
		if wanted.Verdict == ring.Held || (wanted.Verdict == ring.Not) != (d.Verdict == ring.Not) || wanted.Content != d.Content {
			t.Errorf("%+v: %+v, and when it is calm %+v", q, d, wanted)
		}
		mayPass := q.on.Quiet.People || quietUntil(q.on.Quiet, q.now).IsZero()
		if q.kind == idlepush.KindMail && mayPass && (q.wishes.includesPerson(q.facts) || wanted.Loud) && d.Verdict != wanted.Verdict {
			t.Errorf("%+v: %+v, though it comes through", q, d)
		}
	}
}

// checkHoldEnds checks that what was held is not held for longer than quiet hours last.
func checkHoldEnds(t *testing.T, q question, d ring.Decision) {
	endless := quietUntil(q.on.Quiet, q.now).Equal(q.now.Add(longestHold))
	q.now = d.Until
	if d.Code == codeBurst { // it may be quiet by then
		if d = decide(q); d.Verdict != ring.Held {
			return
		}
		endless = quietUntil(q.on.Quiet, q.now).Equal(q.now.Add(longestHold))
		q.now = d.Until
	}
	if again := decide(q); again.Verdict == ring.Held && !endless {
		t.Errorf("%+v was held until now, and is then: %+v", q, again)
	}
}

func decideAgain(t *testing.T) {
	t.Parallel()
	at := func(after time.Duration) time.Time { return late.Add(after) }
	held := func(code codes.Code, since, until time.Duration) ring.Decision {
		return ring.Decision{Verdict: ring.Held, Code: code, Since: at(since), Until: at(until)}
	}
	again := held(codeQuiet, -time.Hour, time.Hour)
	again.Waited = &ring.Wait{Code: codeBurst, Since: at(-2 * time.Hour), Until: at(-time.Hour)}
	shown := ring.Decision{Verdict: ring.Now, Waited: again.Waited}
	for _, c := range []struct {
		name   string
		given  string
		before ring.Decision
		since  time.Duration // if it is held
		waited *ring.Wait
	}{
		{"for the first time", "hold", ring.Decision{}, 0, nil},
		{"quiet hours that go on", "hold", held(codeQuiet, -time.Hour, time.Minute), -time.Hour, nil},
		{"quiet hours that have ended", "not quiet", held(codeQuiet, -time.Hour, 8*time.Hour), 0, &ring.Wait{Code: codeQuiet, Since: at(-time.Hour), Until: at(8 * time.Hour)}},
		{"quiet hours that a person has ended", "", held(codeQuiet, -time.Hour, 8*time.Hour), 0, &ring.Wait{Code: codeQuiet, Since: at(-time.Hour), Until: late}},
		{"a burst that ends in quiet hours", "hold", held(codeBurst, -time.Minute, 0), 0, &ring.Wait{Code: codeBurst, Since: at(-time.Minute), Until: late}},
		{"a burst after that", "burst", again, 0, &ring.Wait{Code: codeQuiet, Since: at(-time.Hour), Until: late}},
		{"quiet hours that go on after a burst", "hold", again, -time.Hour, again.Waited},
		{"another try", "", shown, 0, shown.Waited},
		{"a mute", "mailbox muted", held(codeQuiet, -time.Hour, 0), 0, &ring.Wait{Code: codeQuiet, Since: at(-time.Hour), Until: late}},
		{"the limit of a service", "attention", held("", -time.Hour, 0), 0, nil},
	} {
		q := ask(t, c.given)
		q.before = c.before
		d := decide(q)
		if !reflect.DeepEqual(d.Waited, c.waited) || d.Verdict == ring.Held && !d.Since.Equal(at(c.since)) {
			t.Errorf("%s: since %v, after %+v; want %v, %+v", c.name, d.Since, d.Waited, at(c.since), c.waited)
		}
	}
}

func decideSources(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]ring.Source{
		"":                           {},
		"other folders":              {Folders: 3},
		"mailbox muted":              {Mute: "mute"},
		"rule rings":                 {Rules: 1},
		"rule loud":                  {Rules: 1},
		"rule silent":                {Rules: 1},
		"rule not":                   {Rules: 1},
		"else silent":                {Rules: 1},
		"else not":                   {Rules: 1},
		"person":                     {Rules: 1},
		"person + hold, people":      {Rules: 1},
		"hold":                       {Quiet: 2},
		"rule rings + hold":          {Quiet: 2},
		"hush":                       {Quiet: 2},
		"rule loud + hush":           {Quiet: 2},
		"rule silent + hush":         {Rules: 1},
		"rule rings + burst":         {},
		"hold, all pass + attention": {Quiet: 2},
		"else wake":                  {},
	} {
		q := ask(t, given)
		q.wishes.RulesSince, q.on.QuietSince, q.on.FoldersSince = 1, 2, 3
		for i := range q.wishes.Mutes {
			q.wishes.Mutes[i].ID = "mute"
		}
		if got := decide(q).By; got != want {
			t.Errorf("%s is decided by %+v, want %+v", given, got, want)
		}
	}
}

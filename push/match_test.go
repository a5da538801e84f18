package push

import (
	"fmt"
	"strings"
	"testing"

	"idlepush"
	"idlepush/ring"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	t.Run("all that a rule asks for must hold, and of several texts one", matchTable)
	t.Run("texts are found in any case, with other accents or none", matchTexts)
	t.Run("a letter of another address or word is not", matchOtherTexts)
	t.Run("addresses and domains are compared as mail does", matchAddresses)
	t.Run("wishes stay as they are", matchKeeps)
}

func matchTable(t *testing.T) {
	t.Parallel()
	mail := ring.Facts{From: "ann.berg@shop.example.org", Name: "Ann Berg", To: []string{"me@example.net", "club@lists.example.net"}, Subject: "Summer sale",
		Words: "Only today", List: "offers.shop.example.org", Bulk: true, Size: 5000}
	yes, no := new(true), new(false)
	for _, c := range []struct {
		name string
		rule ring.Match
		want bool
	}{
		{"nothing", ring.Match{}, true},
		{"the address", ring.Match{From: []string{"ann.berg@shop.example.org"}}, true},
		{"a part of the address with @", ring.Match{From: []string{"berg@shop.example.org"}}, false},
		{"the domain", ring.Match{From: []string{"@shop.example.org"}}, true},
		{"a domain above", ring.Match{From: []string{"@example.org"}}, true},
		{"a part of the name", ring.Match{From: []string{"berg"}}, true},
		{"a part of the address", ring.Match{From: []string{"shop"}}, true},
		{"neither", ring.Match{From: []string{"ben", "@example.com"}}, false},
		{"one of several", ring.Match{From: []string{"ben", "@example.org"}}, true},
		{"the second receiver", ring.Match{To: []string{"@lists.example.net"}}, true},
		{"a part of a receiver", ring.Match{To: []string{"club"}}, true},
		{"no receiver", ring.Match{To: []string{"ann"}}, false},
		{"the subject", ring.Match{Subject: []string{"winter", "sale"}}, true},
		{"another subject", ring.Match{Subject: []string{"winter"}}, false},
		{"the words are not the subject", ring.Match{Subject: []string{"today"}}, false},
		{"words", ring.Match{Words: []string{"today"}}, true},
		{"words of the subject", ring.Match{Words: []string{"summer"}}, true},
		{"words across both", ring.Match{Words: []string{"sale only"}}, false},
		{"the folder", ring.Match{Folder: []string{"Archive", "inbox"}}, true},
		{"another folder", ring.Match{Folder: []string{"Archive"}}, false},
		{"a part of the folder", ring.Match{Folder: []string{"INB"}}, false},
		{"the list", ring.Match{List: []string{"OFFERS"}}, true},
		{"another list", ring.Match{List: []string{"golang"}}, false},
		{"bulk", ring.Match{Bulk: yes}, true},
		{"not bulk", ring.Match{Bulk: no}, false},
		{"attachment", ring.Match{Attachment: yes}, false},
		{"no attachment", ring.Match{Attachment: no}, true},
		{"answer", ring.Match{Answer: yes}, false},
		{"no answer", ring.Match{Answer: no}, true},
		{"first", ring.Match{First: yes}, false},
		{"not first", ring.Match{First: no}, true},
		{"above", ring.Match{Above: 4999}, true},
		{"not above", ring.Match{Above: 5000}, false},
		{"below", ring.Match{Below: 5001}, true},
		{"not below", ring.Match{Below: 5000}, false},
		{"between", ring.Match{Above: 1, Below: 5001}, true},
		{"two that hold", ring.Match{From: []string{"ann"}, Subject: []string{"sale"}}, true},
		{"one of two", ring.Match{From: []string{"ann"}, Subject: []string{"winter"}}, false},
		{"an empty text", ring.Match{Subject: []string{""}}, false},
		{"only accents", ring.Match{Words: []string{"\u0301"}}, false},
		{"an empty domain", ring.Match{From: []string{"@"}}, false},
	} {
		if got := matches(foldWishes(ring.Wishes{Rules: []ring.Rule{{If: c.rule}}}).Rules[0].If, "INBOX", foldFacts(mail)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if matches(ring.Match{Below: 10}, "INBOX", foldedFacts{}) {
		t.Error("a mail of unknown size is small")
	}
	if matches(ring.Match{From: []string{"@example.org"}}, "INBOX", foldedFacts{}) {
		t.Error("a mail of nobody is of a domain")
	}
}

// isPart reports whether a rule with the text matches the subject.
func isPart(text, subject string) bool {
	return matches(foldWishes(ring.Wishes{Rules: []ring.Rule{{If: ring.Match{Subject: []string{text}}}}}).Rules[0].If, "", foldFacts(ring.Facts{Subject: subject}))
}

func matchTexts(t *testing.T) {
	t.Parallel()
	for text, subject := range map[string]string{
		"cafe": "Le Café", "Café": "LE CAFE\u0301", "MUNCHEN": "nach München", "strasse": "Straße 5", "STRASSE": "straße", "Straße": "GROSSE STRASSE",
		"istanbul": "İSTANBUL", "ISPARTA": "ısparta", "sorensen": "Sørensen", "Łódź": "lodz", "aegis": "ÆGIS", "coeur": "cœur", "fi": "ﬁnal", "abc": "ＡＢＣ", "№1": "No1",
		"елка": "Ёлка", "ΑΘΗΝΑ": "Αθήνα", "σοφος": "ΣΟΦΌΣ", "תורה": "תּוֹרָה", "محمد": "مُحَمَّد", "가": "가방", "が": "がっこう", "नमस्ते": "आप को नमस्ते", "a b": "a\u00a0b",
	} {
		if !isPart(text, subject) {
			t.Errorf("%q is not found in %q: %q, %q", text, subject, fold(text), fold(subject))
		}
	}
}

func matchOtherTexts(t *testing.T) {
	t.Parallel()
	for text, subject := range map[string]string{"か": "がっこう", "가": "각자", "กน": "กินข้าว", "muller": "Mueller", "а": "a", "कल": "किल"} {
		if isPart(text, subject) {
			t.Errorf("%q is found in %q", text, subject)
		}
	}
}

func matchAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		person, from string
		want         bool
	}{
		{"Ann@Example.ORG", "ann@example.org", true},
		{"ann@example.org", "ann@sub.example.org", false},
		{"ann@example.org", "joann@example.org", false},
		{"@Example.org", "ann@example.org", true},
		{"@example.org", "ann@mail.sub.example.org", true},
		{"@example.org", "ann@badexample.org", false},
		{"@example.org", "ann@example.org.evil.example", false},
		{"@example.org", `"x@example.org"@evil.example`, false},
		{"@sub.example.org", "ann@example.org", false},
		{"@org", "ann@example.org", true},
		{"@bücher.example", "ann@xn--bcher-kva.example", true},
		{"@xn--bcher-kva.example", "ann@Bücher.example", true},
		{"@bücher.example", "ann@bu\u0308cher.example", true},
		{"@bücher.example", "ann@bucher.example", false},
		{"@bucher.example", "ann@bücher.example", false},
		{"jörg@example.org", "jo\u0308rg@example.org", true},
		{"jorg@example.org", "jörg@example.org", false},
		{"ann", "ann@example.org", false},
		{"@", "ann@example.org", false},
		{"", "", false},
		{"@example.org", "", false},
	} {
		if got := foldWishes(ring.Wishes{People: []string{c.person}}).includesPerson(foldFacts(ring.Facts{From: c.from})); got != c.want {
			t.Errorf("%q, mail from %q: %v", c.person, c.from, got)
		}
	}
}

func matchKeeps(t *testing.T) {
	t.Parallel()
	w := ring.Wishes{People: []string{"@Bücher.example"}, Mutes: []ring.Mute{{Of: ring.MuteSender, Sender: "Ann@example.org"}},
		Rules: []ring.Rule{{If: ring.Match{From: []string{"Ann"}, Subject: []string{"Café"}}}}}
	before := fmt.Sprint(w.People, w.Rules, w.Mutes)
	foldWishes(w)
	if after := fmt.Sprint(w.People, w.Rules, w.Mutes); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

// BenchmarkDecide decides on a mail with the most rules that there can be, of which none matches,
// and compares that with a single rule.
func BenchmarkDecide(b *testing.B) {
	facts := ring.Facts{From: "ann@example.org", Name: "Ann", To: []string{"me@example.net"}, Subject: strings.Repeat("Déjà vu ", 20), Words: strings.Repeat("Größe ", 30)}
	for _, rules := range []int{1, ring.MaxRules} {
		w := ring.Wishes{}
		for i := range rules {
			var texts []string
			for j := range ring.MaxTexts {
				texts = append(texts, fmt.Sprintf("Füllwort %d %d", i, j))
			}
			w.Rules = append(w.Rules, ring.Rule{If: ring.Match{Words: texts}})
		}
		q := question{kind: idlepush.KindMail, facts: foldFacts(facts), wishes: foldWishes(w), now: late,
			on: ring.DeviceWishes{Quiet: ring.Quiet{Zone: "Europe/Berlin", Hours: []ring.Hours{night}}}}
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			for b.Loop() {
				decide(q)
			}
		})
		b.Run(fmt.Sprintf("rules=%d/fold", rules), func(b *testing.B) {
			for b.Loop() {
				q.wishes, q.facts = foldWishes(w), foldFacts(facts)
			}
		})
	}
}

package cleantext

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	t.Parallel()
	t.Run("a name is one that others can read", readableNames)
	t.Run("a person is found by the name however it is typed", typedNames)
	t.Run("look-alikes have a look in common", lookalikeNames)
	t.Run("different names have none in common", differentNames)
}

func readableNames(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"Anna": "Anna", "anna maria": "anna maria", "O'Brien": "O'Brien", "user1@example.org": "user1@example.org",
		"Ａｎｎａ": "Anna", "Zoe\u0308": "Zoë", "Анна": "Анна", "Άννα": "Άννα", "山田太郎": "山田太郎", "山田 タロウ": "山田 タロウ", "さくら": "さくら",
		"김민준": "김민준", "عمر": "عمر", "علی\u200cرضا": "علی\u200cرضا", "अनिता": "अनिता", "דוד": "דוד", "Paula·": "", "Gal·la": "Gal·la", "Anna2": "Anna2",
		"": "", " Anna": "", "Anna ": "", "An  na": "", "Аdam": "", "annа": "", "Anna Мария": "", "An\u200bna": "", "An\u202ena": "", "An\u2066na": "",
		"An\u00adna": "", "Anna\n": "", "Anna\u00a0M": "", "A\u034fnna": "", "Anna 🐱": "", "①nna": "", "ﬁn": "", "Anna™": "", "\ufffd": "", "an\u200dna": "",
		"𝐀nna": "", "عمرanna": "", "\u0378": "",
	} {
		if name, ok := Name(raw); ok != (want != "") || ok && name != want {
			t.Errorf("%q becomes %q (%v), want %q", raw, name, ok, want)
		}
	}
}

func typedNames(t *testing.T) {
	t.Parallel()
	for typed, name := range map[string]string{
		"anna": "Anna", "ANNA": "anna", "ａｎｎａ": "Anna", " anna  maria ": "Anna Maria", "ZOE\u0308": "Zoë", "АННА": "Анна", "νίκος": "ΝΊΚΟΣ", "ſam": "Sam",
	} {
		if NameKey(typed) != NameKey(name) {
			t.Errorf("%q does not find %q", typed, name)
		}
	}
	for typed, name := range map[string]string{"an na": "anna", "ánna": "anna", "Аnnа": "Anna"} {
		if NameKey(typed) == NameKey(name) {
			t.Errorf("%q finds %q", typed, name)
		}
	}
}

// alike reports whether two names have a look in common.
func alike(a, b string) bool {
	x, y := Looks(a), Looks(b)
	return x[0] == y[0] || x[1] == y[1]
}

func lookalikeNames(t *testing.T) {
	t.Parallel()
	for a, b := range map[string]string{
		"адам": "aдaм", "Аdam": "Adam", "annı": "anni", "a\u0301nna": "anna", "ánna": "Anna", "an\u200bna": "anna", "an\u200cna": "anna", "Ian": "lan", "MIA": "MlA",
		"Anna": "ΑΝΝΑ", "paul": "pau1", "BOB": "B0B", "bob": "b0b", "Tom": "Torn", "АННА": "AHHA", "сора": "copa", "ΝΊΟ": "NIO", "νίο": "vío", "ΑΝΝΑ": "ANNA", "Lan": "Ian", "օհ": "oհ", "anna": "ɑnnɑ", "jorg": "jörg", "ᎪᏞᎪᏚ": "ALAS",
	} {
		if !alike(a, b) || !alike(b, a) {
			t.Errorf("%q and %q have the looks %q and %q", a, b, Looks(a), Looks(b))
		}
	}
}

func differentNames(t *testing.T) {
	t.Parallel()
	names := []string{"Anna", "Anne", "Ann", "Ana", "Hanna", "Ian", "Ina", "Lina", "Mia", "Max", "Ben", "Ben2", "Ben3", "Tom", "Tim", "Lisa", "Elsa", "Ilse", "Else", "Анна", "Яна", "Άννα",
		"anna maria", "annamaria", "山田", "山本", "अनिता", "अनीता", "עמר", "דוד"}
	for i, a := range names {
		for _, b := range names[:i] {
			if alike(a, b) {
				t.Errorf("%q and %q have the looks %q and %q", a, b, Looks(a), Looks(b))
			}
		}
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"Anna’s iPhone": "Anna’s iPhone", "  my\tphone\n": "my phone", "❤\ufe0f 👩\u200d👩\u200d👧": "❤\ufe0f 👩\u200d👩\u200d👧", "pho\u0308ne": "phöne", "Ｐｈｏｎｅ": "Ｐｈｏｎｅ",
		"\u202egnp.phone": "gnp.phone", "\u2066a\u2069\u200bb\ufeff": "ab", "e" + strings.Repeat("\u0301", 9): "é\u0301\u0301\u0301",
		"": "", " \t": "", "\u200b\u202e": "", "\ue000": "", "\u0378": "",
	} {
		if label, ok := Label(raw); ok != (want != "") || ok && label != want {
			t.Errorf("%q becomes %q (%v), want %q", raw, label, ok, want)
		}
	}
}

func TestIsVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": true, "Schule & Sport/München": true, " two  spaces ": true, "می\u200cخواهم": true, "👩\u200d👧": true,
		"a\u202eb": false, "a\u2066b": false, "a\u200bb": false, "a\tb": false, "a\x00b": false, "a\u00adb": false, "\ufeffa": false, "a\u2028b": false} {
		if IsVisible(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

package cleantext

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// lookalikeTable has in each line what some characters look like, and those characters. It is the
// part of confusables.txt of UTS 39 that is about characters of a [Name] without accents.
//
// © Unicode, Inc., under the Unicode License V3, https://www.unicode.org/license.txt
//
//go:embed lookalikes.txt
var lookalikeTable string

var lookalikes = sync.OnceValue(func() map[rune]string {
	m := make(map[rune]string)
	for line := range strings.Lines(lookalikeTable) {
		look, characters, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		for _, r := range characters {
			m[r] = look
		}
	}
	return m
})

// Looks returns what the name looks like as it is, and in small letters. If one of both is the same
// for two names at the same index, people may take one name for the other. The texts are skeletons
// of UTS 39 section 4, and not for display. Neither case nor accents count.
func Looks(name string) [2]string {
	caseless := func(s string) string { return skeleton(strings.ToLower(skeleton(s))) }
	return [2]string{caseless(name), caseless(strings.ToLower(name))}
}

func skeleton(s string) string {
	var b strings.Builder
	for _, r := range withoutMarks(s) {
		if look, ok := lookalikes()[r]; ok {
			b.WriteString(look)
		} else {
			b.WriteRune(r)
		}
	}
	return withoutMarks(b.String())
}

// withoutMarks returns the text without invisible characters and accents: marks of no script. Those
// of a script, such as vowels of Devanagari, stay.
func withoutMarks(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.In(r, unicode.Mn, unicode.Me) && unicode.Is(unicode.Inherited, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

// Package cleantext makes texts of people fit to be shown to others. A [Line] is what a stranger
// wrote, with all taken out that is invisible or steers how the rest is shown. A [Label] is what a
// user calls a thing, such as a device. A [Name] is that of a user.
//
// Texts of users follow PRECIS (RFC 8264), the rules of the IETF for names. It is a package of its
// own because mail, the store and the API must agree on all of this.
package cleantext

import (
	"strings"
	"unicode"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Label returns what a user calls a thing, as a [Line] in NFC. ok is false if nothing is left, or
// if PRECIS does not allow one of its characters in free text (RFC 8264 section 4.3). An example is
// one that is not assigned. Characters that join emoji are allowed, too.
func Label(s string) (label string, ok bool) {
	label = norm.NFC.String(Line(s, len(s)))
	_, err := precis.OpaqueString.String(strings.Map(func(r rune) rune {
		if r == joiner || r == nonJoiner || unicode.Is(unicode.Variation_Selector, r) || r > '\U000e0000' && r <= lastTag {
			return -1 // Line has left only those that belong there
		}
		return r
	}, label))
	return label, err == nil
}

// IsVisible reports whether s is one line, and a [Line] of it would have all of its characters but
// white space.
func IsVisible(s string) bool {
	withoutSpace := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
	}
	breaks := func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) }
	return !strings.ContainsFunc(s, breaks) && withoutSpace(Line(s, len(s))) == withoutSpace(s)
}

// Name returns the name of a user as it is shown: full-width letters are made normal ones, accents
// are joined to their letters, and the case stays. ok is false for all but a name of the profile
// UsernameCasePreserved (RFC 8265 section 3.4): parts of letters, digits and ASCII characters, with
// one space in between. All letters must be of one script, as UTS 39 section 5.1 has it.
func Name(s string) (name string, ok bool) {
	parts := strings.Split(s, " ")
	for i, part := range parts {
		part, err := precis.UsernameCasePreserved.String(part)
		if err != nil || part == "" {
			return "", false
		}
		parts[i] = part
	}
	name = strings.Join(parts, " ")
	return name, isOneScript(name)
}

// isOneScript reports whether the letters are of one script, or of those that one language uses
// together: Japanese, Korean, or Chinese with Bopomofo.
func isOneScript(s string) bool {
	used := make(map[string]bool)
	for _, r := range s {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		for script, letters := range unicode.Scripts {
			if unicode.Is(letters, r) {
				used[script] = true
				break
			}
		}
	}
	if len(used) <= 1 {
		return true
	}
	for _, together := range [][]string{{"Han", "Hiragana", "Katakana"}, {"Han", "Hangul"}, {"Han", "Bopomofo"}} {
		n := 0
		for _, script := range together {
			if used[script] {
				n++
			}
		}
		if n == len(used) {
			return true
		}
	}
	return false
}

// NameKey returns a key that all ways to type a name have in common: in any case, with letters of
// any width, with accents apart from their letters, and with more spaces.
func NameKey(name string) string {
	name = norm.NFC.String(width.Fold.String(strings.Join(strings.Fields(name), " ")))
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

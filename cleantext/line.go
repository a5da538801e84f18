package cleantext

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

const (
	nonJoiner = '\u200c' // zero width non-joiner: keeps two letters apart that would join
	joiner    = '\u200d' // zero width joiner: makes one emoji of several, or one letter of two
	ellipsis  = "…"
	// mostMarks is how many combining marks may follow one letter; no language needs more, and
	// towers of them paint over their neighbours.
	mostMarks = 4
)

// Line returns a text as one line that is safe to show: white space and line ends become
// single spaces, none at the ends; control, bidirectional and invisible characters go, save those
// that are part of a letter or an emoji; and more than bound runes are cut, with an ellipsis.
func Line(s string, bound int) string {
	out := make([]rune, 0, min(len(s), bound+1))
	space, marks, tags := false, 0, 0
	for i, r := range s {
		if len(out) > bound {
			break
		}
		last := rune(0)
		if len(out) > 0 {
			last = out[len(out)-1]
		}
		switch {
		case unicode.IsSpace(r) || r == '\u2800': // an empty Braille cell
			space = last != 0
			continue
		case r == joiner || r == nonJoiner:
			if space || !belongs(r, out, s[i+utf8.RuneLen(r):]) {
				continue
			}
		case r == blackFlag:
			tags = flagTags(s[i+utf8.RuneLen(r):])
		case tags > 0:
			tags--
		case isInvisible(r) || r == utf8.RuneError && last == r && !space:
			continue
		}
		if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		}
		if marks > mostMarks {
			continue
		}
		if space {
			out = append(out, ' ')
			space = false
		}
		out = append(out, r)
	}
	return cutText(out, bound)
}

// belongs reports whether a joiner or non-joiner between two texts is a part of a word or of an
// emoji. For words see RFC 5892, appendix A.1 and A.2.
func belongs(r rune, before []rune, after string) bool {
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	next, _ := utf8.DecodeRuneInString(after)
	const virama = 9 // its canonical combining class
	switch {
	case norm.NFC.PropertiesString(string(last)).CCC() == virama:
		return true
	case r == joiner:
		return isEmoji(last) && isEmoji(next)
	}
	// Marks do not join: what counts are the letters on both sides of them.
	first := len(before) - 1
	for first > 0 && len(before)-first <= mostMarks && unicode.Is(unicode.M, before[first]) {
		first--
	}
	rest := strings.TrimLeftFunc(after[:min(len(after), utf8.UTFMax*mostMarks)], func(r rune) bool { return unicode.Is(unicode.M, r) })
	next, _ = utf8.DecodeRuneInString(rest)
	if !unicode.In(before[first], cursive...) || !unicode.In(next, cursive...) {
		return false
	}
	_, err := joiners.ToUnicode(string(before[first:]) + string(nonJoiner) + string(next))
	return err == nil
}

// joiners knows which letters join.
var joiners = idna.New(idna.CheckJoiners(true))

// cursive are the scripts whose letters join: those of ArabicShaping.txt in the Unicode Character
// Database.
var cursive = []*unicode.RangeTable{unicode.Adlam, unicode.Arabic, unicode.Chorasmian, unicode.Hanifi_Rohingya, unicode.Mandaic, unicode.Manichaean,
	unicode.Mongolian, unicode.Nko, unicode.Phags_Pa, unicode.Psalter_Pahlavi, unicode.Sogdian, unicode.Syriac}

const (
	blackFlag = '\U0001f3f4'
	lastTag   = '\U000e007f'
)

// flagTags is how many tag characters that s begins with make another flag of a black one, such as
// that of Scotland; 0: none. https://unicode.org/reports/tr51/#def_emoji_tag_sequence
func flagTags(s string) int {
	// A country, a region of up to three characters, and the last tag, with one to spare.
	const most = 7
	tags := []rune(s[:min(len(s), most*utf8.UTFMax)])
	end := slices.Index(tags, lastTag)
	if end < 3 || slices.ContainsFunc(tags[:end], func(r rune) bool {
		return (r < '\U000e0030' || r > '\U000e0039') && (r < '\U000e0061' || r > '\U000e007a')
	}) {
		return 0
	}
	return end + 1
}

// isInvisible tells characters that show nothing, or steer how others are shown.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point) || r&0xfffe == 0xfffe
}

// isEmoji tells what a joiner may join: pictures, their skin tones, and the mark that asks for
// colour. Pictures newer than Go's tables are known by their block.
func isEmoji(r rune) bool {
	return unicode.Is(unicode.So, r) && r != utf8.RuneError || r >= 0x1f000 && r <= 0x1faff || r == '\ufe0f'
}

// cutText cuts a text to bound runes, the ellipsis among them, and not inside a character as a
// reader sees it.
func cutText(text []rune, bound int) string {
	if len(text) <= bound {
		return string(text)
	}
	const longestCharacter = 16
	end := bound - len([]rune(ellipsis))
	for range longestCharacter {
		joined := text[end-1] == joiner || text[end] == joiner || text[end] == nonJoiner ||
			text[end] >= 0x1f3fb && text[end] <= 0x1f3ff || text[end] > '\U000e0000' && text[end] <= lastTag
		if end == 1 || !joined && !unicode.Is(unicode.M, text[end]) {
			break
		}
		end--
	}
	return strings.TrimRight(string(text[:end]), " \u200c\u200d") + ellipsis
}

package message

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	joiner   = '\u200d' // zero width joiner: makes one emoji of several
	ellipsis = "…"
	// mostMarks is how many combining marks may follow one letter; no language needs more, and towers of them paint over
	// their neighbours.
	mostMarks = 4
)

// cleanText returns a text as one line that is safe to show: white space and line ends become single spaces, none at the ends; control,
// bidirectional and invisible characters go, save a joiner between two emoji; and more than bound runes are cut, with an ellipsis.
func cleanText(s string, bound int) string {
	out := make([]rune, 0, min(len(s), bound+1))
	space, marks := false, 0
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
		case r == joiner:
			next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(joiner):])
			if space || !isEmoji(last) || !isEmoji(next) {
				continue
			}
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

// isInvisible tells characters that show nothing, or steer how others are shown.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point) || r&0xfffe == 0xfffe
}

// isEmoji tells what a joiner may join: pictures, their skin tones, and the mark that asks for colour. Pictures newer than Go's tables
// are known by their block.
func isEmoji(r rune) bool {
	return unicode.Is(unicode.So, r) && r != utf8.RuneError || r >= 0x1f000 && r <= 0x1faff || r == '\ufe0f'
}

// cutText cuts a text to bound runes, the ellipsis among them, and not inside what is seen as one character.
func cutText(text []rune, bound int) string {
	if len(text) <= bound {
		return string(text)
	}
	const longestCharacter = 16
	end := bound - len([]rune(ellipsis))
	for range longestCharacter {
		joined := text[end-1] == joiner || text[end] == joiner || text[end] >= 0x1f3fb && text[end] <= 0x1f3ff
		if end == 1 || !joined && !unicode.Is(unicode.M, text[end]) {
			break
		}
		end--
	}
	return strings.TrimRight(string(text[:end]), " \u200d") + ellipsis
}

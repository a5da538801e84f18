package message

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of the search for a one-time code.
const (
	minCode     = 4       // characters of a code, without what divides its groups
	maxCode     = 8       // the same
	minGroup    = 3       // characters of a group, unless each has one
	codeBytes   = 8 << 10 // of a text that are searched
	mostNumbers = 50      // that may be codes and are looked at
	farthest    = 10      // fields from a code to the word for it, on one line
	above       = 2       // lines from a code that stands alone up to the word for it
)

// oneTimeCode returns the one-time code that a mail brings, without what divides its groups, or "".
// It has 4 to 8 digits, or as many letters and digits, and a word for it in English, German, French
// or Spanish leads to it. Prices, dates, years, times and phone numbers are none.
func (m mailLines) oneTimeCode() string {
	seen := 0
	for i, line := range m {
		for at := range line {
			c := candidateAt(line, at)
			if c.code == "" {
				continue
			}
			if seen++; seen > mostNumbers {
				return ""
			}
			if m.accept(c, i) {
				return c.code
			}
		}
	}
	return ""
}

// announceCode reports whether a mail says that it brings a one-time code.
func (m mailLines) announceCode() bool {
	for i, line := range m {
		for k := range line {
			if kind := codeWord(line, k); kind == oneTime || kind == someCode && i == 0 {
				return true
			}
		}
	}
	return false
}

// mailLines are the lines of a mail: its subject, and those of its text that are not empty.
type mailLines [][]field

// field is what stands between spaces.
type field struct {
	text   string // without the punctuation around it
	folded string // in small letters, without accents
	ends   bool   // it ends a sentence
	colon  bool   // a colon, or a sign like one, follows
}

// linesOf returns the lines of a mail, or none if it cannot have a word for a code. Digits that
// stand one below the other make one line.
func linesOf(subject, text string) mailLines {
	text = text[:min(len(text), codeBytes)]
	all := strings.ToLower(subject + text)
	if !slices.ContainsFunc(codeStems, func(stem string) bool { return strings.Contains(all, stem) }) {
		return nil
	}
	m := mailLines{splitLine(subject)}
	digits := false // the last line has one digit, or several that stood alone
	for line := range strings.Lines(text) {
		fields := splitLine(line)
		alone := len(fields) == 1 && len(fields[0].text) == 1 && isNumber(fields[0].text)
		switch last := len(m) - 1; {
		case len(fields) == 0:
			continue
		case alone && digits:
			m[last] = append(m[last], fields...)
		default:
			m = append(m, fields)
		}
		digits = alone
	}
	return m
}

func splitLine(line string) (fields []field) {
	if strings.ContainsFunc(line, isFormat) {
		line = strings.Map(func(r rune) rune {
			if r == '\u200b' { // a space without width
				return ' '
			}
			if isFormat(r) {
				return -1
			}
			return r
		}, line)
	}
	for word := range strings.FieldsSeq(line) {
		if name, number, ok := strings.Cut(word, ":"); ok && number != "" {
			if named := []field{{text: name, folded: fold(name), colon: true}}; codeWord(named, 0) != noCode { // "Code:482913"
				fields, word = append(fields, named...), number
			}
		}
		const opening, closing = `"'([{<*«“„‘_¿¡>`, `.,;:!?"')]}>*»”“’_…`
		bare := strings.TrimLeft(word, opening)
		text := strings.TrimRight(bare, closing)
		after := bare[len(text):]
		f := field{text: text, folded: fold(text), colon: strings.Contains(after, ":"), ends: strings.ContainsAny(after, ".!?")}
		if text == "" && len(fields) > 0 {
			last := &fields[len(fields)-1]
			last.colon, last.ends = last.colon || f.colon, last.ends || f.ends
			continue
		}
		switch text {
		case "-", "–", "—", "=", "→", "|", "·", "•":
			f.colon = true
		}
		fields = append(fields, f)
	}
	return fields
}

// fold returns a text in small letters and without accents.
func fold(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return strings.ToLower(text)
	}
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(text)))
}

// candidate is a run of fields of a line that has the form of a code.
type candidate struct {
	code     string
	line     []field
	from, to int
	year     bool // it may be a year
}

// candidateAt returns the candidate that begins at a field of the line. It has no code if none
// does.
func candidateAt(line []field, at int) candidate {
	to := at + 1
	if isNumber(line[at].text) {
		if at > 0 && isNumber(line[at-1].text) && !line[at-1].ends && !line[at-1].colon {
			return candidate{} // in the middle of a longer number
		}
		for to < len(line) && isNumber(line[to].text) && !line[to-1].ends && !line[to-1].colon {
			to++
		}
	}
	code := codeOf(line[at:to])
	if code == "" || at > 0 && besideNumbers[line[at-1].folded] || to < len(line) && !line[to-1].ends && units[line[to].folded] {
		return candidate{}
	}
	year := len(code) == 4 && to == at+1 && (strings.HasPrefix(code, "19") || strings.HasPrefix(code, "20"))
	return candidate{code, line, at, to, year}
}

// codeOf returns the code that the fields are, or "". Its groups have the same length.
func codeOf(fields []field) string {
	if len(fields) == 1 && !strings.ContainsFunc(fields[0].text, isDigit) {
		return ""
	}
	var groups []string
	for _, f := range fields {
		groups = append(groups, strings.Split(f.text, "-")...)
	}
	if len(groups) == 2 && len(groups[0]) <= 2 && isNumber(groups[1]) && !isNumber(groups[0]) { // G-482913
		groups = groups[1:]
	}
	code := strings.Join(groups, "")
	isOther := func(r rune) bool { return !isDigit(r) && !isLetter(r) }
	if len(code) < minCode || len(code) > maxCode || strings.ContainsFunc(code, isOther) || !strings.ContainsFunc(code, isDigit) {
		return ""
	}
	for _, g := range groups {
		if len(groups) > 1 && (len(g) != len(groups[0]) || len(g) > 1 && len(g) < minGroup || strings.ContainsFunc(g, isLowerLetter)) {
			return ""
		}
	}
	return code
}

// accept reports whether the candidate of the i-th line is a one-time code. If nothing but "code"
// leads to it, the mail must also be about a sign-in, and no word of a shop or a meeting be near.
func (m mailLines) accept(c candidate, i int) bool {
	kind := c.wordBefore()
	if kind == noCode && c.isFollowed(m, i) {
		return true
	}
	if kind == noCode && c.from == 0 && c.to == len(c.line) && i > 0 {
		kind = m.wordAbove(i, c.year)
	}
	near := m[max(0, i-4):min(len(m), i+4)]
	return kind == oneTime || kind == someCode && m.have(signInWords) && !near.have(sales)
}

// wordBefore returns the kind of the word for a code that leads to the candidate on its line: it
// stands directly before, or a colon does, or "is".
func (c candidate) wordBefore() codeKind {
	if c.from == 0 {
		return noCode
	}
	before := c.line[c.from-1]
	leadsHere := before.colon || leads[before.folded]
	for k := c.from - 1; k >= 0 && c.from-k <= farthest; k-- {
		if c.line[k].ends && !c.line[k].colon {
			return noCode
		}
		if kind := codeWord(c.line, k); kind != noCode {
			if leadsHere || k == c.from-1 && !c.year {
				return kind
			}
			return noCode
		}
	}
	return noCode
}

// isFollowed reports whether a word for a code follows as in "482913 is your code", on the line of
// the candidate or on the next.
func (c candidate) isFollowed(m mailLines, i int) bool {
	rest := c.line[c.to:]
	if len(rest) == 0 && i+1 < len(m) {
		rest = m[i+1]
	}
	if c.year || len(rest) == 0 || c.line[c.to-1].ends || !leads[rest[0].folded] && !rest[0].colon {
		return false
	}
	for k := range rest[:min(len(rest), farthest)] {
		if k > 0 && rest[k-1].ends {
			return false
		}
		if codeWord(rest, k) != noCode {
			return true
		}
	}
	return false
}

// wordAbove returns the kind of the word for a code that stands close above the i-th line and leads
// to it: at the end of its line, or the line has a colon at its end or a word such as "below".
func (m mailLines) wordAbove(i int, year bool) codeKind {
	if last := m[i-1]; len(last) > 0 && besideNumbers[last[len(last)-1].folded] {
		return noCode
	}
	for n := 1; n <= above && i-n >= 0; n++ {
		line := m[i-n]
		for k := range line {
			kind := codeWord(line, k)
			if kind == noCode {
				continue
			}
			colon := line[len(line)-1].colon
			points := slices.ContainsFunc(line, func(f field) bool { return pointers[f.folded] })
			if colon || !year && (points || k >= len(line)-2) {
				return kind
			}
		}
	}
	return noCode
}

// have reports whether the lines have one of the words.
func (m mailLines) have(words map[string]bool) bool {
	return slices.ContainsFunc(m, func(line []field) bool {
		return slices.ContainsFunc(line, func(f field) bool { return words[f.folded] })
	})
}

// codeKind is what kind of code a word means.
type codeKind int

const (
	noCode   codeKind = iota
	someCode          // "code" alone, which needs more to be a one-time code
	oneTime           // "verification code"
)

// codeWord returns what kind of code the k-th field of the line means.
func codeWord(line []field, k int) codeKind {
	word := line[k].folded
	around := line[max(0, k-3):min(len(line), k+5)]
	has := func(words map[string]bool) bool {
		return slices.ContainsFunc(around, func(f field) bool { return words[f.folded] })
	}
	first, isCompound := strings.CutSuffix(word, "code")
	first, apart := strings.CutSuffix(first, "-")
	switch {
	case oneTimeWords[word]:
		return oneTime
	case passwords[word] && has(onces): // "one-time password", "mot de passe à usage unique"
		return oneTime
	case word == "code" || word == "codigo" || word == "clave" || word == "pin" || word == "passcode":
		if k > 0 && otherCodes[line[k-1].folded] || !line[k].ends && k+1 < len(line) && isOther(line[k+1:]) {
			return noCode
		}
		if has(qualifiers) {
			return oneTime
		}
		return someCode
	case isCompound && compounds[first]:
		return oneTime
	case isCompound && apart && !otherCodes[first]:
		return someCode
	}
	return noCode
}

// isOther reports whether what follows "code" makes it a code of another kind: "code postal",
// "código de descuento", "code of conduct".
func isOther(after []field) bool {
	if word := after[0].folded; (word == "de" || word == "of" || word == "du" || word == "del") && len(after) > 1 {
		return otherCodes[after[1].folded]
	}
	return otherCodes[after[0].folded]
}

func isNumber(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !isDigit(r) })
}

func isDigit(r rune) bool       { return r >= '0' && r <= '9' }
func isLowerLetter(r rune) bool { return r >= 'a' && r <= 'z' }
func isLetter(r rune) bool      { return isLowerLetter(r) || r >= 'A' && r <= 'Z' }
func isFormat(r rune) bool      { return r >= utf8.RuneSelf && unicode.Is(unicode.Cf, r) }

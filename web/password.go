package web

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"idlepush/codes"
)

// commonText has common passwords and the words they are made of, one on a line, after a comment
// that names their source.
//
//go:embed common.txt
var commonText string

var common = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{"idlepush": true}
	for line := range strings.Lines(commonText) {
		if word := strings.TrimSpace(line); !strings.HasPrefix(word, "#") {
			words[word] = true
		}
	}
	return words
})

// rows are the keys of common keyboards by rows, with the rows read down, and the alphabet. A run
// goes along one of them, forward or backward.
var rows = func() []string {
	forward := []string{"1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn",
		"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qazwsxedcrfvtgbyhnujmik",
		"13579", "24680", "0123456789", "abcdefghijklmnopqrstuvwxyz"}
	for _, row := range slices.Clone(forward) {
		backward := []rune(row)
		slices.Reverse(backward)
		forward = append(forward, string(backward))
	}
	return forward
}()

// minRun is how many keys in a row are a run. longTail is how many characters at either end of a
// common word do not make it hard to guess.
const (
	minRun   = 3
	longTail = 8
)

// checkPassword returns a FieldError for a new password that is guessed first: of the user with
// that name, or of anybody. It has at least ten characters, which the schema checks.
func checkPassword(field, name, password string) error {
	folded := foldPassword(password)
	switch {
	case isOwnName(folded, name):
		return fault(field, "field_weak_password").with(codes.Case, caseOwnName)
	case isCommon(folded):
		return fault(field, "field_weak_password")
	}
	return nil
}

// foldPassword returns the password in lower case, without accents.
func foldPassword(password string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(strings.ToLower(strings.ToUpper(password))))
}

func isLetter(r rune) bool    { return unicode.IsLetter(r) }
func isNotLetter(r rune) bool { return !unicode.IsLetter(r) }

// isOwnName reports whether the letters of the password are only the name, words of it, or these
// backward, each any number of times.
func isOwnName(folded, name string) bool {
	whole := strings.Join(strings.FieldsFunc(foldPassword(name), isNotLetter), "")
	parts := append(strings.FieldsFunc(foldPassword(name), isNotLetter), whole)
	for _, part := range slices.Clone(parts) {
		backward := []rune(part)
		slices.Reverse(backward)
		parts = append(parts, string(backward))
	}
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	rest := strings.Join(strings.FieldsFunc(folded, isNotLetter), "")
	if rest == "" || whole == "" {
		return false
	}
	for rest != "" {
		i := slices.IndexFunc(parts, func(part string) bool { return part != "" && strings.HasPrefix(rest, part) })
		if i < 0 {
			return false
		}
		rest = rest[len(parts[i]):]
	}
	return true
}

// leet are characters that stand for letters.
var leet = strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t")

// isCommon reports whether the password is common, or made by a common rule: without letters, as a
// date; a short piece that is repeated; runs of keys; or a common word with a tail.
func isCommon(folded string) bool {
	known := common()
	if known[folded] || known[leet.Replace(folded)] || !strings.ContainsFunc(folded, isLetter) || isRepeated(folded) || isRuns(folded) {
		return true
	}
	for _, plain := range []string{folded, leet.Replace(folded)} {
		word := strings.TrimFunc(plain, isNotLetter)
		if tail := len([]rune(plain)) - len([]rune(word)); (known[word] || isRepeated(word) && len(word) > 1) && (tail <= longTail || isRuns(strings.TrimFunc(folded, isLetter))) {
			return true
		}
	}
	// A tail that stands for letters, as in passw0rd12.
	head := strings.TrimRightFunc(folded, isNotLetter)
	return known[leet.Replace(head)] && len(folded)-len(head) <= longTail
}

// isRepeated reports whether the text is one piece again and again.
func isRepeated(text string) bool {
	for size := 1; size <= len(text)/2; size++ {
		if strings.HasPrefix(strings.Repeat(text[:size], len(text)/size+1), text) {
			return true
		}
	}
	return false
}

// isRuns reports whether the text is made of runs, of which each has three characters or more, with
// at most two characters beside them.
func isRuns(text string) bool {
	beside := 0
	for text != "" {
		n := 1
		for _, row := range rows {
			if i := strings.IndexByte(row, text[0]); i >= 0 {
				run := 0
				for run < len(text) && i+run < len(row) && text[run] == row[i+run] {
					run++
				}
				n = max(n, run)
			}
		}
		same := 1
		for same < len(text) && text[same] == text[0] {
			same++
		}
		if n = max(n, same); n < minRun {
			beside += n
		}
		text = text[n:]
	}
	return beside <= 2
}

package push

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"idlepush/ring"
)

// foldedFacts are facts whose texts are folded, to be compared with foldedWishes.
type foldedFacts struct{ ring.Facts }

// foldedWishes are wishes whose texts are folded, so that each is only once, for many mails.
type foldedWishes struct{ ring.Wishes }

func foldFacts(f ring.Facts) foldedFacts {
	f.From, f.To = foldAddress(f.From), foldAll(f.To, foldAddress)
	f.Name, f.Subject, f.Words, f.List = fold(f.Name), fold(f.Subject), fold(f.Words), fold(f.List)
	return foldedFacts{f}
}

func foldWishes(w ring.Wishes) foldedWishes {
	w.People, w.Rules, w.Mutes = foldAll(w.People, foldAddress), slices.Clone(w.Rules), slices.Clone(w.Mutes)
	for i := range w.Rules {
		m := &w.Rules[i].If
		m.From, m.To = foldAll(m.From, foldPerson), foldAll(m.To, foldPerson)
		m.Subject, m.List, m.Words = foldAll(m.Subject, fold), foldAll(m.List, fold), foldAll(m.Words, fold)
	}
	for i := range w.Mutes {
		w.Mutes[i].Sender = foldAddress(w.Mutes[i].Sender)
	}
	return foldedWishes{w}
}

// askFacts reports whether the wishes ask for the facts of mail.
func (w foldedWishes) askFacts() bool { return len(w.People)+len(w.Rules)+len(w.Mutes) > 0 }

func foldAll(texts []string, by func(string) string) []string {
	folded := make([]string, len(texts))
	for i, text := range texts {
		folded[i] = by(text)
	}
	return folded
}

// foldPerson folds an address, a domain that begins with @, or a part of a name.
func foldPerson(text string) string {
	if strings.Contains(text, "@") {
		return foldAddress(text)
	}
	return fold(text)
}

// foldAddress returns an address, or a domain that begins with @, in lower case and with the domain
// as in DNS. Accents stay: another letter is another address.
func foldAddress(address string) string {
	if address = strings.ToLower(norm.NFC.String(address)); isASCII(address) {
		return address
	}
	at := strings.LastIndexByte(address, '@') + 1
	if domain, err := idna.Lookup.ToASCII(address[at:]); err == nil {
		return address[:at] + domain
	}
	return address
}

// fold returns the text without case and accents, and with the usual letters in place of wide ones,
// ligatures and the like.
func fold(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	var bare strings.Builder
	for _, r := range norm.NFKD.String(text) {
		if isAccent(r) {
			continue
		}
		r = unicode.ToLower(r)
		if plain, ok := plainLetters[r]; ok {
			bare.WriteString(plain)
		} else {
			bare.WriteRune(r)
		}
	}
	return norm.NFC.String(bare.String())
}

// plainLetters has the letters that Unicode does not take apart.
var plainLetters = map[rune]string{'ß': "ss", 'ς': "σ", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'ħ': "h", 'ı': "i", 'æ': "ae", 'œ': "oe"}

// isAccent reports whether r is an accent, or a vowel sign that Hebrew and Arabic may leave out.
// The marks of other scripts are as good as letters.
func isAccent(r rune) bool {
	return '\u0300' <= r && r <= '\u036f' || '\u0591' <= r && r <= '\u05c7' && r != '\u05be' && r != '\u05c0' && r != '\u05c3' && r != '\u05c6' ||
		'\u064b' <= r && r <= '\u065f' || r == '\u0670'
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// includesPerson reports whether the mail is of one of People.
func (w foldedWishes) includesPerson(f foldedFacts) bool {
	return slices.ContainsFunc(w.People, func(person string) bool { return isAddress(f.From, person) })
}

// isAddress reports whether the address is the other, or lies in the domain if that begins with @,
// or below it.
func isAddress(address, other string) bool {
	if domain, ok := strings.CutPrefix(other, "@"); ok && domain != "" {
		of := address[strings.LastIndexByte(address, '@')+1:]
		return of == domain || strings.HasSuffix(of, "."+domain)
	}
	return address != "" && address == other
}

// matches reports whether a mail of the folder is what the rule is for.
func matches(m ring.Match, folder string, f foldedFacts) bool {
	return isAsked(m.Bulk, f.Bulk) && isAsked(m.Attachment, f.Attachment) && isAsked(m.Answer, f.Answer) && isAsked(m.First, f.First) &&
		(m.Above == 0 || f.Size > m.Above) && (m.Below == 0 || 0 < f.Size && f.Size < m.Below) &&
		(len(m.Folder) == 0 || hasFolder(m.Folder, folder)) &&
		(len(m.From) == 0 || hasPerson(m.From, f.Name, f.From)) &&
		(len(m.To) == 0 || slices.ContainsFunc(f.To, func(to string) bool { return hasPerson(m.To, "", to) })) &&
		hasPart(m.Subject, f.Subject) && hasPart(m.List, f.List) && hasPart(m.Words, f.Subject, f.Words)
}

func isAsked(asked *bool, is bool) bool { return asked == nil || *asked == is }

// hasFolder reports whether the folder is among the folders. INBOX has no case (RFC 3501 section
// 5.1).
func hasFolder(folders []string, folder string) bool {
	return slices.Contains(folders, folder) || strings.EqualFold(folder, "INBOX") && slices.ContainsFunc(folders, func(f string) bool { return strings.EqualFold(f, folder) })
}

// hasPerson reports whether one of the texts is the address, its domain, or a part of the name or
// the address.
func hasPerson(texts []string, name, address string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		if strings.Contains(text, "@") {
			return isAddress(address, text)
		}
		return text != "" && (strings.Contains(name, text) || strings.Contains(address, text))
	})
}

// hasPart reports whether one of the texts contains one of the parts, or there are no parts.
func hasPart(parts []string, texts ...string) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(part string) bool {
		return part != "" && slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, part) })
	})
}

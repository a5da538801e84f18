package message

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"idlepush/cleantext"
)

// senderOf returns the claimed sender of a message and the address: From, or Sender if that is
// missing.
func senderOf(found fields, charset string) (from, address string) {
	for _, field := range []string{"from", "sender"} {
		name, address := parseMailbox(decodeRaw(found[field], charset))
		if address == "" {
			// Some mailers encode the address with the name. Nothing else is there that could be
			// shown.
			if decoded := decodeWords(name); decoded != name {
				name, address = parseMailbox(decoded)
			}
		}
		address = cleantext.Line(address, headerBytes)
		name = cleantext.Line(unquoteName(decodeWords(name)), fromRunes)
		if saysAnything(name) && !namesAnotherAddress(name, address) {
			return name, address
		}
		if address != "" {
			return cutAddress(address), address
		}
	}
	return "", ""
}

// parseMailbox returns the display name and the address of the first mailbox in a list (RFC 5322
// section 3.4). It reads obsolete and broken forms too. The words of the name are still encoded.
// Either may be empty.
func parseMailbox(s string) (name, address string) {
	var phrase strings.Builder
	var comment string
	at := false // the phrase holds an @
	// After one that never ends, further ones would make this slow, and mean nothing.
	unclosed := false
scan:
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' && !unclosed:
			text, length := delimited(s[i:], '"')
			unclosed = length == 0
			phrase.WriteString(text)
			i += max(length-1, 0)
		case c == '(' && !unclosed:
			text, length := delimited(s[i:], ')')
			unclosed = length == 0
			if comment == "" {
				comment = strings.TrimSpace(text)
			}
			i += max(length-1, 0)
		case c == '<':
			// The address is the last in angle brackets; one before it is in place of the name.
			if address != "" {
				phrase.WriteString(" <" + address + "> ")
			}
			length := strings.IndexByte(s[i:], '>')
			if length < 0 {
				length = len(s) - i
			}
			address = strings.TrimSpace(s[i+1 : i+length])
			i += length
		case c == ',' && address == "" && !at:
			phrase.WriteByte(c) // "Doe, Jane <jane@example.com>" without the quotes it should have
		case c == ',' || c == ';':
			break scan
		case c == ':' && !at:
			phrase.Reset() // the name of a group, whose first member follows
		case c == '=':
			_, end := wordAt(s, i)
			end = max(end, i+1)
			phrase.WriteString(s[i:end])
			i = end - 1
		default:
			at = at || c == '@'
			phrase.WriteByte(c)
		}
	}
	name = strings.TrimSpace(phrase.String())
	if address == "" {
		name, address = bareAddress(name)
	}
	if name == "" {
		name = comment
	}
	return name, address
}

// delimited reads the quoted string or comment that s begins with, up to the closing character. It
// returns the text in it and its length with both ends, or 0 if it is never closed. Comments may
// nest.
func delimited(s string, closing byte) (string, int) {
	var text strings.Builder
	depth := 1
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			text.WriteByte(s[i])
		case c == closing:
			if depth--; depth == 0 {
				return text.String(), i + 1
			}
			text.WriteByte(c)
		case c == '(' && closing == ')':
			depth++
			text.WriteByte(c)
		default:
			text.WriteByte(c)
		}
	}
	return "", 0
}

// bareAddress takes the address, without angle brackets, from the words of a mailbox.
func bareAddress(phrase string) (name, address string) {
	var rest []string
	for word := range strings.FieldsSeq(phrase) {
		if strings.Contains(word, "@") {
			address = word
		} else {
			rest = append(rest, word)
		}
	}
	return strings.Join(rest, " "), address
}

// unquoteName takes off the quotation marks that some mailers put around a name a second time.
func unquoteName(name string) string {
	name = strings.TrimSpace(name)
	for _, mark := range []string{"'", `"`} {
		if inner, ok := strings.CutPrefix(name, mark); ok && strings.HasSuffix(inner, mark) {
			return strings.TrimSuffix(inner, mark)
		}
	}
	return name
}

func saysAnything(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool {
		return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsSymbol(r))
	})
}

// addressLike matches what a reader takes for an address: a@b, and a @ b.c, but not "Jane @
// Example".
var addressLike = regexp.MustCompile(`[^\s@]@[^\s@]|[^\s@]\s*@\s*[^\s@]+\.[^\s@]`)

// namesAnotherAddress reports whether a name pretends to be an address other than the real one. It
// also sees look-alikes of the characters that make an address, such as the full-width "＠".
func namesAnotherAddress(name, address string) bool {
	others := strings.FieldsFunc(norm.NFKC.String(name), func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`<>()[]"',;:`, r)
	})
	var rest []string
	for _, word := range others {
		if !strings.EqualFold(word, address) {
			rest = append(rest, word)
		}
	}
	return addressLike.MatchString(strings.Join(rest, " "))
}

// cutAddress cuts the front of a long address, because its end says whose it is.
func cutAddress(address string) string {
	runes := []rune(address)
	if len(runes) <= fromRunes {
		return address
	}
	return "…" + string(runes[len(runes)-fromRunes+1:])
}

package message

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// unreadable stands for an encoded word that cannot be decoded.
const unreadable = "[…]"

// decodeWords decodes the encoded words of RFC 2047 in a text and leaves the rest as it is. It is
// lenient: words may stand inside other text, hold spaces, or lack their padding or their "?=";
// some mailers encode encoded text once more.
func decodeWords(s string) string {
	once := decodeWordsOnce(s)
	if strings.Contains(once, "=?") {
		return decodeWordsOnce(once)
	}
	return once
}

func decodeWordsOnce(s string) string {
	var out strings.Builder
	// Adjacent words of one charset are decoded together, because some mailers split a character
	// between two of them.
	var run encodedWord
	flush := func() {
		text, _ := decodeCharset(run.text, run.charset)
		out.WriteString(text)
		run = encodedWord{}
	}
	adjacent := false
	for at := 0; ; {
		start := strings.Index(s[at:], "=?")
		if start < 0 {
			flush()
			out.WriteString(s[at:])
			return out.String()
		}
		start += at
		word, end := wordAt(s, start)
		between := s[at:start]
		if !adjacent || end == 0 || strings.Trim(between, " \t") != "" {
			flush()
			out.WriteString(between)
		} else if run.charset != word.charset {
			flush()
		}
		if adjacent = end > 0; !adjacent {
			out.WriteString("=?")
			at = start + len("=?")
			continue
		}
		run.charset = word.charset
		run.text = append(run.text, word.text...)
		at = end
	}
}

// encodedWord is one word without its transfer encoding.
type encodedWord struct {
	charset string // see canonicalCharset
	text    []byte
}

// Bounds of an encoded word, in bytes: with them a text full of beginnings without an end takes
// linear time. RFC 2047 allows 75 for all of it; not all mailers know.
const (
	longestLabel = 64 // of a charset or encoding
	longestWord  = 4 << 10
)

// wordAt returns the encoded word that begins at start in s and its end, or 0 if none begins there.
// One that cannot be decoded is unreadable.
func wordAt(s string, start int) (encodedWord, int) {
	rest, ok := strings.CutPrefix(s[start:], "=?")
	if !ok {
		return encodedWord{}, 0
	}
	label, rest, ok := cutLabel(rest)
	if !ok {
		return encodedWord{}, 0
	}
	kind, rest, ok := cutLabel(rest)
	if !ok || kind == "" {
		return encodedWord{}, 0
	}
	encoded, length := cutEncoded(rest)
	end := len(s) - len(rest) + length
	word := encodedWord{charset: canonicalCharset(label)}
	switch strings.ToLower(kind) {
	case "b", "base64":
		word.text = decodeBase64([]byte(encoded))
	case "q", "quoted-printable", "qp":
		word.text = decodeQuoted([]byte(strings.ReplaceAll(encoded, "_", " ")))
	default:
		return encodedWord{text: []byte(unreadable)}, end
	}
	switch {
	case strings.ContainsFunc(encoded, func(r rune) bool { return r >= utf8.RuneSelf }):
		word.charset = "utf-8" // it was raw and has been decoded with the whole field
	case knownCharset(word.charset):
	case utf8.Valid(word.text) && !bytes.ContainsRune(word.text, '\x1b'):
		word.charset = "utf-8" // whatever it is called
	default:
		word = encodedWord{text: []byte(unreadable)}
	}
	return word, end
}

// cutLabel cuts a charset or an encoding from what follows its question mark.
func cutLabel(s string) (label, rest string, ok bool) {
	end := strings.IndexByte(s[:min(len(s), longestLabel)], '?')
	if end < 0 {
		return "", "", false
	}
	label = strings.TrimSpace(s[:end])
	return label, s[end+1:], !strings.ContainsAny(label, " \t=")
}

// cutEncoded returns the encoded text that s begins with, and its length with what closes it. One
// that is not closed before the next word begins, or at all, ends at the next space.
func cutEncoded(s string) (string, int) {
	text := s[:min(len(s), longestWord)]
	end := strings.Index(text, "?=")
	if end >= 0 && !strings.Contains(text[:end], " =?") {
		return text[:end], end + len("?=")
	}
	if end = strings.IndexAny(text, " \t"); end < 0 {
		end = len(text)
	}
	return strings.TrimSuffix(text[:end], "?"), end
}

// decodeBase64 decodes what it can: other characters are passed over, padding may lack or stand in
// the middle, a cut end is dropped.
func decodeBase64(encoded []byte) []byte {
	decoded := make([]byte, 0, len(encoded)/4*3+2)
	bits, count := uint32(0), 0
	for _, c := range encoded {
		var value byte
		switch {
		case c >= 'A' && c <= 'Z':
			value = c - 'A'
		case c >= 'a' && c <= 'z':
			value = c - 'a' + 26
		case c >= '0' && c <= '9':
			value = c - '0' + 52
		case c == '+':
			value = 62
		case c == '/':
			value = 63
		case c == '=':
			count = 0
			continue
		default:
			continue
		}
		bits, count = bits<<6|uint32(value), count+6
		if count >= 8 {
			count -= 8
			decoded = append(decoded, byte(bits>>count))
		}
	}
	return decoded
}

// decodeQuoted decodes quoted-printable: soft line breaks go, an escape that is not valid stays as
// it is, one cut at the end is dropped.
func decodeQuoted(encoded []byte) []byte {
	decoded := make([]byte, 0, len(encoded))
	for {
		plain, escape, found := bytes.Cut(encoded, []byte("="))
		decoded = append(decoded, plain...)
		if !found || len(escape) < 2 {
			return decoded
		}
		var octet [1]byte
		if _, err := hex.Decode(octet[:], escape[:2]); err == nil {
			decoded, encoded = append(decoded, octet[0]), escape[2:]
		} else if line := bytes.TrimLeft(escape, " \t\r"); len(line) == 0 || line[0] == '\n' {
			encoded = bytes.TrimPrefix(line, []byte("\n"))
		} else {
			decoded, encoded = append(decoded, '='), escape
		}
	}
}

package message

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// decodeWords decodes the encoded words of RFC 2047 in a text and leaves the rest as it is, and so a word whose charset nobody
// knows. It is lenient: words may stand inside other text, hold spaces, lack their padding or, at the very end, their "?=".
func decodeWords(s string) string {
	var out strings.Builder
	// Adjacent words of one charset are decoded together, because some mailers split a character between two of them.
	var run encodedWord
	flush := func() {
		text, _ := decodeCharset(run.text, run.charset)
		out.WriteString(text)
		run = encodedWord{}
	}
	words := wordScanner(s)
	for at := 0; ; {
		start := strings.Index(s[at:], "=?")
		if start < 0 {
			flush()
			out.WriteString(s[at:])
			return out.String()
		}
		start += at
		word, end := words.at(start)
		between := s[at:start]
		if run.charset == "" || end == 0 || strings.Trim(between, " \t") != "" {
			flush()
			out.WriteString(between)
		} else if run.charset != word.charset {
			flush()
		}
		if end == 0 {
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
	charset string // in lower case, never empty
	text    []byte
}

// words finds encoded words in a text. It knows beforehand where the last "?=" and the last space are, so that a text full of
// beginnings without an end takes linear time.
type words struct {
	text                 string
	lastClose, lastSpace int
}

func wordScanner(s string) words {
	return words{text: s, lastClose: strings.LastIndex(s, "?="), lastSpace: strings.LastIndexAny(s, " \t")}
}

// at returns the word that begins at start and where it ends, or 0 if none does or its charset is unknown.
func (w words) at(start int) (encodedWord, int) {
	const longestCharset = 64
	rest, ok := strings.CutPrefix(w.text[start:], "=?")
	if !ok {
		return encodedWord{}, 0
	}
	mark := strings.IndexByte(rest[:min(len(rest), longestCharset)], '?')
	// What follows is at least the encoding and its question mark.
	if mark <= 0 || len(rest) < mark+3 || rest[mark+2] != '?' {
		return encodedWord{}, 0
	}
	label, _, _ := strings.Cut(strings.ToLower(rest[:mark]), "*") // RFC 2231 section 5: charset*language
	kind := rest[mark+1] | 0x20
	if label == "" || strings.ContainsAny(label, " \t") || kind != 'q' && kind != 'b' {
		return encodedWord{}, 0
	}
	textStart := start + len("=?") + mark + 3
	textEnd, end := len(w.text), len(w.text)
	switch {
	case textStart <= w.lastClose:
		textEnd = textStart + strings.Index(w.text[textStart:], "?=")
		end = textEnd + len("?=")
	case w.lastSpace >= textStart:
		return encodedWord{}, 0
	}
	if _, ok := decodeCharset(nil, label); !ok {
		return encodedWord{}, 0
	}
	encoded := w.text[textStart:textEnd]
	word := encodedWord{charset: label}
	if kind == 'b' {
		word.text = decodeBase64([]byte(encoded))
	} else {
		word.text = decodeQuoted([]byte(strings.ReplaceAll(encoded, "_", " ")))
	}
	if strings.ContainsFunc(encoded, func(r rune) bool { return r >= utf8.RuneSelf }) {
		word.charset = "utf-8" // it was raw and has been decoded with the whole field
	}
	return word, end
}

// decodeBase64 decodes what it can: other characters are passed over, padding may lack or stand in the middle, a cut end is dropped.
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

// decodeQuoted decodes quoted-printable: soft line breaks go, an escape that is none stays as it is, one cut at the end is
// dropped.
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

// decodeCharset returns text in UTF-8. Without a charset, or with one that only says that nothing is known, it guesses; it
// returns false if the charset is unknown.
func decodeCharset(text []byte, label string) (string, bool) {
	label, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(label)), "*")
	switch label {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "unknown", "8bit":
		return guessCharset(text), true
	}
	if label == "cp932" {
		label = "shift_jis"
	}
	// What the web calls iso-8859-1 or gb2312 (encoding.spec.whatwg.org) is what mailers mean by it too. Its Replacement stands for
	// charsets that are dangerous in a browser. Here nothing is run; but only the one of them that go-message knows can be read.
	known, err := htmlindex.Get(label)
	switch {
	case err == nil && known != encoding.Replacement:
		decoded, err := known.NewDecoder().Bytes(text)
		return string(decoded), err == nil
	case err == nil && label != "hz-gb-2312":
		return "", false
	}
	reader, err := charset.Reader(label, bytes.NewReader(text))
	if err != nil {
		return "", false
	}
	decoded, err := io.ReadAll(reader)
	return string(decoded), err == nil
}

// guessCharset takes text for UTF-8, with errors if it must, or for Windows-1252 if nothing in it but ASCII is UTF-8.
func guessCharset(text []byte) string {
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r != utf8.RuneError && size > 1 {
			return strings.ToValidUTF8(string(text), "\ufffd")
		}
		rest = rest[size:]
	}
	decoded, _ := charmap.Windows1252.NewDecoder().Bytes(text) // it knows every byte
	return string(decoded)
}

// decodeRaw returns the value of a field whose bytes may be of any charset, of which that of the message's text is the likeliest.
func decodeRaw(value []byte, textCharset string) string {
	if bytes.Contains(value, []byte("\x1b$")) {
		textCharset = "iso-2022-jp"
	} else if utf8.Valid(value) || strings.HasPrefix(strings.ToLower(textCharset), "utf-") {
		textCharset = ""
	}
	if text, ok := decodeCharset(value, textCharset); ok {
		return text
	}
	return guessCharset(value)
}

package message

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// aliases are what mailers call charsets beside the labels of the WHATWG Encoding Standard
// (encoding.spec.whatwg.org) and of IANA. Those of the empty name only say that nothing is known.
var aliases = labelled(map[string]string{
	"utf-8":     "utf8mb4 utf-8-mac utf8-mac cp65001 utf8",
	"utf-16":    "utf-16 unicode ucs-2 ucs2 utf16 iso-10646-ucs-2",
	"utf-7":     "utf7 unicode-1-1-utf-7 csunicode11utf7 x-unicode-2-0-utf-7 cp65000",
	"shift_jis": "cp932 windows-932 x-ms-cp932 mskanji",
	"iso-2022-jp": "iso-2022-jp-ms iso2022-jp iso2022jp iso-2022-jp-1 iso-2022-jp-2 " +
		"iso-2022-jp-3 iso-2022-jp-2004 cp50220 cp50221 cp50222 jis",
	"euc-jp":      "cp51932 eucjp eucjp-ms euc-jp-ms cp20932 ujis",
	"euc-kr":      "cp949 ms949 uhc x-windows-949 x-uhc euckr ksc5601 cp51949",
	"iso-2022-kr": "iso2022-kr iso2022kr csiso2022kr cp50225",
	"gb18030": "cp936 ms936 windows-936 euc-cn euccn gb-2312 gb_18030 gb-18030 " +
		"gb18030-2005 cp54936 cp20936",
	"iso-2022-cn":  "iso2022-cn cp50227",
	"hz-gb-2312":   "hz hzgb2312",
	"big5":         "cp950 ms950 windows-950 big-5 big5-eten big5-hkscs-2008",
	"windows-1250": "win1250 win-1250",
	"windows-1251": "win1251 win-1251",
	"windows-1252": "win1252 win-1252 ansi ansi-1252 latin-1 iso-latin-1 iso8859 8859-1 " +
		"iso-88591 iso-8859-1-windows-3.1-latin-1",
	"iso-8859-2":     "latin-2 8859-2",
	"iso-8859-15":    "latin-9 latin9 latin0 8859-15",
	"koi8-r":         "koi8r koi-8 cp878",
	"koi8-u":         "koi8u cp21866",
	"ibm866":         "dos-866",
	"macintosh":      "mac-roman macroman x-mac apple-roman",
	"x-mac-cyrillic": "mac-cyrillic",
	"windows-874":    "tis620 cp874 ms874",
	"iso-8859-8-i":   "iso-8859-8i",
	"": "ascii-8bit binary none default x-user-defined user-defined us-ascii " +
		"ascii unknown-8bit x-unknown unknown 8bit 7bit iso-8859-1-unknown " +
		"charset auto _autodetect_all",
})

// labelled turns a table of charsets, each with its labels, into one of labels.
func labelled(table map[string]string) map[string]string {
	names := make(map[string]string)
	for name, labels := range table {
		for label := range strings.FieldsSeq(labels) {
			names[label] = name
		}
	}
	return names
}

// canonicalCharset is one name for all labels of a charset, in lower case; empty: nothing is known.
func canonicalCharset(label string) string {
	label, _, _ = strings.Cut(strings.ToLower(strings.Trim(label, "\"' \t;,")), "*")
	if name, ok := aliases[label]; ok {
		return name
	}
	if known, err := htmlindex.Get(label); err == nil && known != encoding.Replacement {
		if known == simplifiedchinese.GBK {
			return "gb18030" // what the standard decodes gb2312 and gbk with
		}
		if name, err := htmlindex.Name(known); err == nil {
			return name
		}
	}
	return label
}

// knownCharset reports whether text of that charset can be decoded.
func knownCharset(label string) bool {
	_, ok := decodeCharset(nil, label)
	return ok
}

// decodeCharset returns text in UTF-8. Without a charset, or with one that only says that nothing
// is known, it guesses; it returns false if the charset is unknown.
func decodeCharset(text []byte, label string) (string, bool) {
	name := canonicalCharset(label)
	if marked, ok := byteOrderMarked(text, name); ok {
		return marked, true
	}
	switch name {
	case "", "utf-8":
		return guessCharset(text), true
	case "utf-16", "utf-16le", "utf-16be":
		return decodeUTF16(text, name), true
	case "utf-7":
		return decodeUTF7(text), true
	case "iso-2022-kr", "iso-2022-cn", "iso-2022-cn-ext":
		return decodeShifted(text), true
	case "gb18030":
		return decodeWith(simplifiedchinese.GB18030, text)
	}
	// What the web calls iso-8859-1 or the like (encoding.spec.whatwg.org) is what mailers mean by
	// it too. Its Replacement stands for charsets that are dangerous in a browser. Here nothing is
	// run; of them go-message knows hz-gb-2312.
	known, err := htmlindex.Get(name)
	switch {
	case err == nil && known != encoding.Replacement:
		return decodeWith(known, text)
	case err == nil && name != "hz-gb-2312":
		return "", false
	}
	reader, err := charset.Reader(name, bytes.NewReader(text))
	if err != nil {
		return "", false
	}
	decoded, err := io.ReadAll(reader)
	return string(decoded), err == nil
}

func decodeWith(e encoding.Encoding, text []byte) (string, bool) {
	decoded, err := e.NewDecoder().Bytes(text)
	return string(decoded), err == nil
}

// byteOrderMarked decodes a text that begins with the mark of UTF-8, which says more than any
// label; or of UTF-16, if the label does not say something else: in other charsets its two bytes
// may be letters.
func byteOrderMarked(text []byte, name string) (string, bool) {
	if rest, ok := bytes.CutPrefix(text, []byte("\xef\xbb\xbf")); ok {
		return guessCharset(rest), true
	}
	if name != "" && !strings.HasPrefix(name, "utf") || len(text) < 2 {
		return "", false
	}
	switch string(text[:2]) {
	case "\xfe\xff":
		return decodeUTF16(text[2:], "utf-16be"), true
	case "\xff\xfe":
		return decodeUTF16(text[2:], "utf-16le"), true
	}
	return "", false
}

// decodeUTF16 decodes UTF-16 without a byte order mark. In text of most scripts one of the two
// bytes is often zero; else the label decides, and utf-16 alone is little-endian, as the web has
// it.
func decodeUTF16(text []byte, name string) string {
	text = text[:len(text)/2*2]
	var zero [2]int
	for i, c := range text {
		if c == 0 {
			zero[i%2]++
		}
	}
	order := unicode.LittleEndian
	if name == "utf-16be" || name == "utf-16" && zero[0] > zero[1] {
		order = unicode.BigEndian
	}
	// It can decode any bytes.
	decoded, _ := unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder().Bytes(text)
	return string(decoded)
}

// decodeUTF7 decodes UTF-7 (RFC 2152). What ends too early is left out.
func decodeUTF7(text []byte) string {
	var out strings.Builder
	for {
		plain, rest, found := bytes.Cut(text, []byte("+"))
		out.WriteString(guessCharset(plain))
		if !found {
			return out.String()
		}
		end := bytes.IndexFunc(rest, func(r rune) bool {
			return !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '/')
		})
		if end < 0 {
			end = len(rest)
		}
		shifted, after := rest[:end], rest[end:]
		closed := bytes.HasPrefix(after, []byte("-"))
		if end == 0 {
			out.WriteByte('+') // "+-" is a plus sign; so is one that begins nothing
		} else {
			out.WriteString(decodeUTF16(decodeBase64(shifted), "utf-16be"))
		}
		if closed {
			after = after[1:]
		}
		text = after
	}
}

// decodeShifted decodes ISO-2022-KR (RFC 1557) and ISO-2022-CN (RFC 1922) without the planes of CNS
// 11643. Between the bytes SO and SI, at most to the end of the line, a character is two bytes:
// those of EUC-KR or GB 2312 without their high bits.
func decodeShifted(text []byte) string {
	var out strings.Builder
	shifted := encoding.Encoding(korean.EUCKR)
	for len(text) > 0 {
		end := bytes.IndexAny(text, "\x0e\x1b")
		if end < 0 {
			end = len(text)
		}
		out.WriteString(guessCharset(text[:end]))
		if text = text[end:]; len(text) == 0 {
			break
		}
		if text[0] == '\x1b' { // ESC $ ) and a letter
			if len(text) >= 4 && text[3] == 'A' {
				shifted = simplifiedchinese.GBK
			}
			text = text[min(4, len(text)):]
			continue
		}
		text = text[1:]
		end = bytes.IndexAny(text, "\x0f\r\n")
		if end < 0 {
			end = len(text)
		}
		raised := bytes.Clone(text[:end])
		for i := range raised {
			raised[i] |= 0x80
		}
		decoded, _ := shifted.NewDecoder().Bytes(raised) // what it does not know is replaced
		out.Write(decoded)
		if text = text[end:]; bytes.HasPrefix(text, []byte("\x0f")) {
			text = text[1:]
		}
	}
	return out.String()
}

// guessCharset takes text for UTF-8, with errors if it must, or for Windows-1252 if nothing in it
// but ASCII is UTF-8.
func guessCharset(text []byte) string {
	if looksLikeUTF8(text) {
		return strings.ToValidUTF8(string(text), "\ufffd")
	}
	decoded, _ := charmap.Windows1252.NewDecoder().Bytes(text) // it knows every byte
	return string(decoded)
}

// looksLikeUTF8 reports whether a character beyond ASCII is UTF-8.
func looksLikeUTF8(text []byte) bool {
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r != utf8.RuneError && size > 1 {
			return true
		}
		rest = rest[size:]
	}
	return false
}

// decodeRaw returns the value of a field whose bytes may be of any charset, of which that of the
// message's text is the likeliest.
func decodeRaw(value []byte, textCharset string) string {
	if bytes.Contains(value, []byte("\x1b$")) {
		textCharset = "iso-2022-jp"
		if bytes.Contains(value, []byte("\x1b$)C")) {
			textCharset = "iso-2022-kr"
		}
	} else if utf8.Valid(value) || strings.HasPrefix(canonicalCharset(textCharset), "utf-") {
		textCharset = ""
	}
	if text, ok := decodeCharset(value, textCharset); ok {
		return text
	}
	return guessCharset(value)
}

var metaCharset = regexp.MustCompile(`(?i)<meta\s[^>]{0,200}?charset\s*=\s*["']?\s*([a-z0-9_:.-]+)`)

// htmlCharset is what an HTML text says of its own charset in its first bytes; empty: nothing, or
// something that can not be true, since it could be read that far.
// https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding
func htmlCharset(text []byte) string {
	const prescan = 1024
	found := metaCharset.FindSubmatch(text[:min(len(text), prescan)])
	if found == nil || looksLikeUTF8(text) {
		return ""
	}
	if name := canonicalCharset(string(found[1])); !strings.HasPrefix(name, "utf-16") && knownCharset(name) {
		return name
	}
	return ""
}

package message

import (
	"bytes"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"idlepush/cleantext"
)

// deepest is how many multiparts may lie in one another.
const deepest = 8

// words are the first words of a text, and how far they can be trusted to be what the sender means.
type words struct {
	text   string
	source string // the whole text that they begin, with its lines
	plain  bool   // of a plain text
	doubts bool   // they only say that the words are elsewhere
}

// better reports whether a reader would rather see w than other, of two alternatives.
func (w words) better(other words) bool {
	switch {
	case w.text == "" || other.text == "":
		return w.text != ""
	case w.doubts != other.doubts:
		return other.doubts
	}
	return w.plain && !other.plain
}

// previewPart returns the first words of a message or part.
func previewPart(header fields, body []byte, depth int) words {
	content := parseContentType(header["content-type"])
	disposition, _, _ := strings.Cut(string(header["content-disposition"]), ";")
	switch {
	case strings.EqualFold(strings.TrimSpace(disposition), "attachment"):
		return words{}
	case content.media == "multipart/encrypted" || content.media == "multipart/digest":
		return words{}
	case strings.HasPrefix(content.media, "multipart/"):
		if depth == deepest {
			return words{}
		}
		return previewMultipart(content, decodedMultipart(header, content, body), depth)
	case content.media != "text/plain" && content.media != "text/html":
		return words{}
	}
	body, ok := decodeTransfer(header, body)
	if !ok {
		return words{}
	}
	text := readText(content, body)
	if content.media == "text/html" || holdsHTML.MatchString(text) {
		text = htmlText(text)
		return words{text: cleantext.Line(text, previewRunes), source: text}
	}
	written := writtenText(text, content)
	return words{text: cleantext.Line(written, previewRunes), source: written, plain: true, doubts: isPlaceholder(written)}
}

// decodeTransfer undoes the Content-Transfer-Encoding; false: it holds no text.
func decodeTransfer(header fields, body []byte) ([]byte, bool) {
	switch transferEncoding(header["content-transfer-encoding"]) {
	case "base64":
		return decodeBase64(body), true
	case "quoted-printable":
		return decodeQuoted(body), true
	case "uuencode":
		return nil, false
	}
	return body, true
}

// decodedMultipart is the body of a multipart. It must not be encoded as a whole (RFC 2045 section
// 6.4); some programs do so all the same.
func decodedMultipart(header fields, content contentType, body []byte) []byte {
	if bytes.Contains(body, []byte("--"+content.boundary)) {
		return body
	}
	if decoded, ok := decodeTransfer(header, body); ok {
		return decoded
	}
	return body
}

// readText returns the text of a part in UTF-8, without a character that was cut at its end.
func readText(content contentType, body []byte) string {
	charset := canonicalCharset(content.charset)
	if charset == "" && content.media == "text/html" {
		charset = htmlCharset(body)
	}
	if charset == "" || charset == "utf-8" {
		body = dropCutRune(body)
	}
	text, ok := decodeCharset(body, charset)
	if !ok {
		text = guessCharset(body)
	}
	return strings.TrimRight(text, "\ufffd") // one cut in another charset
}

// holdsHTML matches a text that is HTML, whatever it is called.
var holdsHTML = regexp.MustCompile(`(?i)^\s*<(!doctype html|html|head|body|meta|style|title|table|div|center|font|span|p|br|h[1-6])\b`)

// placeholder matches what programs say instead of the words, which are in the HTML part: that the
// reader's program cannot show HTML, or that a browser can.
var placeholder = regexp.MustCompile(`(?i)\b(html|browser|navigateur|navegador|webversion|online-version|onlineversion)\b`)

// isPlaceholder reports whether a plain text may be a placeholder: it is short and has the words of
// one, or nothing but addresses of pages.
func isPlaceholder(text string) bool {
	const longestPlaceholder = 400
	fields := strings.Fields(text)
	if len(text) > longestPlaceholder || len(fields) == 0 {
		return false
	}
	page := func(word string) bool {
		word = strings.TrimLeft(word, "<([")
		return strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://")
	}
	return placeholder.MatchString(text) || !slices.ContainsFunc(fields, func(word string) bool { return !page(word) })
}

// previewMultipart returns the words of the first part that has any; of alternatives, the best.
func previewMultipart(content contentType, body []byte, depth int) (best words) {
	for part := range parts(body, content.boundary) {
		header, text := parseFields(part)
		found := previewPart(header, text, depth+1)
		if found.better(best) {
			best = found
		}
		// Its HTML may follow a part that only sends the reader elsewhere, also outside of
		// multipart/alternative.
		if best.text != "" && !best.doubts && (best.plain || content.media != "multipart/alternative") {
			return best
		}
	}
	return best
}

// parts yields the parts of a multipart (RFC 2046 section 5.1), the last as far as it goes. Without
// a boundary, the first line that could be one is taken for it.
func parts(body []byte, boundary string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start, delimiter := -1, []byte("--"+boundary)
		for at := 0; at < len(body); {
			next := len(body)
			if end := bytes.IndexByte(body[at:], '\n'); end >= 0 {
				next = at + end + 1
			}
			line := bytes.TrimRight(body[at:next], " \t\r\n")
			if len(delimiter) == 2 && bytes.HasPrefix(line, delimiter) {
				delimiter = line
			}
			tail, found := bytes.CutPrefix(line, delimiter)
			last := string(tail) == "--"
			if found && len(delimiter) > 2 && (len(tail) == 0 || last) {
				if start >= 0 && !yield(body[start:at]) || last {
					return
				}
				start = next
			}
			at = next
		}
		if start >= 0 {
			yield(body[start:])
		}
	}
}

// writtenText returns what the sender wrote in a plain text: without quoted lines, the signature
// and all after it, and armoured PGP blocks (RFC 9580 section 6.2; of a signed text the words
// stay).
func writtenText(text string, content contentType) string {
	var out strings.Builder
	skipping, until, written := false, "", false
	rest := text
	for line := range strings.Lines(text) {
		rest = rest[len(line):]
		bare := strings.TrimSpace(line)
		switch {
		case skipping:
			skipping = bare != until
		case !written && isDivider(bare):
		case bare == "--" && (strings.HasPrefix(line, "-- ") || isSignature(rest)):
			return out.String()
		case bare == "-----BEGIN PGP SIGNED MESSAGE-----":
			skipping, until = true, "" // the names of hashes, up to an empty line
		case strings.HasPrefix(bare, "-----BEGIN ") && strings.HasSuffix(bare, "-----"):
			skipping, until = true, strings.Replace(bare, "BEGIN", "END", 1)
		case !strings.HasPrefix(line, ">"):
			if soft, ok := strings.CutSuffix(strings.TrimRight(line, "\r\n"), " "); ok && content.flowed && content.delSp {
				line = soft // RFC 3676 section 4.2
			}
			out.WriteString(line)
			written = written || bare != ""
		}
	}
	return out.String()
}

// isDivider reports whether a line only divides what stands above it from what stands below.
func isDivider(line string) bool {
	return len(line) >= 2 && strings.Trim(line, "-=_*~#+.") == ""
}

// isSignature reports whether what follows two dashes is no longer than a signature. They should
// have a space behind them, which gets lost; two dashes alone also stand between the parts of a
// newsletter.
func isSignature(text string) bool {
	const mostLines = 4
	lines := 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
		if lines > mostLines {
			return false
		}
	}
	return true
}

// dropCutRune drops a UTF-8 character that was cut at the end.
func dropCutRune(text []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if start := len(text) - back; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				return text[:start]
			}
			break
		}
	}
	return text
}

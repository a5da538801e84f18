package message

import (
	"bytes"
	"iter"
	"strings"
	"unicode/utf8"
)

// deepest is how many multiparts may lie in one another.
const deepest = 8

// previewOf returns the first words of a message from its header fields and the beginning of its text.
func previewOf(header fields, text []byte) string {
	preview, _ := previewPart(header, text, 0)
	return preview
}

// previewPart returns the first words of a message or part, and whether they were plain text.
func previewPart(header fields, body []byte, depth int) (preview string, plain bool) {
	content := parseContentType(header["content-type"])
	disposition, _, _ := strings.Cut(string(header["content-disposition"]), ";")
	switch {
	case strings.EqualFold(strings.TrimSpace(disposition), "attachment"):
		return "", false
	case content.media == "multipart/encrypted" || content.media == "multipart/digest":
		return "", false
	case strings.HasPrefix(content.media, "multipart/"):
		if depth == deepest {
			return "", false
		}
		return previewMultipart(content, body, depth)
	case content.media != "text/plain" && content.media != "text/html":
		return "", false
	}
	switch strings.ToLower(string(bytes.TrimSpace(header["content-transfer-encoding"]))) {
	case "base64":
		body = decodeBase64(body)
	case "quoted-printable":
		body = decodeQuoted(body)
	case "x-uuencode", "uuencode":
		return "", false
	}
	if content.charset == "" || strings.HasPrefix(strings.ToLower(content.charset), "utf") {
		body = dropCutRune(body)
	}
	text, ok := decodeCharset(body, content.charset)
	if !ok {
		text = guessCharset(body)
	}
	text = strings.TrimRight(text, "\ufffd") // one cut in another charset
	if content.media == "text/html" {
		return cleanText(htmlText(text), previewRunes), false
	}
	return cleanText(writtenText(text), previewRunes), true
}

// previewMultipart returns the words of the first part that has any; of alternatives, those of the plain one.
func previewMultipart(content contentType, body []byte, depth int) (preview string, plain bool) {
	for part := range parts(body, content.boundary) {
		header, text := parseFields(part)
		found, isPlain := previewPart(header, text, depth+1)
		if found != "" && (isPlain || content.media != "multipart/alternative") {
			return found, isPlain
		}
		if preview == "" {
			preview = found
		}
	}
	return preview, false
}

// parts yields the parts of a multipart (RFC 2046 section 5.1), the last as far as it goes. Without a boundary, the first line that
// could be one is taken for it.
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

// contentType is a Content-Type (RFC 2045 section 5.1), as far as a preview needs it.
type contentType struct {
	media    string // in lower case; text/plain if there is none
	charset  string
	boundary string
}

func parseContentType(value []byte) contentType {
	media, rest, _ := strings.Cut(string(value), ";")
	content := contentType{media: strings.ToLower(strings.TrimSpace(media))}
	if !strings.Contains(content.media, "/") {
		content.media = "text/plain"
	}
	for rest != "" {
		var name, text string
		if end := strings.IndexAny(rest, ";="); end < 0 || rest[end] == ';' {
			_, rest, _ = strings.Cut(rest, ";")
			continue
		}
		name, rest, _ = strings.Cut(rest, "=")
		rest = strings.TrimLeft(rest, " \t")
		if inner, length := quotedParameter(rest); length > 0 {
			text = inner
			_, rest, _ = strings.Cut(rest[length:], ";")
		} else {
			text, rest, _ = strings.Cut(rest, ";")
			text, _, _ = strings.Cut(strings.TrimSpace(text), " ") // a comment may follow
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "charset":
			content.charset = strings.Trim(text, `"' `)
		case "boundary":
			content.boundary = strings.TrimRight(strings.Trim(text, `"`), " ")
		}
	}
	return content
}

func quotedParameter(s string) (string, int) {
	if !strings.HasPrefix(s, `"`) {
		return "", 0
	}
	return delimited(s, '"')
}

// writtenText returns what the sender wrote in a plain text: without quoted lines, the signature and all after it, and armoured
// PGP blocks (RFC 9580 section 6.2; of a signed text the words stay).
func writtenText(text string) string {
	var out strings.Builder
	skipping, until := false, ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		switch {
		case skipping:
			skipping = bare != until
		case bare == "--":
			return out.String()
		case bare == "-----BEGIN PGP SIGNED MESSAGE-----":
			skipping, until = true, "" // the names of hashes, up to an empty line
		case strings.HasPrefix(bare, "-----BEGIN ") && strings.HasSuffix(bare, "-----"):
			skipping, until = true, strings.Replace(bare, "BEGIN", "END", 1)
		case !strings.HasPrefix(line, ">"):
			out.WriteString(line)
		}
	}
	return out.String()
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

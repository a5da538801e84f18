package message

import "strings"

// contentType is a Content-Type (RFC 2045 section 5.1), as far as a preview needs it.
type contentType struct {
	media    string // in lower case; text/plain by default
	charset  string
	boundary string
	flowed   bool // format=flowed, RFC 3676
	delSp    bool // the space at the end of a flowed line is not text
}

// parseContentType reads what mailers write: the media type may be in quotes or lack its first
// half, the semicolon before the parameters may be missing, and comments may stand anywhere.
func parseContentType(value []byte) contentType {
	media, rest := cutMedia(withoutComments(string(value)))
	content := contentType{media: media}
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
			text, rest = cutToken(rest)
		}
		words := strings.Fields(strings.ToLower(name))
		if len(words) == 0 {
			continue
		}
		switch words[len(words)-1] {
		case "charset":
			content.charset = strings.Trim(text, `"' `)
		case "boundary":
			content.boundary = strings.TrimRight(strings.Trim(text, `"`), " ")
		case "format":
			content.flowed = strings.EqualFold(strings.TrimSpace(text), "flowed")
		case "delsp":
			content.delSp = strings.EqualFold(strings.TrimSpace(text), "yes")
		}
	}
	return content
}

// cutToken cuts an unquoted value from the parameters that follow it, also if their semicolon is
// missing.
func cutToken(s string) (token, rest string) {
	end := strings.IndexAny(s, "; \t")
	if end < 0 {
		return s, ""
	}
	token, rest = s[:end], strings.TrimLeft(s[end:], " \t")
	if next := strings.IndexAny(rest, "=; \t"); next > 0 && rest[next] == '=' {
		return token, rest
	}
	_, rest, _ = strings.Cut(rest, ";")
	return token, rest
}

// cutMedia cuts the media type, in lower case, from its parameters.
func cutMedia(value string) (media, rest string) {
	value = strings.TrimLeft(value, " \t;")
	if inner, length := quotedParameter(value); length > 0 {
		media, rest = inner, value[length:]
	} else if end := strings.IndexAny(value, "; \t"); end >= 0 {
		media, rest = value[:end], value[end:]
	} else {
		media = value
	}
	media = strings.ToLower(strings.Trim(media, `"' `))
	if strings.Contains(media, "=") { // a parameter alone
		return "text/plain", value
	}
	switch media {
	case "html":
		media = "text/html"
	default:
		if !strings.Contains(media, "/") {
			media = "text/plain"
		}
	}
	return media, strings.TrimLeft(rest, " \t;")
}

// withoutComments removes the comments of RFC 5322 that do not stand in quotes.
func withoutComments(s string) string {
	if !strings.Contains(s, "(") {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			_, length := delimited(s[i:], '"')
			if length == 0 {
				return out.String() + s[i:] // it never ends, nor does any behind it
			}
			out.WriteString(s[i : i+length])
			i += length - 1
		case '(':
			_, length := delimited(s[i:], ')')
			if length == 0 {
				return out.String() + s[i:] // it has no end
			}
			out.WriteByte(' ')
			i += length - 1
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

func quotedParameter(s string) (string, int) {
	if !strings.HasPrefix(s, `"`) {
		return "", 0
	}
	return delimited(s, '"')
}

var hyphens = strings.NewReplacer("-", "", "_", "", " ", "")

// transferEncoding is a Content-Transfer-Encoding (RFC 2045 section 6) in lower case, without what
// mailers put around it.
func transferEncoding(value []byte) string {
	word, _, _ := strings.Cut(withoutComments(string(value)), ";")
	word = strings.ToLower(strings.Trim(word, "\"' \t"))
	switch hyphens.Replace(word) {
	case "base64", "b64":
		return "base64"
	case "quotedprintable", "qp":
		return "quoted-printable"
	case "xuuencode", "uuencode", "xuue", "uue", "xyenc", "yenc":
		return "uuencode"
	}
	return "" // as it is
}

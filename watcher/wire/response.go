package wire

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

// response is one response of the server, read only as far as this package needs it.
type response struct {
	tag        string // "*", "+", or the tag of the command it answers
	kind       string // upper case: OK, EXISTS, FETCH …; may be empty
	number     uint32 // before the kind: of messages with EXISTS and RECENT
	code       string // of a status response, upper case, with its arguments: "UIDNEXT 5"
	text       string // what follows on the first line, as sent
	raw        []byte // all of it; valid until the next one is read
	unbalanced bool   // its quotes or parentheses do not match
}

// word cuts the first word off line. Several spaces count as one.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " ")
	first, rest, _ = bytes.Cut(line, []byte(" "))
	return first, rest
}

// isData reports whether a line may hold quotes, lists and literals; other lines end in free text
// (RFC 3501 section 7).
func isData(line []byte) bool {
	tag, rest := word(bytes.TrimRight(line, "\r\n"))
	kind, _ := word(rest)
	return string(tag) == "*" && !isStatus(string(bytes.ToUpper(kind)))
}

func isStatus(kind string) bool {
	switch kind {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return false
}

func parse(raw []byte) response {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if text, ok := bytes.CutPrefix(line, []byte("+")); ok {
		return response{tag: "+", text: string(bytes.TrimLeft(text, " ")), raw: raw}
	}
	r := response{raw: raw}
	tag, line := word(line)
	kind, line := word(line)
	if n, numbered := number(kind); numbered && string(tag) == "*" {
		r.number = n
		kind, line = word(line)
	}
	r.tag, r.kind = string(tag), string(bytes.ToUpper(kind))
	// Of the data responses only these are read here; a FETCH may have a long first line.
	switch {
	case isStatus(r.kind):
		r.code, r.text = statusText(string(line))
	case r.kind == "CAPABILITY":
		r.text = string(line)
	}
	return r
}

// number parses digits; of a number that is too large it makes the largest.
func number(word []byte) (uint32, bool) {
	if len(word) == 0 {
		return 0, false
	}
	for _, b := range word {
		if b < '0' || b > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(word), 10, 32)
	if err != nil {
		return math.MaxUint32, true
	}
	return uint32(n), true
}

// statusText splits "[CODE arguments] text" (RFC 3501 section 7.1).
func statusText(line string) (code, text string) {
	line = strings.TrimLeft(line, " ")
	if inner, ok := strings.CutPrefix(line, "["); ok {
		if code, text, ok = strings.Cut(inner, "]"); ok {
			return strings.ToUpper(code), strings.TrimLeft(text, " ")
		}
	}
	return "", line
}

// codeName returns the response code without its arguments.
func (r *response) codeName() string {
	name, _, _ := strings.Cut(r.code, " ")
	return name
}

// failure returns a NO or BAD as an error, with a text fit to be shown.
func (r *response) failure() *imap.Error {
	return &imap.Error{Type: imap.StatusResponseType(r.kind), Code: imap.ResponseCode(Clean(r.codeName())), Text: Clean(r.text)}
}

// maxCaps is how many bytes of a capability list are kept for the life of the connection; the
// longest in use are about 1 KiB.
const maxCaps = 8 << 10

// capabilities returns the words of a capability list that can be written as atoms, upper case but
// for IMAP4rev1 and IMAP4rev2, as go-imap spells them.
func capabilities(list string) string {
	var words []string
	for name := range strings.FieldsSeq(list[:min(len(list), maxCaps)]) {
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r) }) {
			continue
		}
		name = strings.ToUpper(name)
		if rev, ok := strings.CutPrefix(name, "IMAP4REV"); ok {
			name = "IMAP4rev" + rev
		}
		words = append(words, name)
	}
	return strings.Join(words, " ")
}

// maxClean is how many bytes of a server's text are shown.
const maxClean = 200

// Clean makes a server's text fit to be shown and logged: valid UTF-8 on one line, without control
// characters, direction marks and other invisible characters. It cuts the text at the end of a
// character after at most 200 bytes. The texts of this package's errors are clean.
func Clean(text string) string {
	// What is far beyond the cut need not be looked at.
	text = text[:min(len(text), 16*maxClean)]
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r) && r != utf8.RuneError:
			return r
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return ' '
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxClean {
		return text
	}
	cut := maxClean
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

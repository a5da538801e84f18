// Package message reads what a mail says: its sender, its subject, its first words, a one-time
// code, the facts by which it rings, and a fingerprint by which it is known again.
//
// [Describe] reads a header with the beginning of the text, [Description.ReadParts] single parts.
// Both take bytes from strangers, cut anywhere and broken in every way, and return text that is
// safe to show: valid UTF-8 on one line, bounded, without control or invisible characters. They
// never fail. [Fingerprint] is the same for the same mail in another folder.
//
// The package is apart from watcher because it consists of pure functions, which know neither IMAP
// nor the store. All that is hostile in the text of a mail is dealt with here.
package message

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"idlepush/cleantext"
	"idlepush/ring"
)

// How much of a message is read to describe it, in bytes. What lies beyond is not looked at, so no
// message is dear to describe.
const (
	headerBytes = 256 << 10
	fieldBytes  = 16 << 10
	textBytes   = 4 << 10
	partBytes   = 32 << 10 // of a part, if textBytes held no words
)

// The longest texts of a Description, in runes, the ellipsis at a cut among them.
const (
	fromRunes    = 100
	subjectRunes = 250
	previewRunes = 200
)

// Description describes one message. Its texts are valid UTF-8 on one line, without control,
// bidirectional or invisible characters, within fromRunes, subjectRunes and previewRunes; they may
// be empty.
type Description struct {
	// From is the sender's display name if it says anything and names no other address than the
	// real one, else the address.
	From    string
	Address string // of From, whatever that shows; may be empty
	Subject string
	Date    time.Time // when it was sent, as the sender says; zero: not known
	// MessageID is the Message-ID (RFC 5322 section 3.6.4) without its angle brackets; empty if it
	// is missing, not valid, or longer than 250 bytes.
	MessageID string
	// Preview is the beginning of what the sender wrote: no quotes, no signature, nothing of
	// encrypted mail.
	Preview string
	// Code is a one-time code that the mail brings: 4 to 8 digits, or letters and digits.
	Code string
	// Wanting reports that the text was cut before Preview said anything, or anything but where to
	// read it, or before the code that the mail announces: its first part of text may say more; see
	// ReadParts.
	Wanting bool
	// Facts are all but the words, the size, and what others must know: whether an answer is
	// addressed to the mailbox, and whether the sender is known.
	Facts   ring.Facts
	Answers bool // it refers to another mail
	Mixed   bool // Facts.Attachment is a guess: the parts of the mail may say something else
}

// Fields are those of a header that Describe and Fingerprint look at.
const Fields = "FROM SENDER TO CC SUBJECT DATE MESSAGE-ID IN-REPLY-TO REFERENCES LIST-ID LIST-UNSUBSCRIBE PRECEDENCE AUTO-SUBMITTED " +
	"CONTENT-TYPE CONTENT-TRANSFER-ENCODING"

// Describe says what a message is. header is the answer to BODY.PEEK[HEADER.FIELDS (…)] of Fields,
// text the first textBytes of BODY[TEXT], or nil for no preview. Both come from strangers: they may
// be cut anywhere, broken in every way, or hostile, and get the best description that can be made
// of them.
func Describe(header, text []byte) Description {
	header = header[:min(len(header), headerBytes)]
	fields, _ := parseFields(header)
	charset := textCharset(fields, text)
	from, address := senderOf(fields, charset)
	cut := len(text) >= textBytes
	preview := previewPart(fields, text[:min(len(text), textBytes)], 0)
	subject := cleantext.Line(decodeWords(decodeRaw(fields["subject"], charset)), subjectRunes)
	lines := linesOf(subject, preview.source)
	code := lines.oneTimeCode()
	d := Description{
		From:      from,
		Address:   address,
		Subject:   subject,
		Date:      dateOf(fields["date"]),
		MessageID: messageID(fields["message-id"]),
		Preview:   preview.text,
		Code:      code,
		Wanting:   cut && (preview.text == "" || preview.doubts || code == "" && lines.announceCode()),
	}
	d.setFacts(fields, charset)
	return d
}

// Part is one part of a message: the answers to BODY.PEEK[n.MIME] and BODY.PEEK[n], or, if the
// message is all one part, its header and its text.
type Part struct{ Header, Text []byte }

// ReadParts sets Preview and Code by the parts of the message, of each of which it reads the first
// partBytes. It takes the first part that has words, and one that only sends the reader elsewhere
// only if all do. If none has words, it changes nothing.
func (d *Description) ReadParts(parts ...Part) {
	var best words
	for _, p := range parts {
		fields, _ := parseFields(p.Header[:min(len(p.Header), headerBytes)])
		found := previewPart(fields, p.Text[:min(len(p.Text), partBytes)], 0)
		if best.text == "" || best.doubts && found.better(best) {
			best = found
		}
	}
	if best.text != "" {
		d.Preview, d.Code = best.text, cmp.Or(linesOf(d.Subject, best.source).oneTimeCode(), d.Code)
	}
}

// textCharset is the charset of a message's text; empty: nothing is known. In a multipart it is
// that of the first part that names one.
func textCharset(header fields, text []byte) string {
	content := parseContentType(header["content-type"])
	if content.charset != "" || !strings.HasPrefix(content.media, "multipart/") {
		return content.charset
	}
	for part := range parts(text[:min(len(text), textBytes)], content.boundary) {
		fields, _ := parseFields(part)
		if charset := parseContentType(fields["content-type"]).charset; charset != "" {
			return charset
		}
	}
	return ""
}

// dateOf reads a Date field (RFC 5322 section 3.3).
func dateOf(value []byte) time.Time {
	date, err := mail.ParseDate(string(bytes.TrimSpace(value)))
	if err != nil {
		return time.Time{}
	}
	return date
}

// messageIDBytes bounds a Message-ID: it goes into the address that a notification leads to.
const messageIDBytes = 250

func messageID(value []byte) string {
	id := strings.TrimSuffix(strings.TrimPrefix(string(bytes.TrimSpace(value)), "<"), ">")
	if len(id) > messageIDBytes || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) {
		return ""
	}
	return id
}

// fields are the header fields of a message or of a part, unfolded, by their name in lower case; of
// fields that come twice the first that says something, and of each fieldBytes.
type fields map[string][]byte

// parseFields reads fields up to the empty line and returns what follows that.
func parseFields(raw []byte) (fields, []byte) {
	found, open := fields{}, ""
	for len(raw) > 0 {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if open != "" {
				found[open] = append(found[open], line[:min(len(line), fieldBytes-len(found[open]))]...)
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		open = strings.ToLower(string(bytes.TrimSpace(name)))
		if !ok || len(bytes.TrimSpace(found[open])) > 0 {
			open = ""
			continue
		}
		found[open] = slices.Clone(value[:min(len(value), fieldBytes)])
	}
	return found, raw
}

// Fingerprint identifies the same message in another folder and under another UID: 16 base64url
// characters, or empty if nothing identifies it. header is as for Describe, size the message's in
// bytes. It is made of the Message-ID, with the Date, because some programs always send the same
// one; without one, of From, Date, Subject and the size. A message without a Date, as cameras send
// them, is identified by the time at which the server received it, if that is known.
func Fingerprint(header []byte, size int64, taken time.Time) string {
	found, _ := parseFields(header[:min(len(header), headerBytes)])
	trimmed := func(name string) string { return string(bytes.TrimSpace(found[name])) }
	seed := []string{"message-id", strings.Trim(trimmed("message-id"), "<>"), trimmed("date")}
	if seed[1] == "" {
		seed = []string{"header", trimmed("from"), trimmed("date"), trimmed("subject"), strconv.FormatInt(size, 10)}
		switch {
		case seed[1] == "" && seed[2] == "" && seed[3] == "":
			return ""
		case seed[2] == "" && taken.IsZero():
			return ""
		case seed[2] == "":
			seed[2] = "taken " + taken.UTC().Format(time.RFC3339)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(seed, "\n")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

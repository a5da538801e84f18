package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"iter"
	"slices"
	"strings"

	"idlepush/cleantext"
	"idlepush/ring"
)

// Bounds of facts.
const (
	addressBytes = 320 // a longer one is no address (RFC 5321 section 4.5.3.1)
	listRunes    = 255 // RFC 2919 section 2
)

// setFacts sets what the header says of who else got the mail, and how.
func (d *Description) setFacts(header fields, charset string) {
	d.Facts = ring.Facts{From: address(d.Address), Subject: d.Subject, List: listOf(header["list-id"])}
	if d.From != cutAddress(d.Address) {
		d.Facts.Name = d.From
	}
	for _, field := range []string{"to", "cc"} {
		value := header[field]
		if len(value) == fieldBytes {
			value = value[:bytes.LastIndexByte(value, ',')+1] // the last mailbox is cut
		}
		d.Facts.To = appendAddresses(d.Facts.To, decodeRaw(value, charset))
	}
	d.Facts.Bulk = d.Facts.List != "" || isBulk(header)
	d.Facts.Thread, d.Answers = threadOf(header)
	d.Facts.Attachment, d.Mixed = attachmentOf(parseContentType(header["content-type"]))
}

// address returns an address as facts have it, or "" if it is not an address.
func address(s string) string {
	s = strings.ToLower(cleantext.Line(s, addressBytes+1))
	if len(s) > addressBytes || !strings.Contains(s, "@") {
		return ""
	}
	return s
}

// appendAddresses appends the addresses of a list of mailboxes and groups (RFC 5322 section 3.4)
// that are not in list yet, up to ring.MaxTo.
func appendAddresses(list []string, s string) []string {
	for mailbox := range mailboxes(s) {
		if len(list) == ring.MaxTo {
			break
		}
		_, found := parseMailbox(mailbox)
		if found = address(found); found != "" && !slices.Contains(list, found) {
			list = append(list, found)
		}
	}
	return list
}

// mailboxes cuts a list into its mailboxes. The name of a group stays with its first member.
func mailboxes(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		begin := 0
		unclosed := "" // see parseMailbox
		for i := 0; i < len(s); i++ {
			length := 0
			switch c := s[i]; c {
			case ',', ';':
				if !yield(s[begin:i]) {
					return
				}
				begin = i + 1
			case '"', '(', '<':
				if strings.IndexByte(unclosed, c) >= 0 {
					break
				}
				if length = enclosed(s[i:]); length == 0 {
					unclosed += string(c)
				}
			case '=':
				_, end := wordAt(s, i)
				length = end - i
			}
			i += max(length-1, 0)
		}
		yield(s[begin:])
	}
}

// enclosed returns the length of the quoted string, comment or address that s begins with; 0: it is
// never closed.
func enclosed(s string) (length int) {
	switch s[0] {
	case '"':
		_, length = delimited(s, '"')
	case '(':
		_, length = delimited(s, ')')
	default:
		length = strings.IndexByte(s, '>') + 1
	}
	return length
}

// listOf reads a List-Id (RFC 2919): the id is in angle brackets, behind a name of the list.
func listOf(value []byte) string {
	if begin := bytes.LastIndexByte(value, '<'); begin >= 0 {
		value, _, _ = bytes.Cut(value[begin+1:], []byte(">"))
	}
	return strings.ToLower(cleantext.Line(strings.ToValidUTF8(string(value), ""), listRunes))
}

// isBulk reports whether a header is that of mail to many, or by a program (RFC 2369 section 3.2,
// RFC 3834 section 5). Feedback-ID does not count: senders such as Amazon SES add it to every mail,
// also to one that a person waits for.
func isBulk(header fields) bool {
	switch firstToken(header["precedence"]) {
	case "bulk", "list", "junk":
		return true
	}
	automatic := firstToken(header["auto-submitted"])
	return automatic != "" && automatic != "no" || len(bytes.TrimSpace(header["list-unsubscribe"])) > 0
}

// firstToken returns the first word of a field, in lower case, without parameters and comments.
func firstToken(value []byte) string {
	value = bytes.TrimSpace(value)
	if end := bytes.IndexAny(value, "; \t("); end >= 0 {
		value = value[:end]
	}
	return strings.ToLower(string(value))
}

// threadOf returns the digests of the Message-IDs that a mail has and refers to, as ring.Facts has
// them, and whether it refers to any (RFC 5322 section 3.6.4). If there are too many, it drops the
// oldest but for the first, as mail programs do.
func threadOf(header fields) (thread []string, answers bool) {
	ids := shortened(messageIDs(header["references"]))
	ids = append(ids, shortened(messageIDs(header["in-reply-to"]))...)
	answers = len(ids) > 0
	ids = append(ids, shortened(messageIDs(header["message-id"]))...)
	for i, id := range ids {
		if slices.Index(ids, id) == i {
			sum := sha256.Sum256([]byte(id))
			thread = append(thread, base64.RawURLEncoding.EncodeToString(sum[:12]))
		}
	}
	return shortened(thread), answers
}

// shortened returns the first of ids and the last, ring.MaxThread in all.
func shortened(ids []string) []string {
	if excess := len(ids) - ring.MaxThread; excess > 0 {
		return slices.Delete(ids, 1, 1+excess)
	}
	return ids
}

// messageIDs returns the Message-IDs of a field, without their angle brackets and white space. Only
// a field without any brackets is taken word by word.
func messageIDs(value []byte) (ids []string) {
	if !bytes.Contains(value, []byte("<")) {
		for word := range strings.FieldsSeq(string(value)) {
			if strings.Contains(word, "@") {
				ids = append(ids, word)
			}
		}
		return ids
	}
	for {
		_, rest, ok := bytes.Cut(value, []byte("<"))
		if !ok {
			return ids
		}
		var id []byte
		if id, value, ok = bytes.Cut(rest, []byte(">")); !ok {
			return ids // it was cut
		}
		if id := strings.Join(strings.Fields(string(id)), ""); id != "" {
			ids = append(ids, id)
		}
	}
}

// attachmentOf says by the type of a whole mail whether it has an attachment. mixed: its parts may
// say something else. Apple Mail hides attachments in an alternative.
func attachmentOf(content contentType) (attachment, mixed bool) {
	main, _, _ := strings.Cut(content.media, "/")
	switch {
	case content.media == "multipart/mixed":
		return true, true
	case content.media == "multipart/signed", content.media == "multipart/related",
		content.media == "multipart/alternative" && strings.HasPrefix(content.boundary, "Apple-Mail"):
		return false, true
	}
	return main != "text" && main != "multipart", false
}

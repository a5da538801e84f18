package wire

import (
	"bytes"
	"strconv"
	"strings"
)

// TextParts returns the sections of the text parts that a BODYSTRUCTURE lists (RFC 3501 section
// 7.4.2), at most most of them, without attachments: "1", "2.1". If the message is a single part it
// is "TEXT".
func TextParts(structure []byte, most int) (sections []string) {
	walk(structure, "", func(section string, fields [][]byte) bool {
		if len(fields) < 2 || !strings.EqualFold(string(fields[0]), "text") || isAttachment(fields) {
			return true
		}
		if subtype := strings.ToLower(string(fields[1])); subtype != "plain" && subtype != "html" {
			return true
		}
		if section == "" {
			section = "TEXT"
		}
		sections = append(sections, section)
		return len(sections) < most
	})
	return sections
}

// HasAttachment reports whether a BODYSTRUCTURE lists an attachment: a part that is called one, or
// that is neither text, nor a signature, nor a picture that the text shows.
func HasAttachment(structure []byte) bool {
	found := false
	walk(structure, "", func(_ string, fields [][]byte) bool {
		if len(fields) < 2 {
			return true
		}
		media, subtype := strings.ToLower(string(fields[0])), strings.ToLower(string(fields[1]))
		switch {
		case media == "application" && (strings.HasSuffix(subtype, "-signature") || subtype == "pgp-encrypted"):
		case isAttachment(fields):
			found = true
		case media == "image":
			// The text names a picture that it shows by its Content-ID.
			found = len(fields) < 4 || len(fields[3]) == 0
		default:
			found = media != "text" && media != "multipart"
		}
		return !found
	})
	return found
}

// maxDepth is how deep multiparts may be nested. The framer bounds parentheses, but not those
// behind a quotation mark that stands for itself.
const maxDepth = 32

// walk calls visit for each part that is no multipart, until it returns false. It passes over parts
// below maxDepth.
func walk(list []byte, section string, visit func(section string, fields [][]byte) bool) bool {
	fields := elements(list)
	if len(fields) == 0 || !bytes.HasPrefix(fields[0], []byte("(")) {
		return visit(section, fields)
	}
	for i, part := range fields {
		if !bytes.HasPrefix(part, []byte("(")) {
			break // the subtype, and what follows it
		}
		below := strconv.Itoa(i + 1)
		if section != "" {
			below = section + "." + below
		}
		if strings.Count(below, ".") == maxDepth {
			break
		}
		if !walk(part, below, visit) {
			return false
		}
	}
	return true
}

// elements returns the elements of a list: the content of a string, all of a list.
func elements(list []byte) (found [][]byte) {
	rest, ok := bytes.CutPrefix(list, []byte("("))
	if !ok {
		return nil
	}
	for {
		rest = bytes.TrimLeft(rest, " \r\n")
		if len(rest) == 0 || rest[0] == ')' {
			return found
		}
		var value []byte
		value, rest = cutValue(rest)
		found = append(found, value)
	}
}

// isAttachment looks for a disposition among the fields of a part.
func isAttachment(fields [][]byte) bool {
	for _, field := range fields {
		if disposition := elements(field); len(disposition) > 0 && strings.EqualFold(string(disposition[0]), "attachment") {
			return true
		}
	}
	return false
}

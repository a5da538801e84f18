package wire

import (
	"bytes"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Listed is one folder that LIST names.
type Listed struct {
	Name       string
	Attributes []string // in lower case, such as \noselect
}

// List lists all folders (RFC 3501 section 6.3.8), with their special uses if the server is to be
// asked for them (RFC 6154). The answers are read here, line by line, because one folder with an
// odd name must not hide the others: unreadable is how many lines were left out. NO and BAD are an
// *imap.Error, after which the connection still works.
func (c *Conn) List(specialUse bool, timeout time.Duration) (folders []Listed, unreadable int, err error) {
	if err := c.begin(); err != nil {
		return nil, 0, err
	}
	command := `LIST "" "*"`
	if specialUse {
		command += " RETURN (SPECIAL-USE)"
	}
	until := time.Now().Add(timeout)
	tag, err := c.send(command, until)
	if err != nil {
		return nil, 0, err
	}
	known := make(map[string]bool)
	for {
		r, err := c.next(until)
		if err != nil {
			return folders, unreadable, c.timedOut(err, "the answer to LIST")
		}
		switch {
		case r.tag == tag:
			return folders, unreadable, c.status(r)
		case r.tag == "*" && r.kind == "LIST":
			folder, ok := listed(r)
			switch {
			case !ok:
				unreadable++
			case !known[folder.Name]: // some servers list one twice
				known[folder.Name] = true
				folders = append(folders, folder)
			}
		}
		if err := c.unexpected(r); err != nil {
			return folders, unreadable, err
		}
	}
}

// listed reads a LIST response: attributes in parentheses, the delimiter, and the name.
func listed(r *response) (Listed, bool) {
	if r.unbalanced {
		return Listed{}, false
	}
	_, rest := word(r.raw)
	_, rest = word(rest)
	attributes, rest, ok := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(")"))
	attributes, open := bytes.CutPrefix(attributes, []byte("("))
	if !ok || !open {
		return Listed{}, false
	}
	var folder Listed
	for name := range strings.FieldsSeq(strings.ToLower(string(attributes))) {
		if name != `\` { // home.pl
			folder.Attributes = append(folder.Attributes, name)
		}
	}
	_, rest = cutValue(bytes.TrimLeft(rest, " "))
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) == 0 {
		return Listed{}, false
	}
	var name []byte
	if rest[0] == '"' || rest[0] == '{' {
		name, rest = cutValue(rest)
		if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '(' {
			return Listed{}, false // quotes that are not escaped
		}
	} else {
		// An atom, in which some servers have spaces or brackets.
		name = bytes.TrimRight(rest, "\r\n")
	}
	folder.Name = folderName(string(name))
	if folder.Name == "" || strings.ContainsRune(folder.Name, utf8.RuneError) {
		// It could not be opened by a name that is not Unicode.
		return Listed{}, false
	}
	return folder, true
}

// decodeFolder decodes a name from modified UTF-7 (RFC 3501 section 5.1.3). One that is not valid
// stays as it is: some servers send UTF-8 all the same.
func decodeFolder(name string) string {
	var out strings.Builder
	for rest := name; ; {
		plain, shifted, found := strings.Cut(rest, "&")
		out.WriteString(plain)
		if !found {
			return out.String()
		}
		encoded, after, closed := strings.Cut(shifted, "-")
		bits, err := base64.RawStdEncoding.DecodeString(strings.ReplaceAll(encoded, ",", "/"))
		switch {
		case !closed || err != nil || len(bits)%2 != 0:
			return name
		case encoded == "":
			out.WriteByte('&')
		}
		units := make([]uint16, len(bits)/2)
		for i := range units {
			units[i] = uint16(bits[2*i])<<8 | uint16(bits[2*i+1])
		}
		out.WriteString(string(utf16.Decode(units)))
		rest = after
	}
}

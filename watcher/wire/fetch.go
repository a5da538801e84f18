package wire

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Mail is one message as the answers to a FETCH describe it. What they leave out, or what cannot be
// read, is zero.
type Mail struct {
	UID   imap.UID
	Flags []string
	Date  time.Time // INTERNALDATE
	Size  int64     // RFC822.SIZE, in bytes
	// Sections are the contents of BODY[…] by the text in the brackets, in upper case and without a
	// list of fields: "TEXT", "2.MIME", "HEADER.FIELDS".
	Sections  map[string][]byte
	Structure []byte // BODYSTRUCTURE, as it came
}

// Fetch asks for items of messages (UID FETCH, RFC 3501 section 6.4.8), at most as long as timeout.
// It returns the messages that it asked for and the server sent, in the order in which each came
// first. The items of a message may come in any order and in several responses, with others that
// were not asked for. NO and BAD are an *imap.Error, with the messages that came before them; after
// it the connection still works.
func (c *Conn) Fetch(uids []imap.UID, items string, timeout time.Duration) ([]Mail, error) {
	got := newFetched(uids)
	err := c.fetch(imap.UIDSetNum(uids...).String(), items, got, timeout)
	c.noteFlags(got.unsolicited)
	return got.mails(), err
}

// LastUID asks for the UID of the last message by a FETCH of it, and returns the highest that the
// answers have; 0: they have no UID. Errors are those of Fetch.
func (c *Conn) LastUID(timeout time.Duration) (last imap.UID, err error) {
	got := newFetched(nil)
	err = c.fetch("*", "UID", got, timeout)
	for _, m := range got.order {
		last = max(last, m.UID)
	}
	return last, err
}

func (c *Conn) fetch(set, items string, got *fetched, timeout time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(timeout)
	tag, err := c.send("UID FETCH "+set+" ("+items+")", until)
	if err != nil {
		return err
	}
	c.setFetching(true)
	defer c.setFetching(false)
	for {
		r, err := c.next(until)
		if err != nil {
			return c.timedOut(err, "the answer to FETCH")
		}
		switch {
		case r.tag == tag:
			return c.status(r)
		case r.tag == "*" && r.kind == "FETCH":
			got.add(r.raw)
		case r.tag == "*" && r.kind == "EXPUNGE":
			got.expunge(r.raw)
		}
		if err := c.unexpected(r); err != nil {
			return err
		}
	}
}

// fetched collects the answers to one FETCH. All items of one message have its sequence number; one
// of them is its UID.
type fetched struct {
	asked       map[imap.UID]bool
	from        imap.UID // of the first requested; 0: only those in asked are requested
	order       []*Mail
	bySeq       map[uint32]*Mail // by the number that a message had before any was expunged
	expunged    []uint32         // such numbers, in order
	unsolicited int              // responses of other messages, or of flags once more
}

func newFetched(uids []imap.UID) *fetched {
	f := &fetched{asked: make(map[imap.UID]bool), bySeq: make(map[uint32]*Mail)}
	for _, uid := range uids {
		f.asked[uid] = true
	}
	return f
}

func (f *fetched) add(raw []byte) {
	seq, items := cutFetch(raw)
	seq = f.original(seq)
	said := &Mail{Sections: make(map[string][]byte)}
	for len(items) > 0 {
		var i item
		i, items = cutItem(items)
		said.take(i)
	}
	m := f.bySeq[seq]
	if m == nil || said.UID != 0 && m.UID != 0 && said.UID != m.UID { // some servers count wrongly
		m = &Mail{Sections: make(map[string][]byte)}
		f.bySeq[seq] = m
		f.order = append(f.order, m)
	}
	if said.UID != 0 {
		m.UID = said.UID
	}
	again := said.Flags != nil && m.Flags != nil
	m.merge(said)
	if again || !f.asks(m.UID) {
		f.unsolicited++
	}
}

// expunge notes that a message is gone: those behind it have lower numbers from here on.
func (f *fetched) expunge(raw []byte) {
	_, rest := word(raw)
	digits, _ := word(rest)
	if seq, ok := number(digits); ok {
		seq = f.original(seq)
		at, _ := slices.BinarySearch(f.expunged, seq)
		f.expunged = slices.Insert(f.expunged, at, seq)
	}
}

// original returns the number that a message had before any was expunged.
func (f *fetched) original(seq uint32) uint32 {
	for _, gone := range f.expunged {
		if gone > seq {
			break
		}
		seq++
	}
	return seq
}

func (f *fetched) asks(uid imap.UID) bool { return f.asked[uid] || f.from > 0 && uid >= f.from }

// mails returns the requested messages, each once.
func (f *fetched) mails() []Mail {
	var list []Mail
	at := make(map[imap.UID]int)
	for _, m := range f.order {
		if !f.asks(m.UID) {
			continue
		}
		i, known := at[m.UID]
		if !known {
			at[m.UID] = len(list)
			list = append(list, *m)
			continue
		}
		list[i].merge(m)
	}
	return list
}

// merge adds the items of another answer for the same message. The first flags count: Gmail wrongly
// sends \Seen behind a body.
func (m *Mail) merge(other *Mail) {
	if m.Flags == nil {
		m.Flags = other.Flags
	}
	if m.Date.IsZero() {
		m.Date = other.Date
	}
	m.Size = max(m.Size, other.Size)
	if m.Structure == nil {
		m.Structure = other.Structure
	}
	for name, content := range other.Sections {
		if have, ok := m.Sections[name]; !ok || len(have) == 0 {
			m.Sections[name] = content
		}
	}
}

// take notes one item. An empty content does not replace another.
func (m *Mail) take(i item) {
	switch {
	case i.name == "UID":
		if uid, ok := number(i.value); ok {
			m.UID = imap.UID(uid)
		}
	case i.name == "FLAGS":
		m.Flags = []string{}
		for name := range bytes.FieldsSeq(bytes.Trim(i.value, "()")) {
			m.Flags = append(m.Flags, strings.Fields(Clean(string(name)))...)
		}
	case i.name == "INTERNALDATE":
		m.Date = internalDate(string(i.value))
	case i.name == "RFC822.SIZE":
		if size, err := strconv.ParseInt(string(i.value), 10, 64); err == nil {
			m.Size = max(size, 0)
		}
	case i.name == "BODYSTRUCTURE":
		m.Structure = bytes.Clone(i.value)
	case i.section != "" && len(m.Sections[i.section]) == 0:
		m.Sections[i.section] = bytes.Clone(i.value)
	}
}

// internalDate parses a date-time (RFC 3501 section 9); zero: it is not valid.
func internalDate(text string) time.Time {
	at, err := time.Parse("_2-Jan-2006 15:04:05 -0700", text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// item is one item of a FETCH response: msg-att of RFC 3501 section 9.
type item struct {
	name    string // in upper case: BODY of BODY[TEXT]<0>
	section string // see Mail.Sections; may be empty
	value   []byte // the content of a string, all of a list; empty for NIL
}

// cutFetch returns the sequence number of a FETCH response and the text after its first
// parenthesis.
func cutFetch(raw []byte) (seq uint32, items []byte) {
	_, rest := word(raw) // "*"
	digits, rest := word(rest)
	seq, _ = number(digits)
	_, items, _ = bytes.Cut(rest, []byte("("))
	return seq, items
}

// cutItem cuts the first item off items. The item is empty if there is something else first. It
// cuts at least one byte.
func cutItem(items []byte) (item, []byte) {
	items = bytes.TrimLeft(items, " \r\n")
	end := bytes.IndexAny(items, " [()\"\r\n")
	if end < 0 {
		return item{}, nil
	}
	if end == 0 && items[0] != '[' {
		// No name: a list or a string that belongs to nothing, or a parenthesis too many.
		_, rest := cutValue(items)
		if len(rest) == len(items) {
			rest = items[1:]
		}
		return item{}, rest
	}
	i := item{name: strings.ToUpper(string(items[:end]))}
	rest := items[end:]
	if rest[0] == '[' {
		var section []byte
		section, rest = cutSection(rest)
		name, _, _ := bytes.Cut(section, []byte(" "))
		name, _, _ = bytes.Cut(name, []byte("("))
		if i.name == "BODY" || i.name == "BODY.PEEK" { // as in the command
			i.section = strings.ToUpper(string(name))
		}
		if origin, ok := bytes.CutPrefix(rest, []byte("<")); ok {
			rest = bytes.TrimPrefix(origin[max(bytes.IndexAny(origin, "> \r\n"), 0):], []byte(">"))
		}
	}
	rest = bytes.TrimLeft(rest, " ")
	if i.name == "FLAGS" {
		i.value, rest = cutFlags(rest)
	} else {
		i.value, rest = cutValue(rest)
	}
	return i, rest
}

// cutSection cuts the text in brackets; field names in it may be quoted.
func cutSection(s []byte) (inner, rest []byte) {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch b := s[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case b == ']' && !quoted:
			return s[1:i], s[i+1:]
		case b == '\n':
			return nil, s[i:]
		}
	}
	return nil, nil
}

// cutFlags cuts a list of flags. Brackets, quotes and controls have no meaning in it: some servers
// keep any text that a client made a keyword.
func cutFlags(s []byte) (value, rest []byte) {
	end := bytes.IndexByte(s, ')')
	if len(s) == 0 || s[0] != '(' || end < 0 {
		return cutValue(s)
	}
	return s[:end+1], s[end+1:]
}

// cutValue cuts one value: a string, a literal, a list or an atom.
func cutValue(s []byte) (value, rest []byte) {
	switch {
	case len(s) == 0 || s[0] == ')':
		return nil, s
	case s[0] == '"':
		return cutQuoted(s)
	case s[0] == '(':
		return cutList(s)
	case s[0] == '{' || bytes.HasPrefix(s, []byte("~{")): // literal8, RFC 3516
		return cutLiteral(s)
	}
	end := bytes.IndexAny(s, " )\r\n")
	if end < 0 {
		end = len(s)
	}
	if value = s[:end]; bytes.EqualFold(value, []byte("NIL")) {
		value = nil
	}
	return value, s[end:]
}

// cutQuoted cuts a quoted string and removes its escapes. One that is not closed ends with its
// line.
func cutQuoted(s []byte) (value, rest []byte) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				value = append(value, s[i])
			}
		case '"':
			return value, s[i+1:]
		case '\r', '\n':
			return value, s[i:]
		default:
			value = append(value, s[i])
		}
	}
	return value, nil
}

// cutLiteral cuts a literal, whose size is at the end of its line.
func cutLiteral(s []byte) (value, rest []byte) {
	line, content, ok := bytes.Cut(s, []byte("\n"))
	digits, sized := literalSize(line)
	size, err := strconv.Atoi(digits)
	if !ok || !sized || err != nil {
		return nil, s[len(s)-len(content):]
	}
	size = min(size, len(content))
	return content[:size], content[size:]
}

// cutList cuts a list with its parentheses.
func cutList(s []byte) (value, rest []byte) {
	depth := 0
	for rest = s; len(rest) > 0; {
		switch rest[0] {
		case '(':
			depth++
			rest = rest[1:]
		case ')':
			depth--
			rest = rest[1:]
		case ' ', '\r', '\n':
			rest = rest[1:]
		default:
			_, rest = cutValue(rest)
		}
		if depth == 0 {
			break
		}
	}
	return s[:len(s)-len(rest)], rest
}

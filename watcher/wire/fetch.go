package wire

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Mail is what the answers to a FETCH say of one message. What they do not say, or not so that it can be read, is zero.
type Mail struct {
	UID   imap.UID
	Flags []string
	Date  time.Time // INTERNALDATE
	Size  int64     // RFC822.SIZE, in bytes
	// Sections are the contents of BODY[…], by what stands in the brackets, in upper case and without a list of fields: "TEXT", "2.MIME",
	// "HEADER.FIELDS".
	Sections  map[string][]byte
	Structure []byte // BODYSTRUCTURE, as it came
}

// Fetch asks for items of messages (UID FETCH, RFC 3501 section 6.4.8), at most as long as patience, and returns what came of
// those that were asked for, in the order in which each was first named. It is read here, not by imapclient, because servers answer in many ways: the
// items of a message may come in any order and in several responses, among items that nobody asked for. NO and BAD are an
// *imap.Error, with what came before them; after it the connection works on.
func (c *Conn) Fetch(uids []imap.UID, items string, patience time.Duration) ([]Mail, error) {
	got := newFetched(uids)
	err := c.fetch(imap.UIDSetNum(uids...).String(), items, got, patience)
	c.noteFlags(got.strangers)
	return got.mails(), err
}

// LastUID asks for the UID of the last message by a FETCH of it, and returns the highest that the
// answers name; 0: they name none. Errors are those of Fetch.
func (c *Conn) LastUID(patience time.Duration) (last imap.UID, err error) {
	got := newFetched(nil)
	err = c.fetch("*", "UID", got, patience)
	for _, m := range got.order {
		last = max(last, m.UID)
	}
	return last, err
}

func (c *Conn) fetch(set, items string, got *fetched, patience time.Duration) error {
	if err := c.begin(); err != nil {
		return err
	}
	until := time.Now().Add(patience)
	tag, err := c.send("UID FETCH "+set+" ("+items+")", until)
	if err != nil {
		return err
	}
	c.setFetching(true)
	defer c.setFetching(false)
	for {
		r, err := c.next(until)
		if err != nil {
			return c.late(err, "the answer to FETCH")
		}
		switch {
		case r.tag == tag:
			return c.status(r)
		case r.tag == "*" && r.kind == "FETCH":
			got.add(r.raw)
		case r.tag == "*" && r.kind == "EXPUNGE":
			got.expunge(r.raw)
		}
		if err := c.stray(r); err != nil {
			return err
		}
	}
}

// fetched gathers the answers to one FETCH. All items of one message bear its sequence number; one of them says its UID.
type fetched struct {
	asked     map[imap.UID]bool
	order     []*Mail
	bySeq     map[uint32]*Mail // by the number that a message had before any was expunged
	expunged  []uint32         // such numbers, in order
	strangers int              // responses that were not asked for: of other messages, or flags told again
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
	seq = f.before(seq)
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
	if again || !f.asked[m.UID] {
		f.strangers++
	}
}

// expunge notes that a message is gone: those behind it have other numbers from here on.
func (f *fetched) expunge(raw []byte) {
	_, rest := word(raw)
	digits, _ := word(rest)
	if seq, ok := number(digits); ok {
		seq = f.before(seq)
		at, _ := slices.BinarySearch(f.expunged, seq)
		f.expunged = slices.Insert(f.expunged, at, seq)
	}
}

// before gives the number that a message had before any was expunged.
func (f *fetched) before(seq uint32) uint32 {
	for _, gone := range f.expunged {
		if gone > seq {
			break
		}
		seq++
	}
	return seq
}

// mails are those that were asked for. What is said of one twice is one.
func (f *fetched) mails() []Mail {
	var list []Mail
	at := make(map[imap.UID]int)
	for _, m := range f.order {
		if !f.asked[m.UID] {
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

// merge adds what another answer says of the same message. The first flags count: Gmail says \Seen behind a body, which is not so.
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

// take notes one item. A content that is there is not replaced by one that is empty.
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

// internalDate reads a date-time (RFC 3501 section 9); zero: it is none.
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
	section string // see Mail.Sections; empty: it has none
	value   []byte // of a string what it holds, of a list all of it; empty for NIL
}

// cutFetch returns the sequence number of a FETCH response and what stands between its outer parentheses, with what follows them.
func cutFetch(raw []byte) (seq uint32, items []byte) {
	_, rest := word(raw) // "*"
	digits, rest := word(rest)
	seq, _ = number(digits)
	_, items, _ = bytes.Cut(rest, []byte("("))
	return seq, items
}

// cutItem cuts the first item off items; an empty one if what comes first is none. It takes at least one byte.
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
		if i.name == "BODY" || i.name == "BODY.PEEK" { // as it was asked for
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

// cutSection cuts what stands in brackets; the names of fields in it may be quoted.
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

// cutFlags cuts a list of flags, in which brackets, quotes and controls are none of the grammar's: some servers keep whatever a client
// made a keyword of.
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

// cutQuoted cuts a quoted string and undoes its escapes. One that is not closed goes to the end of its line.
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

// cutLiteral cuts a literal, whose size stands at the end of its line.
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

// cutList cuts a list with all that it holds.
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

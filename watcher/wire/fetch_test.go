package wire

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

func TestFetch(t *testing.T) {
	t.Run("a message is read however its server answers", anyAnswer)
	t.Run("messages of one sequence number are distinguished by their UIDs", sameSequenceNumber)
	t.Run("a flag counts however many stand before it", manyFlags)
	t.Run("an origin that is not closed hides no item", unclosedOrigin)
	t.Run("a message is known by its number after others were expunged", numbersAfterExpunge)
	t.Run("an EXPUNGE costs no more for the messages that were named", costOfExpunge)
	t.Run("items that are missing are zero", missingItemsAreZero)
	t.Run("messages that were not asked for are not returned", unsolicitedItems)
}

// gathered is what the responses, each without "* " and its line end, say of the mails with UIDs 7
// and 8.
func gathered(responses ...string) []Mail {
	f := newFetched([]imap.UID{7, 8})
	for _, r := range responses {
		if raw := []byte("* " + r + "\r\n"); strings.Contains(r, "EXPUNGE") {
			f.expunge(raw)
		} else {
			f.add(raw)
		}
	}
	return f.mails()
}

func literal(text string) string { return fmt.Sprintf("{%d}\r\n%s", len(text), text) }

// anyAnswer reads answers that RFC 3501 or RFC 9051 allows, or that a server in use sends.
func anyAnswer(t *testing.T) {
	header, text := "Subject: tea {12}\r\n\r\n", "* 7 EXISTS\r\n)(\"\r\n"
	fields := "BODY[HEADER.FIELDS (FROM SUBJECT)] " + literal(header)
	body := "BODY[TEXT]<0> " + literal(text)
	rest := `FLAGS (\Recent) INTERNALDATE "28-Nov-2026 06:00:00 +0000" RFC822.SIZE 123`
	for name, responses := range map[string][]string{
		"as most":                 {"3 FETCH (UID 7 " + rest + " " + fields + " " + body + ")"},
		"UID last":                {"3 FETCH (" + rest + " " + fields + " " + body + " UID 7)"},
		"two responses":           {"3 FETCH (" + rest + " UID 7)", "3 FETCH (UID 7 " + fields + " " + body + ")"},
		"UID in one of two":       {"3 FETCH (" + fields + " " + rest + ")", "3 FETCH (UID 7 " + body + ")"},
		"flags again":             {"3 FETCH (UID 7 " + rest + " " + fields + " " + body + ")", `3 FETCH (UID 7 FLAGS (\Seen))`},
		"an empty one behind":     {"3 FETCH (UID 7 " + rest + " " + fields + " " + body + ")", "3 FETCH (UID 7 BODY[HEADER.FIELDS (FROM SUBJECT)] NIL BODY[TEXT]<0> \"\")"},
		"a space before ')'":      {"3 FETCH (UID 7 " + rest + " " + fields + " " + body + " )"},
		"more spaces":             {"3  FETCH  ( UID  7  " + rest + "  " + fields + "  " + body + "  ) "},
		"lower case":              {"3 fetch (uid 7 " + strings.ToLower(rest[:5]) + rest[5:] + " " + strings.ToLower(fields[:35]) + fields[35:] + " " + body + ")"},
		"an item nobody asked":    {`3 FETCH (UID 7 X-GM-LABELS ("\\Inbox" Work "a\"b" {3}` + "\r\na)b) X NIL " + rest + " " + fields + " " + body + " MODSEQ (5) SAVEDATE NIL)"},
		"fields in quotes":        {`3 FETCH (UID 7 BODY[HEADER.FIELDS ("From" "Subject")] ` + literal(header) + " " + rest + " " + body + ")"},
		"an echo of PEEK":         {"3 FETCH (UID 7 " + rest + " BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)] " + literal(header) + " BODY.PEEK[TEXT]<0.4096> " + literal(text) + ")"},
		"no origin":               {"3 FETCH (UID 7 " + rest + " " + fields + " BODY[TEXT] " + literal(text) + ")"},
		"origin and length":       {"3 FETCH (UID 7 " + rest + " " + fields + " BODY[TEXT]<0.4096> " + literal(text) + ")"},
		"literals of another way": {"3 FETCH (UID 7 " + rest + " BODY[HEADER.FIELDS (FROM)] {22+}\r\n" + header + "\r BODY[TEXT] ~" + literal(text) + ")"},
		"brackets in flags":       {"3 FETCH (UID 7 " + strings.Replace(rest, `\Recent`, `\Recent OIB-Seen-[Gmail]/Important`, 1) + " " + fields + " " + body + ")"},
		"controls in flags":       {"3 FETCH (UID 7 " + strings.Replace(rest, `\Recent`, "\\Recent a\x01b\x7f", 1) + " " + fields + " " + body + ")"},
		"a quote in flags":        {"3 FETCH (UID 7 " + strings.Replace(rest, `\Recent`, `\Recent a"b`, 1) + " " + fields + " " + body + ")"},
		"another mail is gone":    {"3 FETCH (UID 7 " + rest + ")", "1 EXPUNGE", "2 FETCH (" + fields + " " + body + ")"},
		"a stranger's flags":      {`1 FETCH (FLAGS (\Seen))`, "3 FETCH (UID 7 " + rest + " " + fields + " " + body + ")", `2 FETCH (UID 5 FLAGS (\Seen))`},
		"no parenthesis behind":   {"3 FETCH (UID 7 " + rest + " " + fields + " " + body},
	} {
		got := gathered(responses...)
		if len(got) != 1 {
			t.Errorf("%s: %d mails", name, len(got))
			continue
		}
		m := got[0]
		if slices.Contains(m.Flags, `\Seen`) {
			t.Errorf("%s: flags %q", name, m.Flags)
		}
		if m.UID != 7 || !slices.Contains(m.Flags, `\Recent`) || m.Size != 123 || !m.Date.Equal(time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)) ||
			strings.TrimSpace(string(m.Sections["HEADER.FIELDS"])) != strings.TrimSpace(header) || string(m.Sections["TEXT"]) != text {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func sameSequenceNumber(t *testing.T) {
	got := gathered("1 FETCH (UID 7 BODY[TEXT] a)", "1 FETCH (UID 8 BODY[TEXT] b)")
	if len(got) != 2 || string(got[0].Sections["TEXT"]) != "a" || string(got[1].Sections["TEXT"]) != "b" {
		t.Errorf("%+v", got)
	}
}

func manyFlags(t *testing.T) {
	got := gathered("1 FETCH (UID 7 FLAGS (" + strings.Repeat("$Label ", 100) + `\Seen))`)
	if len(got) != 1 || !slices.Contains(got[0].Flags, `\Seen`) {
		t.Errorf("%+v", got)
	}
}

func unclosedOrigin(t *testing.T) {
	got := gathered("1 FETCH (UID 7 BODY[TEXT]<0 a RFC822.SIZE 5 X b>c)")
	if len(got) != 1 || got[0].Size != 5 {
		t.Errorf("%+v", got)
	}
}

func numbersAfterExpunge(t *testing.T) {
	got := gathered("9 FETCH (UID 7)", "4 FETCH (UID 8)", "5 EXPUNGE", "5 EXPUNGE", "1 EXPUNGE", "9 EXPUNGE",
		"6 FETCH (BODY[TEXT] a)", "3 FETCH (BODY[TEXT] b)", "3 EXPUNGE", "5 FETCH (BODY[HEADER] c)", "3 FETCH (BODY[TEXT] d)")
	if len(got) != 2 || string(got[0].Sections["TEXT"]) != "a" || string(got[0].Sections["HEADER"]) != "c" || string(got[1].Sections["TEXT"]) != "b" {
		t.Errorf("%+v", got)
	}
}

// A server that sends thousands of both would keep a core busy for minutes otherwise.
func costOfExpunge(t *testing.T) {
	f := newFetched(nil)
	for i := range 5000 {
		f.add(fmt.Appendf(nil, "* %d FETCH ()\r\n", i+1))
	}
	if n := testing.AllocsPerRun(100, func() { f.expunge([]byte("* 9999 EXPUNGE\r\n")) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func missingItemsAreZero(t *testing.T) {
	for response, want := range map[string]Mail{
		`3 FETCH (UID 7)`: {},
		`3 FETCH (UID 7 FLAGS () INTERNALDATE NIL RFC822.SIZE NIL BODY[TEXT] NIL)`:        {},
		`3 FETCH (UID 7 INTERNALDATE "00-Jan-0000 00:00:00 +0000" RFC822.SIZE -1)`:        {},
		`3 FETCH (UID 7 RFC822.SIZE 99999999999999999999 INTERNALDATE yesterday)`:         {},
		`3 FETCH (UID 7 BODY[HEADER] "a \"b\" \\" RFC822.SIZE 5)`:                         {Size: 5, Sections: map[string][]byte{"HEADER": []byte(`a "b" \`)}},
		`3 FETCH (UID 7 BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1) BODY[1] x)`: {Sections: map[string][]byte{"1": []byte("x")}, Structure: []byte(`("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)`)},
		`3 FETCH (UID 7 BODY[TEXT] "never closed`:                                         {Sections: map[string][]byte{"TEXT": []byte("never closed")}},
	} {
		got := gathered(response)
		if len(got) != 1 || got[0].UID != 7 || len(got[0].Flags) != 0 || !got[0].Date.IsZero() || got[0].Size != want.Size ||
			!bytes.Equal(got[0].Structure, want.Structure) {
			t.Errorf("%s: %+v", response, got)
			continue
		}
		maps.DeleteFunc(got[0].Sections, func(_ string, content []byte) bool { return len(content) == 0 })
		if !maps.EqualFunc(got[0].Sections, want.Sections, bytes.Equal) {
			t.Errorf("%s: %q", response, got[0].Sections)
		}
	}
}

func unsolicitedItems(t *testing.T) {
	for _, response := range []string{"3 FETCH (UID 9 BODY[TEXT] x)", "3 FETCH (BODY[TEXT] x)", "3 FETCH", "3 FETCH (", "FETCH (UID 7", "3 FETCH ((((", `3 FETCH ("`, "3 FETCH (UID x)"} {
		if got := gathered(response); len(got) > 1 || len(got) == 1 && got[0].UID != 7 {
			t.Errorf("%s: %+v", response, got)
		}
	}
}

// FuzzFetch holds the reader to one that is slow and simple, on answers that keep to the grammar,
// and to no panic on all others.
func FuzzFetch(f *testing.F) {
	f.Add(uint32(3), uint32(7), "Subject: tea\r\n\r\n", "text\r\n", `\Recent`, uint8(0), []byte("(UID 7 FLAGS (a\"b) BODY[TEXT] {3}\r\nabc)"))
	f.Add(uint32(1), uint32(8), "", ")", "a", uint8(23), []byte("(BODY[HEADER.FIELDS (\"A\" \"B]\")]<0> NIL ((({1}\r\n"))
	f.Fuzz(func(t *testing.T, seq, uid uint32, header, text, flag string, order uint8, anything []byte) {
		noise := newFetched([]imap.UID{imap.UID(uid)})
		noise.add(slices.Concat([]byte("* 1 FETCH "), anything))
		noise.expunge(anything)
		noise.mails()

		if strings.ContainsAny(flag, " ()\r\n\x00") || Clean(flag) != flag || flag == "" || strings.EqualFold(flag, "NIL") {
			flag = `\Seen`
		}
		items := []string{fmt.Sprint("UID ", uid), "FLAGS (" + flag + ")", "BODY[HEADER.FIELDS (SUBJECT)] " + literal(header), "BODY[TEXT]<0> " + literal(text), `X ("a)" {2}` + "\r\n() NIL)"}
		for i := range items { // one of the orders
			j := int(order) % (i + 1)
			items[i], items[j] = items[j], items[i]
		}
		got := newFetched([]imap.UID{imap.UID(uid)})
		got.add(fmt.Appendf(nil, "* %d FETCH (%s)\r\n", seq, strings.Join(items, " ")))
		list := got.mails()
		if len(list) != 1 || !slices.Equal(list[0].Flags, []string{flag}) || string(list[0].Sections["HEADER.FIELDS"]) != header || string(list[0].Sections["TEXT"]) != text {
			t.Errorf("%q: %+v", items, list)
		}
	})
}

package wire

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/emersion/go-imap/v2"
)

// isOdd reports whether a response cannot be read, so that it may be an answer that is missing.
func isOdd(r *response) bool {
	if r.tag != "*" {
		return r.tag == "" || r.tag == "+"
	}
	ok := true
	switch r.kind {
	case "OK", "NO", "BAD", "BYE", "PREAUTH", "CAPABILITY", "FLAGS", "EXISTS", "RECENT", "EXPUNGE", "VANISHED", "LIST", "LSUB", "ENABLED", "ID":
	case "FETCH":
		return false // Fetch alone asks for it
	case "SEARCH":
		_, ok = searched(r)
	case "STATUS":
		_, ok = statusOf(r)
	default:
		ok = false // also ESEARCH, which nobody asks for
	}
	return !ok || r.unbalanced
}

// maxUnsorted is how many numbers of a SEARCH response may be smaller than the one before. More of
// them are no answer of a working server, and would keep a session busy.
const maxUnsorted = 1000

// searched reads a SEARCH response. It cannot be read if something in it is no UID of a message: it
// would hide mail.
func searched(r *response) (uids []imap.UID, ok bool) {
	line, _, _ := bytes.Cut(r.raw, []byte("(")) // (MODSEQ n), RFC 7162
	_, line = word(line)
	_, line = word(line)
	unsorted := 0
	for field := range bytes.FieldsSeq(line) {
		n, ok := number(field)
		if !ok || n == 0 || n == math.MaxUint32 {
			return nil, false
		}
		if len(uids) > 0 && imap.UID(n) < uids[len(uids)-1] {
			unsorted++
		}
		uids = append(uids, imap.UID(n))
	}
	return uids, unsorted <= maxUnsorted
}

// statusOf reads a STATUS response: the name of the folder, and a list of items and their numbers.
func statusOf(r *response) (data imap.StatusData, ok bool) {
	_, rest := word(r.raw)
	_, rest = word(rest)
	rest = bytes.TrimSpace(rest)
	open := bytes.LastIndexByte(rest, '(')
	if open < 0 || r.unbalanced {
		return data, false
	}
	name, items := bytes.TrimSpace(rest[:open]), rest[open+1:]
	if len(name) > 0 && (name[0] == '"' || name[0] == '{') {
		name, _ = cutValue(name)
	}
	data.Mailbox = folderName(string(name))
	fields := bytes.Fields(bytes.TrimSuffix(items, []byte(")")))
	if len(fields)%2 != 0 {
		return data, false
	}
	for i := 0; i < len(fields); i += 2 {
		item := strings.ToUpper(string(fields[i]))
		n, err := strconv.ParseUint(string(fields[i+1]), 10, 64)
		if err != nil || n > math.MaxUint32 && item != "HIGHESTMODSEQ" {
			return data, false
		}
		switch small := uint32(n); item {
		case "MESSAGES":
			data.NumMessages = &small
		case "UNSEEN":
			data.NumUnseen = &small
		case "UIDNEXT":
			data.UIDNext = imap.UID(small)
		case "UIDVALIDITY":
			data.UIDValidity = small
		case "HIGHESTMODSEQ":
			data.HighestModSeq = n
		}
	}
	return data, true
}

// folderName decodes the name of a folder as a server sends it.
func folderName(name string) string {
	if name = decodeFolder(name); strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return name
}

// encodeFolder returns the name of a folder as a command has it: in modified UTF-7 (RFC 3501
// section 5.1.3), quoted.
func encodeFolder(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	var out strings.Builder
	var shifted []byte
	shift := func() {
		if len(shifted) > 0 {
			out.WriteString("&" + strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(shifted), "/", ",") + "-")
		}
		shifted = nil
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			for _, unit := range utf16.AppendRune(nil, r) {
				shifted = append(shifted, byte(unit>>8), byte(unit))
			}
			continue
		}
		shift()
		if out.WriteRune(r); r == '&' {
			out.WriteByte('-')
		}
	}
	shift()
	return quoted(out.String())
}

// quoted returns text as a quoted string.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

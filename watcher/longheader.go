package watcher

import (
	"bytes"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/message"
	"idlepush/watcher/wire"
)

// maxHeader is how much of a header is fetched at once, in bytes, and headerStart asks for that.
const (
	maxHeader   = 65536
	headerStart = "<0.65536>"
)

// fetchCut completes the headers that are too long to be fetched at once: a subject may stand
// behind 20,000 recipients. fetch sends one FETCH.
func fetchCut(list []wire.Mail, fetch func(uids []imap.UID, items string) ([]wire.Mail, error)) error {
	cut := make(map[imap.UID]wire.Mail)
	var uids []imap.UID
	for _, m := range list {
		if len(m.Sections["HEADER.FIELDS"]) >= maxHeader {
			cut[m.UID] = m
			uids = append(uids, m.UID)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	whole := make(map[imap.UID][]byte)
	for name := range strings.FieldsSeq(message.Fields) {
		// 17 KiB are as much as Describe reads.
		answers, err := fetch(uids, "UID BODY.PEEK[HEADER.FIELDS ("+name+")]<0.17408>")
		if err != nil {
			return err
		}
		for _, m := range answers {
			if field := bytes.TrimSpace(header(m)); len(field) > 0 {
				whole[m.UID] = append(append(whole[m.UID], field...), "\r\n"...)
			}
		}
	}
	for uid, m := range cut {
		// What no answer brought may be in the beginning.
		m.Sections["HEADER.FIELDS"] = slices.Concat(whole[uid], m.Sections["HEADER.FIELDS"])
	}
	return nil
}

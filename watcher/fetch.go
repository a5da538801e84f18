package watcher

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher/message"
	"idlepush/watcher/wire"
)

// What a FETCH asks for. The names of fields are atoms: some servers find no field whose name is
// quoted.
const (
	basicItems  = "UID FLAGS INTERNALDATE RFC822.SIZE "
	fieldItems  = "BODY.PEEK[HEADER.FIELDS (" + message.Fields + ")]" + headerStart
	headerItems = "BODY.PEEK[HEADER]" + headerStart // for servers that find no fields at all
	textItems   = " BODY.PEEK[TEXT]<0.4096>"
)

// fetcher fetches messages and makes them ready to be notified.
type fetcher struct {
	*watched
	reader       *reader
	wholeHeaders bool // the server does not send single fields of a header
	// late counts the messages that the last look found, not for the second time, and that the
	// server had for longer than lateBy.
	late int
	old  int // old messages that the look has found so far
	// ahead was fetched before the look and is not recorded; nil: nothing was.
	ahead *ahead
}

// maxOldWords bounds for how many old messages of one look further commands read the words and
// attachments. More old messages are an import, and hardly ring one by one.
const maxOldWords = 5

// terms are what holds for all messages of a folder in one step.
type terms struct {
	folder   *folder
	level    idlepush.Level
	words    bool // a rule asks for the first words, whatever the level is
	lastLook time.Time
	now      time.Time
}

// terms reads the content level of the account, and what its rules ask for.
func (ft *fetcher) terms(f *folder) (terms, error) {
	level, words, err := ft.store.Level(ft.account.ID)
	if err != nil {
		return terms{}, &storeError{err}
	}
	now := ft.host.clock.now()
	lastLook := earlier(f.cursor.Seen, now) // the clock may have been ahead
	return terms{f, level, words, lastLook, now}, nil
}

// fetch describes the messages of these UIDs of the open folder, in their order. It leaves out
// those that are gone since the search or recorded already. waiting are those that the server does
// not send now: they are retried later, and hold up no others.
func (ft *fetcher) fetch(f *folder, uids []imap.UID) (list []registry.Message, waiting []imap.UID, err error) {
	t, err := ft.terms(f)
	if err != nil {
		return nil, nil, err
	}
	known := &ft.failures.messages
	for len(uids) > 0 {
		group := ft.group(f, uids)
		uids = uids[len(group):]
		switch uid := group[0]; {
		case f.ahead[uid]:
			continue
		case known.contentUnavailable(f.id(uid)):
			list = append(list, ft.withoutContent(wire.Mail{UID: uid}, t))
			continue
		case known.waits(f.id(uid), time.Now()):
			waiting = append(waiting, uid)
			continue
		}
		got, missing, err := ft.fetchGroup(t, group)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range got {
			described, err := ft.describe(m, t)
			if err != nil {
				return nil, nil, err
			}
			list = append(list, described)
		}
		switch {
		case len(missing) == 0:
		case len(group) > 1:
			// One by one: each may be sent by itself.
			again := make([]imap.UID, len(missing))
			for i, m := range missing {
				again[i] = m.UID
			}
			known.suspect(f.ids(again))
			uids = append(again, uids...)
		case known.refused(f.id(group[0]), time.Now()):
			list = append(list, ft.withoutContent(missing[0], t))
		default:
			waiting = append(waiting, group[0])
		}
	}
	slices.SortFunc(list, func(a, b registry.Message) int { return cmp.Compare(a.UID, b.UID) })
	return list, waiting, nil
}

// group returns the first of the UIDs that one FETCH names: one alone if its FETCH failed before,
// or if it needs no FETCH.
func (ft *fetcher) group(f *folder, uids []imap.UID) []imap.UID {
	if i := slices.IndexFunc(uids, func(uid imap.UID) bool { return f.ahead[uid] || ft.failures.messages.singly(f.id(uid)) }); i >= 0 {
		return uids[:max(i, 1)]
	}
	return uids
}

// withoutContent makes a message of no more than m: it must not hold up the messages behind it.
func (ft *fetcher) withoutContent(m wire.Mail, t terms) registry.Message {
	ft.log.Warn("message cannot be fetched; notifying without sender and subject", "folder", t.folder.name, "uid", m.UID)
	ft.failures.withoutContent++
	made := ft.message(m, header(m), message.Describe(header(m), m.Sections["TEXT"]), t)
	made.Wordless = true
	return made
}

// expungeIssued refuses a FETCH of mail that another client has removed (RFC 5530); go-imap has no
// name for it.
const expungeIssued imap.ResponseCode = "EXPUNGEISSUED"

// fetchGroup sends one FETCH. It returns the messages that came whole or need no content, and those
// that did not although they are there. An error ends the session.
func (ft *fetcher) fetchGroup(t terms, uids []imap.UID) (got, missing []wire.Mail, err error) {
	items := ft.items(t)
	ids, conn := t.folder.ids(uids), ft.reader.conn
	answers, err := ft.ask(uids, items)
	said, refused := errors.AsType[*imap.Error](err)
	if refused && said.Type == imap.StatusResponseTypeBad && !ft.wholeHeaders {
		ft.wholeHeaders = true // it may not know a part of single fields
		return ft.fetchGroup(t, uids)
	}
	switch {
	case conn.Cause() != nil:
		ft.failures.messages.record(ids, err)
		return nil, nil, err
	case !refused || !busy(said):
	case len(uids) > 1:
		ft.failures.messages.suspect(ids)
		return nil, nil, err
	case !ft.failures.messages.refused(ids[0], time.Now()):
		return nil, nil, err
	}
	for _, uid := range uids {
		m := wire.Mail{UID: uid}
		if i := slices.IndexFunc(answers, func(m wire.Mail) bool { return m.UID == uid }); i >= 0 {
			m = answers[i]
		}
		if header(m) != nil || flagged(m.Flags) != "" {
			got = append(got, m)
		} else {
			missing = append(missing, m)
		}
	}
	if refused && said.Code == expungeIssued {
		// The server may not say in the answer to FETCH which are gone.
		if err := conn.Do("NOOP", timeout); err != nil {
			return nil, nil, err
		}
		refused = false
	}
	if refused || len(missing) == 0 {
		return got, missing, nil
	}
	found, known, err := ft.reader.existing(missing)
	if conn.Cause() != nil {
		ft.failures.messages.record(ids, err)
	}
	if known {
		missing = slices.DeleteFunc(missing, func(m wire.Mail) bool { return !slices.Contains(found, m.UID) })
	}
	return got, missing, err
}

// ask sends one FETCH, unless it was sent ahead.
func (ft *fetcher) ask(uids []imap.UID, items string) ([]wire.Mail, error) {
	got := ft.ahead
	if ft.ahead = nil; got.answers(uids, items) {
		return got.Mails, got.Err
	}
	return ft.reader.conn.Fetch(uids, items, 2*timeout)
}

// items returns what a FETCH of new messages asks for.
func (ft *fetcher) items(t terms) string {
	items := basicItems + fieldItems
	if ft.wholeHeaders {
		items = basicItems + headerItems
	}
	if t.words || t.level.Allows(idlepush.LevelPreview) {
		items += textItems
	}
	return items
}

// header returns the part of a message's header that the server sent; nil: nothing.
func header(m wire.Mail) []byte {
	for _, name := range []string{"HEADER.FIELDS", "HEADER"} {
		if h, ok := m.Sections[name]; ok {
			return append([]byte{}, h...)
		}
	}
	return nil
}

// describe returns what a message is, and why it does not ring if it does not.
func (ft *fetcher) describe(m wire.Mail, t terms) (registry.Message, error) {
	if !m.Date.IsZero() && t.now.Sub(m.Date) > lateBy && !ft.failures.messages.wasRefused(t.folder.id(m.UID)) {
		ft.late++
	}
	more := func(uids []imap.UID, items string) ([]wire.Mail, error) {
		answer, err := ft.fetchMore(t.folder, uids[0], items)
		return []wire.Mail{answer}, err
	}
	if err := fetchCut([]wire.Mail{m}, more); err != nil {
		return registry.Message{}, err
	}
	flag := flagged(m.Flags)
	fields := header(m)
	if fields != nil {
		ft.failures.withoutContent = 0
	}
	if flag == "" && len(bytes.TrimSpace(fields)) == 0 && !ft.wholeHeaders {
		answer, err := ft.fetchMore(t.folder, m.UID, headerItems)
		if err != nil {
			return registry.Message{}, err
		}
		if whole := header(answer); len(bytes.TrimSpace(whole)) > 0 {
			fields, ft.wholeHeaders = whole, true
		}
	}
	d := message.Describe(fields, m.Sections["TEXT"])
	own, use := strings.EqualFold(d.Address, ft.account.Email), ""
	if own && flag == "" {
		var err error
		if use, err = ft.useOf(t.folder, m.UID); err != nil {
			return registry.Message{}, err
		}
	}
	notRung := whyNotRung(flag, own, use)
	if isOld(m.Date, d.Date, t.lastLook, t.now) {
		ft.old++
	}
	if (d.Wanting || d.Mixed) && notRung.Code == "" && ft.old <= maxOldWords {
		if err := ft.readStructure(&d, t.folder, m.UID, fields); err != nil {
			return registry.Message{}, err
		}
	}
	made := ft.message(m, fields, d, t)
	made.NotRung = notRung
	return made, nil
}

func (ft *fetcher) message(m wire.Mail, fields []byte, d message.Description, t terms) registry.Message {
	since := t.folder.cursor.Since
	return registry.Message{UID: uint32(m.UID), Fingerprint: message.Fingerprint(fields, m.Size, m.Date),
		Old: isOld(m.Date, d.Date, t.lastLook, t.now), Past: !since.IsZero() && !m.Date.IsZero() && m.Date.Before(since),
		Content: idlepush.Content{From: d.From, Subject: d.Subject, MessageID: d.MessageID, Preview: d.Preview, OneTimeCode: d.Code}.At(t.level),
		Facts:   ft.facts(d, m.Size, t.words)}
}

// maxRemembered is how many messages of a folder are remembered at first sight.
const maxRemembered = 100

// recent returns the fingerprints of the last messages of the open folder, which is seen for the
// first time. If it is renumbered soon, they could be taken for new. If the server refuses to say,
// there are none.
func (ft *fetcher) recent(f *folder) (fingerprints []string, err error) {
	since := ft.host.clock.now().Add(-skew)
	dayBefore := since.AddDate(0, 0, -1) // for the server's time zone
	uids, _, err := ft.reader.receivedSince(f, dayBefore)
	if err != nil || len(uids) == 0 {
		return nil, err
	}
	dates, err := ft.fetchRefusable(uids[max(0, len(uids)-maxRemembered):], "UID INTERNALDATE")
	if err != nil {
		return nil, err
	}
	uids = nil
	for _, m := range dates {
		if m.Date.IsZero() || !m.Date.Before(since) {
			uids = append(uids, m.UID)
		}
	}
	for step := range slices.Chunk(uids, batch) {
		answers, err := ft.fetchRefusable(step, basicItems+fieldItems)
		if err == nil {
			err = fetchCut(answers, ft.fetchRefusable)
		}
		if err != nil {
			return nil, err
		}
		for _, m := range answers {
			if print := message.Fingerprint(header(m), m.Size, m.Date); print != "" {
				fingerprints = append(fingerprints, print)
			}
		}
	}
	return fingerprints, nil
}

// fetchRefusable sends one FETCH that nothing depends on. An error ends the session.
func (ft *fetcher) fetchRefusable(uids []imap.UID, items string) ([]wire.Mail, error) {
	answers, err := ft.reader.conn.Fetch(uids, items, 2*timeout)
	if ft.reader.conn.Cause() == nil {
		err = nil
	}
	return answers, err
}

// useOf returns the special use of a folder (RFC 6154). Only own mail needs it.
func (ft *fetcher) useOf(f *folder, uid imap.UID) (string, error) {
	id := f.id(uid)
	if f.name == "INBOX" || ft.failures.messages.skipsMore(id) {
		return "", nil
	}
	use, err := ft.reader.use(f.name)
	if ft.reader.conn.Cause() != nil {
		ft.failures.messages.skipMore(id)
	}
	return use, err
}

// maxParts is how many parts of a message are looked through for text.
const maxParts = 3

// readStructure describes a message by its parts, because its header and beginning say too little.
// BODYSTRUCTURE takes a command of its own, which few messages need: in the FETCH of all it would
// save them an answer, but one that is nested too deep, or broken, would cost the message.
func (ft *fetcher) readStructure(d *message.Description, f *folder, uid imap.UID, fields []byte) error {
	answer, err := ft.fetchMore(f, uid, "BODYSTRUCTURE")
	if err != nil {
		return err
	}
	if d.Mixed && len(answer.Structure) > 0 {
		d.Facts.Attachment = wire.HasAttachment(answer.Structure)
	}
	sections := wire.TextParts(answer.Structure, maxParts)
	if !d.Wanting || len(sections) == 0 {
		return nil
	}
	var items []string
	for _, section := range sections {
		if section != "TEXT" {
			items = append(items, "BODY.PEEK["+section+".MIME]")
		}
		items = append(items, "BODY.PEEK["+section+"]<0.32768>")
	}
	if answer, err = ft.fetchMore(f, uid, strings.Join(items, " ")); err != nil {
		return err
	}
	var parts []message.Part
	for _, section := range sections {
		part := message.Part{Header: answer.Sections[section+".MIME"], Text: answer.Sections[section]}
		if section == "TEXT" {
			part.Header = fields
		}
		parts = append(parts, part)
	}
	d.ReadParts(parts...)
	return nil
}

// fetchMore fetches further items of one message, which can be notified without them: a refusal is
// no error, and once a session has ended over them this message gets no more.
func (ft *fetcher) fetchMore(f *folder, uid imap.UID, items string) (wire.Mail, error) {
	id := f.id(uid)
	if ft.failures.messages.skipsMore(id) {
		return wire.Mail{}, nil
	}
	answers, err := ft.reader.conn.Fetch([]imap.UID{uid}, "UID "+items, 2*timeout)
	if ft.reader.conn.Cause() != nil {
		ft.failures.messages.skipMore(id)
		return wire.Mail{}, err
	}
	if len(answers) == 0 {
		return wire.Mail{}, nil
	}
	return answers[0], nil
}

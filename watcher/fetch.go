package watcher

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/registry"
	"idlepush/watcher/message"
	"idlepush/watcher/wire"
)

// What a FETCH asks for. The names of fields are atoms: some servers find no field whose name is quoted.
const (
	basicItems  = "UID FLAGS INTERNALDATE RFC822.SIZE "
	fieldItems  = "BODY.PEEK[HEADER.FIELDS (FROM SENDER SUBJECT DATE MESSAGE-ID CONTENT-TYPE CONTENT-TRANSFER-ENCODING)]"
	headerItems = "BODY.PEEK[HEADER]<0.65536>" // for servers that find no fields at all
	textItems   = " BODY.PEEK[TEXT]<0.4096>"
)

// terms are what holds for all mails of a folder in one look.
type terms struct {
	folder string
	level  registry.Level
	since  time.Time // what the server took in before is old
}

// importAge is how much older than the last success a mail may be that comes as new: an older one was put there by a person or a program.
const importAge = 48 * time.Hour

func (s *session) terms(folder string, since time.Time) (terms, error) {
	level, err := s.store.Level(s.account.ID)
	if err != nil {
		return terms{}, &storeError{err}
	}
	cursor, err := s.store.Cursor(s.account.ID, folder)
	if err != nil {
		return terms{}, &storeError{err}
	}
	return terms{folder, level, cmp.Or(since, earlier(cursor.Seen, s.host.clock.now()).Add(-importAge))}, nil // the clock may have been ahead
}

// fetch describes the mails of these UIDs, in their order, without those that are gone since the search, dealt with or recorded already. Old are those that
// the server took in before since, or, where that is zero, long before the folder was last looked at. waiting are those that the server does not
// give now: they are asked for again later, and hold up no others.
func (s *session) fetch(folder string, uids []imap.UID, since time.Time) (mails []registry.Message, waiting []imap.UID, err error) {
	t, err := s.terms(folder, since)
	if err != nil {
		return nil, nil, err
	}
	for len(uids) > 0 {
		group := s.group(folder, uids)
		uids = uids[len(group):]
		switch uid := group[0]; {
		case s.ahead[poisoned{folder, uid}]:
			continue
		case s.poison.blind(folder, uid):
			mails = append(mails, s.wordless(wire.Mail{UID: uid}, t))
			continue
		case s.poison.waits(folder, uid, time.Now()):
			waiting = append(waiting, uid)
			continue
		}
		got, missing, err := s.fetchGroup(t, group)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range got {
			mail, rings, err := s.describe(m, t)
			if err != nil {
				return nil, nil, err
			}
			if header(m) != nil {
				s.poison.wordless = 0
			}
			if rings {
				mails = append(mails, mail)
			}
		}
		switch {
		case len(missing) == 0:
		case len(group) > 1:
			// One by one: each by itself may be had.
			again := make([]imap.UID, len(missing))
			for i, m := range missing {
				again[i] = m.UID
			}
			s.poison.suspect(folder, again)
			uids = append(again, uids...)
		case s.poison.failed(folder, group[0], time.Now()):
			mails = append(mails, s.wordless(missing[0], t))
		default:
			waiting = append(waiting, group[0])
		}
	}
	slices.SortFunc(mails, func(a, b registry.Message) int { return cmp.Compare(a.UID, b.UID) })
	return mails, waiting, nil
}

// group gives the first of the UIDs that one FETCH asks for: one alone that was in a FETCH that failed, or is not to be asked for.
func (s *session) group(folder string, uids []imap.UID) []imap.UID {
	alone := func(uid imap.UID) bool {
		key := poisoned{folder, uid}
		_, tried := s.poison.trials[key]
		return tried || s.ahead[key] || s.poison.suspected(folder, uid)
	}
	if i := slices.IndexFunc(uids, alone); i >= 0 {
		return uids[:max(i, 1)]
	}
	return uids
}

// wordless is a mail of which there is no more than m: it must not keep the mails behind it from ringing.
func (s *session) wordless(m wire.Mail, t terms) registry.Message {
	s.log.Warn("a mail cannot be fetched and rings without words", "mailbox", t.folder, "uid", m.UID)
	s.poison.wordless++
	mail := s.mail(m, header(m), message.Describe(header(m), m.Sections["TEXT"]), t)
	mail.Wordless = true
	return mail
}

// expungeIssued refuses a FETCH of mail that another client has removed (RFC 5530); go-imap has no name for it.
const expungeIssued imap.ResponseCode = "EXPUNGEISSUED"

// fetchGroup is one FETCH: what came whole or needs no words, and what did not come or not whole
// although it is there. An error ends the session.
func (s *session) fetchGroup(t terms, uids []imap.UID) (got, missing []wire.Mail, err error) {
	items := basicItems + fieldItems
	if s.whole {
		items = basicItems + headerItems
	}
	if t.level.Allows(registry.Preview) {
		items += textItems
	}
	answers, err := s.conn.Fetch(uids, items, 2*patience)
	said, refused := errors.AsType[*imap.Error](err)
	switch {
	case s.conn.Cause() != nil:
		s.poison.strike(t.folder, uids, err)
		return nil, nil, err
	case !refused || !busy(said):
	case len(uids) > 1:
		s.poison.suspect(t.folder, uids)
		return nil, nil, err
	case !s.poison.failed(t.folder, uids[0], time.Now()):
		return nil, nil, err
	}
	for _, uid := range uids {
		m := wire.Mail{UID: uid}
		if i := slices.IndexFunc(answers, func(m wire.Mail) bool { return m.UID == uid }); i >= 0 {
			m = answers[i]
		}
		if header(m) != nil || dealtWith(m.Flags) {
			got = append(got, m)
		} else {
			missing = append(missing, m)
		}
	}
	if refused && said.Code == expungeIssued {
		// The server may not say in the answer to FETCH which are gone.
		if err := s.conn.Do("NOOP", patience); err != nil {
			return nil, nil, err
		}
		refused = false
	}
	if refused || len(missing) == 0 {
		return got, missing, nil
	}
	if missing, err = s.there(missing); s.conn.Cause() != nil {
		s.poison.strike(t.folder, uids, err)
	}
	return got, missing, err
}

// there gives those of the mails that the server still has, or may have.
func (s *session) there(mails []wire.Mail) ([]wire.Mail, error) {
	var set imap.UIDSet
	for _, m := range mails {
		set.AddNum(m.UID)
	}
	var found []imap.UID
	var dropped int
	err := s.conn.Lend(patience, func(client *imapclient.Client) (err error) {
		found, err = search(client, &imap.SearchCriteria{UID: []imap.UIDSet{set}})
		dropped = s.conn.Dropped()
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); (refused || dropped > 0) && s.conn.Cause() == nil {
		return mails, nil
	}
	return slices.DeleteFunc(mails, func(m wire.Mail) bool { return !slices.Contains(found, m.UID) }), err
}

// header is what came of a mail's header; nil: nothing.
func header(m wire.Mail) []byte {
	for _, name := range []string{"HEADER.FIELDS", "HEADER"} {
		if h, ok := m.Sections[name]; ok {
			return append([]byte{}, h...)
		}
	}
	return nil
}

// describe says what a mail is, and whether it rings.
func (s *session) describe(m wire.Mail, t terms) (_ registry.Message, rings bool, err error) {
	if _, again := s.poison.trials[poisoned{t.folder, m.UID}]; !again && !m.Date.IsZero() && time.Since(m.Date) > lateBy {
		s.late++
	}
	if dealtWith(m.Flags) {
		return registry.Message{}, false, nil
	}
	fields := header(m)
	if len(bytes.TrimSpace(fields)) == 0 && !s.whole {
		answer, err := s.askMore(t, m.UID, headerItems)
		if err != nil {
			return registry.Message{}, false, err
		}
		if whole := header(answer); len(bytes.TrimSpace(whole)) > 0 {
			fields, s.whole = whole, true
		}
	}
	d := message.Describe(fields, m.Sections["TEXT"])
	if strings.EqualFold(d.Address, s.account.Email) {
		return registry.Message{}, false, nil
	}
	if d.Wanting {
		preview, err := s.furtherWords(t, m.UID, fields)
		if err != nil {
			return registry.Message{}, false, err
		}
		d.Preview = cmp.Or(preview, d.Preview)
	}
	mail := s.mail(m, fields, d, t)
	if mail.Old {
		s.log.Info("a mail does not ring, the server took it in long ago", "mailbox", t.folder, "uid", m.UID)
	}
	return mail, true, nil
}

func (s *session) mail(m wire.Mail, fields []byte, d message.Description, t terms) registry.Message {
	return registry.Message{UID: uint32(m.UID), Fingerprint: message.Fingerprint(fields, m.Size, m.Date), Old: !m.Date.IsZero() && m.Date.Before(t.since),
		Content: registry.Content{From: d.From, Subject: d.Subject, MessageID: d.MessageID, Preview: d.Preview}.At(t.level)}
}

// mostParts is how many parts of a mail are looked through for words.
const mostParts = 3

// furtherWords reads a mail's first parts of text, of which the beginning of the mail held nothing; empty: there are no words.
func (s *session) furtherWords(t terms, uid imap.UID, fields []byte) (string, error) {
	answer, err := s.askMore(t, uid, "BODYSTRUCTURE")
	if err != nil {
		return "", err
	}
	sections := wire.TextParts(answer.Structure, mostParts)
	if len(sections) == 0 {
		return "", nil
	}
	var items []string
	for _, section := range sections {
		if section != "TEXT" {
			items = append(items, "BODY.PEEK["+section+".MIME]")
		}
		items = append(items, "BODY.PEEK["+section+"]<0.32768>")
	}
	if answer, err = s.askMore(t, uid, strings.Join(items, " ")); err != nil {
		return "", err
	}
	var parts []message.Part
	for _, section := range sections {
		part := message.Part{Header: answer.Sections[section+".MIME"], Text: answer.Sections[section]}
		if section == "TEXT" {
			part.Header = fields
		}
		parts = append(parts, part)
	}
	return message.Preview(parts...), nil
}

// askMore asks for further items of one mail. It can be had without them: a refusal is no error, and after a session has ended over it nothing more is
// asked of this mail.
func (s *session) askMore(t terms, uid imap.UID, items string) (wire.Mail, error) {
	if s.poison.brief[poisoned{t.folder, uid}] {
		return wire.Mail{}, nil
	}
	answers, err := s.conn.Fetch([]imap.UID{uid}, "UID "+items, 2*patience)
	if s.conn.Cause() != nil {
		s.poison.spare(t.folder, uid)
		return wire.Mail{}, err
	}
	if len(answers) == 0 {
		return wire.Mail{}, nil
	}
	return answers[0], nil
}

// dealtWith reports whether a person or a filter has seen to a mail already.
func dealtWith(flags []string) bool {
	return slices.ContainsFunc(flags, func(f string) bool {
		switch strings.ToLower(f) {
		case `\seen`, `\deleted`, `\draft`, "$junk", "junk":
			return true
		}
		return false
	})
}

package watcher

import (
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

var (
	headerSection = &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader, HeaderFields: []string{
		"From", "Sender", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding"}}
	textSection = &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierText,
		Partial: &imap.SectionPartial{Offset: 0, Size: 4096}}
)

// poison remembers, from one session of an account to the next, the mails whose FETCH ended a session. A batch that
// did is fetched one by one, and a mail that did it rings blind, without a word of what it says: it must not keep the mails
// behind it from ringing.
type poison struct {
	strikes map[poisoned]int
	shut    map[string]time.Time // folders that are passed over, until when
	careful bool                 // asking for the STATUS of several folders has ended a session
	muted   int                  // asking for the STATUS of the open folder has, so often in a row
}

type poisoned struct {
	folder string
	uid    imap.UID
}

// mostStrikes is how often a connection may be lost over one mail before the mail is held to be the reason. An answer
// that breaks the protocol or a limit needs no second time.
const mostStrikes = 3

func (p *poison) blind(folder string, uid imap.UID) bool {
	return p.strikes[poisoned{folder, uid}] >= mostStrikes
}

// suspected reports whether the mail was in a FETCH that failed.
func (p *poison) suspected(folder string, uid imap.UID) bool {
	return p.strikes[poisoned{folder, uid}] > 0
}

// strike takes note of a FETCH that failed: of several mails, any may have been the reason.
func (p *poison) strike(folder string, uids []imap.UID, err error) {
	if p.strikes == nil {
		p.strikes = make(map[poisoned]int)
	}
	_, protocol := errors.AsType[*wire.ProtocolError](err)
	_, limit := errors.AsType[*wire.LimitError](err)
	refusal, refused := errors.AsType[*imap.Error](err)
	certain := protocol || limit || refused && !temporary(refusal)
	for _, uid := range uids {
		key := poisoned{folder, uid}
		switch {
		case len(uids) > 1:
			p.strikes[key] = max(p.strikes[key], 1)
		case certain:
			p.strikes[key] = mostStrikes
		default:
			p.strikes[key]++
		}
	}
}

func (p *poison) forget(folder string, uids []imap.UID) {
	for _, uid := range uids {
		delete(p.strikes, poisoned{folder, uid})
	}
}

// whole stands for a folder in the place of a mail: its search ended a session.
const whole imap.UID = 0

// notifying stands in the place of a folder for asking for NOTIFY.
const notifying = ""

// shutFor is how long a folder that has ended so many sessions is passed over; then it is tried once more.
const shutFor = time.Hour

// refuse has the folder passed over.
func (p *poison) refuse(folder string) {
	if p.shut == nil {
		p.shut = make(map[string]time.Time)
	}
	p.shut[folder] = time.Now().Add(shutFor)
}

// avoids reports whether looking at the folder has ended so many sessions that it is passed over now.
func (p *poison) avoids(folder string) bool {
	if p.blind(folder, whole) {
		p.strikes[poisoned{folder, whole}]--
		p.refuse(folder)
	}
	return time.Now().Before(p.shut[folder])
}

// fetch describes the mails of these UIDs, in their order, without those that are gone since the search or dealt with. Old are those that the server took
// in before since, or, where that is zero, long before the folder was last looked at.
func (s *session) fetch(folder string, uids []imap.UID, since time.Time) ([]registry.Mail, error) {
	var mails []registry.Mail
	for len(uids) > 0 {
		n := len(uids)
		if i := slices.IndexFunc(uids, func(uid imap.UID) bool { return s.poison.suspected(folder, uid) }); i >= 0 {
			n = max(i, 1)
		}
		group := uids[:n]
		uids = uids[n:]
		if s.poison.blind(folder, group[0]) {
			s.log.Warn("a mail cannot be fetched and rings blind", "mailbox", folder, "uid", group[0])
			mails = append(mails, registry.Mail{UID: uint32(group[0])})
			continue
		}
		got, err := s.fetchGroup(folder, group, since)
		if _, ours := errors.AsType[*storeError](err); ours {
			return nil, err
		}
		if err != nil && !s.plain && s.conn.Cause() == nil && errors.Is(err, errUnreadable) {
			// It may be the date or the size that cannot be read, and a mail rings without them.
			s.plain = true
			uids = append(slices.Clone(group), uids...)
			continue
		}
		if err != nil {
			s.poison.strike(folder, group, err)
			if said, refused := errors.AsType[*imap.Error](err); s.conn.Cause() != nil || refused && busy(said) {
				return nil, err
			}
			// The connection works on: the same again, one by one, and at last blind.
			uids = append(slices.Clone(group), uids...)
			continue
		}
		mails = append(mails, got...)
	}
	return mails, nil
}

// expungeIssued refuses a FETCH of mail that another client has removed (RFC 5530); go-imap has no name for it.
const expungeIssued imap.ResponseCode = "EXPUNGEISSUED"

// errUnreadable is a FETCH that succeeded without all that was asked for, although it is there.
var errUnreadable = errors.New("the server's answer to FETCH cannot be read")

// importAge is how much older than the last success a mail may be that comes as new: an older one was put there by a person or a program.
const importAge = 48 * time.Hour

// fetchGroup is one FETCH.
func (s *session) fetchGroup(folder string, uids []imap.UID, since time.Time) ([]registry.Mail, error) {
	level, err := s.store.Level(s.account.ID)
	if err != nil {
		return nil, &storeError{err}
	}
	cursor, err := s.store.Cursor(s.account.ID, folder)
	if err != nil {
		return nil, &storeError{err}
	}
	since = cmp.Or(since, earlier(cursor.Seen, s.host.clock.now()).Add(-importAge)) // the clock may have been ahead
	options := &imap.FetchOptions{UID: true, Flags: true, InternalDate: !s.plain, RFC822Size: !s.plain,
		BodySection: []*imap.FetchItemBodySection{headerSection}}
	if level.Allows(registry.Preview) {
		options.BodySection = append(options.BodySection, textSection)
	}
	var answers []*imapclient.FetchMessageBuffer
	var there []imap.UID
	err = s.conn.Lend(2*patience, func(client *imapclient.Client) (err error) {
		answers, err = client.Fetch(imap.UIDSetNum(uids...), options).Collect()
		if said, ok := errors.AsType[*imap.Error](err); ok && said.Code == expungeIssued {
			// Some are gone, and the server may not say so in the answer to FETCH (RFC 5530).
			err = client.Noop().Wait()
		}
		if err == nil && len(answers) < len(uids) {
			there, err = search(client, &imap.SearchCriteria{UID: []imap.UIDSet{imap.UIDSetNum(uids...)}})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var mails []registry.Mail
	late := 0
	for _, uid := range uids {
		i := slices.IndexFunc(answers, func(m *imapclient.FetchMessageBuffer) bool { return m.UID == uid })
		switch {
		case i < 0 && slices.Contains(there, uid), i >= 0 && len(answers[i].BodySection) == 0:
			return nil, errUnreadable
		case i < 0:
			continue
		}
		date := answers[i].InternalDate
		if !date.IsZero() && time.Since(date) > lateBy {
			late++
		}
		if m, own := s.describe(answers[i], level); !own && rings(answers[i]) {
			if m.Old = !date.IsZero() && date.Before(since); m.Old {
				s.log.Info("a mail does not ring, the server took it in long ago", "mailbox", folder, "uid", uid)
			}
			mails = append(mails, m)
		}
	}
	s.late += late
	return mails, nil
}

// rings reports whether nobody has dealt with a mail.
func rings(m *imapclient.FetchMessageBuffer) bool {
	return !slices.ContainsFunc(m.Flags, func(f imap.Flag) bool {
		switch strings.ToLower(string(f)) {
		case `\seen`, `\deleted`, `\draft`, "$junk", "junk":
			return true
		}
		return false
	})
}

// describe says what a mail is, and whether the account's owner sent it.
func (s *session) describe(m *imapclient.FetchMessageBuffer, level registry.Level) (_ registry.Mail, own bool) {
	var header, text []byte
	for _, section := range m.BodySection {
		if section.Section.Specifier == imap.PartSpecifierText {
			text = section.Bytes
		} else {
			header = section.Bytes
		}
	}
	d := message.Describe(header, text)
	return registry.Mail{UID: uint32(m.UID), Fingerprint: message.Fingerprint(header, m.RFC822Size, m.InternalDate),
		Content: registry.Content{From: d.From, Subject: d.Subject, MessageID: d.MessageID, Preview: d.Preview}.At(level)}, strings.EqualFold(d.Address, s.account.Email)
}

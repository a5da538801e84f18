package watcher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// Why a mail does not ring. Package registry has the others.
const (
	notRungDeleted codes.Code = "deleted"
	notRungDraft   codes.Code = "draft"
	notRungJunk    codes.Code = "junk"
	notRungSent    codes.Code = "sent"
	notRungSeen    codes.Code = "seen"
)

// notRungDuplicate is one that package registry has, too: it finds most copies.
const notRungDuplicate codes.Code = "duplicate"

// filed is the case of notRungSent for a mail that was not read.
const filed = "filed"

// flagged returns why a mail with these flags does not ring; empty: the flags do not say.
func flagged(flags []string) codes.Code {
	has := func(names ...string) bool {
		return slices.ContainsFunc(flags, func(f string) bool { return slices.Contains(names, strings.ToLower(f)) })
	}
	switch {
	case has(`\deleted`):
		return notRungDeleted
	case has(`\draft`):
		return notRungDraft
	case has("$junk", "junk"):
		return notRungJunk
	case has(`\seen`):
		return notRungSeen
	}
	return ""
}

// whyNotRung returns why a mail does not ring; zero: it does. flag is what its flags say, own
// whether the account's own address is its sender, and use the special use of its folder. Many a
// device at home mails as its owner, so own mail rings unless it is certain that it was sent by a
// mail program.
func whyNotRung(flag codes.Code, own bool, use string) idlepush.Reason {
	switch {
	case own && flag == notRungSeen:
		return idlepush.Reason{Code: notRungSent}
	case flag != "":
		return idlepush.Reason{Code: flag}
	case own && (use == "sent" || use == "drafts"):
		return idlepush.Reason{Code: notRungSent}.With(codes.Case, filed)
	}
	return idlepush.Reason{}
}

const (
	// importAge is how much older than the last look a mail may be that comes as new: a person or a
	// program has put an older one there.
	importAge = 48 * time.Hour

	// zoneSkew is how far a date may be in the future: some servers and programs get the time zone
	// wrong.
	zoneSkew = 24 * time.Hour
)

// firstYear is when the dates that can be believed begin. Cameras without a clock and broken
// servers send earlier ones.
var firstYear = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// isOld reports whether a mail is older than what can have come since the last look. That is judged
// by the later of two dates: when the server received the mail and when it was sent. Dates that are
// zero, before 2000 or in the future are not known, and without a date a mail is not old.
func isOld(received, sent, lastLook, now time.Time) bool {
	var latest time.Time
	for _, date := range []time.Time{received, sent} {
		if !date.Before(firstYear) && !date.After(now.Add(zoneSkew)) && date.After(latest) {
			latest = date
		}
	}
	return !latest.IsZero() && latest.Before(lastLook.Add(-importAge))
}

// markTwins notes which messages of the folder look like new ones and are still there: then the new
// ones are no copies that moved. If the server does not say, they are taken to be there.
func (ft *fetcher) markTwins(f *folder, mails []registry.Message) error {
	prints := make([]string, len(mails))
	for i, m := range mails {
		prints[i] = m.Fingerprint
	}
	twins, err := ft.store.Twins(ft.account.ID, f.name, f.validity, prints)
	if err != nil {
		return &storeError{err}
	}
	for step := range slices.Chunk(twins, maxSought) {
		still, known, err := ft.reader.notDeleted(step)
		if err != nil {
			return fmt.Errorf("look for mail like the new: %w", err)
		}
		for i := range mails {
			for _, uid := range step {
				if !known || slices.Contains(still, imap.UID(uid)) {
					mails[i].Twins = append(mails[i].Twins, uid)
				}
			}
		}
	}
	return nil
}

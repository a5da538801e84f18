package registry

import (
	"time"

	"idlepush"
	"idlepush/ring"
)

// Cursor is how far a folder has been handled: every UID below Next of this UIDVALIDITY (RFC 3501
// section 2.3.1.1).
type Cursor struct {
	UIDValidity uint32
	Next        uint32    // the first UID not yet handled; 0 after UID 4294967295, the last
	Seen        time.Time // when the folder last had no other UIDs
	// Since is set after UIDVALIDITY changed, until the whole folder was read. Mail is new only if
	// the server received it after Since, and its fingerprint is unknown. If Since is zero, all
	// mail from Next on is new.
	Since time.Time
}

// Message is one new mail of a folder.
type Message struct {
	UID         uint32
	NotRung     idlepush.Reason // why it notifies nobody; zero: it does
	Old         bool            // it was received long before it was found: push decides
	Past        bool            // it came before its folder was renumbered
	Fingerprint string          // the same in another folder or under another UID; empty: unknown
	Twins       []uint32        // the UIDs of Mail.Twins that the folder still has
	Wordless    bool            // the server does not return the content, or not yet
	Content     idlepush.Content
	Facts       ring.Facts // First has no effect: Record finds it
}

// Host is what the accounts on a mail server have learned of it. Package watcher decides what
// follows from it.
type Host struct {
	Interval        time.Duration   // how long one IDLE may last; zero: unknown
	Since           time.Time       // since when that is so
	RecentDrops     []time.Duration // the silences after which connections dropped
	LastDrop        time.Time       // when the last of them did
	FatalSilence    time.Duration   // the silence after which connections drop; zero: unknown
	MissedNews      int             // how often IDLE has missed mail since it last reported any
	DistrustedSince time.Time       // since when IDLE is not trusted; zero: it is
	Reports         bool            // IDLE has reported mail, and missed none since
	Unanswered      time.Duration   // the silence of the last one to die unnoticed; zero: none
	DiedUnnoticed   time.Time       // when a silence proved not to be the cause; zero: never
}

// Package ring has what decides when mail rings: the facts of a mail, and the wishes of people.
// Package push decides. The watcher finds the facts, web takes the wishes, and registry keeps both,
// sealed, in the form that they have here.
package ring

import (
	"slices"
	"time"

	"idlepush/codes"
)

// Facts are what may decide about a mail. They are known whatever its content level is.
type Facts struct {
	From       string   `json:",omitempty"` // the sender's address in lower case; empty: unknown
	Name       string   `json:",omitempty"` // of the sender
	To         []string `json:",omitempty"` // addresses of To and Cc in lower case, at most MaxTo
	Subject    string   `json:",omitempty"`
	Words      string   `json:",omitempty"` // the first words; empty: no rule asks for them
	List       string   `json:",omitempty"` // of List-Id (RFC 2919), in lower case
	Bulk       bool     `json:",omitempty"` // sent to many, or by a program
	Attachment bool     `json:",omitempty"`
	Size       int64    `json:",omitempty"` // bytes; 0: unknown
	// Thread has digests of the Message-Ids of the mail and of those that it refers to: the first
	// of the conversation first, its own last. At most MaxThread.
	Thread []string `json:",omitempty"`
	Answer bool     `json:",omitempty"` // an answer that is addressed to the mailbox
	First  bool     `json:",omitempty"` // the first mail from this address
}

// Bounds of Facts.
const (
	MaxTo     = 50
	MaxThread = 20
)

// Verdict says how a mail rings on a device.
type Verdict string

// Now rings. Held waits. Silent shows without a sound. Not shows nothing.
const (
	Now    Verdict = "now"
	Held   Verdict = "held"
	Silent Verdict = "silent"
	Not    Verdict = "not"
)

// Decision says whether, when and how a mail rings on a device, and why.
type Decision struct {
	Verdict Verdict
	Since   time.Time `json:",omitzero"` // held: since when, for the same reason
	// Until is when what decided ends: quiet hours, a burst or a mute. Zero: it has no end. What is
	// held is decided again then.
	Until time.Time `json:",omitzero"`
	// Loud has it break through the quiet of the phone, where its platform lets it.
	Loud    bool   `json:",omitempty"`
	Content string `json:",omitempty"` // the highest content level; empty: that of the device

	// Code says what decided, with its parameters; empty: nothing asked for anything else.
	Code   codes.Code        `json:",omitempty"`
	Params map[string]string `json:",omitempty"`
	By     Source            `json:",omitzero"`
	Waited *Wait             `json:",omitempty"` // what held the mail before; nil: nothing did
}

// Source is what decided, as it was then. The zero Source stays as it is.
type Source struct {
	Mute    string `json:",omitempty"` // the id of a mute
	Rules   uint64 `json:",omitempty"` // Wishes.RulesSince
	Quiet   uint64 `json:",omitempty"` // DeviceWishes.QuietSince
	Folders uint64 `json:",omitempty"` // DeviceWishes.FoldersSince
}

// Wait is for how long something held a mail.
type Wait struct {
	Code         codes.Code // of the decision that held it
	Since, Until time.Time
}

// Holds counts the held deliveries to a device.
type Holds struct {
	Count int        // of mails, and of what else needs attention
	Until time.Time  // when all of it will have been decided again
	Code  codes.Code // of the decision that holds the last of it
}

// IsOutdated reports whether the rule, mute or setting that decided was changed or removed. A mute
// that has ended was not.
func (d Decision) IsOutdated(w Wishes, on DeviceWishes, now time.Time) bool {
	unmuted := d.By.Mute != "" && (d.Until.IsZero() || now.Before(d.Until)) &&
		!slices.ContainsFunc(w.Mutes, func(m Mute) bool { return m.ID == d.By.Mute })
	return unmuted || d.By.Rules != 0 && d.By.Rules != w.RulesSince ||
		d.By.Quiet != 0 && d.By.Quiet != on.QuietSince || d.By.Folders != 0 && d.By.Folders != on.FoldersSince
}

// WaitedUntil returns what held the mail until a time at which the decision no longer holds it, or
// nil.
func (d Decision) WaitedUntil(at time.Time) *Wait {
	if d.Verdict != Held || d.Code == "" {
		return d.Waited
	}
	if d.Until.Before(at) {
		at = d.Until
	}
	return &Wait{d.Code, d.Since, at}
}

// StaysSilent reports whether the decision silences the mail for good, not only for quiet hours.
func (d Decision) StaysSilent() bool { return d.Verdict == Silent && d.Until.IsZero() }

// Shows reports whether something is shown, with or without a sound.
func (v Verdict) Shows() bool { return v == Now || v == Silent }

// MaxRecent and RecentAge bound the mail of the last days.
const (
	MaxRecent = 200
	RecentAge = 7 * 24 * time.Hour
)

// Mail is a mail of the last days, to find out how it would have rung.
type Mail struct {
	Folder string
	UID    uint32
	At     time.Time // when it was found, or, if it is not recorded, when the server received it
	Facts  Facts
	// Code says why no device would have been notified, with its parameters; empty: it would.
	Code   codes.Code
	Params map[string]string
}

// Replay is how mails would have rung on a device.
type Replay struct {
	Decisions []Decision // the last about each mail, in the order of the mails
	Summed    []bool     // whether a summary counted the mail instead
	Rings     int        // how often the device would have rung, with summaries
}

const hidden = "[facts]"

// String implements fmt.Stringer and hides the facts.
func (Facts) String() string { return hidden }

// GoString implements fmt.GoStringer and hides the facts.
func (Facts) GoString() string { return hidden }

// String implements fmt.Stringer and hides the wishes.
func (Wishes) String() string { return "[wishes]" }

// GoString implements fmt.GoStringer and hides the wishes.
func (Wishes) GoString() string { return "[wishes]" }

package ring

import (
	"slices"
	"time"
)

// Wishes are what one person wishes of one mailbox, on all of the person's devices.
type Wishes struct {
	Revision  uint64   `json:",omitempty"` // changes with every edit but that of Mutes
	Name      string   `json:",omitempty"` // of the mailbox in titles; empty: its address
	Color     string   `json:",omitempty"` // of the mailbox: #rrggbb; empty: none
	Sound     string   `json:",omitempty"` // one that the app has; None: none; empty: the device's
	People    []string `json:",omitempty"` // who break through: addresses, @domains
	Rules     []Rule   `json:",omitempty"` // the first that matches decides
	Otherwise Action   `json:",omitzero"`  // if none matches
	Mutes     []Mute   `json:",omitempty"`

	RulesSince uint64 `json:",omitempty"` // the Revision that changed People, Rules or Otherwise
}

// None is the sound of a silent mailbox.
const None = "none"

// Bounds of Wishes. MaxTexts is of one field of a rule, and MaxText the runes of each.
const (
	MaxPeople = 200
	MaxRules  = 50
	MaxMutes  = 200
	MaxTexts  = 50
	MaxText   = 200
)

// Rule has conditions, and the action for mail that meets them.
type Rule struct {
	If   Match
	Then Action
}

// Match is what a mail must be for a rule. All that is given must hold. Of several texts, one must.
type Match struct {
	// From has addresses, domains that begin with @, and parts of the name or address.
	From       []string `json:",omitempty"`
	To         []string `json:",omitempty"` // as From, of To and Cc
	Subject    []string `json:",omitempty"` // a part
	Folder     []string `json:",omitempty"` // the whole name
	List       []string `json:",omitempty"` // a part of its id
	Words      []string `json:",omitempty"` // a part of the subject or the first words
	Bulk       *bool    `json:",omitempty"`
	Attachment *bool    `json:",omitempty"`
	Answer     *bool    `json:",omitempty"`
	First      *bool    `json:",omitempty"`
	Above      int64    `json:",omitempty"` // bytes; larger
	Below      int64    `json:",omitempty"` // bytes; smaller
}

// Action says whether a mail rings, and how much of it is shown. The zero Action rings.
type Action struct {
	Ring    Volume `json:",omitempty"`
	Content string `json:",omitempty"` // the highest content level; empty: that of the device
}

// Volume is how a mail rings by a rule.
type Volume string

// The volumes; empty: VolumeNormal. VolumeLoud breaks through like the mail of People.
const (
	VolumeNormal Volume = "ring"
	VolumeLoud   Volume = "loud"
	VolumeSilent Volume = "silent"
	VolumeNot    Volume = "not"
)

// AskWords reports whether a rule asks for the first words of mail.
func (w Wishes) AskWords() bool {
	return slices.ContainsFunc(w.Rules, func(r Rule) bool { return len(r.If.Words) > 0 })
}

// Mute is mail that does not ring for a while.
type Mute struct {
	ID     string
	Of     MuteOf
	Sender string   `json:",omitempty"` // the address, of MuteSender
	Thread []string `json:",omitempty"` // of MuteConversation: the first and the muted mail
	Title  string   `json:",omitempty"` // the subject, of MuteConversation, to show it
	Device string   `json:",omitempty"` // the device's id; empty: all of the person
	Since  time.Time
	Until  time.Time `json:",omitzero"` // zero: for ever
}

// MuteOf is what a Mute is of.
type MuteOf string

// A mailbox, the mail of a sender, or a conversation.
const (
	MuteMailbox      MuteOf = "mailbox"
	MuteSender       MuteOf = "sender"
	MuteConversation MuteOf = "conversation"
)

// DeviceWishes are the wishes of a person for one device.
type DeviceWishes struct {
	Revision  uint64              `json:",omitempty"` // changes with every edit
	Quiet     Quiet               `json:",omitzero"`
	Folders   map[string][]string `json:",omitempty"` // by account; without an entry, all
	Heartbeat Heartbeat           `json:",omitzero"`

	QuietSince   uint64 `json:",omitempty"` // the Revision in which Quiet changed
	FoldersSince uint64 `json:",omitempty"` // the same of Folders
}

// Quiet are the quiet hours of a device.
type Quiet struct {
	Zone  string    `json:",omitempty"` // IANA name
	Hours []Hours   `json:",omitempty"`
	Mode  QuietMode `json:",omitempty"`
	// What comes through all the same.
	People    bool `json:",omitempty"` // mail of People, and what a rule has ring loudly
	Attention bool `json:",omitempty"`
}

// MaxHours bounds Quiet.Hours.
const MaxHours = 50

// Hours are quiet hours that begin on some days of the week.
type Hours struct {
	Days []time.Weekday
	// Minutes since midnight. If To is not after From, they end on the next day.
	From, To int
}

// QuietMode is what happens to mail in quiet hours.
type QuietMode string

// QuietHold has it wait for a summary at their end, and QuietSilent shows it without a sound.
const (
	QuietHold   QuietMode = "hold"
	QuietSilent QuietMode = "silent"
)

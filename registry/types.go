package registry

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Secret is a string that must not be shown: a password, a device token, a push endpoint. It
// prints, logs and marshals as "[secret]". string(s) returns the value.
type Secret string

const redacted = "[secret]"

// String implements fmt.Stringer and hides the value.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer and hides the value.
func (Secret) GoString() string { return redacted }

// LogValue implements slog.LogValuer and hides the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler and hides the value.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// User is a person. An admin manages people and sees states, but never content.
type User struct {
	ID      string
	Name    string // what the person logs in with; unique without regard to case
	Admin   bool
	Created time.Time
}

// Security is how the connection to a mail server is protected.
type Security string

// SecurityTLS is implicit TLS (RFC 8314). SecurityStartTLS is the STARTTLS command (RFC 3501
// section 6.2.1). SecurityPlain is no encryption, which is for allow-nets only.
const (
	SecurityTLS      Security = "tls"
	SecurityStartTLS Security = "starttls"
	SecurityPlain    Security = "none"
)

// Account is one mailbox: an IMAP login with the folders to watch, owned by one user.
type Account struct {
	ID         string
	Revision   uint64   // changes with every edit
	Owner      string   // user id
	SharedWith []string // user ids
	Email      string   // what people call the mailbox
	Host       string
	Port       int
	Security   Security
	Username   string
	Password   Secret   `json:"-"`
	Folders    []string // as the server spells them, decoded; never empty
	Link       string   // template of the link that a click opens (CheckLink); empty: the page
	Enabled    bool
	Created    time.Time
	Edited     time.Time // when a person last changed how it is watched
	Status     Status
}

// Visible reports whether the user may see the account and be notified of its mail.
func (a Account) Visible(user string) bool {
	return a.Owner == user || slices.Contains(a.SharedWith, user)
}

// State is the state of an account or a device.
type State string

// An account is new until its first catch-up, then watching (IDLE) or polling; retrying while a
// session is down; and in attention when only a person can help, until the account is edited. A
// device is unproven until a push service accepts a push for it, then proven; suspect when its
// service complains about this one address.
const (
	StateNew       State = "new"
	StateWatching  State = "watching"
	StatePolling   State = "polling"
	StateRetrying  State = "retrying"
	StateAttention State = "attention"

	StateUnproven State = "unproven"
	StateProven   State = "proven"
	StateSuspect  State = "suspect"
)

// Status is a state with its age. If something is wrong, it says what happened and what to do.
type Status struct {
	State  State
	Since  time.Time
	Reason           // zero when all is well
	Proof  time.Time // the last recorded catch-up or accepted push; zero: never

	// Of a device: how many tries failed since the last success while its lane was not paused, and
	// when the first of them did.
	Failures int       `json:",omitempty"`
	Failing  time.Time `json:",omitzero"`
}

// Transport is the name of a push service, as the API calls it.
type Transport string

// Level is how much of a mail may be sent to a device. Each level includes the ones before it.
type Level string

// LevelWake sends nothing of a mail, LevelSender its sender, LevelSubject sender and subject, and
// LevelPreview also the first words.
const (
	LevelWake    Level = "wake"
	LevelSender  Level = "sender"
	LevelSubject Level = "subject"
	LevelPreview Level = "preview"
)

var levels = []Level{LevelWake, LevelSender, LevelSubject, LevelPreview}

// Allows reports whether the level includes other. An unknown level includes only LevelWake, and no
// level includes it.
func (l Level) Allows(other Level) bool {
	return slices.Contains(levels, other) && l.rank() >= other.rank()
}

// rank orders the levels. An unknown one is like LevelWake.
func (l Level) rank() int { return max(slices.Index(levels, l), 0) }

// Keys are a receiver's public key and secret for RFC 8291: base64url without padding of 65 and 16
// bytes.
type Keys struct {
	P256dh string
	Auth   string
}

// String implements fmt.Stringer and hides the secret.
func (Keys) String() string { return redacted }

// GoString implements fmt.GoStringer and hides the secret.
func (Keys) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler and hides the secret.
func (Keys) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Device is one phone or browser of one user. Only its transport knows how to reach it: to the
// registry, address and parameters are opaque.
type Device struct {
	ID         string
	Revision   uint64 // changes with every edit
	User       string // user id
	Name       string
	Session    string // id of the session that it registered itself in; empty: none
	Transport  Transport
	Address    Secret            `json:"-"` // a token, or an endpoint
	Keys       *Keys             `json:"-"` // content travels encrypted to these; nil: in the clear
	Params     map[string]string `json:"-"` // what else the transport keeps of it
	Lane       string            // devices of a lane fail together; from its transport
	MustShow   bool              // every push must show something; from its transport
	Content    Level
	Accounts   []string // account ids; nil: all that the user may see; empty: none
	Created    time.Time
	Registered time.Time // when the app last confirmed the address
	Status     Status    `json:"-"`
	Due        time.Time `json:"-"` // of its queue; zero: nothing waits
}

// SameAddress reports whether a push for one device arrives at the other and can be decrypted
// there.
func (d Device) SameAddress(o Device) bool {
	return d.Transport == o.Transport && d.Address == o.Address && maps.Equal(d.Params, o.Params) && reflect.DeepEqual(d.Keys, o.Keys)
}

// Learn returns the device with the parameters that it lacked, and with the lane that follows from
// them. It reports whether it lacked any. l may be nil.
func (d Device) Learn(l *Learned) (Device, bool) {
	if l == nil || len(l.Params) == 0 {
		return d, false
	}
	params := maps.Clone(l.Params)
	maps.Copy(params, d.Params)
	if len(params) == len(d.Params) {
		return d, false
	}
	d.Params, d.Lane = params, l.Lane
	return d, true
}

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

// Content is what a notification may show of a mail. Fields that a level does not allow are empty.
type Content struct {
	From      string
	Subject   string
	MessageID string // without its angle brackets; allowed with the subject
	Preview   string
}

// String implements fmt.Stringer and hides the content.
func (Content) String() string { return redacted }

// GoString implements fmt.GoStringer and hides the content.
func (Content) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler and hides the content.
func (Content) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// At returns the content that the level allows.
func (c Content) At(l Level) Content {
	if !l.Allows(LevelSender) {
		c.From = ""
	}
	if !l.Allows(LevelSubject) {
		c.Subject, c.MessageID = "", ""
	}
	if !l.Allows(LevelPreview) {
		c.Preview = ""
	}
	return c
}

// Message is one new mail of a folder.
type Message struct {
	UID         uint32
	Old         bool   // it is not notified, but may be a notified mail that was moved
	Fingerprint string // the same in another folder or under another UID; empty: unknown
	Wordless    bool   // the server does not return the content, or not yet
	Content     Content
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
}

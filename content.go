package idlepush

import (
	"log/slog"
	"slices"
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

// Content is what a notification may show of a mail. Fields that a level does not allow are empty.
type Content struct {
	From      string
	Subject   string
	MessageID string // without its angle brackets; allowed with the subject
	Preview   string
	// OneTimeCode is a code of 4 to 8 digits, or letters and digits, that the mail brings; allowed
	// with the preview.
	OneTimeCode string
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
		c.Preview, c.OneTimeCode = "", ""
	}
	return c
}

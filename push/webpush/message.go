package webpush

import (
	"bytes"
	"encoding/json"
	"fmt"

	"idlepush/push"
)

// declarative is a push message that Safari shows by itself (W3C Push API, declarative push
// message) and that any other browser's service worker, or a UnifiedPush app, reads as JSON. It is
// not marked mutable: iOS would then wake the service worker with the payload out of its reach, and
// show nothing at all if that took too long.
type declarative struct {
	WebPush      int             `json:"web_push,omitempty"`
	Notification notification    `json:"notification,omitzero"`
	IdlePush     json.RawMessage `json:"idlepush"`
}

type notification struct {
	Title    string `json:"title"`
	Body     string `json:"body,omitempty"`
	Navigate string `json:"navigate,omitempty"`
	Tag      string `json:"tag"`
	AppBadge *int   `json:"app_badge,omitempty"` // here, as a number: WebKit's NotificationJSONParser; the W3C text has no badge yet
}

// marker is what makes a message declarative.
const marker = 8030

// maxText is the most that a plaintext has, in bytes. RFC 8291 allows 3993. Padded and encrypted
// these are 2662, which bridges to phones take too, although some carry less than the 4096 of RFC
// 8030 (Mozilla's: 2744).
const maxText = 2500

// render makes the plaintext of the message, or of the first smaller one that fits, and returns
// that message with it.
func render(m push.Message) ([]byte, push.Message, error) {
	return push.Fit(m, maxText, func(m push.Message) ([]byte, int, error) {
		text, err := marshal(wrap(m))
		return text, len(text), err
	})
}

func wrap(m push.Message) declarative {
	d := declarative{IdlePush: m.Payload}
	if m.Silent {
		return d
	}
	d.Notification = notification{Title: m.Title, Body: m.Body, Navigate: m.URL, Tag: m.ID, AppBadge: m.Unread}
	// A declarative message must say where a click leads; without that, a browser is to treat it as
	// an ordinary one.
	if m.URL != "" {
		d.WebPush = marker
	}
	return d
}

// marshal writes JSON without the escapes that only HTML needs.
func marshal(d declarative) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return nil, fmt.Errorf("render a push message: %w", err)
	}
	return bytes.TrimRight(text.Bytes(), "\n"), nil
}

package webpush

import (
	"bytes"
	"encoding/json"
	"fmt"

	"idlepush/push"
)

// declarative is a push message that Safari shows by itself (W3C Push API, declarative push
// message). The service worker of any other browser, or a UnifiedPush app, reads it as JSON. It is
// not marked mutable: iOS would then start the service worker, but without the payload, and show
// nothing if that took too long.
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
	Silent   bool   `json:"silent,omitempty"` // without a sound and vibration
	// AppBadge is a number here by WebKit's NotificationJSONParser. W3C has not specified it yet.
	AppBadge *int `json:"app_badge,omitempty"`
}

// marker is the value of web_push that makes a message declarative.
const marker = 8030

// maxText bounds a plaintext, in bytes. RFC 8291 allows 3993. Padded and encrypted, 2500 bytes
// become 2662. Some bridges to phones accept less than the 4096 bytes of RFC 8030: Mozilla's
// accepts 2744.
const maxText = 2500

// render returns the plaintext of the message, or of the first smaller one that fits, and that
// message.
func render(m push.Message) ([]byte, push.Message, error) {
	return push.Fit(m, maxText, func(m push.Message) ([]byte, int, error) {
		text, err := marshal(wrap(m))
		return text, len(text), err
	})
}

func wrap(m push.Message) declarative {
	d := declarative{IdlePush: m.Payload}
	if m.OnlyClears() {
		return d
	}
	title := m.Title
	if m.Mailbox != "" { // a browser has no place of its own for it
		title += " · " + m.Mailbox
	}
	d.Notification = notification{Title: title, Body: m.Body, Navigate: m.URL, Tag: m.ID, Silent: m.Sound == push.NoSound, AppBadge: m.Unread}
	// A declarative message must have a URL for clicks. Without one, it must not be marked.
	if m.URL != "" {
		d.WebPush = marker
	}
	return d
}

// marshal encodes JSON without the escapes for HTML.
func marshal(d declarative) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return nil, fmt.Errorf("render a push message: %w", err)
	}
	return bytes.TrimRight(text.Bytes(), "\n"), nil
}

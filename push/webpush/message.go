package webpush

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"idlepush/push"
)

// declarative is a push message that Safari shows by itself (W3C Push API, declarative push message) and that any other
// browser's service worker, or a UnifiedPush app, reads as JSON. It is not marked mutable: iOS would then wake the
// service worker with the payload out of its reach, and show nothing at all if that took too long.
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
}

// marker is what makes a message declarative.
const marker = 8030

// render makes the plaintext of a message, at most push.MaxPlaintext bytes. What is too long is cut from the body first
// and then from the title, for Payload says it all again.
func render(m push.Message) ([]byte, error) {
	if m.Silent {
		return marshal(declarative{IdlePush: m.Payload})
	}
	d := declarative{
		Notification: notification{Title: m.Title, Body: m.Body, Navigate: m.URL, Tag: m.ID},
		IdlePush:     m.Payload,
	}
	// A declarative message must say where a click leads; without that, a browser is to treat it as an ordinary one.
	if m.URL != "" {
		d.WebPush = marker
	}
	text, err := marshal(d)
	if err != nil {
		return nil, err
	}
	if over := len(text) - push.MaxPlaintext; over > 0 {
		d.Notification.Body = shorten(m.Body, len(m.Body)-over)
		if text, err = marshal(d); err != nil {
			return nil, err
		}
	}
	if over := len(text) - push.MaxPlaintext; over > 0 {
		d.Notification.Title = cmp.Or(shorten(m.Title, len(m.Title)-over), ellipsis) // without a title it is none
		if text, err = marshal(d); err != nil {
			return nil, err
		}
	}
	if len(text) > push.MaxPlaintext {
		return nil, fmt.Errorf("render a push message: %d bytes, of which %d fit", len(text), push.MaxPlaintext)
	}
	return text, nil
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

const ellipsis = "…"

// shorten cuts text to at most size bytes, ellipsis included, at a rune boundary; nothing is left where no rune fits.
func shorten(text string, size int) string {
	end := max(0, size-len(ellipsis))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	if end == 0 {
		return ""
	}
	return text[:end] + ellipsis
}

package apns

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/sideshow/apns2"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
)

// maxPayload bounds a payload, in bytes of JSON.
// https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
const maxPayload = 4096

var unsendable = push.Refused("apns_invalid_message")

type payload struct {
	APS       aps             `json:"aps"`
	Idlepush  json.RawMessage `json:"idlepush,omitempty"`
	Encrypted string          `json:"encrypted,omitempty"`
}

type aps struct {
	Alert            alert  `json:"alert,omitzero"`
	Sound            string `json:"sound,omitempty"`
	MutableContent   int    `json:"mutable-content,omitempty"`   // 1: an extension may change it
	ContentAvailable int    `json:"content-available,omitempty"` // 1: it wakes the app
	ThreadID         string `json:"thread-id,omitempty"`
	Badge            *int   `json:"badge,omitempty"` // 0 removes the badge
	Interruption     string `json:"interruption-level,omitempty"`
}

// The interruption levels of a notification (UNNotificationInterruptionLevel). Only an app with the
// capability "Time Sensitive Notifications" is given more than levelActive.
const (
	levelPassive       = "passive" // it waits in the list of notifications
	levelActive        = "active"  // it lights up the screen
	levelTimeSensitive = "time-sensitive"
)

type alert struct {
	Title    string `json:"title"`
	Subtitle string `json:"subtitle,omitempty"`
	Body     string `json:"body,omitempty"`
}

// compose returns the notification for the device, or the outcome if there can be none. It also
// returns the message in the notification: m, or the first smaller one that fits.
func (t *Transport) compose(d idlepush.Device, m push.Message) (*apns2.Notification, push.Message, *registry.Outcome) {
	topic := d.Params[paramTopic]
	if topic == "" {
		topic = t.topic
	}
	if !isBundleID(topic) {
		// The topic becomes a header. A value that net/http refuses to send would look like an
		// outage.
		return nil, m, new(push.With(push.Suspect("apns_bad_topic"), codes.Case, caseOwnTopic))
	}
	text, m, err := push.Fit(m, maxPayload, func(m push.Message) ([]byte, int, error) {
		p, err := content(d, m)
		if err != nil {
			return nil, 0, err
		}
		// apns2 will encode it in the same way, with the escapes for HTML.
		text, err := json.Marshal(p)
		return text, len(text), err
	})
	if bad, ok := errors.AsType[*push.FieldError](err); ok {
		return nil, m, new(push.With(push.Suspect("apns_encryption"), "key", bad.Field))
	} else if errors.Is(err, push.ErrTooLarge) {
		return nil, m, new(push.With(push.Refused("apns_too_large"), "limit", strconv.Itoa(maxPayload)))
	} else if err != nil {
		return nil, m, new(unsendable)
	}
	return notification(d, m, topic, text), m, nil
}

// content returns the payload, encrypted if the device has keys.
func content(d idlepush.Device, m push.Message) (payload, error) {
	p := payload{APS: aps{Sound: sound(d, m), MutableContent: 1, Interruption: levelActive}}
	switch {
	case m.OnlyClears():
		// A background push must contain nothing that the system shows, so no badge either.
		p.APS = aps{ContentAvailable: 1}
	case m.Silent:
		p.APS.Interruption = levelPassive
	case m.Loud:
		p.APS.Interruption = levelTimeSensitive
	}
	if d.Keys == nil {
		p.Idlepush = m.Payload
		if !m.OnlyClears() {
			p.APS.Alert, p.APS.ThreadID, p.APS.Badge = alert{m.Title, m.Mailbox, m.Body}, m.Thread, m.Unread
		}
		return p, nil
	}
	body, err := push.Encrypt(m.Payload, *d.Keys)
	// Without thread, badge and subtitle, which tell of the account and its unread mail: the app's
	// extension finds them in the encrypted payload.
	p.APS.Alert.Title = m.Neutral
	p.Encrypted = base64.RawURLEncoding.EncodeToString(body)
	return p, err
}

// sound returns the name of the sound file in the app; empty: there is no sound.
func sound(d idlepush.Device, m push.Message) string {
	switch {
	case m.Sound == push.NoSound:
		return ""
	case m.Sound == "" || d.Keys != nil:
		return "default"
	}
	return m.Sound
}

func notification(d idlepush.Device, m push.Message, topic string, text []byte) *apns2.Notification {
	priority, pushType := apns2.PriorityHigh, apns2.PushTypeAlert
	switch {
	case m.OnlyClears():
		// Apple accepts no other priority for a background push.
		priority, pushType = apns2.PriorityLow, apns2.PushTypeBackground
	case m.Silent:
		priority = apns2.PriorityLow
	}
	return &apns2.Notification{
		ApnsID:      apnsID(d, m),
		CollapseID:  m.ID,
		DeviceToken: string(d.Address),
		Topic:       topic,
		Expiration:  m.Until(time.Now()),
		Priority:    priority,
		Payload:     text,
		PushType:    pushType,
	}
}

// apnsID returns a lower case UUID (RFC 9562 section 5.8), which is always the same for a message
// and a device.
func apnsID(d idlepush.Device, m push.Message) string {
	sum := sha256.Sum256([]byte(d.ID + "\x00" + m.ID))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

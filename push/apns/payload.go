package apns

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/sideshow/apns2"

	"idlepush/push"
	"idlepush/registry"
)

// maxPayload is the most that APNs takes, in bytes of JSON.
// https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
const maxPayload = 4096

var unsendable = push.Refused("apns_invalid_message",
	"The message could not be put into APNs' form, so it was dropped. This is a fault of idlepush; please report it.")

type payload struct {
	APS       aps             `json:"aps"`
	Idlepush  json.RawMessage `json:"idlepush,omitempty"`
	Encrypted string          `json:"encrypted,omitempty"`
}

type aps struct {
	Alert            alert  `json:"alert,omitzero"`
	Sound            string `json:"sound,omitempty"`
	MutableContent   int    `json:"mutable-content,omitempty"`   // 1: the app's extension may rewrite it before it is shown
	ContentAvailable int    `json:"content-available,omitempty"` // 1: the app is woken, and nothing is shown
	ThreadID         string `json:"thread-id,omitempty"`
}

type alert struct {
	Title string `json:"title"`
	Body  string `json:"body,omitempty"`
}

// compose makes the notification for the device, or says why there can be none.
func (s *Sender) compose(d registry.Device, m push.Message) (*apns2.Notification, *registry.Outcome) {
	topic := d.Topic
	if topic == "" {
		topic = s.topic
	}
	if CheckTopic(topic) != nil {
		// It becomes a header, and what net/http will not send looks like an outage.
		o := push.Suspect("apns_bad_topic", foreignTopic)
		return nil, &o
	}
	p := payload{APS: aps{Sound: "default", MutableContent: 1}}
	priority, pushType := apns2.PriorityHigh, apns2.PushTypeAlert
	if m.Silent {
		// Apple takes a background push with no other priority.
		p.APS, priority, pushType = aps{ContentAvailable: 1}, apns2.PriorityLow, apns2.PushTypeBackground
	}
	if d.Encryption != nil {
		body, err := push.Encrypt(m.Payload, *d.Encryption)
		if bad, ok := errors.AsType[*push.KeysError](err); ok {
			return nil, new(push.Suspect("apns_encryption", "This device's key "+bad.Error()+". Open the app on the device, so that it registers again."))
		} else if err != nil {
			return nil, new(unsendable)
		}
		// No thread either: which account it is about is inside, and the app's extension groups by it.
		p.APS.Alert.Title = m.Neutral
		p.Encrypted = base64.RawURLEncoding.EncodeToString(body)
	} else {
		p.APS.Alert = alert{Title: m.Title, Body: m.Body}
		p.APS.ThreadID = m.Thread
		p.Idlepush = m.Payload
	}
	text, err := fit(p)
	if err != nil {
		return nil, new(unsendable)
	}
	if len(text) > maxPayload {
		return nil, &registry.Outcome{Result: registry.ResultRefused, Code: "apns_too_large",
			Reason: fmt.Sprintf("The message is larger than the %d bytes that APNs takes, so it was dropped. "+
				"A lower content level for this device makes messages smaller.", maxPayload)}
	}
	return &apns2.Notification{
		ApnsID:      apnsID(d, m),
		CollapseID:  m.ID,
		DeviceToken: string(d.Token),
		Topic:       topic,
		Expiration:  m.Expires,
		Priority:    priority,
		Payload:     text,
		PushType:    pushType,
	}, nil
}

// fit writes the payload, with a shorter body where that makes it fit: the whole text is in m.Payload too, and a mail
// with a long subject must ring like any other.
func fit(p payload) ([]byte, error) {
	text, err := marshal(p)
	over := len(text) - maxPayload
	if err != nil || over <= 0 || p.APS.Alert.Body == "" {
		return text, err
	}
	const more = "…"
	// Each byte of the body takes at least one in JSON.
	keep := max(0, len(p.APS.Alert.Body)-over-len(more))
	p.APS.Alert.Body = strings.ToValidUTF8(p.APS.Alert.Body[:keep], "") + more
	return marshal(p)
}

// marshal is json.Marshal without the escapes that only HTML needs, which cost bytes.
func marshal(p payload) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return nil, err
	}
	return bytes.TrimRight(text.Bytes(), "\n"), nil
}

// apnsID is the same lower case UUID (RFC 9562 section 5.8) whenever the same message goes to the same device.
func apnsID(d registry.Device, m push.Message) string {
	sum := sha256.Sum256([]byte(d.ID + "\x00" + m.ID))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

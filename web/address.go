package web

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"idlepush/netguard"
	"idlepush/registry"
)

// Subscription is a browser's PushSubscription as its toJSON gives it (W3C Push API), or what a UnifiedPush distributor
// gave in the same form.
type Subscription struct {
	Endpoint       string   `json:"endpoint" minLength:"1" maxLength:"2048"`
	ExpirationTime *float64 `json:"expirationTime,omitempty" doc:"Not looked at" nullable:"true"`
	Keys           Keys     `json:"keys"`
}

// Keys are a receiver's keys for RFC 8291, in base64url.
type Keys struct {
	P256dh string `json:"p256dh" maxLength:"100" doc:"Public key: 65 bytes, an uncompressed point on P-256"`
	Auth   string `json:"auth" maxLength:"40" doc:"Secret: 16 bytes"`
}

// keys takes the padding off, which some apps send.
func (k Keys) keys() registry.Keys {
	return registry.Keys{P256dh: strings.TrimRight(k.P256dh, "="), Auth: strings.TrimRight(k.Auth, "=")}
}

func (s *Subscription) subscription() *registry.Subscription {
	if s == nil {
		return nil
	}
	return &registry.Subscription{Endpoint: registry.Secret(s.Endpoint), Keys: s.Keys.keys()}
}

func (k *Keys) optional() *registry.Keys {
	if k == nil {
		return nil
	}
	keys := k.keys()
	return &keys
}

// choice is a field of a patch that is left as it is where absent, and cleared where null.
type choice[T any] struct {
	given bool
	value *T // nil: null
}

// UnmarshalJSON takes null as well.
func (c *choice[T]) UnmarshalJSON(data []byte) error {
	c.given = true
	return json.Unmarshal(data, &c.value)
}

// Schema implements huma.SchemaProvider.
func (c *choice[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), false, "")
	s.Nullable = true
	return &s
}

// deviceFaults is what is wrong with a device for anybody who knows its transport by name only. The form of tokens, keys
// and topics is left to CheckAddress.
func deviceFaults(d registry.Device) (f faults) {
	if !printable(d.Name) || strings.TrimSpace(d.Name) == "" {
		f.add("name", "must be printable and not blank")
	}
	forbid := func(field string, given bool) {
		if given {
			f.add(field, "does not go with this transport")
		}
	}
	switch d.Transport {
	case registry.FCM, registry.APNs:
		if d.Token == "" {
			f.add("token", "is required for this transport")
		}
		forbid("subscription", d.Subscription != nil)
	case registry.WebPush, registry.UnifiedPush:
		forbid("token", d.Token != "")
		forbid("encryption", d.Encryption != nil)
		if d.Subscription == nil {
			f.add("subscription", "is required for this transport")
		} else if !isEndpoint(string(d.Subscription.Endpoint)) {
			f.add("subscription.endpoint", "must be an https: address; inside allow-nets http: does too")
		}
	}
	if d.Transport != registry.APNs {
		forbid("environment", d.Environment != "")
		forbid("topic", d.Topic != "")
	}
	return f
}

// isEndpoint reports whether the text can be a push endpoint. http: is for networks that the transport is told to allow.
func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && netguard.IsHost(u.Hostname()) && u.User == nil && u.Fragment == ""
}

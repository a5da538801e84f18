package web

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"idlepush"
	"idlepush/codes"
)

// Subscription is a PushSubscription of a browser as its toJSON returns it (W3C Push API), or the
// same from a UnifiedPush distributor app.
type Subscription struct {
	Endpoint       string   `json:"endpoint" minLength:"1" maxLength:"2048"`
	ExpirationTime *float64 `json:"expirationTime,omitempty" doc:"Ignored" nullable:"true"`
	Keys           Keys     `json:"keys"`
}

// Keys are a receiver's keys for RFC 8291, in base64url.
type Keys struct {
	P256dh string `json:"p256dh" maxLength:"100" doc:"Public key: 65 bytes, an uncompressed point on P-256"`
	Auth   string `json:"auth" maxLength:"40" doc:"Secret: 16 bytes"`
}

// keys removes the padding that some apps send.
func (k Keys) keys() idlepush.Keys {
	return idlepush.Keys{P256dh: strings.TrimRight(k.P256dh, "="), Auth: strings.TrimRight(k.Auth, "=")}
}

func (k *Keys) optional() *idlepush.Keys {
	if k == nil {
		return nil
	}
	keys := k.keys()
	return &keys
}

// choice is a field of a patch. If it is absent, the value stays; if it is null, the value is
// removed.
type choice[T any] struct {
	given bool
	value *T // nil if null
}

// UnmarshalJSON accepts null too.
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

// address holds the fields of a request that say how to reach a device. Absent fields stay as they
// are.
type address struct {
	token        *string
	subscription *Subscription
	encryption   choice[Keys]
	given        map[string]json.RawMessage // every field of the request
}

// setAddress returns the device with the address, and the fields that its transport does not allow
// or lacks. CheckAddress checks the form of tokens, endpoints, keys and parameters.
func (h *deviceHandlers) setAddress(d idlepush.Device, a address) (idlepush.Device, faults) {
	var f faults
	forbid := func(field string, given bool) {
		if given {
			f.add(fault(field, "field_forbidden").with(codes.Case, caseTransport))
		}
	}
	t := h.transports.named(d.Transport)
	if t.Subscription {
		forbid("token", a.token != nil && *a.token != "")
		forbid("encryption", a.encryption.value != nil)
		if a.subscription != nil {
			d.Address, d.Keys = idlepush.Secret(a.subscription.Endpoint), a.subscription.Keys.optional()
		}
	} else {
		if a.token != nil {
			d.Address = idlepush.Secret(*a.token)
		}
		if a.encryption.given {
			d.Keys = a.encryption.value.optional()
		}
	}
	if d.Address == "" {
		f.add(fault(t.addressField(), "field_required").with(codes.Case, caseTransport))
	}
	forbid("subscription", a.subscription != nil && !t.Subscription)
	d.Params = maps.Clone(d.Params)
	for _, p := range h.transports.params() {
		value, given := textOf(a.given[p.Name])
		switch {
		case !t.hasParam(p.Name):
			forbid(p.Name, value != "")
		case value != "":
			if d.Params == nil {
				d.Params = make(map[string]string)
			}
			d.Params[p.Name] = value
		case given:
			delete(d.Params, p.Name)
		}
	}
	return d, f
}

// textOf returns a field that is text, and whether it is present.
func textOf(raw json.RawMessage) (value string, given bool) {
	var text *string
	if json.Unmarshal(raw, &text) != nil || text == nil {
		return "", false
	}
	return *text, true
}

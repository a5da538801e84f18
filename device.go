package idlepush

import (
	"maps"
	"reflect"
	"time"

	"idlepush/receipt"
)

// Transport is the name of a push service, as the API calls it.
type Transport string

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
	By         string // id of the session or token by which it was registered last; empty: none
	Transport  Transport
	Address    Secret            `json:"-"` // a token, or an endpoint
	Keys       *Keys             `json:"-"` // content travels encrypted to these; nil: in the clear
	Params     map[string]string `json:"-"` // what else the transport keeps of it
	Lane       string            // devices of a lane fail together; from its transport
	MustShow   bool              // every push must show something; from its transport
	Content    Level
	Accounts   []string // account ids; nil: all that the user may see; empty: none
	Created    time.Time
	Registered time.Time     // when the app last confirmed the address
	Status     Status        `json:"-"`
	Chain      receipt.Chain `json:"-"`
	Due        time.Time     `json:"-"` // of its queue; zero: nothing waits
}

// SameAddress reports whether a push for one device arrives at the other and can be decrypted
// there.
func (d Device) SameAddress(o Device) bool {
	return d.Transport == o.Transport && d.Address == o.Address && maps.Equal(d.Params, o.Params) && reflect.DeepEqual(d.Keys, o.Keys)
}

// ShownStatus returns the status as people see it: a proven device that has stopped reporting is
// unconfirmed. Nothing about sending follows from that.
func (d Device) ShownStatus(now time.Time) Status {
	st := d.Status
	if st.State == StateProven && d.Chain.Unconfirmed(now) {
		st.State, st.Since = stateUnconfirmed, d.Chain.Since
		st.Reason = Reason{Code: receipt.CodeUnconfirmed}.With("device", d.Name)
	}
	return st
}

// Learned is what a push has shown of a device.
type Learned struct {
	Params map[string]string // those that were not known
	Lane   string            // of the device with them
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

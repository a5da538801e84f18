package push

import (
	"context"
	"slices"
	"time"

	"idlepush/registry"
)

// A Transport sends through one push service, and holds all that idlepush knows of that service:
// the addresses of its devices, its lanes, its limits, the meaning of its headers, its requests and
// its answers. The dispatcher sends by this interface, and the API takes names and fields from it.
// The program knows transports only as the list that it makes at the start. A new transport is a
// new package and one entry in that list.
//
// A transport whose credentials are not given is in the list too: its Check, Send and Preview
// report that. Methods may be called from several goroutines.
type Transport interface {
	// Traits returns the properties that all devices share.
	Traits() Traits

	// Check returns a *FieldError if the address or a parameter of a device is wrong, or if the
	// server has no credentials for it. It touches no network, and leaves keys to CheckKeys.
	Check(d registry.Device) error

	// Lane names the part of the service that fails as a whole for the device, such as one of many
	// servers. Transports share a lane only if they share that part.
	Lane(d registry.Device) string

	Sender
}

// Sender is the part of a Transport that speaks to the service.
type Sender interface {
	// Send makes one request and returns its outcome. A second request follows only if the
	// service's own rules ask for it at once, such as for a renewed token, or if the service finds
	// the message too large (SendFitting). Send returns within 30 s, or when ctx ends with a retry
	// outcome. The Reason holds no token, endpoint path or content; Learned.Lane is left to the
	// caller.
	Send(ctx context.Context, d registry.Device, m Message) registry.Outcome

	// Preview returns the request that Send would make first, or the outcome that it would have
	// without making one. It touches no network and does not block.
	Preview(d registry.Device, m Message) (Request, *registry.Outcome)
}

// Traits are the properties of a Transport.
type Traits struct {
	// Name is the transport in the API.
	Name registry.Transport
	// Subscription: a device has an endpoint with keys. Without it, a device has a token, and keys
	// only if its content is to be encrypted.
	Subscription bool
	// MustShow: every push must show something.
	MustShow bool
	// Params are further fields that a device may be registered with.
	Params []Param
	// Limits are those of the service, on pushes to one device; a kind without an entry is unbounded.
	Limits map[registry.Kind]Limit
	// Meanings are those of the headers, and of the fields of a body beside the payload's.
	Meanings []Meaning
}

// A Param is a text that a device may be registered with beside its address.
type Param struct {
	Name      string   // as a field of the API
	Doc       string   // for the API's documentation
	Values    []string // the values it may have; nil: any
	MaxLength int      // in characters; 0: unbounded, except by Values
	Learned   bool     // if it is not given, a delivered push shows it (registry.Learned)
}

// A Limit allows that many pushes in any window of time.
type Limit struct {
	Pushes int // 0: unbounded
	Window time.Duration
}

// A Meaning puts into words what a push service learns from a header or a field of a body.
type Meaning struct {
	// Name is that of a field, or of a header in canonical form (http.CanonicalHeaderKey), so that
	// none is taken for a field.
	Name string
	// Words are empty if the value is the same for every mail, hidden or encrypted.
	Words string
}

// A FieldError reports a wrong field of a device.
type FieldError struct {
	Field   string // "transport", "address", or a parameter's name
	Problem string // for people: what it should be; never the value
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Transports is a list of them, each under a name of its own.
type Transports []Transport

// Named returns the transport of that name, or false.
func (ts Transports) Named(name registry.Transport) (Transport, bool) {
	i := slices.IndexFunc(ts, func(t Transport) bool { return t.Traits().Name == name })
	if i < 0 {
		return nil, false
	}
	return ts[i], true
}

// Routed returns the device with what its transport says of it: its lane, and whether every push
// must show something. A device of a transport that is not in the list stays as it is.
func (ts Transports) Routed(d registry.Device) registry.Device {
	if t, ok := ts.Named(d.Transport); ok {
		d.Lane, d.MustShow = t.Lane(d), t.Traits().MustShow
	}
	return d
}

// NotConfigured is the outcome of every send while the server has no credentials for the transport.
func NotConfigured(name registry.Transport) registry.Outcome {
	return Misconfigured(string(name)+"_not_configured", "this server has no credentials for "+string(name)+": its admin must set them")
}

package push

import (
	"context"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry"
)

// A Transport sends through one push service. Only it knows that service: the addresses of devices,
// lanes, limits, requests, answers, and the meaning of headers. The dispatcher sends through this
// interface, and the API takes names and fields from it. The program makes a list of all transports
// when it starts. A new transport is a new package and one entry in that list.
//
// A transport without credentials is in the list too: its Check, Send and Preview report that.
// Methods may be called from several goroutines.
type Transport interface {
	// Traits returns the properties that all devices share.
	Traits() Traits

	// Check returns a *FieldError if the address or a parameter of a device is wrong, or if the
	// server has no credentials. It does not use the network, and does not check keys (see
	// CheckKeys).
	Check(d idlepush.Device) error

	// Lane returns the name of the part of the service that fails as a whole, such as one of many
	// servers, for the device. Two transports share a lane only if they share that part.
	Lane(d idlepush.Device) string

	// Service returns the public host to which pushes to the device go, for figures. It is empty if
	// anybody may run such a host, as that of a push server at home: it may tell who has the
	// device.
	Service(d idlepush.Device) string

	// Examine asks the service whether it takes messages of this server, and returns what it has
	// found. It sends nothing to any device. ctx bounds it.
	Examine(ctx context.Context) []idlepush.Step

	// CloseIdleConnections closes the connections that no request uses. It does not block.
	CloseIdleConnections()

	Sender
}

// Sender is the part of a Transport that sends.
type Sender interface {
	// Send makes one request and returns its outcome. It makes a second request if the service's
	// rules demand one at once, such as with a renewed token. It also makes one if the service
	// finds the message too large (see SendFitting). Send returns within 30 s. If ctx ends first,
	// it returns at once, with a retry. The Reason contains no token, endpoint path or content. The
	// caller sets Learned.Lane.
	Send(ctx context.Context, d idlepush.Device, m Message) registry.Outcome

	// Preview returns the request that Send would make first, or the outcome that it would have
	// without making one. It does not use the network and does not block.
	Preview(d idlepush.Device, m Message) (Request, *registry.Outcome)
}

// Traits are the properties of a Transport.
type Traits struct {
	// Name is the transport in the API.
	Name idlepush.Transport
	// Subscription: a device has an endpoint with keys. Without it, a device has a token, and keys
	// only if its content is to be encrypted.
	Subscription bool
	// MustShow: every push must show something.
	MustShow bool
	// Params are further fields that a device may be registered with.
	Params []Param
	// Limits are those of the service, on pushes to one device; a kind without an entry is
	// unbounded.
	Limits map[idlepush.Kind]Limit
	// Meanings are those of the headers, and of the fields of a body beside the payload's.
	Meanings []Meaning
}

// A Param is a text that a device may be registered with beside its address.
type Param struct {
	Name      string   // as a field of the API
	Doc       string   // for the API's documentation
	Values    []string // the values it may have; nil: any
	MaxLength int      // in characters; 0: unbounded, except by Values
	Learned   bool     // if it is not given, a delivered push shows its value (idlepush.Learned)
}

// A Limit allows that many pushes in any window of time.
type Limit struct {
	Pushes int // 0: unbounded
	Window time.Duration
}

// A Meaning puts into words what a push service learns from a header or a field of a body.
type Meaning struct {
	// Name is that of a field, or of a header in canonical form (http.CanonicalHeaderKey). So no
	// header is mistaken for a field.
	Name string
	// Words are empty if the value is the same for every mail, hidden or encrypted.
	Words string
}

// A FieldError reports a wrong field of a device.
type FieldError struct {
	Field  string          // "transport", "address", "p256dh", "auth", or a parameter's name
	Reason idlepush.Reason // what it should be; never the value
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + string(e.Reason.Code) }

// Transports is a list of them, each under a name of its own.
type Transports []Transport

// Named returns the transport of that name, or false.
func (ts Transports) Named(name idlepush.Transport) (Transport, bool) {
	i := slices.IndexFunc(ts, func(t Transport) bool { return t.Traits().Name == name })
	if i < 0 {
		return nil, false
	}
	return ts[i], true
}

// send sends the message through the transport of the device.
func (ts Transports) send(ctx context.Context, device idlepush.Device, m Message) registry.Outcome {
	t, ok := ts.Named(device.Transport)
	if !ok {
		return unknown(device.Transport)
	}
	o := t.Send(ctx, device, m)
	if o.Learned != nil {
		learned, _ := device.Learn(o.Learned)
		o.Learned = &idlepush.Learned{Params: o.Learned.Params, Lane: t.Lane(learned)}
	}
	return o
}

// Check returns a *FieldError if the transport, the address, a parameter or a key of a device is
// wrong. It also returns one if the server has no credentials. It does not use the network.
func (ts Transports) Check(d idlepush.Device) error {
	t, ok := ts.Named(d.Transport)
	if !ok {
		return &FieldError{"transport", unknown(d.Transport).Reason}
	}
	if err := t.Check(d); err != nil || d.Keys == nil {
		return err
	}
	return CheckKeys(*d.Keys)
}

func (ts Transports) closeIdleConnections() {
	for _, t := range ts {
		t.CloseIdleConnections()
	}
}

// Routed returns the device with Lane and MustShow from its transport. If the transport is not in
// the list, Routed returns the device unchanged.
func (ts Transports) Routed(d idlepush.Device) idlepush.Device {
	if t, ok := ts.Named(d.Transport); ok {
		d.Lane, d.MustShow = t.Lane(d), t.Traits().MustShow
	}
	return d
}

// unknown returns the outcome for a device whose transport is not in the list.
func unknown(name idlepush.Transport) registry.Outcome {
	return With(Misconfigured("transport_unknown"), "transport", string(name))
}

package push

import (
	"context"
	"slices"
	"time"

	"idlepush/registry"
)

// A Transport is the way to devices through one push service, and all that idlepush knows of that
// service: how its devices are addressed, what fails together, what the service allows, what its
// requests tell, how to send, and what its answers mean. Everything else works from this interface:
// the dispatcher sends by it, the API takes its names and fields from it, and the program knows
// transports only as the list that it makes at the start. So a new transport is a new package and
// one entry in that list.
//
// A transport whose credentials were not given is in the list too: its Check, Send and Preview say
// so. Methods may be called from several goroutines.
type Transport interface {
	// Traits returns what is the same for all devices.
	Traits() Traits

	// Check reports as a *FieldError what is wrong with the address or a parameter of a device, or
	// that the server has no credentials for it. It touches no network, and leaves keys to CheckKeys.
	Check(d registry.Device) error

	// Lane names what fails together with the device, such as one server of the service. Transports
	// share a lane only if they share that.
	Lane(d registry.Device) string

	Sender
}

// Sender is the part of a Transport that speaks to the service.
type Sender interface {
	// Send makes one request and says what came of it. A second request follows only if the service's
	// own rules ask for it at once, such as for a renewed token, or if the service finds the message
	// too large (SendFitting). Send returns within 30 s, or when ctx ends with a retry outcome. The
	// outcome's Reason holds no token, endpoint path or content; Learned.Lane is left to the caller.
	Send(ctx context.Context, d registry.Device, m Message) registry.Outcome

	// Preview returns the request that Send would make first, or the outcome that it would have
	// without making one. It touches no network and waits for nothing.
	Preview(d registry.Device, m Message) (Request, *registry.Outcome)
}

// Traits is what a Transport says of itself.
type Traits struct {
	Name         registry.Transport      // as the API calls it
	Subscription bool                    // a device has an endpoint with keys; else a token, and keys only if its content is to be encrypted
	MustShow     bool                    // every push must show something
	Params       []Param                 // what else a device may be registered with
	Limits       map[registry.Kind]Limit // of the service, on pushes to one device; a kind that is not in it has none
	Meanings     []Meaning               // of the headers, and of the fields of a body that are not idlepush's own
}

// A Param is a text that a device may be registered with beside its address.
type Param struct {
	Name      string   // as a field of the API
	Doc       string   // for the API's documentation
	Values    []string // those that it may have; nil: any
	MaxLength int      // in characters; 0: without bound, beside that of Values
	Learned   bool     // if it is not given, a push that is delivered shows it: registry.Outcome.Learned
}

// A Limit allows so many pushes in any window of time.
type Limit struct {
	Pushes int // 0: without bound
	Window time.Duration
}

// A Meaning is what a header or a field of a body tells a push service.
type Meaning struct {
	Name  string // of a header in canonical form (http.CanonicalHeaderKey), so that none is taken for a field
	Words string // empty: it is the same for every mail, hidden or encrypted
}

// FieldError says what is wrong with a field of a device.
type FieldError struct {
	Field   string // "transport", "address", or a parameter's name
	Problem string // for people: what it should be; never the value
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Transports is a list of them, each under a name of its own.
type Transports []Transport

// Named returns the transport of that name; false: there is none.
func (ts Transports) Named(name registry.Transport) (Transport, bool) {
	i := slices.IndexFunc(ts, func(t Transport) bool { return t.Traits().Name == name })
	if i < 0 {
		return nil, false
	}
	return ts[i], true
}

// Routed returns the device with what its transport says of it: its lane, and whether every push must
// show something. A device of a transport that is not in the list stays as it is.
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

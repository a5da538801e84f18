package web

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"idlepush"
)

// Transport is the part of a transport that the API needs.
type Transport struct {
	Name idlepush.Transport
	// Subscription reports whether its devices have a subscription. Otherwise they have a token,
	// and may have keys for encryption.
	Subscription bool
	// Params are the fields that only this transport has. If two transports have a field of the
	// same name, it means the same.
	Params []Param
}

// Param is a text field of a device that only some transports have.
type Param struct {
	Name      string
	Doc       string
	Values    []string // allowed values; nil allows any
	MaxLength int      // in characters; 0 means no bound
	Learned   bool     // a push may show the value if it is absent
}

// transportList holds the transports of the program.
type transportList []Transport

// named returns the transport with that name, or the zero Transport.
func (l transportList) named(name idlepush.Transport) Transport {
	i := slices.IndexFunc(l, func(t Transport) bool { return t.Name == name })
	if i < 0 {
		return Transport{}
	}
	return l[i]
}

// params returns the fields that only some transports have, each once.
func (l transportList) params() (list []Param) {
	for _, t := range l {
		for _, p := range t.Params {
			if !slices.ContainsFunc(list, func(other Param) bool { return other.Name == p.Name }) {
				list = append(list, p)
			}
		}
	}
	return list
}

func (t Transport) hasParam(param string) bool {
	return slices.ContainsFunc(t.Params, func(p Param) bool { return p.Name == param })
}

// addressField returns the name of the field that holds the address.
func (t Transport) addressField() string {
	if t.Subscription {
		return "subscription"
	}
	return "token"
}

// inherit returns the device with the params that pushes to the known device have shown.
func (t Transport) inherit(d, known idlepush.Device) idlepush.Device {
	shown := idlepush.Learned{Params: make(map[string]string)}
	for _, p := range t.Params {
		if value := known.Params[p.Name]; p.Learned && value != "" {
			shown.Params[p.Name] = value
		}
	}
	d, _ = d.Learn(&shown)
	return d
}

// paramsOf returns the params of the device that its transport has.
func (t Transport) paramsOf(d idlepush.Device) map[string]string {
	shown := make(map[string]string)
	for _, p := range t.Params {
		if value := d.Params[p.Name]; value != "" {
			shown[p.Name] = value
		}
	}
	return shown
}

// describe adds the names and the fields of all transports to the schemas. Requests are validated
// against these.
func (l transportList) describe(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	var all []any
	for _, t := range l {
		all = append(all, string(t.Name))
	}
	for _, name := range []string{"Device", "NewDevice", "Preview"} {
		schemas[name].Properties["transport"].Enum = all
	}
	tokens := l.namesOf(func(t Transport) bool { return !t.Subscription })
	fields := schemas["NewDevice"].Properties
	fields["token"].Description = tokens
	fields["subscription"].Description = l.namesOf(func(t Transport) bool { return t.Subscription })
	fields["encryption"].Description = tokens + ": keys to encrypt content to (RFC 8291)"
	fields["content"].Description = "Absent: wake for " + tokens + " without encryption, otherwise subject"
	for _, p := range l.params() {
		doc := l.namesOf(func(t Transport) bool { return t.hasParam(p.Name) }) + ": " + p.Doc
		schemas["Device"].Properties[p.Name] = p.schema(doc)
		fields[p.Name] = p.schema(doc)
		schemas["DevicePatch"].Properties[p.Name] = p.schema("Absent: unchanged")
	}
	for _, name := range []string{"Device", "NewDevice", "DevicePatch", "Preview"} {
		schemas[name].PrecomputeMessages()
	}
}

// namesOf returns the names of the transports for which of returns true, joined by "and".
func (l transportList) namesOf(of func(Transport) bool) string {
	var names []string
	for _, t := range l {
		if of(t) {
			names = append(names, string(t.Name))
		}
	}
	return strings.Join(names, " and ")
}

func (p Param) schema(doc string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: doc}
	for _, value := range p.Values {
		s.Enum = append(s.Enum, value)
	}
	if p.MaxLength > 0 {
		s.MaxLength = &p.MaxLength
	}
	s.PrecomputeMessages()
	return s
}

package push

import (
	"crypto/ecdsa"
	"errors"
	"net/netip"
	"net/url"
)

// A Service makes transports, one or more that share what they need. It is what the program knows of
// them before it has read its settings.
type Service struct {
	Settings []Setting

	// Check reports as a *SettingError what the settings want of each other; nil: nothing.
	Check func(Values) error

	// Missing says at the start what a person had better set, although the transports work without it;
	// empty: nothing. If Missing is nil, nothing ever is. Of Server it needs Origin.
	Missing func(Values, Server) string

	// New makes the transports. It touches no network. An error names the setting and says what it
	// wants, without its value. A transport whose credentials are not given is made without them.
	New func(Values, Server) (Transports, error)
}

// A Setting is one that only a Service needs.
type Setting struct {
	Name    string                   // of its flag, such as "xyz-endpoint"
	Secret  bool                     // it may be given as a file as well
	Meaning string                   // for people, with what its value is in backquotes
	Check   func(value string) error // of the value alone; the error says what is wanted, without the value; nil: anything does
}

// Values are the settings that are given, by name.
type Values map[string]string

// Server is what transports need of the server that they belong to.
type Server struct {
	// Key is a key pair on P-256 that the server keeps for life.
	Key *ecdsa.PrivateKey
	// Origin returns the https origin of the server; empty: it is not known, or not yet.
	Origin func() string
	// Permit returns an error unless an address that users have given may be dialed. plain tells that
	// nothing will be encrypted.
	Permit func(addr netip.Addr, plain bool) error
}

// SettingError says what is wrong with a setting.
type SettingError struct {
	Name    string
	Problem string // for people: what it should be; never the value
}

// Error implements error.
func (e *SettingError) Error() string { return e.Name + ": " + e.Problem }

// CheckURL is the Check of a setting that is the base URL of a service.
func CheckURL(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("want an http: or https: URL")
	}
	return nil
}

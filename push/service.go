package push

import (
	"crypto/ecdsa"
	"errors"
	"net/url"

	"idlepush/codes"
	"idlepush/netguard"
)

// A Service makes transports, one or more that share their settings and connections. The program
// has a list of services before it reads its settings.
type Service struct {
	Settings []Setting

	// Codes are those that its outcomes have.
	Codes []codes.Entry

	// Check returns a *SettingError if the settings do not fit each other. If Check is nil, all do.
	Check func(Values) error

	// Missing returns advice on settings that are not required, for the log at the start, or an
	// empty string. Missing may be nil. Of Server it uses Origin.
	Missing func(Values, Server) string

	// New makes the transports. It does not use the network. An error names the setting and the
	// form that it must have, never its value. Without credentials, New makes a transport without
	// them.
	New func(Values, Server) (Transports, error)
}

// A Setting is one that only a Service needs.
type Setting struct {
	Name    string // of its flag, such as "xyz-endpoint"
	Secret  bool   // it may be given as a file as well
	Meaning string // for people, with the kind of its value in backquotes
	// Check returns an error that describes a valid value, unless the value is valid. The error
	// never contains the value. If Check is nil, any value is valid.
	Check func(value string) error
}

// Values are the settings that are given, by name.
type Values map[string]string

// Server is the part of the daemon that transports may need.
type Server struct {
	// Key is a key pair on P-256 that the server keeps for life.
	Key *ecdsa.PrivateKey
	// Origin returns the https origin of the server, or an empty string while it is unknown.
	Origin func() string
	// Permit returns an error unless a target that users have given may be dialed.
	Permit netguard.Permit
	// Dial takes the place of the network, for tests. Permit is not asked then. Nil: it does not.
	Dial netguard.DialFunc
}

// A SettingError reports a wrong setting.
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

package registry

import (
	"cmp"
	"net/url"

	"idlepush"
)

// The transports of the tests, with what real ones say of their devices.
const (
	FCM         idlepush.Transport = "fcm"
	APNs        idlepush.Transport = "apns"
	WebPush     idlepush.Transport = "webpush"
	UnifiedPush idlepush.Transport = "unifiedpush"
)

// The environments of APNs.
const (
	production = "production"
	sandbox    = "sandbox"
)

// in is the parameter that names an environment; empty: it is not known.
func in(environment string) map[string]string {
	if environment == "" {
		return nil
	}
	return map[string]string{"environment": environment}
}

// with is the parameters with one more.
func with(params map[string]string, name, value string) map[string]string {
	all := map[string]string{name: value}
	for k, v := range params {
		if k != name {
			all[k] = v
		}
	}
	return all
}

// taught is what a push has shown of a device on APNs.
func taught(environment string) *idlepush.Learned {
	return &idlepush.Learned{Params: in(environment), Lane: "apns " + environment}
}

// routed is the device with what its transport says of it.
func routed(d idlepush.Device) idlepush.Device {
	d.Lane, d.MustShow = string(d.Transport), d.Transport == WebPush
	switch d.Transport {
	case APNs:
		d.Lane += " " + cmp.Or(d.Params["environment"], production)
	case WebPush, UnifiedPush:
		if u, err := url.Parse(string(d.Address)); err == nil {
			d.Lane = "webpush " + u.Scheme + "://" + u.Host
		}
	}
	return d
}

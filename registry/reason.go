package registry

import (
	"maps"

	"idlepush/codes"
)

// Reason is what happened, as a code. A [codes.Table] makes a sentence of it for people. The zero
// Reason means that all is well.
type Reason struct {
	Code codes.Code // such as "apns_bad_device_token"
	// Params are the parameters of the sentence, such as "host"; nil if there are none. They never
	// hold a secret, the sender or subject of a mail, the path of an endpoint, or the raw answer
	// of a push service.
	Params map[string]string
}

// With returns the reason with one more parameter, or with another value of it.
func (r Reason) With(name, value string) Reason {
	params := make(map[string]string, len(r.Params)+1)
	maps.Copy(params, r.Params)
	params[name] = value
	return Reason{r.Code, params}
}

// Equal reports whether code and parameters are the same.
func (r Reason) Equal(o Reason) bool { return r.Code == o.Code && maps.Equal(r.Params, o.Params) }

package push

import (
	"net/http"
)

// Hidden stands in a Request for what nobody needs to see: a token, the path of an endpoint, what authorizes.
const Hidden = "HIDDEN"

// Request is what a service receives with one message, without its secrets and without what HTTP itself adds on the way (Host,
// Content-Length, Accept-Encoding).
type Request struct {
	Method    string
	URL       string
	Header    http.Header
	Body      []byte
	Plaintext []byte // what is encrypted in Body, for the device alone; nil: nothing is
}

// RequestOf is the request that was about to be made, with that body.
func RequestOf(r *http.Request, body, plaintext []byte) Request {
	return Request{Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone(), Body: body, Plaintext: plaintext}
}

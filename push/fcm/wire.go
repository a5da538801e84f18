package fcm

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"idlepush/push"
	"idlepush/registry"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// exchange is what came of one Send on the wire. The request's context carries it past the firebase client, which
// repeats 503 and network errors on its own and turns status, headers and errors into text.
type exchange struct {
	status int // 0: no answer
	header http.Header
	body   []byte
	err    error // why there is no answer: a *grantError, or the network

	preview *push.Request // not nil: nothing is to be sent, this is to hold the request
}

type exchangeKey struct{}

// grantError says that there is no access token to send with.
type grantError struct{ err error }

func (e *grantError) Error() string { return "get an access token: " + e.err.Error() }
func (e *grantError) Unwrap() error { return e.err }

// wire is the firebase client's transport: it authorizes, keeps what came of it in the exchange, and hands on a 200, which
// the client does not repeat.
type wire struct {
	base   http.RoundTripper
	tokens *tokens
}

func newWire(a *account, base http.RoundTripper) *wire {
	return &wire{base: base, tokens: &tokens{grant: a.grant, base: base, turn: make(chan struct{}, 1)}}
}

// RoundTrip implements http.RoundTripper for requests whose context carries an exchange.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	e := r.Context().Value(exchangeKey{}).(*exchange)
	message, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	if e.preview != nil {
		*e.preview = push.RequestOf(authorized(r.Context(), r, push.Hidden, message), message, nil)
		e.body = []byte("{}")
	} else {
		*e = w.run(r, message)
	}
	// Whatever it was: the client repeats no 200, and Send looks at the exchange.
	return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
		Body: io.NopCloser(bytes.NewReader(e.body)), ContentLength: int64(len(e.body))}, nil
}

func (w *wire) run(r *http.Request, message []byte) exchange {
	e, bearer := w.attempt(r, message)
	if e.status == http.StatusUnauthorized && e.outcome(time.Time{}).Result == registry.ResultMisconfigured && w.tokens.refused(r.Context(), bearer) {
		e, _ = w.attempt(r, message)
	}
	return e
}

// authorized is the request as it goes out.
func authorized(ctx context.Context, r *http.Request, bearer string, message []byte) *http.Request {
	r = r.Clone(ctx)
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("User-Agent", "idlepush")
	r.Body = io.NopCloser(bytes.NewReader(message))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(message)), nil }
	return r
}

// attempt makes one request, and returns what came of it and the access token that it carried.
func (w *wire) attempt(r *http.Request, message []byte) (exchange, string) {
	bearer, err := w.tokens.get(r.Context())
	if err != nil {
		return exchange{err: &grantError{err}}, ""
	}
	ctx, cancel := context.WithTimeout(r.Context(), attemptTimeout)
	defer cancel()
	resp, err := w.base.RoundTrip(authorized(ctx, r, bearer, message))
	if err != nil {
		return exchange{err: err}, bearer
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return exchange{err: err}, bearer
	}
	return exchange{status: resp.StatusCode, header: resp.Header, body: body}, bearer
}

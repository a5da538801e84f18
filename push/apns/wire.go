package apns

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/sideshow/apns2"

	"idlepush/push"
)

// maxAnswer is the number of bytes read from the body of an answer.
const maxAnswer = 4 << 10

// exchange is the result of one request. The request's context carries it past apns2, which returns
// no header, and no status either if the answer is not JSON.
type exchange struct {
	bearer string // the Authorization header that was sent
	status int    // 0: no answer
	header http.Header
	body   []byte
	err    error // nil if there is an answer

	preview *push.Request // not nil: the request is stored here and not sent
}

type exchangeKey struct{}

// answer is the JSON of an error.
// developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
type answer struct {
	Reason string `json:"reason"`
	// Timestamp is the time, in milliseconds since 1970, when Apple last found the token to be
	// dead. It comes with 410; 0: absent.
	Timestamp int64 `json:"timestamp"`
}

func (e *exchange) answer() answer {
	var a answer
	if json.Unmarshal(e.body, &a) != nil {
		// Not from Apple: only the status counts.
		return answer{}
	}
	return a
}

// exchangeFor makes one request.
func exchangeFor(ctx context.Context, client *apns2.Client, n *apns2.Notification) *exchange {
	e := new(exchange)
	err := e.run(ctx, client, n)
	if e.status == 0 && e.err == nil {
		// apns2 or net/http refused to send it.
		e.err = err
	}
	return e
}

func (e *exchange) run(ctx context.Context, client *apns2.Client, n *apns2.Notification) error {
	_, err := client.PushWithContext(context.WithValue(ctx, exchangeKey{}, e), n)
	return err
}

// authorized returns the request as it is sent.
func authorized(ctx context.Context, r *http.Request, bearer string) *http.Request {
	r = r.Clone(ctx)
	r.Header.Set("Authorization", bearer)
	r.Header.Set("User-Agent", "idlepush")
	return r
}

// wire is the http.RoundTripper under apns2. It authorizes a request and stores the result in the
// exchange.
type wire struct {
	base     http.RoundTripper
	provider *provider
}

// CloseIdleConnections closes those of base, for http.Client.
func (w *wire) CloseIdleConnections() { (&http.Client{Transport: w.base}).CloseIdleConnections() }

// RoundTrip implements http.RoundTripper for requests whose context carries an exchange.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	e := r.Context().Value(exchangeKey{}).(*exchange)
	if e.preview != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		*e.preview = push.RequestOf(authorized(r.Context(), r, "bearer "+push.Hidden), body, nil)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	var err error
	if e.bearer, err = w.provider.authorization(time.Now()); err != nil {
		e.err = err
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), attemptTimeout)
	defer cancel()
	resp, err := w.base.RoundTrip(authorized(ctx, r, e.bearer))
	if err != nil {
		e.err = err
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		e.err = err
		return nil, err
	}
	e.status, e.header, e.body = resp.StatusCode, resp.Header, body
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		// The client would follow a redirect, and send the provider token along.
		return nil, http.ErrUseLastResponse
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// deadSince returns the time when Apple last found the token to be dead, or zero if it is not
// given.
func (a answer) deadSince() time.Time {
	if a.Timestamp <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(a.Timestamp)
}

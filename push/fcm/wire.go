package fcm

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"idlepush/registry"
)

// maxAnswer is the number of bytes read from the body of an answer.
const maxAnswer = 64 << 10

// exchange is the result of one request.
type exchange struct {
	status int // 0: no answer
	header http.Header
	body   []byte
	err    error // nil if there is an answer; *grantError: there was no access token to send with
}

// grantError reports that there is no access token to send with.
type grantError struct{ err error }

func (e *grantError) Error() string { return "get an access token: " + e.err.Error() }
func (e *grantError) Unwrap() error { return e.err }

// post makes one request, and a second one if FCM refuses an access token that can be renewed.
func (t *Transport) post(ctx context.Context, message []byte) registry.Outcome {
	e, bearer := t.attempt(ctx, message)
	if e.status == http.StatusUnauthorized && e.outcome(time.Time{}).Result == registry.ResultMisconfigured && t.tokens.refused(ctx, bearer) {
		e, _ = t.attempt(ctx, message)
	}
	if e.err != nil {
		return unreached(ctx, e.err)
	}
	return e.outcome(time.Now())
}

// request returns the request that carries the message.
func (t *Transport) request(ctx context.Context, message []byte, bearer string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "idlepush")
	// Google's SDKs send it too. With it, errors have the details that outcome reads.
	r.Header.Set("X-Goog-Api-Format-Version", "2")
	return r, nil
}

// attempt makes one request. It also returns the access token that the request carried.
func (t *Transport) attempt(ctx context.Context, message []byte) (exchange, string) {
	bearer, err := t.tokens.get(ctx)
	if err != nil {
		return exchange{err: &grantError{err}}, ""
	}
	return t.exchange(ctx, message, bearer), bearer
}

// exchange makes one request with this access token.
func (t *Transport) exchange(ctx context.Context, message []byte, bearer string) exchange {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	r, err := t.request(ctx, message, bearer)
	if err != nil {
		return exchange{err: err}
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return exchange{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return exchange{err: err}
	}
	return exchange{status: resp.StatusCode, header: resp.Header, body: body}
}

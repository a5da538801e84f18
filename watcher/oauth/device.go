package oauth

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"idlepush"
)

// Device is a consent that a person gives on any machine, by entering a code (RFC 8628).
type Device struct {
	Code     idlepush.Secret
	UserCode string // what the person enters
	URL      string // where
	// Complete is a URL with the code in it, or "".
	Complete string
	Interval time.Duration // between two questions whether it was entered
	Expires  time.Time
}

// What RFC 8628 section 3.2 says of a missing interval, and our bounds for codes without an end.
const (
	pollInterval = 5 * time.Second
	slowerBy     = 5 * time.Second // section 3.5
	maxInterval  = time.Minute
	maxCodeLife  = 30 * time.Minute
)

// What Poll goes on after (RFC 8628 section 3.5).
var (
	errPending  = errors.New("the person has not answered yet")
	errSlowDown = errors.New("asked too often")
)

// Device begins a consent by device code. The error is an *Error, or that of ctx.
func (c Client) Device(ctx context.Context) (Device, error) {
	began := time.Now().Round(0)
	p := c.Provider
	if p.DeviceURL == "" {
		return Device{}, p.failure("no_device_code", Consent)
	}
	a, err := c.post(ctx, p.DeviceURL, url.Values{"scope": {strings.Join(p.Scopes, " ")}})
	switch {
	case err != nil:
		return Device{}, p.unanswered(ctx, err, asksDevice)
	case a.refused():
		return Device{}, p.refused(a, asksDevice)
	}
	d := Device{
		Code: idlepush.Secret(a.DeviceCode), UserCode: a.UserCode, URL: a.verification(), Complete: a.VerificationComplete,
		Interval: pollInterval, Expires: began.Add(min(a.seconds(maxCodeLife), maxCodeLife)),
	}
	if a.Interval > 0 {
		d.Interval = min(time.Duration(a.Interval)*time.Second, maxInterval)
	}
	if !isHTTPS(d.Complete) {
		d.Complete = ""
	}
	if !usable(a.DeviceCode) || !usable(d.UserCode) || len(d.UserCode) > 64 || !isHTTPS(d.URL) {
		return Device{}, p.failure("provider_faulty", Retry).to(asksDevice)
	}
	return d, nil
}

// Poll waits until the person has consented or declined, or the code has expired. It goes on if the
// provider cannot be reached for a while. The error is an *Error, or that of ctx.
func (c Client) Poll(ctx context.Context, d Device) (Token, error) {
	wait := d.Interval
	for {
		if time.Now().Add(wait).After(d.Expires) {
			return Token{}, c.Provider.failure("device_code_expired", Consent)
		}
		if err := sleep(ctx, wait); err != nil {
			return Token{}, err
		}
		token, err := c.token(ctx, asksDevice, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {string(d.Code)},
		})
		failed, _ := errors.AsType[*Error](err)
		switch {
		case err == errPending:
		case err == errSlowDown:
			wait += slowerBy
		case failed != nil && failed.Remedy == Retry:
			wait = max(min(2*wait, maxInterval), failed.After)
		default:
			return token, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Package fcm sends messages through Firebase Cloud Messaging, HTTP v1
// (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send). Only this
// package knows FCM. Of the Firebase SDK it uses the types of a message. It does not use the SDK's
// client, which repeats requests by itself and hides status and headers. Nor does it import the
// SDK's root package, which links Firestore and Cloud Storage.
package fcm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"firebase.google.com/go/v4/messaging"

	"idlepush"
	"idlepush/push"
	"idlepush/registry"
)

const (
	sendTimeout    = 30 * time.Second // a whole Send
	attemptTimeout = 15 * time.Second // one request, to FCM or for an access token

	// maxData bounds the data of a message, in bytes of keys and values.
	// https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, INVALID_ARGUMENT
	maxData = 4096

	// googleURL is the base URL of FCM.
	googleURL = "https://fcm.googleapis.com/v1"
)

// Config holds the settings fcm-credentials and fcm-endpoint.
type Config struct {
	Credentials []byte // the JSON key file of a service account, from the Firebase console
	Endpoint    string // base URL as far as /v1; empty: Google's

	// Dial is that of push.Server.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Name is the transport's name in the API.
const Name idlepush.Transport = "fcm"

// Transport sends to FCM devices. The zero Transport has no credentials.
type Transport struct {
	url    string // of messages:send; empty: there are no credentials
	base   http.RoundTripper
	tokens *tokens
}

var _ push.Transport = (*Transport)(nil)

// New checks the settings and makes a Transport. It does not use the network. An error names the
// setting and the form that it must have, never its value.
func New(c Config) (*Transport, error) {
	account, err := parse(c.Credentials)
	if err != nil {
		return nil, fmt.Errorf("fcm-credentials: %w", err)
	}
	base := dialer()
	base.DialContext = c.Dial
	return newTransport(account, c.Endpoint, base)
}

func dialer() *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: attemptTimeout,
		MaxIdleConnsPerHost: 16, // only an endpoint without HTTP/2 needs more than one
		IdleConnTimeout:     90 * time.Second,
		// Pings find a connection that a NAT has forgotten. Without them, requests would use it for
		// many minutes, until TCP gives up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: attemptTimeout},
	}
}

func newTransport(a *account, endpoint string, base http.RoundTripper) (*Transport, error) {
	if endpoint == "" {
		endpoint = googleURL
	} else if !isHTTP(endpoint) {
		return nil, errors.New("fcm-endpoint: want a URL as far as /v1, such as " + googleURL)
	}
	return &Transport{
		url:    strings.TrimRight(endpoint, "/") + "/projects/" + a.project + "/messages:send",
		base:   base,
		tokens: &tokens{grant: a.grant, base: base, lock: make(chan struct{}, 1)},
	}, nil
}

var unsendable = push.Refused("fcm_invalid_message")

// Traits implements push.Transport.
func (t *Transport) Traits() push.Traits {
	return push.Traits{Name: Name, Meanings: meanings}
}

var meanings = []push.Meaning{
	{Name: "priority", Words: "how urgent it is"},
	{Name: "ttl", Words: "how many seconds it may be kept"},
	{Name: "token"},
	{Name: "encrypted"},
	{Name: "X-Goog-Api-Format-Version"},
}

// Lane implements push.Transport: FCM fails as a whole.
func (t *Transport) Lane(idlepush.Device) string { return string(Name) }

// Service implements push.Transport.
func (t *Transport) Service(idlepush.Device) string {
	u, err := url.Parse(t.url)
	if err != nil {
		return ""
	}
	return u.Host
}

// Check implements push.Transport.
func (t *Transport) Check(d idlepush.Device) error {
	if t.url == "" {
		return &push.FieldError{Field: "transport", Reason: idlepush.Reason{Code: "fcm_not_configured"}}
	}
	if !isToken(string(d.Address)) {
		return &push.FieldError{Field: "address", Reason: idlepush.Reason{Code: "fcm_token_malformed"}}
	}
	return nil
}

// CloseIdleConnections implements push.Transport.
func (t *Transport) CloseIdleConnections() {
	if t.base != nil {
		(&http.Client{Transport: t.base}).CloseIdleConnections()
	}
}

// isToken reports whether the text can be an FCM registration token: 1 to 4096 printable ASCII
// characters. FCM documents no form.
func isToken(text string) bool {
	isOther := func(r rune) bool { return r < '!' || r > '~' }
	return text != "" && len(text) <= 4096 && !strings.ContainsFunc(text, isOther)
}

// Send implements push.Transport. It makes one request, and one for an access token before it if
// none is valid. A second request follows only if FCM refuses an access token that it has accepted
// before, or finds the message too large.
//
// The request is a data message: key "idlepush" holds m.Payload. For a device with keys, key
// "encrypted" holds it instead, encrypted by RFC 8291, in base64url without padding. The app draws
// the notification and uses the payload's id as its tag: FCM's own tag (android.notification.tag)
// exists only for notifications that the system draws, with the text in the clear.
func (t *Transport) Send(ctx context.Context, d idlepush.Device, m push.Message) registry.Outcome {
	if t.url == "" {
		return push.Misconfigured("fcm_not_configured")
	}
	if !isToken(string(d.Address)) {
		return push.NotSent(push.Suspect("fcm_invalid_token"))
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	fit := func(m push.Message) ([]byte, push.Message, *registry.Outcome) { return compose(d, m, time.Now()) }
	return push.SendFitting(m, fit, func(body []byte) (registry.Outcome, bool) {
		o := t.post(ctx, body)
		return o, o.Code == tooLarge.Code
	})
}

// Preview implements push.Transport.
func (t *Transport) Preview(d idlepush.Device, m push.Message) (push.Request, *registry.Outcome) {
	if t.url == "" {
		return push.Request{}, new(push.Misconfigured("fcm_not_configured"))
	}
	d.Address = push.Hidden
	body, m, refusal := compose(d, m, time.Now())
	if refusal != nil {
		return push.Request{}, refusal
	}
	r, err := t.request(context.Background(), body, push.Hidden)
	if err != nil {
		return push.Request{}, new(unsendable)
	}
	if d.Keys == nil {
		return push.RequestOf(r, body, nil), nil
	}
	return push.RequestOf(r, body, m.Payload), nil
}

// compose returns the body of a request for the device, or the outcome if there can be no request.
// It also returns the message in the body: m, or the first smaller one that fits.
func compose(d idlepush.Device, m push.Message, now time.Time) ([]byte, push.Message, *registry.Outcome) {
	type data struct{ key, value string }
	made, m, err := push.Fit(m, maxData, func(m push.Message) (data, int, error) {
		key, value, err := content(d, m)
		return data{key, value}, len(key) + len(value), err
	})
	if bad, ok := errors.AsType[*push.FieldError](err); ok {
		return nil, m, new(push.With(push.Suspect("fcm_encryption"), "key", bad.Field))
	} else if errors.Is(err, push.ErrTooLarge) {
		return nil, m, new(tooLarge)
	} else if err != nil {
		return nil, m, new(unsendable)
	}
	// Not json.Marshal, which calls this method and then goes through its answer once more.
	text, err := dataMessage(d, m, made.key, made.value, now).MarshalJSON()
	if err != nil {
		return nil, m, new(unsendable)
	}
	body := slices.Concat([]byte(`{"message":`), text, []byte("}"))
	return body, m, nil
}

// content returns the message's only piece of data, encrypted if the device has keys.
func content(d idlepush.Device, m push.Message) (key, value string, err error) {
	if d.Keys == nil {
		return "idlepush", string(m.Payload), nil
	}
	body, err := push.Encrypt(m.Payload, *d.Keys)
	return "encrypted", base64.RawURLEncoding.EncodeToString(body), err
}

func dataMessage(d idlepush.Device, m push.Message, key, value string, now time.Time) *messaging.Message {
	ttl := m.TTL(now)
	// FCM lowers the priority of apps whose high-priority messages show nothing. In Doze, normal
	// ones are delayed.
	priority := "high"
	if m.Silent || m.OnlyClears() {
		priority = "normal"
	}
	return &messaging.Message{
		Token: string(d.Address),
		Data:  map[string]string{key: value},
		Android: &messaging.AndroidConfig{
			Priority: priority,
			TTL:      &ttl,
			// No collapse key: FCM keeps at most four different ones per device, so one per mail
			// would lose mail.
		},
	}
}

// Package apns sends notifications through the Apple Push Notification service
// (developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns).
// Only this package knows APNs and the apns2 library, which by itself loses the status and
// Retry-After of an answer, and reads answers without bound.
package apns

import (
	"cmp"
	"context"
	"crypto/elliptic"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
)

const (
	sendTimeout    = 30 * time.Second // a whole Send
	attemptTimeout = 15 * time.Second // one request

	// maxInFlight bounds the requests of a Transport at one time. With more than the number of
	// streams that Apple allows, net/http would open ever more connections.
	maxInFlight = 200
)

// Config holds the settings apns-key, apns-key-id, apns-team-id, apns-topic and apns-endpoint.
type Config struct {
	Key      []byte // the .p8 file, from Apple's developer pages
	KeyID    string
	TeamID   string
	Topic    string // the app's bundle id, for devices without a topic of their own
	Endpoint string // base URL, for both environments; empty: Apple's. http: is HTTP/2 without TLS

	// Dial is that of push.Server.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Name is the transport's name in the API.
const Name idlepush.Transport = "apns"

// Transport sends to APNs devices of both environments. The zero Transport has no key.
type Transport struct {
	// provider serves both environments, because Apple counts the renewals of all connections
	// together. nil: there is no key.
	provider   *provider
	production *apns2.Client
	sandbox    *apns2.Client
	topic      string
	slots      chan struct{} // one value per request under way
}

var _ push.Transport = (*Transport)(nil)

// New checks the settings and makes a Transport. It does not use the network. An error names the
// setting and the form that it must have, never its value.
func New(c Config) (*Transport, error) {
	base := dialer()
	base.DialContext = c.Dial
	return newTransport(c, base)
}

func dialer() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols:           protocols,
		TLSHandshakeTimeout: attemptTimeout,
		// Pings find a connection that a NAT has forgotten. Without them, requests would use it for
		// many minutes, until TCP gives up. Apple wants connections to be kept open.
		HTTP2: &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: attemptTimeout},
	}
}

func newTransport(c Config, base http.RoundTripper) (*Transport, error) {
	provider, err := newProvider(c)
	if err != nil {
		return nil, err
	}
	production, sandbox := apns2.HostProduction, apns2.HostDevelopment
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, errors.New("apns-endpoint: want a URL, such as https://api.push.apple.com")
		}
		production = strings.TrimRight(c.Endpoint, "/")
		sandbox = production
	}
	client := &http.Client{Transport: &wire{base: base, provider: provider}}
	return &Transport{
		provider:   provider,
		production: &apns2.Client{Host: production, HTTPClient: client},
		sandbox:    &apns2.Client{Host: sandbox, HTTPClient: client},
		topic:      c.Topic,
		slots:      make(chan struct{}, maxInFlight),
	}, nil
}

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// madeOf reports whether a text has that many characters, all of them of a set. A regular
// expression that counts so far takes 100 KB.
func madeOf(set string, least, most int, text string) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, set) == ""
}

// isIdentifier reports whether a text can be the id of a key or team, which have ten characters
// today. They become part of the provider token.
func isIdentifier(text string) bool { return madeOf(letters+digits, 1, 64, text) }

func isBundleID(text string) bool { return madeOf(letters+digits+".-", 1, 255, text) }

func isDeviceToken(text string) bool { return madeOf(digits+"abcdefABCDEF", 64, 200, text) }

// newProvider checks the parts of a provider token.
func newProvider(c Config) (*provider, error) {
	const wanted = "apns-key: want the .p8 file of an APNs key (developer.apple.com, Certificates, Identifiers & Profiles, Keys): "
	key, err := token.AuthKeyFromBytes(c.Key)
	switch {
	case errors.Is(err, token.ErrAuthKeyNotPem):
		return nil, errors.New(wanted + "PEM text that starts with -----BEGIN PRIVATE KEY-----")
	case err != nil:
		return nil, errors.New(wanted + "a PKCS #8 private key on the curve P-256")
	case key.Curve != elliptic.P256():
		return nil, errors.New(wanted + "a private key on the curve P-256, not another curve")
	case !isIdentifier(c.KeyID):
		return nil, errors.New("apns-key-id: want the ten letters and digits that name the key, as in AuthKey_<key id>.p8")
	case !isIdentifier(c.TeamID):
		return nil, errors.New("apns-team-id: want the ten letters and digits of the developer team's Membership page")
	case !isBundleID(c.Topic):
		return nil, errors.New("apns-topic: " + wantTopic)
	}
	return &provider{key: key, keyID: c.KeyID, teamID: c.TeamID}, nil
}

const wantTopic = "want the app's bundle id, such as org.example.mail"

// Traits implements push.Transport.
func (t *Transport) Traits() push.Traits {
	return push.Traits{Name: Name, Params: params, Limits: limits, Meanings: meanings}
}

// The parameters of a device, and the two environments.
const (
	paramEnvironment = "environment"
	paramTopic       = "topic"

	production = "production"
	sandbox    = "sandbox"
)

var params = []push.Param{
	{Name: paramEnvironment, Values: []string{production, sandbox}, Learned: true,
		Doc: "the environment of the token; absent: not known, then each push asks production first and the sandbox where production does not know the token, until one has shown which it is"},
	{Name: paramTopic, MaxLength: 255, Doc: "the app's bundle id; absent: the server's"},
}

// limits has Apple's limit on pushes that show nothing, "two or three per hour".
// developer.apple.com/documentation/usernotifications/pushing-background-updates-to-your-app
var limits = map[idlepush.Kind]push.Limit{idlepush.KindClear: {Pushes: 3, Window: time.Hour}}

var meanings = []push.Meaning{
	{Name: "badge", Words: "how many mails are unread"},
	{Name: "subtitle", Words: "the name of the mailbox"},
	{Name: "interruption-level", Words: "how much it interrupts"},
	{Name: "thread-id", Words: "the id of the account"},
	{Name: "Apns-Collapse-Id", Words: "the id of the notification"},
	{Name: "Apns-Id", Words: "the id of this push"},
	{Name: "Apns-Topic", Words: "the app"},
	{Name: "Apns-Priority", Words: "how urgent it is"},
	{Name: "Apns-Expiration", Words: "until when it may be kept"},
	{Name: "Apns-Push-Type"},
	{Name: "encrypted"},
	{Name: "mutable-content"},
	{Name: "content-available"},
}

// Lane implements push.Transport: each environment is a lane. A device with an unknown environment
// is in the lane of production, which its pushes try first.
func (t *Transport) Lane(d idlepush.Device) string {
	return string(Name) + " " + cmp.Or(d.Params[paramEnvironment], production)
}

// Service implements push.Transport.
func (t *Transport) Service(d idlepush.Device) string {
	if t.provider == nil {
		return ""
	}
	_, host, _ := strings.Cut(t.client(d).Host, "://")
	return host
}

// CloseIdleConnections implements push.Transport.
func (t *Transport) CloseIdleConnections() {
	if t.production != nil {
		t.production.HTTPClient.CloseIdleConnections() // sandbox has the same client
	}
}

// Check implements push.Transport.
func (t *Transport) Check(d idlepush.Device) error {
	switch {
	case t.provider == nil:
		return &push.FieldError{Field: "transport", Reason: idlepush.Reason{Code: "apns_not_configured"}}
	case !isDeviceToken(string(d.Address)):
		return &push.FieldError{Field: "address", Reason: idlepush.Reason{Code: "apns_token_malformed"}}
	case d.Params[paramTopic] != "" && !isBundleID(d.Params[paramTopic]):
		return &push.FieldError{Field: paramTopic, Reason: idlepush.Reason{Code: "apns_topic_malformed"}}
	}
	return nil
}

// Send implements push.Transport. It makes one request. Others follow in three cases:
//   - Apple refuses the provider token, and another one may be accepted.
//   - Apple finds the message too large.
//   - The device's environment is unknown, and production does not know its token. Then the second
//     request goes to the sandbox. Learned holds the environment that accepted the message.
//
// The request is an alert with the title and body and, beside "aps", m.Payload as "idlepush". For a
// device with keys it has m.Neutral alone, and as "encrypted" m.Payload, encrypted by RFC 8291, in
// base64url without padding. Send blocks while maxInFlight requests are under way.
func (t *Transport) Send(ctx context.Context, d idlepush.Device, m push.Message) registry.Outcome {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if t.provider == nil {
		return push.Misconfigured("apns_not_configured")
	}
	if !isDeviceToken(string(d.Address)) {
		// It becomes part of the request's path.
		return push.NotSent(push.With(push.Suspect(badDeviceToken), codes.Case, caseMalformed))
	}
	fit := func(m push.Message) (*apns2.Notification, push.Message, *registry.Outcome) { return t.compose(d, m) }
	return push.SendFitting(m, fit, func(n *apns2.Notification) (registry.Outcome, bool) {
		select {
		case t.slots <- struct{}{}:
			defer func() { <-t.slots }()
		case <-ctx.Done():
			return unreached(ctx, ctx.Err()), false
		}
		o := t.post(ctx, d, n)
		return o, o.Code == "apns_payload_too_large"
	})
}

// Preview implements push.Transport.
func (t *Transport) Preview(d idlepush.Device, m push.Message) (push.Request, *registry.Outcome) {
	if t.provider == nil {
		return push.Request{}, new(push.Misconfigured("apns_not_configured"))
	}
	d.Address = push.Hidden
	n, m, refusal := t.compose(d, m)
	if refusal != nil {
		return push.Request{}, refusal
	}
	e := &exchange{preview: new(push.Request)}
	if err := e.run(context.Background(), t.client(d), n); err != nil {
		return push.Request{}, new(unsendable)
	}
	if d.Keys != nil {
		e.preview.Plaintext = m.Payload
	}
	return *e.preview, nil
}

// client returns the client for the device's environment, or production's if that is unknown.
func (t *Transport) client(d idlepush.Device) *apns2.Client {
	if d.Params[paramEnvironment] == sandbox {
		return t.sandbox
	}
	return t.production
}

// post sends the notification. If the device's environment was unknown, the outcome's Learned has
// it.
func (t *Transport) post(ctx context.Context, d idlepush.Device, n *apns2.Notification) registry.Outcome {
	to := target{d.Registered, n.Topic != t.topic}
	o := t.request(ctx, t.client(d), n, to)
	if d.Params[paramEnvironment] != "" {
		return o
	}
	environment := production
	if o.Code == badDeviceToken && t.sandbox.Host != t.production.Host {
		// A key may be for production alone. If the sandbox refuses it, that says nothing about the
		// token, and production's answer counts.
		if in := t.request(ctx, t.sandbox, n, to); in.Result != registry.ResultMisconfigured {
			o, environment = in, sandbox
		}
	}
	if o.Result == registry.ResultDelivered {
		o.Learned = &idlepush.Learned{Params: map[string]string{paramEnvironment: environment}}
	}
	return o
}

// maxTries bounds the requests with different provider tokens. After a start, the token that Apple
// saw last may be the third.
const maxTries = 3

// request makes one request of Send, and others while there is another provider token that may be
// accepted.
func (t *Transport) request(ctx context.Context, client *apns2.Client, n *apns2.Notification, to target) registry.Outcome {
	e := exchangeFor(ctx, client, n)
	for tries := 1; tries < maxTries && t.reauthorized(e, to); tries++ {
		e = exchangeFor(ctx, client, n)
	}
	if e.err != nil {
		return unreached(ctx, e.err)
	}
	return e.outcome(to, time.Now())
}

// reauthorized reports whether Apple refused the provider token and there is another one now. With
// a topic of the device's own, Apple finds any token invalid if the topic is another team's.
func (t *Transport) reauthorized(e *exchange, to target) bool {
	switch reason := e.answer().Reason; {
	case reason == apns2.ReasonExpiredProviderToken, reason == apns2.ReasonInvalidProviderToken && !to.ownTopic:
		return t.provider.renew(e.bearer, time.Now())
	case reason == apns2.ReasonTooManyProviderTokenUpdates:
		return t.provider.goBack(e.bearer, time.Now())
	}
	return false
}

// Package apns sends notifications through the Apple Push Notification service
// (https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns). It is the only room
// that knows APNs and the apns2 library, whose lost status, lost Retry-After and unbounded answers end here.
package apns

import (
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"

	"idlepush/push"
	"idlepush/registry"
)

const (
	sendTimeout    = 30 * time.Second // a whole Send
	attemptTimeout = 15 * time.Second // one request

	// inFlight is how many requests one Sender has under way: more than the streams that Apple allows would open
	// connections without bound.
	inFlight = 200
)

// Config is what the settings apns-key, apns-key-id, apns-team-id, apns-topic and apns-endpoint say.
type Config struct {
	Key      []byte // the .p8 file, as Apple's developer pages give it
	KeyID    string
	TeamID   string
	Topic    string // the app's bundle id, for devices that name none
	Endpoint string // base URL, for both environments; empty: Apple's. http: is HTTP/2 without TLS
}

// Sender sends to APNs devices of both environments. It implements push.Sender and is safe for use from several goroutines.
type Sender struct {
	provider   *provider // one for both environments: Apple counts renewals of all connections together
	production *apns2.Client
	sandbox    *apns2.Client
	topic      string
	slots      chan struct{} // one value per request under way
}

var _ push.Sender = (*Sender)(nil)

// New checks the settings and makes a Sender; it does not touch the network. An error names the setting and says what
// it wants, without its value.
func New(c Config) (*Sender, error) {
	return newSender(c, transport())
}

func transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		Protocols:           protocols,
		TLSHandshakeTimeout: attemptTimeout,
		// Without it, requests go to a connection that a NAT has forgotten until TCP gives up, many minutes later; and
		// Apple wants its connections kept.
		HTTP2: &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: attemptTimeout},
	}
}

func newSender(c Config, base http.RoundTripper) (*Sender, error) {
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
	return &Sender{
		provider:   provider,
		production: &apns2.Client{Host: production, HTTPClient: client},
		sandbox:    &apns2.Client{Host: sandbox, HTTPClient: client},
		topic:      c.Topic,
		slots:      make(chan struct{}, inFlight),
	}, nil
}

// Key and team ids have ten characters today; they become part of the provider token.
var (
	identifier = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	bundleID   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,255}$`)
)

// newProvider checks what a provider token is made of.
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
	case !identifier.MatchString(c.KeyID):
		return nil, errors.New("apns-key-id: want the ten letters and digits that name the key, as in AuthKey_<key id>.p8")
	case !identifier.MatchString(c.TeamID):
		return nil, errors.New("apns-team-id: want the ten letters and digits of the developer team's Membership page")
	case CheckTopic(c.Topic) != nil:
		return nil, fmt.Errorf("apns-topic: %w", CheckTopic(c.Topic))
	}
	return &provider{key: key, keyID: c.KeyID, teamID: c.TeamID}, nil
}

var deviceToken = regexp.MustCompile(`^[0-9a-fA-F]{64,200}$`)

// CheckToken says whether the text can be an APNs device token: 64 to 200 hexadecimal digits. The error is for a
// person and does not hold the token.
func CheckToken(text string) error {
	if !deviceToken.MatchString(text) {
		return errors.New("want the APNs device token as 64 to 200 hexadecimal digits")
	}
	return nil
}

// CheckTopic says whether the text can be an APNs topic: a bundle id. The error is for a person and does not hold the
// text.
func CheckTopic(text string) error {
	if !bundleID.MatchString(text) {
		return errors.New("want the app's bundle id, such as org.example.mail")
	}
	return nil
}

// Send implements push.Sender. It makes one request. A second one follows only if Apple says that
// the provider token has expired and a new one may be made, or that the message is too large; and if
// it is not known which environment the device's token belongs to and production does not know it:
// then the sandbox is asked, and the outcome says which of the two took it. What it sends is an
// alert: with the title and body and, beside "aps", m.Payload as "idlepush"; or, for a device with
// encryption, with m.Neutral alone and m.Payload encrypted by RFC 8291, in base64url without padding,
// as "encrypted". While inFlight requests are under way it waits.
func (s *Sender) Send(ctx context.Context, d registry.Device, m push.Message) registry.Outcome {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if CheckToken(string(d.Token)) != nil {
		// It becomes part of the request's path.
		return push.Unasked(push.Suspect(badDeviceToken, "This device's token is not an APNs device token. Open the app on the device, so that it registers again."))
	}
	fit := func(m push.Message) (*apns2.Notification, push.Message, *registry.Outcome) { return s.compose(d, m) }
	return push.SendFitting(m, fit, func(n *apns2.Notification) (registry.Outcome, bool) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-ctx.Done():
			return unreached(ctx, ctx.Err()), false
		}
		o := s.post(ctx, d, n)
		return o, o.Code == "apns_payload_too_large"
	})
}

// Preview implements push.Sender.
func (s *Sender) Preview(d registry.Device, m push.Message) (push.Request, *registry.Outcome) {
	d.Token = push.Hidden
	n, m, refusal := s.compose(d, m)
	if refusal != nil {
		return push.Request{}, refusal
	}
	e := &exchange{preview: new(push.Request)}
	if err := e.run(context.Background(), s.client(d), n); err != nil {
		return push.Request{}, new(unsendable)
	}
	if d.Encryption != nil {
		e.preview.Plaintext = m.Payload
	}
	return *e.preview, nil
}

// client is the one for the device's environment; where that is not known, production's.
func (s *Sender) client(d registry.Device) *apns2.Client {
	if d.Environment == registry.Sandbox {
		return s.sandbox
	}
	return s.production
}

// post sends the notification and says what came of it, and in which environment where that was not known.
func (s *Sender) post(ctx context.Context, d registry.Device, n *apns2.Notification) registry.Outcome {
	to := target{d.Registered, n.Topic != s.topic}
	o := s.ask(ctx, s.client(d), n, to)
	if d.Environment != "" {
		return o
	}
	environment := registry.Production
	if o.Code == badDeviceToken && s.sandbox.Host != s.production.Host {
		// What the sandbox has against this server says nothing of the token: a key may be for production alone. Then production's word stands.
		if in := s.ask(ctx, s.sandbox, n, to); in.Result != registry.ResultMisconfigured {
			o, environment = in, registry.Sandbox
		}
	}
	if o.Result == registry.ResultDelivered {
		o.Environment = environment
	}
	return o
}

// ask makes one request of Send, and one more where Apple wants another provider token.
func (s *Sender) ask(ctx context.Context, client *apns2.Client, n *apns2.Notification, to target) registry.Outcome {
	e := exchangeOf(ctx, client, n)
	if e.answer().Reason == apns2.ReasonExpiredProviderToken && s.provider.renew(e.bearer, time.Now()) {
		e = exchangeOf(ctx, client, n)
	}
	if e.err != nil {
		return unreached(ctx, e.err)
	}
	return e.outcome(to, time.Now())
}

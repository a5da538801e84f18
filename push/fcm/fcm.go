// Package fcm sends messages through Firebase Cloud Messaging, HTTP v1
// (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send). It is the only room that knows FCM and the
// firebase library, whose repeats, unbounded answers and lost error details end here.
package fcm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"idlepush/push"
	"idlepush/registry"
)

const (
	sendTimeout    = 30 * time.Second // a whole Send
	attemptTimeout = 15 * time.Second // one request, to FCM or for an access token

	// maxData is the most that FCM takes, in bytes of keys and values.
	// https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, INVALID_ARGUMENT
	maxData = 4096
)

// Config is what the settings fcm-credentials and fcm-endpoint say.
type Config struct {
	Credentials []byte // the JSON key file of a service account, as the Firebase console gives it
	Endpoint    string // base URL as far as /v1; empty: Google's
}

// Sender sends to FCM devices. It implements push.Sender and is safe for use from several goroutines.
type Sender struct {
	client *messaging.Client
}

var _ push.Sender = (*Sender)(nil)

// New checks the settings and makes a Sender; it does not touch the network. An error names the setting and says what
// it wants, without its value.
func New(c Config) (*Sender, error) {
	account, err := parse(c.Credentials)
	if err != nil {
		return nil, fmt.Errorf("fcm-credentials: %w", err)
	}
	return newSender(account, c.Endpoint, transport())
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: attemptTimeout,
		MaxIdleConnsPerHost: 16, // only an endpoint without HTTP/2 needs more than one
		IdleConnTimeout:     90 * time.Second,
		// Without it, requests go to a connection that a NAT has forgotten until TCP gives up, many minutes later.
		HTTP2: &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: attemptTimeout},
	}
}

func newSender(a *account, endpoint string, base http.RoundTripper) (*Sender, error) {
	options := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: newWire(a, base)})}
	if endpoint != "" {
		if !isHTTP(endpoint) {
			return nil, errors.New("fcm-endpoint: want a URL as far as /v1, such as https://fcm.googleapis.com/v1")
		}
		options = append(options, option.WithEndpoint(strings.TrimRight(endpoint, "/")))
	}
	// Neither of the two uses the context for more than looking for credentials, which the HTTP client replaces.
	ctx := context.Background()
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: a.project}, options...)
	if err != nil {
		return nil, fmt.Errorf("set up firebase: %w", err)
	}
	client, err := app.Messaging(ctx)
	if err != nil {
		return nil, fmt.Errorf("set up firebase messaging: %w", err)
	}
	return &Sender{client: client}, nil
}

var unsendable = push.Refused("fcm_invalid_message",
	"The message could not be put into FCM's form, so it was dropped. This is a fault of idlepush; please report it.")

var registrationToken = regexp.MustCompile(`^[!-~]+$`)

// CheckToken says whether the text can be an FCM registration token: 1 to 4096 printable ASCII characters, for FCM
// promises no form. The error is for a person and does not hold the token.
func CheckToken(text string) error {
	if len(text) > 4096 || !registrationToken.MatchString(text) {
		return errors.New("want the FCM registration token as the Firebase SDK gives it to the app")
	}
	return nil
}

// Send implements push.Sender. It makes one request; a second one only when FCM no longer takes an access token that
// has been in use, or finds the message too large; and one before it when there is no valid access token. What it sends is a data message: key
// "idlepush" holds m.Payload, or, for a device with encryption, key "encrypted" holds it encrypted by RFC 8291, in
// base64url without padding. The app draws the notification and uses the payload's id as its tag: FCM's own tag
// (android.notification.tag) exists only for notifications that the system draws, with the text in the clear.
func (s *Sender) Send(ctx context.Context, d registry.Device, m push.Message) registry.Outcome {
	if CheckToken(string(d.Token)) != nil {
		return push.Unasked(push.Suspect("fcm_invalid_token", invalidToken))
	}
	message, m, refusal := compose(d, m, time.Now())
	if refusal != nil {
		return push.Unasked(*refusal)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	o := s.post(ctx, message)
	if smallest, ok := m.Smallest(); ok && o == tooLarge {
		if message, _, refusal = compose(d, smallest, time.Now()); refusal != nil {
			return *refusal
		}
		o = s.post(ctx, message)
	}
	return o
}

// Preview implements push.Sender.
func (s *Sender) Preview(d registry.Device, m push.Message) (push.Request, *registry.Outcome) {
	d.Token = push.Hidden
	message, m, refusal := compose(d, m, time.Now())
	if refusal != nil {
		return push.Request{}, refusal
	}
	e := exchange{preview: new(push.Request)}
	// What the library makes of the answer, which is none, does not matter.
	_, _ = s.client.Send(context.WithValue(context.Background(), exchangeKey{}, &e), message)
	if e.preview.Method == "" {
		return push.Request{}, new(unsendable)
	}
	if d.Encryption != nil {
		e.preview.Plaintext = m.Payload
	}
	return *e.preview, nil
}

// post sends the message and says what came of it.
func (s *Sender) post(ctx context.Context, message *messaging.Message) registry.Outcome {
	var e exchange
	// What it makes of the answer says less than the exchange.
	_, _ = s.client.Send(context.WithValue(ctx, exchangeKey{}, &e), message)
	switch {
	case e.err != nil:
		return unreached(ctx, e.err)
	case e.status == 0:
		// The library itself found the message wrong, so nothing was sent.
		return push.Unasked(unsendable)
	}
	return e.outcome(time.Now())
}

// compose makes the data message for the device, or says why there can be none. The message that it gives back is the one that was used: m,
// or the first that is smaller and fits.
func compose(d registry.Device, m push.Message, now time.Time) (*messaging.Message, push.Message, *registry.Outcome) {
	for {
		key, value, err := content(d, m)
		if bad, ok := errors.AsType[*push.KeysError](err); ok {
			return nil, m, new(push.Suspect("fcm_encryption", "This device's key "+bad.Error()+". Open the app on the device, so that it registers again."))
		} else if err != nil && !errors.Is(err, push.ErrTooLarge) {
			return nil, m, new(unsendable)
		}
		if err == nil && len(key)+len(value) <= maxData {
			return dataMessage(d, m, key, value, now), m, nil
		}
		smaller, ok := m.Smaller()
		if !ok {
			return nil, m, new(tooLarge)
		}
		m = smaller
	}
}

// content is the one piece of data: in the clear, or encrypted for a device with encryption.
func content(d registry.Device, m push.Message) (key, value string, err error) {
	if d.Encryption == nil {
		return "idlepush", string(m.Payload), nil
	}
	body, err := push.Encrypt(m.Payload, *d.Encryption)
	return "encrypted", base64.RawURLEncoding.EncodeToString(body), err
}

func dataMessage(d registry.Device, m push.Message, key, value string, now time.Time) *messaging.Message {
	ttl := m.TTL(now)
	// FCM lowers apps whose high priority messages show nothing.
	priority := "high"
	if m.Silent {
		priority = "normal"
	}
	return &messaging.Message{
		Token: string(d.Token),
		Data:  map[string]string{key: value},
		Android: &messaging.AndroidConfig{
			Priority: priority,
			TTL:      &ttl,
			// No collapse key: FCM keeps at most four different ones per device, so one per mail would lose mail.
		},
	}
}

// Package webpush sends Web Push messages (RFC 8030, 8291, 8292) to browsers and to UnifiedPush
// distributors, which accept the same requests. Endpoints come from users. So each address is
// checked when it is dialed, and only the first bytes of an answer are read. The package follows no
// redirect and uses no proxy.
package webpush

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/registry"
)

// Config configures a Sender. VAPID, Subject and Permit must be set.
type Config struct {
	// VAPID is the server's P-256 key pair. It must never change: subscriptions are bound to it.
	VAPID *ecdsa.PrivateKey
	// Subject returns the contact for this server, mailto: or https: (RFC 8292 section 2.1). If it
	// is empty, messages have https://localhost, which all services but Apple's accept. It is
	// called for each push, because the subject may become known later.
	Subject func() string
	// Permit decides which hosts, addresses and ports may be dialed, and which of them by http:.
	Permit netguard.Permit
	// Roots are the certificate authorities to trust; nil: the system's.
	Roots *x509.CertPool
	// Dial is that of push.Server.
	Dial netguard.DialFunc
}

// The names of the two transports.
const (
	Browser     idlepush.Transport = "webpush"
	UnifiedPush idlepush.Transport = "unifiedpush"
)

// Sender implements push.Sender for both transports.
type Sender struct {
	vapid   *vapid
	subject func() string
	secure  *http.Client // https:
	plain   *http.Client // http:
}

var _ push.Transport = transport{}

var unsendable = push.Refused("webpush_unsendable")

const (
	sendTimeout = 15 * time.Second // a whole Send
	maxAnswer   = 4 << 10          // bytes read from the body of an answer

	noSubject  = "https://localhost"
	appleHosts = ".push.apple.com" // suffix of the hosts
)

// New makes a sender. It starts nothing and does not use the network.
func New(c Config) *Sender {
	return &Sender{
		vapid:   &vapid{key: c.VAPID, tokens: make(map[audience]token)},
		subject: c.Subject,
		secure:  client(c, false),
		plain:   client(c, true),
	}
}

// Send implements push.Sender. It returns within 15 s.
func (s *Sender) Send(ctx context.Context, d idlepush.Device, m push.Message) registry.Outcome {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	fit := func(m push.Message) (parcel, push.Message, *registry.Outcome) {
		p, refusal := s.pack(d, m)
		return p, p.message, refusal
	}
	return push.SendFitting(m, fit, func(p parcel) (registry.Outcome, bool) {
		a := s.deliver(ctx, p)
		return outcome(p.endpoint.Hostname(), a), a.status == http.StatusRequestEntityTooLarge
	})
}

// Preview implements push.Sender.
func (s *Sender) Preview(d idlepush.Device, m push.Message) (push.Request, *registry.Outcome) {
	p, refusal := s.pack(d, m)
	if refusal != nil {
		return push.Request{}, refusal
	}
	p.endpoint = &url.URL{Scheme: p.endpoint.Scheme, Host: p.endpoint.Host, Path: "/" + push.Hidden}
	_, key, _ := strings.Cut(p.authorization, ", k=")
	p.authorization = "vapid t=" + push.Hidden + ", k=" + key
	r, err := p.request(context.Background())
	if err != nil {
		return push.Request{}, &unsendable
	}
	return push.RequestOf(r, p.body, p.text), nil
}

// parcel is a message that is ready to be sent to a device.
type parcel struct {
	endpoint      *url.URL
	audience      audience
	authorization string
	message       push.Message // the one in text, shortened if necessary
	text          []byte
	body          []byte // text encrypted
}

// pack makes a parcel for the device, or returns the outcome if there can be none.
func (s *Sender) pack(d idlepush.Device, m push.Message) (parcel, *registry.Outcome) {
	if d.Keys == nil {
		return parcel{}, new(push.Suspect("webpush_subscription_missing"))
	}
	endpoint, err := parseEndpoint(d.Address)
	if err != nil {
		return parcel{}, new(unusable(err))
	}
	p := parcel{endpoint: endpoint, audience: audience{origin(endpoint), s.subject()}}
	if CheckSubject(p.audience.subject) != nil {
		if strings.HasSuffix(endpoint.Hostname(), appleHosts) {
			return parcel{}, new(push.Misconfigured("webpush_subject_missing"))
		}
		p.audience.subject = noSubject
	}
	if p.text, p.message, err = render(m); err != nil {
		return parcel{}, &unsendable
	}
	p.body, err = push.Encrypt(p.text, *d.Keys)
	if bad, ok := errors.AsType[*push.FieldError](err); ok {
		return parcel{}, new(push.With(push.Suspect("webpush_keys_invalid"), "key", bad.Field))
	} else if err != nil {
		return parcel{}, &unsendable
	}
	if p.authorization, err = s.vapid.token(p.audience); err != nil {
		return parcel{}, new(push.With(push.Misconfigured("webpush_vapid_key"), "error", err.Error()))
	}
	return p, nil
}

// deliver makes one request, and a second one if a renewed token may help.
func (s *Sender) deliver(ctx context.Context, p parcel) answer {
	a := s.post(ctx, p)
	denied := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
	if denied && judge(a).result == registry.ResultMisconfigured {
		if renewed, ok := s.vapid.renew(p.audience, p.authorization); ok {
			p.authorization = renewed
			return s.post(ctx, p)
		}
	}
	return a
}

// answer is the result of one request: a status, or an error.
type answer struct {
	status int
	after  time.Time // Retry-After; zero: absent
	text   string    // the first bytes of the body; never shown to anybody
	page   bool      // push.IsPage
	known  bool      // isService
	err    error
}

// request returns the request of RFC 8030 section 5, RFC 8291 section 4 and RFC 8292 section 3.
func (p parcel) request(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint.String(), bytes.NewReader(p.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", p.authorization)
	r.Header.Set("User-Agent", "idlepush")
	// All services know this type. An accurate one would only inform the service.
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Content-Encoding", "aes128gcm")
	// Apple refuses a TTL of 0.
	r.Header.Set("TTL", strconv.Itoa(max(1, int(p.message.TTL(time.Now())/time.Second))))
	// A notification should come at once, and nothing below "high" wakes an iPhone that sleeps.
	urgency := "high"
	if p.message.Silent || p.message.OnlyClears() {
		urgency = "normal"
	}
	r.Header.Set("Urgency", urgency)
	r.Header.Set("Topic", p.message.ID)
	return r, nil
}

// post makes one request.
func (s *Sender) post(ctx context.Context, p parcel) answer {
	r, err := p.request(ctx)
	if err != nil {
		return answer{err: err}
	}
	c := s.secure
	if p.endpoint.Scheme == "http" {
		c = s.plain
	}
	response, err := c.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	// The status decides, even if the body breaks off.
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return answer{
		status: response.StatusCode,
		after:  push.RetryAfter(response.Header, time.Now()),
		text:   string(text),
		page:   push.IsPage(response.Header, string(text)),
		known:  isService(p.endpoint.Hostname()),
	}
}

// endpointError is the case of "webpush_endpoint_invalid" for an endpoint; empty: it is no URL.
type endpointError string

// Error implements error. It quotes nothing of the endpoint.
func (e endpointError) Error() string { return cmp.Or(string(e), "no URL") }

func unusable(err error) registry.Outcome {
	o := push.Suspect("webpush_endpoint_invalid")
	e, ok := errors.AsType[endpointError](err)
	if ok && e == caseRemoved {
		return registry.Outcome{Result: registry.ResultGone, NotSent: true, Reason: idlepush.Reason{Code: endpointRemoved}}
	}
	if ok && e != "" {
		o = push.With(o, codes.Case, string(e))
	}
	return o
}

// isRemoved reports whether the host can never exist (RFC 6761 section 6.4). Chrome and Edge give
// such an endpoint, at permanently-removed.invalid, for a subscription that is over.
func isRemoved(host string) bool {
	return strings.HasSuffix("."+strings.TrimSuffix(host, "."), ".invalid")
}

// parseEndpoint parses the address that a browser or a distributor has given. The error is an
// endpointError.
func parseEndpoint(endpoint idlepush.Secret) (*url.URL, error) {
	u, err := url.Parse(string(endpoint))
	switch {
	case err != nil:
		return nil, endpointError("") // the error of url.Parse quotes the whole address
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, endpointError(caseScheme)
	case u.Hostname() == "":
		return nil, endpointError(caseNoHost)
	case u.User != nil:
		return nil, endpointError(caseUserName)
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if isRemoved(u.Hostname()) {
		return nil, endpointError(caseRemoved)
	}
	return u, nil
}

// origin returns the ASCII serialization of RFC 6454 section 6.2, which omits the scheme's default
// port. The host must be in lower case.
func origin(u *url.URL) string {
	host := u.Host
	switch {
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80", u.Port() == "":
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	return fmt.Sprintf("%s://%s", u.Scheme, host)
}

// Package pushtest has strict stand-ins for the push services, for tests, demo and selftest.
//
// Each refuses what the real service refuses, decrypts the messages, records them as a phone would
// receive them, and fails on demand. A [Receiver] is the phone's end of the encryption. It shares
// no code with the sending side.
package pushtest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"idlepush"
)

// WebPush is a push service (RFC 8030, 8291, 8292) for browsers and UnifiedPush alike, and an
// http.Handler. Faults are queued by endpoint, and a Reason is answered in Apple's form. A message
// that is sent twice is recorded twice, with the same Topic. It may be used from several
// goroutines.
type WebPush struct {
	Record[WebPushMessage]

	// The fields below are guarded by Record's mu.
	subscriptions map[string]*webPushSubscription // by path
	bodies        map[[16]byte][sha256.Size]byte  // by salt
}

// Subscription is a browser's subscription.
type Subscription struct {
	Endpoint idlepush.Secret
	Keys     idlepush.Keys
}

// Device returns the device of the subscription.
func (s Subscription) Device(id string, t idlepush.Transport) idlepush.Device {
	return idlepush.Device{ID: id, Transport: t, Address: s.Endpoint, Keys: &s.Keys}
}

type webPushSubscription struct {
	origin   string
	key      string    // the only application server key that may send; empty: any may
	receiver *Receiver // nil: only a browser has the keys
	gone     bool
}

// WebPushMessage is one accepted push message.
type WebPushMessage struct {
	Endpoint idlepush.Secret
	Topic    string
	Urgency  string
	TTL      time.Duration
	Token    string // the VAPID JWT it came with
	Proto    string // such as "HTTP/2.0"
	Size     int    // of the encrypted body, in bytes
	Body     []byte // decrypted, unless Relay made the subscription
	At       time.Time
}

// NewWebPush makes a push service without subscriptions.
func NewWebPush() *WebPush {
	return &WebPush{
		subscriptions: make(map[string]*webPushSubscription),
		bodies:        make(map[[16]byte][sha256.Size]byte),
	}
}

// Subscribe makes a subscription with fresh receiver keys. origin is that of the service, such as
// "http://127.0.0.1:8081". If key (a VAPID public key in base64url) is not empty, only its owner
// may send to the subscription.
func (s *WebPush) Subscribe(origin, key string) (Subscription, error) {
	receiver, err := NewReceiver()
	if err != nil {
		return Subscription{}, err
	}
	path := "/push/" + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[path] = &webPushSubscription{origin: origin, key: key, receiver: receiver}
	return Subscription{Endpoint: idlepush.Secret(origin + path), Keys: receiver.Keys()}, nil
}

// Relay makes a subscription whose keys only a browser has. Its messages are checked but not
// decrypted: their Body is as it was sent. origin and key are as for Subscribe.
func (s *WebPush) Relay(origin, key string) (endpoint idlepush.Secret) {
	path := "/push/" + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[path] = &webPushSubscription{origin: origin, key: key}
	return idlepush.Secret(origin + path)
}

// Gone makes the service answer 410 for the endpoint from now on, as if the user had withdrawn the
// permission.
func (s *WebPush) Gone(endpoint idlepush.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, sub := range s.subscriptions {
		if sub.origin+path == string(endpoint) {
			sub.gone = true
		}
	}
}

// ServeHTTP implements http.Handler: RFC 8030 section 5.
func (s *WebPush) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.countRequest()
	sub, known := s.subscription(r.URL.Path)
	switch {
	case !known:
		answer(w, http.StatusNotFound, "NotFound")
		return
	case sub.gone:
		answer(w, http.StatusGone, "Unregistered")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		return // the client went away: nothing was sent
	}
	message, refusal := s.check(r, sub, body)
	if refusal != nil {
		s.addViolation(refusal)
		answer(w, refusal.status, refusal.reason)
		return
	}
	s.respond(w, r, string(message.Endpoint), message, func(w http.ResponseWriter, f Fault) {
		switch {
		case f.Reason != "":
			answer(w, f.Status, f.Reason)
			return
		case f.Status != http.StatusOK, f.Body != "":
			w.WriteHeader(f.Status)
			io.WriteString(w, f.Body)
			return
		}
		w.Header().Set("Location", "/message/"+rand.Text()) // RFC 8030 section 5
		w.Header().Set("TTL", strconv.Itoa(int(message.TTL/time.Second)))
		w.WriteHeader(http.StatusCreated)
	})
}

func (s *WebPush) subscription(path string) (webPushSubscription, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub := s.subscriptions[path]; sub != nil {
		return *sub, true
	}
	return webPushSubscription{}, false
}

// check checks a request by the RFCs and by what services demand beyond them.
func (s *WebPush) check(r *http.Request, sub webPushSubscription, body []byte) (WebPushMessage, *refusal) {
	none := WebPushMessage{}
	if r.Method != http.MethodPost {
		return none, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "method %s, want POST", r.Method)
	}
	ttl, err := strconv.ParseUint(r.Header.Get("TTL"), 10, 31)
	if err != nil {
		return none, refuse(http.StatusBadRequest, "BadTtl", "TTL %q is no number of seconds", r.Header.Get("TTL"))
	}
	topic, urgency := r.Header.Get("Topic"), r.Header.Get("Urgency")
	if !validTopic(topic) {
		return none, refuse(http.StatusBadRequest, "BadWebPushTopic", "topic %q cannot be base64url of at most 32 characters", topic)
	}
	if !slices.Contains([]string{"", "very-low", "low", "normal", "high"}, urgency) {
		return none, refuse(http.StatusBadRequest, "BadUrgency", "urgency %q", urgency)
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "aes128gcm" {
		return none, refuse(http.StatusBadRequest, "BadWebPushRequest", "content coding %q, want aes128gcm", coding)
	}
	if len(body) > 4096 {
		return none, refuse(http.StatusRequestEntityTooLarge, "PayloadTooLarge", "body of more than 4096 bytes")
	}
	token, refused := checkVAPID(r.Header.Get("Authorization"), sub.origin, sub.key, time.Now())
	if refused != nil {
		return none, refused
	}
	plaintext, err := sub.open(body)
	if err != nil {
		return none, refuse(http.StatusBadRequest, "BadWebPushRequest", "%v", err)
	}
	if s.reused(body) {
		return none, refuse(http.StatusBadRequest, "BadWebPushRequest", "a salt was used for two messages")
	}
	return WebPushMessage{
		Endpoint: idlepush.Secret(sub.origin + r.URL.Path), Topic: topic, Urgency: urgency,
		TTL: time.Duration(ttl) * time.Second, Token: token, Proto: r.Proto, Size: len(body), Body: plaintext, At: time.Now(),
	}, nil
}

// open returns the plaintext of a body and checks its form. If only a browser has the keys, open
// returns the body.
func (s webPushSubscription) open(body []byte) ([]byte, error) {
	if s.receiver == nil {
		if len(body) < minBody {
			return nil, fmt.Errorf("body of %d bytes is shorter than header and tag", len(body))
		}
		return body, nil
	}
	plaintext, err := s.receiver.Decrypt(body)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	if err := checkDeclarative(plaintext); err != nil {
		return nil, fmt.Errorf("read the declarative message: %w", err)
	}
	return plaintext, nil
}

// checkDeclarative checks that WebKit's NotificationJSONParser would accept the plaintext, if that
// is marked as a declarative message. Safari shows no other.
func checkDeclarative(plaintext []byte) error {
	if !bytes.Contains(plaintext, []byte(`"web_push"`)) {
		return nil
	}
	var m struct {
		WebPush      int `json:"web_push"`
		Notification struct {
			Title, Body, Navigate, Tag string
			AppBadge                   *uint32 `json:"app_badge"`
		}
	}
	if err := json.Unmarshal(plaintext, &m); err != nil {
		return err
	}
	u, err := url.Parse(m.Notification.Navigate)
	if badge := m.Notification.AppBadge; m.WebPush != 8030 || m.Notification.Title == "" || err != nil || u.Host == "" || badge != nil && *badge > math.MaxInt32 {
		return fmt.Errorf("web_push %d, no title or no URL, or a badge too large", m.WebPush)
	}
	return nil
}

// reused reports whether the salt of a body came with another body before. The same body again is a
// message that was sent twice. If messages are not recorded, reused remembers nothing.
func (s *WebPush) reused(body []byte) bool {
	if s.Received != nil {
		return false
	}
	salt, sum := [16]byte(body), sha256.Sum256(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.bodies[salt]
	s.bodies[salt] = sum
	return known && before != sum
}

// refusal is an answer to a request that no push service accepts.
type refusal struct {
	status int
	reason string // Apple's name for it
	error
}

func refuse(status int, reason, format string, args ...any) *refusal {
	return &refusal{status, reason, fmt.Errorf(format, args...)}
}

func answer(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"reason\":%q}", reason)
}

// validTopic checks a topic by RFC 8030 section 5.4 and by Apple's rule: it must be base64url,
// whose length is never 4n+1.
func validTopic(topic string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return len(topic) <= 32 && len(topic)%4 != 1 && strings.Trim(topic, alphabet) == ""
}

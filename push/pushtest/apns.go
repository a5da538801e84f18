package pushtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"idlepush"
)

// APNs is a stand-in for one APNs environment and one app, and an http.Handler that must be served
// over HTTP/2. It accepts alerts and background pushes in the form that idlepush promises, and
// nothing else. It may be used from several goroutines.
type APNs struct {
	Record[APNsMessage]

	// Key is the .p8 file, KeyID and TeamID belong to it, and Topic is the app's bundle id. They
	// must not be changed.
	Key    []byte
	KeyID  string
	TeamID string
	Topic  string

	public *ecdsa.PublicKey

	// The fields below are guarded by Record's mu.
	phones  map[string]*Receiver // by token; nil: the phone accepts messages in the clear
	gone    map[string]time.Time // by token: since when it is gone
	expired map[string]bool      // by provider token: whether it has expired; absent: not seen yet
	issued  map[int64]time.Time  // when a provider token of this iat first came
}

// APNsMessage is one accepted notification.
type APNsMessage struct {
	Token      idlepush.Secret
	ID         string // apns-id
	CollapseID string
	Title      string // as the service reads it, like the three below
	Body       string
	Thread     string
	Badge      *int
	Payload    []byte // what the app reads: idlepush, or encrypted after decryption
	Expires    time.Time
	Priority   string
	Background bool   // it shows nothing
	Raw        []byte // the request's body
	At         time.Time
}

// NewAPNs makes a service for one app, without phones. It generates a key.
func NewAPNs(topic string) (*APNs, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an APNs key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the APNs key: %w", err)
	}
	a := &APNs{
		Key:    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		KeyID:  rand.Text()[:10],
		TeamID: rand.Text()[:10],
		Topic:  topic,
		public: &key.PublicKey,
	}
	a.empty()
	return a, nil
}

func (a *APNs) empty() {
	a.phones = make(map[string]*Receiver)
	a.gone = make(map[string]time.Time)
	a.expired = make(map[string]bool)
	a.issued = make(map[int64]time.Time)
}

// Sandbox makes the other environment of the same app and key, with phones of its own.
func (a *APNs) Sandbox() *APNs {
	other := &APNs{Key: a.Key, KeyID: a.KeyID, TeamID: a.TeamID, Topic: a.Topic, public: a.public}
	other.empty()
	return other
}

// Register makes a phone and returns its device token. With a receiver the phone accepts only
// messages encrypted to it, without one only messages in the clear.
func (a *APNs) Register(receiver *Receiver) string {
	var id [32]byte
	rand.Read(id[:])
	token := hex.EncodeToString(id[:])
	a.mu.Lock()
	defer a.mu.Unlock()
	a.phones[token] = receiver
	return token
}

// Unregister makes the service answer 410 Unregistered for the token from now on, with since as the
// timestamp.
func (a *APNs) Unregister(token string, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone[token] = since
}

// Expire makes the service answer 403 ExpiredProviderToken to every provider token seen so far.
// Such a request is a violation.
func (a *APNs) Expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for bearer := range a.expired {
		a.expired[bearer] = true
	}
}

// ServeHTTP implements http.Handler.
func (a *APNs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.countRequest()
	// With one more byte than is allowed, check sees that the payload is too large.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAPNs+1))
	if err != nil {
		return // the client went away: nothing was sent
	}
	token, m, refused := a.check(r, body)
	if refused != nil {
		a.addViolation(refused)
		answer(w, refused.status, refused.reason)
		return
	}
	a.mu.Lock()
	receiver, known := a.phones[token]
	since, gone := a.gone[token]
	a.mu.Unlock()
	switch {
	case gone:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusGone)
		fmt.Fprintf(w, `{"reason":"Unregistered","timestamp":%d}`, since.UnixMilli())
		return
	case !known:
		answer(w, http.StatusBadRequest, "BadDeviceToken")
		return
	}
	if problem := a.read(&m, receiver); problem != nil {
		a.addViolation(problem)
		answer(w, http.StatusBadRequest, "PayloadEmpty")
		return
	}
	w.Header().Set("apns-id", m.ID)
	a.respond(w, r, token, m, func(w http.ResponseWriter, f Fault) {
		switch {
		case f.Body != "":
			w.WriteHeader(f.Status)
			io.WriteString(w, f.Body)
		case f.Reason != "":
			answer(w, f.Status, f.Reason)
		default:
			w.WriteHeader(f.Status)
		}
	})
}

const maxAPNs = 4096

var (
	devicePath = regexp.MustCompile(`^/3/device/([0-9a-fA-F]{64,200})$`)
	lowerUUID  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// apnsHeaders are the headers that idlepush always sends, once each.
var apnsHeaders = []string{"Authorization", "Apns-Topic", "Apns-Push-Type", "Apns-Priority",
	"Apns-Expiration", "Apns-Collapse-Id", "Apns-Id"}

// check checks a request by Apple's rules and by what idlepush promises. A refusal has Apple's
// reason.
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
func (a *APNs) check(r *http.Request, body []byte) (string, APNsMessage, *refusal) {
	var m APNsMessage
	if r.ProtoMajor != 2 {
		return "", m, refuse(http.StatusHTTPVersionNotSupported, "", "%s, want HTTP/2", r.Proto)
	}
	if r.Method != http.MethodPost {
		return "", m, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "method %s, want POST", r.Method)
	}
	path := devicePath.FindStringSubmatch(r.RequestURI)
	if path == nil {
		return "", m, refuse(http.StatusNotFound, "BadPath", "the path is not /3/device/ and a token")
	}
	for _, name := range apnsHeaders {
		if n := len(r.Header[name]); n > 1 {
			return "", m, refuse(http.StatusBadRequest, "DuplicateHeaders", "%d times %s", n, name)
		}
	}
	if refused := a.checkProviderToken(r.Header.Get("Authorization"), time.Now()); refused != nil {
		return "", m, refused
	}
	if refused := a.checkHeaders(r.Header, &m); refused != nil {
		return "", m, refused
	}
	switch {
	case len(body) == 0:
		return "", m, refuse(http.StatusBadRequest, "PayloadEmpty", "no payload")
	case len(body) > maxAPNs:
		return "", m, refuse(http.StatusRequestEntityTooLarge, "PayloadTooLarge", "payload of more than %d bytes", maxAPNs)
	}
	m.Token, m.Raw, m.At = idlepush.Secret(path[1]), body, time.Now()
	return strings.ToLower(path[1]), m, nil
}

func (a *APNs) checkHeaders(h http.Header, m *APNsMessage) *refusal {
	topic, pushType := h.Get("Apns-Topic"), h.Get("Apns-Push-Type")
	m.ID, m.CollapseID, m.Priority = h.Get("Apns-Id"), h.Get("Apns-Collapse-Id"), h.Get("Apns-Priority")
	expires, err := strconv.ParseInt(h.Get("Apns-Expiration"), 10, 64)
	m.Expires, m.Background = time.Unix(expires, 0), pushType == "background"
	switch {
	case topic == "":
		return refuse(http.StatusBadRequest, "MissingTopic", "no topic")
	case topic != a.Topic:
		return refuse(http.StatusBadRequest, "DeviceTokenNotForTopic", "topic %q, want %q", topic, a.Topic)
	case pushType != "alert" && pushType != "background":
		return refuse(http.StatusBadRequest, "InvalidPushType", "push type %q, want alert or background", pushType)
	case m.Priority != "10" && m.Priority != "5", pushType == "background" && m.Priority != "5":
		return refuse(http.StatusBadRequest, "BadPriority", "priority %q of a push of type %s", m.Priority, pushType)
	case err != nil || expires < 0 || time.Until(m.Expires) > 30*24*time.Hour:
		return refuse(http.StatusBadRequest, "BadExpirationDate", "expiration %q", h.Get("Apns-Expiration"))
	case m.CollapseID == "" || len(m.CollapseID) > 64:
		return refuse(http.StatusBadRequest, "BadCollapseId", "collapse id of %d bytes", len(m.CollapseID))
	case !lowerUUID.MatchString(m.ID):
		return refuse(http.StatusBadRequest, "BadMessageId", "apns-id %q is no lower case UUID", m.ID)
	}
	return nil
}

// apsPayload is the aps dictionary as idlepush promises it. A pointer is nil if the field is
// absent.
// https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
type apsPayload struct {
	Alert *struct {
		Title    string `json:"title"`
		Subtitle string `json:"subtitle"`
		Body     string `json:"body"`
	} `json:"alert"`
	Sound             *string `json:"sound"`
	Badge             *int    `json:"badge"`
	MutableContent    int     `json:"mutable-content"`
	ContentAvailable  int     `json:"content-available"`
	ThreadID          string  `json:"thread-id"`
	InterruptionLevel *string `json:"interruption-level"`
}

// interruptions are Apple's interruption levels.
var interruptions = []string{"passive", "active", "time-sensitive", "critical"}

// check checks the aps of an alert or of a background push by Apple's rules.
func (p apsPayload) check(background bool) error {
	switch {
	case p.Badge != nil && *p.Badge < 0:
		return fmt.Errorf("a badge of %d", *p.Badge)
	case p.InterruptionLevel != nil && !slices.Contains(interruptions, *p.InterruptionLevel):
		return fmt.Errorf("interruption-level %q", *p.InterruptionLevel)
	case background && (p.Alert != nil || p.Sound != nil || p.Badge != nil || p.InterruptionLevel != nil):
		return fmt.Errorf("a background push that shows something")
	case background && p.ContentAvailable != 1:
		return fmt.Errorf("a background push without content-available")
	case !background && (p.Alert == nil || p.Alert.Title == "" || p.MutableContent != 1):
		return fmt.Errorf("an alert without title or mutable-content")
	}
	return nil
}

// read fills in the fields of the message that a phone reads from its payload.
func (a *APNs) read(m *APNsMessage, receiver *Receiver) error {
	var p struct {
		APS       apsPayload      `json:"aps"`
		Idlepush  json.RawMessage `json:"idlepush"`
		Encrypted string          `json:"encrypted"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(m.Raw)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return fmt.Errorf("read the payload: %w", err)
	}
	if decoder.Decode(new(any)) != io.EOF {
		return fmt.Errorf("something follows the payload")
	}
	if err := p.APS.check(m.Background); err != nil {
		return err
	}
	if p.APS.Alert != nil {
		m.Title, m.Body = p.APS.Alert.Title, p.APS.Alert.Body
	}
	m.Thread, m.Badge = p.APS.ThreadID, p.APS.Badge
	var err error
	m.Payload, err = open(string(p.Idlepush), p.Encrypted, receiver)
	return err
}

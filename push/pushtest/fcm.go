package pushtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"idlepush"
)

// grantPath is the path of the token endpoint. No registration token looks like it.
const grantPath = "/token"

// FCM is a stand-in for FCM HTTP v1 and the token endpoint of its service account, and an
// http.Handler. It accepts data messages, which an app draws itself, and nothing else. Violations
// are a notification, and a fifth collapse key for one phone. It may be used from several
// goroutines.
type FCM struct {
	Record[FCMMessage]

	project string
	email   string
	keyPEM  []byte
	key     *rsa.PrivateKey

	// The fields below are guarded by Record's mu.
	phones    map[string]*Receiver // by token; a nil receiver takes messages in the clear
	gone      map[string]bool
	bearers   map[string]time.Time       // access tokens, with the time when they expire
	collapsed map[string]map[string]bool // collapse keys, by token
	grants    int
}

// FCMMessage is one accepted message.
type FCMMessage struct {
	Token       idlepush.Secret
	Data        map[string]string
	Payload     []byte // what the app reads: data.idlepush, or data.encrypted decrypted
	Priority    string // as sent
	TTL         time.Duration
	CollapseKey string
	Raw         []byte // the request's body
	At          time.Time
}

// accountKey returns the key of every service account. Making one takes long, and no test needs a
// secret one.
var accountKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// NewFCM makes a service with one project and one service account, without phones.
func NewFCM(project string) (*FCM, error) {
	key, err := accountKey()
	if err != nil {
		return nil, fmt.Errorf("make a service account key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the service account key: %w", err)
	}
	return &FCM{
		project:   project,
		email:     "idlepush@" + project + ".iam.gserviceaccount.com",
		key:       key,
		keyPEM:    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		phones:    make(map[string]*Receiver),
		gone:      make(map[string]bool),
		bearers:   make(map[string]time.Time),
		collapsed: make(map[string]map[string]bool),
	}, nil
}

// Credentials returns the service account's JSON key file for a service that is served at origin,
// such as "http://127.0.0.1:8081". The messages go to origin + "/v1".
func (f *FCM) Credentials(origin string) []byte {
	text, err := json.Marshal(map[string]string{
		"type":           "service_account",
		"project_id":     f.project,
		"private_key_id": "1",
		"private_key":    string(f.keyPEM),
		"client_email":   f.email,
		"client_id":      "1",
		"token_uri":      origin + grantPath,
	})
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	return text
}

// Register makes a phone and returns its registration token. With a receiver the phone accepts only
// messages encrypted to it, without one only messages in the clear.
func (f *FCM) Register(receiver *Receiver) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := rand.Text()[:22] + ":APA91b" + rand.Text() + "-" + rand.Text() + "_" + rand.Text()
	f.phones[token] = receiver
	return token
}

// SetReceiver has the phone accept only messages encrypted to the receiver from now on, as after
// its app has made new keys.
func (f *FCM) SetReceiver(token string, receiver *Receiver) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.phones[token] = receiver
}

// Unregister makes the service answer UNREGISTERED for the token from now on, as if the app had
// been removed.
func (f *FCM) Unregister(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone[token] = true
}

// Revoke ends every access token issued so far.
func (f *FCM) Revoke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.bearers)
}

// FailGrant queues a fault for the token endpoint. Its Reason is the error of RFC 6749 section 5.2,
// such as invalid_grant. The faults of Fail do not happen there.
func (f *FCM) FailGrant(fault Fault) { f.Fail(grantPath, fault) }

// Grants returns the number of requests to the token endpoint so far.
func (f *FCM) Grants() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.grants
}

// ServeHTTP implements http.Handler.
func (f *FCM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == grantPath {
		f.serveGrant(w, r)
		return
	}
	f.countRequest()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		return // the client went away: nothing was sent
	}
	if refused := f.authorize(r); refused != nil {
		f.refuse(w, refused)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/projects/"+f.project+"/messages:send" {
		// Google does the same for a project that it does not know: no FcmError.
		f.refuse(w, refuse(http.StatusNotFound, "", "%s of path %q", r.Method, r.URL.Path))
		return
	}
	m, refused := checkFCM(body)
	if refused != nil {
		f.refuse(w, refused)
		return
	}
	f.mu.Lock()
	token := string(m.Token)
	receiver, known := f.phones[token]
	gone := f.gone[token]
	f.mu.Unlock()
	switch {
	case !known && !strings.Contains(token, ":"):
		answerFCM(w, http.StatusBadRequest, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token")
		return
	case !known || gone:
		answerFCM(w, http.StatusNotFound, "UNREGISTERED", "Requested entity was not found.")
		return
	}
	if m.Payload, err = open(m.Data["idlepush"], m.Data["encrypted"], receiver); err != nil {
		f.refuse(w, refuse(http.StatusBadRequest, "message.data", "%w", err))
		return
	}
	f.addCollapseKey(token, m.CollapseKey)
	f.respond(w, r, token, m, func(w http.ResponseWriter, fault Fault) {
		switch {
		case fault.Body != "":
			w.WriteHeader(fault.Status)
			io.WriteString(w, fault.Body)
		case fault.Status == http.StatusOK:
			w.Header().Set("Content-Type", "application/json; charset=UTF-8")
			fmt.Fprintf(w, `{"name":"projects/%s/messages/0:%s"}`, f.project, rand.Text())
		default:
			answerFCM(w, fault.Status, fault.Reason, "A scripted fault.")
		}
	})
}

// authorize checks the access token (RFC 6750 section 2.1).
func (f *FCM) authorize(r *http.Request) *refusal {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.mu.Lock()
	defer f.mu.Unlock()
	if end, known := f.bearers[bearer]; !ok || !known || time.Now().After(end) {
		return refuse(http.StatusUnauthorized, "", "the access token is missing, unknown or expired")
	}
	return nil
}

// refuse answers a request that FCM does not accept. The refusal's reason is the wrong field, or
// empty.
func (f *FCM) refuse(w http.ResponseWriter, r *refusal) {
	f.addViolation(r)
	if r.reason == "" {
		answerFCM(w, r.status, "", r.Error())
		return
	}
	writeFCM(w, r.status, r.Error(), map[string]any{
		"@type":           "type.googleapis.com/google.rpc.BadRequest",
		"fieldViolations": []map[string]string{{"field": r.reason, "description": r.Error()}},
	})
}

func answerFCM(w http.ResponseWriter, status int, code, message string) {
	if code == "" {
		writeFCM(w, status, message)
		return
	}
	writeFCM(w, status, message, map[string]any{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
}

// statuses are Google's names for HTTP statuses (google.rpc.Code).
var statuses = map[int]string{
	http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED",
	http.StatusNotFound: "NOT_FOUND", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED", http.StatusInternalServerError: "INTERNAL",
	http.StatusServiceUnavailable: "UNAVAILABLE",
}

func writeFCM(w http.ResponseWriter, status int, message string, details ...map[string]any) {
	failure := map[string]any{"code": status, "message": message, "status": statuses[status]}
	if len(details) > 0 {
		failure["details"] = details
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": failure})
}

// open returns the payload as a phone reads it: from clear if the phone has no receiver, otherwise
// from encrypted. The other one must be empty.
func open(clear, encrypted string, receiver *Receiver) ([]byte, error) {
	if receiver == nil {
		if encrypted != "" || !json.Valid([]byte(clear)) {
			return nil, fmt.Errorf("a phone without keys needs a JSON object in idlepush and nothing in encrypted")
		}
		return []byte(clear), nil
	}
	if clear != "" {
		return nil, fmt.Errorf("a phone with keys was sent idlepush in the clear")
	}
	text, err := receiver.Open(encrypted)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return text, nil
}

// reserved reports whether FCM refuses the data key.
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages#Message.FIELDS.data
func reserved(key string) bool {
	return key == "from" || key == "message_type" || strings.HasPrefix(key, "google") || strings.HasPrefix(key, "gcm")
}

func dataSize(data map[string]string) int {
	size := 0
	for key, value := range data {
		size += len(key) + len(value)
	}
	return size
}

package pushtest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"idlepush"
)

var ttlForm = regexp.MustCompile(`^[0-9]{1,7}(\.[0-9]{1,9})?s$`)

// checkFCM checks a message by FCM's rules, and that it is a data message as idlepush promises.
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
func checkFCM(body []byte) (FCMMessage, *refusal) {
	none := FCMMessage{}
	var request struct {
		ValidateOnly bool `json:"validate_only"`
		Message      struct {
			Token   string            `json:"token"`
			Data    map[string]string `json:"data"`
			Android struct {
				Priority    string `json:"priority"`
				TTL         string `json:"ttl"`
				CollapseKey string `json:"collapse_key"`
			} `json:"android"`
		} `json:"message"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return none, refuse(http.StatusBadRequest, "message", "read the message: %w", err)
	}
	if decoder.Decode(new(any)) != io.EOF {
		return none, refuse(http.StatusBadRequest, "message", "something follows the message")
	}
	m := request.Message
	ttl, err := time.ParseDuration(m.Android.TTL)
	switch {
	case m.Token == "":
		return none, refuse(http.StatusBadRequest, "message", "the recipient is not set")
	case err != nil || !ttlForm.MatchString(m.Android.TTL) || ttl > 28*24*time.Hour:
		return none, refuse(http.StatusBadRequest, "message.android.ttl", "ttl %q, want seconds up to 2419200s", m.Android.TTL)
	case !strings.EqualFold(m.Android.Priority, "HIGH") && !strings.EqualFold(m.Android.Priority, "NORMAL"):
		return none, refuse(http.StatusBadRequest, "message.android.priority", "priority %q", m.Android.Priority)
	case dataSize(m.Data) > 4096:
		return none, refuse(http.StatusBadRequest, "message.data", "data of %d bytes, 4096 fit", dataSize(m.Data))
	}
	for key := range m.Data {
		if reserved(key) {
			return none, refuse(http.StatusBadRequest, "message.data", "data key %q is reserved", key)
		}
	}
	return FCMMessage{Token: idlepush.Secret(m.Token), Data: m.Data, Priority: m.Android.Priority, TTL: ttl, CollapseKey: m.Android.CollapseKey,
		Raw: body, At: time.Now()}, nil
}

// maxCollapseKeys is the number of different ones that FCM keeps for a phone at a time. If there
// are more, it drops messages silently.
// https://firebase.google.com/docs/cloud-messaging/customize-messages/collapsible-message-types
const maxCollapseKeys = 4

// addCollapseKey records a message's collapse key. One too many is a violation, although FCM
// accepts the message.
func (f *FCM) addCollapseKey(token, key string) {
	if key == "" {
		return
	}
	f.mu.Lock()
	if f.collapsed[token] == nil {
		f.collapsed[token] = make(map[string]bool)
	}
	keys := f.collapsed[token]
	keys[key] = true
	tooMany := len(keys) > maxCollapseKeys
	if tooMany {
		delete(keys, key)
	}
	f.mu.Unlock()
	if tooMany {
		f.addViolation(fmt.Errorf("more than %d different collapse keys for one phone", maxCollapseKeys))
	}
}

// serveGrant is the token endpoint: RFC 6749 section 5 with the grant of RFC 7523.
func (f *FCM) serveGrant(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.grants++
	f.mu.Unlock()
	fault := f.nextFault(grantPath)
	if err := f.checkGrant(r); err != nil {
		f.addViolation(err)
		fault = Fault{Status: http.StatusBadRequest, Reason: "invalid_grant"}
	}
	fault.apply(w, r, func(w http.ResponseWriter) { f.answerGrant(w, fault) })
}

// answerGrant answers a token request.
func (f *FCM) answerGrant(w http.ResponseWriter, fault Fault) {
	if fault.Body != "" {
		w.WriteHeader(fault.Status)
		io.WriteString(w, fault.Body)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if fault.Status != http.StatusOK {
		w.WriteHeader(fault.Status)
		if fault.Reason != "" {
			json.NewEncoder(w).Encode(map[string]string{"error": fault.Reason, "error_description": "A refused or scripted grant."})
		}
		return
	}
	const life = time.Hour
	bearer := "ya29." + rand.Text()
	f.mu.Lock()
	f.bearers[bearer] = time.Now().Add(life)
	f.mu.Unlock()
	json.NewEncoder(w).Encode(map[string]any{"access_token": bearer, "token_type": "Bearer", "expires_in": int(life.Seconds()) - 1})
}

// checkGrant checks a token request by Google's rules for service accounts.
// https://developers.google.com/identity/protocols/oauth2/service-account#httprest
func (f *FCM) checkGrant(r *http.Request) error {
	if r.Method != http.MethodPost {
		return fmt.Errorf("token request by %s, want POST", r.Method)
	}
	if grant := r.PostFormValue("grant_type"); grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return fmt.Errorf("grant_type %q", grant)
	}
	var (
		header struct{ Alg, Typ string }
		claims struct {
			Iss, Scope, Aud string
			Iat, Exp        int64
		}
	)
	signed, signature, err := parseJWT(r.PostFormValue("assertion"), &header, &claims)
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	hash := sha256.Sum256([]byte(signed))
	if header.Alg != "RS256" || rsa.VerifyPKCS1v15(&f.key.PublicKey, crypto.SHA256, hash[:], signature) != nil {
		return errors.New("the assertion is not signed by the service account's key with RS256")
	}
	origin := "http://" + r.Host
	if r.TLS != nil {
		origin = "https://" + r.Host
	}
	now, issued, end := time.Now(), time.Unix(claims.Iat, 0), time.Unix(claims.Exp, 0)
	switch {
	case claims.Iss != f.email:
		return fmt.Errorf("iss %q, want %q", claims.Iss, f.email)
	case claims.Aud != origin+grantPath:
		return fmt.Errorf("aud %q, want %q", claims.Aud, origin+grantPath)
	case claims.Scope != "https://www.googleapis.com/auth/firebase.messaging":
		return fmt.Errorf("scope %q is more or less than sending needs", claims.Scope)
	case issued.After(now.Add(time.Minute)) || end.Before(now) || end.Sub(issued) > time.Hour:
		return fmt.Errorf("issued %v ago, valid for %v", now.Sub(issued), end.Sub(issued))
	}
	return nil
}

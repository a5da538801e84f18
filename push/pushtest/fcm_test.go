package pushtest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push/pushtest"
)

const fcmOrigin = "http://fcm.test"

func newFCM(t *testing.T) *pushtest.FCM {
	t.Helper()
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	return fcm
}

// compact returns a compact JWS (RFC 7515 section 7.1).
func compact(t *testing.T, header, claims map[string]any, sign func(hash []byte) []byte) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	hash := sha256.Sum256([]byte(strings.Join(parts, ".")))
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(sign(hash[:]))), ".")
}

func privateKey(t *testing.T, text []byte) any {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the key is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// grant requests an access token as Google's libraries do, with changed claims. It returns status
// and answer.
func grant(t *testing.T, fcm *pushtest.FCM, changes map[string]any) (int, map[string]any) {
	t.Helper()
	var account map[string]string
	if err := json.Unmarshal(fcm.Credentials(fcmOrigin), &account); err != nil {
		t.Fatal(err)
	}
	key := privateKey(t, []byte(account["private_key"])).(*rsa.PrivateKey)
	claims := map[string]any{
		"iss": account["client_email"], "scope": "https://www.googleapis.com/auth/firebase.messaging", "aud": account["token_uri"],
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	assertion := compact(t, map[string]any{"alg": "RS256", "typ": "JWT"}, claims, func(hash []byte) []byte {
		if changes["forged"] != nil {
			hash = make([]byte, len(hash))
		}
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	})
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	r := httptest.NewRequest(http.MethodPost, account["token_uri"], strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return answerTo(t, fcm, r)
}

func answerTo(t *testing.T, h http.Handler, r *http.Request) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var answer map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("answer %q: %v", w.Body, err)
		}
	}
	return w.Code, answer
}

func TestFCM(t *testing.T) {
	t.Run("the token endpoint accepts only a grant of the service account", fcmGrant)
	t.Run("it refuses what Google refuses, and all but data messages", fcmRefuses)
	t.Run("it ends access tokens and phones as Google does", fcmExpires)
	t.Run("a fifth collapse key for one phone is a violation", fcmCollapseKeys)
	t.Run("it accepts only POST", fcmMethod)
}

func fcmGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm := newFCM(t)
		if status, answer := grant(t, fcm, nil); status != 200 || answer["access_token"] == "" {
			t.Fatalf("a valid grant: %d %v; violations: %v", status, answer, fcm.Violations())
		}
		for n, changes := range []map[string]any{
			{"forged": true},
			{"iss": "someone@family-mail.iam.gserviceaccount.com"},
			{"aud": "https://oauth2.googleapis.com/token"},
			{"scope": "https://www.googleapis.com/auth/cloud-platform"},
			{"exp": time.Now().Add(-time.Minute).Unix(), "iat": time.Now().Add(-time.Hour).Unix()},
			{"exp": time.Now().Add(2 * time.Hour).Unix()},
			{"iat": time.Now().Add(time.Hour).Unix(), "exp": time.Now().Add(2 * time.Hour).Unix()},
		} {
			if status, answer := grant(t, fcm, changes); status != 400 || answer["error"] != "invalid_grant" {
				t.Errorf("%v: %d %v", changes, status, answer)
			}
			if len(fcm.Violations()) != n+1 {
				t.Errorf("%v: violations %v", changes, fcm.Violations())
			}
		}
	})
}

// sendFCM sends a message and returns the status and FCM's name of the error.
func sendFCM(t *testing.T, fcm *pushtest.FCM, path, bearer, message string) (status int, code, field string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, fcmOrigin+path, strings.NewReader(message))
	r.Header.Set("Authorization", "Bearer "+bearer)
	status, answer := answerTo(t, fcm, r)
	failure, _ := answer["error"].(map[string]any)
	details, _ := failure["details"].([]any)
	for _, d := range details {
		d := d.(map[string]any)
		if c, ok := d["errorCode"].(string); ok {
			code = c
		}
		if violations, ok := d["fieldViolations"].([]any); ok {
			field = violations[0].(map[string]any)["field"].(string)
		}
	}
	return status, code, field
}

const sendPath = "/v1/projects/family-mail/messages:send"

func fcmRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm := newFCM(t)
		receiver, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		token, keyed := fcm.Register(nil), fcm.Register(receiver)
		_, answer := grant(t, fcm, nil)
		bearer := answer["access_token"].(string)
		whole := fmt.Sprintf(`{"message":{"token":"%s","data":{"idlepush":"{}"},"android":{"priority":"high","ttl":"60s"}}}`, token)
		for name, c := range map[string]struct {
			path, bearer, old, new string // what is changed in the whole message
			status                 int
			code, field            string
		}{
			"nothing wrong":        {status: 200},
			"no bearer":            {bearer: "x", status: 401},
			"another project":      {path: "/v1/projects/other/messages:send", status: 404},
			"a notification":       {old: `"data"`, new: `"notification":{"title":"x"},"data"`, status: 400, field: "message"},
			"a collapse key":       {old: `"ttl"`, new: `"collapse_key":"x","ttl"`, status: 200},
			"a tag":                {old: `"ttl"`, new: `"notification":{"tag":"x"},"ttl"`, status: 400, field: "message"},
			"a number for text":    {old: `"{}"`, new: `12`, status: 400, field: "message"},
			"two messages":         {old: `}}}`, new: `}}}{}`, status: 400, field: "message"},
			"no recipient":         {old: token, status: 400, field: "message"},
			"no ttl":               {old: `"60s"`, new: `""`, status: 400, field: "message.android.ttl"},
			"a ttl in minutes":     {old: `"60s"`, new: `"1m"`, status: 400, field: "message.android.ttl"},
			"a ttl too long":       {old: `"60s"`, new: `"2419201s"`, status: 400, field: "message.android.ttl"},
			"a priority unknown":   {old: `"high"`, new: `"urgent"`, status: 400, field: "message.android.priority"},
			"a reserved key":       {old: `"idlepush"`, new: `"google.x":"","idlepush"`, status: 400, field: "message.data"},
			"the key from":         {old: `"idlepush"`, new: `"from":"","idlepush"`, status: 400, field: "message.data"},
			"a gcm key":            {old: `"idlepush"`, new: `"gcm":"","idlepush"`, status: 400, field: "message.data"},
			"all the room":         {old: `"{}"`, new: `"{` + strings.Repeat(" ", 4096-10) + `}"`, status: 200},
			"one byte too many":    {old: `"{}"`, new: `"{` + strings.Repeat(" ", 4097-10) + `}"`, status: 400, field: "message.data"},
			"no payload":           {old: `"idlepush":"{}"`, status: 400, field: "message.data"},
			"ciphertext unasked":   {old: `"idlepush":"{}"`, new: `"encrypted":"AAAA"`, status: 400, field: "message.data"},
			"clear text unwanted":  {old: token, new: keyed, status: 400, field: "message.data"},
			"not to be decrypted":  {old: token + `","data":{"idlepush":"{}"`, new: keyed + `","data":{"encrypted":"AAAA"`, status: 400, field: "message.data"},
			"a phone unknown":      {old: token, new: token + "x", status: 404, code: "UNREGISTERED"},
			"no token by its form": {old: token, new: "x", status: 400, code: "INVALID_ARGUMENT"},
		} {
			before, accepted := len(fcm.Violations()), len(fcm.Messages())
			path, with := sendPath, bearer
			if c.path != "" {
				path = c.path
			}
			if c.bearer != "" {
				with = c.bearer
			}
			message := whole
			if c.old != "" {
				message = strings.Replace(whole, c.old, c.new, 1)
			}
			status, code, field := sendFCM(t, fcm, path, with, message)
			if status != c.status || code != c.code || field != c.field {
				t.Errorf("%s: %d %q %q, want %d %q %q", name, status, code, field, c.status, c.code, c.field)
			}
			if violated := len(fcm.Violations()) > before; violated != (c.status != 200 && c.code == "") {
				t.Errorf("%s: violation recorded: %v", name, violated)
			}
			if got := len(fcm.Messages()) - accepted; got > 0 != (c.status == 200) {
				t.Errorf("%s: %d messages recorded", name, got)
			}
		}
	})
}

func fcmExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm := newFCM(t)
		token := fcm.Register(nil)
		_, answer := grant(t, fcm, nil)
		bearer := answer["access_token"].(string)
		message := fmt.Sprintf(`{"message":{"token":"%s","data":{"idlepush":"{}"},"android":{"priority":"high","ttl":"60s"}}}`, token)
		step := func(want int, wantCode string) {
			t.Helper()
			if status, code, _ := sendFCM(t, fcm, sendPath, bearer, message); status != want || code != wantCode {
				t.Errorf("%d %q, want %d %q", status, code, want, wantCode)
			}
		}
		step(200, "")
		fcm.Unregister(token)
		step(404, "UNREGISTERED")
		time.Sleep(61 * time.Minute)
		step(401, "")
		_, answer = grant(t, fcm, nil)
		bearer = answer["access_token"].(string)
		step(404, "UNREGISTERED")
		fcm.Revoke()
		step(401, "")
	})
}

func fcmCollapseKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm := newFCM(t)
		first, second := fcm.Register(nil), fcm.Register(nil)
		_, answer := grant(t, fcm, nil)
		send := func(token, key string, violations int) {
			t.Helper()
			status, _, _ := sendFCM(t, fcm, sendPath, answer["access_token"].(string), fmt.Sprintf(
				`{"message":{"token":"%s","data":{"idlepush":"{}"},"android":{"priority":"high","ttl":"60s","collapse_key":"%s"}}}`, token, key))
			if got := len(fcm.TakeViolations()); status != 200 || got != violations {
				t.Errorf("%q: %d and %d violations, want %d", key, status, got, violations)
			}
		}
		for _, key := range []string{"a", "b", "c", "d", "a", ""} {
			send(first, key, 0)
		}
		send(first, "e", 1)
		send(first, "f", 1)
		send(second, "e", 0)
		send(first, "d", 0)
	})
}

func fcmMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm := newFCM(t)
		_, answer := grant(t, fcm, nil)
		r := httptest.NewRequest(http.MethodGet, fcmOrigin+sendPath, nil)
		r.Header.Set("Authorization", "Bearer "+answer["access_token"].(string))
		if status, _ := answerTo(t, fcm, r); status != 404 || len(fcm.Violations()) != 1 {
			t.Errorf("%d, violations %v", status, fcm.Violations())
		}
	})
}

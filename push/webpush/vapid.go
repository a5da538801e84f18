package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	tokenLife   = 12 * time.Hour // half of what RFC 8292 section 2 allows, for wrong clocks
	renewAfter  = tokenLife / 2
	minRenewAge = time.Hour // Apple allows no new token more often
	maxTokens   = 256       // kept; origins come from users, so there may be many
)

// ApplicationServerKey returns the public key in the form of browsers and RFC 8292: the
// uncompressed point in base64url without padding. It returns an error if the key is not on P-256.
func ApplicationServerKey(key *ecdsa.PublicKey) (string, error) {
	if key.Curve != elliptic.P256() {
		return "", errors.New("it is not on the curve P-256")
	}
	point, err := key.Bytes()
	if err != nil {
		return "", fmt.Errorf("write out the VAPID public key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(point), nil
}

// vapid signs the Authorization headers of RFC 8292, and caches them.
type vapid struct {
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	tokens map[audience]token
}

// audience is what distinguishes tokens: the service and the sender's contact.
type audience struct {
	origin  string
	subject string
}

type token struct {
	authorization string
	issued        time.Time // without monotonic reading, which may stop while a machine sleeps
	renewed       time.Time // when it last replaced a rejected one; zero: never
}

// token returns the Authorization header for the audience. It signs a new one unless the last one
// is younger than renewAfter. A last one from the future, before the clock was set back, is
// replaced too.
func (v *vapid) token(a audience) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now().Round(0)
	t, ok := v.tokens[a]
	if ok && !now.Before(t.issued) && now.Before(t.issued.Add(renewAfter)) {
		return t.authorization, nil
	}
	t, err := v.sign(a, now)
	if err != nil {
		return "", err
	}
	v.keep(a, t)
	return t.authorization, nil
}

// renew replaces a header that was rejected, unless another Send already has. A new one may help
// after the clock was set, or if a service has lost its state. It reports false if the last
// replacement is younger than minRenewAge.
func (v *vapid) renew(a audience, rejected string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now().Round(0)
	t := v.tokens[a]
	if t.authorization != "" && t.authorization != rejected {
		return t.authorization, true
	}
	if since := now.Sub(t.renewed); since >= 0 && since < minRenewAge {
		return "", false
	}
	t, err := v.sign(a, now)
	if err != nil {
		return "", false
	}
	t.renewed = now
	v.keep(a, t)
	return t.authorization, true
}

// keep stores the token. The caller must hold mu.
func (v *vapid) keep(a audience, t token) {
	if _, known := v.tokens[a]; !known && len(v.tokens) >= maxTokens {
		clear(v.tokens) // signing again is cheap
	}
	v.tokens[a] = t
}

// sign returns an ES256 JWT (RFC 7518 section 3.4) with the claims of RFC 8292 section 2.
func (v *vapid) sign(a audience, now time.Time) (token, error) {
	public, err := ApplicationServerKey(&v.key.PublicKey)
	if err != nil {
		return token{}, err
	}
	claims, err := json.Marshal(struct {
		Aud string `json:"aud"`
		Exp int64  `json:"exp"`
		Sub string `json:"sub"`
	}{a.origin, now.Add(tokenLife).Unix(), a.subject})
	if err != nil {
		return token{}, fmt.Errorf("write the claims: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(claims)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, v.key, hash[:])
	if err != nil {
		return token{}, fmt.Errorf("sign the claims: %w", err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	jwt := text + "." + base64.RawURLEncoding.EncodeToString(signature[:])
	return token{authorization: "vapid t=" + jwt + ", k=" + public, issued: now}, nil
}

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
	tokenLife  = 12 * time.Hour // RFC 8292 section 2 allows 24 h; half of that forgives a wrong clock
	renewAfter = tokenLife / 2
	renewPause = time.Hour // Apple: no new token more often
	maxTokens  = 256       // origins come from users, so they could be many
)

// ApplicationServerKey is the public key as browsers and RFC 8292 write it: the uncompressed point
// in base64url without padding. The key must be on P-256.
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

// vapid signs the Authorization headers of RFC 8292 and keeps them while they are good.
type vapid struct {
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	tokens map[audience]token
}

// audience is who a token is for, and from whom.
type audience struct {
	origin  string
	subject string
}

type token struct {
	authorization string
	issued        time.Time // without monotonic reading, which may stand still while a machine sleeps
	renewed       time.Time // when a rejection last replaced it; zero: never
}

// token returns the Authorization header for the audience, signing one when there is none, when
// half of its life is over, and when the clock has gone back before it.
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

// renew replaces a header that was rejected, unless another Send already has: a clock may have been
// set, or a service have forgotten. It reports false when the last replacement is so recent that
// one more would only be noise.
func (v *vapid) renew(a audience, rejected string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now().Round(0)
	t := v.tokens[a]
	if t.authorization != "" && t.authorization != rejected {
		return t.authorization, true
	}
	if since := now.Sub(t.renewed); since >= 0 && since < renewPause {
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

// keep is called with mu held.
func (v *vapid) keep(a audience, t token) {
	if _, known := v.tokens[a]; !known && len(v.tokens) >= maxTokens {
		clear(v.tokens) // signing again costs less than choosing
	}
	v.tokens[a] = t
}

// sign makes an ES256 JWT (RFC 7518 section 3.4) with the claims of RFC 8292 section 2.
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

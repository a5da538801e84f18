package apns

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
	"time"
)

const (
	// providerLife is how long a provider token is used; Apple refuses it when it is an hour old.
	providerLife = 50 * time.Minute

	// renewable is the age from which a provider token that Apple refuses may be replaced: one that
	// comes sooner than 20 minutes after the last is answered with 429 TooManyProviderTokenUpdates.
	// https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
	renewable = 20 * time.Minute
)

// provider makes provider tokens. Its tokens begin at fixed times, one each providerLife, and are
// signed without randomness, so that a program that starts again makes the very same one: to Apple,
// a few restarts in a row would else be too many renewals, and every phone would wait for 20
// minutes. apns2 makes another one at each start.
type provider struct {
	key    *ecdsa.PrivateKey
	keyID  string
	teamID string

	mu     sync.Mutex
	bearer string // the Authorization header; empty: none was made
	issued time.Time
}

// authorization returns the header that holds for now.
func (p *provider) authorization(now time.Time) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bearer != "" && now.Sub(p.issued) < providerLife {
		return p.bearer, nil
	}
	err := p.issue(now.Truncate(providerLife))
	return p.bearer, err
}

// renew makes a new token in place of the one that Apple refused, and reports whether there is
// another one now.
func (p *provider) renew(refused string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bearer != refused {
		return true
	}
	// A token from the future was made before the clock was set right.
	if age := now.Sub(p.issued); age >= 0 && age < renewable {
		return false
	}
	return p.issue(now.Truncate(time.Second)) == nil
}

// issue is called with mu held.
func (p *provider) issue(at time.Time) error {
	bearer, err := p.sign(at)
	if err == nil {
		p.bearer, p.issued = "bearer "+bearer, at
	}
	return err
}

// sign makes an ES256 JWT (RFC 7518 section 3.4), the same each time (RFC 6979).
func (p *provider) sign(at time.Time) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "ES256", "kid": p.keyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"iss": p.teamID, "iat": at.Unix()})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	hash := sha256.Sum256([]byte(text))
	der, err := p.key.Sign(nil, hash[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("sign a provider token: %w", err)
	}
	var signed struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &signed); err != nil {
		return "", fmt.Errorf("sign a provider token: %w", err)
	}
	var signature [64]byte
	signed.R.FillBytes(signature[:32])
	signed.S.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

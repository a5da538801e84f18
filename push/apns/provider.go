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
	// providerLife is the time for which a provider token is used. Apple refuses it after an hour.
	providerLife = 50 * time.Minute

	// minRenewAge is the age from which a provider token that Apple refuses may be replaced. To a
	// new one within 20 minutes of the last, Apple answers 429 TooManyProviderTokenUpdates. Source:
	// "Establishing a token-based connection to APNs" in Apple's documentation of User
	// Notifications.
	minRenewAge = 20 * time.Minute
)

// provider makes provider tokens. They begin at fixed times, one each providerLife, and are signed
// without randomness, so a program that restarts makes the same token again. The library's tokens
// differ at each start: after a few restarts Apple would count too many renewals, and refuse all
// messages for 20 minutes.
type provider struct {
	key    *ecdsa.PrivateKey
	keyID  string
	teamID string

	mu     sync.Mutex
	bearer string // the Authorization header; empty: none was made
	issued time.Time
}

// authorization returns the Authorization header to use at now.
func (p *provider) authorization(now time.Time) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bearer != "" && now.Sub(p.issued) < providerLife {
		return p.bearer, nil
	}
	err := p.issue(now.Truncate(providerLife))
	return p.bearer, err
}

// renew replaces the token that Apple refused, and reports whether there is another one now.
func (p *provider) renew(refused string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bearer != refused {
		return true
	}
	// If the token is from the future, the clock has been corrected since.
	if age := now.Sub(p.issued); age >= 0 && age < minRenewAge {
		return false
	}
	return p.issue(now.Truncate(time.Second)) == nil
}

// issue replaces the token. The caller must hold mu.
func (p *provider) issue(at time.Time) error {
	bearer, err := p.sign(at)
	if err == nil {
		p.bearer, p.issued = "bearer "+bearer, at
	}
	return err
}

// sign returns an ES256 JWT (RFC 7518 section 3.4). It is deterministic (RFC 6979).
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

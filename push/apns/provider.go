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
	// providerLife is the age at which a provider token is replaced.
	providerLife = 50 * time.Minute

	// maxProviderLife is the age until which the token before may be used again. Apple refuses it
	// after an hour; the minute is for clocks that differ.
	maxProviderLife = 59 * time.Minute

	// minRenewAge is the time from the first use of a provider token until another may follow. To
	// one that comes sooner, Apple answers 429 TooManyProviderTokenUpdates. Source: "Establishing a
	// token-based connection to APNs" in Apple's documentation of User Notifications.
	minRenewAge = 20 * time.Minute
)

// provider makes provider tokens. Their times of issue are multiples of minRenewAge, and they are
// signed without randomness, so a program that restarts makes the same token again. The library's
// tokens differ at each start: after a few restarts Apple would count too many renewals, and refuse
// all messages for 20 minutes.
type provider struct {
	key    *ecdsa.PrivateKey
	keyID  string
	teamID string

	mu      sync.Mutex
	current providerToken
	before  time.Time // the issue of the token that current replaced; zero: not known
}

// providerToken is a token with its times, all without monotonic reading.
type providerToken struct {
	bearer string // the Authorization header; empty: none was made
	issued time.Time
	used   time.Time // for the first time since the start
	until  time.Time // then it is replaced
}

// authorization returns the Authorization header to use at now. A token from the future, before the
// clock was set back, is replaced.
func (p *provider) authorization(now time.Time) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.current; c.bearer != "" && !now.Before(c.issued) && now.Before(c.until) {
		return c.bearer, nil
	}
	err := p.issue(now)
	return p.current.bearer, err
}

// renew replaces the token that Apple refused, and reports whether there is another one now. It
// replaces only a token from the future, or one in use for minRenewAge.
func (p *provider) renew(refused string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current.bearer != refused {
		return true
	}
	if used := now.Sub(p.current.used); used >= 0 && used < minRenewAge && !now.Before(p.current.issued) {
		return false
	}
	return p.issue(now) == nil
}

// goBack returns to the token before the one that came too soon for Apple, and reports whether
// there is another one now. After a start, which token was before is not known: then it is one of
// the two that were issued before.
func (p *provider) goBack(refused string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current.bearer != refused {
		return true
	}
	issued := p.current.issued
	for _, at := range []time.Time{p.before, issued.Add(-minRenewAge), issued.Add(-2 * minRenewAge)} {
		if at.Before(issued) && now.Before(at.Add(maxProviderLife)) {
			p.before = time.Time{}
			return p.take(at, now, maxProviderLife) == nil
		}
	}
	return false
}

// issue replaces the token. The caller must hold mu.
func (p *provider) issue(now time.Time) error {
	before := p.current.issued
	err := p.take(now.Truncate(minRenewAge), now, providerLife)
	if err == nil {
		p.before = before
	}
	return err
}

// take makes the token of that issue the current one, until it has that age. The caller must hold
// mu.
func (p *provider) take(issued, now time.Time, life time.Duration) error {
	bearer, err := p.sign(issued)
	if err == nil {
		p.current = providerToken{bearer: "bearer " + bearer, issued: issued, used: now.Round(0), until: issued.Add(life)}
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

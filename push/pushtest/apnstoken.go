package pushtest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// checkProviderToken checks a provider token by Apple's rules. One of them allows a new one only
// 20 minutes after the last new one was first seen. It tells tokens apart by their iat, so two of
// the same second count as one.
// developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
func (a *APNs) checkProviderToken(authorization string, now time.Time) *refusal {
	bearer, ok := strings.CutPrefix(authorization, "bearer ")
	if !ok || bearer == "" {
		return refuse(http.StatusForbidden, "MissingProviderToken", "no provider token")
	}
	var (
		header struct{ Alg, Kid string }
		claims struct {
			Iss string
			Iat int64
		}
	)
	signed, signature, err := parseJWT(bearer, &header, &claims)
	if err != nil {
		return refuse(http.StatusForbidden, "InvalidProviderToken", "provider token: %w", err)
	}
	switch {
	case header.Alg != "ES256" || header.Kid != a.KeyID:
		return refuse(http.StatusForbidden, "InvalidProviderToken", "alg %q, kid %q", header.Alg, header.Kid)
	case claims.Iss != a.TeamID:
		return refuse(http.StatusForbidden, "InvalidProviderToken", "iss %q, want %q", claims.Iss, a.TeamID)
	case !signedBy(a.public, signed, signature):
		return refuse(http.StatusForbidden, "InvalidProviderToken", "the provider token is not signed by the key")
	}
	age := now.Sub(time.Unix(claims.Iat, 0))
	a.mu.Lock()
	defer a.mu.Unlock()
	if age < -time.Minute {
		return refuse(http.StatusForbidden, "InvalidProviderToken", "the provider token is from the future, by %v", -age)
	}
	if a.expired[bearer] || age > time.Hour {
		return refuse(http.StatusForbidden, "ExpiredProviderToken", "the provider token is %v old, or was made to expire", age)
	}
	if _, known := a.issued[claims.Iat]; !known {
		for _, first := range a.issued {
			if ago := now.Sub(first); ago < 20*time.Minute {
				return refuse(http.StatusTooManyRequests, "TooManyProviderTokenUpdates", "a new provider token %v after another", ago)
			}
		}
		a.issued[claims.Iat] = now
	}
	a.expired[bearer] = false
	return nil
}

// signedBy verifies an ES256 signature (RFC 7518 section 3.4).
func signedBy(key *ecdsa.PublicKey, signed string, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	hash := sha256.Sum256([]byte(signed))
	return ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

package pushtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// checkVAPID checks an Authorization header by RFC 8292 and by what services demand beyond it, and
// returns the JWT.
func checkVAPID(authorization, origin, key string, now time.Time) (string, *refusal) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "vapid") {
		return "", refuse(http.StatusUnauthorized, "MissingAuthorization", "authorization scheme %q, want vapid", scheme)
	}
	parameters := make(map[string]string)
	for p := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		parameters[name] = value
	}
	token, k := parameters["t"], parameters["k"]
	if key != "" && k != key {
		return "", refuse(http.StatusBadRequest, "VapidPkHashMismatch", "sent with another VAPID key than it was subscribed with")
	}
	var header struct{ Alg, Typ string }
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	signed, signature, err := parseJWT(token, &header, &claims)
	switch {
	case err != nil:
		return "", refuse(http.StatusForbidden, "BadJwtToken", "%v", err)
	case header.Alg != "ES256" || header.Typ != "JWT":
		return "", refuse(http.StatusForbidden, "BadJwtToken", "JWT header says alg %q, typ %q", header.Alg, header.Typ)
	}
	if refused := verifyES256(signed, signature, k); refused != nil {
		return "", refused
	}
	left := time.Unix(claims.Exp, 0).Sub(now)
	switch {
	case claims.Aud != origin:
		return "", refuse(http.StatusForbidden, "BadJwtToken", "aud %q, want %q", claims.Aud, origin)
	case left <= 0:
		return "", refuse(http.StatusForbidden, "ExpiredJwtToken", "exp is %v ago", -left)
	case left > 24*time.Hour:
		return "", refuse(http.StatusForbidden, "BadJwtToken", "exp is %v ahead, 24 h are allowed", left)
	case !validSubject(claims.Sub):
		return "", refuse(http.StatusForbidden, "BadJwtToken", "sub %q is neither mailto: nor https:", claims.Sub)
	}
	return token, nil
}

// verifyES256 checks a signature (RFC 7518 section 3.4) by a public key in base64url.
func verifyES256(signed string, signature []byte, key string) *refusal {
	point, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil {
		return refuse(http.StatusForbidden, "BadVapidPublicKey", "k is not base64url without padding")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return refuse(http.StatusForbidden, "BadVapidPublicKey", "k: %v", err)
	}
	if !signedBy(public, signed, signature) {
		return refuse(http.StatusForbidden, "BadJwtToken", "the signature is not by k")
	}
	return nil
}

func validSubject(sub string) bool {
	address, mail := strings.CutPrefix(sub, "mailto:")
	if mail {
		return strings.Contains(address, "@") && !strings.Contains(address, ":")
	}
	host, web := strings.CutPrefix(sub, "https://")
	return web && host != "" && !strings.ContainsAny(host, " <>")
}

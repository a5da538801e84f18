package pushtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// parseJWT splits a compact JWS (RFC 7515 section 7.1) and decodes its header and claims. It
// returns the signed text and the signature, which the caller must verify.
func parseJWT(token string, header, claims any) (signed string, signature []byte, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", nil, fmt.Errorf("a JWT of %d parts", len(parts))
	}
	var decoded [3][]byte
	for i, part := range parts {
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return "", nil, fmt.Errorf("part %d of the JWT is not base64url without padding", i+1)
		}
	}
	if err := json.Unmarshal(decoded[0], header); err != nil {
		return "", nil, fmt.Errorf("read the JWT's header: %w", err)
	}
	if err := json.Unmarshal(decoded[1], claims); err != nil {
		return "", nil, fmt.Errorf("read the JWT's claims: %w", err)
	}
	return parts[0] + "." + parts[1], decoded[2], nil
}

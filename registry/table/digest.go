package table

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// newDigestKey derives the key of digests from that of the store (RFC 5869).
func newDigestKey(key []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, "idlepush digests of texts", sha256.Size)
}

// Digest returns the HMAC-SHA-256 (RFC 2104) of a text: the same for the same text, so that it can
// be a key. Without the key of the store nobody can tell of which text it is.
func (tx *Tx) Digest(text string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, tx.db.keys.digest)
	mac.Write([]byte(text))
	return [sha256.Size]byte(mac.Sum(nil))
}

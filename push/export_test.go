package push

import (
	"crypto/ecdh"

	"idlepush/registry"
)

// UpdateGolden is whether to write testdata anew.
var UpdateGolden = updateGolden

// SealWith is Encrypt with a salt and a key pair that are known.
func SealWith(plaintext []byte, keys registry.Keys, salt []byte, sender *ecdh.PrivateKey) ([]byte, error) {
	receiver, auth, err := parseKeys(keys)
	if err != nil {
		return nil, err
	}
	return seal(pad(plaintext), receiver, auth, salt, sender)
}

package push

import (
	"crypto/ecdh"

	"idlepush"
)

// UpdateGolden reports whether to write testdata anew.
var UpdateGolden = updateGolden

// SealWith is Encrypt with a given salt and key pair.
func SealWith(plaintext []byte, keys idlepush.Keys, salt []byte, sender *ecdh.PrivateKey) ([]byte, error) {
	receiver, auth, err := parseKeys(keys)
	if err != nil {
		return nil, err
	}
	return seal(pad(plaintext), receiver, auth, salt, sender)
}

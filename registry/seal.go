package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// keySize is an AES-256 key.
const keySize = 32

// sealVersion stands before every sealed value, so that another key or cipher can follow.
const sealVersion = 1

// seals seals values with AES-256-GCM under a random nonce. The place of a value is authenticated with it, so that a
// sealed value moved to another row is refused.
type seals struct{ aead cipher.AEAD }

func newSeals(key []byte) (seals, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return seals{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return seals{aead}, err
}

func (s seals) seal(place string, value any) []byte {
	plain, err := json.Marshal(value)
	must(err)
	return s.aead.Seal([]byte{sealVersion}, nil, plain, []byte(place))
}

func (s seals) open(place string, sealed []byte, value any) error {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return fmt.Errorf("%w: a sealed value has an unknown form", ErrCorrupt)
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], []byte(place))
	if err != nil {
		return fmt.Errorf("%w: a sealed value does not fit the key", ErrCorrupt)
	}
	if err := json.Unmarshal(plain, value); err != nil {
		return fmt.Errorf("%w: a sealed value cannot be read: %w", ErrCorrupt, err)
	}
	return nil
}

// ParseKey reads a key as the key file holds it: 32 bytes in base64, with or without padding. The error does not
// repeat it.
func ParseKey(text string) ([]byte, error) {
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
	if err != nil || len(key) != keySize {
		return nil, errors.New("want 32 bytes in base64, as in `head -c 32 /dev/urandom | base64`")
	}
	return key, nil
}

func newKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key)
	return key
}

func readKeyFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w; restore it from your backup", path, err)
	}
	return key, nil
}

func writeKeyFile(path string, key []byte) error {
	return writeFile(path, base64.StdEncoding.EncodeToString(key)+"\n")
}

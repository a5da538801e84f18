package registry

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"idlepush/registry/table"
)

// ParseKey decodes a key of 32 bytes from the base64 of the key file, with or without padding. The
// error does not contain the key.
func ParseKey(text string) ([]byte, error) {
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
	if err != nil || len(key) != table.KeySize {
		return nil, errors.New("want 32 bytes in base64, as in `head -c 32 /dev/urandom | base64`")
	}
	return key, nil
}

func newKey() []byte {
	key := make([]byte, table.KeySize)
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

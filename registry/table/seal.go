package table

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// KeySize is the size of the key that seals columns, in bytes: AES-256.
const KeySize = 32

// sealVersion is the first byte of every sealed value, so that another cipher can follow.
const sealVersion = 1

// Sealed is a column that can be read only with the key of the store. It belongs to its row: a copy
// in another row cannot be read.
type Sealed []byte

// Place is the row that a sealed column belongs to.
type Place struct {
	aead cipher.AEAD
	name string
}

// Place returns the place of the columns of the row under k.
func (t *Table[K, V]) Place(tx *Tx, k K) Place {
	return Place{tx.db.keys.seal, t.name + "/" + string(k.Append(nil))}
}

// With returns the place of a column that belongs to these values, too, as they are elsewhere in
// the row. If one of them changes, the column cannot be read.
func (p Place) With(values ...string) Place {
	name := []byte(p.name)
	for _, v := range values {
		name = append(AppendUint32(name, uint32(len(v))), v...)
	}
	p.name = string(name)
	return p
}

// newAEAD returns AES-256-GCM with a random nonce, which is part of the sealed value.
func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key has %d bytes, want %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal encodes value like a row, and seals it.
func (p Place) Seal(value any) (Sealed, error) {
	plain, err := encode(value)
	if err != nil {
		return nil, fmt.Errorf("encode a value to seal: %w", err)
	}
	return p.aead.Seal([]byte{sealVersion}, nil, plain, []byte(p.name)), nil
}

// Open decodes a value that Seal has sealed for this place. It returns ErrCorrupt if sealed is
// damaged, or was sealed for another place or with another key.
func (p Place) Open(sealed Sealed, value any) error {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return fmt.Errorf("%w: a sealed value has an unknown version", ErrCorrupt)
	}
	plain, err := p.aead.Open(nil, nil, sealed[1:], []byte(p.name))
	if err != nil {
		return fmt.Errorf("%w: a sealed value was sealed with another key or for another row", ErrCorrupt)
	}
	if err := decode(plain, value); err != nil {
		return fmt.Errorf("%w: a sealed value cannot be read: %w", ErrCorrupt, err)
	}
	return nil
}

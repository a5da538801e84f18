package pushtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"idlepush/registry"
)

// Receiver is the phone's end of RFC 8291: a key pair, a secret and a decryption that shares no code with push.Encrypt.
type Receiver struct {
	private *ecdh.PrivateKey
	auth    []byte
}

// NewReceiver makes a receiver with fresh keys.
func NewReceiver() (*Receiver, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a receiver: %w", err)
	}
	auth := make([]byte, 16)
	rand.Read(auth)
	return &Receiver{private, auth}, nil
}

// ReceiverOf makes a receiver of keys that are known: a private key on P-256 and 16 bytes of auth.
func ReceiverOf(private *ecdh.PrivateKey, auth []byte) *Receiver { return &Receiver{private, auth} }

// Keys are what the receiver registers.
func (r *Receiver) Keys() registry.Keys {
	return registry.Keys{
		P256dh: base64.RawURLEncoding.EncodeToString(r.private.PublicKey().Bytes()),
		Auth:   base64.RawURLEncoding.EncodeToString(r.auth),
	}
}

const (
	header  = 16 + 4 + 1 + 65 // salt, record size, length of the key id, key id
	minBody = header + 17     // with a delimiter and a tag
)

// Decrypt opens a body of content coding aes128gcm (RFC 8188, RFC 8291) and is as strict as the strictest receiver: one
// record, a 65 byte key id, the delimiter of the last record and zeros for padding, at most 4096 bytes in all.
func (r *Receiver) Decrypt(body []byte) ([]byte, error) {
	if len(body) > 4096 {
		return nil, fmt.Errorf("body of %d bytes, 4096 fit", len(body))
	}
	if len(body) < minBody {
		return nil, fmt.Errorf("body of %d bytes is shorter than header and tag", len(body))
	}
	salt, size, sender, record := body[:16], binary.BigEndian.Uint32(body[16:]), body[21:header], body[header:]
	if body[20] != 65 {
		return nil, fmt.Errorf("key id of %d bytes, want 65", body[20])
	}
	if size < 18 || uint64(len(record)) > uint64(size) {
		return nil, fmt.Errorf("record size %d for %d bytes: more than one record", size, len(record))
	}
	public, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, fmt.Errorf("key id: %w", err)
	}
	shared, err := r.private.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("key agreement: %w", err)
	}
	// HKDF written out as RFC 8291 section 3.4 does: each step is one HMAC, for no output exceeds one block.
	info := slices.Concat([]byte("WebPush: info\x00"), r.private.PublicKey().Bytes(), sender, []byte{1})
	prk := mac(salt, mac(mac(r.auth, shared), info))
	key := mac(prk, []byte("Content-Encoding: aes128gcm\x00\x01"))[:16]
	nonce := mac(prk, []byte("Content-Encoding: nonce\x00\x01"))[:12]
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up AES-GCM: %w", err)
	}
	padded, err := aead.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	for i, b := range slices.Backward(padded) {
		switch b {
		case 0:
		case 2:
			return padded[:i], nil
		default:
			return nil, errors.New("the record does not end in the delimiter of the last record and zeros")
		}
	}
	return nil, errors.New("the record has no delimiter")
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

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
	"fmt"
	"slices"
	"strings"

	"idlepush"
)

// Receiver is the phone's end of RFC 8291: a key pair, a secret, and a decryption that shares no
// code with push.Encrypt.
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

// ReceiverOf makes a receiver with the given keys: a private key on P-256 and 16 bytes of auth.
func ReceiverOf(private *ecdh.PrivateKey, auth []byte) *Receiver { return &Receiver{private, auth} }

// Keys returns the keys that the receiver registers.
func (r *Receiver) Keys() idlepush.Keys {
	return idlepush.Keys{
		P256dh: base64.RawURLEncoding.EncodeToString(r.private.PublicKey().Bytes()),
		Auth:   base64.RawURLEncoding.EncodeToString(r.auth),
	}
}

// Failure is a reason why a message cannot be opened. docs/apps.md explains each to authors of
// apps.
type Failure string

// The failures, in the order in which Open checks for them.
const (
	BadBase64     Failure = "base64"        // the text is not base64url without padding
	BadLength     Failure = "length"        // too short for header, delimiter and tag, or too long
	BadKeyID      Failure = "key id length" // not 65
	BadRecordSize Failure = "record size"   // less than 18, or less than the length of the record
	BadPoint      Failure = "point"         // the key id is not an uncompressed point on P-256
	BadTag        Failure = "tag"           // encrypted to other keys, cut or changed
	BadPadding    Failure = "padding"       // no 2 before the zeros at the end
)

// Error implements error.
func (f Failure) Error() string { return string(f) }

const (
	header  = 16 + 4 + 1 + 65 // salt, record size, length of the key id, key id
	minBody = header + 17     // with a delimiter and a tag
)

// Open is Decrypt for the field encrypted of FCM and APNs: the body in base64url without padding.
func (r *Receiver) Open(encrypted string) ([]byte, error) {
	body, err := base64.RawURLEncoding.Strict().DecodeString(encrypted)
	if err != nil || strings.ContainsAny(encrypted, "\r\n") { // which encoding/base64 ignores
		return nil, fmt.Errorf("%w: encrypted is not base64url without padding", BadBase64)
	}
	return r.Decrypt(body)
}

// Decrypt opens a body of content coding aes128gcm (RFC 8188, RFC 8291) and is as strict as the
// strictest receiver: one record, a 65 byte key id, the delimiter of the last record and zeros for
// padding, at most 4096 bytes in all. Its error is a Failure, with more about it.
func (r *Receiver) Decrypt(body []byte) ([]byte, error) {
	if len(body) > 4096 {
		return nil, fmt.Errorf("%w: body of %d bytes, 4096 fit", BadLength, len(body))
	}
	if len(body) < minBody {
		return nil, fmt.Errorf("%w: body of %d bytes is shorter than header and tag", BadLength, len(body))
	}
	salt, size, sender, record := body[:16], binary.BigEndian.Uint32(body[16:]), body[21:header], body[header:]
	if body[20] != 65 {
		return nil, fmt.Errorf("%w: %d, want 65", BadKeyID, body[20])
	}
	if size < 18 || uint64(len(record)) > uint64(size) {
		return nil, fmt.Errorf("%w: %d for %d bytes", BadRecordSize, size, len(record))
	}
	public, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", BadPoint, err)
	}
	shared, err := r.private.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("key agreement: %w", err)
	}
	// HKDF as in RFC 8291 section 3.4: each step is one HMAC, because no output exceeds one block.
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
		return nil, fmt.Errorf("%w: %w", BadTag, err)
	}
	for i, b := range slices.Backward(padded) {
		switch b {
		case 0:
		case 2:
			return padded[:i], nil
		default:
			return nil, fmt.Errorf("%w: the record ends in %d before its zeros, want 2", BadPadding, b)
		}
	}
	return nil, fmt.Errorf("%w: the record has no delimiter", BadPadding)
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

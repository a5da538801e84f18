package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"idlepush"
)

// MaxPlaintext bounds the plaintext of Encrypt, in bytes: one record of 4096 bytes without the
// header (86), the padding delimiter (1) and the AES-GCM tag (16), RFC 8291 section 4.
const MaxPlaintext = recordSize - headerSize - 1 - tagSize

// ErrTooLarge reports a message that is too large. Encrypt returns it for a plaintext of more than
// MaxPlaintext bytes.
var ErrTooLarge = fmt.Errorf("a push message of more than %d bytes cannot be encrypted", MaxPlaintext)

const (
	recordSize = 4096 // every push service must accept it, RFC 8030 section 7.2
	saltSize   = 16
	pointSize  = 65                                // an uncompressed P-256 point
	headerSize = saltSize + 4 + 1 + pointSize      // RFC 8188 section 2.1
	tagSize    = 16                                // AES-GCM
	authSize   = 16                                // RFC 8291 section 3.2
	padding    = 256                               // plaintexts are padded to multiples of this
	lastRecord = 2                                 // RFC 8188 section 2: its delimiter
	keyInfo    = "WebPush: info\x00"               // RFC 8291 section 3.4
	cekInfo    = "Content-Encoding: aes128gcm\x00" // RFC 8188 section 2.2
	nonceInfo  = "Content-Encoding: nonce\x00"     // RFC 8188 section 2.3
)

// CheckKeys returns a *FieldError unless Encrypt can use the keys. p256dh must be the 65 bytes of
// an uncompressed point on P-256, and auth 16 bytes, both in base64url. Padding and the standard
// alphabet are accepted, because some clients send them.
func CheckKeys(keys idlepush.Keys) error {
	_, _, err := parseKeys(keys)
	return err
}

// Encrypt encrypts plaintext, at most MaxPlaintext bytes, to the receiver's keys by RFC 8291:
// content coding aes128gcm, one record, with a fresh salt and key pair. Plaintexts are padded to
// multiples of 256 bytes, so that the length tells little about a subject or a sender. A receiver
// removes the padding (RFC 8188 section 2). Encrypt returns a *FieldError if the keys are invalid,
// and ErrTooLarge if the plaintext is too large.
func Encrypt(plaintext []byte, keys idlepush.Keys) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, ErrTooLarge
	}
	receiver, auth, err := parseKeys(keys)
	if err != nil {
		return nil, err
	}
	sender, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key pair for a push message: %w", err)
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return seal(pad(plaintext), receiver, auth, salt, sender)
}

// pad appends the delimiter of the last record and zeros.
func pad(plaintext []byte) []byte {
	padded := (len(plaintext)/padding + 1) * padding
	record := make([]byte, min(padded, MaxPlaintext+1))
	copy(record, plaintext)
	record[len(plaintext)] = lastRecord
	return record
}

// seal encrypts one padded record: RFC 8291 section 3.4, RFC 8188 section 2.
func seal(record []byte, receiver *ecdh.PublicKey, auth, salt []byte, sender *ecdh.PrivateKey) ([]byte, error) {
	shared, err := sender.ECDH(receiver)
	if err != nil {
		return nil, fmt.Errorf("agree on a key with the receiver: %w", err)
	}
	public := sender.PublicKey().Bytes()
	info := keyInfo + string(receiver.Bytes()) + string(public)
	secret, err := hkdf.Key(sha256.New, shared, auth, info, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the message secret: %w", err)
	}
	prk, err := hkdf.Extract(sha256.New, secret, salt)
	if err != nil {
		return nil, fmt.Errorf("derive the message key: %w", err)
	}
	key, err := hkdf.Expand(sha256.New, prk, cekInfo, 16)
	if err != nil {
		return nil, fmt.Errorf("derive the message key: %w", err)
	}
	nonce, err := hkdf.Expand(sha256.New, prk, nonceInfo, 12)
	if err != nil {
		return nil, fmt.Errorf("derive the nonce: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up AES-GCM: %w", err)
	}
	body := make([]byte, 0, headerSize+len(record)+tagSize)
	body = append(body, salt...)
	body = binary.BigEndian.AppendUint32(body, recordSize)
	body = append(body, byte(len(public)))
	body = append(body, public...)
	return aead.Seal(body, nonce, record, nil), nil
}

func parseKeys(keys idlepush.Keys) (*ecdh.PublicKey, []byte, error) {
	point, err := decodeKey("p256dh", keys.P256dh, pointSize)
	if err != nil {
		return nil, nil, err
	}
	receiver, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, nil, &FieldError{"p256dh", idlepush.Reason{Code: "key_not_on_curve"}}
	}
	auth, err := decodeKey("auth", keys.Auth, authSize)
	if err != nil {
		return nil, nil, err
	}
	return receiver, auth, nil
}

var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

func decodeKey(field, text string, size int) ([]byte, error) {
	if text == "" {
		return nil, &FieldError{field, idlepush.Reason{Code: "key_missing"}}
	}
	value, err := base64.RawURLEncoding.DecodeString(urlAlphabet.Replace(strings.TrimRight(text, "=")))
	if err != nil {
		return nil, &FieldError{field, idlepush.Reason{Code: "key_not_base64url"}}
	}
	if len(value) != size {
		return nil, &FieldError{field, idlepush.Reason{Code: "key_size"}.With("bytes", strconv.Itoa(size)).With("given", strconv.Itoa(len(value)))}
	}
	return value, nil
}

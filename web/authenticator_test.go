package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// authenticator is a phone or security key with one passkey, together with the browser that asks
// it. Its fields may be changed to misbehave.
type authenticator struct {
	t      testing.TB
	origin string // of the page
	site   string // RP ID that it signs for
	key    *ecdsa.PrivateKey
	id     []byte // of the passkey
	user   []byte // whose it is
	count  uint32 // of the last signature
	steady bool   // count does not grow by itself
	flags  byte
}

// Flags of authenticator data (Web Authentication Level 3 section 6.1).
const (
	userPresent = 1 << iota
	_
	userVerified
	backupEligible
	backedUp
	_
	hasCredential
)

func newAuthenticator(t testing.TB, origin string) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	_, host, _ := strings.Cut(origin, "://")
	host, _, _ = strings.Cut(host, ":")
	return &authenticator{t: t, origin: origin, site: host, key: key, id: []byte(rand.Text()), flags: userPresent | userVerified}
}

// options are those of the server that matter to an authenticator.
type options struct {
	Challenge        string
	RPID             string
	UserVerification string
	RP               struct{ ID string }
	User             struct{ ID, Name string }

	AuthenticatorSelection struct{ ResidentKey, UserVerification string }
	ExcludeCredentials     []struct{ ID string }
}

func optionsIn(t testing.TB, a answer) (o options) {
	t.Helper()
	text, err := json.Marshal(a.body["options"])
	fatal(t, err)
	fatal(t, json.Unmarshal(text, &o))
	return o
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// clientData returns the data of the browser, and the hash of which the authenticator signs.
func (a *authenticator) clientData(kind, challenge string) (text, hash []byte) {
	text, err := json.Marshal(object{"type": "webauthn." + kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	fatal(a.t, err)
	sum := sha256.Sum256(text)
	return text, sum[:]
}

func (a *authenticator) data(flags byte) []byte {
	if !a.steady {
		a.count++
	}
	sum := sha256.Sum256([]byte(a.site))
	return binary.BigEndian.AppendUint32(append(sum[:], flags), a.count)
}

// create makes the passkey and returns the RegistrationResponseJSON.
func (a *authenticator) create(o options) object {
	a.t.Helper()
	var err error
	a.user, err = base64.RawURLEncoding.DecodeString(o.User.ID)
	fatal(a.t, err)
	public, err := a.key.PublicKey.ECDH()
	fatal(a.t, err)
	point := public.Bytes() // 4, x, y
	key, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	fatal(a.t, err)
	data := append(a.data(a.flags|hasCredential), make([]byte, 16)...) // no AAGUID
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(a.id))), a.id...)
	attestation, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": append(data, key...)})
	fatal(a.t, err)
	client, _ := a.clientData("create", o.Challenge)
	return object{"id": encoded(a.id), "rawId": encoded(a.id), "type": "public-key", "clientExtensionResults": object{},
		"response": object{"clientDataJSON": encoded(client), "attestationObject": encoded(attestation), "transports": []string{"internal"}}}
}

// get uses the passkey and returns the AuthenticationResponseJSON.
func (a *authenticator) get(o options) object {
	a.t.Helper()
	client, hash := a.clientData("get", o.Challenge)
	data := a.data(a.flags)
	sum := sha256.Sum256(append(data[:len(data):len(data)], hash...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	fatal(a.t, err)
	return object{"id": encoded(a.id), "rawId": encoded(a.id), "type": "public-key", "clientExtensionResults": object{},
		"response": object{"clientDataJSON": encoded(client), "authenticatorData": encoded(data), "signature": encoded(signature), "userHandle": encoded(a.user)}}
}

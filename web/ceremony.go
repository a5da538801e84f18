package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// ceremonyLifetime is how long a challenge can be answered. At most maxCeremonies wait for their
// answer, and maxCeremoniesOf of them for one session or client address.
const (
	ceremonyLifetime = 5 * time.Minute
	maxCeremonies    = 10_000
	maxCeremoniesOf  = 20
)

// webAuthnJSON is an object whose form Web Authentication Level 3 describes, in section 5.1.8 and
// the two before it.
type webAuthnJSON json.RawMessage

// Schema implements huma.SchemaProvider.
func (webAuthnJSON) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// MarshalJSON implements json.Marshaler.
func (o webAuthnJSON) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (o *webAuthnJSON) UnmarshalJSON(text []byte) error {
	return (*json.RawMessage)(o).UnmarshalJSON(text)
}

// ceremony is a registration or authentication ceremony of Web Authentication, whose challenge an
// authenticator is to sign.
type ceremony struct {
	site   *webauthn.WebAuthn
	data   webauthn.SessionData
	holder string // who may end it
	from   string // who has begun it, for the bound
	begun  time.Time
}

// ceremonies holds those that wait for their answer. It forgets the oldest of too many, so that
// nobody is kept out by what others begin.
type ceremonies struct {
	mu   sync.Mutex
	list []*ceremony // oldest first
}

func (l *ceremonies) add(c *ceremony) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropOld(c.begun)
	same, first := 0, -1
	for i, other := range l.list {
		if other.from == c.from {
			if same++; first < 0 {
				first = i
			}
		}
	}
	if same >= maxCeremoniesOf {
		l.list = slices.Delete(l.list, first, first+1)
	}
	l.list = append(l.list[max(0, len(l.list)+1-maxCeremonies):], c)
}

// take removes and returns the holder's ceremony with that challenge, or nil.
func (l *ceremonies) take(challenge, holder string, now time.Time) *ceremony {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropOld(now)
	i := slices.IndexFunc(l.list, func(c *ceremony) bool { return c.data.Challenge == challenge && c.holder == holder })
	if i < 0 {
		return nil
	}
	c := l.list[i]
	l.list = slices.Delete(l.list, i, i+1)
	return c
}

func (l *ceremonies) dropOld(now time.Time) {
	l.list = slices.DeleteFunc(l.list, func(c *ceremony) bool {
		age := now.Sub(c.begun)
		return age < 0 || age >= ceremonyLifetime
	})
}

// siteOf returns the site for which the caller can make and use passkeys: that of the public URL,
// or of the request if that is not known. It returns a problem if browsers can have none there.
func siteOf(publicURL func() string, c caller) (*webauthn.WebAuthn, error) {
	origin := originFor(publicURL, c)
	at, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	host := at.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return nil, problem(http.StatusConflict, "no_passkeys_here").with(codes.Case, caseAddress)
	}
	if at.Scheme != "https" && !isLocal(host) {
		return nil, problem(http.StatusForbidden, "https_needed")
	}
	if c.origin != origin {
		return nil, problem(http.StatusConflict, "no_passkeys_here").with("url", origin)
	}
	required := true
	return webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "idlepush", RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &required, UserVerification: protocol.VerificationRequired},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Timeout: ceremonyLifetime},
			Registration: webauthn.TimeoutConfig{Timeout: ceremonyLifetime}},
	})
}

// passkeyUser is a user with passkeys, as the library wants it.
type passkeyUser struct {
	user     idlepush.User
	passkeys []registry.Passkey
}

// WebAuthnID implements webauthn.User.
func (u passkeyUser) WebAuthnID() []byte { return []byte(u.user.ID) }

// WebAuthnName implements webauthn.User.
func (u passkeyUser) WebAuthnName() string { return u.user.Name }

// WebAuthnDisplayName implements webauthn.User.
func (u passkeyUser) WebAuthnDisplayName() string { return u.user.Name }

// WebAuthnCredentials implements webauthn.User.
func (u passkeyUser) WebAuthnCredentials() (list []webauthn.Credential) {
	for _, k := range u.passkeys {
		list = append(list, webauthn.Credential{ID: k.Credential, PublicKey: k.PublicKey,
			Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.BackupEligible, BackupState: k.BackedUp},
			Authenticator: webauthn.Authenticator{AAGUID: k.AAGUID, SignCount: k.SignCount}})
	}
	return list
}

package web

import (
	"net/http"
	"time"
)

// provedFor is how long a session or token may do what wants a proof, once the person has given the
// password or used a passkey.
const provedFor = 10 * time.Minute

// requireProof returns a problem unless the caller's person has given the password, or used a
// passkey, for the session or token a short while ago: whoever finds a browser unlocked must not
// make a way in that lasts. The admin token has no person.
func requireProof(c caller) error {
	if age := time.Since(c.token.Proved); c.scope == admin || 0 <= age && age < provedFor {
		return nil
	}
	return problem(http.StatusForbidden, "proof_needed")
}

// proof shows that the person who asks is there.
type proof struct {
	Password string       `json:"password,omitempty" minLength:"1" maxLength:"1024" doc:"The password, or else passkey"`
	Passkey  webAuthnJSON `json:"passkey,omitempty" doc:"As at POST /login/passkey"`
}

package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"idlepush/registry"
)

// provedFor is how long a session or token may do what wants the password, once the person has
// given it.
const provedFor = 10 * time.Minute

// requireProof returns a problem unless the caller's person has given the password for the session
// or token a short while ago: whoever finds a browser unlocked must not make a way in that lasts.
// The admin token has no person.
func requireProof(c caller) error {
	if age := time.Since(c.token.Proved); c.scope == admin || 0 <= age && age < provedFor {
		return nil
	}
	return problem(http.StatusForbidden, "proof_needed")
}

// proof shows that the person who asks is there.
type proof struct {
	Password string `json:"password" minLength:"1" maxLength:"1024"`
}

func (h *sessionHandlers) prove(ctx context.Context, c caller, in *body[proof]) (*struct{}, error) {
	done, err := h.limits.allowPassword(ctx, c, c.user.Name)
	if err != nil {
		return nil, err
	}
	defer done()
	err = h.users.Prove(c.user.ID, c.token.ID, in.Body.Password, time.Now())
	if errors.Is(err, registry.ErrDenied) {
		return nil, unprocessable("password", "wrong_password")
	}
	return nil, err
}

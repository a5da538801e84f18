package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"idlepush/registry"
)

// provedFor is how long a session that began with the password may do what wants it.
const provedFor = 10 * time.Minute

// requirePassword returns a problem unless plain is the caller's password, or the caller's session
// began with it a short while ago: whoever finds a browser unlocked must not make a way in that
// lasts.
func requirePassword(ctx context.Context, users registry.Users, l *limits, c caller, plain string) error {
	if age := time.Since(c.token.Created); c.token.Proved && 0 <= age && age < provedFor {
		return nil
	}
	if plain == "" {
		return problem(http.StatusForbidden, "password_needed")
	}
	done, err := l.allowPassword(ctx, c, c.user.Name)
	if err != nil {
		return err
	}
	defer done()
	err = users.CheckPassword(c.user.ID, plain)
	if errors.Is(err, registry.ErrDenied) {
		return unprocessable("password", "wrong_password")
	}
	return err
}

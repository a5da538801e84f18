package oauth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/registry/registrytest"
	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

const (
	marker   = registrytest.SecretMarker
	redirect = "https://push.example.com/oauth"
	state    = "state-" + marker + "-0123456789"
	ann      = "ann@example.com"
	team     = "team@example.com"
)

// known lets a server know one client and one person with two mailboxes, and returns the client.
func known(s *oauthtest.Server) oauth.Client {
	s.Register("idlepush", marker+" client", redirect)
	s.AddPerson(oauthtest.Person{Name: "Ann", Password: marker + " password", Mailboxes: []string{ann, team}})
	return s.Client("idlepush")
}

// consented returns the tokens of a consent for a mailbox.
func consented(t *testing.T, s *oauthtest.Server, c oauth.Client, mailbox string) oauth.Token {
	t.Helper()
	verifier := oauth.NewVerifier()
	code, err := c.Code(s.Consent(t, c.CodeURL(redirect, state, verifier, mailbox), mailbox).Query())
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.Exchange(t.Context(), redirect, code, verifier)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// failed checks that err is an Error with this code, case and remedy, whose sentence is complete.
func failed(t *testing.T, err error, code codes.Code, variant string, remedy oauth.Remedy) *oauth.Error {
	t.Helper()
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || e.Code != code || e.Params[codes.Case] != variant || e.Remedy != remedy {
		t.Fatalf("the error is %#v (%v), want %s (%s), %s", err, err, code, variant, remedy)
	}
	if err := codes.Join(oauth.Codes).Check(e.Code, e.Params); err != nil {
		t.Error(err)
	}
	return e
}

func codeOf(text string) codes.Code { return codes.Code(text) }

func contextWithin(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func everywhere(netguard.Target) error { return nil }

package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
)

// Remedy is what helps after an Error.
type Remedy string

// Consent means that a person must sign in again, Admin that the admin of this server must change
// the client, and Retry that it is tried again later.
const (
	Consent Remedy = "consent"
	Admin   Remedy = "admin"
	Retry   Remedy = "retry"
)

// Error says why there is no token. It holds nothing of a token, a code or a secret.
type Error struct {
	idlepush.Reason
	Remedy Remedy
	After  time.Duration // of Retry: not before; 0: the provider has named no time
}

var sentences = codes.Join(Codes)

// Error returns the reason as a sentence.
func (e *Error) Error() string { return sentences.Sentence(e.Code, e.Params) }

// failure returns an Error with the title of the provider.
func (p Provider) failure(code codes.Code, remedy Remedy) *Error {
	return &Error{Reason: idlepush.Reason{Code: code, Params: map[string]string{"provider": p.Title}}, Remedy: remedy}
}

// to returns the Error in the words for that request. A person who is waiting must try again; all
// other requests are repeated.
func (e *Error) to(what asked) *Error {
	if e.Remedy == Retry && what != asksRefresh {
		e.Reason = e.With(codes.Case, personWaits)
	}
	return e
}

// refused returns the Error of an answer without a token.
func (p Provider) refused(a answer, what asked) *Error {
	v := judge(a, what)
	e := p.failure(v.code, v.remedy)
	if v.variant != "" {
		e.Reason = e.With(codes.Case, v.variant)
	}
	if said := a.said(); said != "" {
		e.Reason = e.With(codes.Said, said)
	}
	if e.Remedy == Retry {
		e.After = a.after
	}
	return e.to(what)
}

// unanswered returns the Error of a request without an answer, or the error of ctx if that ended
// it.
func (p Provider) unanswered(ctx context.Context, err error, what asked) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, forbidden := errors.AsType[*netguard.ForbiddenError](err); forbidden {
		return p.failure("provider_forbidden", Admin)
	}
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	network, _ := errors.AsType[net.Error](err)
	switch {
	case verification || unknown:
		return p.failure("provider_untrusted", Retry).to(what)
	case errors.Is(err, context.DeadlineExceeded) || network != nil && network.Timeout():
		return p.failure("provider_silent", Retry).to(what)
	case errors.Is(err, errFaulty):
		return p.failure("provider_faulty", Retry).to(what)
	}
	return p.failure("provider_unreachable", Retry).to(what)
}

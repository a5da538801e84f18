package web

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// newConsent is a request to sign in to a mailbox at its provider.
type newConsent struct {
	Email    string `json:"email,omitempty" maxLength:"254" doc:"The mail address"`
	Host     string `json:"host,omitempty" minLength:"1" maxLength:"253" doc:"Name or address of the mail server; required without account"`
	Port     int    `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"Absent: 993 for tls, else 143"`
	Security string `json:"security,omitempty" enum:"tls,starttls,none" doc:"Absent: tls; none is allowed only at the servers of allow-mail"`
	Username string `json:"username,omitempty" maxLength:"256" doc:"The mailbox, which may be another than the one of whom signs in, if it may be opened. Absent: the address in email"`

	Certificate string `json:"certificate,omitempty" maxLength:"95" doc:"As at POST /accounts"`

	OAuth   string `json:"oauth,omitempty" maxLength:"500" doc:"Where to sign in: the name of a provider such as microsoft, or the URL of an issuer; as POST /accounts/discover names it. Required without account"`
	Account string `json:"account,omitempty" doc:"Id of an account whose consent is to be renewed; all other fields but flow are left out then"`
	Flow    string `json:"flow,omitempty" enum:"code,device" doc:"code: the browser of the session is sent to the provider and comes back. device: the person enters a code there, in any browser. Absent: code, if this is a session at the public URL"`
}

func (b newConsent) mailbox() Mailbox {
	return Mailbox{Email: b.Email, Host: b.Host, Port: b.Port, Security: b.Security, Username: b.Username, Certificate: b.Certificate}
}

// consentView is a consent as its person sees it. It never has a token. The mailbox is the one that
// the sign-in must open.
type consentView struct {
	ID       string    `json:"id"`
	State    string    `json:"state" enum:"waiting,ready,failed" doc:"waiting for the person or the provider; ready to be used by POST /accounts or PATCH /accounts/{id}"`
	Expires  time.Time `json:"expires"`
	Provider string    `json:"provider" doc:"What people call the provider"`
	URL      string    `json:"url,omitempty" doc:"Where to send the browser of this session; only of the flow code"`
	UserCode string    `json:"user_code,omitempty" doc:"What the person enters at verification_url; only of the flow device"`

	VerificationURL string `json:"verification_url,omitempty" doc:"Where the person enters user_code"`

	OAuth   string `json:"oauth"`
	Account string `json:"account,omitempty" doc:"Id of the account whose consent is renewed"`
	Mailbox

	Check  *Check            `json:"check,omitempty" doc:"What the mail server offers, as at POST /accounts/check; only if it is ready"`
	Code   codes.Code        `json:"code,omitempty" doc:"Why it has failed, for programs"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason string            `json:"reason,omitempty" doc:"Why it has failed and what to do, for people"`

	ShownCertificate *certificate `json:"shown_certificate,omitempty" doc:"The certificate of the mail server, if it has failed because this machine does not trust that. Another consent is accepted with its fingerprint as certificate; absent: that would not help"`
}

// consentHandlers serves consents. Those that wait for a provider are in run's hands.
type consentHandlers struct {
	logins    registry.Logins
	accounts  *accountHandlers
	clients   *oauthClientHandlers
	publicURL func() string
	log       *slog.Logger
	waiting   consents
	work      chan work
	ended     chan struct{} // closed once run has ended
}

// work is what run does: it finishes a sign-in with what the browser has brought back, which is nil
// if the person enters a code.
type work struct {
	of     *consent
	answer url.Values
}

// run finishes the sign-ins that are begun, until ctx ends.
func (h *consentHandlers) run(ctx context.Context) {
	defer close(h.ended)
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case w := <-h.work:
			group.Go(func() { h.finish(ctx, w) })
		case <-ctx.Done():
			return
		}
	}
}

// finish gets the tokens of a consent, and tries them: they must open the mailbox of the consent.
func (h *consentHandlers) finish(ctx context.Context, w work) {
	c := w.of
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	until, err := h.waiting.begin(c, stop)
	if err != nil {
		return
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	var check Check
	tokens, err := c.signIn.Finish(ctx, w.answer)
	if err == nil {
		trying, cancel := context.WithTimeout(ctx, loginTimeout)
		defer cancel()
		check, err = h.clients.oauth.CheckToken(trying, c.mailbox, tokens.Access)
	}
	h.waiting.settle(c, tokens.Refresh, check, h.failureOf(err), time.Now())
}

// failureOf returns why a consent has failed, for its person; nil: it has not.
func (h *consentHandlers) failureOf(err error) *CheckError {
	e, known := errors.AsType[*CheckError](err)
	switch {
	case err == nil, known:
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &CheckError{Reason: idlepush.Reason{Code: "consent_gone"}}
	}
	h.log.Error("a sign-in has failed", "err", err)
	return &CheckError{Reason: idlepush.Reason{Code: "internal"}}
}

func (h *consentHandlers) create(ctx context.Context, c caller, in *body[newConsent]) (*body[consentView], error) {
	made := &consent{user: c.user.ID, by: c.token.ID}
	var err error
	if made.mailbox, err = h.mailbox(c, in.Body); err != nil {
		return nil, err
	}
	if err := h.requireClient(c, made.mailbox.OAuth); err != nil {
		return nil, err
	}
	redirect, err := h.redirectFor(c, in.Body.Flow, made.mailbox.OAuth)
	if err != nil {
		return nil, err
	}
	if redirect != "" {
		made.secret = rand.Text()
	}
	if err := h.accounts.limits.allowLogin(c); err != nil {
		return nil, err
	}
	made.signIn, err = h.clients.oauth.SignIn(ctx, made.mailbox, redirect, made.secret)
	if e, ok := errors.AsType[*CheckError](err); ok {
		return nil, unprocessableOf(h.accounts.codes, "oauth", e.Reason)
	}
	if err != nil {
		return nil, err
	}
	if err := stillAdmitted(h.logins, c); err != nil {
		return nil, err
	}
	h.waiting.add(made, time.Now())
	if redirect == "" {
		if err := h.hand(ctx, work{of: made}); err != nil {
			return nil, err
		}
	}
	return h.view(made.id, c)
}

// hand hands work to run.
func (h *consentHandlers) hand(ctx context.Context, w work) error {
	select {
	case h.work <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.ended:
		return context.Canceled
	}
}

// mailbox returns the mailbox of a request. It is that of an account, or one that is not there yet.
func (h *consentHandlers) mailbox(c caller, b newConsent) (idlepush.Account, error) {
	if b.Account != "" {
		if b.mailbox() != (Mailbox{}) || b.OAuth != "" {
			return idlepush.Account{}, fault("account", "field_forbidden").with(codes.Case, caseRenewal)
		}
		a, err := h.accounts.ownAccount(c, b.Account)
		a.Folders = []string{"INBOX"}
		if err == nil && a.OAuth == "" {
			err = fault("account", "field_forbidden").with(codes.Case, caseNoOAuth)
		}
		return a, err
	}
	a := b.mailbox().account()
	a.OAuth, a.Folders = b.OAuth, []string{"INBOX"}
	var f faults
	if a.Host == "" {
		f.add(fault("host", "field_required"))
	} else {
		f = mailboxFaults(a)
	}
	if a.OAuth == "" {
		f.add(fault("oauth", "field_required"))
	}
	return a, f.err()
}

// requireClient returns a problem unless this server has a client of the provider.
func (h *consentHandlers) requireClient(c caller, provider string) error {
	set, err := h.clients.isSet(provider)
	if err != nil || set {
		return err
	}
	p := problem(http.StatusConflict, "no_client")
	if c.user.Admin {
		p = p.with(codes.Case, caseAdmin)
	}
	return p.with("provider", h.clients.title(provider))
}

// redirectFor returns the URL to which the provider is to redirect the browser of the session, or
// "" if the person enters a code. It returns a problem if the flow is not possible.
func (h *consentHandlers) redirectFor(c caller, flow, provider string) (string, error) {
	at := h.publicURL()
	switch {
	case flow == "device", flow == "" && (c.session() == "" || at == "" || c.origin != at):
		return "", nil
	case c.session() == "":
		return "", fault("flow", "field_forbidden").with(codes.Case, caseNoSession)
	case at == "":
		return "", problem(http.StatusConflict, "no_redirect_here").with("provider", h.clients.title(provider)).with(codes.Case, caseNoURL)
	case c.origin != at:
		return "", problem(http.StatusConflict, "no_redirect_here").with("provider", h.clients.title(provider)).with("url", at)
	}
	return at + redirectPath, nil
}

// view returns the person's consent with that id.
func (h *consentHandlers) view(id string, c caller) (*body[consentView], error) {
	is, err := h.waiting.get(id, c.user.ID, time.Now())
	if err != nil {
		return nil, notFound()
	}
	a := is.mailbox
	v := consentView{ID: is.id, State: string(is.state), Expires: is.expires.UTC(), Provider: h.clients.title(a.OAuth),
		OAuth: a.OAuth, Account: a.ID, Mailbox: mailboxOf(a)}
	switch {
	case is.state == consentReady:
		check := is.check
		check.Capabilities, check.Folders = append([]string{}, check.Capabilities...), append([]Folder{}, check.Folders...)
		v.Check = &check
	case is.state == consentFailed:
		why := is.wrong.Reason
		v.Code, v.Params, v.Reason = why.Code, why.Params, h.accounts.codes.Sentence(why.Code, why.Params)
		v.ShownCertificate = certificateOf(is.wrong.Certificate)
	case is.signIn.UserCode != "":
		v.UserCode, v.VerificationURL = is.signIn.UserCode, is.signIn.URL
	case !is.answered && is.by == c.token.ID:
		v.URL = is.signIn.URL
	}
	return &body[consentView]{v}, nil
}

func (h *consentHandlers) get(_ context.Context, c caller, in *byID) (*body[consentView], error) {
	return h.view(in.ID, c)
}

func (h *consentHandlers) remove(_ context.Context, c caller, in *byID) (*struct{}, error) {
	if h.waiting.remove(in.ID, c.user.ID, time.Now()) != nil {
		return nil, notFound()
	}
	return nil, nil
}

// use removes the caller's consent with that id, and returns the account with its refresh token. It
// returns a FieldError if it is for another mailbox, or cannot be used. giveBack keeps the consent,
// for another try.
func (h *consentHandlers) use(c caller, id string, a idlepush.Account) (with idlepush.Account, giveBack func(), err error) {
	is, err := h.waiting.get(id, c.user.ID, time.Now())
	if err != nil || is.state != consentReady {
		return a, nil, fault("consent", "field_no_consent")
	}
	if !sameServer(a, is.mailbox) {
		return a, nil, fault("consent", "field_no_consent").with(codes.Case, caseMailbox)
	}
	if err := missingFolders(a.Folders, is.check).err(); err != nil {
		return a, nil, err
	}
	if is, err = h.waiting.take(id, c.user.ID, time.Now()); err != nil {
		return a, nil, fault("consent", "field_no_consent")
	}
	a.OAuth, a.Password = is.mailbox.OAuth, is.refresh
	return a, func() { h.waiting.giveBack(is) }, nil
}

// title returns what people call a provider.
func (h *oauthClientHandlers) title(provider string) string {
	i := slices.IndexFunc(h.oauth.Providers, func(p OAuthProvider) bool { return p.Name == provider })
	if i >= 0 {
		return h.oauth.Providers[i].Title
	}
	if u, err := url.Parse(provider); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return provider
}

// isSet reports whether this server has a client of a provider, which is the name of one in the
// table, or an issuer.
func (h *oauthClientHandlers) isSet(provider string) (bool, error) {
	stored, err := h.accounts.Clients()
	if err != nil {
		return false, err
	}
	for _, p := range h.oauth.Providers {
		if c := h.shown(p, stored); c.ClientID != "" && (c.Issuer == provider || c.Issuer == "" && c.Provider == provider) {
			return true, nil
		}
	}
	return false, nil
}

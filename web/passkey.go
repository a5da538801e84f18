package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// askedName is the name of the cookie by which a browser that has asked for a challenge is known.
const askedName = hostPrefix + "idlepush-passkey"

// passkey is a passkey of the user.
type passkey struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Site     string    `json:"site" doc:"The host for which it was made; elsewhere browsers do not offer it"`
	BackedUp bool      `json:"backed_up" doc:"Whether the person's provider of passkeys has copied it, such as to other devices"`
	Created  time.Time `json:"created"`
	Used     time.Time `json:"used,omitzero" doc:"Time of its last use; absent: not used yet"`
}

func passkeyOf(k registry.Passkey) passkey {
	return passkey{k.ID, k.Name, k.Site, k.BackedUp, k.Created.UTC(), utc(k.Used)}
}

// newPasskey is a passkey that a browser has just made.
type newPasskey struct {
	Name    string       `json:"name" minLength:"1" maxLength:"100" doc:"What the person calls it"`
	Passkey webAuthnJSON `json:"passkey" doc:"The RegistrationResponseJSON of Web Authentication: toJSON() of what the browser has made by the options of POST /passkeys/options"`
}

// passkeyPatch changes a passkey.
type passkeyPatch struct {
	Name string `json:"name" minLength:"1" maxLength:"100"`
}

// passkeyOptions is what a browser needs to make or use a passkey.
type passkeyOptions struct {
	Options webAuthnJSON `json:"options" doc:"The public key options of Web Authentication in their JSON form. Their challenge can be answered once, within 5 minutes"`
}

// askedPasskey is passkeyOptions with the cookie by which the browser is known that may answer.
type askedPasskey struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      passkeyOptions
}

// passkeyLogin is the use of a passkey to log in.
type passkeyLogin struct {
	Passkey webAuthnJSON `json:"passkey" doc:"The AuthenticationResponseJSON of Web Authentication: toJSON() of what the browser has got by the options of POST /passkeys/challenge"`
	Stay    bool         `json:"stay,omitempty" doc:"As at POST /login"`
}

// passkeyHandlers serves passkeys, and whatever takes one as a proof.
type passkeyHandlers struct {
	logins    registry.Logins
	limits    *limits
	sessions  *sessionHandlers
	publicURL func() string
	waiting   ceremonies
}

// optionsOf returns options of the library for a browser.
func optionsOf(options any) (passkeyOptions, error) {
	text, err := json.Marshal(options)
	return passkeyOptions{webAuthnJSON(text)}, err
}

// browserHolder is who may use a passkey: the browser that has asked for the challenge.
// sessionHolder is who may add one: the session or token that has given a proof.
func browserHolder(secret string) string { return "browser " + string(digest(secret)) }
func sessionHolder(c caller) string      { return "token " + c.token.ID }

func (h *passkeyHandlers) challenge(_ context.Context, c caller, _ *struct{}) (*askedPasskey, error) {
	site, err := siteOf(h.publicURL, c)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := h.limits.challenges.take(c.address, now); err != nil {
		return nil, err
	}
	assertion, data, err := site.BeginDiscoverableLogin()
	if err != nil {
		return nil, err
	}
	secret := c.asked
	if len(secret) != len(rand.Text()) {
		secret = rand.Text()
	}
	h.waiting.add(&ceremony{site, *data, browserHolder(secret), "address " + c.address, now})
	out, err := optionsOf(assertion.Response)
	return &askedPasskey{[]http.Cookie{c.cookie(askedName, secret, ceremonyLifetime)}, out}, err
}

// verify checks the use of a passkey, and returns its user. The store checks that the user still
// has it, and that it is no copy.
func (h *passkeyHandlers) verify(c caller, text webAuthnJSON, field string) (user string, use registry.Passkey, err error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(text)
	if err != nil {
		return "", use, fault(field, "field_unreadable")
	}
	begun := h.waiting.take(parsed.Response.CollectedClientData.Challenge, browserHolder(c.asked), time.Now())
	if c.asked == "" || begun == nil {
		return "", use, problem(http.StatusConflict, "passkey_too_late")
	}
	var broken error
	find := func(_, handle []byte) (webauthn.User, error) {
		own := passkeyUser{user: idlepush.User{ID: string(handle)}}
		var err error
		if own.passkeys, _, err = h.logins.Passkeys(own.user.ID); err != nil && !errors.Is(err, registry.ErrNotFound) {
			broken = err
		}
		return own, err
	}
	if _, _, err := begun.site.ValidatePasskeyLogin(find, begun.data, parsed); err != nil {
		if broken != nil {
			return "", use, broken
		}
		return "", use, registry.ErrDenied
	}
	seen := parsed.Response.AuthenticatorData
	return string(parsed.Response.UserHandle), registry.Passkey{Credential: parsed.RawID, SignCount: seen.Counter, BackedUp: seen.Flags.HasBackupState()}, nil
}

func (h *passkeyHandlers) logIn(_ context.Context, c caller, in *body[passkeyLogin]) (*loggedIn, error) {
	b := in.Body
	user, use, err := h.verify(c, b.Passkey, "passkey")
	if err == nil {
		u, session, loginErr := h.logins.LoginByPasskey(user, use, c.visit(b.Stay), time.Now())
		if loginErr == nil {
			return h.sessions.startSession(c, u, session, b.Stay)
		}
		err = loginErr
	}
	if errors.Is(err, registry.ErrDenied) {
		return nil, problem(http.StatusUnauthorized, "wrong_passkey")
	}
	return nil, err
}

// proof returns the proof of a request: the password, whose limit it counts, or the use of a
// passkey of the caller. field is the field of the request with the passkey. The caller calls
// done when the store has checked it.
func (h *passkeyHandlers) proof(ctx context.Context, c caller, password string, passkey webAuthnJSON, field string) (p registry.Proof, done func(), err error) {
	if passkey == nil {
		done, err := h.limits.allowPassword(ctx, c, c.user.Name)
		return registry.Proof{Password: password, By: c.token.ID}, done, err
	}
	user, use, err := h.verify(c, passkey, field)
	if err == nil && user != c.user.ID {
		err = registry.ErrDenied
	}
	return registry.Proof{Passkey: &use, By: c.token.ID}, func() {}, err
}

// wrongProof returns the problem if a proof is refused. prefix is that of the fields of the
// request.
func (h *passkeyHandlers) wrongProof(c caller, err error, passkey webAuthnJSON, prefix string) error {
	if !errors.Is(err, registry.ErrDenied) {
		return err
	}
	if passkey != nil {
		return unprocessable(prefix+"passkey", "wrong_passkey")
	}
	if _, only, err := h.logins.Passkeys(c.user.ID); err != nil {
		return err
	} else if only {
		return unprocessableOf(sentences, prefix+"password", idlepush.Reason{Code: "wrong_password"}.With(codes.Case, caseOnlyPasskeys))
	}
	return unprocessable(prefix+"password", "wrong_password")
}

// prove notes a proof for the session or token.
func (h *passkeyHandlers) prove(ctx context.Context, c caller, b proof) error {
	if (b.Password == "") == (b.Passkey == nil) {
		return fault("password", "field_required").with(codes.Case, caseProof)
	}
	p, done, err := h.proof(ctx, c, b.Password, b.Passkey, "passkey")
	if err == nil {
		defer done()
		err = h.logins.Prove(c.user.ID, c.token.ID, p, time.Now())
	}
	return h.wrongProof(c, err, b.Passkey, "")
}

func (h *passkeyHandlers) giveProof(ctx context.Context, c caller, in *body[proof]) (*struct{}, error) {
	return nil, h.prove(ctx, c, in.Body)
}

// options asks for a proof each time, however fresh the last one is: a passkey outlives the
// password by which it was made, and so nobody may make one at a browser that was left open.
func (h *passkeyHandlers) options(ctx context.Context, c caller, in *body[proof]) (*body[passkeyOptions], error) {
	site, err := siteOf(h.publicURL, c)
	if err != nil {
		return nil, err
	}
	if err := h.prove(ctx, c, in.Body); err != nil {
		return nil, err
	}
	own := passkeyUser{user: c.user}
	if own.passkeys, _, err = h.logins.Passkeys(c.user.ID); err != nil {
		return nil, err
	}
	creation, data, err := site.BeginRegistration(own, webauthn.WithExclusions(webauthn.Credentials(own.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, err
	}
	h.waiting.add(&ceremony{site, *data, sessionHolder(c), sessionHolder(c), time.Now()})
	out, err := optionsOf(creation.Response)
	return &body[passkeyOptions]{out}, err
}

func (h *passkeyHandlers) create(_ context.Context, c caller, in *body[newPasskey]) (*body[passkey], error) {
	name := labelOf(in.Body.Name)
	if name == "" {
		return nil, badLabel()
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(in.Body.Passkey)
	if err != nil {
		return nil, fault("passkey", "field_unreadable")
	}
	begun := h.waiting.take(parsed.Response.CollectedClientData.Challenge, sessionHolder(c), time.Now())
	if begun == nil {
		return nil, problem(http.StatusConflict, "passkey_too_late")
	}
	made, err := begun.site.CreateCredential(passkeyUser{user: c.user}, begun.data, parsed)
	if err != nil {
		return nil, unprocessable("passkey", "passkey_not_made")
	}
	k, err := h.logins.AddPasskey(c.user.ID, registry.Passkey{Name: name, Site: begun.data.RelyingPartyID, Credential: made.ID, PublicKey: made.PublicKey,
		AAGUID: made.Authenticator.AAGUID, SignCount: made.Authenticator.SignCount, BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState}, c.token.ID, time.Now())
	if errors.Is(err, registry.ErrTaken) {
		return nil, unprocessableOf(sentences, "passkey", idlepush.Reason{Code: "taken"}.With(codes.Case, casePasskey))
	}
	if err != nil {
		return nil, notAdded(err, "too_many_passkeys")
	}
	return &body[passkey]{passkeyOf(k)}, nil
}

func (h *passkeyHandlers) list(_ context.Context, c caller, in *pageOf) (*body[List[passkey]], error) {
	list, _, err := h.logins.Passkeys(c.user.ID)
	if err != nil {
		return nil, err
	}
	return listOf(list, func(k registry.Passkey) place { return placeOf(k.Created, k.ID) }, *in, func(k registry.Passkey) (passkey, error) { return passkeyOf(k), nil })
}

func (h *passkeyHandlers) rename(_ context.Context, c caller, in *edit[passkeyPatch]) (*struct{}, error) {
	name := labelOf(in.Body.Name)
	if name == "" {
		return nil, badLabel()
	}
	return nil, h.logins.RenamePasskey(c.user.ID, in.ID, name)
}

func (h *passkeyHandlers) remove(_ context.Context, c caller, in *byID) (*struct{}, error) {
	if err := requireProof(c); err != nil {
		return nil, err
	}
	here := ""
	if site, err := siteOf(h.publicURL, c); err == nil {
		here = site.Config.RPID
	}
	err := h.logins.RemovePasskey(c.user.ID, in.ID, here, c.token.ID)
	if errors.Is(err, registry.ErrLast) {
		return nil, problem(http.StatusConflict, "last_way_in")
	}
	return nil, err
}

// setOnly switches the log-in by password off, or on again.
func (h *passkeyHandlers) setOnly(c caller, only bool, p registry.Proof) error {
	if only {
		site, err := siteOf(h.publicURL, c)
		if err != nil {
			return err
		}
		list, _, err := h.logins.Passkeys(c.user.ID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list, func(k registry.Passkey) bool { return k.Site == site.Config.RPID }) {
			return problem(http.StatusConflict, "no_passkey")
		}
	}
	err := h.logins.SetOnlyPasskeys(c.user.ID, only, p, time.Now())
	if errors.Is(err, registry.ErrLast) {
		return problem(http.StatusConflict, "no_passkey")
	}
	return err
}

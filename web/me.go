package web

import (
	"cmp"
	"context"
	"strings"
	"time"
	"unicode"

	"idlepush"
	"idlepush/cleantext"
	"idlepush/codes"
	"idlepush/registry"
)

// User is a person of the household or team.
type User struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"Name to log in with"`
	Admin   bool      `json:"admin" doc:"Whether the person manages people"`
	Created time.Time `json:"created"`
}

func userOf(u idlepush.User) User {
	return User{ID: u.ID, Name: u.Name, Admin: u.Admin, Created: u.Created.UTC()}
}

// Me is the user who asks.
type Me struct {
	User
	Passkeys     int  `json:"passkeys" doc:"How many passkeys the person has"`
	OnlyPasskeys bool `json:"only_passkeys" doc:"Whether the log-in by password is switched off"`

	Notice        *Notice `json:"notice,omitempty" doc:"What could be told to no device, because there is none; the oldest of several; absent: nothing. It stays until it is dismissed; device_gone also until a device is registered"`
	PasswordGiven bool    `json:"password_given,omitempty" doc:"Whether an admin chose the password. The person should choose another"`
}

// Notice is what the page tells its user.
type Notice struct {
	Since  time.Time         `json:"since"`
	Code   codes.Code        `json:"code" doc:"What happened, for programs"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason string            `json:"reason" doc:"What happened and what to do, for people"`
}

func (h *userHandlers) getMe(_ context.Context, c caller, _ *struct{}) (*body[Me], error) {
	n, err := h.users.Notice(c.user.ID)
	if err != nil {
		return nil, err
	}
	passkeys, only, err := h.logins.Passkeys(c.user.ID)
	if err != nil {
		return nil, err
	}
	me := Me{User: userOf(c.user), Passkeys: len(passkeys), OnlyPasskeys: only, PasswordGiven: c.user.PasswordGiven}
	if !n.Since.IsZero() {
		me.Notice = &Notice{n.Since.UTC(), n.Code, n.Params, h.codes.Sentence(n.Code, n.Params)}
	}
	return &body[Me]{me}, nil
}

// seenNotice is the input that dismisses a notice.
type seenNotice struct {
	Since time.Time `query:"since" required:"true" doc:"That of the notice. If it is not the first one any more, nothing changes"`
}

func (h *userHandlers) dismissNotice(_ context.Context, c caller, in *seenNotice) (*struct{}, error) {
	return nil, h.users.Dismiss(c.user.ID, in.Since)
}

// mePatch changes the fields that are present.
type mePatch struct {
	Name            string `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Password        string `json:"password,omitempty" minLength:"10" maxLength:"1024" doc:"New password; ends all sessions, tokens of full scope and invites, and tokens of device scope that have no device"`
	CurrentPassword string `json:"current_password,omitempty" maxLength:"1024" doc:"Required to set a new password or to change only_passkeys, or else current_passkey"`
	Devices         string `json:"devices,omitempty" enum:"keep,end" default:"keep" doc:"With a new password: end also removes all devices, and the tokens of device scope with them"`
	Passkeys        string `json:"passkeys,omitempty" enum:"keep,end" default:"keep" doc:"With a new password: end also removes all passkeys"`

	CurrentPasskey webAuthnJSON `json:"current_passkey,omitempty" doc:"As passkey at POST /login/passkey"`
	OnlyPasskeys   *bool        `json:"only_passkeys,omitempty" doc:"Whether the log-in by password is switched off; it needs a passkey for this address. A new password switches it on again"`
}

func (h *userHandlers) patchMe(ctx context.Context, c caller, in *body[mePatch]) (*body[User], error) {
	b := in.Body
	if err := checkName(&b.Name); err != nil {
		return nil, err
	}
	if b.Password != "" {
		if err := checkPassword("password", cmp.Or(b.Name, c.user.Name), b.Password); err != nil {
			return nil, err
		}
	}
	if b.Password != "" && b.OnlyPasskeys != nil {
		return nil, fault("only_passkeys", "field_forbidden").with(codes.Case, caseNewPassword)
	}
	p := registry.Proof{By: c.token.ID}
	var err error
	if b.Password != "" || b.OnlyPasskeys != nil {
		var done func()
		if p, done, err = h.passkeys.proof(ctx, c, b.CurrentPassword, b.CurrentPasskey, "current_passkey"); err == nil {
			defer done()
		}
	}
	if err == nil && b.OnlyPasskeys != nil {
		err = h.passkeys.setOnly(c, *b.OnlyPasskeys, p)
	}
	var u idlepush.User
	if err == nil {
		u, err = h.users.UpdateOwn(c.user.ID, p, registry.UserPatch{Name: b.Name, Password: b.Password, Devices: b.Devices == "end", Passkeys: b.Passkeys == "end"}, time.Now())
	}
	if err != nil {
		return nil, h.passkeys.wrongProof(c, err, b.CurrentPasskey, "current_")
	}
	return &body[User]{userOf(u)}, nil
}

// checkName replaces the name of a user by the one to store; see cleantext.Name. It returns a
// FieldError if that would be empty, unless the name already was.
func checkName(name *string) error {
	if *name == "" {
		return nil
	}
	clean, ok := cleantext.Name(*name)
	if !ok {
		return fault("name", "field_bad_name")
	}
	*name = clean
	return nil
}

// labelOf returns the label to store for the name of a device or token; see cleantext.Label. It is
// empty for an empty name, and for one with control characters, which nobody types.
func labelOf(name string) string {
	if label, ok := cleantext.Label(name); ok && !strings.ContainsFunc(name, unicode.IsControl) {
		return label
	}
	return ""
}

// badLabel returns the fault of a name for which labelOf returns nothing.
func badLabel() FieldError { return fault("name", "field_bad_name").with(codes.Case, caseLabel) }

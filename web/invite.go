package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// Invite can be accepted once, by anyone who has its code.
type Invite struct {
	ID      string    `json:"id"`
	For     string    `json:"for" enum:"person,device,password" doc:"person: to become a user; device: to log in another browser of the user who created it; password: for a user to choose a new password"`
	User    string    `json:"user,omitempty" doc:"password: id of the user who can choose a new one"`
	Admin   bool      `json:"admin" doc:"Whether the person will be an admin"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires" doc:"Until when it can be accepted"`
}

// madeInvite is a new invite with its code.
type madeInvite struct {
	Invite
	Code  string   `json:"code" doc:"Code to accept the invite; shown only once"`
	URL   string   `json:"url" doc:"Link to the page that accepts the invite"`
	Reach string   `json:"reach" enum:"https,this_machine,no_https" doc:"Where url works. https: wherever its address can be reached; this_machine: only on the machine that sent the request, because it is localhost; no_https: nowhere, because invites cannot be accepted over plain HTTP. If it is not https, set public-url, or create the invite at the https address of this server"`
	QR    []string `json:"qr" doc:"url as a QR code: rows of 0 (light) and 1 (dark), without the quiet zone of four modules"`
}

// newInvite is a request for an invite.
type newInvite struct {
	For   string `json:"for" enum:"person,device,password"`
	Admin bool   `json:"admin,omitempty" doc:"person: whether the person will be an admin"`
	User  string `json:"user,omitempty" doc:"password: id of the user who is to choose a new one. That user's devices are told"`
}

// Invited is the part of an invite that the holder of its code may see.
type Invited struct {
	For     string    `json:"for" enum:"person,device,password"`
	By      string    `json:"by,omitempty" doc:"The name of the user who invites; absent: the link for a new password was made with the admin token or on the server"`
	Name    string    `json:"name,omitempty" doc:"password: the name of the user who can choose a new one"`
	Expires time.Time `json:"expires"`
}

// InviteCode is the code of an invite.
type InviteCode struct {
	Code string `json:"code" minLength:"1" maxLength:"100"`
}

// acceptance accepts an invite.
type acceptance struct {
	InviteCode
	Name     string `json:"name,omitempty" minLength:"1" maxLength:"64" doc:"Required for a new person: name to log in with"`
	Password string `json:"password,omitempty" minLength:"10" maxLength:"1024" doc:"Required for a new person, or for a new password; ends what that of PATCH /me ends"`
	Devices  string `json:"devices,omitempty" enum:"keep,end" default:"keep" doc:"For a new password: as in PATCH /me"`
}

func inviteOf(i registry.Invite) Invite {
	return Invite{i.ID, string(i.For), i.Person, i.Admin, i.Created.UTC(), i.Expires.UTC()}
}

// inviteHandlers serves invites.
type inviteHandlers struct {
	users     registry.Users
	logins    registry.Logins
	limits    *limits
	sessions  *sessionHandlers
	publicURL func() string
}

func (h *inviteHandlers) createInvite(_ context.Context, c caller, in *body[newInvite]) (*body[madeInvite], error) {
	if err := h.mayInvite(c, in.Body); err != nil {
		return nil, err
	}
	origin := originFor(h.publicURL, c)
	i, code, err := h.addInvite(c, in.Body)
	if err != nil {
		return nil, notAdded(err, "too_many_invites")
	}
	view := "/#/join/"
	if i.For == registry.InviteForPassword {
		view = "/#/password/"
	}
	made := madeInvite{Invite: inviteOf(i), Code: code, URL: origin + view + code, Reach: reach(origin)}
	made.QR, err = qrRows(made.URL)
	return &body[madeInvite]{made}, err
}

// mayInvite returns a problem unless the caller may make the invite. The admin token is nobody who
// invites.
func (h *inviteHandlers) mayInvite(c caller, b newInvite) error {
	f := registry.InviteFor(b.For)
	if c.scope == admin && f != registry.InviteForPassword {
		return fault("for", "field_forbidden").with(codes.Case, caseAdminInvite)
	}
	if f != registry.InviteForDevice {
		if err := requireAdmin(c); err != nil {
			return err
		}
	}
	switch {
	case f != registry.InviteForPerson && b.Admin:
		return fault("admin", "field_forbidden").with(codes.Case, caseDevice)
	case f != registry.InviteForPassword && b.User != "":
		return fault("user", "field_forbidden").with(codes.Case, casePassword)
	case f == registry.InviteForPassword && b.User == "":
		return fault("user", "field_required").with(codes.Case, casePassword)
	}
	return requireProof(c)
}

func (h *inviteHandlers) addInvite(c caller, b newInvite) (registry.Invite, string, error) {
	if b.User == "" {
		return h.users.AddInvite(c.user.ID, registry.InviteFor(b.For), b.Admin, c.token.ID, time.Now())
	}
	if err := checkUser(h.users, "user", b.User); err != nil {
		return registry.Invite{}, "", err
	}
	return h.logins.AddPasswordLink(b.User, c.user.ID, c.token.ID, time.Now())
}

// originFor returns the origin at which others reach this server: public-url, or if that is not
// known, the origin of the request.
func originFor(publicURL func() string, c caller) string {
	if origin := publicURL(); origin != "" {
		return origin
	}
	return c.origin
}

// reach returns madeInvite.Reach for a link to the origin.
func reach(origin string) string {
	scheme, host, _ := strings.Cut(origin, "://")
	switch {
	case isLocal(host):
		return "this_machine"
	case scheme != "https":
		return "no_https"
	}
	return "https"
}

// qrRows returns the text as a QR code, row by row.
func qrRows(text string) ([]string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return nil, err
	}
	size := code.Bounds().Dx()
	rows := make([]string, size)
	for y := range rows {
		row := make([]byte, size)
		for x := range row {
			row[x] = '0'
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				row[x] = '1'
			}
		}
		rows[y] = string(row)
	}
	return rows, nil
}

// inviteVisible reports whether the caller may see and delete the invite.
func inviteVisible(c caller, i registry.Invite) bool {
	return i.User == c.user.ID || i.Person == c.user.ID || i.For != registry.InviteForDevice && c.user.Admin
}

func (h *inviteHandlers) listInvites(_ context.Context, c caller, in *pageOf) (*body[List[Invite]], error) {
	invites, err := h.users.Invites(time.Now())
	if err != nil {
		return nil, err
	}
	invites = slices.DeleteFunc(invites, func(i registry.Invite) bool { return !inviteVisible(c, i) })
	return listOf(invites, func(i registry.Invite) place { return placeOf(i.Created, i.ID) }, *in, func(i registry.Invite) (Invite, error) { return inviteOf(i), nil })
}

func (h *inviteHandlers) deleteInvite(_ context.Context, c caller, in *byID) (*struct{}, error) {
	invites, err := h.users.Invites(time.Now())
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(invites, func(i registry.Invite) bool { return i.ID == in.ID && inviteVisible(c, i) }) {
		return nil, registry.ErrNotFound
	}
	return nil, h.users.RemoveInvite(in.ID)
}

// inviteGone returns the same problem for every invite that cannot be accepted, whatever the
// reason.
func inviteGone(err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return problem(http.StatusNotFound, "invite_gone")
	}
	return err
}

func (h *inviteHandlers) lookAtInvite(_ context.Context, c caller, in *body[InviteCode]) (*body[Invited], error) {
	if err := h.limits.allowSecret(c); err != nil {
		return nil, err
	}
	i, by, err := h.users.Invite(in.Body.Code, time.Now())
	if err != nil {
		return nil, inviteGone(err)
	}
	invited := Invited{For: string(i.For), By: by.Name, Expires: i.Expires.UTC()}
	if i.For == registry.InviteForPassword {
		u, err := h.users.Get(i.Person)
		if err != nil {
			return nil, inviteGone(err)
		}
		invited.Name = u.Name
	}
	return &body[Invited]{invited}, nil
}

func (h *inviteHandlers) acceptInvite(ctx context.Context, c caller, in *body[acceptance]) (*loggedIn, error) {
	if err := h.limits.allowSecret(c); err != nil {
		return nil, err
	}
	b := in.Body
	i, _, err := h.users.Invite(b.Code, time.Now())
	if err != nil {
		return nil, inviteGone(err)
	}
	if err := checkAcceptance(i.For, &b); err != nil {
		return nil, err
	}
	if err := h.checkNewPassword(i, b); err != nil {
		return nil, err
	}
	var u idlepush.User
	var session string
	err = onceTold(ctx, func() error {
		if i.For != registry.InviteForDevice {
			done, err := h.limits.hashing(ctx, true)
			if err != nil {
				return err
			}
			defer done()
		}
		if i.For == registry.InviteForPassword {
			u, session, err = h.logins.SetPassword(b.Code, b.Password, b.Devices == "end", c.visit(true), time.Now())
		} else {
			u, session, err = h.users.Accept(b.Code, b.Name, b.Password, c.visit(true), time.Now())
		}
		return err
	})
	if err != nil {
		return nil, inviteGone(err)
	}
	return h.sessions.startSession(c, u, session, true)
}

// checkNewPassword returns a FieldError if the password that an invite sets is guessed first.
func (h *inviteHandlers) checkNewPassword(i registry.Invite, b acceptance) error {
	name := b.Name
	switch i.For {
	case registry.InviteForDevice:
		return nil
	case registry.InviteForPassword:
		u, err := h.users.Get(i.Person)
		if err != nil {
			return inviteGone(err)
		}
		name = u.Name
	}
	return checkPassword("password", name, b.Password)
}

// checkAcceptance returns a problem if the acceptance lacks what the invite wants.
func checkAcceptance(of registry.InviteFor, b *acceptance) error {
	var f faults
	if of == registry.InviteForPerson && b.Name == "" {
		f.add(fault("name", "field_required"))
	}
	if of != registry.InviteForDevice && b.Password == "" {
		f.add(fault("password", "field_required"))
	}
	if err := f.err(); err != nil || of != registry.InviteForPerson {
		return err
	}
	return checkName(&b.Name)
}

package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// Person is a user as admins see it: states and counts, no content.
type Person struct {
	User
	Mailboxes Mailboxes `json:"mailboxes"`
	Devices   Devices   `json:"devices"`
	Damaged   bool      `json:"damaged,omitempty" doc:"Whether the row of the person in the store is damaged: nobody can log in as that person, who can only be removed. The name and the role are not known"`
}

// Mailboxes counts the mailboxes of a user.
type Mailboxes struct {
	Total      int      `json:"total" doc:"Mailboxes that the user owns"`
	Attention  int      `json:"attention" doc:"Mailboxes that need a person to act: a password is refused, or they are not watched for an hour"`
	Shared     int      `json:"shared" doc:"Mailboxes that the user shares with others"`
	SharedWith []string `json:"shared_with" doc:"Ids of the users with whom the user shares one"`
}

// Devices counts the devices of a user.
type Devices struct {
	Total   int `json:"total"`
	Suspect int `json:"suspect" doc:"Devices whose push service complains, or that could not be reached for days"`
}

// personName is what users see of other users, to share a mailbox with them.
type personName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// newPerson is a request to create a user.
type newPerson struct {
	Name     string `json:"name" minLength:"1" maxLength:"64" doc:"Name to log in with"`
	Password string `json:"password" minLength:"10" maxLength:"1024" doc:"For the first log-in. Until the person chooses another, a log-in tells the person's devices, and lets do nothing but that"`
	Admin    bool   `json:"admin,omitempty" doc:"Whether the person manages people"`
}

// personPatch changes the fields that are present.
type personPatch struct {
	Name  string `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Admin *bool  `json:"admin,omitempty"`
}

// requireAdmin returns a problem unless the caller manages people.
func requireAdmin(c caller) error {
	if c.scope == admin || c.user.Admin {
		return nil
	}
	return problem(http.StatusForbidden, "not_admin")
}

// userHandlers serves users: to admins all, to others themselves and the names of the rest.
type userHandlers struct {
	users    registry.Users
	logins   registry.Logins
	accounts registry.Accounts
	devices  registry.Devices
	limits   *limits
	passkeys *passkeyHandlers
	codes    codes.Table
}

// personView returns a function that shows a user to an admin.
func (h *userHandlers) personView() (func(idlepush.User) (Person, error), error) {
	accounts, err := h.accounts.List()
	if err != nil {
		return nil, err
	}
	devices, err := h.devices.List("")
	return func(u idlepush.User) (Person, error) {
		p := Person{User: userOf(u), Mailboxes: Mailboxes{SharedWith: []string{}}}
		for _, a := range accounts {
			if a.Owner == u.ID {
				p.Mailboxes.Total++
				if waitsForPerson(a, time.Now()) {
					p.Mailboxes.Attention++
				}
				if len(a.SharedWith) > 0 {
					p.Mailboxes.Shared++
					p.Mailboxes.SharedWith = append(p.Mailboxes.SharedWith, a.SharedWith...)
				}
			}
		}
		slices.Sort(p.Mailboxes.SharedWith)
		p.Mailboxes.SharedWith = slices.Compact(p.Mailboxes.SharedWith)
		for _, d := range devices {
			if d.User == u.ID {
				p.Devices.Total++
				if d.Status.State == idlepush.StateSuspect {
					p.Devices.Suspect++
				}
			}
		}
		return p, nil
	}, err
}

// waitsForPerson reports whether an account is not watched for a reason that a person should look
// at. Most others pass within the hour.
func waitsForPerson(a idlepush.Account, now time.Time) bool {
	st := a.Status
	lasts := !st.Retry.IsZero() || now.Sub(st.Since) >= time.Hour // a refusal does
	return a.Enabled && (st.State == idlepush.StateAttention || st.State == idlepush.StateRetrying && lasts)
}

func userPlace(u idlepush.User) place { return placeOf(u.Created, u.ID) }

func (h *userHandlers) listUsers(_ context.Context, c caller, in *pageOf) (*body[List[Person]], error) {
	if err := requireAdmin(c); err != nil {
		return nil, err
	}
	users, err := h.users.List()
	if err != nil {
		return nil, err
	}
	damaged, err := h.users.Damaged()
	if err != nil {
		return nil, err
	}
	show, err := h.personView()
	if err != nil {
		return nil, err
	}
	return listOf(append(users, damaged...), userPlace, *in, func(u idlepush.User) (Person, error) {
		p, err := show(u)
		p.Damaged = slices.Contains(damaged, u)
		return p, err
	})
}

func (h *userHandlers) listNames(_ context.Context, _ caller, in *pageOf) (*body[List[personName]], error) {
	users, err := h.users.List()
	if err != nil {
		return nil, err
	}
	return listOf(users, userPlace, *in, func(u idlepush.User) (personName, error) { return personName{u.ID, u.Name}, nil })
}

// changeUser calls change and returns its user as an admin sees it. It reads the rest before: after
// an error nothing was changed.
func (h *userHandlers) changeUser(change func() (idlepush.User, error)) (*body[Person], error) {
	show, err := h.personView()
	if err != nil {
		return nil, err
	}
	u, err := change()
	if err != nil {
		return nil, err
	}
	p, err := show(u)
	return &body[Person]{p}, err
}

func (h *userHandlers) createUser(ctx context.Context, c caller, in *body[newPerson]) (*body[Person], error) {
	if err := requireAdmin(c); err != nil {
		return nil, err
	}
	if err := requireProof(c); err != nil {
		return nil, err
	}
	b := in.Body
	if err := checkName(&b.Name); err != nil {
		return nil, err
	}
	if err := checkPassword("password", b.Name, b.Password); err != nil {
		return nil, err
	}
	done, err := h.limits.hashing(ctx, true)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := h.changeUser(func() (idlepush.User, error) {
		return h.users.Add(b.Name, b.Password, b.Admin, c.user.ID, c.token.ID, time.Now())
	})
	return out, sessionEnded(err)
}

func (h *userHandlers) patchUser(_ context.Context, c caller, in *edit[personPatch]) (*body[Person], error) {
	if err := requireAdmin(c); err != nil {
		return nil, err
	}
	b := in.Body
	if b.Admin != nil && *b.Admin {
		if err := requireProof(c); err != nil {
			return nil, err
		}
	}
	if err := checkName(&b.Name); err != nil {
		return nil, err
	}
	return h.changeUser(func() (idlepush.User, error) {
		return h.users.Update(in.ID, registry.UserPatch{Name: b.Name, Admin: b.Admin}, time.Now())
	})
}

func (h *userHandlers) deleteUser(_ context.Context, c caller, in *byID) (*struct{}, error) {
	if err := requireAdmin(c); err != nil {
		return nil, err
	}
	return nil, h.users.Remove(in.ID, time.Now())
}

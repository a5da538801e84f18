package web

import (
	"context"
	"net/http"
	"time"

	"idlepush/registry"
)

// Person is a user as admins see them: whether what they have works, never what it holds.
type Person struct {
	User
	Mailboxes Mailboxes `json:"mailboxes"`
	Devices   Devices   `json:"devices"`
}

// Mailboxes is how the mailboxes of a user stand.
type Mailboxes struct {
	Total     int `json:"total" doc:"Those that the user owns"`
	Attention int `json:"attention" doc:"Those that wait for a person"`
}

// Devices is how the devices of a user stand.
type Devices struct {
	Total   int `json:"total"`
	Suspect int `json:"suspect" doc:"Those whose push service complains, or that have not been reached for days"`
}

// PersonName is what one may know of another user, to share a mailbox.
type PersonName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// NewPerson makes a user.
type NewPerson struct {
	Name     string `json:"name" minLength:"1" maxLength:"64" doc:"What to log in with"`
	Password string `json:"password" minLength:"10" maxLength:"1024"`
	Admin    bool   `json:"admin,omitempty" doc:"Whether the person manages people"`
}

// PersonPatch changes what is given.
type PersonPatch struct {
	Name     string `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Password string `json:"password,omitempty" minLength:"10" maxLength:"1024" doc:"A new one; ends all sessions of the person"`
	Admin    *bool  `json:"admin,omitempty"`
}

// manages refuses callers who do not manage people.
func manages(c caller) error {
	if c.scope == admin || c.user.Admin {
		return nil
	}
	return problem(http.StatusForbidden, "not_admin", "Only an admin can do this.")
}

// userHandlers serves people, to admins and to themselves.
type userHandlers struct {
	users    registry.Users
	accounts registry.Accounts
	devices  registry.Devices
	limits   *limits
}

// people shows users to an admin.
func (h *userHandlers) people() (func(registry.User) (Person, error), error) {
	accounts, err := h.accounts.List()
	if err != nil {
		return nil, err
	}
	devices, err := h.devices.List("")
	return func(u registry.User) (Person, error) {
		p := Person{User: userOf(u)}
		for _, a := range accounts {
			if a.Owner == u.ID {
				p.Mailboxes.Total++
				if a.Status.State == registry.Attention {
					p.Mailboxes.Attention++
				}
			}
		}
		for _, d := range devices {
			if d.User == u.ID {
				p.Devices.Total++
				if d.Status.State == registry.Suspect {
					p.Devices.Suspect++
				}
			}
		}
		return p, nil
	}, err
}

func userPlace(u registry.User) place { return placeOf(u.Created, u.ID) }

func (h *userHandlers) listUsers(_ context.Context, c caller, in *pageOf) (*body[List[Person]], error) {
	if err := manages(c); err != nil {
		return nil, err
	}
	users, err := h.users.List()
	if err != nil {
		return nil, err
	}
	show, err := h.people()
	if err != nil {
		return nil, err
	}
	return listOf(users, userPlace, *in, show)
}

func (h *userHandlers) listNames(_ context.Context, _ caller, in *pageOf) (*body[List[PersonName]], error) {
	users, err := h.users.List()
	if err != nil {
		return nil, err
	}
	return listOf(users, userPlace, *in, func(u registry.User) (PersonName, error) { return PersonName{u.ID, u.Name}, nil })
}

// shownPerson changes a user and shows the result to an admin. What it shows it reads first: an
// error means that nothing was changed.
func (h *userHandlers) shownPerson(change func() (registry.User, error)) (*body[Person], error) {
	show, err := h.people()
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

func (h *userHandlers) createUser(_ context.Context, c caller, in *body[NewPerson]) (*body[Person], error) {
	if err := manages(c); err != nil {
		return nil, err
	}
	b := in.Body
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	return h.shownPerson(func() (registry.User, error) { return h.users.Add(b.Name, b.Password, b.Admin, time.Now()) })
}

func (h *userHandlers) patchUser(_ context.Context, c caller, in *edit[PersonPatch]) (*body[Person], error) {
	if err := manages(c); err != nil {
		return nil, err
	}
	b := in.Body
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	return h.shownPerson(func() (registry.User, error) {
		return h.users.Update(in.ID, registry.UserPatch{Name: b.Name, Password: b.Password, Admin: b.Admin})
	})
}

func (h *userHandlers) deleteUser(_ context.Context, c caller, in *byID) (*struct{}, error) {
	if err := manages(c); err != nil {
		return nil, err
	}
	return nil, h.users.Remove(in.ID)
}

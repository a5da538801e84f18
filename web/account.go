package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"idlepush/registry"
)

// Account is one mailbox that is watched. A token of device scope sees its id and email only.
type Account struct {
	ID    string `json:"id"`
	Email string `json:"email" doc:"What people call the mailbox"`
	*AccountDetails
}

// AccountDetails is all of an account but its password.
type AccountDetails struct {
	Owner      string        `json:"owner" required:"false" doc:"User id"`
	Host       string        `json:"host" required:"false"`
	Port       int           `json:"port" required:"false"`
	Security   string        `json:"security" required:"false" enum:"tls,starttls,none"`
	Username   string        `json:"username" required:"false"`
	Folders    []string      `json:"folders" required:"false"`
	Enabled    bool          `json:"enabled" required:"false" doc:"Whether it is watched"`
	SharedWith []string      `json:"shared_with" required:"false" doc:"User ids"`
	Link       string        `json:"link,omitempty" doc:"Template of where a click on a notification leads; absent: to the page"`
	Created    time.Time     `json:"created" required:"false"`
	Status     AccountStatus `json:"status" required:"false"`
}

// NewAccount asks for a mailbox to be watched.
type NewAccount struct {
	Mailbox
	Folders    []string `json:"folders,omitempty" minItems:"1" maxItems:"50" doc:"Absent: INBOX"`
	Enabled    *bool    `json:"enabled,omitempty" doc:"Absent: true"`
	SharedWith []string `json:"shared_with,omitempty" maxItems:"50" doc:"User ids"`
	Link       string   `json:"link,omitempty" maxLength:"500" doc:"Template of where a click on a notification leads: an address with {message_id}, {folder} and {email} in it, such as message:%3C{message_id}%3E; empty: to the page"`
	User       string   `json:"user,omitempty" doc:"Whose it will be; only the admin token gives this, and must"`
}

// AccountPatch changes what is given.
type AccountPatch struct {
	Email      *string  `json:"email,omitempty" maxLength:"254"`
	Host       *string  `json:"host,omitempty" minLength:"1" maxLength:"253"`
	Port       *int     `json:"port,omitempty" minimum:"1" maximum:"65535"`
	Security   *string  `json:"security,omitempty" enum:"tls,starttls,none"`
	Username   *string  `json:"username,omitempty" minLength:"1" maxLength:"256"`
	Password   *string  `json:"password,omitempty" minLength:"1" maxLength:"1024" doc:"Must be given to change host, port, security or username; then the login is tried"`
	Folders    []string `json:"folders,omitempty" minItems:"1" maxItems:"50" doc:"Where one is new, the login is tried and it must be there"`
	Enabled    *bool    `json:"enabled,omitempty"`
	SharedWith []string `json:"shared_with,omitempty" maxItems:"50" doc:"User ids; replaces the list"`
	Link       *string  `json:"link,omitempty" maxLength:"500" doc:"Template of where a click on a notification leads: an address with {message_id}, {folder} and {email} in it, such as message:%3C{message_id}%3E; empty: to the page"`
}

// apply gives the account with the changes.
func (p AccountPatch) apply(old registry.Account) registry.Account {
	a := old
	set(&a.Email, p.Email)
	set(&a.Host, p.Host)
	set(&a.Port, p.Port)
	set(&a.Security, (*registry.Security)(p.Security))
	set(&a.Username, p.Username)
	set(&a.Password, (*registry.Secret)(p.Password))
	set(&a.Enabled, p.Enabled)
	set(&a.Link, p.Link)
	if p.Folders != nil {
		a.Folders = inboxed(p.Folders)
	}
	switch {
	case p.SharedWith != nil:
		a.SharedWith = p.SharedWith
	case !registry.SameMailbox(a, old):
		// Who proved the password of the one has not proved that of the other.
		a.SharedWith = nil
	}
	return a
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// accountHandlers serves accounts, and what a mail server offers.
type accountHandlers struct {
	users    registry.Users
	accounts registry.Accounts
	limits   *limits
	mail     MailConfig
}

// account is what the caller may see of an account.
func (h *accountHandlers) account(c caller, a registry.Account) (Account, error) {
	out := Account{ID: a.ID, Email: a.Email}
	if c.scope != device {
		status, err := h.accountStatus(a)
		if err != nil {
			return Account{}, err
		}
		out.AccountDetails = &AccountDetails{Owner: a.Owner, Host: a.Host, Port: a.Port, Security: string(a.Security),
			Username: a.Username, Folders: a.Folders, Enabled: a.Enabled, SharedWith: append([]string{}, a.SharedWith...), Link: a.Link,
			Created: a.Created.UTC(), Status: status}
	}
	return out, nil
}

// accountSeen gives an account that the caller may see; ErrNotFound also where it is another's.
func (h *accountHandlers) accountSeen(c caller, id string) (registry.Account, error) {
	a, err := h.accounts.Get(id)
	if err == nil && !c.sees(a) {
		err = registry.ErrNotFound
	}
	return a, err
}

// accountOwned is accountSeen for what only the owner may do.
func (h *accountHandlers) accountOwned(c caller, id string) (registry.Account, error) {
	a, err := h.accountSeen(c, id)
	if err == nil && !c.owns(a.Owner) {
		err = problem(http.StatusForbidden, "not_owner", "This mailbox is shared with you. Its owner can change it.")
	}
	return a, err
}

// checkSharing refuses a list of those with whom an account is shared that names nobody, or its owner.
func (h *accountHandlers) checkSharing(a registry.Account) error {
	for i, id := range a.SharedWith {
		if id == a.Owner || slices.Contains(a.SharedWith[:i], id) {
			return &FieldError{indexed("shared_with", i), "sees it already"}
		}
		if err := checkUser(h.users, indexed("shared_with", i), id); err != nil {
			return err
		}
	}
	return nil
}

func (h *accountHandlers) listAccounts(_ context.Context, c caller, in *pageOf) (*body[List[Account]], error) {
	accounts, err := h.accounts.List()
	if err != nil {
		return nil, err
	}
	accounts = slices.DeleteFunc(accounts, func(a registry.Account) bool { return !c.sees(a) })
	return listOf(accounts, func(a registry.Account) place { return placeOf(a.Created, a.ID) }, *in, func(a registry.Account) (Account, error) { return h.account(c, a) })
}

func (h *accountHandlers) createAccount(ctx context.Context, c caller, in *body[NewAccount]) (*made[Account], error) {
	b := in.Body
	owner, err := userFor(h.users, c, b.User)
	if err != nil {
		return nil, err
	}
	a := b.account()
	a.Owner, a.SharedWith, a.Folders, a.Enabled, a.Link = owner, b.SharedWith, inboxed(b.Folders), b.Enabled == nil || *b.Enabled, b.Link
	if a.Folders == nil {
		a.Folders = []string{"INBOX"}
	}
	if err := accountFaults(a).err(); err != nil {
		return nil, err
	}
	if err := h.checkSharing(a); err != nil {
		return nil, err
	}
	if _, err := h.tryLogin(ctx, c, a); err != nil {
		return nil, err
	}
	a, added, err := h.accounts.Add(a, c.session(), time.Now())
	if err != nil {
		return nil, ended(err)
	}
	out, err := h.account(c, a)
	return &made[Account]{statusOf(added), out}, err
}

func (h *accountHandlers) getAccount(_ context.Context, c caller, in *byID) (*body[Account], error) {
	a, err := h.accountSeen(c, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := h.account(c, a)
	return &body[Account]{out}, err
}

func (h *accountHandlers) patchAccount(ctx context.Context, c caller, in *edit[AccountPatch]) (*body[Account], error) {
	old, err := h.accountOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	a := in.Body.apply(old)
	if !sameServer(a, old) && in.Body.Password == nil {
		return nil, &FieldError{"password", "must be given again to change host, port, security or username"}
	}
	if err := accountFaults(a).err(); err != nil {
		return nil, err
	}
	if in.Body.SharedWith != nil {
		if err := h.checkSharing(a); err != nil {
			return nil, err
		}
	}
	added := slices.ContainsFunc(a.Folders, func(f string) bool { return !slices.Contains(old.Folders, f) })
	if in.Body.Password != nil || added {
		if _, err := h.tryLogin(ctx, c, a); err != nil {
			return nil, err
		}
	}
	return h.writeAccount(c, in, old)
}

// writeAccount applies the patch to the account as it is now, for which the login of old was tried.
func (h *accountHandlers) writeAccount(c caller, in *edit[AccountPatch], old registry.Account) (*body[Account], error) {
	now, err := h.accountOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	if !sameLogin(now, old) {
		return nil, problem(http.StatusConflict, "changed", "This mailbox was changed by another request at the same time. Look at it, then try again.")
	}
	a := in.Body.apply(now)
	if in.Body.Password == nil && reflect.DeepEqual(a, now) {
		out, err := h.account(c, now)
		return &body[Account]{out}, err
	}
	a, err = h.accounts.Update(a, time.Now())
	if errors.Is(err, registry.ErrStale) {
		return h.writeAccount(c, in, old)
	}
	if errors.Is(err, registry.ErrTaken) {
		return nil, problem(http.StatusConflict, "taken", "That mailbox is watched already, as another account.")
	}
	if err != nil {
		return nil, err
	}
	out, err := h.account(c, a)
	return &body[Account]{out}, err
}

func (h *accountHandlers) deleteAccount(ctx context.Context, c caller, in *byID) (*struct{}, error) {
	a, err := h.accountSeen(c, in.ID)
	if err != nil {
		return nil, err
	}
	if c.owns(a.Owner) {
		return nil, h.accounts.Remove(a.ID)
	}
	a.SharedWith = slices.DeleteFunc(a.SharedWith, func(id string) bool { return id == c.user.ID })
	_, err = h.accounts.Update(a, time.Now())
	if errors.Is(err, registry.ErrStale) {
		return h.deleteAccount(ctx, c, in)
	}
	return nil, err
}

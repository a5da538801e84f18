package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// Account is one watched mailbox. A token of device scope sees only its id, and what it is called.
type Account struct {
	ID    string `json:"id"`
	Email string `json:"email" doc:"The mail address"`
	Name  string `json:"name,omitempty" doc:"What oneself calls it, by its wishes; absent: nothing else than its address"`
	Color string `json:"color,omitempty" doc:"Its color by one's wishes, such as #1a73e8; absent: none"`
	*AccountDetails
}

// AccountDetails holds every field of an account but its password.
type AccountDetails struct {
	Owner      string        `json:"owner" required:"false" doc:"User id"`
	Host       string        `json:"host" required:"false"`
	Port       int           `json:"port" required:"false"`
	Security   string        `json:"security" required:"false" enum:"tls,starttls,none"`
	Username   string        `json:"username" required:"false"`
	OAuth      string        `json:"oauth,omitempty" doc:"Where its person signs in to it: the name of a provider or the URL of an issuer; absent: it is opened by a password"`
	Folders    []string      `json:"folders" required:"false"`
	Enabled    bool          `json:"enabled" required:"false" doc:"Whether it is watched"`
	SharedWith []string      `json:"shared_with" required:"false" doc:"User ids"`
	Pin        string        `json:"certificate,omitempty" doc:"Fingerprint of the certificate that is accepted although this machine does not trust it; absent: none"`
	OfferedTo  []string      `json:"offered_to,omitempty" doc:"User ids of those who have neither accepted nor declined; for the owner"`
	Link       string        `json:"link,omitempty" doc:"Template of the link that a click on a notification opens; absent: the page"`
	Created    time.Time     `json:"created" required:"false"`
	Status     AccountStatus `json:"status" required:"false"`
}

// newAccount is a request to watch a mailbox.
type newAccount struct {
	Mailbox
	Password   string   `json:"password,omitempty" minLength:"1" maxLength:"1024" doc:"Never returned. Required without consent"`
	Consent    string   `json:"consent,omitempty" minLength:"1" maxLength:"100" doc:"Id of a consent to this mailbox that is ready, in the place of the password; see POST /consents"`
	Folders    []string `json:"folders,omitempty" minItems:"1" maxItems:"50" doc:"Absent: INBOX"`
	Enabled    *bool    `json:"enabled,omitempty" doc:"Absent: true"`
	SharedWith []string `json:"shared_with,omitempty" maxItems:"50" doc:"User ids of those to whom it is offered; see GET /offers"`
	Link       string   `json:"link,omitempty" maxLength:"500" doc:"Template of the link that a click on a notification opens, with {message_id}, {folder} and {email}, such as message:%3C{message_id}%3E; empty: the page"`
	User       string   `json:"user,omitempty" doc:"Owner of the account; required with the admin token, forbidden without"`
}

// accountPatch changes the fields that are present.
type accountPatch struct {
	Email      *string  `json:"email,omitempty" maxLength:"254"`
	Host       *string  `json:"host,omitempty" minLength:"1" maxLength:"253"`
	Port       *int     `json:"port,omitempty" minimum:"1" maximum:"65535"`
	Security   *string  `json:"security,omitempty" enum:"tls,starttls,none"`
	Username   *string  `json:"username,omitempty" minLength:"1" maxLength:"256"`
	Password   *string  `json:"password,omitempty" minLength:"1" maxLength:"1024" doc:"Required to change host, port, security, username or certificate; the login is then tried"`
	Pin        *string  `json:"certificate,omitempty" maxLength:"95" doc:"Fingerprint (SHA-256) of the server's certificate, which is accepted although this machine does not trust it; only at the servers of allow-mail. Empty: none. It stays if absent, but not if the host changes"`
	Consent    string   `json:"consent,omitempty" minLength:"1" maxLength:"100" doc:"Id of a consent to this mailbox that is ready, in the place of the password; see POST /consents"`
	Folders    []string `json:"folders,omitempty" minItems:"1" maxItems:"50" doc:"If a folder is new, the login is tried, and the folder must exist"`
	Enabled    *bool    `json:"enabled,omitempty"`
	SharedWith []string `json:"shared_with,omitempty" maxItems:"50" doc:"User ids of all with whom it is to be shared. Whoever is new is offered it, see GET /offers; who is left out loses the share or the offer"`
	Link       *string  `json:"link,omitempty" maxLength:"500" doc:"Template of the link that a click on a notification opens, with {message_id}, {folder} and {email}, such as message:%3C{message_id}%3E; empty: the page"`

	consented *idlepush.Account // what the consent opens
}

// apply returns the account with the changes.
func (p accountPatch) apply(old idlepush.Account) idlepush.Account {
	a := old
	set(&a.Email, p.Email)
	set(&a.Host, p.Host)
	set(&a.Port, p.Port)
	set(&a.Security, (*idlepush.Security)(p.Security))
	if a.Host != old.Host || a.Security == idlepush.SecurityPlain {
		a.Pin = ""
	}
	set(&a.Pin, (*idlepush.Fingerprint)(p.Pin))
	set(&a.Username, p.Username)
	if p.Password != nil {
		a.Password, a.OAuth = idlepush.Secret(*p.Password), ""
	}
	if p.consented != nil {
		a.Password, a.OAuth = p.consented.Password, p.consented.OAuth
	}
	set(&a.Enabled, p.Enabled)
	set(&a.Link, p.Link)
	if p.Folders != nil {
		a.Folders = normalizeFolders(p.Folders)
	}
	people := slices.Concat(old.SharedWith, old.OfferedTo)
	if p.SharedWith != nil {
		people = p.SharedWith
	}
	sharers := old.SharedWith
	if a.Mailbox() != old.Mailbox() {
		// Who has proved the password of one mailbox, or accepted it, has no part in another.
		people, sharers = p.SharedWith, nil
	}
	a.SharedWith, a.OfferedTo = nil, nil
	for _, user := range people {
		if slices.Contains(sharers, user) {
			a.SharedWith = append(a.SharedWith, user)
		} else {
			a.OfferedTo = append(a.OfferedTo, user)
		}
	}
	return a
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// accountHandlers serves accounts, and tries the logins of mail servers.
type accountHandlers struct {
	users    registry.Users
	accounts registry.Accounts
	limits   *limits
	mail     MailConfig
	codes    codes.Table
	consents *consentHandlers
}

// account returns the fields of an account that the caller may see.
func (h *accountHandlers) account(c caller, a idlepush.Account) (Account, error) {
	out := Account{ID: a.ID, Email: a.Email}
	if c.scope != admin {
		w, err := h.accounts.Wishes(c.user.ID, a.ID)
		// The share may have ended meanwhile.
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return out, err
		}
		out.Name, out.Color = w.Name, w.Color
	}
	if c.scope != device {
		status, err := h.accountStatus(a)
		if err != nil {
			return Account{}, err
		}
		out.AccountDetails = &AccountDetails{Owner: a.Owner, Host: a.Host, Port: a.Port, Security: string(a.Security),
			Username: a.Username, OAuth: a.OAuth, Folders: a.Folders, Enabled: a.Enabled, SharedWith: append([]string{}, a.SharedWith...), Pin: string(a.Pin), Link: a.Link,
			Created: a.Created.UTC(), Status: status}
		if c.owns(a.Owner) {
			out.OfferedTo = a.OfferedTo
		}
	}
	return out, nil
}

// visibleAccount returns an account that the caller may see. It returns registry.ErrNotFound for
// any other.
func (h *accountHandlers) visibleAccount(c caller, id string) (idlepush.Account, error) {
	a, err := h.accounts.Get(id)
	if err == nil && !c.sees(a) {
		err = registry.ErrNotFound
	}
	return a, err
}

// ownAccount returns an account that the caller may change. It returns a problem if the caller
// may only see it or if it is damaged, and registry.ErrNotFound if not even that.
func (h *accountHandlers) ownAccount(c caller, id string) (idlepush.Account, error) {
	a, err := h.visibleAccount(c, id)
	if err == nil && !c.owns(a.Owner) {
		err = problem(http.StatusForbidden, "not_owner")
	}
	if err == nil && a.Damaged() {
		err = problem(http.StatusConflict, "account_damaged")
	}
	return a, err
}

// checkSharing returns a FieldError if an account is to be shared with its owner, with an unknown
// user or twice with the same user.
func (h *accountHandlers) checkSharing(owner string, people []string) error {
	for i, id := range people {
		if id == owner || slices.Contains(people[:i], id) {
			return fault(indexed("shared_with", i), "field_shared_already")
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
	accounts = slices.DeleteFunc(accounts, func(a idlepush.Account) bool { return !c.sees(a) })
	return listOf(accounts, func(a idlepush.Account) place { return placeOf(a.Created, a.ID) }, *in, func(a idlepush.Account) (Account, error) { return h.account(c, a) })
}

func (h *accountHandlers) createAccount(ctx context.Context, c caller, in *body[newAccount]) (*made[Account], error) {
	b := in.Body
	owner, err := userFor(h.users, c, b.User)
	if err != nil {
		return nil, err
	}
	a := b.account()
	a.Password = idlepush.Secret(b.Password)
	a.Owner, a.OfferedTo, a.Folders, a.Enabled, a.Link = owner, b.SharedWith, normalizeFolders(b.Folders), b.Enabled == nil || *b.Enabled, b.Link
	if a.Folders == nil {
		a.Folders = []string{"INBOX"}
	}
	if err := accountFaults(a).err(); err != nil {
		return nil, err
	}
	if err := h.checkSharing(owner, b.SharedWith); err != nil {
		return nil, err
	}
	a, giveBack, err := h.open(ctx, c, a, b.Password, b.Consent)
	if err != nil {
		return nil, err
	}
	a.Status.LoggedIn = time.Now()
	a, added, err := h.add(c, a)
	if err != nil {
		giveBack()
	}
	if errors.Is(err, registry.ErrTaken) {
		return nil, problem(http.StatusConflict, "taken").with(codes.Case, caseOtherServer)
	}
	if err != nil {
		return nil, notAdded(h.notOffered(err), "too_many_accounts")
	}
	out, err := h.account(c, a)
	return &made[Account]{statusOf(added), out}, err
}

// open returns the account with what opens it, which has done so: the password, or a consent.
// giveBack keeps the consent for another try.
func (h *accountHandlers) open(ctx context.Context, c caller, a idlepush.Account, password, consent string) (with idlepush.Account, giveBack func(), err error) {
	switch {
	case consent != "" && password != "":
		return a, nil, fault("password", "field_forbidden").with(codes.Case, caseConsent)
	case consent != "":
		return h.consents.use(c, consent, a)
	case password == "":
		return a, nil, fault("password", "field_required").with(codes.Case, caseConsent)
	}
	_, err = h.tryLogin(ctx, c, a)
	return a, func() {}, err
}

func (h *accountHandlers) add(c caller, a idlepush.Account) (_ idlepush.Account, added bool, err error) {
	if c.scope == admin {
		return h.accounts.AddByAdmin(a, time.Now())
	}
	return h.accounts.Add(a, c.token.ID, time.Now())
}

func (h *accountHandlers) getAccount(_ context.Context, c caller, in *byID) (*body[Account], error) {
	a, err := h.visibleAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := h.account(c, a)
	return &body[Account]{out}, err
}

func (h *accountHandlers) patchAccount(ctx context.Context, c caller, in *edit[accountPatch]) (*body[Account], error) {
	old, err := h.ownAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	a := in.Body.apply(old)
	login := in.Body.Password != nil || in.Body.Consent != ""
	if !sameServer(a, old) && !login {
		return nil, fault("password", "field_required").with(codes.Case, caseNewLogin)
	}
	if err := accountFaults(a).err(); err != nil {
		return nil, err
	}
	if in.Body.SharedWith != nil {
		if err := h.checkSharing(old.Owner, in.Body.SharedWith); err != nil {
			return nil, err
		}
	}
	added := slices.ContainsFunc(a.Folders, func(f string) bool { return !slices.Contains(old.Folders, f) })
	var loggedIn time.Time
	giveBack := func() {}
	if login {
		var password string
		set(&password, in.Body.Password)
		if a, giveBack, err = h.open(ctx, c, a, password, in.Body.Consent); in.Body.Consent != "" {
			in.Body.consented = &a
		}
	} else if added {
		_, err = h.tryLogin(ctx, c, a)
	}
	if err != nil {
		return nil, err
	}
	if login || added {
		loggedIn = time.Now()
	}
	out, err := h.writeAccount(c, in, old, loggedIn)
	if err != nil {
		giveBack()
	}
	return out, err
}

// writeAccount applies the patch to the account as it is now. It returns a problem if its login is
// no longer that of old, for which the password or consent was tried. loggedIn is when it was;
// zero: it was not.
func (h *accountHandlers) writeAccount(c caller, in *edit[accountPatch], old idlepush.Account, loggedIn time.Time) (*body[Account], error) {
	now, err := h.ownAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	if !sameLogin(now, old) {
		return nil, problem(http.StatusConflict, "changed")
	}
	a := in.Body.apply(now)
	if in.Body.Password == nil && in.Body.consented == nil && reflect.DeepEqual(a, now) {
		out, err := h.account(c, now)
		return &body[Account]{out}, err
	}
	if c.scope == admin {
		a, err = h.accounts.UpdateByAdmin(a, loggedIn, time.Now())
	} else {
		a, err = h.accounts.UpdateChecked(a, c.token.ID, loggedIn, time.Now())
	}
	if errors.Is(err, registry.ErrStale) {
		return h.writeAccount(c, in, old, loggedIn)
	}
	if errors.Is(err, registry.ErrTaken) {
		return nil, problem(http.StatusConflict, "taken").with(codes.Case, caseMailbox)
	}
	if err != nil {
		return nil, sessionEnded(h.notOffered(err))
	}
	out, err := h.account(c, a)
	return &body[Account]{out}, err
}

func (h *accountHandlers) deleteAccount(_ context.Context, c caller, in *byID) (*struct{}, error) {
	a, err := h.visibleAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	if c.scope == admin {
		return nil, h.accounts.RemoveByAdmin(a.ID, time.Now())
	}
	if c.owns(a.Owner) {
		return nil, h.accounts.Remove(a.ID, time.Now())
	}
	return nil, h.accounts.Leave(c.user.ID, a.ID, time.Now())
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/ring"
)

// export is all that idlepush keeps of one person, without secrets. It is read in parts: the first
// has everything but mail, the others have only mail.
type export struct {
	Made      time.Time         `json:"made"`
	Name      string            `json:"name"`
	Admin     bool              `json:"admin"`
	Created   time.Time         `json:"created"`
	Mailboxes []exportedMailbox `json:"mailboxes"`
	Devices   []exportedDevice  `json:"devices"`
	Logins    []exportedLogin   `json:"logins"`
	Passkeys  []exportedPasskey `json:"passkeys"`
	Mail      []exportedMail    `json:"mail"` // newest first
}

// exportedMailbox is a mailbox of the person. Of one that others share with the person, it has only
// what the person sees of it.
type exportedMailbox struct {
	Email      string            `json:"email"`
	Owner      string            `json:"owner"`
	SharedWith []string          `json:"shared_with,omitempty"`
	Host       string            `json:"host,omitempty"`
	Port       int               `json:"port,omitempty"`
	Security   idlepush.Security `json:"security,omitempty"`
	Username   string            `json:"username,omitempty"`
	OAuth      string            `json:"oauth,omitempty"`
	Folders    []string          `json:"folders,omitempty"`
	Link       string            `json:"link,omitempty"`
	Enabled    bool              `json:"enabled"`
	Wishes     ring.Wishes       `json:"wishes,omitzero"`
}

type exportedDevice struct {
	Name      string             `json:"name"`
	Transport idlepush.Transport `json:"transport"`
	Content   idlepush.Level     `json:"content"`
	Created   time.Time          `json:"created"`
	Wishes    ring.DeviceWishes  `json:"wishes,omitzero"`
}

// exportedLogin is a session or a token.
type exportedLogin struct {
	Name    string    `json:"name"`
	Session bool      `json:"session"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
}

type exportedPasskey struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// exportedMail is a mail, or another notification.
type exportedMail struct {
	At      time.Time     `json:"at"`
	Kind    idlepush.Kind `json:"kind"`
	Mailbox string        `json:"mailbox,omitempty"`
	Folder  string        `json:"folder,omitempty"`
	From    string        `json:"from,omitempty"`
	Subject string        `json:"subject,omitempty"`
	Preview string        `json:"preview,omitempty"`
	Code    codes.Code    `json:"code,omitempty"` // why it did not ring, or what it is about
	RangOn  []string      `json:"rang_on,omitempty"`
}

// add adds the next part.
func (x *export) add(part export) {
	if x.Name == "" {
		*x = part
		return
	}
	x.Mail = append(x.Mail, part.Mail...)
}

// exporter makes the export of a person.
type exporter struct {
	store     *registry.Store
	user      idlepush.User
	now       time.Time
	users     map[string]string // names by id
	mailboxes map[string]string // addresses by id
	devices   map[string]string // names by id
	out       export            // its first part
}

// exportOf tells the parts of what the store keeps of the person of that name, until ctx ends.
func exportOf(ctx context.Context, store *registry.Store, name string, now time.Time, tell func(part export)) error {
	list, err := store.Users.List()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(u idlepush.User) bool { return strings.EqualFold(u.Name, name) })
	if i < 0 {
		return errNoPerson(name)
	}
	x := &exporter{store: store, user: list[i], now: now, users: make(map[string]string), mailboxes: make(map[string]string), devices: make(map[string]string)}
	for _, u := range list {
		x.users[u.ID] = u.Name
	}
	x.out = export{Made: now.UTC().Truncate(time.Second), Name: x.user.Name, Admin: x.user.Admin, Created: x.user.Created.UTC(),
		Mailboxes: []exportedMailbox{}, Devices: []exportedDevice{}, Logins: []exportedLogin{}, Passkeys: []exportedPasskey{}, Mail: []exportedMail{}}
	for _, add := range []func() error{x.addMailboxes, x.addDevices, x.addLogins} {
		if err := add(); err != nil {
			return err
		}
	}
	tell(x.out)
	return x.tellMail(ctx, tell)
}

func (x *exporter) addMailboxes() error {
	list, err := x.store.Accounts.List()
	for _, a := range list {
		if err != nil {
			return err
		}
		if !a.Visible(x.user.ID) {
			continue
		}
		x.mailboxes[a.ID] = a.Email
		m := exportedMailbox{Email: a.Email, Owner: x.users[a.Owner], Enabled: a.Enabled}
		if a.Owner == x.user.ID {
			m.Host, m.Port, m.Security, m.Username, m.OAuth, m.Folders, m.Link = a.Host, a.Port, a.Security, a.Username, a.OAuth, a.Folders, a.Link
			for _, id := range a.SharedWith {
				m.SharedWith = append(m.SharedWith, x.users[id])
			}
		}
		if !a.Damaged() {
			m.Wishes, err = x.store.Accounts.Wishes(x.user.ID, a.ID)
		}
		x.out.Mailboxes = append(x.out.Mailboxes, m)
	}
	return err
}

func (x *exporter) addDevices() error {
	list, err := x.store.Devices.List(x.user.ID)
	for _, d := range list {
		if err != nil {
			return err
		}
		x.devices[d.ID] = d.Name
		one := exportedDevice{Name: d.Name, Transport: d.Transport, Content: d.Content, Created: d.Created.UTC()}
		one.Wishes, err = x.store.Devices.Wishes(d.ID)
		x.out.Devices = append(x.out.Devices, one)
	}
	return err
}

func (x *exporter) addLogins() error {
	sessions, err := x.store.Logins.Sessions(x.user.ID, x.now)
	if err != nil {
		return err
	}
	tokens, err := x.store.Logins.Tokens(x.user.ID)
	if err != nil {
		return err
	}
	for _, t := range slices.Concat(sessions, tokens) {
		x.out.Logins = append(x.out.Logins, exportedLogin{t.Name, t.Session, t.Created.UTC(), t.Used})
	}
	passkeys, _, err := x.store.Logins.Passkeys(x.user.ID)
	for _, p := range passkeys {
		x.out.Passkeys = append(x.out.Passkeys, exportedPasskey{p.Name, p.Created.UTC()})
	}
	return err
}

// exportStep is how many notifications are read at once, and make a part.
const exportStep = 500

// tellMail tells the parts that have mail.
func (x *exporter) tellMail(ctx context.Context, tell func(part export)) error {
	for after := ""; ; {
		list, next, err := x.store.History.List(x.user.ID, after, exportStep, x.now)
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		var part export
		for _, n := range list {
			m := exportedMail{At: n.At.UTC(), Kind: n.Kind, Mailbox: x.mailboxes[n.Account], Folder: n.Folder, From: n.Content.From, Subject: n.Content.Subject, Preview: n.Content.Preview, Code: n.Code}
			for _, d := range n.Deliveries {
				if name := x.devices[d.Device]; name != "" && d.State == idlepush.DeliveryDelivered {
					m.RangOn = append(m.RangOn, name)
				}
			}
			part.Mail = append(part.Mail, m)
		}
		tell(part)
		if after = next; next == "" {
			return nil
		}
	}
}

// serveExport serves what the command export asks of the daemon, until ctx ends.
func serveExport(ctx context.Context, mux *http.ServeMux, store *registry.Store) {
	mux.HandleFunc("POST /export", tellCommand(ctx, func(ctx context.Context, name string, tell func(export)) error {
		return exportOf(ctx, store, name, time.Now(), tell)
	}))
}

// runExport prints what idlepush keeps of the person whom the arguments name.
func runExport(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	s, name, err := syntax{command: "idlepush export", settings: some("data", "key"), operand: "NAME"}.parseOne(oneName, args, getenv, stdout)
	if err != nil {
		return err
	}
	var out export
	err = unlessSilent(ctx, answerWait, func(ctx context.Context, heard func()) error {
		return hearDaemon(ctx, s.data, "/export", name, func(part export) {
			heard()
			out.add(part)
		})
	})
	if errors.Is(err, errNoDaemon) {
		var store *registry.Store
		if store, err = openStopped(s); err == nil {
			err = errors.Join(exportOf(ctx, store, name, time.Now(), out.add), store.Close())
		}
	}
	if err != nil {
		return err
	}
	printed := json.NewEncoder(stdout)
	printed.SetIndent("", "  ")
	printed.SetEscapeHTML(false)
	return printed.Encode(out)
}

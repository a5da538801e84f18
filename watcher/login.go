package watcher

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"idlepush"
	"idlepush/netguard"
	"idlepush/watcher/oauth"
	"idlepush/watcher/wire"
)

// Dialer connects to mail servers and logs in.
type Dialer struct {
	// Permit decides which addresses may be dialed, at which ports and how.
	Permit  netguard.Permit
	TLS     *tls.Config // roots and session cache; nil: the system's roots
	Version string      // of this program, for ID (RFC 2971)

	// Client returns the client that is registered with a provider, by its name or issuer URL; nil:
	// there are none.
	Client func(provider string) (oauth.Client, bool)

	// Dial, if not nil, replaces DNS and network in tests. It does not ask Permit.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	resolve  func(ctx context.Context, host string) ([]netip.Addr, error) // in tests: the DNS
	families *wire.Families                                               // of the pool, or nil
}

var (
	// errNoPassword: the server takes no password on this connection.
	errNoPassword = errors.New("the server accepts no password here")

	// errOnlyOAuth: it takes a password on no connection.
	errOnlyOAuth = errors.New("the server accepts only OAuth")
)

// login connects and logs in by a.Password, which is an access token if a provider opens the
// account. The connection lives until ctx ends or it is closed.
func (d Dialer) login(ctx context.Context, a *idlepush.Account) (*wire.Conn, error) {
	if a.OAuth != "" {
		if err := d.mayShowToken(a); err != nil {
			return nil, err
		}
	}
	conn, err := wire.Dial(ctx, d.endpoint(a), wire.DefaultLimits, timeout)
	if err != nil {
		return nil, d.withCertificate(a, err)
	}
	if err := d.authenticate(conn, a); err != nil {
		conn.Close()
		return nil, &loginError{err, conn.Alert()}
	}
	return conn, nil
}

// endpoint returns the endpoint of the account's server.
func (d Dialer) endpoint(a *idlepush.Account) wire.Endpoint {
	return wire.Endpoint{Host: a.Host, Port: a.Port, Security: wire.Security(a.Security),
		Permit: d.Permit, TLS: d.TLS, Trust: d.trust(a), Families: d.families, Resolve: d.resolve, Dial: d.Dial}
}

// loginError is a login that failed, with the alert that the server wants a person to read.
type loginError struct {
	err   error
	alert string
}

func (e *loginError) Error() string { return "log in: " + e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

func (d Dialer) authenticate(conn *wire.Conn, a *idlepush.Account) error {
	if !conn.Preauth() {
		logIn := logInByPassword
		if a.OAuth != "" {
			logIn = logInByToken
		}
		if err := logIn(conn, a); err != nil {
			return err
		}
	}
	if !conn.Has(imap.CapID) {
		return nil
	}
	// Coremail opens no folder to a client that does not say who it is.
	err := conn.Do(fmt.Sprintf(`ID ("name" "idlepush" "version" %q)`, d.Version), timeout)
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return nil
	}
	return err
}

// logInByPassword prefers AUTHENTICATE PLAIN: LOGIN takes no password beyond ASCII (RFC 6855
// section 5). It does not try a refused password again by the other: providers count.
func logInByPassword(conn *wire.Conn, a *idlepush.Account) error {
	user, password := a.Username, string(a.Password)
	plain, login := conn.Has(imap.AuthCap("PLAIN")), !conn.Has(imap.CapLoginDisabled)
	switch {
	case plain:
	case login:
	case conn.Has(imap.AuthCap("XOAUTH2")) || conn.Has(imap.AuthCap("OAUTHBEARER")):
		return errOnlyOAuth
	default:
		return errNoPassword
	}
	if plain {
		err := conn.LogIn(timeout, func(client *imapclient.Client) error {
			return client.Authenticate(sasl.NewPlainClient("", user, password))
		})
		if said, refused := errors.AsType[*imap.Error](err); !refused || !login || conn.Cause() != nil || !mechanismRefused(said) {
			return err
		}
	}
	return conn.LogIn(timeout, func(client *imapclient.Client) error { return client.Login(user, password).Wait() })
}

// mechanismRefused reports whether the server does not know PLAIN although it announced it: the
// refusal is not about the password.
func mechanismRefused(said *imap.Error) bool {
	return said.Type == imap.StatusResponseTypeBad || said.Code == "" && containsAny(strings.ToLower(said.Text), "mechanism", "authenticate plain", "not supported", "unsupported")
}

// Ability describes what a mail server can do for an account.
type Ability struct {
	Capabilities []string // as the server names them, sorted
	Folders      []Folder // that can be opened, sorted by name
	Unreadable   int      // how many more the server lists under names that cannot be read
	Idle         bool
}

// Folder is one folder of a mailbox.
type Folder struct {
	Name string
	// Use is its purpose (RFC 6154), in lower case: all, archive, drafts, flagged, important, junk,
	// sent, trash; or empty.
	Use string
}

var uses = []string{"all", "archive", "drafts", "flagged", "important", "junk", "sent", "trash"}

func useOf(attributes []string) string {
	for _, use := range uses {
		if slices.Contains(attributes, `\`+use) {
			return use
		}
	}
	return ""
}

// listFolders lists all folders, with their special uses if the server has them.
func listFolders(conn *wire.Conn) (list []wire.Listed, unreadable int, err error) {
	// Servers that have it say it unasked too (RFC 6154 section 2), but not all of them do.
	special := conn.Has(imap.CapSpecialUse) && conn.Has(imap.CapListExtended)
	list, unreadable, err = conn.List(special, timeout)
	if _, refused := errors.AsType[*imap.Error](err); refused && special && conn.Cause() == nil {
		list, unreadable, err = conn.List(false, timeout)
	}
	return list, unreadable, err
}

// Check logs in to an account by its password and lists its folders. It stores nothing and changes
// nothing in the mailbox. It takes at most a few times 30 s; ctx ends it sooner. Its error is a
// *Failure.
func (d Dialer) Check(ctx context.Context, a idlepush.Account) (Ability, error) {
	if a.OAuth != "" {
		a.Password = "" // it is no access token
	}
	return d.check(ctx, a)
}

// CheckToken is Check by an access token that the provider a.OAuth has given.
func (d Dialer) CheckToken(ctx context.Context, a idlepush.Account, token idlepush.Secret) (Ability, error) {
	a.Password = token
	return d.check(ctx, a)
}

func (d Dialer) check(ctx context.Context, a idlepush.Account) (Ability, error) {
	conn, err := d.login(ctx, &a)
	if err != nil {
		return Ability{}, diagnoseCheck(&a, err)
	}
	defer conn.Close()
	able := Ability{Idle: conn.Has(imap.CapIdle)}
	for name := range conn.Caps() {
		able.Capabilities = append(able.Capabilities, string(name))
	}
	slices.Sort(able.Capabilities)
	list, unreadable, err := listFolders(conn)
	if err != nil {
		return Ability{}, diagnoseCheck(&a, err)
	}
	able.Unreadable = unreadable
	for _, folder := range list {
		if !slices.Contains(folder.Attributes, `\noselect`) && !slices.Contains(folder.Attributes, `\nonexistent`) {
			able.Folders = append(able.Folders, Folder{folder.Name, useOf(folder.Attributes)})
		}
	}
	// It is always there (RFC 3501 section 5.1), also if the server does not list it.
	if !slices.ContainsFunc(able.Folders, func(f Folder) bool { return f.Name == "INBOX" }) {
		able.Folders = append(able.Folders, Folder{Name: "INBOX"})
	}
	slices.SortFunc(able.Folders, func(a, b Folder) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range a.Folders {
		if !slices.ContainsFunc(able.Folders, func(there Folder) bool { return there.Name == f }) && unreadable == 0 {
			return able, &Failure{Reason: idlepush.Reason{Code: "folder_unknown"}.With("folder", f), Field: "folders"}
		}
	}
	return able, nil
}

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

	"idlepush/registry"
	"idlepush/watcher/wire"
)

// Dialer says how mail servers are reached and what they are told.
type Dialer struct {
	// Permit is asked for every address before it is dialled; plain is IMAP without encryption. Its error says what to do.
	Permit  func(addr netip.Addr, plain bool) error
	TLS     *tls.Config // roots and session cache; nil: the system's roots
	Version string      // of this program, for ID (RFC 2971)

	dial func(ctx context.Context, address string) (net.Conn, error) // in tests: in the place of the network
}

// errNoPassword is a server that takes no password on this connection.
var errNoPassword = errors.New("the server accepts no password here")

// login connects and logs in. The connection lives until ctx ends or it is closed.
func (d Dialer) login(ctx context.Context, a registry.Account) (*wire.Conn, error) {
	conn, err := wire.Dial(ctx, wire.Endpoint{Host: a.Host, Port: a.Port, Security: wire.Security(a.Security),
		Permit: d.Permit, TLS: d.TLS, Dial: d.dial}, wire.DefaultLimits, patience)
	if err != nil {
		return nil, err
	}
	if err := d.authenticate(conn, a); err != nil {
		conn.Close()
		return nil, &loginError{err, conn.Alert()}
	}
	return conn, nil
}

// loginError is a login that failed, with what the server wants a person to read.
type loginError struct {
	err   error
	alert string
}

func (e *loginError) Error() string { return "log in: " + e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

func (d Dialer) authenticate(conn *wire.Conn, a registry.Account) error {
	if !conn.Preauth() {
		err := conn.Lend(patience, func(client *imapclient.Client) error {
			switch {
			case !conn.Has(imap.CapLoginDisabled):
				return client.Login(a.Username, string(a.Password)).Wait()
			case conn.Has(imap.AuthCap("PLAIN")):
				return client.Authenticate(sasl.NewPlainClient("", a.Username, string(a.Password)))
			}
			return errNoPassword
		})
		if err != nil {
			return err
		}
	}
	if !conn.Has(imap.CapID) {
		return nil
	}
	// Coremail opens no folder to a client that does not say who it is.
	err := conn.Lend(patience, func(client *imapclient.Client) error {
		_, err := client.ID(&imap.IDData{Name: "idlepush", Version: d.Version}).Wait()
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return nil
	}
	return err
}

// Ability is what a mail server can do for an account.
type Ability struct {
	Capabilities []string // as the server names them, sorted
	Folders      []Folder // that can be opened, sorted by name
	Idle         bool
}

// Folder is one folder of a mailbox.
type Folder struct {
	Name string
	Use  string // what it is for (RFC 6154), in lower case: all, archive, drafts, flagged, important, junk, sent, trash; or empty
}

var uses = []imap.MailboxAttr{imap.MailboxAttrAll, imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrFlagged, imap.MailboxAttrImportant,
	imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash}

func useOf(attributes []imap.MailboxAttr) string {
	for _, use := range uses {
		if slices.Contains(attributes, use) {
			return strings.ToLower(strings.TrimPrefix(string(use), `\`))
		}
	}
	return ""
}

// Check logs in to an account and lists its folders; nothing is stored, and nothing in the mailbox changes. It takes at most a few times 30 s; ctx
// ends it sooner. Its error is a *Failure.
func (d Dialer) Check(ctx context.Context, a registry.Account) (Ability, error) {
	conn, err := d.login(ctx, a)
	if err != nil {
		return Ability{}, diagnose(a, err)
	}
	defer conn.Close()
	able := Ability{Idle: conn.Has(imap.CapIdle)}
	for name := range conn.Caps() {
		able.Capabilities = append(able.Capabilities, string(name))
	}
	slices.Sort(able.Capabilities)
	err = conn.Lend(patience, func(client *imapclient.Client) error {
		// Servers that have it say it unasked too (RFC 6154 section 2), but not all of them do.
		list, err := client.List("", "*", &imap.ListOptions{ReturnSpecialUse: conn.Has(imap.CapSpecialUse) && conn.Has(imap.CapListExtended)}).Collect()
		for _, folder := range list {
			if !slices.Contains(folder.Attrs, imap.MailboxAttrNoSelect) && !slices.Contains(folder.Attrs, imap.MailboxAttrNonExistent) {
				able.Folders = append(able.Folders, Folder{folder.Mailbox, useOf(folder.Attrs)})
			}
		}
		return err
	})
	slices.SortFunc(able.Folders, func(a, b Folder) int { return strings.Compare(a.Name, b.Name) })
	if err != nil {
		return Ability{}, diagnose(a, err)
	}
	for _, f := range a.Folders {
		if !slices.ContainsFunc(able.Folders, func(there Folder) bool { return there.Name == f }) && conn.Dropped() == 0 {
			return able, &Failure{Code: "folder_unknown", Field: "folders",
				Reason: fmt.Sprintf("the mailbox has no folder %q: pick from those that POST /accounts/check lists", f)}
		}
	}
	return able, nil
}

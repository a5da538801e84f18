package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/discover"
)

// examiner examines mailboxes with the settings and the network of one process: of the daemon, or
// of the command.
type examiner interface {
	// stored examines the accounts of the store that have the address. It tells nothing if there is
	// none.
	stored(ctx context.Context, m examinedMailbox, tell func(finding)) error

	// find looks for the settings of an address.
	find(ctx context.Context, email string) (discover.Result, error)

	// logIn examines a mailbox that need not be one of the store's.
	logIn(ctx context.Context, l login, tell func(finding)) error
}

// examinedMailbox is one of the store's.
type examinedMailbox struct {
	Email string
	Wait  bool
}

// login is a mailbox with its settings. Without a password it is not logged in to.
type login struct {
	Email, Host, Security, Username string
	Port                            int
	Password                        string // goes over the daemon's socket, which is ours alone
	Wait                            bool
}

// The paths of the socket at which the daemon examines mailboxes.
const (
	storedPath = "/doctor/mailbox"
	findPath   = "/doctor/find"
	logInPath  = "/doctor/login"
)

// theDaemon is the examiner by the daemon of a data folder.
type theDaemon struct{ dir string }

func (d theDaemon) stored(ctx context.Context, m examinedMailbox, tell func(finding)) error {
	return hearDaemon(ctx, d.dir, storedPath, m, tell)
}

func (d theDaemon) find(ctx context.Context, email string) (r discover.Result, err error) {
	err = askDaemon(ctx, d.dir, findPath, email, &r)
	return r, err
}

func (d theDaemon) logIn(ctx context.Context, l login, tell func(finding)) error {
	return hearDaemon(ctx, d.dir, logInPath, l, tell)
}

// thisProcess is the examiner by this process.
type thisProcess struct {
	settings
	store  *registry.Store // or nil
	pool   *watcher.Pool   // of the store
	finder *discover.Finder
}

func (p thisProcess) stored(ctx context.Context, m examinedMailbox, tell func(finding)) error {
	if p.store == nil {
		return nil
	}
	return examineStored(ctx, p.store, p.pool, m, tell)
}

func (p thisProcess) find(ctx context.Context, email string) (discover.Result, error) {
	return p.finder.Find(ctx, email)
}

func (p thisProcess) logIn(ctx context.Context, l login, tell func(finding)) error {
	a := idlepush.Account{Email: l.Email, Host: l.Host, Port: l.Port, Security: idlepush.Security(l.Security), Username: l.Username, Password: idlepush.Secret(l.Password),
		Folders: []string{"INBOX"}}
	examineMailbox(ctx, p.dialer().Examine, a, l.Wait, tell)
	return nil
}

// serve has the daemon examine mailboxes for the command, until ctx ends.
func (p thisProcess) serve(ctx context.Context, mux *http.ServeMux) {
	mux.HandleFunc("POST "+storedPath, tellCommand(ctx, p.stored))
	mux.HandleFunc("POST "+logInPath, tellCommand(ctx, p.logIn))
	mux.HandleFunc("POST "+findPath, answerCommand(func(email string) (discover.Result, error) { return p.find(ctx, email) }))
}

// examiner returns the daemon. If none runs, it says so and returns this process, which closed
// ends.
func (d *doctor) examiner(ctx context.Context) (by examiner, closed func(), err error) {
	daemon := theDaemon{d.data}
	if _, err := daemon.find(ctx, ""); !errors.Is(err, errNoDaemon) {
		// Any other answer will come again.
		return daemon, func() {}, nil
	}
	own := thisProcess{settings: d.settings, finder: &discover.Finder{Resolver: net.DefaultResolver, Permit: d.allowMail.Permit,
		HasClient: func(provider string) bool {
			_, set := d.oauth[provider]
			return set
		}}}
	store, err := openStopped(d.settings)
	switch {
	case errors.Is(err, registry.ErrInUse):
		return nil, nil, err
	case err == nil:
		var clients *oauthClients
		own.store = store
		own.pool, clients = d.pool(store, slog.New(slog.DiscardHandler))
		own.finder = d.finder(clients)
	}
	d.report.print(finding{idlepush.VerdictLook, "idlepush", "it does not run with this data folder: this command looks with its own settings and network", 0})
	return own, func() {
		if own.store != nil {
			own.store.Close()
		}
	}, nil
}

// cutShort ends a report that is not whole.
var cutShort = finding{idlepush.VerdictLook, "idlepush", "it was stopped, which has cut this short: examine again", 0}

// examineStored examines the accounts that have the address.
func examineStored(ctx context.Context, store *registry.Store, pool *watcher.Pool, m examinedMailbox, tell func(finding)) error {
	accounts, err := store.Accounts.List()
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if !strings.EqualFold(a.Email, m.Email) {
			continue
		}
		tell(finding{idlepush.VerdictOK, "settings", fmt.Sprintf("idlepush has the mailbox %s (id %s), at %s, and examines it with the stored login", a.Email, a.ID, serverOf(a)), 0})
		if a.Damaged() {
			tell(finding{idlepush.VerdictWrong, "settings", damagedRow, 0})
			continue
		}
		examineMailbox(ctx, pool.Examine, a, m.Wait, tell)
	}
	return nil
}

// examineMailbox examines a mail server and the login. It removes the user name from the server's
// own words.
func examineMailbox(ctx context.Context, examine func(context.Context, idlepush.Account, time.Duration, func(idlepush.Step)), a idlepush.Account, wait bool, tell func(finding)) {
	limit, sent := mailboxWait, time.Duration(0)
	if wait {
		sent = sentWait
	}
	bounded, cancel := context.WithTimeout(ctx, limit+sent)
	defer cancel()
	examine(bounded, a, sent, func(s idlepush.Step) {
		if ctx.Err() != nil {
			return // the step says only that
		}
		if said := s.Params[codes.Said]; said != "" {
			s.Reason = s.With(codes.Said, strings.ReplaceAll(said, a.Username, "…"))
		}
		tell(findingOf("server", s, allCodes()))
	})
	if ctx.Err() != nil {
		tell(cutShort)
	}
}

// password asks for the password of the login. It may be empty.
func (d *doctor) password(ctx context.Context, l login) (string, error) {
	return askSecret(ctx, d.stdin, d.asks, fmt.Sprintf("Password of %s at %s (empty: look without a login): ", l.Email, l.Host))
}

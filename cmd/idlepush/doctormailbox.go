package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/discover"
)

const (
	// mailboxWait is how long the examination of a mailbox may take.
	mailboxWait = time.Minute

	// sentWait is how long it waits besides for a mail that somebody sends.
	sentWait = 5 * time.Minute
)

// givenMailbox is a mailbox as the arguments give it. Empty fields are not given.
type givenMailbox struct {
	email, host, security, username string
	port                            int
	wait                            bool
}

// complete checks the fields, and fills in those that follow from others.
func (m *givenMailbox) complete() error {
	switch {
	case m.host == "" && (m.port != 0 || m.security != ""):
		return errors.New("--port and --security need --host")
	case m.host == "":
		return nil
	case !netguard.IsHost(m.host):
		return errors.New("--host wants the name or the address of a mail server")
	}
	m.security = cmp.Or(m.security, string(idlepush.SecurityTLS))
	if !slices.Contains([]string{string(idlepush.SecurityTLS), string(idlepush.SecurityStartTLS), string(idlepush.SecurityPlain)}, m.security) {
		return errors.New("--security wants tls, starttls or none")
	}
	if m.port == 0 && m.security != string(idlepush.SecurityTLS) {
		m.port = 143
	}
	if m.port = cmp.Or(m.port, 993); m.port < 1 || m.port > 65535 {
		return errors.New("--port wants a number from 1 to 65535")
	}
	return nil
}

// mailbox examines a mailbox: with its stored login if it is one of the store's and no server is
// given, otherwise with settings that are given or found, and a password that is asked for.
func (d *doctor) mailbox(ctx context.Context, m givenMailbox) error {
	if m.host == "" && m.username == "" {
		stored, err := d.stored(ctx, examinedMailbox{m.email, m.wait})
		if stored || err != nil {
			return err
		}
	}
	a, ways, err := d.found(ctx, m)
	if len(ways) == 0 || err != nil {
		return err
	}
	if !slices.Equal(ways, []string{discover.OAuth}) {
		if a.Password, err = d.password(ctx, a); err != nil {
			return err
		}
	}
	examineMailbox(ctx, d.dialer().Examine, a, m.wait, d.report.print)
	return nil
}

// stored examines the accounts of the store that have the address, and reports whether there is
// one. It asks the daemon. If none runs, it opens the store itself.
func (d *doctor) stored(ctx context.Context, m examinedMailbox) (found bool, err error) {
	tell := func(f finding) {
		found = true
		d.report.print(f)
	}
	err = hearDaemon(ctx, d.data, "/doctor/mailbox", m, tell)
	if !errors.Is(err, errNoDaemon) {
		return found, err
	}
	store, err := openStopped(d.settings)
	if errors.Is(err, registry.ErrInUse) {
		return false, err
	}
	if err != nil {
		return false, nil // there may be no installation at all
	}
	defer store.Close()
	pool, _ := d.pool(store, slog.New(slog.DiscardHandler))
	return found, examineStored(ctx, store, pool, m, tell)
}

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
		tell(finding{idlepush.VerdictOK, "settings", fmt.Sprintf("idlepush has the mailbox %s, at %s, and examines it with the stored login", a.Email, serverOf(a)), 0})
		if a.Damaged() {
			tell(finding{idlepush.VerdictWrong, "settings", damagedRow, 0})
			continue
		}
		examineMailbox(ctx, pool.Examine, a, m.Wait, tell)
	}
	return nil
}

// examineMailbox examines a mail server and the login. What the server says is told without the
// user name.
func examineMailbox(ctx context.Context, examine func(context.Context, idlepush.Account, time.Duration, func(idlepush.Step)), a idlepush.Account, wait bool, tell func(finding)) {
	limit, sent := mailboxWait, time.Duration(0)
	if wait {
		sent = sentWait
	}
	ctx, cancel := context.WithTimeout(ctx, limit+sent)
	defer cancel()
	examine(ctx, a, sent, func(s idlepush.Step) {
		if said := s.Params[codes.Said]; said != "" {
			s.Reason = s.With(codes.Said, strings.ReplaceAll(said, a.Username, "…"))
		}
		tell(findingOf("server", s, allCodes()))
	})
}

func serverOf(a idlepush.Account) string {
	return fmt.Sprintf("%s (%s)", net.JoinHostPort(a.Host, fmt.Sprint(a.Port)), a.Security)
}

// found returns the account with the settings that are given, or else found for its address, and
// the ways to log in; none: no settings were found.
func (d *doctor) found(ctx context.Context, m givenMailbox) (a idlepush.Account, ways []string, err error) {
	a = idlepush.Account{Email: m.email, Host: m.host, Port: m.port, Security: idlepush.Security(m.security), Username: cmp.Or(m.username, m.email), Folders: []string{"INBOX"}}
	if m.host != "" {
		return a, []string{discover.Password}, nil
	}
	finder := &discover.Finder{Resolver: net.DefaultResolver, Permit: d.allowMail.Permit}
	result, err := finder.Find(ctx, m.email)
	if errors.Is(err, discover.ErrAddress) {
		return a, nil, usageError{errors.New("the argument is no mail address")}
	}
	if err != nil {
		return a, nil, err
	}
	for _, f := range discovered(result) {
		d.report.print(f)
	}
	if len(result.Settings) == 0 {
		return a, nil, nil
	}
	best := result.Settings[0]
	a.Host, a.Port, a.Security, a.Username = best.Host, best.Port, idlepush.Security(best.Security), cmp.Or(m.username, best.Username)
	if len(best.Auth) == 0 {
		return a, []string{discover.Password}, nil
	}
	return a, best.Auth, nil
}

// foundIn says where settings were found.
var foundIn = map[discover.Source]string{
	discover.Table:      "the table of providers",
	discover.Autoconfig: "what the domain publishes (autoconfig)",
	discover.WellKnown:  "what the domain publishes (.well-known)",
	discover.ISPDB:      "Thunderbird's list of providers",
	discover.MX:         "the provider that receives the domain's mail",
	discover.SRV:        "the SRV records of the domain",
	discover.Guess:      "a server that answers under a usual name",
}

// waysIn says how one logs in.
func waysIn(s discover.Settings) string {
	var ways []string
	for _, way := range s.Auth {
		switch way {
		case discover.Password:
			ways = append(ways, "password")
		case discover.AppPassword:
			ways = append(ways, "app password")
		case discover.Code:
			ways = append(ways, "authorisation code")
		case discover.OAuth:
			ways = append(ways, "OAuth at "+s.OAuth)
		}
	}
	return strings.Join(ways, " or ")
}

// discovered tells what was found for an address, and from where.
func discovered(r discover.Result) []finding {
	f := findings{subject: "settings"}
	if r.Name != "" {
		f.ok("the provider is %s", r.Name)
	}
	for i, s := range r.Settings {
		verb := "found: "
		if i > 0 {
			verb = "also found, and not examined: "
		}
		f.ok("%s%s (%s), from %s; one logs in by %s", verb, net.JoinHostPort(s.Host, fmt.Sprint(s.Port)), s.Security, foundIn[s.Source], waysIn(s))
	}
	for _, n := range r.Notes {
		text := allCodes().Sentence(n.Code, n.Params)
		if n.URL != "" {
			text += " " + n.URL
		}
		if len(r.Settings) == 0 {
			f.wrong("%s", text)
		} else {
			f.look("%s", text)
		}
	}
	return f.list
}

// password asks for the password of the account: on a terminal without echo, otherwise it is the
// first line of the input. It may be empty.
func (d *doctor) password(ctx context.Context, a idlepush.Account) (idlepush.Secret, error) {
	file, ok := d.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		line, err := bufio.NewReader(d.stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return idlepush.Secret(strings.TrimRight(line, "\r\n")), nil
	}
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	// Reading does not end with ctx, and the terminal must not stay without echo.
	stop := context.AfterFunc(ctx, func() {
		term.Restore(int(file.Fd()), before)
		os.Exit(1)
	})
	defer stop()
	fmt.Fprintf(d.asks, "Password of %s at %s (empty: look without a login): ", a.Email, a.Host)
	text, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(d.asks)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return idlepush.Secret(text), nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/netguard"
	"idlepush/watcher/discover"
)

const (
	// mailboxWait is how long the examination of a mailbox may take.
	mailboxWait = time.Minute

	// sentWait is how long it waits besides for a mail that somebody sends.
	sentWait = 5 * time.Minute
)

// givenMailbox is a mailbox as the arguments describe it. Fields without an argument are empty.
type givenMailbox struct {
	email, host, security, username string
	port                            int
	wait                            bool
}

// complete checks the fields, and fills in those that follow from others.
func (m *givenMailbox) complete() error {
	switch {
	case !discover.IsAddress(m.email):
		return errors.New("the argument is no mail address")
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

// mailbox examines a mailbox. If the store has it and the arguments name no server, it uses the
// stored login. Otherwise it uses the settings of the arguments, or looks for them, and asks for
// the password.
func (d *doctor) mailbox(ctx context.Context, m givenMailbox) error {
	by, closed, err := d.examiner(ctx)
	if err != nil {
		return err
	}
	defer closed()
	if m.host == "" && m.username == "" {
		known := false
		err := by.stored(ctx, examinedMailbox{m.email, m.wait}, func(f finding) {
			known = true
			d.report.print(f)
		})
		if known || err != nil {
			return err
		}
	}
	login, ways, err := d.found(ctx, by, m)
	if len(ways) == 0 || err != nil {
		return err
	}
	if !slices.Equal(ways, []string{discover.OAuth}) {
		if login.Password, err = d.password(ctx, login); err != nil {
			return err
		}
	}
	return by.logIn(ctx, login, d.report.print)
}

func serverOf(a idlepush.Account) string {
	return fmt.Sprintf("%s (%s)", net.JoinHostPort(a.Host, fmt.Sprint(a.Port)), a.Security)
}

// found returns the login with the settings that are given, or else found for its address, and the
// ways to log in; none: no settings were found.
func (d *doctor) found(ctx context.Context, by examiner, m givenMailbox) (l login, ways []string, err error) {
	l = login{Email: m.email, Host: m.host, Port: m.port, Security: m.security, Username: cmp.Or(m.username, m.email), Wait: m.wait}
	if m.host != "" {
		return l, []string{discover.Password}, nil
	}
	result, err := by.find(ctx, m.email)
	if err != nil {
		return l, nil, err
	}
	for _, f := range discovered(result) {
		d.report.print(f)
	}
	if len(result.Settings) == 0 {
		return l, nil, nil
	}
	best := result.Settings[0]
	l.Host, l.Port, l.Security, l.Username = best.Host, best.Port, best.Security, cmp.Or(m.username, best.Username)
	if len(best.Auth) == 0 {
		return l, []string{discover.Password}, nil
	}
	return l, best.Auth, nil
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

// discovered returns the findings about the settings of an address, and their source.
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

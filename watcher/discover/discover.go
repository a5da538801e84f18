// Package discover finds the IMAP settings of a mail address, so that nobody has to know them.
//
// [Finder.Find] asks several sources, the best of which wins; [Sources] has their order. First
// comes a table of the large providers, for their own domains and those whose mail they receive.
// Then come what the domain itself publishes, Thunderbird's list of providers, the same of the
// provider that receives the domain's mail, SRV records, and a guess. Third parties learn only the
// domain. A [Result] also has what a person must do first, such as making an app password.
//
// It is a package of its own because it speaks HTTPS and DNS, which nothing else about IMAP does.
// It knows nothing of accounts.
package discover

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"idlepush/codes"
	"idlepush/netguard"
)

// Source is where settings come from, which is how far they can be trusted; the best is first in
// Sources.
type Source string

// The sources. Autoconfig and WellKnown are published by the domain itself, in Thunderbird's
// format. ISPDB is Thunderbird's list of providers. MX is the table or that list, for the provider
// that receives the domain's mail. SRV is RFC 6186 and RFC 8314 section 5. Guess is a server that
// answers under a usual name. Named is a server that the person has named.
const (
	Table      Source = "table"
	Autoconfig Source = "autoconfig"
	WellKnown  Source = "well_known"
	ISPDB      Source = "ispdb"
	MX         Source = "mx"
	SRV        Source = "srv"
	Guess      Source = "guess"
	Named      Source = "named"
)

// Sources are all sources, best first.
var Sources = []Source{Table, Autoconfig, WellKnown, ISPDB, MX, SRV, Guess}

// The ways to log in of Settings.Auth.
const (
	Password    = "password"     // the person's own
	AppPassword = "app_password" // one that the provider makes for a program
	Code        = "code"         // an authorisation code, which is given like a password
	OAuth       = "oauth"        // a token, for which the person signs in at the provider
)

// Settings are those of one IMAP server.
type Settings struct {
	Host     string
	Port     int
	Security string // "tls" or "starttls"
	Username string
	Source   Source
	Auth     []string // the ways to log in, what needs the least first
	OAuth    string   // where to sign in: a provider of package oauth, or the URL of an issuer
	Client   bool     // whether this server is registered there, so that people can sign in
}

// Note is what a person has to do or know first.
type Note struct {
	Code   codes.Code        // one of codes.go
	Params map[string]string // of the code
	URL    string            // where; may be empty
}

// Result is the outcome for one address. Settings are best first, each server once.
type Result struct {
	Name     string // the provider's; empty: not in the table
	Link     string // template of where its mail is read; empty: not known
	Settings []Settings
	Notes    []Note
}

// Resolver is the part of *net.Resolver that Finder uses. Tests replace it.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Finder finds settings. Its fields are not changed after the first use.
type Finder struct {
	Resolver Resolver
	Permit   netguard.Permit // asked for each address before it is dialed

	// HasClient reports whether people can sign in at Settings.OAuth, because an admin has
	// registered this server there. Nil: they can nowhere.
	HasClient func(provider string) bool

	// TokensFor returns the provider whose tokens are for a mail server: one of package oauth, or
	// the URL of an issuer at which an admin has registered this server. It returns "" if there
	// is no such provider, as does a nil TokensFor.
	TokensFor func(host string) string

	// Seams for tests: nil dials what Permit permits, and believes the certificates that the system
	// does.
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	resolve func(ctx context.Context, host string) ([]netip.Addr, error) // of mail servers alone
	roots   *x509.CertPool
}

// within is how long an answer may take.
const within = 5 * time.Second

// ErrAddress means that the text is not a mail address.
var ErrAddress = errors.New("is no mail address")

// IsAddress reports whether the text is a mail address.
func IsAddress(email string) bool {
	_, _, err := parse(email)
	return err == nil
}

// parse returns the address with its domain in ASCII and lower case.
func parse(email string) (local, domain string, err error) {
	i := strings.LastIndexByte(email, '@')
	if i < 1 || len(email) > 254 || strings.ContainsFunc(email, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", "", ErrAddress
	}
	domain, err = idna.Lookup.ToASCII(strings.TrimSuffix(email[i+1:], "."))
	if err != nil || !netguard.IsHostName(domain) || !strings.Contains(domain, ".") {
		return "", "", ErrAddress
	}
	return email[:i], domain, nil
}

// found is what one source has said.
type found struct {
	settings []Settings
	provider *provider
	oauth    bool // there is nothing but OAuth2, and no issuer
}

// Find looks for the settings of a mail address, for at most 5 s or until ctx ends. Only the domain
// goes to third parties; the address goes to the domain's own server. That nothing was found is no
// error, but a note. ErrAddress: it is no mail address.
func (f *Finder) Find(ctx context.Context, email string) (Result, error) {
	local, domain, err := parse(email)
	if err != nil {
		return Result{}, err
	}
	email = local + "@" + domain
	if p := providerOf(domain); p != nil {
		return f.noted(p.result(email)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	said := f.ask(ctx, email, domain)
	return f.noted(combine(email, said)), nil
}

// At returns how one logs in at a mail server that a person names for an address, without asking
// anybody. There are settings only if people sign in to it, or the table has it. ErrAddress: it is
// no mail address.
func (f *Finder) At(email, host string) (Result, error) {
	local, domain, err := parse(email)
	if err != nil {
		return Result{}, err
	}
	email = local + "@" + domain
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	var r Result
	if p := f.providerAt(host); p != nil {
		r = p.result(email)
	} else if f.tokensFor(host) != "" {
		r.Settings = []Settings{{Port: 993, Security: "tls", Username: email, Auth: []string{Password}}}
	}
	for i := range r.Settings {
		r.Settings[i].Host, r.Settings[i].Source = host, Named
	}
	return f.noted(r), nil
}

// noted adds where people sign in, and the note about that if there is no other way to log in.
func (f *Finder) noted(r Result) Result {
	for i := range r.Settings {
		f.addSignIn(&r.Settings[i])
	}
	if len(r.Settings) > 0 && slices.Equal(r.Settings[0].Auth, []string{OAuth}) {
		r.Notes = append(r.Notes, f.signInNote(r.Settings[0]))
	}
	return r
}

// ask asks all sources at once. It returns as soon as one has answered and none before it in
// Sources can any more.
func (f *Finder) ask(ctx context.Context, email, domain string) map[Source]found {
	ctx, enough := context.WithCancel(ctx)
	type answer struct {
		source Source
		found
	}
	answers := make(chan answer, len(Sources))
	var group sync.WaitGroup
	defer func() {
		enough()
		group.Wait()
	}()
	sources := f.sources(ctx, email, domain)
	for source, look := range sources {
		group.Go(func() { answers <- answer{source, look(ctx)} })
	}
	said := make(map[Source]found)
	for len(said) < len(sources) {
		select {
		case a := <-answers:
			said[a.source] = a.found
		case <-ctx.Done():
			return said
		}
		if settled(said) {
			return said
		}
	}
	return said
}

// settled reports whether a source has found settings, or a provider without IMAP, and all better
// sources have answered.
func settled(said map[Source]found) bool {
	for _, source := range Sources {
		got, answered := said[source]
		if !answered {
			return false
		}
		if len(got.settings) > 0 || got.provider != nil {
			return true
		}
	}
	return false
}

// sources are the ways to find the settings of a domain that is not in the table. One whose mail a
// provider of the table receives is hosted there, whatever an old file of the domain says.
func (f *Finder) sources(ctx context.Context, email, domain string) map[Source]func(context.Context) found {
	receiver := sync.OnceValue(func() string { return f.receiver(ctx, domain) })
	return map[Source]func(context.Context) found{
		Table: func(context.Context) found { return hosted(email, receiver()) },
		Autoconfig: func(ctx context.Context) found {
			return f.config(ctx, Autoconfig, "https://autoconfig."+domain+"/mail/config-v1.1.xml?emailaddress="+escape(email), email)
		},
		WellKnown: func(ctx context.Context) found {
			return f.config(ctx, WellKnown, "https://"+domain+"/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress="+escape(email), email)
		},
		ISPDB: func(ctx context.Context) found { return f.config(ctx, ISPDB, ispdb+domain, email) },
		MX:    func(ctx context.Context) found { return f.mx(ctx, email, domain, receiver()) },
		SRV:   func(ctx context.Context) found { return f.srv(ctx, email, domain) },
		Guess: func(ctx context.Context) found { return f.guess(ctx, email, domain) },
	}
}

// combine puts what the sources said in order.
func combine(email string, said map[Source]found) Result {
	var r Result
	oauth, closed := false, false
	for _, source := range Sources {
		got := said[source]
		p := got.provider
		if p == nil && len(got.settings) > 0 {
			p = providerAt(got.settings[0].Host)
		}
		if p != nil && r.Name == "" {
			known := p.result(email)
			r.Name, r.Link, r.Notes, closed = known.Name, known.Link, known.Notes, p.host == ""
		}
		oauth = oauth || got.oauth
		for _, s := range got.settings {
			same := func(o Settings) bool { return strings.EqualFold(o.Host, s.Host) && o.Port == s.Port }
			if !closed && !slices.ContainsFunc(r.Settings, same) {
				r.Settings = append(r.Settings, s)
			}
		}
	}
	switch {
	case len(r.Notes) > 0 || len(r.Settings) > 0:
	case oauth:
		r.Notes = []Note{{Code: "oauth2", Params: caseIs(caseNoIssuer)}}
	default:
		r.Notes = []Note{{Code: "none_found"}}
	}
	return r
}

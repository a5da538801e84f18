package discover

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"idlepush/netguard"
)

// ispdb is Thunderbird's list of providers, by domain.
const ispdb = "https://autoconfig.thunderbird.net/v1.1/"

// mx finds the provider that takes the domain's mail, by its most preferred server: in the table,
// or in what that provider publishes. It sends that provider its own domain alone.
func (f *Finder) mx(ctx context.Context, email, domain string) found {
	list, err := f.Resolver.LookupMX(ctx, domain)
	if err != nil || len(list) == 0 {
		return found{}
	}
	best := slices.MinFunc(list, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	host := strings.ToLower(strings.TrimSuffix(best.Host, "."))
	if p := providerByMX(host); p != nil {
		return hosted(p, email)
	}
	if !netguard.IsHostName(host) {
		return found{}
	}
	base, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil || base == domain {
		return found{}
	}
	if p := providerOf(base); p != nil {
		return hosted(p, email)
	}
	got := f.config(ctx, MX, "https://autoconfig."+base+"/mail/config-v1.1.xml", email)
	if len(got.settings) == 0 {
		got = f.config(ctx, MX, ispdb+base, email)
	}
	return got
}

// hosted is what the table says of a provider that takes the mail of another domain: there the
// whole address is the user name.
func hosted(p *provider, email string) found {
	got := found{provider: p, settings: p.result(email).Settings}
	for i := range got.settings {
		got.settings[i].Source, got.settings[i].Username = MX, email
	}
	return got
}

// srv asks for the domain's own records (RFC 6186, RFC 8314 section 5.1); a target of "." says that
// there is no such service.
func (f *Finder) srv(ctx context.Context, email, domain string) (got found) {
	for _, kind := range []struct{ service, security string }{{"imaps", "tls"}, {"imap", "starttls"}} {
		_, list, err := f.Resolver.LookupSRV(ctx, kind.service, "tcp", domain)
		if err != nil {
			continue
		}
		for _, r := range list[:min(len(list), 3)] {
			if host := strings.ToLower(strings.TrimSuffix(r.Target, ".")); netguard.IsHostName(host) && r.Port > 0 {
				auth, oauth := ways(host)
				got.settings = append(got.settings, Settings{Host: host, Port: int(r.Port), Security: kind.security, Username: email, Source: SRV, Auth: auth, OAuth: oauth})
			}
		}
	}
	return got
}

// guess looks whether a mail server is there under one of the usual names.
func (f *Finder) guess(ctx context.Context, email, domain string) (got found) {
	for _, host := range []string{"imap." + domain, "mail." + domain, domain} {
		if f.answers(ctx, host) {
			return found{settings: []Settings{{Host: host, Port: 993, Security: "tls", Username: email, Source: Guess, Auth: []string{Password}}}}
		}
	}
	return found{}
}

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

// receiver returns the most preferred MX of the domain, or "".
func (f *Finder) receiver(ctx context.Context, domain string) string {
	list, err := f.Resolver.LookupMX(ctx, domain)
	if err != nil || len(list) == 0 {
		return ""
	}
	best := slices.MinFunc(list, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	host := strings.ToLower(strings.TrimSuffix(best.Host, "."))
	if !netguard.IsHostName(host) {
		return ""
	}
	return host
}

// hosted is what the table says of the provider to which the receiver belongs: there the whole
// address is the user name.
func hosted(email, receiver string) found {
	p := providerByMX(receiver)
	if base, err := publicsuffix.EffectiveTLDPlusOne(receiver); p == nil && err == nil {
		p = providerOf(base)
	}
	if p == nil {
		return found{}
	}
	got := found{provider: p, settings: p.result(email).Settings}
	for i := range got.settings {
		got.settings[i].Source, got.settings[i].Username = MX, email
	}
	return got
}

// mx is what the provider to which the receiver belongs publishes. It is sent its own domain alone.
func (f *Finder) mx(ctx context.Context, email, domain, receiver string) found {
	base, err := publicsuffix.EffectiveTLDPlusOne(receiver)
	if err != nil || base == domain {
		return found{}
	}
	got := f.config(ctx, MX, "https://autoconfig."+base+"/mail/config-v1.1.xml", email)
	if len(got.settings) == 0 {
		got = f.config(ctx, MX, ispdb+base, email)
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
				got.settings = append(got.settings, Settings{Host: host, Port: int(r.Port), Security: kind.security, Username: email, Source: SRV, Auth: []string{Password}})
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

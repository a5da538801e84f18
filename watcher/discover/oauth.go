package discover

import (
	"net/url"
	"slices"
	"strings"

	"idlepush/codes"
	"idlepush/netguard"
)

// signIn is a provider where people sign in, and its tokens let mail programs in. Its URLs are in
// package oauth, under the same name.
type signIn struct {
	name, title string
	issuers     string // hosts by which configuration files name it, separated by spaces
}

var signIns = []signIn{
	{"google", "Google", "accounts.google.com"},
	{"microsoft", "Microsoft", "login.microsoftonline.com login.live.com"},
	{"yahoo", "Yahoo", "login.yahoo.com api.login.yahoo.com"},
	{"aol", "AOL", "login.aol.com api.login.aol.com"},
	{"fastmail", "Fastmail", "www.fastmail.com api.fastmail.com"},
	{"yandex", "Yandex", "oauth.yandex.com oauth.yandex.ru"},
	{"mailru", "Mail.ru", "o2.mail.ru oauth.mail.ru"},
	{"comcast", "Xfinity", "comcast.net oauth.xfinity.com"},
	{"seznam", "Seznam", "login.seznam.cz"},
}

// oauthConfig is what matters of the element oAuth2 of a configuration file. Its URLs are not read:
// a file may name the issuer, but not the page on which people type their password. Its scopes are
// not read either: the issuer names its own.
type oauthConfig struct {
	Issuer string `xml:"issuer"`
}

// issuer returns the issuer for Settings, or "" if there is no usable one. It ignores providers of
// signIns: their tokens are for their own servers, which the table has, and must not go to a
// stranger's server.
func (c oauthConfig) issuer() string {
	issuer := issuerURL(strings.TrimSpace(c.Issuer))
	if signInAt(issuer) != nil {
		return ""
	}
	return issuer
}

// issuerURL returns the URL of an issuer (RFC 8414 section 2), which files write as such or as a
// host name; empty: it is neither.
func issuerURL(text string) string {
	if !strings.Contains(text, "/") {
		text = "https://" + strings.ToLower(text)
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > 256 || u.Scheme != "https" || u.User != nil || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '?' || r == '#' }) ||
		!netguard.IsHostName(u.Hostname()) || !strings.Contains(u.Hostname(), ".") {
		return ""
	}
	return text
}

// signInAt returns the provider to which an issuer's URL belongs; nil: it is another.
func signInAt(issuer string) *signIn {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	for i, s := range signIns {
		if slices.Contains(strings.Fields(s.issuers), host) {
			return &signIns[i]
		}
	}
	return nil
}

// addSignIn sets how to log in at a server of the table, and at which provider people sign in to
// any other server: the one that issues its tokens, whatever a file says. It sets whether they can.
func (f *Finder) addSignIn(s *Settings) {
	p, oauth := f.providerAt(s.Host), f.tokensFor(s.Host)
	switch {
	case p != nil:
		s.Auth, s.OAuth = strings.Fields(p.auth), p.oauth
	case oauth != "":
		s.OAuth = oauth
		if !slices.Contains(s.Auth, OAuth) {
			s.Auth = append(slices.Clip(s.Auth), OAuth)
		}
	}
	s.Client = s.OAuth != "" && f.HasClient != nil && f.HasClient(s.OAuth)
}

// tokensFor is TokensFor, which may be nil.
func (f *Finder) tokensFor(host string) string {
	if f.TokensFor == nil {
		return ""
	}
	return f.TokensFor(host)
}

// signInNote says where to sign in, or what an admin does first, for settings that take nothing
// else.
func (f *Finder) signInNote(s Settings) Note {
	n := Note{Code: "oauth2", Params: providerIs(titleOf(s.OAuth))}
	if !s.Client {
		n.Params[codes.Case] = caseNoClient
	}
	return n
}

// titleOf returns what people call the provider of Settings.OAuth: the host of an issuer.
func titleOf(oauth string) string {
	for _, s := range signIns {
		if s.name == oauth {
			return s.title
		}
	}
	u, err := url.Parse(oauth)
	if err != nil {
		return oauth
	}
	return u.Host
}

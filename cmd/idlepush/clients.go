package main

import (
	"errors"
	"fmt"
	"net/url"

	"idlepush"
	"idlepush/watcher/oauth"
)

// otherProvider is the name of the provider that is in no table. There can be one.
const otherProvider = "other"

// ofClients returns the settings of the OAuth clients: two for each provider of the table, and
// three for one that is not there.
func ofClients() (list []setting) {
	of := func(provider, prefix, title string) {
		client := func(change func(c *idlepush.OAuthClient, v string)) func(*settings, string) error {
			return func(s *settings, v string) error {
				c := s.oauth[provider]
				c.Provider = provider
				change(&c, v)
				if s.oauth == nil {
					s.oauth = make(map[string]idlepush.OAuthClient)
				}
				s.oauth[provider] = c
				return nil
			}
		}
		if provider == otherProvider {
			set := client(func(c *idlepush.OAuthClient, v string) { c.Issuer = v })
			list = append(list, setting{"oauth-issuer", "", false, "the https `address` of an OAuth provider that has no settings of its own", func(s *settings, v string) error {
				if !isIssuer(v) {
					return errors.New("want the https address of an authorization server, such as https://login.example.org/realms/home")
				}
				return set(s, v)
			}})
		}
		list = append(list,
			setting{prefix + "-id", "", false, "the client `id` of this server at " + title + ", for people who sign in to a mailbox there",
				client(func(c *idlepush.OAuthClient, v string) { c.ID = v })},
			setting{prefix + "-secret", "", true, "the `secret` of that client; default: it has none",
				client(func(c *idlepush.OAuthClient, v string) { c.Secret = idlepush.Secret(v) })})
	}
	for _, p := range oauth.Table() {
		of(p.Name, "oauth-"+p.Name+"-client", p.Title)
	}
	of(otherProvider, "oauth-client", "the provider of oauth-issuer")
	return list
}

// isIssuer reports whether v has the form of an issuer (RFC 8414 section 2).
func isIssuer(v string) bool {
	u, err := url.Parse(v)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// checkClients checks the settings of OAuth clients that depend on each other.
func (s settings) checkClients() error {
	missing := func(name, without string) error {
		return fmt.Errorf("setting %s (--%s or %s): is required with %s", name, name, variable(name), without)
	}
	for provider, c := range s.oauth {
		prefix := "oauth-" + provider + "-client"
		if provider == otherProvider {
			prefix = "oauth-client"
			if c.Issuer == "" {
				return missing("oauth-issuer", "oauth-client-id and oauth-client-secret")
			}
		}
		p, _ := oauth.Named(provider)
		switch {
		case c.ID == "":
			return missing(prefix+"-id", "the other settings of that client")
		case p.ClientID != nil && !p.ClientID.MatchString(c.ID):
			name := prefix + "-id"
			return fmt.Errorf("setting %s (--%s or %s): want a client ID of %s, such as %s", name, name, variable(name), p.Title, p.Example)
		case p.NeedsSecret && c.Secret == "":
			return missing(prefix+"-secret", prefix+"-id: "+p.Title+" gives out no client without one")
		}
	}
	return nil
}

// Package oauth gets access tokens for mail from a provider's authorization server, so that a
// mailbox can be read without its password (RFC 6749).
//
// A [Provider] comes from the table of providers, by [Named], or is discovered from its issuer's
// metadata. A person consents with a browser, by an authorization code that is bound to this
// program (PKCE), or on any other machine, by a device code. The [Client] then has a refresh token,
// and renews access tokens with it. What goes wrong is an [Error], which says who can help.
//
// It is a package of its own because it speaks HTTPS with servers that are no mail servers. It
// knows neither accounts nor the store.
package oauth

package idlepush

// OAuthClient is how this server is registered with a provider that gives tokens for mail (RFC 6749
// section 2).
type OAuthClient struct {
	Provider string // name in the table of providers, such as "microsoft", or "other"
	Issuer   string // URL of the provider; only of "other", which is in no table
	ID       string // client id
	Secret   Secret `json:"-"` // empty: a public client
}

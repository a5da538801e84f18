package idlepush

// OAuthClient is how this server is registered with a provider that gives tokens for mail (RFC 6749
// section 2).
type OAuthClient struct {
	Provider string // name in the table of providers, such as "microsoft", or OtherProvider
	Issuer   string // URL of the provider; only of OtherProvider
	ID       string // client id
	Secret   Secret `json:"-"` // empty: it has none, as a public client
}

// OtherProvider is the provider that is in no table. There can be one.
const OtherProvider = "other"

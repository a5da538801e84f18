package web

import (
	"context"

	"idlepush/codes"
	"idlepush/netguard"
)

// Discovery holds the settings found for a mail address.
type Discovery struct {
	Provider *Provider  `json:"provider,omitempty" doc:"Absent: not a known provider"`
	Settings []Settings `json:"settings" doc:"Best first"`
	Notes    []Note     `json:"notes" doc:"What to do or know first"`
}

// Provider is a large mail provider.
type Provider struct {
	Name string `json:"name"`
	Link string `json:"link,omitempty" doc:"Template for the link of an account; absent: unknown"`
}

// Settings are the settings of one mail server.
type Settings struct {
	Host     string   `json:"host"`
	Port     int      `json:"port"`
	Security string   `json:"security" enum:"tls,starttls"`
	Username string   `json:"username"`
	Source   string   `json:"source" enum:"table,autoconfig,well_known,ispdb,mx,srv,guess,named" doc:"Where the settings come from: the table of large providers, the domain itself (autoconfig, well_known), Thunderbird's database (ispdb), the provider that receives its mail (mx), its DNS records (srv), a guess, or the request, which has named the server"`
	Auth     []string `json:"auth" enum:"password,app_password,code,oauth" doc:"The ways to log in, what needs the least first. A code is given like a password"`
	OAuth    string   `json:"oauth,omitempty" doc:"Where to sign in: the name of a provider such as microsoft, or the URL of an issuer"`
	Client   bool     `json:"client,omitempty" doc:"Whether this server is registered at oauth, so that people can sign in there"`
}

// Note is something to do or know before the login can work.
type Note struct {
	Code   codes.Code        `json:"code" enum:"app_password,imap_switch,authorization_code,oauth2,bridge,none_found"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Text   string            `json:"text"`
	URL    string            `json:"url,omitempty" doc:"Where to do it"`
}

// Address is a mail address.
type Address struct {
	Email string `json:"email" minLength:"3" maxLength:"254"`
	Host  string `json:"host,omitempty" maxLength:"253" doc:"A mail server that the person has named: the answer says how one logs in there, if that is known, and nobody is asked. Absent: the server is searched"`
}

// ErrAddress means that a text is not a mail address.
var ErrAddress error = fault("email", "field_bad_address")

func (h *accountHandlers) discover(ctx context.Context, c caller, in *body[Address]) (*body[Discovery], error) {
	b := in.Body
	if b.Host != "" && !netguard.IsHost(b.Host) {
		return nil, fault("host", "field_bad_host")
	}
	allow := h.limits.allowLogin
	if b.Host != "" {
		allow = h.limits.allowHostLookup
	}
	if err := allow(c); err != nil {
		return nil, err
	}
	found, err := h.mail.Discover(ctx, b.Email, b.Host)
	if err != nil {
		return nil, err
	}
	found.Settings, found.Notes = append([]Settings{}, found.Settings...), append([]Note{}, found.Notes...)
	return &body[Discovery]{found}, nil
}

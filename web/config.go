package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/promise"
	"idlepush/registry"
	"idlepush/ring"
)

// Config holds everything that the API needs. A field is required unless it says otherwise.
// Functions may be called from several goroutines at once.
type Config struct {
	Users    registry.Users
	Logins   registry.Logins
	Accounts registry.Accounts
	Devices  registry.Devices
	History  registry.History
	Mail     MailConfig
	OAuth    OAuthConfig
	Push     PushConfig
	Log      *slog.Logger
	Codes    codes.Table // all that answers may have, those of web included
	Version  string      // of the program, for the OpenAPI document

	// AdminToken is a bearer token with admin rights, for provisioning. It belongs to no user, so
	// requests that create something name the user. It sees states and never content. If it is
	// empty, there is no such token.
	AdminToken idlepush.Secret

	// TrustedProxies are the networks whose X-Forwarded-For and X-Forwarded-Proto, or else
	// Forwarded, are believed. It may be empty.
	TrustedProxies netguard.Networks

	// Advice is what the program has found at its start that admins should change. It may be empty.
	Advice []idlepush.Reason

	// PublicURL returns the https origin at which phones reach this server, or "" if it is unknown.
	PublicURL func() string

	// Stopping is closed when the server begins to stop, which ends all event streams. It may be
	// nil.
	Stopping <-chan struct{}

	// Metrics answers GET /metrics, which is for the admin token and tokens of admins. It may be
	// nil.
	Metrics http.Handler

	// Broken returns the promises that are broken now.
	Broken func() []promise.Broken

	// Ready returns the reason why the server cannot work, or nil if it can.
	Ready func() error
}

// MailConfig holds what the API needs of mail servers.
type MailConfig struct {
	// Check tries the login of an account. It blocks until the mail server has answered, for at
	// most 30 s, which ctx bounds. It returns a *CheckError if the user can fix the problem, and
	// registry.ErrStale if the account is one of the store and was changed meanwhile. Any other
	// error is logged and answered with 500.
	Check func(ctx context.Context, a idlepush.Account) (Check, error)

	// Discover looks for the settings of a mail address, for at most 5 s. With a host it makes no
	// request, and returns the settings that are known for that server. It returns ErrAddress if
	// email is not an address.
	Discover func(ctx context.Context, email, host string) (Discovery, error)

	// Examine goes the way of a session to the mailbox of an account, and returns each step. ctx
	// bounds it.
	Examine func(ctx context.Context, a idlepush.Account) []idlepush.Step

	// Recent returns the newest mails of the last 7 days in the watched folders of an account, at
	// most 200, oldest first. ctx bounds it. Its errors are those of Check.
	Recent func(ctx context.Context, a idlepush.Account) ([]ring.Mail, error)

	// Live returns the live state of an account's session, which is not stored.
	Live func(account string) Live
}

// OAuthConfig holds what the API needs of the providers where people sign in to their mailboxes.
type OAuthConfig struct {
	// Providers are those of the table of providers, and "other", which is in none.
	Providers []OAuthProvider

	// Settings are the clients that settings have. They win over those that admins set.
	Settings []idlepush.OAuthClient

	// CheckIssuer checks that people can sign in at the provider with that URL, and reads its
	// metadata for that, for at most 40 s. It returns a *CheckError if they cannot.
	CheckIssuer func(ctx context.Context, issuer string) error

	// SignIn begins the sign-in of a person to a mailbox at its provider, for at most 40 s. The
	// provider sends the person's browser to redirect afterwards, with the state; if redirect is
	// empty, the person enters a code instead. It returns a *CheckError if the provider refuses
	// that or cannot be reached.
	SignIn func(ctx context.Context, a idlepush.Account, redirect, state string) (SignIn, error)

	// AskProvider has the mailboxes tried at once that wait for that provider, as in Account.OAuth.
	AskProvider func(provider string)

	// CheckToken is MailConfig.Check by an access token.
	CheckToken func(ctx context.Context, a idlepush.Account, access idlepush.Secret) (Check, error)
}

// SignIn is a sign-in at a provider that has begun.
type SignIn struct {
	URL      string    // of the page on which the person signs in
	UserCode string    // what the person enters there; empty: the browser comes back by itself
	Expires  time.Time // of UserCode

	// Finish returns the tokens that the provider gives. answer is the query with which the browser
	// has come back. With a UserCode it is nil, and Finish blocks until the person has entered
	// that. It returns a *CheckError if the person declines, the provider refuses or the time is
	// over.
	Finish func(ctx context.Context, answer url.Values) (Tokens, error)
}

// Tokens are what a provider gives for a consent.
type Tokens struct{ Access, Refresh idlepush.Secret }

// OAuthProvider is one where people can sign in to their mailboxes.
type OAuthProvider struct {
	Name  string // in the table, or "other"
	Title string // for people; empty: it is "other"

	ClientID    *regexp.Regexp // of every client ID that it gives out; nil: they may be anything
	Example     string         // of a client ID; empty if ClientID is nil
	NeedsSecret bool           // it gives out no client without a secret
}

// PushConfig holds what the API needs of push services.
type PushConfig struct {
	Transports []Transport

	// CheckAddress checks the address, the keys and the parameters of a device, and that this
	// server is configured for its transport. It sends nothing. It returns a FieldError if the
	// user can fix the problem.
	CheckAddress func(d idlepush.Device) error

	// Route returns the device with the fields that its transport decides: Lane and MustShow.
	Route func(d idlepush.Device) idlepush.Device

	// Prove sends one test push to a device, bypassing the queue. It returns when ctx ends, which
	// is after at most 10 s. A new device has no id yet.
	Prove func(ctx context.Context, d idlepush.Device) registry.Outcome

	// Preview returns the request that the device's push service would receive for a sample mail at
	// the level d.Content, without secrets. If there can be no such request, it returns the outcome
	// that says why. It sends nothing.
	Preview func(d idlepush.Device) (PushRequest, *registry.Outcome)

	// Replay returns how mails of an account would have rung on a device by these wishes. now is
	// when the mails were read.
	Replay func(mails []ring.Mail, d idlepush.Device, account string, w ring.Wishes, on ring.DeviceWishes, now time.Time) ring.Replay

	// VAPIDKey is the public application server key (RFC 8292 section 3.2): 65 bytes, an
	// uncompressed P-256 point.
	VAPIDKey []byte
}

// Live is the live state of an account's session. A zero time is unknown.
type Live struct {
	Connections int             // open now
	LastByte    time.Time       // last data from the server
	Confirmed   time.Time       // last confirmation by the server that there is no more mail
	LastMail    time.Time       // last mail that is to be notified
	Interval    time.Duration   // how long the connection may be silent
	Why         idlepush.Reason // reason for Interval
	Tour        time.Duration   // between looks at folders that are not reported; zero: none
}

// PushRequest is the HTTP request that a push service would receive, without its secrets.
type PushRequest struct {
	Method, URL string
	Header      http.Header
	Body        []byte
	Plaintext   []byte   // decrypted content of Body; nil if not encrypted
	Readable    []string // descriptions of the parts that the service can read
}

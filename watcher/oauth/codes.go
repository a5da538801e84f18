package oauth

import "idlepush/codes"

// Codes are those of an [Error]. The parameter provider is its title.
var Codes = []codes.Entry{
	// Only the person can help, who signs in again.
	{Code: "consent_ended", Text: "{provider} does not accept the sign-in any more: it was withdrawn, it has expired, or the password was changed. Sign in again."},
	{Code: "consent_interaction", Text: "{provider} wants to see you again, for example to have the sign-in confirmed on your phone. Sign in again."},
	{Code: "consent_declined", Text: "the sign-in with {provider} was declined. Sign in again, and allow access to your mail."},
	{Code: "consent_code_refused", Text: "{provider} does not know this sign-in any more: it took too long, or it was used before. Sign in again."},
	{Code: "consent_mixed_up", Text: "this sign-in came back from another provider than {provider}. Sign in again."},
	{Code: "consent_needs_organization", Text: "the organization that this mailbox belongs to does not let idlepush in: its administrators must allow this client of {provider}, or except it from their rules. Then sign in again."},
	{Code: "device_code_expired", Text: "the code was not entered at {provider} in time. Begin again."},
	{Code: "no_device_code", Text: "{provider} has no sign-in by a code that is entered elsewhere: open idlepush at its public URL, and sign in there"},

	// The admin of this server must act.
	{Code: "client_refused", Text: "{provider} does not accept this server's client: its admin must compare client id and secret with those registered there", Cases: map[string]string{
		secretWrong:    "{provider} does not accept the secret of this server's client: its admin must enter the value of the secret, not its id",
		secretExpired:  "the secret of this server's client has expired: its admin must make a new one at {provider} and enter it in idlepush",
		clientUnknown:  "{provider} does not know this server's client: its admin must compare the client id with the one registered there",
		secretMissing:  `{provider} wants a secret of this server's client: its admin must set "Allow public client flows" to Yes in the registration there, or enter a secret in idlepush`,
		secretNeedless: "{provider} has registered this server's client as a public one, which has no secret: its admin must remove the secret in idlepush, or move the redirect URL to the platform Web in the registration there",
	}},
	{Code: "client_not_permitted", Text: "{provider} does not permit this server's client to sign people in this way: its admin must register it for mail, with codes and refresh tokens", Cases: map[string]string{
		accountTypes: "this server's client is registered at {provider} for other kinds of accounts: its admin must allow personal accounts and those of any organization",
		singlePage:   "this server's client is registered at {provider} as a single-page application: its admin must register it as a web or public client",
	}},
	{Code: "redirect_refused", Text: "{provider} does not know the redirect URL of this server's client: its admin must register there the public URL followed by /oauth, exactly as idlepush shows it"},
	{Code: "scope_refused", Text: "{provider} does not give this server's client access to mail: its admin must register it for mail"},
	{Code: "request_refused", Text: "{provider} does not understand the request of this server: its admin must compare the client with the one registered there"},
	{Code: "no_refresh_token", Text: "{provider} has let idlepush in for a short time only: the admin of this server must register the client for offline access, which gives a refresh token"},
	{Code: "provider_forbidden", Text: "this server must not connect to {provider}: it lies in a private network, where the admin of this server must allow it with its port in allow-mail"},

	// The provider's metadata cannot be used.
	{Code: "issuer_invalid", Text: "an issuer must be the https address of an authorization server, without query and fragment"},
	{Code: "issuer_without_metadata", Text: "{provider} publishes no metadata of an authorization server: check the issuer's address"},
	{Code: "issuer_faulty", Text: "the metadata of {provider} cannot be used", Cases: map[string]string{
		otherIssuer: "the metadata of {provider} is of another issuer: enter the issuer exactly as the provider writes it",
		badEndpoint: "the metadata of {provider} names endpoints without https, or in a private network",
		otherHost:   "the metadata of {provider} cannot be used: the provider sends requests for it to another host, or in circles",
		noSuchGrant: "{provider} does not let programs sign people in: it has no authorization code with PKCE (S256)",
		tooMuch:     "the metadata of {provider} is too large",
	}},

	// It is tried again.
	{Code: "provider_unreachable", Text: "{provider} cannot be reached. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		personWaits: "{provider} cannot be reached: try again in a few minutes",
	}},
	{Code: "provider_untrusted", Text: "the certificate of {provider} is not trusted by the machine that idlepush runs on: if it stays so, check its clock and its certificates", Cases: map[string]string{
		personWaits: "the certificate of {provider} is not trusted by the machine that idlepush runs on: check its clock and its certificates",
	}},
	{Code: "provider_silent", Text: "{provider} does not answer. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		personWaits: "{provider} does not answer: try again in a few minutes",
	}},
	{Code: "provider_unavailable", Text: "{provider} has a temporary problem. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		personWaits: "{provider} has a temporary problem: try again in a few minutes",
	}},
	{Code: "provider_busy", Text: "{provider} is asked too much. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		personWaits: "{provider} is asked too much: try again in a few minutes",
	}},
	{Code: "provider_faulty", Text: "what {provider} answers is not what an authorization server must answer. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		personWaits: "what {provider} answers is not what an authorization server must answer: try again in a few minutes",
	}},
	{Code: "provider_refuses", Text: "{provider} refuses for a reason that idlepush does not know. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		personWaits: "{provider} refuses for a reason that idlepush does not know: try again in a few minutes",
	}},
}

// The cases of codes that have several sentences.
const (
	// personWaits is the case of an error that a person waits for, who signs in just now.
	personWaits = "person_waits"

	secretWrong    = "secret_wrong"
	secretExpired  = "secret_expired"
	clientUnknown  = "client_unknown"
	secretMissing  = "secret_missing"
	secretNeedless = "secret_needless"

	accountTypes = "account_types"
	singlePage   = "single_page"

	otherIssuer = "other_issuer"
	badEndpoint = "bad_endpoint"
	otherHost   = "other_host"
	noSuchGrant = "no_such_grant"
	tooMuch     = "too_much"
)

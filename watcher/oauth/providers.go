package oauth

import "regexp"

// table is the providers whose tokens open mailboxes by IMAP. Endpoints and scopes are those of
// Thunderbird's list (comm-central, mailnews/base/src/OAuth2Providers.sys.mjs) and of the vendors'
// pages that are named here. Each entry asks only for the scopes that it needs.
var table = []Provider{
	// https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
	// names the scope, and the device code for IMAP. The tenant "common" takes personal accounts
	// and those of organisations.
	{
		Name: "microsoft", Title: "Microsoft",
		Issuer:    "https://login.microsoftonline.com/common/v2.0",
		AuthURL:   "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
		TokenURL:  "https://login.microsoftonline.com/common/oauth2/v2.0/token",
		DeviceURL: "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
		Scopes:    []string{"https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"},
		Hosts:     []string{"outlook.office365.com", ".outlook.office365.com", "imap-mail.outlook.com"},
		ClientID:  regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
		Example:   "6731de76-14a6-49ae-97bc-6eba6914391e",
	},
	// https://developers.google.com/identity/protocols/oauth2/web-server: only access_type=offline
	// brings a refresh token, and after the first consent only prompt=consent does again. The
	// device code cannot grant this scope (limited-input-device#allowedscopes).
	// https://developers.google.com/workspace/gmail/imap/xoauth2-protocol names the scope.
	{
		Name: "google", Title: "Google",
		Issuer:   "https://accounts.google.com",
		AuthURL:  "https://accounts.google.com/o/oauth2/v2/auth",
		TokenURL: "https://oauth2.googleapis.com/token",
		Scopes:   []string{"https://mail.google.com/"},
		Params:   map[string]string{"access_type": "offline", "prompt": "consent"},
		Hosts:    []string{"imap.gmail.com", "imap.googlemail.com"},

		NeedsSecret: true, // of a web application
	},
	// https://developer.yahoo.com/oauth2/guide/flows_authcode/. Yahoo must approve a client for
	// mail.
	{
		Name: "yahoo", Title: "Yahoo",
		Issuer:   "https://api.login.yahoo.com",
		AuthURL:  "https://api.login.yahoo.com/oauth2/request_auth",
		TokenURL: "https://api.login.yahoo.com/oauth2/get_token",
		Scopes:   []string{"mail-w"},
		Hosts:    []string{"imap.mail.yahoo.com", ".imap.mail.yahoo.com", "imap.mail.att.net"},
	},
	{
		Name: "aol", Title: "AOL",
		Issuer:   "https://api.login.aol.com",
		AuthURL:  "https://api.login.aol.com/oauth2/request_auth",
		TokenURL: "https://api.login.aol.com/oauth2/get_token",
		Scopes:   []string{"mail-w"},
		Hosts:    []string{"imap.aol.com", "export.imap.aol.com"},
	},
	// https://www.fastmail.com/for-developers/oauth/. Fastmail registers clients itself.
	{
		Name: "fastmail", Title: "Fastmail",
		Issuer:   "https://api.fastmail.com",
		AuthURL:  "https://api.fastmail.com/oauth/authorize",
		TokenURL: "https://api.fastmail.com/oauth/refresh",
		Scopes:   []string{"https://www.fastmail.com/dev/protocol-imap"},
		Hosts:    []string{"imap.fastmail.com"},
	},
	// https://yandex.com/dev/id/doc/en/codes/code-url. Access tokens live for months, and a refresh
	// may return the same one again. Its device code is not that of RFC 8628.
	{
		Name: "yandex", Title: "Yandex",
		Issuer:   "https://oauth.yandex.com",
		AuthURL:  "https://oauth.yandex.com/authorize",
		TokenURL: "https://oauth.yandex.com/token",
		Scopes:   []string{"mail:imap_full"},
		Hosts:    []string{"imap.yandex.com", "imap.yandex.ru"},
	},
	// https://id.vk.com/about/business/go/docs/ru/vkid/latest/oauth/oauth-mail/index: mail.imap is
	// given with openid only, and a refresh token with offline_access and prompt=consent only.
	{
		Name: "mailru", Title: "Mail.ru",
		Issuer:   "https://oauth.mail.ru",
		AuthURL:  "https://oauth.mail.ru/login",
		TokenURL: "https://oauth.mail.ru/token",
		Scopes:   []string{"openid", "mail.imap", "offline_access"},
		Params:   map[string]string{"prompt": "consent"},
		Hosts:    []string{"imap.mail.ru"},
	},
	{
		Name: "comcast", Title: "Xfinity",
		Issuer:   "https://oauth.xfinity.com",
		AuthURL:  "https://oauth.xfinity.com/oauth/authorize",
		TokenURL: "https://oauth.xfinity.com/oauth/token",
		Scopes:   []string{"https://email.comcast.net/", "profile", "openid"},
		Hosts:    []string{"imap.comcast.net"},
	},
	{
		Name: "seznam", Title: "Seznam",
		Issuer:   "https://login.seznam.cz",
		AuthURL:  "https://login.seznam.cz/api/v1/oauth/auth",
		TokenURL: "https://login.seznam.cz/api/v1/oauth/token",
		Scopes:   []string{"identity", "email"},
		Hosts:    []string{"imap.seznam.cz"},
	},
}

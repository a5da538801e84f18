package discover

import (
	"slices"
	"strings"

	"idlepush/codes"
)

// provider is one line of the table: a large provider, what it takes, and what its users have to do
// first.
type provider struct {
	name    string
	domains string // separated by spaces; one that ends in ".*" is under any top-level domain
	mx      string // ends of the names of its mail servers, for domains of others that it hosts
	host    string // empty: there is no server for mail programs, and a note says so
	auth    string // Settings.Auth, separated by spaces
	oauth   string // Settings.OAuth
	local   bool   // its user names are what stands before the @
	link    string // template of where its mail is read
	notes   []Note
}

const gmailLink = "https://mail.google.com/mail/u/?authuser={email}#search/rfc822msgid:{message_id}"

func providerIs(name string) map[string]string { return map[string]string{"provider": name} }

func caseIs(name string) map[string]string { return map[string]string{codes.Case: name} }

func appPassword(name, url string) Note {
	return Note{"app_password", providerIs(name), url}
}

func imapSwitch(name, url string) Note {
	return Note{"imap_switch", providerIs(name), url}
}

func authorizationCode(name, url string) Note {
	return Note{"authorization_code", providerIs(name), url}
}

// Values of provider.auth that several have.
const (
	eitherPassword = Password + " " + AppPassword // with a second factor the former is refused
	appPasswordOr  = AppPassword + " " + OAuth
)

// table is the large providers. What one publishes about itself is not always right; this is.
var table = []provider{
	{name: "Gmail", domains: "gmail.com googlemail.com", mx: "google.com googlemail.com", host: "imap.gmail.com", auth: appPasswordOr, oauth: "google", link: gmailLink,
		notes: []Note{appPassword("Gmail", "https://myaccount.google.com/apppasswords")}},
	{name: "Outlook", domains: "outlook.* hotmail.* live.* msn.com passport.com", mx: "mail.protection.outlook.com mx.microsoft olc.protection.outlook.com", host: "outlook.office365.com", auth: OAuth, oauth: "microsoft"},
	{name: "Yahoo! JAPAN", domains: "yahoo.co.jp", host: "imap.mail.yahoo.co.jp", auth: Password, local: true, notes: []Note{imapSwitch("Yahoo! JAPAN", "https://mail.yahoo.co.jp")}},
	{name: "Yahoo", domains: "yahoo.* ymail.com rocketmail.com myyahoo.com", mx: "yahoodns.net", host: "imap.mail.yahoo.com", auth: appPasswordOr, oauth: "yahoo",
		notes: []Note{appPassword("Yahoo", "https://login.yahoo.com/account/security")}},
	{name: "AOL", domains: "aol.* aim.com", host: "imap.aol.com", auth: appPasswordOr, oauth: "aol", notes: []Note{appPassword("AOL", "https://login.aol.com/account/security")}},
	{name: "AT&T", domains: "att.net ameritech.net bellsouth.net currently.com flash.net nvbell.net pacbell.net prodigy.net sbcglobal.net snet.net swbell.net wans.net",
		host: "imap.mail.att.net", auth: appPasswordOr, oauth: "yahoo", notes: []Note{appPassword("AT&T", "https://www.att.com/support/article/email-support/KM1010523/")}},
	{name: "Comcast", domains: "comcast.net", host: "imap.comcast.net", auth: Password + " " + OAuth, oauth: "comcast",
		notes: []Note{imapSwitch("Comcast", "https://www.xfinity.com/support/articles/third-party-email-access")}},
	{name: "iCloud", domains: "icloud.com me.com mac.com", mx: "mail.icloud.com", host: "imap.mail.me.com", auth: AppPassword, local: true,
		notes: []Note{appPassword("iCloud", "https://account.apple.com/account/manage")}},
	{name: "GMX", domains: "gmx.net gmx.de gmx.at gmx.ch gmx.eu gmx.org gmx.info", mx: "gmx.net", host: "imap.gmx.net", auth: eitherPassword, notes: []Note{imapSwitch("GMX", "https://www.gmx.net")}},
	{name: "GMX", domains: "gmx.com gmx.us gmx.co.uk gmx.fr gmx.es", host: "imap.gmx.com", auth: eitherPassword, notes: []Note{imapSwitch("GMX", "https://www.gmx.com")}},
	{name: "WEB.DE", domains: "web.de email.de", mx: "web.de", host: "imap.web.de", auth: eitherPassword, notes: []Note{imapSwitch("WEB.DE", "https://web.de")}},
	{name: "T-Online", domains: "t-online.de magenta.de", host: "secureimap.t-online.de", auth: AppPassword,
		notes: []Note{{"app_password", map[string]string{codes.Case: caseOwnPassword, "provider": "T-Online"}, "https://www.telekom.de"}}},
	{name: "freenet", domains: "freenet.de", host: "mx.freenet.de", auth: Password},
	{name: "Posteo", domains: "posteo.de posteo.net posteo.eu posteo.org posteo.at posteo.ch", host: "posteo.de", auth: Password},
	{name: "mailbox.org", domains: "mailbox.org", mx: "mailbox.org", host: "imap.mailbox.org", auth: eitherPassword},
	{name: "Fastmail", domains: "fastmail.com fastmail.fm", mx: "messagingengine.com", host: "imap.fastmail.com", auth: appPasswordOr, oauth: "fastmail",
		notes: []Note{appPassword("Fastmail", "https://app.fastmail.com/settings/security")}},
	{name: "Zoho", domains: "zoho.com zohomail.com", mx: "zoho.com", host: "imap.zoho.com", auth: eitherPassword, notes: []Note{imapSwitch("Zoho", "https://mail.zoho.com"),
		{"app_password", caseIs(caseTwoFactor), "https://accounts.zoho.com/home#security/app_password"}}},
	{name: "Zoho", domains: "zoho.eu zohomail.eu", mx: "zoho.eu", host: "imap.zoho.eu", auth: eitherPassword, notes: []Note{imapSwitch("Zoho", "https://mail.zoho.eu")}},
	{name: "Yandex", domains: "yandex.* ya.ru", mx: "mx.yandex.net", host: "imap.yandex.com", auth: appPasswordOr, oauth: "yandex",
		notes: []Note{imapSwitch("Yandex", "https://mail.yandex.com"), appPassword("Yandex", "https://id.yandex.com/security/app-passwords")}},
	{name: "Mail.ru", domains: "mail.ru inbox.ru list.ru bk.ru internet.ru", mx: "mxs.mail.ru", host: "imap.mail.ru", auth: appPasswordOr, oauth: "mailru",
		notes: []Note{appPassword("Mail.ru", "https://account.mail.ru/user/2-step-auth/passwords")}},
	{name: "QQ Mail", domains: "qq.com foxmail.com vip.qq.com", host: "imap.qq.com", auth: Code, notes: []Note{authorizationCode("QQ Mail", "https://mail.qq.com")}},
	{name: "NetEase 163", domains: "163.com", host: "imap.163.com", auth: Code, notes: []Note{authorizationCode("163", "https://mail.163.com")}},
	{name: "NetEase 126", domains: "126.com", host: "imap.126.com", auth: Code, notes: []Note{authorizationCode("126", "https://mail.126.com")}},
	{name: "NetEase yeah.net", domains: "yeah.net", host: "imap.yeah.net", auth: Code, notes: []Note{authorizationCode("yeah.net", "https://mail.yeah.net")}},
	{name: "Naver", domains: "naver.com", host: "imap.naver.com", auth: AppPassword, local: true,
		notes: []Note{imapSwitch("Naver", "https://mail.naver.com"), appPassword("Naver", "https://nid.naver.com/user2/help/2StepVerif?m=viewManageSettings")}},
	{name: "Daum", domains: "daum.net hanmail.net", host: "imap.daum.net", auth: eitherPassword, local: true, notes: []Note{imapSwitch("Daum", "https://mail.daum.net")}},
	{name: "Orange", domains: "orange.fr wanadoo.fr", host: "imap.orange.fr", auth: Password},
	{name: "Free", domains: "free.fr", host: "imap.free.fr", auth: Password},
	{name: "La Poste", domains: "laposte.net", host: "imap.laposte.net", auth: Password},
	{name: "Libero", domains: "libero.it iol.it inwind.it blu.it", host: "imapmail.libero.it", auth: Password},
	{name: "Virgilio", domains: "virgilio.it", host: "in.virgilio.it", auth: Password},
	{name: "Seznam", domains: "seznam.cz email.cz post.cz", host: "imap.seznam.cz", auth: Password + " " + OAuth, oauth: "seznam", notes: []Note{imapSwitch("Seznam", "https://email.seznam.cz")}},
	{name: "WP", domains: "wp.pl", host: "imap.wp.pl", auth: Password, notes: []Note{imapSwitch("WP", "https://poczta.wp.pl")}},
	{name: "Onet", domains: "onet.pl onet.eu op.pl poczta.onet.pl", host: "imap.poczta.onet.pl", auth: Password, notes: []Note{imapSwitch("Onet", "https://poczta.onet.pl")}},
	{name: "o2", domains: "o2.pl tlen.pl go2.pl", host: "poczta.o2.pl", auth: Password, notes: []Note{imapSwitch("o2", "https://poczta.o2.pl")}},
	{name: "Bluewin", domains: "bluewin.ch", host: "imaps.bluewin.ch", auth: Password},
	{name: "IONOS", domains: "online.de onlinehome.de", mx: "kundenserver.de", host: "imap.ionos.de", auth: eitherPassword},
	{name: "Strato", mx: "rzone.de", host: "imap.strato.de", auth: Password},
	{name: "Proton", domains: "proton.me protonmail.com protonmail.ch pm.me", mx: "protonmail.ch",
		notes: []Note{{"bridge", providerIs("Proton"), "https://proton.me/mail/bridge"}}},
	{name: "Tuta", domains: "tuta.com tuta.io tutamail.com tutanota.com tutanota.de keemail.me", mx: "tutanota.de",
		notes: []Note{{"bridge", map[string]string{codes.Case: caseNoIMAP, "provider": "Tuta"}, ""}}},
}

// result is what the table says of an address.
func (p *provider) result(email string) Result {
	r := Result{Name: p.name, Link: p.link, Notes: slices.Clone(p.notes)}
	if p.host == "" {
		return r
	}
	username, _ := split(email)
	if !p.local {
		username = email
	}
	r.Settings = []Settings{{Host: p.host, Port: 993, Security: "tls", Username: username, Source: Table, Auth: strings.Fields(p.auth), OAuth: p.oauth}}
	return r
}

// providerOf returns the provider whose own domain it is, the first that fits; nil: not in the
// table.
func providerOf(domain string) *provider {
	first, rest, _ := strings.Cut(domain, ".")
	for i, p := range table {
		for own := range strings.FieldsSeq(p.domains) {
			// Under a country's domain there is one more label at most, as in yahoo.co.uk.
			if own == domain || own == first+".*" && strings.Count(rest, ".") <= 1 {
				return &table[i]
			}
		}
	}
	return nil
}

// providerByMX returns the provider to which a mail server belongs; nil: not in the table.
func providerByMX(host string) *provider {
	for i, p := range table {
		for end := range strings.FieldsSeq(p.mx) {
			if host == end || strings.HasSuffix(host, "."+end) {
				return &table[i]
			}
		}
	}
	return nil
}

// providerAt returns the provider whose mail server it is; nil: not in the table.
func providerAt(host string) *provider {
	for i, p := range table {
		if p.host != "" && p.host == host {
			return &table[i]
		}
	}
	return nil
}

// Provider returns the name of the large provider whose mail server it is, or "".
func Provider(host string) string {
	p := providerAt(host)
	if p == nil {
		return ""
	}
	return p.name
}

// providerAt is the function of that name, which also knows a server by the tokens that are for it.
func (f *Finder) providerAt(host string) *provider {
	if p := providerAt(host); p != nil {
		return p
	}
	oauth := f.tokensFor(host)
	i := slices.IndexFunc(table, func(p provider) bool { return p.oauth == oauth })
	if oauth == "" || i < 0 {
		return nil
	}
	return &table[i]
}

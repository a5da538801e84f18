package web

import (
	"strings"
	"unicode"

	"idlepush/netguard"
	"idlepush/registry"
)

// Mailbox is an IMAP login.
type Mailbox struct {
	Email    string `json:"email,omitempty" maxLength:"254" doc:"What people call the mailbox"`
	Host     string `json:"host" minLength:"1" maxLength:"253" doc:"Name or address of the mail server"`
	Port     int    `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"Absent: 993 for tls, else 143"`
	Security string `json:"security,omitempty" enum:"tls,starttls,none" doc:"Absent: tls; none is for networks that this server is told to allow"`
	Username string `json:"username,omitempty" maxLength:"256" doc:"Absent: the address in email"`
	Password string `json:"password" minLength:"1" maxLength:"1024" doc:"Never returned"`
}

func (m Mailbox) account() registry.Account {
	a := registry.Account{Email: m.Email, Host: m.Host, Port: m.Port, Security: registry.Security(m.Security),
		Username: m.Username, Password: registry.Secret(m.Password)}
	if a.Security == "" {
		a.Security = registry.TLS
	}
	if a.Port == 0 && a.Security == registry.TLS {
		a.Port = 993
	} else if a.Port == 0 {
		a.Port = 143
	}
	if a.Username == "" {
		a.Username = a.Email
	}
	return a
}

// mostFolders bounds the folders of an account.
const mostFolders = 50

// mailboxFaults is what is wrong with an account before anybody has spoken to its server.
func mailboxFaults(a registry.Account) (f faults) {
	if !netguard.IsHost(a.Host) {
		f.add("host", "must be a host name or an IP address, without a port; an international name in its xn-- form")
	}
	if a.Username == "" {
		f.add("username", "is required where there is no email")
	} else if !printable(a.Username) {
		f.add("username", "must have no control characters")
	}
	if strings.ContainsAny(string(a.Password), "\x00\r\n") {
		f.add("password", "must have no line break")
	}
	return f
}

// accountFaults is mailboxFaults and what else an account needs to be watched.
func accountFaults(a registry.Account) faults {
	f := mailboxFaults(a)
	if i := strings.LastIndexByte(a.Email, '@'); i < 1 || i == len(a.Email)-1 || strings.ContainsFunc(a.Email, unicode.IsSpace) || !printable(a.Email) {
		f.add("email", "is required, as a mail address")
	}
	if err := registry.CheckLink(a.Link); err != nil {
		f.add("link", "%v", err)
	}
	if len(a.Folders) > mostFolders {
		f.add("folders", "must be at most %d", mostFolders)
	}
	for i, folder := range a.Folders {
		if folder == "" || len(folder) > 255 || !printable(folder) {
			f.add(indexed("folders", i), "must be a folder's name, of at most 255 bytes and without control characters")
		}
	}
	return f
}

// inboxed spells INBOX as RFC 3501 section 5.1 does, which takes any case for it, and drops what is there twice.
func inboxed(folders []string) []string {
	var list []string
	seen := make(map[string]bool)
	for _, f := range folders {
		if strings.EqualFold(f, "INBOX") {
			f = "INBOX"
		}
		if !seen[f] {
			seen[f] = true
			list = append(list, f)
		}
	}
	return list
}

// printable reports whether the text has no control characters. Format characters pass: names in some scripts need them.
func printable(text string) bool { return !strings.ContainsFunc(text, unicode.IsControl) }

// sameLogin reports whether two accounts are the same login, password included.
func sameLogin(a, b registry.Account) bool {
	return sameServer(a, b) && a.Password == b.Password
}

// sameServer reports whether the password of one may be sent where the other's goes.
func sameServer(a, b registry.Account) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Security == b.Security && a.Username == b.Username
}

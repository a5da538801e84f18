package web

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"idlepush"
	"idlepush/cleantext"
	"idlepush/codes"
	"idlepush/netguard"
)

// Mailbox is an IMAP login without what opens it.
type Mailbox struct {
	Email    string `json:"email,omitempty" maxLength:"254" doc:"The mail address"`
	Host     string `json:"host" minLength:"1" maxLength:"253" doc:"Name or address of the mail server"`
	Port     int    `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"Absent: 993 for tls, else 143"`
	Security string `json:"security,omitempty" enum:"tls,starttls,none" doc:"Absent: tls; none is allowed only at the servers of allow-mail"`
	Username string `json:"username,omitempty" maxLength:"256" doc:"Absent: the address in email"`

	Certificate string `json:"certificate,omitempty" maxLength:"95" doc:"Fingerprint (SHA-256) of the server's certificate, which is accepted although this machine does not trust it; only at the servers of allow-mail"`
}

// mailboxLogin is an IMAP login by a password.
type mailboxLogin struct {
	Mailbox
	Password string `json:"password" minLength:"1" maxLength:"1024" doc:"Never returned"`
}

// certificate describes the certificate of a mail server. Whoever made it chose all of it but the
// fingerprint.
type certificate struct {
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of the certificate: 32 pairs of hexadecimal digits with colons in between"`
	Subject     string    `json:"subject" doc:"Distinguished name; may be empty"`
	Names       []string  `json:"names" doc:"The host names and addresses that it is for; the first 20"`
	ValidFrom   time.Time `json:"valid_from"`
	ValidUntil  time.Time `json:"valid_until"`
	Issuer      string    `json:"issuer" doc:"Distinguished name of who signed it; the subject, if it is self-signed"`
}

// certificateOf returns the certificate for an answer, or nil.
func certificateOf(c *idlepush.Certificate) *certificate {
	if c == nil {
		return nil
	}
	return &certificate{string(c.Fingerprint), c.Subject, append([]string{}, c.Names...), c.From.UTC(), c.Until.UTC(), c.Issuer}
}

func mailboxOf(a idlepush.Account) Mailbox {
	return Mailbox{Email: a.Email, Host: a.Host, Port: a.Port, Security: string(a.Security), Username: a.Username, Certificate: string(a.Pin)}
}

func (m Mailbox) account() idlepush.Account {
	a := idlepush.Account{Email: m.Email, Host: m.Host, Port: m.Port, Security: idlepush.Security(m.Security),
		Pin: idlepush.Fingerprint(m.Certificate), Username: m.Username}
	if a.Security == "" {
		a.Security = idlepush.SecurityTLS
	}
	if a.Port == 0 && a.Security == idlepush.SecurityTLS {
		a.Port = 993
	} else if a.Port == 0 {
		a.Port = 143
	}
	if a.Username == "" {
		a.Username = a.Email
	}
	return a
}

const (
	maxFolders    = 50  // of an account
	maxFolderName = 255 // bytes
)

// mailboxFaults returns the faults of a login that can be found without its server.
func mailboxFaults(a idlepush.Account) (f faults) {
	if !netguard.IsHost(a.Host) {
		f.add(fault("host", "field_bad_host"))
	}
	if a.Username == "" {
		f.add(fault("username", "field_required").with(codes.Case, caseNoEmail))
	} else if !cleantext.IsVisible(a.Username) {
		f.add(fault("username", "field_control_characters"))
	}
	if strings.ContainsAny(string(a.Password), "\x00\r\n") {
		f.add(fault("password", "field_line_break"))
	}
	switch {
	case a.Pin == "":
	case a.Security == idlepush.SecurityPlain:
		f.add(fault("certificate", "field_forbidden").with(codes.Case, caseUnencrypted))
	case !a.Pin.Valid():
		f.add(fault("certificate", "field_bad_fingerprint"))
	}
	return f
}

// accountFaults returns mailboxFaults and the faults of the other fields of an account.
func accountFaults(a idlepush.Account) faults {
	f := mailboxFaults(a)
	if i := strings.LastIndexByte(a.Email, '@'); i < 1 || i == len(a.Email)-1 || strings.ContainsFunc(a.Email, unicode.IsSpace) || !isLabel(a.Email) {
		f.add(fault("email", "field_bad_address"))
	}
	if wrong := a.CheckLink(); wrong.Code != "" {
		f.add(faultOf("link", wrong))
	}
	if len(a.Folders) > maxFolders {
		f.add(fault("folders", "field_too_many").with("limit", strconv.Itoa(maxFolders)))
	}
	for i, folder := range a.Folders {
		if folder == "" || len(folder) > maxFolderName || !cleantext.IsVisible(folder) {
			f.add(fault(indexed("folders", i), "field_bad_folder_name").with("limit", strconv.Itoa(maxFolderName)))
		}
	}
	return f
}

// isLabel reports whether the text can be shown as it is.
func isLabel(text string) bool {
	_, ok := cleantext.Label(text)
	return ok && cleantext.IsVisible(text)
}

// normalizeFolders spells INBOX in capitals, as its case does not matter (RFC 3501 section 5.1),
// and removes duplicates.
func normalizeFolders(folders []string) []string {
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

// sameLogin reports whether two accounts have the same login, including the password.
func sameLogin(a, b idlepush.Account) bool {
	return sameServer(a, b) && a.OAuth == b.OAuth && a.Password == b.Password
}

// sameServer reports whether two accounts send their password to the same place.
func sameServer(a, b idlepush.Account) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Security == b.Security && a.Pin == b.Pin && a.Username == b.Username
}

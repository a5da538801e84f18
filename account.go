package idlepush

import (
	"slices"
	"strings"
	"time"

	"idlepush/codes"
)

// Security is how the connection to a mail server is protected.
type Security string

// SecurityTLS is implicit TLS (RFC 8314). SecurityStartTLS is the STARTTLS command (RFC 3501
// section 6.2.1). SecurityPlain is no encryption, which is for allow-mail only.
const (
	SecurityTLS      Security = "tls"
	SecurityStartTLS Security = "starttls"
	SecurityPlain    Security = "none"
)

// Account is one mailbox: an IMAP login with the folders to watch, owned by one user.
type Account struct {
	ID         string
	Revision   uint64   // changes with every edit
	Owner      string   // user id
	SharedWith []string // user ids
	OfferedTo  []string // user ids of those who have neither accepted nor declined
	Email      string   // what people call the mailbox
	Host       string
	Port       int
	Security   Security
	Pin        Fingerprint // of the certificate that need not verify; empty: none
	Username   string
	OAuth      string   // the provider that gives access: name or issuer; empty: a password does
	Password   Secret   `json:"-"` // with OAuth: a new refresh token, on its way to the store
	Folders    []string // as the server spells them, decoded; never empty
	Link       string   // template of the link that a click opens (see CheckLink); empty: the page
	Enabled    bool
	Created    time.Time
	Edited     time.Time // when a person last changed how it is watched
	Status     Status
}

// CodeDamaged is the code of an account that is damaged. Package registry, which finds that out,
// has its sentence.
const CodeDamaged codes.Code = "mailbox_damaged"

// Damaged reports whether the store cannot tell that the account is as a person entered it. It is
// not watched and can only be removed: do not send a password to its server.
func (a Account) Damaged() bool { return a.Status.Code == CodeDamaged }

// Mailbox returns a text that all accounts of one mailbox have in common: those with the same user
// name on the same host. The port does not matter.
func (a Account) Mailbox() string {
	return strings.ToLower(strings.TrimSuffix(a.Host, ".")) + "\x00" + a.Username
}

// Visible reports whether the user may see the account and be notified of its mail.
func (a Account) Visible(user string) bool {
	return a.Owner == user || slices.Contains(a.SharedWith, user)
}

// Offer is an account that its owner wants to share with a user, who has not answered yet.
type Offer struct {
	ID      string
	Account Account
	At      time.Time
}

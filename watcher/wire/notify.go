package wire

import (
	"strings"
	"time"
)

// Notify asks the server to tell of new mail in these folders whichever is open (NOTIFY, RFC 5465), also in IDLE: News.Status then
// counts what it says of those that are not. It may tell of others of the user's too. It replaces an earlier one, and what the server told of other folders
// before is forgotten: look at them after it. Ask only a server that
// announces NOTIFY; NO and BAD are an *imap.Error, after which the connection works on.
func (c *Conn) Notify(folders []string, patience time.Duration) error {
	// MessageExpunge must come with MessageNew (section 5.2); with FlagChange Dovecot tells half a second later.
	const events = "(MessageNew MessageExpunge)"
	err := c.Do("NOTIFY SET (selected "+events+") ("+which(folders)+" "+events+")", patience)
	if err == nil {
		c.ForgetOthers(true)
	}
	return err
}

// which names the folders, or all of the user's where a name is not plain: Dovecot 2.3 says OK to one in modified UTF-7 and never
// tells of it.
func which(folders []string) string {
	for _, f := range folders {
		if strings.ContainsFunc(f, func(r rune) bool { return r < ' ' || r > '~' || r == '&' || r == '"' || r == '\\' }) {
			return "personal"
		}
	}
	return `mailboxes ("` + strings.Join(folders, `" "`) + `")`
}
